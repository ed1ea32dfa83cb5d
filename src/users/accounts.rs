//! What people do with their own accounts: log in, register, choose another password.
//!
//! Guarantees: an [`AuthenticatedUser`] exists only after a password was checked, within the limits of
//! [`attempts`](super::attempts); whoever is let in while the account is disabled, or gets another password, is either
//! refused or was authenticated before that.

mod login;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::warn;

pub use self::login::{LoginRefusal, LoginRefused};
use super::attempts::{AttemptStore, Limits, Prefix, RegistrationLimits};
use super::password::Password;
use super::passwords::{NotChosen, Passwords};
use super::{NameError, PasswordLink, Redemption, Taken, User, UserId, UserInsert, UserStore, UserSwap, Username};
use crate::audit::{Act, AuditLog, By};
use crate::ports::{StoreError, Timestamp};

/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// Somebody who proved by password, in this request, whose account it is.
#[derive(Clone)]
pub struct AuthenticatedUser {
    user: User,
    at: Timestamp,
}

impl AuthenticatedUser {
    /// The account, as it was when the password was checked. It was enabled then.
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// `auth_time`: when it was confirmed that the password is still the account's, by the store's time. No later change of
    /// the account is at an earlier moment, so the cut-off that it leaves hits every session begun with this.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether they are to choose another password before anything else.
    pub fn must_change_password(&self) -> bool {
        self.user.password.as_ref().is_some_and(|password| password.must_change)
    }
}

impl fmt::Debug for AuthenticatedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthenticatedUser({})", self.user.id)
    }
}

/// Why a new account or password was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    /// Whoever asks has not proved that it is theirs.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// The link is unknown, used, replaced, expired, or was for an older password.
    #[error("this link is no longer good")]
    Link,
    /// The password was not taken.
    #[error(transparent)]
    Password(#[from] NotChosen),
    /// A name is not acceptable.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name is taken.
    #[error("that name is taken")]
    Taken(Taken),
    /// Too many accounts were asked for: nothing was checked.
    #[error("too many accounts were asked for")]
    TooManyRegistrations {
        /// When the next one may be.
        retry_after: Duration,
    },
    /// The account was changed or removed meanwhile.
    #[error("the account was changed meanwhile")]
    Raced,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often strangers may do what anybody may, and when they learn that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Log in.
    pub logins: Limits,
    /// Register.
    pub registrations: RegistrationLimits,
    /// A login that failed is told so at the end of a span of this length since the attempt came; at once where it is
    /// nothing.
    pub failure_time: Duration,
}

/// Accounts, as their owners use them. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    users: Arc<dyn UserStore>,
    attempts: Arc<dyn AttemptStore>,
    audit: Arc<dyn AuditLog>,
    passwords: Passwords,
    limits: AccountLimits,
}

impl Accounts {
    /// Works on these stores, within these limits. What fails at an account is entered in `audit`.
    pub fn new(
        users: Arc<dyn UserStore>,
        attempts: Arc<dyn AttemptStore>,
        audit: Arc<dyn AuditLog>,
        passwords: Passwords,
        limits: AccountLimits,
    ) -> Self {
        Self { users, attempts, audit, passwords, limits }
    }

    /// The rules for passwords, and the threads that hash them.
    pub const fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The account `id` as it is stored.
    pub async fn load(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.users.load_user(id).await
    }

    /// `auth_time` of whoever proved to know the password of `user`, while it is still the account's.
    async fn confirmed(&self, user: &User) -> Result<Timestamp, LoginRefused> {
        match self.users.confirm_user(&user.id).await? {
            None => Err(LoginRefusal::UnknownUser.into()),
            Some(standing) if standing.password_version != user.password_version => {
                Err(LoginRefusal::WrongPassword.into())
            }
            Some(standing) if !standing.enabled => Err(LoginRefusal::Disabled.into()),
            Some(standing) => Ok(standing.at),
        }
    }

    /// Makes an account for whoever asks for one from `address`, without an e-mail address: nobody has shown that one is
    /// theirs. Whether anybody may is decided before. That a name is taken is told within the limits alone, and costs a
    /// hash as one that is free does.
    pub async fn register(&self, username: &str, typed: &str, address: IpAddr, by: &By) -> Result<User, AccountError> {
        let username = Username::parse(username)?;
        let password = Password::parse(typed).map_err(NotChosen::from)?;
        // What is no good anyway is told before anything is counted.
        self.passwords.policy().check_shape(&password).map_err(NotChosen::from)?;
        let prefix = Prefix::of(address);
        if let Some(retry_after) = self.attempts.admit_registration(prefix, &self.limits.registrations).await? {
            return Err(AccountError::TooManyRegistrations { retry_after });
        }
        let now = self.users.store_time().await?;
        let user = User::new(username, None, now);
        let stored = match self.passwords.choose(password, &user).await {
            Ok(stored) => stored,
            Err(failure) => {
                if matches!(failure, NotChosen::NotHashed(_) | NotChosen::Failed(_))
                    && let Err(error) = self.attempts.registration_not_made(prefix).await
                {
                    warn!(%error, "a registration that was not made stays counted");
                }
                return Err(failure.into());
            }
        };
        let user = user.with_password(stored, false, now);
        let entry = by.entry(Act::UsersRegister, user.id.to_string(), json!({}));
        match self.users.insert_user(&user, &entry).await? {
            UserInsert::Inserted => Ok(user),
            UserInsert::Taken(taken) => Err(AccountError::Taken(taken)),
        }
    }

    /// Sets the password of the account `id` to `new`, for whoever has its `current` one and calls from `address`. The
    /// sessions from before are dead with it; removing them is up to the caller.
    pub async fn change_password(
        &self,
        id: &UserId,
        current: &str,
        new: &str,
        address: IpAddr,
        by: &By,
    ) -> Result<AuthenticatedUser, AccountError> {
        let new = Password::parse(new).map_err(NotChosen::from)?;
        // What is no good anyway is told before anything is counted.
        self.passwords.policy().check_shape(&new).map_err(NotChosen::from)?;
        let user = self.users.load_user(id).await?.ok_or(AccountError::Raced)?;
        let authenticated = self.authenticate(user.username.as_str(), current, address, by).await?;
        let user = authenticated.user;
        if user.id != *id {
            return Err(AccountError::Raced);
        }
        if Password::parse(current).is_ok_and(|current| current.expose() == new.expose()) {
            return Err(NotChosen::Unchanged.into());
        }
        let stored = self.passwords.choose(new, &user).await?;
        let now = self.users.store_time().await?;
        let next = user.with_password(stored, false, now).changed(now);
        let entry = by.entry(Act::UsersChangePassword, id.to_string(), json!({}));
        match self.users.update_user(&next, &entry).await? {
            // Later than the cut-off that the change has left.
            UserSwap::Swapped => {
                let at = self.confirmed(&next).await?;
                Ok(AuthenticatedUser { user: next, at })
            }
            // Who proved to know a password that is no longer the account's has proved nothing.
            UserSwap::Raced | UserSwap::Taken(_) => Err(AccountError::Raced),
        }
    }

    /// Whose password the link of `token` sets, while it is good.
    pub async fn link_owner(&self, token: &str) -> Result<(PasswordLink, User), AccountError> {
        let digest = PasswordLink::digest_of(token).ok_or(AccountError::Link)?;
        let link = self.users.find_link(&digest).await?.ok_or(AccountError::Link)?;
        let user = self.users.load_user(&link.user).await?.ok_or(AccountError::Link)?;
        let now = self.users.store_time().await?;
        if link.is_good(&user, now) && user.enabled { Ok((link, user)) } else { Err(AccountError::Link) }
    }

    /// Sets a password by a one-time link, which is used up only when it was set, for whoever calls from `address`: from
    /// there they are heard from now on, whatever strangers do. All sessions of the account are dead with it; removing
    /// them is up to the caller.
    pub async fn redeem_link(&self, token: &str, new: &str, address: IpAddr, by: &By) -> Result<User, AccountError> {
        let new = Password::parse(new).map_err(NotChosen::from)?;
        for _ in 0..ATTEMPTS {
            let (link, user) = self.link_owner(token).await?;
            let stored = self.passwords.choose(new.clone(), &user).await?;
            let now = self.users.store_time().await?;
            let next = user.with_password(stored, false, now).changed(now);
            let entry = by.entry(Act::UsersRedeemLink, next.id.to_string(), json!({}));
            match self.users.redeem_link(&link.digest, &next, &entry).await? {
                Redemption::Redeemed => {
                    let names: Vec<_> = next.login_names().map(|name| name.digest()).collect();
                    let cleared = match self.attempts.clear(&names).await {
                        Ok(()) => self.attempts.succeeded(&names, Prefix::of(address), None).await,
                        failed => failed,
                    };
                    // Nobody is worse off than before when that fails, and the link is used up.
                    if let Err(error) = cleared {
                        warn!(%error, user = %next.id, "failed attempts are still counted");
                    }
                    return Ok(next);
                }
                Redemption::Gone => return Err(AccountError::Link),
                Redemption::Raced => {}
            }
        }
        Err(AccountError::Raced)
    }
}
