//! The sessions that have ended, as the journal tells: so that a session store that was set back revives none of them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::token::SessionId;
use crate::ports::Timestamp;

/// The ended sessions of which something may still be about, and until when that may be.
#[derive(Debug, Default)]
pub(super) struct EndedSessions(RwLock<HashMap<SessionId, Timestamp>>);

impl EndedSessions {
    /// Whether that session has ended.
    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Takes note that it has: `true` where that was not known.
    pub(super) fn note(&self, id: SessionId, until: Timestamp) -> bool {
        let mut ended = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = ended.get(&id).copied();
        ended.insert(id, known.map_or(until, |known| known.max(until)));
        known.is_none()
    }

    /// Forgets those of which nothing is about any more at `now`.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|_, until| now < *until);
    }
}
