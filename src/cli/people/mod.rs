//! People's accounts: where verbs read and change them.
//!
//! Guarantees: whether the database or the admin API is worked on is decided here alone, so that a verb is written once
//! and does the same by either way.

mod here;
mod there;

use std::sync::Arc;

use async_trait::async_trait;

use self::here::Here;
use self::there::There;
use super::acting::Outcome;
use super::remote::Through;
use super::why::How;
use super::{Context, Failure, Installation};
use crate::app;
use crate::http::IssuedLink;
use crate::users::{NotChosen, Password, UserAdministrationError, UserMetadata, UserRecord, UserView};

/// Which scopes a verb needs at the admin API, and which others it takes where they are to be had.
#[derive(Clone, Copy)]
pub(super) struct Scopes<'s> {
    pub(super) needed: &'s str,
    pub(super) liked: &'s str,
}

/// Every account.
#[derive(Default)]
pub(super) struct Users {
    /// Those that can be read, the oldest first.
    pub(super) readable: Vec<UserView>,
    /// All others, likewise.
    pub(super) damaged: Vec<DamagedUser>,
}

/// An account whose row can't be read.
pub(super) struct DamagedUser {
    pub(super) id: String,
    /// What is wrong with it, which is for those alone who have the database in their hands.
    pub(super) why: Option<String>,
}

/// What became of some rows of an import.
pub(super) struct Taken {
    /// For each row, as far as it came to that: whether it was taken, or why not.
    pub(super) rows: Vec<Result<(), String>>,
    /// Why the rows after those were not tried.
    pub(super) ended: Option<String>,
}

/// What is to be made of what describes an account.
pub(super) type Change<'c> = dyn Fn(&mut UserMetadata) + 'c;

/// What takes records one after the other, for as long as it wants more.
pub(super) type Sink<'s> = dyn FnMut(&UserRecord) -> Result<bool, Failure> + 's;

/// Where accounts are read and changed. A change is made to the newest version, whatever others do meanwhile; where it
/// changes nothing, it leaves no trace.
#[async_trait(?Send)]
pub(super) trait Accounts {
    /// Every account.
    async fn users(&self) -> Result<Users, Failure>;

    /// The account of that identifier, username or e-mail address.
    async fn find(&self, name: &str) -> Result<Option<UserView>, Failure>;

    /// Makes an account.
    async fn create(&self, metadata: &UserMetadata, password: Option<Password>) -> Result<UserView, Failure>;

    /// Stores what `change` makes of what describes the account that was `seen`.
    async fn change(&self, seen: &UserView, change: &Change<'_>) -> Result<Outcome<UserView>, Failure>;

    /// Enables or disables the account that was `seen`.
    async fn set_enabled(&self, seen: &UserView, enabled: bool) -> Result<Outcome<UserView>, Failure>;

    /// Makes a one-time link for the owner of the account that was `seen`.
    async fn issue_link(&self, seen: &UserView) -> Result<IssuedLink, Failure>;

    /// Removes the account of that identifier. One that someone else removed meanwhile is gone as was asked.
    async fn delete(&self, id: &str) -> Result<(), Failure>;

    /// How many rows of an import are to be handed over at once.
    fn rows_at_once(&self) -> usize;

    /// Takes accounts over.
    async fn import(&self, records: Vec<UserRecord>, must_change: bool) -> Result<Taken, Failure>;

    /// Hands every account to `take`, the oldest first, with hashes where those are wanted, and answers which could not
    /// be read.
    async fn export(&self, with_hashes: bool, take: &mut Sink<'_>) -> Result<Vec<DamagedUser>, Failure>;
}

impl Context {
    /// Runs `act` on people's accounts, to read them.
    pub(super) async fn reading_accounts<T>(
        &self,
        through: &Through,
        scopes: Scopes<'_>,
        act: impl AsyncFnOnce(&dyn Accounts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match through.api_with(self, scopes.needed, scopes.liked).await? {
            Some(api) => act(&There::new(api, "")).await,
            None => self.with_store(async |at| self.here(at, "", act).await).await,
        }
    }

    /// Runs `act` on people's accounts, to change them.
    pub(super) async fn changing_accounts<T>(
        &self,
        how: &How,
        scopes: Scopes<'_>,
        act: impl AsyncFnOnce(&dyn Accounts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reason = &how.why.reason;
        match how.through.api_with(self, scopes.needed, scopes.liked).await? {
            Some(api) => act(&There::new(api, reason)).await,
            None => self.changing_store(async |at| self.here(at, reason, act).await).await,
        }
    }

    async fn here<T>(
        &self,
        at: &Installation,
        reason: &str,
        act: impl AsyncFnOnce(&dyn Accounts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let attempts = Arc::new(at.store.clone());
        let issuer = &at.settings.issuer;
        let people = app::people(&at.settings, issuer, &at.store, attempts, &self.parts, Arc::new(()))?;
        act(&Here::new(people.administration, &at.store, self.by().because(reason))).await
    }
}

impl From<UserAdministrationError> for Failure {
    fn from(error: UserAdministrationError) -> Self {
        match error {
            UserAdministrationError::Store(error) => Self::Store(error),
            UserAdministrationError::Contended | UserAdministrationError::Password(NotChosen::NotHashed(_)) => {
                Self::Unavailable(format!("{error}: try again"))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}
