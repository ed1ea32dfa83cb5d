//! Where accounts are kept.

use std::time::Duration;

use async_trait::async_trait;

use super::{LoginName, PasswordLink, StoredPassword, User, UserId};
use crate::audit::Entry;
use crate::clients::Removal;
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretDigest;

/// Which name of an account another one has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// The username.
    Username,
    /// One that looks like the username.
    LookAlike,
    /// The e-mail address.
    Email,
}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum UserInsert {
    /// It is stored.
    Inserted,
    /// Another account is called so; nothing changed.
    Taken(Taken),
}

/// What a conditional update did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum UserSwap {
    /// The new version is stored.
    Swapped,
    /// The stored version is not the one before the new one, or is gone; nothing changed.
    Raced,
    /// Another account is called so; nothing changed.
    Taken(Taken),
}

/// What the redemption of a link did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Redemption {
    /// The link is used up, and the account has its new version.
    Redeemed,
    /// There is no such link any more: it was used, replaced or purged. Nothing changed.
    Gone,
    /// The account is not of the version before the new one; nothing changed, and the link is there still.
    Raced,
}

/// What of an account decides on whoever was authenticated as its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whether anybody may log in.
    pub enabled: bool,
    /// Which password it has.
    pub password_version: i64,
    /// When it stood so, by the store's time: later than every change in the journal that came before, and not later than
    /// any of this account that comes after. Nothing that cuts the account off so far hits it.
    pub at: Timestamp,
    /// How far ahead that is: a cut-off hits all of its second, so who comes in the same one waits, and asks once more.
    pub wait: Duration,
}

/// Where accounts are kept. Every change of an account that there was moves the change feed, and every change but
/// [`keep_hash`](Self::keep_hash) appends its entry to the audit log, in the
/// same transaction.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The store's time.
    async fn store_time(&self) -> Result<Timestamp, StoreError>;

    /// The account of that identifier; `None` when there is none.
    async fn load_user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// The account that is called so; `None` when there is none. A name that only looks like it is none.
    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError>;

    /// Up to `limit` accounts by ascending identifier (so by age), from the one after `after` on; one that can't be read
    /// is an error in its place.
    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Result<User, StoreError>)>, StoreError>;

    /// Stores a new account. Its identifier is new, or it is [`StoreError::Refused`]. Where the journal marks one that had
    /// it before, the same transaction puts a cut-off in the place of the mark.
    async fn insert_user(&self, user: &User, entry: &Entry) -> Result<UserInsert, StoreError>;

    /// Stores `user` if the stored version is `user.version - 1`. Names that it no longer has are free again. An account
    /// that becomes disabled is marked in the journal in the same transaction; one that is enabled again leaves a cut-off
    /// there, and so does another password. So the sessions from before are dead from then on, whatever becomes of whoever
    /// asked.
    async fn update_user(&self, user: &User, entry: &Entry) -> Result<UserSwap, StoreError>;

    /// How the account stands, in order with all changes of it: one that is on its way is waited for. `None` when it is gone.
    async fn confirm_user(&self, id: &UserId) -> Result<Option<Standing>, StoreError>;

    /// Puts `to` in the place of `from`, of which it is another hash of the same password. False when another password
    /// was set meanwhile; nothing changed then. No change of the account: its version stays.
    async fn keep_hash(&self, id: &UserId, from: &StoredPassword, to: &StoredPassword) -> Result<bool, StoreError>;

    /// Removes the account with its link, and marks it in the journal in the same transaction; where `version` is given,
    /// only if the stored one is of it ([`Removal::Raced`]). Its names are free again.
    async fn delete_user(&self, id: &UserId, version: Option<i64>, entry: &Entry) -> Result<Removal, StoreError>;

    /// Stores a link in the place of the account's former one. False when the account is gone; nothing changed then.
    async fn insert_link(&self, link: &PasswordLink, entry: &Entry) -> Result<bool, StoreError>;

    /// The link of that digest, expired or not; `None` when there is none.
    async fn find_link(&self, digest: &SecretDigest) -> Result<Option<PasswordLink>, StoreError>;

    /// Removes the link of that digest and stores `user`, whose it is, if the stored version is `user.version - 1`, with
    /// the cut-off of another password: all or nothing. Of two that redeem one link at once, one does.
    async fn redeem_link(&self, digest: &SecretDigest, user: &User, entry: &Entry) -> Result<Redemption, StoreError>;
}
