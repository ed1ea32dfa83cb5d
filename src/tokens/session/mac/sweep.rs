//! What is due of the keys that make refresh tokens: a pure decision, and the states that it knows.
//!
//! Guarantees: one key makes tokens, always; another takes its place only after it was there for the lead; a key's secret
//! goes only after the last session may have ended whose current token it made. A sweep after a sweep wants nothing.

use std::time::Duration;

use super::super::token::MacKeyId;
use crate::ports::Timestamp;

/// A key's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MacKeyState {
    /// Every replica learns of it: it checks tokens, and makes them from then on.
    Pending {
        /// When every replica that may serve knows it.
        usable_from: Timestamp,
    },
    /// It makes tokens.
    Active {
        /// Since when.
        since: Timestamp,
    },
    /// It makes none, and checks those that it made.
    Retiring {
        /// Since when.
        since: Timestamp,
        /// Until when a session may live whose token it made.
        until: Timestamp,
    },
    /// Its secret is destroyed.
    Retired {
        /// Since when.
        since: Timestamp,
    },
}

impl MacKeyState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Active { .. } => "active",
            Self::Retiring { .. } => "retiring",
            Self::Retired { .. } => "retired",
        }
    }

    /// Whether it still has a secret.
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Retired { .. })
    }
}

/// A key without its secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacKeyRow {
    /// Its name.
    pub id: MacKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The longest that a session whose token it made may live: the longest that was allowed while it could make one.
    pub longest_session: Duration,
    /// Its state.
    pub state: MacKeyState,
}

/// How the keys are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacPolicy {
    /// For how long one makes tokens.
    pub rotate_every: Duration,
    /// How long every replica that may serve takes to know of a new key: the lease of the signing keys, without which no
    /// replica answers a refresh, and the time in which a change is followed.
    pub lead: Duration,
    /// How long a session may live.
    pub longest_session: Duration,
}

/// Something that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MacKeyStep {
    /// A new key is made, in that state.
    Make(MacKeyState),
    /// A key's row changes.
    Change(MacKeyRow),
}

/// What is due at `now`; nothing twice.
pub fn sweep(rows: &[MacKeyRow], policy: &MacPolicy, now: Timestamp) -> Vec<MacKeyStep> {
    let mut steps = Vec::new();
    let active = rows.iter().find(|row| matches!(row.state, MacKeyState::Active { .. }));
    let pending = rows.iter().find_map(|row| match row.state {
        MacKeyState::Pending { usable_from } => Some((row, usable_from)),
        _ => None,
    });
    match (active, pending) {
        // The very first: there is no token yet that anybody could fail to know.
        (None, None) => steps.push(MacKeyStep::Make(MacKeyState::Active { since: now })),
        (None, Some((next, _))) => steps.push(MacKeyStep::Change(activated(next, policy, now))),
        (Some(active), None) if now >= made_from(active, policy) => {
            steps.push(MacKeyStep::Make(MacKeyState::Pending { usable_from: now.plus(policy.lead) }));
        }
        (Some(active), Some((next, usable_from))) if now >= usable_from && now >= replaced_from(active, policy) => {
            steps.push(MacKeyStep::Change(activated(next, policy, now)));
            // A replica that has not heard may make tokens with it for the lead.
            let until = now.plus(policy.lead).plus(longest(active, policy));
            let state = MacKeyState::Retiring { since: now, until };
            steps.push(MacKeyStep::Change(MacKeyRow { longest_session: longest(active, policy), state, ..*active }));
        }
        _ => {}
    }
    if let Some(active) = active
        && active.longest_session < policy.longest_session
        && !steps.iter().any(|step| matches!(step, MacKeyStep::Change(_)))
    {
        // What is allowed has grown while the key can make tokens.
        steps.push(MacKeyStep::Change(MacKeyRow { longest_session: policy.longest_session, ..*active }));
    }
    steps.extend(rows.iter().filter_map(|row| match row.state {
        MacKeyState::Retiring { until, .. } if now >= until => {
            Some(MacKeyStep::Change(MacKeyRow { state: MacKeyState::Retired { since: now }, ..*row }))
        }
        _ => None,
    }));
    steps
}

/// When [`sweep`] has something to do next; `None` only where it has already.
pub fn next_due(rows: &[MacKeyRow], policy: &MacPolicy) -> Option<Timestamp> {
    let pending = rows.iter().find_map(|row| match row.state {
        MacKeyState::Pending { usable_from } => Some(usable_from),
        _ => None,
    });
    let due = |row: &MacKeyRow| match row.state {
        MacKeyState::Active { .. } => Some(match pending {
            None => made_from(row, policy),
            Some(usable_from) => usable_from.max(replaced_from(row, policy)),
        }),
        MacKeyState::Retiring { until, .. } => Some(until),
        MacKeyState::Pending { .. } | MacKeyState::Retired { .. } => None,
    };
    rows.iter().filter_map(due).min()
}

fn since(row: &MacKeyRow) -> Timestamp {
    match row.state {
        MacKeyState::Active { since } => since,
        _ => row.created_at,
    }
}

/// From when another takes the place of the active key.
fn replaced_from(active: &MacKeyRow, policy: &MacPolicy) -> Timestamp {
    since(active).plus(policy.rotate_every)
}

/// From when its successor is there, so that it is known in time.
fn made_from(active: &MacKeyRow, policy: &MacPolicy) -> Timestamp {
    since(active).plus(policy.rotate_every.saturating_sub(policy.lead))
}

fn longest(row: &MacKeyRow, policy: &MacPolicy) -> Duration {
    row.longest_session.max(policy.longest_session)
}

fn activated(row: &MacKeyRow, policy: &MacPolicy, now: Timestamp) -> MacKeyRow {
    MacKeyRow { longest_session: longest(row, policy), state: MacKeyState::Active { since: now }, ..*row }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const POLICY: MacPolicy = MacPolicy {
        rotate_every: Duration::from_secs(30 * 86_400),
        lead: Duration::from_secs(600),
        longest_session: DAY,
    };

    #[derive(Default)]
    struct Table {
        rows: Vec<MacKeyRow>,
        made: u32,
    }

    impl Table {
        fn apply(&mut self, policy: &MacPolicy, now: Timestamp) -> usize {
            let steps = sweep(&self.rows, policy, now);
            for step in &steps {
                match *step {
                    MacKeyStep::Make(state) => {
                        self.made += 1;
                        let id = MacKeyId(self.made);
                        let longest_session = policy.longest_session;
                        self.rows.push(MacKeyRow { id, created_at: now, longest_session, state });
                    }
                    MacKeyStep::Change(row) => {
                        *self.rows.iter_mut().find(|own| own.id == row.id).unwrap() = row;
                    }
                }
            }
            steps.len()
        }

        fn states(&self) -> Vec<&'static str> {
            self.rows.iter().map(|row| row.state.name()).collect()
        }
    }

    #[test]
    fn a_key_lives_from_its_making_to_the_end_of_the_last_session_that_needs_it() {
        let mut table = Table::default();
        let mut at = |now: Timestamp| {
            table.apply(&POLICY, now);
            table.states()
        };
        assert_eq!(at(START), ["active"]);
        let replaced = START.plus(POLICY.rotate_every);
        assert_eq!(at(replaced.minus(POLICY.lead).minus(Duration::from_millis(1))), ["active"]);
        assert_eq!(at(replaced.minus(POLICY.lead)), ["active", "pending"]);
        assert_eq!(at(replaced.minus(Duration::from_millis(1))), ["active", "pending"]);
        assert_eq!(at(replaced), ["retiring", "active"]);
        let gone = replaced.plus(POLICY.lead).plus(DAY);
        assert_eq!(at(gone.minus(Duration::from_millis(1))), ["retiring", "active"]);
        assert_eq!(at(gone), ["retired", "active"]);
    }

    #[test]
    fn a_key_made_late_is_not_used_early() {
        let mut table = Table::default();
        table.apply(&POLICY, START);
        let late = START.plus(POLICY.rotate_every * 2);
        table.apply(&POLICY, late);
        assert_eq!(table.states(), ["active", "pending"]);
        table.apply(&POLICY, late.plus(POLICY.lead - Duration::from_millis(1)));
        assert_eq!(table.states(), ["active", "pending"]);
        table.apply(&POLICY, late.plus(POLICY.lead));
        assert_eq!(table.states(), ["retiring", "active"]);
    }

    #[test]
    fn sessions_that_were_allowed_to_live_longer_keep_their_key() {
        let (mut table, longer) = (Table::default(), MacPolicy { longest_session: DAY * 9, ..POLICY });
        table.apply(&longer, START);
        let replaced = START.plus(POLICY.rotate_every);
        table.apply(&POLICY, replaced.minus(POLICY.lead));
        table.apply(&POLICY, replaced);
        table.apply(&POLICY, replaced.plus(DAY * 9));
        assert_eq!(table.states(), ["retiring", "active"]);
        table.apply(&POLICY, replaced.plus(DAY * 9).plus(POLICY.lead));
        assert_eq!(table.states(), ["retired", "active"]);
        let mut table = Table::default();
        table.apply(&POLICY, START);
        assert_eq!(table.apply(&longer, START), 1);
        assert_eq!(table.rows[0].longest_session, DAY * 9);
    }

    proptest! {
        #[test]
        fn whenever_sweeps_run_one_key_makes_tokens_and_every_token_can_be_checked_while_its_session_lives(
            pauses in proptest::collection::vec(0_u64..40 * 86_400, 1..60),
            lives in proptest::collection::vec(1_u64..40, 60),
        ) {
            let (mut table, mut now) = (Table::default(), START);
            // When the last session may end whose token a key made.
            let mut needed = BTreeMap::new();
            for (pause, life) in pauses.into_iter().zip(lives) {
                let policy = MacPolicy { longest_session: DAY * u32::try_from(life).unwrap(), ..POLICY };
                now = now.plus(Duration::from_secs(pause));
                table.apply(&policy, now);
                prop_assert_eq!(table.apply(&policy, now), 0, "a sweep after a sweep wants nothing");
                let due = next_due(&table.rows, &policy);
                prop_assert!(due.is_some_and(|due| due > now), "{due:?}");
                let before = due.unwrap().minus(Duration::from_millis(1));
                prop_assert!(sweep(&table.rows, &policy, before).is_empty());
                prop_assert!(!sweep(&table.rows, &policy, due.unwrap()).is_empty());
                let active: Vec<_> =
                    table.rows.iter().filter(|row| matches!(row.state, MacKeyState::Active { .. })).collect();
                prop_assert_eq!(active.len(), 1);
                needed.insert(active[0].id, now.plus(policy.longest_session).max(
                    needed.get(&active[0].id).copied().unwrap_or_default()));
                for row in table.rows.iter().filter(|row| !row.state.is_alive()) {
                    prop_assert!(needed.get(&row.id).is_none_or(|until| *until <= now), "{row:?}");
                }
            }
        }
    }
}
