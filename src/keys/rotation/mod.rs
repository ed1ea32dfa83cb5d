//! When keys are made, take over and leave: pure decisions over a table, a policy and a moment.
//!
//! - `steps`: the policy, the steps and why none is taken
//! - `sweep`: what is due of itself, and what every table must show
//! - `by_hand`: what an operator asks for
//! - `room`: how many keys may be published at once
//!
//! Guarantees: nothing here touches anything; every answer is a list of steps, each with its reason; a clock that ran
//! backwards moves nothing. [`plan`](super::plan::plan) makes a change of the steps, and [`invariant`] holds before the
//! change is committed. Every replica may decide at any time.

mod by_hand;
mod room;
mod steps;
mod sweep;

pub use by_hand::{KeyAct, activate, add, compromise, may_fail_until, retire, rotate, rotate_now};
pub use room::{MOST_BY_HAND, MOST_STEADY, steady};
pub use steps::{Action, Broken, Policy, Step, SweepRefused};
pub use sweep::{invariant, next_due, sweep};

pub(super) use sweep::counts_no_more;
