//! Ending sessions, and following the ends that others wrote.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tracing::{info, warn};
use uuid::Uuid;

use super::super::record::Session;
use super::super::token::{Generation, SessionId};
use super::{NEVER, PAGE, Sessions};
use crate::audit::{Act, By};
use crate::clients::ClientId;
use crate::ports::{StoreError, Timestamp};
use crate::tokens::revocation::{EndReason, Revocation, Revoked};

/// How long whoever ends a session waits for the session store to hear of it.
const TELL_WITHIN: Duration = Duration::from_millis(50);
/// By how much a verifier's clock may differ: what the end of a session hits may pass for alive for so long.
const VERIFIER_SKEW: Duration = Duration::from_secs(60);
/// More ends that the session store was not told of are not remembered: the journal has them all.
const MOST_UNTOLD: usize = 100_000;
/// So many entries of the journal are read at a time.
const JOURNAL_PAGE: u32 = 5_000;

impl Sessions {
    /// Ends a session: in the journal first, and then where sessions are kept. One that has ended already is ended
    /// again, and that changes nothing.
    ///
    /// # Errors
    /// When the journal can't be written; then nobody is to be told that it has ended.
    pub async fn end(&self, session: &Session, why: EndReason, by: &By) -> Result<(), StoreError> {
        self.end_these(std::slice::from_ref(session), why, by).await
    }

    /// Ends every session of the person `user` but `except`, and says how many those were.
    ///
    /// # Errors
    /// When a store fails; some may have ended then.
    pub async fn end_all_of(
        &self,
        user: Uuid,
        except: Option<SessionId>,
        why: EndReason,
        by: &By,
    ) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let mut page = self.list_by_user(user, after, PAGE).await?;
            page.sessions.retain(|session| Some(session.id) != except);
            self.end_these(&page.sessions, why, by).await?;
            count += page.sessions.len();
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// Ends every session at `client`, and says how many those were.
    ///
    /// # Errors
    /// When a store fails; some may have ended then.
    pub async fn end_all_at(&self, client: &ClientId, why: EndReason, by: &By) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.list_by_client(client, after, PAGE).await?;
            self.end_these(&page.sessions, why, by).await?;
            count += page.sessions.len();
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// Takes up what the journal has, and does what could not be done before: writes ends to the journal, and tells the
    /// session store of them.
    ///
    /// # Errors
    /// When the journal fails; the next call goes on where this one stopped.
    pub async fn follow(&self) -> Result<(), StoreError> {
        self.write_unwritten().await?;
        let beginning = self.followed.load(Ordering::Acquire) == NEVER;
        loop {
            let followed = self.followed.load(Ordering::Acquire);
            let page = self.journal.revocations_after(followed, JOURNAL_PAGE).await?;
            if page.head < followed {
                // The database was set back. What is known to have ended stays so.
                self.followed.store(NEVER, Ordering::Release);
                continue;
            }
            let mut unheard = Vec::new();
            for entry in page.entries {
                let Revoked::Session(id) = entry.what;
                // At the beginning the session store has heard of them all, or is put right when one is met there.
                if self.ended.note(id, entry.until) && !beginning {
                    unheard.push(id);
                }
            }
            self.tell(&unheard).await;
            self.followed.store(page.told, Ordering::Release);
            if page.told >= page.head {
                break;
            }
        }
        self.tell_untold().await;
        Ok(())
    }

    /// Whether [`Self::follow`] has something to do though the journal may not have grown.
    pub fn has_more_to_say(&self) -> bool {
        !lock(&self.untold).is_empty() || !lock(&self.unwritten).is_empty()
    }

    /// Forgets ends of which nothing is about any more at `now`.
    pub fn forget_expired(&self, now: Timestamp) {
        self.ended.forget_expired(now);
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
        for (session, revocation) in sessions.iter().zip(revocations) {
            self.ended.note(session.id, revocation.until);
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
        if !self.ended.note(session.id, revocation.until) {
            return Ok(());
        }
        let entry = self.by.entry(Act::SessionsReuse, session.id.to_string(), detail);
        let written = self.journal.revoke(&[revocation], &entry).await;
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
            if let Err(error) = self.journal.revoke(&[revocation], &entry).await {
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
