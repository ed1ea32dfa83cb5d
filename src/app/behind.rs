//! Why a replica is behind its store, and what is said about it.
//!
//! Guarantees: each change of state is logged once, with what it means for those who ask for tokens.

use std::sync::{Mutex, PoisonError};

use tracing::{error, info, warn};

use crate::keys::KeeperError;
use crate::ports::{StoreError, Timestamp};
use crate::tokens::session::mac::MacKeeperError;

/// Why this replica is behind.
#[derive(Debug, thiserror::Error)]
pub(super) enum Behind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeeperError),
    #[error(transparent)]
    RefreshKeys(#[from] MacKeeperError),
    #[error("this machine's clock says {now}, and said {before} before: it ran backwards")]
    ClockWentBack { now: Timestamp, before: Timestamp },
}

/// What a problem means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The lease is all there is to it: everything this replica knows may still be used.
    Outage,
    /// This machine's clock is wrong: no lease counts, and a token would be of another time.
    Clock,
    Other,
}

impl Behind {
    const fn kind(&self) -> Kind {
        match self {
            Self::ClockWentBack { .. } | Self::Keys(KeeperError::ClockApart { .. }) => Kind::Clock,
            Self::Store(StoreError::Unavailable(_))
            | Self::Keys(KeeperError::Store(StoreError::Unavailable(_)))
            | Self::RefreshKeys(MacKeeperError::Store(StoreError::Unavailable(_))) => Kind::Outage,
            Self::Store(_) | Self::Keys(_) | Self::RefreshKeys(_) => Kind::Other,
        }
    }

    pub(super) fn is_the_clock(&self) -> bool {
        self.kind() == Kind::Clock
    }

    pub(super) fn is_outage(&self) -> bool {
        self.kind() == Kind::Outage
    }
}

/// What keeps a replica behind at the moment.
#[derive(Debug, Default)]
pub(super) struct Problem(Mutex<Option<Behind>>);

impl Problem {
    /// What `look` makes of it, if there is one.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Behind) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Takes note of how the last step went. Says once that following fails and why, and once that it works again.
    pub(super) fn note(&self, failed: Option<Behind>) {
        let mut problem = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = problem.as_ref().map(Behind::kind);
        match &failed {
            Some(behind) if before == Some(behind.kind()) => {}
            Some(behind) => match behind.kind() {
                Kind::Outage => {
                    warn!(error = %behind, "the store can't be followed: signing goes on until the lease ends");
                }
                Kind::Clock => error!(
                    error = %behind,
                    "the clock is wrong: nothing is signed and no key is changed until it is right (`clock.max_skew`)"
                ),
                Kind::Other => error!(error = %behind, "the store can't be followed"),
            },
            None if before == Some(Kind::Clock) => info!("the clock is right again, and the store is followed"),
            None if before.is_some() => info!("the store is followed again"),
            None => {}
        }
        *problem = failed;
    }
}

#[cfg(test)]
mod tests {
    use super::super::said::said;
    use super::*;

    fn outage() -> Option<Behind> {
        Some(StoreError::Unavailable("gone".to_owned()).into())
    }

    fn clock() -> Option<Behind> {
        let [now, before] = [0, 5].map(Timestamp::from_secs);
        Some(Behind::ClockWentBack { now, before })
    }

    #[test]
    fn each_change_of_state_is_said_once() {
        const OUTAGE: &str = "the store can't be followed: signing goes on until the lease ends";
        const CLOCK: &str =
            "the clock is wrong: nothing is signed and no key is changed until it is right (`clock.max_skew`)";
        let problem = Problem::default();
        let says = |failed: &dyn Fn() -> Option<Behind>| said(|| (0..3).for_each(|_| problem.note(failed())));
        assert!(says(&|| None).is_empty());
        assert_eq!(says(&outage), [OUTAGE]);
        assert_eq!(says(&clock), [CLOCK]);
        assert_eq!(says(&outage), [OUTAGE], "the clock can't be judged any more");
        assert_eq!(says(&|| None), ["the store is followed again"]);
        assert_eq!(says(&clock), [CLOCK]);
        assert_eq!(says(&|| None), ["the clock is right again, and the store is followed"]);
        let other = || Some(StoreError::Refused("no".to_owned()).into());
        assert_eq!(says(&other), ["the store can't be followed"]);
        assert_eq!(says(&clock), [CLOCK]);
    }
}
