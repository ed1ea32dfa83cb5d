//! The real functions over the small tables of the model. What they answer is kept: most states share few tables.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use signet_verify::Algorithm;

use super::super::fixtures;
use super::super::plan::{Candidate, generated_by, plan};
use super::super::ring::KeyRing;
use super::super::rotation::{Policy, SweepRefused, compromise, invariant, may_fail_until, retire, rotate_now, sweep};
use super::super::states::Key;
use super::super::table::KeyTable;
use super::state::{Life, Row, Tick, Wish, moment};

const ALGORITHM: Algorithm = Algorithm::Es256;
/// More than a table of the model ever has.
const MOST_KEYS: u64 = 14;

/// What comes of a change.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// Until when tokens of the key that is now active may fail, as an operator is told.
    pub(super) may_fail_until: Option<Tick>,
}

/// None where nothing was to be changed.
type Outcomes = HashMap<(Vec<Row>, Wish, Tick), Option<Outcome>>;

pub(super) struct Real {
    policy: Policy,
    /// Promotes without waiting for propagation: only to see that this is noticed.
    force: bool,
    ring: KeyRing,
    keys: Vec<Key>,
    candidates: Vec<Candidate>,
    outcomes: RefCell<Outcomes>,
}

impl Real {
    /// `policy` decides on the table, `ring_policy` on the ring: they differ only where a fault is tried.
    pub(super) fn new(policy: Policy, ring_policy: &Policy, force: bool) -> Self {
        let key = |seed| fixtures::key(seed, ALGORITHM, moment(0));
        let mut keys: Vec<Key> = (1..=MOST_KEYS).map(key).collect();
        let mut candidates: Vec<Candidate> = (1..=MOST_KEYS).map(|seed| fixtures::candidate(seed, ALGORITHM)).collect();
        // Of keys made at one moment the name decides; here, that is the place.
        keys.sort_by(|one, other| one.kid.cmp(&other.kid));
        candidates.sort_by(|one, other| one.kid.cmp(&other.kid));
        let ring = KeyRing::new(ring_policy);
        Self { policy, force, ring, keys, candidates, outcomes: RefCell::default() }
    }

    /// Whether a replica whose ring was confirmed then may sign now, both by its own clock.
    pub(super) fn is_confirmed(&self, confirmed_at: Tick, now: Tick) -> bool {
        self.ring.confirm(moment(confirmed_at));
        self.ring.is_confirmed(moment(now))
    }

    /// For how long its JWKS may be relied on.
    pub(super) fn jwks_holds_for(&self, confirmed_at: Tick, now: Tick) -> Duration {
        self.ring.confirm(moment(confirmed_at));
        self.ring.jwks_holds_for(moment(now))
    }

    /// The rows after what `wish` asks for, decided at the moment `at` on `rows`.
    pub(super) fn outcome(&self, rows: &[Row], wish: Wish, at: Tick) -> Result<Option<Outcome>, String> {
        let asked = (rows.to_vec(), wish, at);
        if let Some(known) = self.outcomes.borrow().get(&asked) {
            return Ok(known.clone());
        }
        let outcome = self.decide(rows, wish, at)?;
        self.outcomes.borrow_mut().insert(asked, outcome.clone());
        Ok(outcome)
    }

    fn table(&self, rows: &[Row]) -> KeyTable {
        let stored = |(row, key): (&Row, &Key)| {
            let published_at = moment(row.published);
            Key { created_at: published_at, published_at, state: row.life.state(), ..key.clone() }
        };
        let mut keys: Vec<Key> = rows.iter().zip(&self.keys).map(stored).collect();
        keys.iter_mut().for_each(|key| key.longest_lifetime = self.policy.longest_lifetime);
        KeyTable { version: 1, acted_at: None, keys }
    }

    fn decide(&self, rows: &[Row], wish: Wish, at: Tick) -> Result<Option<Outcome>, String> {
        let (table, policy, now) = (self.table(rows), &self.policy, moment(at));
        let actions = match wish {
            Wish::Sweep => sweep(&table, policy, now),
            Wish::Rotate => rotate_now(&table, policy, ALGORITHM, now, self.force),
            Wish::Compromise(place) => compromise(&table, policy, &self.keys[place].kid, "", now),
            Wish::Retire(place) => retire(&table, policy, &self.keys[place].kid, now),
        };
        let actions = match actions {
            Ok(actions) if actions.is_empty() => return Ok(None),
            Ok(actions) => actions,
            Err(SweepRefused::NotPropagated { .. } | SweepRefused::NoSuccessor(_)) => return Ok(None),
            Err(other) => return Err(format!("{wish:?} is refused: {other}")),
        };
        let candidates = self.candidates[rows.len()..][..generated_by(&actions).len()].to_vec();
        let (after, _) = plan(&table, policy, &actions, candidates, now).map_err(|error| error.to_string())?;
        invariant(&after, policy, now).map_err(|error| error.to_string())?;
        if wish == Wish::Sweep && sweep(&after, policy, now) != Ok(vec![]) {
            return Err("a sweep after a sweep wants something".to_owned());
        }
        let row = |key: &Key| Row { life: Life::of(key.state), published: super::state::tick(key.published_at) };
        let in_place = |(key, name): (&Key, &Key)| if key.kid == name.kid { Ok(row(key)) } else { Err(()) };
        let rows: Result<Vec<Row>, ()> = after.keys.iter().zip(&self.keys).map(in_place).collect();
        let rows = rows.map_err(|()| "keys changed places".to_owned())?;
        let told = may_fail_until(&table, policy, &actions, now).filter(|_| !self.force);
        let may_fail_until = told.map(super::state::tick);
        Ok(Some(Outcome { rows, may_fail_until }))
    }
}
