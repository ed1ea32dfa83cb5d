//! What the simulation counts, so that its schedules are known to try what they are for.

use std::cell::Cell;

/// How often each thing happened, over all cases.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) events: Cell<u64>,
    pub(super) changes: Cell<u64>,
    pub(super) raced: Cell<u64>,
    pub(super) tokens: Cell<u64>,
    pub(super) lagging: Cell<u64>,
    pub(super) acted: Cell<u64>,
    pub(super) refused: Cell<u64>,
    pub(super) repeated: Cell<u64>,
    pub(super) unpropagated: Cell<u64>,
    pub(super) within_windows: Cell<u64>,
    pub(super) compromised: Cell<u64>,
    pub(super) lost_tokens: Cell<u64>,
    pub(super) backwards: Cell<u64>,
}

pub(super) fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Prints the counts; none is almost nothing.
pub(super) fn report(counts: &Counts) {
    let Counts { events, changes, raced, tokens, lagging, acted, refused, repeated, unpropagated, .. } = counts;
    let Counts { within_windows, compromised, lost_tokens, backwards, .. } = counts;
    let named = [
        ("events", events),
        ("changes", changes),
        ("raced", raced),
        ("tokens", tokens),
        ("tokens by replicas that lagged", lagging),
        ("acts by hand", acted),
        ("acts refused", refused),
        ("acts asked for again", repeated),
        ("acts that let a key sign before it propagated", unpropagated),
        ("tokens within a stated window", within_windows),
        ("keys compromised", compromised),
        ("tokens lost to a compromise", lost_tokens),
        ("clocks set back", backwards),
    ];
    let counted: Vec<String> = named.iter().map(|(name, seen)| format!("{} {name}", seen.get())).collect();
    println!("300 schedules: {}", counted.join(", "));
    for (name, seen) in named {
        assert!(seen.get() > 20, "the schedules hardly try this: {name}");
    }
}
