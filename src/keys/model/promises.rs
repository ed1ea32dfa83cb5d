//! The worlds that are explored, each to its end, and what is seen in them.

use super::check::explore;
use super::steps::{Bounds, Fault, Model};

/// Two replicas whose clocks are right and that never stall; spans as short as the rules between them allow.
pub(super) const PLAIN: Bounds = Bounds {
    replicas: 2,
    lifetime: 2,
    lease: 2,
    propagation: 5,
    rotate_every: 5,
    skew: 1,
    max_age: 2,
    stale_while_revalidate: 1,
    commit_within: 0,
    drift: 0,
    verifiers_behind: 1,
    stalls: false,
    keys: 5,
    interventions: 0,
};

/// Replicas that stall between what they read and what they do, and are killed.
pub(super) const STALLED: Bounds =
    Bounds { stalls: true, commit_within: 1, skew: 2, propagation: 6, rotate_every: 6, ..PLAIN };

/// The same through a compromise or a retirement by hand. The spans are shorter than elsewhere and nobody rotates by hand,
/// so that all of it can be seen.
pub(super) const STALLED_THROUGH_A_COMPROMISE: Bounds = Bounds {
    interventions: 1,
    lifetime: 1,
    lease: 1,
    max_age: 1,
    stale_while_revalidate: 0,
    propagation: 4,
    rotate_every: 4,
    keys: 2,
    ..STALLED
};

/// More than any world of this file has: one that grows beyond it fails, and is to be made smaller.
const MOST: usize = 600_000;

/// Explores all of it; what was not seen was not checked.
fn holds(name: &str, bounds: Bounds) {
    let model = Model::new(bounds, Fault::None);
    let seen = explore(&model, model.start().unwrap(), MOST);
    println!("{name}: {} states, {} steps, the farthest {} steps away", seen.states, seen.steps, seen.depth);
    println!("  within {bounds:?}");
    if let Some(why) = seen.broken {
        panic!("{name}: {why}");
    }
    assert!(seen.complete, "{name}: not every state was explored, after {} of them", seen.states);
}

#[test]
fn two_replicas_that_lag_and_are_cut_off_keep_every_promise() {
    holds("two replicas", PLAIN);
}

#[test]
fn three_replicas_that_lag_and_are_cut_off_keep_every_promise() {
    holds("three replicas", Bounds { replicas: 3, ..PLAIN });
}

#[test]
fn replicas_that_stall_keep_every_promise() {
    holds("stalled", STALLED);
}

#[test]
fn a_compromise_costs_what_is_said_and_nothing_else() {
    holds("compromise", Bounds { interventions: 1, ..PLAIN });
}

#[test]
fn replicas_that_stall_through_a_compromise_keep_every_promise() {
    holds("stalled through a compromise", STALLED_THROUGH_A_COMPROMISE);
}

#[test]
fn replicas_whose_clocks_are_wrong_keep_every_promise() {
    holds("wrong clocks", Bounds { drift: 1, skew: 2, propagation: 8, rotate_every: 8, ..PLAIN });
}
