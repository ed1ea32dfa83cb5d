//! What keys went through, and what they will go through if nobody acts.
//!
//! Guarantees: the past is what the rows tell, nothing else; the future is what the real [`sweep`] and [`plan`] make of the
//! table when time passes over it, with keys put in that stand for those to be made. It ends where nothing is left to
//! tell about the keys of the table, or after a bounded number of sweeps; what lies beyond is not told.

use std::collections::{BTreeMap, BTreeSet};

use signet_verify::{Algorithm, PublicJwk, PublicKey};

use super::history::StateName;
use super::kind::{Kid, Origin};
use super::plan::{Candidate, PlanRefused, generated_by, plan};
use super::rotation::{Action, Policy, Step, counts_no_more, may_fail_until, next_due, sweep};
use super::states::{Key, KeyState};
use super::table::KeyTable;
use crate::ports::Timestamp;
use crate::secret::Sealed;

/// How many sweeps are looked ahead at most. By ordinary settings a handful tells all; it takes spans of rotation far below
/// those of propagation and of tokens to need more.
const MOST_SWEEPS: usize = 256;

/// Something that happens to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// The JWKS has it from then on.
    Published,
    /// Every verifier that honours the cache headers has it.
    Usable,
    /// It signs from then on.
    Active,
    /// Another signs; it stays published for the tokens it signed.
    Retiring,
    /// It leaves the JWKS: nobody needs it any more.
    Retired,
    /// It left the JWKS because another may hold it.
    Compromised,
}

impl Milestone {
    /// The stable text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Usable => "usable",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
        }
    }

    /// The beginning of a state; `None` for the first, which begins with the publication.
    const fn beginning(state: StateName) -> Option<Self> {
        match state {
            StateName::Pending => None,
            StateName::Active => Some(Self::Active),
            StateName::Retiring => Some(Self::Retiring),
            StateName::Retired => Some(Self::Retired),
            StateName::Compromised => Some(Self::Compromised),
        }
    }
}

/// A milestone and its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transition {
    /// What happens.
    pub milestone: Milestone,
    /// When.
    pub at: Timestamp,
}

/// The life of one key, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTimeline {
    /// Its name; `None` for a key that would be made.
    pub kid: Option<Kid>,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// What happened, the earliest first. Milestones of a key that changed before histories were kept may be missing.
    pub past: Vec<Transition>,
    /// What will happen of itself, the earliest first.
    pub coming: Vec<Transition>,
}

/// The lives of the keys of a table, in the table's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Each key.
    pub keys: Vec<KeyTimeline>,
    /// For each algorithm that is kept ready, when the key that signs with it changes next.
    pub next_rotation: BTreeMap<Algorithm, Timestamp>,
}

impl Timeline {
    /// The life of the key `kid`.
    #[must_use]
    pub fn of(&self, kid: &Kid) -> Option<&KeyTimeline> {
        self.keys.iter().find(|key| key.kid.as_ref() == Some(kid))
    }
}

/// What steps would lead to, were they taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// As [`may_fail_until`] tells.
    pub may_fail_until: Option<Timestamp>,
    /// The lives of the keys after them.
    pub timeline: Timeline,
}

/// The lives of the keys of `table` as of `now`, the store's time.
#[must_use]
pub fn timeline(table: &KeyTable, policy: &Policy, now: Timestamp) -> Timeline {
    Ahead::of(table, policy, now, StandIns::default()).timeline(|kid| Some(kid.clone()))
}

/// What `actions`, decided on `table` at `now`, would lead to. Nothing is made and nothing changes.
///
/// # Errors
/// As for [`plan`].
pub fn foresee(table: &KeyTable, policy: &Policy, actions: &[Action], now: Timestamp) -> Result<Foreseen, PlanRefused> {
    let mut stand_ins = StandIns::default();
    let (after, _) = plan(table, policy, actions, stand_ins.of(actions), now)?;
    let is_there = |kid: &Kid| table.find(kid).map(|key| key.kid.clone());
    let timeline = Ahead::of(&after, policy, now, stand_ins).timeline(is_there);
    Ok(Foreseen { may_fail_until: may_fail_until(table, policy, actions, now), timeline })
}

/// Candidates for keys that nobody makes. Their names are no thumbprints of anything.
#[derive(Default)]
struct StandIns(u64);

impl StandIns {
    fn of(&mut self, actions: &[Action]) -> Vec<Candidate> {
        let stand_in = |algorithm: Algorithm| {
            self.0 += 1;
            // Of the form of a name, and behind every other: of keys made at one moment the first by name goes first.
            let kid = Kid::parse(&format!("{:z>43}", self.0))?;
            let key = PublicKey::Ed25519 { x: [0; 32] };
            let public = PublicJwk { kid: Some(kid.to_string()), algorithm: Some(algorithm), key };
            let sealed = Sealed { master_key_id: String::new(), bytes: Vec::new() };
            Some(Candidate { kid, algorithm, public, origin: Origin::Generated, sealed })
        };
        generated_by(actions).into_iter().map(|spec| spec.algorithm()).filter_map(stand_in).collect()
    }
}

/// A table over which time passes while nobody acts.
struct Ahead<'a> {
    table: &'a KeyTable,
    policy: &'a Policy,
    now: Timestamp,
    coming: BTreeMap<Kid, Vec<Transition>>,
    next_rotation: BTreeMap<Algorithm, Timestamp>,
}

impl<'a> Ahead<'a> {
    fn of(table: &'a KeyTable, policy: &'a Policy, now: Timestamp, stand_ins: StandIns) -> Self {
        let mut ahead = Self { table, policy, now, coming: BTreeMap::new(), next_rotation: BTreeMap::new() };
        ahead.pass(stand_ins);
        ahead
    }

    fn pass(&mut self, mut stand_ins: StandIns) {
        let (policy, mut future, mut at) = (self.policy, self.table.clone(), self.now);
        let mut open: BTreeSet<Kid> = self.table.published().into_iter().map(|key| key.kid.clone()).collect();
        for _ in 0..MOST_SWEEPS {
            let is_known = |algorithm: Algorithm| self.next_rotation.contains_key(&algorithm);
            if open.is_empty() && policy.specs.iter().all(|spec| is_known(spec.algorithm())) {
                break;
            }
            let Some(due) = next_due(&future, policy, at) else { break };
            let Ok(actions) = sweep(&future, policy, due) else { break };
            let Ok((after, _)) = plan(&future, policy, &actions, stand_ins.of(&actions), due) else { break };
            self.note(&future, &after, &actions, due);
            open.retain(|kid| after.find(kid).is_some_and(|key| key.state.is_published()));
            (future, at) = (after, due);
            // Old keys pile up in the table, and the sweep has no use for them. But an empty table would be a new issuer's.
            if !future.published().is_empty() {
                future.keys.retain(|key| !counts_no_more(key, policy, at));
            }
        }
    }

    fn note(&mut self, before: &KeyTable, after: &KeyTable, actions: &[Action], at: Timestamp) {
        for was in before.keys.iter().filter(|key| self.table.find(&key.kid).is_some()) {
            let Some(is) = after.find(&was.kid).filter(|is| is.state.bare() != was.state.bare()) else { continue };
            if let Some(milestone) = Milestone::beginning(is.state.bare()) {
                self.coming.entry(is.kid.clone()).or_default().push(Transition { milestone, at });
            }
        }
        for action in actions {
            if let Step::Activate { kid, .. } = &action.step
                && let Some(key) = after.find(kid)
            {
                self.next_rotation.entry(key.algorithm).or_insert(at);
            }
        }
    }

    fn timeline(mut self, name: impl Fn(&Kid) -> Option<Kid>) -> Timeline {
        let mut keys = Vec::with_capacity(self.table.keys.len());
        for key in &self.table.keys {
            let mut past = past(key);
            let mut coming = self.coming.remove(&key.kid).unwrap_or_default();
            if let KeyState::Pending { usable_from } = key.state {
                let usable = Transition { milestone: Milestone::Usable, at: usable_from };
                if usable_from <= self.now {
                    past.push(usable);
                } else if coming.first().is_none_or(|first| first.at >= usable_from) {
                    coming.insert(0, usable);
                }
            }
            keys.push(KeyTimeline { kid: name(&key.kid), algorithm: key.algorithm, past, coming });
        }
        Timeline { keys, next_rotation: self.next_rotation }
    }
}

/// What the row of `key` tells.
fn past(key: &Key) -> Vec<Transition> {
    let mut past = vec![Transition { milestone: Milestone::Published, at: key.published_at }];
    let left = key.history.past().iter().map(|left| (left.state, Some(left.since)));
    for (state, since) in left.chain([(key.state.bare(), key.state.since())]) {
        if let (Some(milestone), Some(at)) = (Milestone::beginning(state), since) {
            past.push(Transition { milestone, at });
        }
    }
    past
}
