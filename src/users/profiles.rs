//! What this replica knows of people, in memory, for the tokens that tell something of them.
//!
//! Guarantees: someone who is known is answered without asking the store; what the store says changed is forgotten before
//! the follower counts the change as followed, so that the next token is of what there is now; however many ask at once
//! for somebody who is not known, the store is asked once; what is kept is bounded, and whoever was asked for lately stays.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::{Attributes, Roles, User, UserId, UserStore};
use crate::ports::StoreError;

/// So many people are known at most: 10 MB, with half a kilobyte each as accounts usually are.
const KNOWN: usize = 20_000;

/// What a token may tell of a person, and whether anybody may have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Whose it is.
    pub id: UserId,
    /// What the person is called, as shown.
    pub username: Box<str>,
    /// Where the person gets mail.
    pub email: Option<Box<str>>,
    /// What the person may do.
    pub roles: Roles,
    /// What else resources may ask for.
    pub attributes: Attributes,
    /// Whether anybody may log in.
    pub enabled: bool,
    /// Of which version of the account this is.
    pub version: i64,
}

impl Profile {
    /// What there is to tell of `user`.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().into(),
            email: user.email.as_ref().map(|email| email.as_str().into()),
            roles: user.roles.clone(),
            attributes: user.attributes.clone(),
            enabled: user.enabled,
            version: user.version,
        }
    }
}

/// One question to the store, which all wait for who want the same.
type Reading = OnceCell<Result<Option<Arc<Profile>>, StoreError>>;

/// Two halves: whoever is asked for moves to the new one, and when that is full the old one is forgotten.
#[derive(Default)]
struct Seen {
    new: HashMap<UserId, Arc<Profile>>,
    old: HashMap<UserId, Arc<Profile>>,
    reading: HashMap<UserId, Arc<Reading>>,
}

impl Seen {
    fn find(&mut self, id: UserId) -> Option<Arc<Profile>> {
        if let Some(known) = self.new.get(&id) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(&id)?;
        self.keep(Arc::clone(&known));
        Some(known)
    }

    fn keep(&mut self, profile: Arc<Profile>) {
        if self.new.len() >= KNOWN / 2 {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(profile.id, profile);
    }

    /// Whether that question is still the one whose answer counts.
    fn is_current(&self, id: UserId, reading: &Arc<Reading>) -> bool {
        self.reading.get(&id).is_some_and(|current| Arc::ptr_eq(current, reading))
    }
}

/// The people met so far.
pub struct Profiles {
    users: Arc<dyn UserStore>,
    seen: Mutex<Seen>,
}

impl Profiles {
    /// Nobody is known yet; whoever is asked for is read from `users`.
    pub fn new(users: Arc<dyn UserStore>) -> Self {
        Self { users, seen: Mutex::default() }
    }

    /// Whose account `id` is, from memory where that is known; `None` when there is no such account.
    ///
    /// # Errors
    /// When the account is not known and the store can't tell.
    pub async fn find(&self, id: UserId) -> Result<Option<Arc<Profile>>, StoreError> {
        let reading = {
            let mut seen = self.seen();
            if let Some(known) = seen.find(id) {
                return Ok(Some(known));
            }
            Arc::clone(seen.reading.entry(id).or_default())
        };
        let waiting = Waiting { profiles: self, id, reading };
        // Whoever reads may go away in the middle: then the next of those who wait begins anew.
        let read = waiting.reading.get_or_init(|| async {
            let found = self.users.load_user(&id).await?;
            Ok(found.map(|user| Arc::new(Profile::of(&user))))
        });
        read.await.clone()
    }

    /// The account of that identifier changed in the store: it is read again when it is asked for. What is being read of
    /// it may be of before, so nobody who asks from now on is answered with that.
    pub fn changed(&self, id: &str) {
        let Ok(id) = id.parse::<UserId>() else { return };
        let mut seen = self.seen();
        seen.new.remove(&id);
        seen.old.remove(&id);
        seen.reading.remove(&id);
    }

    /// Forgets everyone: for a replica that was away for longer than the change feed reaches back.
    pub fn forget_all(&self) {
        *self.seen() = Seen::default();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiles").finish_non_exhaustive()
    }
}

/// Somebody who waits for an answer. When they have it, or no longer want it, the question is put away.
struct Waiting<'a> {
    profiles: &'a Profiles,
    id: UserId,
    reading: Arc<Reading>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut seen = self.profiles.seen();
        if !seen.is_current(self.id, &self.reading) {
            return;
        }
        match self.reading.get() {
            Some(Ok(Some(profile))) => seen.keep(Arc::clone(profile)),
            Some(Ok(None) | Err(_)) => {}
            // Unanswered: it stays for the others, if there are any besides this one and the table.
            None if Arc::strong_count(&self.reading) > 2 => return,
            None => {}
        }
        seen.reading.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
