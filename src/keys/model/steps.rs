//! What may happen next, and what must hold whatever happened.

use std::cell::RefCell;
use std::time::Duration;

use super::super::rotation::Policy;
use super::check::World;
use super::real::{Outcome, Real};
use super::state::{Cache, Decided, Key, LONG_AGO, Life, Replica, Row, State, Tick, View, Wish, has};

/// However stale a JWKS is, caches are not told to keep it for less.
const SHORTEST_AGE: Tick = 1;

/// What is explored. All spans are seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) replicas: usize,
    pub(super) lifetime: Tick,
    pub(super) lease: Tick,
    pub(super) propagation: Tick,
    pub(super) rotate_every: Tick,
    pub(super) skew: Tick,
    pub(super) max_age: Tick,
    pub(super) stale_while_revalidate: Tick,
    /// How long after a change was decided a store takes it.
    pub(super) commit_within: Tick,
    /// How far a replica's clock may be off.
    pub(super) drift: Tick,
    /// How far the clock of a verifier may be behind.
    pub(super) verifiers_behind: Tick,
    /// Whether replicas stall between asking and acting.
    pub(super) stalls: bool,
    /// How many keys a table may have for an operator to rotate. Without such a bound there is no end to them where
    /// nobody ever sweeps.
    pub(super) keys: usize,
    /// How many keys are compromised or retired by hand, at most.
    pub(super) interventions: u8,
}

/// What is broken on purpose, to see that the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LeaseLeftOutOfRetirement,
    PropagationBelowMaxAge,
    PromotedBeforePropagation,
    SignsWithoutLease,
    VersionNotCompared,
    CommittedHoweverLate,
    StaleJwksKeptAsIfFresh,
}

#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "told by Debug, on the way to a broken promise")]
pub(super) enum Step {
    /// A second passes.
    Pass,
    /// A replica takes up what the store has, or finds nothing new.
    Follow(usize),
    /// A replica asks for a snapshot, and stalls.
    Load(usize),
    /// It goes on.
    TakeUp(usize),
    /// A replica decides on a change, and stalls.
    Decide(usize, Wish),
    /// It goes on.
    Commit(usize),
    /// Both at once.
    Change(usize, Wish),
    /// A replica is killed and starts anew.
    Restart(usize),
    /// A clock is set.
    Drift(usize, Tick),
}

pub(super) struct Model {
    bounds: Bounds,
    fault: Fault,
    real: Real,
    /// Where commits compare no version: the tables that changes were decided on.
    tables: RefCell<Vec<Vec<Row>>>,
}

fn seconds(tick: Tick) -> Duration {
    Duration::from_secs(tick.unsigned_abs().into())
}

impl Model {
    pub(super) fn new(bounds: Bounds, fault: Fault) -> Self {
        let policy = Policy {
            specs: vec![super::super::kind::KeySpec::Es256],
            rotate_every: seconds(bounds.rotate_every),
            propagation: seconds(bounds.propagation),
            lease: seconds(bounds.lease),
            skew: seconds(bounds.skew),
            longest_lifetime: seconds(bounds.lifetime),
        };
        let mut deciding = policy.clone();
        match fault {
            Fault::LeaseLeftOutOfRetirement => deciding.lease = Duration::ZERO,
            Fault::PropagationBelowMaxAge => deciding.propagation = seconds(bounds.max_age - 1),
            _ => {}
        }
        let real = Real::new(deciding, &policy, fault == Fault::PromotedBeforePropagation);
        Self { bounds, fault, real, tables: RefCell::default() }
    }

    /// An issuer of two keys, in the moment in which it was founded.
    pub(super) fn start(&self) -> Result<State, String> {
        let row = |life| Row { life, published: 0 };
        let key = |life| Key { row: row(life), dies: LONG_AGO, excused_until: LONG_AGO };
        let keys = vec![key(Life::Active { since: 0 }), key(Life::Pending { usable_from: 0 })];
        let mut state = State { keys, replicas: vec![], caches: vec![], interventions: self.bounds.interventions };
        let replica = Replica { drift: 0, view: state.view(), confirmed_at: 0, loaded: None, decided: None };
        state.replicas = vec![replica; self.bounds.replicas];
        self.settled(state)
    }

    fn rows(state: &State) -> Vec<Row> {
        state.keys.iter().map(|key| key.row).collect()
    }

    /// What replicas do in every state: those that may, sign the longest token and answer a verifier.
    fn settled(&self, mut state: State) -> Result<State, String> {
        let Bounds { lifetime, max_age, stale_while_revalidate, .. } = self.bounds;
        for at in 0..state.replicas.len() {
            let Replica { drift, view, confirmed_at, .. } = state.replicas[at];
            let is_ready = confirmed_at > LONG_AGO && self.real.is_confirmed(confirmed_at, drift);
            if is_ready || self.fault == Fault::SignsWithoutLease {
                for key in state.keys.iter_mut().enumerate().filter(|(place, _)| has(view.active, *place)) {
                    let key = key.1;
                    if !key.row.life.is_published() && !key.row.life.is_compromised() {
                        return Err("a token is signed with a key that no fresh JWKS has".to_owned());
                    }
                    key.dies = key.dies.max(drift + lifetime);
                }
            }
            if is_ready {
                let holds = Tick::try_from(self.real.jwks_holds_for(confirmed_at, drift).as_secs()).unwrap();
                let holds = if self.fault == Fault::StaleJwksKeptAsIfFresh { Tick::MAX } else { holds };
                let age = max_age.min(holds - stale_while_revalidate).max(SHORTEST_AGE);
                state.caches.push(Cache { keys: view.published, until: age + stale_while_revalidate });
            }
        }
        self.forget(&mut state);
        Ok(state)
    }

    /// What is so long past that nothing tells the difference is made the same.
    fn forget(&self, state: &mut State) {
        let Bounds { lease, propagation, rotate_every, skew, drift, .. } = self.bounds;
        // A stalled replica decides by a present that is past.
        let stalled = if self.fault == Fault::CommittedHoweverLate { 20 } else { self.bounds.commit_within + 1 };
        for key in &mut state.keys {
            key.row.published = key.row.published.max(-propagation - stalled);
            match &mut key.row.life {
                Life::Pending { usable_from } => *usable_from = (*usable_from).max(-stalled),
                Life::Active { since } => *since = (*since).max(-rotate_every - stalled),
                Life::Retiring { since, until } => {
                    *since = (*since).max(-lease - skew - 1 - stalled);
                    *until = (*until).max(-stalled);
                }
                Life::Retired { since } => *since = LONG_AGO,
                Life::Compromised { since } => *since = (*since).max(-propagation - 1),
            }
            if key.dies <= -self.bounds.verifiers_behind || key.row.life.is_compromised() {
                key.dies = LONG_AGO;
            }
            if key.excused_until <= 0 {
                key.excused_until = LONG_AGO;
            }
        }
        let is_over = |confirmed_at: Tick| confirmed_at.saturating_add(lease) < -drift;
        for replica in &mut state.replicas {
            if is_over(replica.confirmed_at) && self.fault != Fault::SignsWithoutLease {
                (replica.view, replica.confirmed_at) = (View { published: 0, active: 0 }, LONG_AGO);
            }
            replica.loaded = replica.loaded.filter(|(_, at)| !is_over(*at));
            replica.decided = replica.decided.filter(|decided| self.is_in_time(*decided));
        }
        state.replicas.sort_unstable();
        self.forget_caches(state);
        if self.fault != Fault::VersionNotCompared {
            state.forget(|key| !key.row.life.is_published() && key.dies == LONG_AGO);
        }
    }

    /// Of two caches, the one with fewer keys that is kept for longer fails wherever the other does.
    fn forget_caches(&self, state: &mut State) {
        let gone = state.keys.iter().enumerate().filter(|(_, key)| key.row.life.is_compromised());
        let gone = gone.fold(0, |bits, (place, _)| bits | 1 << place);
        let caches = std::mem::take(&mut state.caches);
        let covers = |one: &Cache, other: &Cache| {
            one.keys & !other.keys == 0 && one.keys & gone == other.keys & gone && one.until >= other.until
        };
        for (place, cache) in caches.iter().enumerate() {
            let is_covered = |(at, other): (usize, &Cache)| {
                at != place && covers(other, cache) && (at < place || !covers(cache, other))
            };
            if cache.until >= 0 && !caches.iter().enumerate().any(is_covered) {
                state.caches.push(*cache);
            }
        }
        state.caches.sort_unstable();
    }

    fn is_in_time(&self, decided: Decided) -> bool {
        self.fault == Fault::CommittedHoweverLate || decided.at >= -self.bounds.commit_within
    }

    /// The state after a change was committed, if there is anything to change.
    fn changed(&self, state: &State, at: usize, decided: Decided) -> Result<Option<State>, String> {
        let outcome = match self.fault {
            Fault::VersionNotCompared => self.unseen(state, decided)?,
            _ => self.real.outcome(&Self::rows(state), decided.wish, decided.at)?,
        };
        let Some(Outcome { rows, may_fail_until }) = outcome else { return Ok(None) };
        let mut after = state.clone();
        for (place, row) in rows.into_iter().enumerate() {
            match after.keys.get_mut(place) {
                Some(key) => key.row = row,
                None => after.keys.push(Key { row, dies: LONG_AGO, excused_until: LONG_AGO }),
            }
        }
        if matches!(decided.wish, Wish::Compromise(_) | Wish::Retire(_)) {
            let Some(left) = after.interventions.checked_sub(1) else { return Ok(None) };
            after.interventions = left;
        }
        let is_active = |key: &&mut Key| matches!(key.row.life, Life::Active { .. });
        if let (Some(until), Some(key)) = (may_fail_until, after.keys.iter_mut().find(is_active)) {
            key.excused_until = until;
        }
        // Those who decided on the table before come too late; the one who won has acted.
        let raced = |replica: &mut Replica| replica.decided = None;
        match self.fault {
            Fault::VersionNotCompared => raced(&mut after.replicas[at]),
            _ => after.replicas.iter_mut().for_each(raced),
        }
        Ok(Some(after))
    }

    /// What a commit that compares no version does: the rows that were to change do, whatever they are now.
    fn unseen(&self, state: &State, decided: Decided) -> Result<Option<Outcome>, String> {
        let before = self.tables.borrow()[decided.on].clone();
        let Some(outcome) = self.real.outcome(&before, decided.wish, 0)? else { return Ok(None) };
        let mut after = outcome.rows;
        let mut rows = Self::rows(state);
        let new = after.split_off(before.len());
        let pairs = before.iter().zip(after).enumerate();
        let changed = pairs.filter(|(_, (was, is))| **was != *is).map(|(place, (_, is))| (place, is));
        let changed: Vec<(usize, Row)> = changed.collect();
        changed.into_iter().for_each(|(place, row)| rows[place] = row.since(decided.at));
        rows.extend(new.into_iter().map(|row| row.since(decided.at)));
        Ok(Some(Outcome { rows, may_fail_until: None }))
    }

    fn decide(&self, state: &State, wish: Wish) -> Decided {
        let rows = Self::rows(state);
        let mut tables = self.tables.borrow_mut();
        let known = tables.iter().position(|table| *table == rows);
        let on = match self.fault {
            Fault::VersionNotCompared => known.unwrap_or_else(|| {
                tables.push(rows);
                tables.len() - 1
            }),
            _ => 0,
        };
        Decided { wish, at: 0, on }
    }

    fn steps_of(&self, state: &State, at: usize, next: &mut Vec<(Step, State)>) -> Result<(), String> {
        let replica = state.replicas[at];
        let with = |change: &dyn Fn(&mut Replica)| {
            let mut after = state.clone();
            change(&mut after.replicas[at]);
            after
        };
        let view = state.view();
        let fresh = |replica: &mut Replica| (replica.view, replica.confirmed_at) = (view, replica.drift);
        if replica.loaded.is_none() {
            next.push((Step::Follow(at), with(&fresh)));
        }
        if self.bounds.stalls {
            match replica.loaded {
                None => next.push((Step::Load(at), with(&|of| of.loaded = Some((view, of.drift))))),
                Some(loaded) => {
                    let take_up = |of: &mut Replica| {
                        (of.view, of.confirmed_at, of.loaded) = (loaded.0, loaded.1, None);
                    };
                    next.push((Step::TakeUp(at), with(&take_up)));
                }
            }
            let restart = |of: &mut Replica| {
                fresh(of);
                (of.loaded, of.decided) = (None, None);
            };
            next.push((Step::Restart(at), with(&restart)));
        }
        for drift in [replica.drift - 1, replica.drift + 1] {
            if drift.abs() <= self.bounds.drift {
                next.push((Step::Drift(at, drift), with(&|of| of.drift = drift)));
            }
        }
        self.changes_of(state, at, next)
    }

    fn changes_of(&self, state: &State, at: usize, next: &mut Vec<(Step, State)>) -> Result<(), String> {
        let replica = state.replicas[at];
        if let Some(decided) = replica.decided {
            if let Some(after) = self.changed(state, at, decided)? {
                next.push((Step::Commit(at), after));
            }
            return Ok(());
        }
        let published = state.keys.iter().enumerate().filter(|(_, key)| key.row.life.is_published());
        let published = published.filter(|_| state.interventions > 0).map(|(place, _)| place);
        let by_hand = published.flat_map(|place| [Wish::Compromise(place), Wish::Retire(place)]);
        for wish in [Wish::Sweep, Wish::Rotate].into_iter().chain(by_hand) {
            if wish == Wish::Rotate && state.keys.len() >= self.bounds.keys {
                continue;
            }
            let decided = self.decide(state, wish);
            let Some(after) = self.changed(state, at, decided)? else { continue };
            if self.bounds.stalls {
                let mut stalled = state.clone();
                stalled.replicas[at].decided = Some(decided);
                next.push((Step::Decide(at, wish), stalled));
            }
            next.push((Step::Change(at, wish), after));
        }
        Ok(())
    }
}

impl World for Model {
    type State = State;
    type Step = Step;

    fn next(&self, state: &State) -> Result<Vec<(Step, State)>, String> {
        let mut next = Vec::new();
        let mut later = state.clone();
        later.pass();
        next.push((Step::Pass, later));
        for at in 0..state.replicas.len() {
            // Replicas are alike: of two in the same state, one is enough.
            if at == 0 || state.replicas[at] != state.replicas[at - 1] {
                self.steps_of(state, at, &mut next)?;
            }
        }
        next.into_iter().map(|(step, state)| Ok((step, self.settled(state)?))).collect()
    }

    fn broken(&self, state: &State) -> Option<String> {
        let lives = |counts: &dyn Fn(Life) -> bool| state.keys.iter().filter(|key| counts(key.row.life)).count();
        if lives(&|life| matches!(life, Life::Active { .. })) != 1 {
            return Some("not one key is active".to_owned());
        }
        if lives(&|life| matches!(life, Life::Pending { .. })) == 0 {
            return Some("no successor is published".to_owned());
        }
        for (place, key) in state.keys.iter().enumerate() {
            let is_alive = key.dies > -self.bounds.verifiers_behind;
            let lacks = |cache: &Cache| !has(cache.keys, place);
            match key.row.life {
                Life::Retired { .. } if is_alive => return Some(format!("a token of retired key {place} is alive")),
                Life::Compromised { since } => {
                    let keeps = |cache: &Cache| !lacks(cache) && cache.until > since + self.bounds.propagation;
                    if state.caches.iter().any(keeps) {
                        return Some(format!("compromised key {place} is kept too long"));
                    }
                }
                _ if is_alive && key.excused_until <= 0 && state.caches.iter().any(lacks) => {
                    return Some(format!("a living token of key {place} fails at a verifier"));
                }
                _ => {}
            }
        }
        None
    }
}
