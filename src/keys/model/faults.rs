//! The model with one rule broken on purpose: it must find the way to a broken promise. Otherwise it would prove
//! nothing.

use super::check::explore;
use super::promises::{PLAIN, STALLED, STALLED_THROUGH_A_COMPROMISE};
use super::steps::{Bounds, Fault, Model};

fn breaks(fault: Fault, bounds: Bounds, promise: &str) {
    let model = Model::new(bounds, fault);
    let seen = explore(&model, model.start().unwrap(), 300_000);
    let why = seen.broken.unwrap_or_else(|| panic!("{fault:?} is not noticed in {} states", seen.states));
    println!("{fault:?}, found in the {}th state: {why}\n", seen.states);
    assert!(why.starts_with(promise), "{why}");
}

#[test]
fn a_retirement_without_the_lease_is_noticed() {
    breaks(Fault::LeaseLeftOutOfRetirement, PLAIN, "a token of retired key");
}

#[test]
fn a_propagation_below_max_age_is_noticed() {
    breaks(Fault::PropagationBelowMaxAge, PLAIN, "a living token of key");
}

#[test]
fn a_promotion_before_propagation_is_noticed() {
    breaks(Fault::PromotedBeforePropagation, PLAIN, "a living token of key");
}

#[test]
fn signing_without_a_lease_is_noticed() {
    breaks(Fault::SignsWithoutLease, PLAIN, "a token is signed with a key that no fresh JWKS has");
}

#[test]
fn a_commit_that_compares_no_version_is_noticed() {
    breaks(Fault::VersionNotCompared, STALLED, "not one key is active");
}

#[test]
fn a_commit_long_after_it_was_decided_is_noticed() {
    breaks(Fault::CommittedHoweverLate, STALLED, "a token is signed with a key that no fresh JWKS has");
}

#[test]
fn the_smallest_world_is_large_enough_to_notice_the_same() {
    breaks(Fault::VersionNotCompared, STALLED_THROUGH_A_COMPROMISE, "not one key is active");
    breaks(Fault::PromotedBeforePropagation, STALLED_THROUGH_A_COMPROMISE, "a living token of key");
}

#[test]
fn a_stale_jwks_that_is_kept_as_if_it_were_fresh_is_noticed() {
    breaks(Fault::StaleJwksKeptAsIfFresh, PLAIN, "a living token of key");
}
