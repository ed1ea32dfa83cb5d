//! Whoever signs in while the account is disabled, or gets another password: by the password that was right when they
//! began, they have no session afterwards that refreshes.

use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};

use super::{House, Kept, NEXT, RIGHT, dead};
use crate::world::eventually;

/// How often each is raced.
fn rounds() -> usize {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { 500 } else { 50 }
}
