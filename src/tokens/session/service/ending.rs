//! Ending sessions, and following the ends that others wrote.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::super::record::Session;
use super::super::token::{Generation, SessionId};
use super::clearing::Whose;
use super::{NEVER, PAGE, Sessions, lock};
use crate::audit::{Act, By, Entry};
use crate::clients::ClientId;
use crate::ports::{StoreError, Timestamp};
use crate::tokens::revocation::{EndReason, LONGEST_SESSION, Revocation, Revoked, VERIFIER_SKEW};

/// How long whoever ends a session waits for the session store to hear of it.
const TELL_WITHIN: Duration = Duration::from_millis(50);
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

    /// Ends the session of that name at `now`, while it lives: `false` where there is none. One whose record can't be read
    /// ends too; as nobody can tell when it would have expired, the journal keeps its end for as long as any session may
    /// live.
    ///
    /// # Errors
    /// When the journal can't be written, or the session store can't tell; then nobody is to be told that it has ended.
    pub async fn end_named(&self, id: SessionId, now: Timestamp, why: EndReason, by: &By) -> Result<bool, StoreError> {
        match self.load(id).await {
            Ok(Some(session)) => self.end(&session, why, by).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(StoreError::Corrupt { what, why: damage }) => {
                error!(what, why = damage, "a session ends whose record can't be read");
                let until = now.plus(LONGEST_SESSION).plus(VERIFIER_SKEW);
                let revocation = Revocation { what: Revoked::Session(id), until, why };
                let detail = json!({ "why": why.name(), "damaged": true, "sessions": [id.to_string()] });
                let entry = by.entry(Act::SessionsEnd, id.to_string(), detail);
                self.journal.revoke(std::slice::from_ref(&revocation), &entry).await?;
                self.ended.note(id, until);
                self.tell(&[id]).await;
                Ok(true)
            }
            Err(other) => Err(other),
        }
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
            for session in page.sessions.iter().filter(|session| self.ended.contains(session.id)) {
                self.settle(session.id).await?;
            }
            let fits = |session: &Session| Some(session.id) != except && !self.ended.contains(session.id);
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
        if self.ended.contains(session.id) || !self.ended.hits(session) {
            return Ok(self.ended.contains(session.id));
        }
        self.catch_up().await?;
        Ok(self.ended.hits(session))
    }

    /// Those of these sessions, read just now, that have ended, and the others; in the same way.
    pub(super) async fn parted(&self, sessions: Vec<Session>) -> Result<(Vec<Session>, Vec<Session>), StoreError> {
        if sessions.iter().any(|session| self.ended.hits(session)) {
            self.catch_up().await?;
        }
        Ok(sessions.into_iter().partition(|session| self.ended.hits(session)))
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

    /// Reads the journal on. What is said of persons and clients is taken up all at once at its end, in the order of the
    /// numbers: one reader at a time.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.following.lock().await;
        let mut followed = self.followed.load(Ordering::Acquire);
        let beginning = followed == NEVER;
        let (mut anew, mut turns) = (beginning, Vec::new());
        loop {
            let page = self.journal.revocations_after(followed, JOURNAL_PAGE).await?;
            if page.head < followed {
                // The database was set back. What is known to have ended stays so; who is marked is read anew.
                (followed, anew) = (NEVER, true);
                turns.clear();
                continue;
            }
            let mut unheard = Vec::new();
            for entry in page.entries {
                match entry.what {
                    // At the beginning the session store has heard of them all, or is put right when one is met there.
                    Revoked::Session(id) => {
                        if self.ended.note(id, entry.until) && !beginning {
                            unheard.push(id);
                        }
                    }
                    turn => turns.push((turn, entry.until)),
                }
            }
            self.tell(&unheard).await;
            followed = page.told;
            if page.told >= page.head {
                break;
            }
        }
        if !anew {
            turns.iter().filter_map(|(turn, _)| Whose::of(turn)).for_each(|whose| self.clear_later(whose));
        }
        self.ended.take_up(turns, anew);
        self.followed.store(followed, Ordering::Release);
        Ok(())
    }

    /// Whether [`Self::follow`] has something to do though the journal may not have grown.
    pub fn has_more_to_say(&self) -> bool {
        !lock(&self.untold).is_empty() || !lock(&self.unwritten).is_empty() || !lock(&self.clearing).is_empty()
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
        for (session, revocation) in sessions.iter().zip(&revocations) {
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
        let entry = self.by.entry(Act::SessionsReuse, session.id.to_string(), detail);
        {
            let mut unwritten = lock(&self.unwritten);
            let until = revocation.until;
            // Whoever meets it as ended from here on is to find that it waits for the journal: so it is entered first.
            if !self.ended.contains(session.id) {
                unwritten.insert(session.id, Unwritten::new(revocation, entry));
            }
            // Refused from now on, even where the journal can't be written.
            self.ended.note(session.id, until);
        }
        let written = self.settle(session.id).await;
        self.tell(&[session.id]).await;
        written
    }

    /// Returns once the journal has the end of that session, of which this replica knows: at once, but for one that ends
    /// right now because a token was used twice. However many wait for that, it is written once; where that fails, all of
    /// them are told so, and the next to come tries again.
    ///
    /// # Errors
    /// When the journal can't be written; then nobody is to be told that it has ended.
    pub(super) async fn settle(&self, id: SessionId) -> Result<(), StoreError> {
        let Some(Unwritten { revocation, entry, attempt }) = lock(&self.unwritten).get(&id).cloned() else {
            return Ok(());
        };
        // Whoever writes may go away in the middle: then the next of those who wait begins anew.
        let writing = attempt
            .get_or_init(|| async { self.journal.revoke(std::slice::from_ref(&*revocation), &entry).await.map(drop) });
        let written = writing.await.clone();
        let mut unwritten = lock(&self.unwritten);
        if let Some(current) = unwritten.get_mut(&id).filter(|current| Arc::ptr_eq(&current.attempt, &attempt)) {
            if written.is_ok() {
                unwritten.remove(&id);
            } else {
                current.attempt = Arc::default();
            }
        }
        written
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
        let ids: Vec<_> = lock(&self.unwritten).keys().copied().collect();
        for id in ids {
            self.settle(id).await?;
        }
        Ok(())
    }
}

/// The end of a session that the journal does not have yet.
#[derive(Clone)]
pub(super) struct Unwritten {
    revocation: Arc<Revocation>,
    entry: Arc<Entry>,
    /// One attempt to write it, for which all wait who need it.
    attempt: Arc<OnceCell<Result<(), StoreError>>>,
}

impl Unwritten {
    fn new(revocation: Revocation, entry: Entry) -> Self {
        Self { revocation: Arc::new(revocation), entry: Arc::new(entry), attempt: Arc::default() }
    }
}

/// Kept until nothing can bear the session's name any more, by whatever clock.
fn revocation(session: &Session, why: EndReason) -> Revocation {
    Revocation { what: Revoked::Session(session.id), until: session.expires_at.plus(VERIFIER_SKEW), why }
}
