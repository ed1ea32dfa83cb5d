//! Ending sessions, and following the ends that others wrote.

use std::time::Duration;

use serde_json::json;
use tracing::{info, warn};
use uuid::Uuid;

use super::super::record::Session;
use super::super::token::{Generation, SessionId};
use super::clearing::Whose;
use super::{PAGE, Sessions, lock};
use crate::audit::{Act, By};
use crate::clients::ClientId;
use crate::ports::{StoreError, Timestamp};
use crate::tokens::revocation::{EndReason, Revocation, Revoked, VERIFIER_SKEW};

/// How long whoever ends a session waits for the session store to hear of it.
const TELL_WITHIN: Duration = Duration::from_millis(50);
/// More ends that the session store was not told of are not remembered: the journal has them all.
const MOST_UNTOLD: usize = 100_000;

impl Sessions {
    /// Ends a session: in the journal first, and then where sessions are kept. One that has ended already is ended
    /// again, and that changes nothing.
    ///
    /// # Errors
    /// When the journal can't be written; then nobody is to be told that it has ended.
    pub async fn end(&self, session: &Session, why: EndReason, by: &By) -> Result<(), StoreError> {
        self.end_these(std::slice::from_ref(session), why, by).await
    }

    /// Ends every session of the person `user` but `except`, and says how many those were. Where `why` is a [`Turn`] of
    /// the account, the journal says so already: what it hits is removed from the session store, and what it does not is
    /// ended like any other.
    ///
    /// # Errors
    /// When a store fails; some may have ended then. Not where `why` is a turn: whatever that hits is dead already, and
    /// the session store is told of it later.
    ///
    /// [`Turn`]: crate::tokens::revocation::Turn
    pub async fn end_all_of(
        &self,
        user: Uuid,
        except: Option<SessionId>,
        why: EndReason,
        by: &By,
    ) -> Result<usize, StoreError> {
        self.end_all(&Whose::Person(user), except, why, by).await
    }

    /// Ends every session at `client`, and says how many those were; otherwise as [`Self::end_all_of`].
    ///
    /// # Errors
    /// As there.
    pub async fn end_all_at(&self, client: &ClientId, why: EndReason, by: &By) -> Result<usize, StoreError> {
        self.end_all(&Whose::Client(client.clone()), None, why, by).await
    }

    async fn end_all(
        &self,
        whose: &Whose,
        except: Option<SessionId>,
        why: EndReason,
        by: &By,
    ) -> Result<usize, StoreError> {
        if why.is_a_turn() {
            self.take_up().await;
        }
        match self.end_each(whose, except, why, by).await {
            Err(error) if why.is_a_turn() => {
                warn!(%error, why = why.name(), "sessions that have ended could not be removed, and will be");
                self.clear_later(whose.clone());
                Ok(0)
            }
            other => other,
        }
    }

    async fn end_each(
        &self,
        whose: &Whose,
        except: Option<SessionId>,
        why: EndReason,
        by: &By,
    ) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.stored(whose, after, PAGE).await?;
            let fits = |session: &Session| Some(session.id) != except && !self.live.names(session.id);
            let (dead, living) = self.parted(page.sessions.into_iter().filter(fits).collect()).await?;
            self.end_these(&living, why, by).await?;
            self.tell(&dead.iter().map(|session| session.id).collect::<Vec<_>>()).await;
            count += living.len() + dead.len();
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// Whether a session that was read just now has ended. Where its person or its client says so, the journal is asked once
    /// more: a mark may have been lifted since, and whoever signed in after that is not to be turned away.
    pub(super) async fn has_ended(&self, session: &Session) -> Result<bool, StoreError> {
        if self.live.names(session.id) || !self.is_hit(session) {
            return Ok(self.live.names(session.id));
        }
        self.catch_up().await?;
        Ok(self.is_hit(session))
    }

    /// Those of these sessions, read just now, that have ended, and the others; in the same way.
    pub(super) async fn parted(&self, sessions: Vec<Session>) -> Result<(Vec<Session>, Vec<Session>), StoreError> {
        if sessions.iter().any(|session| self.is_hit(session)) {
            self.catch_up().await?;
        }
        Ok(sessions.into_iter().partition(|session| self.is_hit(session)))
    }

    /// Takes up what the journal has, and does what could not be done before: writes ends to the journal, and tells the
    /// session store of them.
    ///
    /// # Errors
    /// When the journal fails; the next call goes on where this one stopped.
    pub async fn follow(&self) -> Result<(), StoreError> {
        self.write_unwritten().await?;
        self.catch_up().await?;
        self.tell_untold().await;
        self.clear().await;
        Ok(())
    }

    /// Takes up at once what this replica has just had written to the journal, with a change of an account or a client; all
    /// others follow. Where that fails, so does this one.
    pub async fn take_up(&self) {
        if let Err(error) = self.catch_up().await {
            warn!(%error, "an account or a client was changed, and its sessions are refused from the next poll on");
        }
    }

    /// Knows all that was acknowledged before this was called, and has the session store told of what is new in it.
    async fn catch_up(&self) -> Result<(), StoreError> {
        self.live.confirm().await?;
        let mut named = Vec::new();
        for what in self.live.take_unheard() {
            match what {
                Revoked::Session(id) => named.push(id),
                other => Whose::of(&other).into_iter().for_each(|whose| self.clear_later(whose)),
            }
        }
        self.tell(&named).await;
        Ok(())
    }

    /// Whether [`Self::follow`] has something to do though the journal may not have grown.
    pub fn has_more_to_say(&self) -> bool {
        self.live.has_unheard() || !lock(&self.untold).is_empty() || !lock(&self.unwritten).is_empty() || !lock(&self.clearing).is_empty()
    }

    /// Forgets ends of which nothing is about any more at `now`.
    pub fn forget_expired(&self, now: Timestamp) {
        self.live.forget_expired(now);
    }

    async fn end_these(&self, sessions: &[Session], why: EndReason, by: &By) -> Result<(), StoreError> {
        let Some(first) = sessions.first() else { return Ok(()) };
        let revocations: Vec<_> = sessions.iter().map(|session| revocation(session, why)).collect();
        let detail = json!({
            "why": why.name(),
            "user": first.user.to_string(),
            "sessions": sessions.iter().map(|session| session.id.to_string()).collect::<Vec<_>>(),
        });
        let subject = if sessions.len() == 1 { first.id.to_string() } else { String::new() };
        self.journal.revoke(&revocations, &by.entry(Act::SessionsEnd, subject, detail)).await?;
        for (session, revocation) in sessions.iter().zip(&revocations) {
            self.live.note(session.id, revocation.until);
        }
        self.tell(&sessions.iter().map(|session| session.id).collect::<Vec<_>>()).await;
        Ok(())
    }

    /// A token was used that was replaced before: whoever holds the newer one may be a thief.
    pub(super) async fn end_reused(&self, session: &Session, presented: Generation) -> Result<(), StoreError> {
        let detail = json!({
            "user": session.user.to_string(),
            "client": session.client.as_str(),
            "presented": presented.0,
            "current": session.motion.generation.0,
        });
        warn!(sid = %session.id, presented = presented.0, current = session.motion.generation.0,
            "a refresh token that was replaced before was presented: its session ends");
        let revocation = revocation(session, EndReason::Reuse);
        // From here on it is refused, even where the journal can't be written now.
        if !self.live.note(session.id, revocation.until) {
            return Ok(());
        }
        let entry = self.by.entry(Act::SessionsReuse, session.id.to_string(), detail);
        let written = self.journal.revoke(std::slice::from_ref(&revocation), &entry).await;
        self.tell(&[session.id]).await;
        if let Err(error) = written {
            lock(&self.unwritten).push((revocation, entry));
            return Err(error);
        }
        Ok(())
    }

    /// Tells the session store that these have ended, and remembers those of which it did not hear in time.
    pub(super) async fn tell(&self, ids: &[SessionId]) {
        let mut told = 0;
        let telling = async {
            for id in ids {
                if self.store.end(*id).await.is_err() {
                    return;
                }
                told += 1;
            }
        };
        // What is cut off may have happened, and does no harm when it happens again.
        let _ = tokio::time::timeout(TELL_WITHIN, telling).await;
        let mut untold = lock(&self.untold);
        let room = MOST_UNTOLD.saturating_sub(untold.len());
        untold.extend(ids.iter().skip(told).take(room));
    }

    async fn tell_untold(&self) {
        let untold = std::mem::take(&mut *lock(&self.untold));
        let count = untold.len();
        for (place, id) in untold.iter().enumerate() {
            if let Err(error) = self.store.end(*id).await {
                warn!(%error, "the session store could not be told of ended sessions");
                lock(&self.untold).extend_from_slice(&untold[place..]);
                return;
            }
        }
        if count > 0 {
            info!(count, "the session store was told of ended sessions");
        }
    }

    async fn write_unwritten(&self) -> Result<(), StoreError> {
        loop {
            let Some((revocation, entry)) = lock(&self.unwritten).pop() else { return Ok(()) };
            if let Err(error) = self.journal.revoke(std::slice::from_ref(&revocation), &entry).await {
                lock(&self.unwritten).push((revocation, entry));
                return Err(error);
            }
        }
    }
}

/// Kept until nothing can bear the session's name any more, by whatever clock.
fn revocation(session: &Session, why: EndReason) -> Revocation {
    Revocation { what: Revoked::Session(session.id), until: session.expires_at.plus(VERIFIER_SKEW), why }
}
