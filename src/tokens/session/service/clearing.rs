//! Removing from the session store what the change of an account or a client ended.
//!
//! Guarantees: nothing depends on it, since what is dead is refused whether it is still stored or not; each turn takes a
//! short time and goes on where the one before stopped, so that following the journal is not held up.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use super::super::store::SessionPage;
use super::super::token::SessionId;
use super::{Sessions, lock};
use crate::clients::ClientId;
use crate::ports::StoreError;
use crate::tokens::revocation::Revoked;

/// How long one turn takes at most.
const CLEAR_WITHIN: Duration = Duration::from_millis(100);
/// So many sessions are looked at at a time.
const CLEAR_PAGE: u32 = 100;
/// More are not remembered: what is left lies in the session store until it expires.
const MOST_WAITING: usize = 10_000;

/// Whose sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    Person(Uuid),
    Client(ClientId),
}

impl Whose {
    /// Whose sessions an entry of the journal hits; `None` where it is about no one person or client.
    pub(super) fn of(what: &Revoked) -> Option<Self> {
        match what {
            Revoked::Token(_) | Revoked::Session(_) | Revoked::Key(_) | Revoked::All(_) => None,
            Revoked::Person(id, _) => Some(Self::Person(*id)),
            Revoked::Client(id, _) => Some(Self::Client(id.clone())),
        }
    }
}

/// Those that are to be looked through, each from where the look at it stopped.
pub(super) type Waiting = VecDeque<(Whose, Option<SessionId>)>;

impl Sessions {
    /// Has the dead ones among these sessions removed, when there is time.
    pub(super) fn clear_later(&self, whose: Whose) {
        let mut waiting = lock(&self.clearing);
        if waiting.len() < MOST_WAITING && !waiting.contains(&(whose.clone(), None)) {
            waiting.push_back((whose, None));
        }
    }

    /// Sessions as they are stored, dead or not.
    pub(super) async fn stored(
        &self,
        whose: &Whose,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        match whose {
            Whose::Person(user) => self.store.list_by_user(*user, after, limit).await,
            Whose::Client(client) => self.store.list_by_client(client, after, limit).await,
        }
    }

    /// Goes on with it for a moment. What fails is tried again in the next turn.
    pub(super) async fn clear(&self) {
        let clearing = async {
            while let Some((whose, after)) = { lock(&self.clearing).front().cloned() } {
                let next = self.clear_page(&whose, after).await?;
                let mut waiting = lock(&self.clearing);
                match next {
                    Some(next) => {
                        if let Some((_, after)) = waiting.front_mut() {
                            *after = Some(next);
                        }
                    }
                    None => drop(waiting.pop_front()),
                }
            }
            Ok::<_, StoreError>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(CLEAR_WITHIN, clearing).await {
            warn!(%error, "sessions that have ended are still in the session store");
        }
    }

    /// Removes what is dead on one page, and says where the next begins.
    async fn clear_page(&self, whose: &Whose, after: Option<SessionId>) -> Result<Option<SessionId>, StoreError> {
        let page = self.stored(whose, after, CLEAR_PAGE).await?;
        for session in self.parted(page.sessions).await?.0 {
            self.store.end(session.id).await?;
        }
        Ok(page.next)
    }
}
