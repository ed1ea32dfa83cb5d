//! Accounts whose changes this replica knows of at once.
//!
//! Guarantees: when a change made here is answered, no [`Profile`](super::Profile) of before is handed out here any more;
//! that other replicas changed something, the follower says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    LoginName, PasswordLink, Profiles, Redemption, Standing, StoredPassword, User, UserId, UserInsert, UserStore,
    UserSwap,
};
use crate::audit::Entry;
use crate::clients::Removal;
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretDigest;

/// A store of accounts through which changes are made: what is known of whom they concern is forgotten.
pub struct Heeded {
    users: Arc<dyn UserStore>,
    profiles: Arc<Profiles>,
}

impl Heeded {
    /// Works on `users`, and has `profiles` forget who was changed.
    pub fn new(users: Arc<dyn UserStore>, profiles: Arc<Profiles>) -> Self {
        Self { users, profiles }
    }

    /// Whatever the store says: a change that failed may have been made all the same.
    fn forget<T>(&self, id: UserId, outcome: T) -> T {
        self.profiles.changed(&id.to_string());
        outcome
    }
}

#[async_trait]
impl UserStore for Heeded {
    async fn store_time(&self) -> Result<Timestamp, StoreError> {
        self.users.store_time().await
    }

    async fn load_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.users.load_user(id).await
    }

    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        self.users.find_user(name).await
    }

    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Result<User, StoreError>)>, StoreError> {
        self.users.list_users(after, limit).await
    }

    async fn insert_user(&self, user: &User, entry: &Entry) -> Result<UserInsert, StoreError> {
        self.users.insert_user(user, entry).await
    }

    async fn update_user(&self, user: &User, entry: &Entry) -> Result<UserSwap, StoreError> {
        self.forget(user.id, self.users.update_user(user, entry).await)
    }

    async fn confirm_user(&self, id: &UserId) -> Result<Option<Standing>, StoreError> {
        self.users.confirm_user(id).await
    }

    async fn keep_hash(&self, id: &UserId, from: &StoredPassword, to: &StoredPassword) -> Result<bool, StoreError> {
        self.users.keep_hash(id, from, to).await
    }

    async fn delete_user(&self, id: &UserId, version: Option<i64>, entry: &Entry) -> Result<Removal, StoreError> {
        self.forget(*id, self.users.delete_user(id, version, entry).await)
    }

    async fn insert_link(&self, link: &PasswordLink, entry: &Entry) -> Result<bool, StoreError> {
        self.users.insert_link(link, entry).await
    }

    async fn find_link(&self, digest: &SecretDigest) -> Result<Option<PasswordLink>, StoreError> {
        self.users.find_link(digest).await
    }

    async fn redeem_link(&self, digest: &SecretDigest, user: &User, entry: &Entry) -> Result<Redemption, StoreError> {
        self.forget(user.id, self.users.redeem_link(digest, user, entry).await)
    }
}

impl fmt::Debug for Heeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heeded").finish_non_exhaustive()
    }
}
