//! Sessions, as grants and login frontends use them: begun, refreshed, listed and ended.
//!
//! Guarantees: a refresh token is checked before any store is asked, and costs one question to one store; the end of a
//! session is in the journal before anybody is told of it, and the session store is told next; a session that has ended,
//! by its name or with its person or client, is refused here whatever the session store says, from the moment at which
//! the journal was followed so far.

mod clearing;
mod ending;
mod refresh;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use self::clearing::Waiting;
use super::decide::RefreshPolicy;
use super::mac::{MacKeys, MacRing};
use super::record::{
    AddressPrefix, Amr, ClientBinding, Delivery, DeviceLabel, Motion, Rotation, Session, SessionGrant,
};
use super::store::{SessionPage, SessionStore};
use super::token::{Generation, RefreshToken, SessionId, SessionSecret};
use crate::audit::{By, Entry};
use crate::clients::{ClientId, Insert};
use crate::issuer::Issuer;
use crate::ports::{Entropy, StoreError, Timestamp};
use crate::secret::SecretText;
use crate::tokens::revocation::{LiveRevocations, Revocation, RevocationJournal};

pub use refresh::{REFRESH_OUTCOMES, RefreshError, RefreshRefusal, Refreshed};

/// So many sessions of a person or a client are read at a time.
const PAGE: u32 = 500;

/// How sessions are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionRules {
    /// For how long one may lie unused, whole seconds.
    pub idle: Duration,
    /// For how long one may live, whatever happens.
    pub lifetime: Duration,
    /// What decides on refresh tokens.
    pub refresh: RefreshPolicy,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Beginning<'a> {
    /// Who signed in.
    pub user: Uuid,
    /// At which client.
    pub client: &'a ClientId,
    /// How that proved who it is.
    pub binding: ClientBinding,
    /// What for.
    pub grant: SessionGrant,
    /// Whether its refresh tokens are replaced by use. Those of public clients are, whatever is said here.
    pub rotation: Rotation,
    /// How they travel.
    pub delivery: Delivery,
    /// When the person was authenticated: what the account is cut off at decides on that.
    pub auth_time: Timestamp,
    /// How.
    pub amr: Vec<Amr>,
    /// On which device.
    pub device: DeviceLabel,
    /// From where, where that is known.
    pub address: Option<AddressPrefix>,
}

/// Why sessions can't be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This replica has no key to make a refresh token with yet, or not the one that made the current one.
    #[error("no key to make refresh tokens with is at hand")]
    NoKey,
}

/// The sessions of this installation.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    journal: Arc<dyn RevocationJournal>,
    keys: Arc<MacRing>,
    entropy: Arc<dyn Entropy>,
    issuer: Issuer,
    rules: SessionRules,
    /// As whom this replica ends a session of which a token was used twice.
    by: By,
    /// What is known to have ended.
    live: Arc<LiveRevocations>,
    /// Ended sessions that the session store could not be told of in time.
    untold: Mutex<Vec<SessionId>>,
    /// Ends that could not be written to the journal.
    unwritten: Mutex<Vec<(Revocation, Entry)>>,
    /// Persons and clients of whom the session store may hold sessions that have ended.
    clearing: Mutex<Waiting>,
    counts: [AtomicU64; REFRESH_OUTCOMES.len()],
}

impl Sessions {
    /// Sessions of `issuer` in `store`. [`Self::follow`] is to be called before the first use, and then whenever the
    /// journal, of which `live` is the picture, has grown.
    pub fn new(
        store: Arc<dyn SessionStore>,
        (journal, live): (Arc<dyn RevocationJournal>, Arc<LiveRevocations>),
        keys: Arc<MacRing>,
        entropy: Arc<dyn Entropy>,
        issuer: Issuer,
        rules: SessionRules,
        by: By,
    ) -> Self {
        Self {
            store,
            journal,
            keys,
            entropy,
            issuer,
            rules,
            by,
            live,
            untold: Mutex::default(),
            unwritten: Mutex::default(),
            clearing: Mutex::default(),
            counts: Default::default(),
        }
    }

    /// Begins a session at `now`: the session, and its first refresh token.
    ///
    /// # Errors
    /// When there is no key, or the store fails; there is no session then that anybody has a token of.
    pub async fn begin(&self, beginning: Beginning<'_>, now: Timestamp) -> Result<(Session, SecretText), SessionError> {
        let keys = self.keys.current();
        let mac_key = keys.active().ok_or(SessionError::NoKey)?;
        let secret = SessionSecret::generate(self.entropy.as_ref());
        let public = beginning.binding == ClientBinding::Public;
        let session = Session {
            id: secret.id(),
            user: beginning.user,
            client: beginning.client.clone(),
            binding: beginning.binding,
            grant: beginning.grant,
            rotation: if public { Rotation::Rotates } else { beginning.rotation },
            delivery: beginning.delivery,
            created_at: now,
            auth_time: beginning.auth_time,
            amr: beginning.amr,
            idle: self.rules.idle,
            expires_at: now.plus(self.rules.lifetime),
            device: beginning.device,
            address: beginning.address,
            motion: Motion { generation: Generation::FIRST, mac_key, rotated_at: None, last_used_at: now },
        };
        let token = RefreshToken { key: mac_key, secret, generation: Generation::FIRST };
        let text = self.write(&keys, &token)?;
        match self.store.insert(&session).await? {
            Insert::Inserted => Ok((session, text)),
            Insert::Exists => Err(StoreError::Refused(format!("session {} is there already", session.id)).into()),
        }
    }

    /// Forgets a session that was begun and of which nobody was given a token. Where that fails, it lies there until it
    /// expires, of no use to anybody.
    pub async fn discard(&self, id: SessionId) {
        if let Err(error) = self.store.end(id).await {
            warn!(%error, session = %id, "a session that nobody has a token of could not be removed");
        }
    }

    /// The session of that name, while it lives.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        if self.live.names(id) {
            return Ok(None);
        }
        match self.store.load(id).await? {
            Some(session) if self.has_ended(&session).await? => Ok(None),
            found => Ok(found),
        }
    }

    /// Up to `limit` living sessions of the person `user`, those after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_by_user(
        &self,
        user: Uuid,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        Ok(self.without_ended(self.store.list_by_user(user, after, limit).await?))
    }

    /// Up to `limit` living sessions at `client`, those after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_by_client(
        &self,
        client: &ClientId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        Ok(self.without_ended(self.store.list_by_client(client, after, limit).await?))
    }

    /// How often presenting a refresh token came out in each way of [`REFRESH_OUTCOMES`].
    pub fn counts(&self) -> [u64; REFRESH_OUTCOMES.len()] {
        std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed))
    }

    fn write(&self, keys: &MacKeys, token: &RefreshToken) -> Result<SecretText, SessionError> {
        Ok(token.write(keys.find(token.key).ok_or(SessionError::NoKey)?, &self.issuer))
    }

    /// Whether that session has ended, for any reason, as far as is known.
    fn is_hit(&self, session: &Session) -> bool {
        self.live.judge(&session.bearer()).is_some()
    }

    fn without_ended(&self, mut page: SessionPage) -> SessionPage {
        page.sessions.retain(|session| !self.is_hit(session));
        page
    }

    fn count(&self, outcome: &'static str) {
        if let Some(place) = REFRESH_OUTCOMES.iter().position(|known| *known == outcome) {
            self.counts[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
