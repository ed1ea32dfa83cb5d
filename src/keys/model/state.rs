//! One state of the world, small enough for millions of them. Moments are seconds from the present.

use super::super::states::KeyState;
use crate::ports::Timestamp;

/// Seconds from now: negative is past.
pub(super) type Tick = i8;

/// Past in every respect.
pub(super) const LONG_AGO: Tick = -50;

/// The present, as the real functions are told it.
pub(super) const PRESENT: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(super) fn moment(tick: Tick) -> Timestamp {
    Timestamp::from_secs(PRESENT.secs() + i64::from(tick))
}

pub(super) fn tick(moment: Timestamp) -> Tick {
    Tick::try_from(moment.secs() - PRESENT.secs()).unwrap()
}

/// Where in its life a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Pending { usable_from: Tick },
    Active { since: Tick },
    Retiring { since: Tick, until: Tick },
    Retired { since: Tick },
    Compromised { since: Tick },
}

impl Life {
    pub(super) fn of(state: KeyState) -> Self {
        match state {
            KeyState::Pending { usable_from } => Self::Pending { usable_from: tick(usable_from) },
            KeyState::Active { since } => Self::Active { since: tick(since) },
            KeyState::Retiring { since, until } => Self::Retiring { since: tick(since), until: tick(until) },
            KeyState::Retired { since } => Self::Retired { since: tick(since) },
            KeyState::Compromised { since } => Self::Compromised { since: tick(since) },
        }
    }

    pub(super) fn state(self) -> KeyState {
        match self {
            Self::Pending { usable_from } => KeyState::Pending { usable_from: moment(usable_from) },
            Self::Active { since } => KeyState::Active { since: moment(since) },
            Self::Retiring { since, until } => KeyState::Retiring { since: moment(since), until: moment(until) },
            Self::Retired { since } => KeyState::Retired { since: moment(since) },
            Self::Compromised { since } => KeyState::Compromised { since: moment(since) },
        }
    }

    pub(super) const fn is_published(self) -> bool {
        matches!(self, Self::Pending { .. } | Self::Active { .. } | Self::Retiring { .. })
    }

    pub(super) const fn is_compromised(self) -> bool {
        matches!(self, Self::Compromised { .. })
    }

    fn moments(&mut self) -> Vec<&mut Tick> {
        match self {
            Self::Pending { usable_from } => vec![usable_from],
            Self::Active { since } | Self::Retired { since } | Self::Compromised { since } => vec![since],
            Self::Retiring { since, until } => vec![since, until],
        }
    }
}

/// What the store has of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) life: Life,
    pub(super) published: Tick,
}

impl Row {
    /// The row as it is seen when its present is the moment `at`.
    pub(super) fn since(mut self, at: Tick) -> Self {
        self.life.moments().into_iter().chain([&mut self.published]).for_each(|tick| *tick += at);
        self
    }
}

/// A row, and what is known of it beyond the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) row: Row,
    /// When the last of its tokens expires.
    pub(super) dies: Tick,
    /// Until when its tokens may fail: it was promoted before it had propagated, and that was said.
    pub(super) excused_until: Tick,
}

/// Keys by their place in the table, as bits.
pub(super) type Keys = u16;

pub(super) const fn has(keys: Keys, place: usize) -> bool {
    keys >> place & 1 == 1
}

/// What a replica knows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct View {
    pub(super) published: Keys,
    /// One bit, or none.
    pub(super) active: Keys,
}

/// What an operator or the passing of time asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wish {
    Sweep,
    Rotate,
    /// A key by its place, in whatever state.
    Compromise(usize),
    Retire(usize),
}

impl Wish {
    fn place_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Compromise(place) | Self::Retire(place) => Some(place),
            Self::Sweep | Self::Rotate => None,
        }
    }
}

/// A change that was decided and not committed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Decided {
    pub(super) wish: Wish,
    pub(super) at: Tick,
    /// Where commits compare no version: which table it was decided on.
    pub(super) on: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Replica {
    /// How far its clock is ahead.
    pub(super) drift: Tick,
    pub(super) view: View,
    /// When its ring was last confirmed, by its own clock.
    pub(super) confirmed_at: Tick,
    /// A snapshot that it has asked for and not taken up yet, with the moment by its clock.
    pub(super) loaded: Option<(View, Tick)>,
    pub(super) decided: Option<Decided>,
}

/// A JWKS that some verifier may be using.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cache {
    pub(super) keys: Keys,
    /// The last moment at which.
    pub(super) until: Tick,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) keys: Vec<Key>,
    pub(super) replicas: Vec<Replica>,
    pub(super) caches: Vec<Cache>,
    /// How many keys are still to be compromised or retired by hand, at most.
    pub(super) interventions: u8,
}

impl State {
    /// The table as a replica takes it up.
    pub(super) fn view(&self) -> View {
        let bits = |counts: &dyn Fn(Life) -> bool| {
            let places = self.keys.iter().enumerate().filter(|(_, key)| counts(key.row.life));
            places.fold(0, |bits, (place, _)| bits | 1 << place)
        };
        View { published: bits(&Life::is_published_ref), active: bits(&|life| matches!(life, Life::Active { .. })) }
    }

    /// A second passes.
    pub(super) fn pass(&mut self) {
        let later = |tick: &mut Tick| *tick = tick.saturating_sub(1).max(LONG_AGO);
        for key in &mut self.keys {
            key.row.life.moments().into_iter().for_each(later);
            [&mut key.row.published, &mut key.dies, &mut key.excused_until].into_iter().for_each(later);
        }
        for replica in &mut self.replicas {
            later(&mut replica.confirmed_at);
            replica.loaded.iter_mut().for_each(|(_, at)| later(at));
            replica.decided.iter_mut().for_each(|decided| later(&mut decided.at));
        }
        self.caches.iter_mut().for_each(|cache| later(&mut cache.until));
    }

    /// Drops the keys that are kept for the audit alone, and closes the ranks.
    pub(super) fn forget(&mut self, is_past: impl Fn(&Key) -> bool) {
        let mut place = 0;
        while place < self.keys.len() {
            if !is_past(&self.keys[place]) || self.is_referred_to(place) {
                place += 1;
                continue;
            }
            self.keys.remove(place);
            let low = (1 << place) - 1;
            let close = |keys: &mut Keys| *keys = *keys & low | (*keys >> 1) & !low;
            let views = |replica: &mut Replica| {
                let wished = replica.decided.as_mut().and_then(|decided| decided.wish.place_mut());
                wished.filter(|wished| **wished > place).into_iter().for_each(|wished| *wished -= 1);
                let loaded = replica.loaded.as_mut().map(|(view, _)| view);
                for view in loaded.into_iter().chain([&mut replica.view]) {
                    close(&mut view.published);
                    close(&mut view.active);
                }
            };
            self.replicas.iter_mut().for_each(views);
            self.caches.iter_mut().for_each(|cache| close(&mut cache.keys));
        }
    }

    fn is_referred_to(&self, place: usize) -> bool {
        let by_replica = |replica: &Replica| {
            let loaded = replica.loaded.is_some_and(|(view, _)| has(view.published, place));
            let wished = replica.decided.is_some_and(|mut decided| decided.wish.place_mut() == Some(&mut { place }));
            loaded || wished || has(replica.view.published, place)
        };
        self.replicas.iter().any(by_replica) || self.caches.iter().any(|cache| has(cache.keys, place))
    }
}

impl Life {
    fn is_published_ref(life: Self) -> bool {
        life.is_published()
    }
}
