//! What one replica knows of the journal, held in memory.
//!
//! Guarantees: whether something is hit depends on the journal alone, taken up in the order of its numbers, by one reader at
//! a time; nobody sees a mark whose lifting is behind it. Whoever is to say "this is good" asks [`LiveRevocations::confirm`]
//! first: it knows then of all that was acknowledged anywhere before the question came, or says that it does not know.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use signet_verify::AccessToken;
use signet_verify::revocation::{Bearer, By, Id, Picture};

use super::{JournalHead, Revoked, RevocationJournal, date};
use crate::clients::ClientId;
use crate::ports::{Stopwatch, StoreError, Timestamp};
use crate::tokens::sid::SessionId;

/// So many entries of the journal are read at a time.
const JOURNAL_PAGE: u32 = 5_000;
/// The journal was never followed.
const NEVER: i64 = -1;
/// So many entries are kept for who wants to hear of them: the journal has them all.
const MOST_UNHEARD: usize = 100_000;

/// The picture, and how far the journal was followed.
#[derive(Debug)]
pub struct LiveRevocations {
    journal: Arc<dyn RevocationJournal>,
    picture: RwLock<Picture>,
    /// Held by who reads the journal on.
    reading: tokio::sync::Mutex<Read>,
    /// How many reads were begun.
    begun: AtomicU64,
    /// Up to which number it was followed.
    followed: AtomicI64,
    confirmed: Mutex<Option<Stopwatch>>,
    /// Taken up since the beginning, and not asked for yet.
    unheard: Mutex<Vec<Revoked>>,
}

/// How reading the journal went so far.
#[derive(Debug)]
struct Read {
    /// Which journal, and up to where.
    head: JournalHead,
    /// The place of the last read among those that were begun, and whether it failed.
    last: (u64, Option<StoreError>),
}

impl LiveRevocations {
    /// Nothing is known so far: [`Self::confirm`] is to be called before the first use.
    pub fn new(journal: Arc<dyn RevocationJournal>) -> Self {
        let head = JournalHead { epoch: String::new(), number: NEVER };
        Self {
            journal,
            picture: RwLock::default(),
            reading: tokio::sync::Mutex::new(Read { head, last: (0, None) }),
            begun: AtomicU64::new(0),
            followed: AtomicI64::new(NEVER),
            confirmed: Mutex::default(),
            unheard: Mutex::default(),
        }
    }

    /// Sees to it that all is known that was acknowledged anywhere before this was called: one small read, which all share
    /// who wait for it. A yes needs this; a no needs nothing.
    ///
    /// # Errors
    /// When the journal can't be read: nothing is to be called good then.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut reading = self.reading.lock().await;
        // One that was begun after this call came tells what it has to know.
        if reading.last.0 > begun_before {
            return reading.last.1.clone().map_or(Ok(()), Err);
        }
        let place = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let done = self.read_on(&mut reading.head).await;
        reading.last = (place, done.as_ref().err().cloned());
        done
    }

    async fn read_on(&self, known: &mut JournalHead) -> Result<(), StoreError> {
        let asked = Stopwatch::start();
        let head = self.journal.journal_head().await?;
        // Another epoch, or an end before the known one: the database was set back. What is known to be dead stays so; who
        // is marked is read anew.
        let mut anew = known.number == NEVER || head.number < known.number || is_another(&known.epoch, &head.epoch);
        let beginning = known.number == NEVER;
        if anew || head.number > known.number {
            let mut from = if anew { NEVER } else { known.number };
            let mut entries = Vec::new();
            let mut epoch = head.epoch;
            loop {
                let page = self.journal.revocations_after(from, JOURNAL_PAGE).await?;
                if page.head.number < from || is_another(&epoch, &page.head.epoch) {
                    (from, anew, epoch) = (NEVER, true, page.head.epoch);
                    entries.clear();
                    continue;
                }
                entries.extend(page.entries);
                (from, epoch) = (page.told, page.head.epoch);
                if page.told >= page.head.number {
                    break;
                }
            }
            let mut picture = self.write();
            if anew {
                picture.forget_marks();
            }
            for entry in &entries {
                picture.take_up(entry.what.named(), date(entry.until));
            }
            drop(picture);
            if !beginning {
                self.note_unheard(entries.into_iter().map(|entry| entry.what));
            }
            *known = JournalHead { epoch, number: from };
            self.followed.store(from, Ordering::Release);
        }
        *lock(&self.confirmed) = Some(asked);
        Ok(())
    }

    /// Takes note of what this replica has just had written to the journal, so that it need not be read first: `true` where
    /// that was not known. Not for persons and clients, of whom the order of all entries decides.
    pub fn note(&self, session: SessionId, until: Timestamp) -> bool {
        let mut picture = self.write();
        let new = !picture.names_session(Id::base64url(*session.as_bytes()));
        picture.take_up(Revoked::Session(session).named(), date(until));
        new
    }

    /// By what this is revoked, as far as is known.
    pub fn judge(&self, bearer: &Bearer<'_>) -> Option<By> {
        self.read().judge(bearer)
    }

    /// By what that token is revoked, by all that was acknowledged before this was called.
    ///
    /// # Errors
    /// When that can't be told, and nothing that is known hits it.
    pub async fn judge_token(&self, token: &AccessToken) -> Result<Option<By>, StoreError> {
        let bearer = Bearer::from(token);
        // Marks may have been lifted since: what is about a person or a client is told by the journal as it is now.
        if let Some(by @ (By::Jti | By::Sid | By::Kid | By::All)) = self.judge(&bearer) {
            return Ok(Some(by));
        }
        self.confirm().await?;
        Ok(self.judge(&bearer))
    }

    /// Whether the journal names that session.
    pub fn names(&self, session: SessionId) -> bool {
        self.read().names_session(Id::base64url(*session.as_bytes()))
    }

    /// For how long `client` has to wait at `now`, so that what it gets is later than every cut-off that is to hit what it
    /// has: 3 seconds at most, and nearly always none.
    pub fn wait_of(&self, client: &ClientId, now: Timestamp) -> Duration {
        let cut = self.read().cut_off_of_client(Id::of(client.as_str()), date(now));
        let first = cut.and_then(|second| i64::try_from(second.secs()).ok()).map(|second| second.saturating_add(1));
        first.map_or(Duration::ZERO, |first| Timestamp::from_secs(first).since(now))
    }

    /// What was taken up since this was last called, and since the beginning at the first call.
    pub fn take_unheard(&self) -> Vec<Revoked> {
        std::mem::take(&mut *lock(&self.unheard))
    }

    /// Whether [`Self::take_unheard`] has something to tell.
    pub fn has_unheard(&self) -> bool {
        !lock(&self.unheard).is_empty()
    }

    /// Up to which number the journal was followed; `None` before the first time.
    pub fn followed(&self) -> Option<i64> {
        Some(self.followed.load(Ordering::Acquire)).filter(|number| *number != NEVER)
    }

    /// How long ago the journal was last asked; `None` before the first time.
    pub fn age(&self) -> Option<Duration> {
        lock(&self.confirmed).map(Stopwatch::elapsed)
    }

    /// How many names of each kind are held, and about how many bytes that takes.
    pub fn size(&self) -> (Vec<(By, usize)>, usize) {
        let picture = self.read();
        (By::ALL.iter().map(|by| (*by, picture.count(*by))).collect(), picture.memory())
    }

    /// Forgets that of which nothing is about any more at `now`.
    pub fn forget_expired(&self, now: Timestamp) {
        self.write().forget_expired(date(now));
    }

    fn note_unheard(&self, entries: impl Iterator<Item = Revoked>) {
        let mut unheard = lock(&self.unheard);
        let room = MOST_UNHEARD.saturating_sub(unheard.len());
        unheard.extend(entries.take(room));
    }

    fn read(&self) -> RwLockReadGuard<'_, Picture> {
        self.picture.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Picture> {
        self.picture.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a journal of the one epoch is another than that of the other: it gets its epoch with its first entry.
fn is_another(known: &str, told: &str) -> bool {
    !known.is_empty() && known != told
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
