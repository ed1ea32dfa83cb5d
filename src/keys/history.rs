//! The states that a key has left, with the moment at which each began.
//!
//! Guarantees: a history follows the life of a key, so it has each state at most once, in their order; what is not known
//! (of a key that changed before histories were kept) is missing, never made up.

use crate::ports::Timestamp;

/// The states of a key by name, in the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// Published, and does not sign yet.
    Pending,
    /// Published and signs.
    Active,
    /// Published for the tokens it signed.
    Retiring,
    /// No longer published.
    Retired,
    /// Out of the JWKS, because another may hold it.
    Compromised,
}

impl StateName {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Active, Self::Retiring, Self::Retired, Self::Compromised];

    /// The stable text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
        }
    }

    /// The state of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A state that a key has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PastState {
    /// Which.
    pub state: StateName,
    /// When it began.
    pub since: Timestamp,
}

/// The states that a key has left, the first first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<PastState>);

impl History {
    /// The history that `past` is for a key that is `now` in that state; `None` when no life of a key goes like that.
    #[must_use]
    pub fn before(now: StateName, past: Vec<PastState>) -> Option<Self> {
        let in_order = past.is_sorted_by(|one, next| one.state < next.state);
        (in_order && past.last().is_none_or(|last| last.state < now)).then_some(Self(past))
    }

    /// The states, the first first: four at most.
    #[must_use]
    pub fn past(&self) -> &[PastState] {
        &self.0
    }

    /// Notes that `state`, which began at `since`, is left.
    pub(super) fn push(&mut self, state: StateName, since: Timestamp) {
        self.0.push(PastState { state, since });
    }
}

#[cfg(test)]
mod tests {
    use super::StateName::{Active, Compromised, Pending, Retired, Retiring};
    use super::*;

    #[test]
    fn a_state_is_found_by_its_name() {
        for state in StateName::ALL {
            assert_eq!(StateName::from_name(state.name()), Some(state));
        }
        assert_eq!(StateName::from_name("Active"), None);
    }

    #[test]
    fn a_history_follows_the_life_of_a_key() {
        let before = |now, past: &[StateName]| {
            let past = past.iter().map(|state| PastState { state: *state, since: Timestamp::from_secs(1) });
            History::before(now, past.collect()).is_some()
        };
        assert!(before(Pending, &[]) && before(Retired, &[]), "what is not known is missing");
        assert!(before(Compromised, &[Pending, Active, Retiring, Retired]));
        assert!(before(Retired, &[Pending]) && before(Active, &[Pending]));
        assert!(!before(Active, &[Active]) && !before(Active, &[Retiring]));
        assert!(!before(Retired, &[Active, Pending]) && !before(Retired, &[Active, Active]));
    }
}
