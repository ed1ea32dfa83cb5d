//! What people do with their own accounts: log in, register, choose another password.
//!
//! Guarantees: an [`AuthenticatedUser`] exists only after a password was checked, within the limits of
//! [`attempts`](super::attempts); an unknown user, a wrong password and a disabled account can't be told apart by the
//! answer, nor by the time that it takes, however an account's password was hashed, as long as that is no longer than
//! [`AccountLimits::failure_time`]; whoever is let in while the account is disabled, or gets another password, is
//! either refused or was authenticated before that; a password that was hashed with less than is asked for now is hashed
//! anew.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::{error, info, warn};

use super::attempts::{Admission, Attempt, AttemptStore, Counted, Limits, Mark, Prefix, RegistrationLimits};
use super::password::{NotHashed, Password, Verdict};
use super::passwords::{NotChecked, NotChosen, Passwords};
use super::steps::hold_back;
use super::{
    LoginName, NameError, PasswordLink, Redemption, Taken, User, UserId, UserInsert, UserStore, UserSwap, Username,
};
use crate::audit::{Act, AuditLog, By};
use crate::ports::{Stopwatch, StoreError, Timestamp};

/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// Why somebody was not let in. For the log: whoever tried learns that it did not work, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// Nobody is called so.
    #[error("nobody is called so")]
    UnknownUser,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// What was given is no password at all.
    #[error("what was given is no password")]
    Malformed,
    /// The pepper is missing that the account's password was hashed with.
    #[error("the pepper that the password was hashed with is not at hand")]
    PepperMissing,
}

impl LoginRefusal {
    /// Every reason, in short: for counting.
    pub const REASONS: [&str; 6] =
        ["unknown_user", "wrong_password", "no_password", "disabled", "malformed", "pepper_missing"];

    /// The reason in short, one of [`Self::REASONS`].
    pub const fn reason(self) -> &'static str {
        let [unknown_user, wrong_password, no_password, disabled, malformed, pepper_missing] = Self::REASONS;
        match self {
            Self::UnknownUser => unknown_user,
            Self::WrongPassword => wrong_password,
            Self::NoPassword => no_password,
            Self::Disabled => disabled,
            Self::Malformed => malformed,
            Self::PepperMissing => pepper_missing,
        }
    }
}

/// Why there is no [`AuthenticatedUser`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginRefused {
    /// Name and password do not belong together.
    #[error(transparent)]
    Credentials(#[from] LoginRefusal),
    /// Too many attempts failed: nothing was checked.
    #[error("too many attempts have failed")]
    TooMany {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// Too many are logging in at the moment: nothing was checked, and nothing counted.
    #[error("too many are logging in at the moment")]
    Busy {
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// It could not be checked.
    #[error("the password could not be checked: {0}")]
    NotChecked(NotChecked),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

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

/// What an attempt to log in was about, as far as it came.
#[derive(Default)]
struct Tried {
    user: Option<UserId>,
    counted: Option<(Counted, Option<Mark>)>,
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

    /// Checks `typed`, the password of whoever is called `name` (a username or an e-mail address) and calls from
    /// `address`. The only way to an [`AuthenticatedUser`]. Of failures at an account, the first in a row and the one by
    /// which a limit is reached are entered in the audit log as seen by `by`.
    ///
    /// # Errors
    /// [`LoginRefused::Credentials`] comes at the end of a [`AccountLimits::failure_time`]: a hash of another kind or cost
    /// than those that are made now would tell by its time that there is an account.
    pub async fn authenticate(
        &self,
        name: &str,
        typed: &str,
        address: IpAddr,
        by: &By,
    ) -> Result<AuthenticatedUser, LoginRefused> {
        let asked = Stopwatch::start();
        let mut tried = Tried::default();
        let outcome = self.attempt(name, typed, address, &mut tried).await;
        // By the identifier: what was typed as a name may have been a password.
        let user = tried.user.map_or_else(|| "-".to_owned(), |id| id.to_string());
        match &outcome {
            Ok(_) => info!(user, %address, "logged in"),
            Err(LoginRefused::Credentials(why)) => {
                info!(user, %address, reason = why.reason(), "login refused");
                self.note_failure(&tried, *why, by);
                hold_back(asked, self.limits.failure_time).await;
            }
            Err(other) => info!(user, %address, reason = %other, "login not tried"),
        }
        outcome
    }

    /// Enters a failure in the audit log, where there is something to say of it. Not before the answer: the time that it
    /// takes would tell whose names are accounts.
    fn note_failure(&self, tried: &Tried, why: LoginRefusal, by: &By) {
        let (Some(user), Some((counted, Some(mark)))) = (tried.user, tried.counted) else { return };
        let act = match mark {
            Mark::First => Act::UsersLoginFailed,
            Mark::Limited => Act::UsersLoginLimited,
        };
        let known = counted == Counted::AsOwner;
        let entry = by.entry(act, user.to_string(), json!({"why": why.reason(), "from_known_place": known}));
        let audit = Arc::clone(&self.audit);
        tokio::spawn(async move {
            if let Err(error) = audit.record(&entry).await {
                error!(%error, %user, act = act.name(), "not entered in the audit log");
            }
        });
    }

    /// The same, without a word; `tried` is told whose account it is about.
    async fn attempt(
        &self,
        name: &str,
        typed: &str,
        address: IpAddr,
        tried: &mut Tried,
    ) -> Result<AuthenticatedUser, LoginRefused> {
        // Before anything is asked, so that it can tell nothing of anyone.
        let password = Password::parse(typed).map_err(|_| LoginRefusal::Malformed)?;
        // In a storm, before a store is asked: those that are heard are to find it at leisure.
        if let Some(retry_after) = self.passwords.pool().turn_away() {
            return Err(LoginRefused::Busy { retry_after });
        }
        let name = LoginName::parse(name);
        let attempt = Attempt::of(&name, address);
        let user = self.users.find_user(&name).await?;
        tried.user = user.as_ref().map(|user| user.id);
        let counted = match self.attempts.admit(&attempt, &self.limits.logins).await? {
            Admission::Admitted { counted, mark } => {
                tried.counted = Some((counted, mark));
                counted
            }
            Admission::Wait(retry_after) => return Err(LoginRefused::TooMany { retry_after }),
        };
        let stored = user.as_ref().and_then(|user| user.password.as_ref()).map(|password| password.stored.clone());
        let verdict = match self.passwords.verify(password, stored).await {
            Ok(verdict) => verdict,
            Err(failure) => return Err(self.not_made(&attempt, counted, failure).await),
        };
        let user = user.ok_or(LoginRefusal::UnknownUser)?;
        let anew = match verdict {
            Verdict::Right => None,
            Verdict::RightAndHashedAnew(anew) => Some(anew),
            Verdict::Wrong if user.password.is_none() => return Err(LoginRefusal::NoPassword.into()),
            Verdict::Wrong => return Err(LoginRefusal::WrongPassword.into()),
            Verdict::PepperMissing => {
                error!(user = %user.id, "the pepper that this password was hashed with is not at hand");
                return Err(LoginRefusal::PepperMissing.into());
            }
        };
        if !user.enabled {
            return Err(LoginRefusal::Disabled.into());
        }
        self.let_in(user, anew, &attempt, counted).await
    }

    /// What follows a right password: its failures are forgotten, and it is hashed anew where it should be.
    async fn let_in(
        &self,
        mut user: User,
        anew: Option<super::StoredPassword>,
        attempt: &Attempt,
        counted: Counted,
    ) -> Result<AuthenticatedUser, LoginRefused> {
        // The account was loaded a slow hash ago: what has become of it since decides.
        let at = self.confirmed(&user).await?;
        let names: Vec<_> = user.login_names().map(|name| name.digest()).collect();
        self.attempts.succeeded(&names, attempt.prefix, Some(counted)).await?;
        if let (Some(anew), Some(state)) = (anew, &mut user.password) {
            match self.users.keep_hash(&user.id, &state.stored, &anew).await {
                Ok(true) => {
                    info!(user = %user.id, from = state.stored.kind(), to = anew.kind(), "hashed a password anew");
                    state.stored = anew;
                }
                // Another login was first, or the password was changed.
                Ok(false) => {}
                // The old one is as good as before: whoever logs in need not know.
                Err(error) => warn!(%error, user = %user.id, "a password could not be hashed anew"),
            }
        }
        Ok(AuthenticatedUser { user, at })
    }

    /// `auth_time` of whoever proved to know the password of `user`, while it is still the account's: once the second has
    /// passed in which the account was cut off last.
    async fn confirmed(&self, user: &User) -> Result<Timestamp, LoginRefused> {
        let mut waited = None;
        loop {
            let standing = self.users.confirm_user(&user.id).await?.ok_or(LoginRefusal::UnknownUser)?;
            if standing.password_version != user.password_version {
                return Err(LoginRefusal::WrongPassword.into());
            }
            if !standing.enabled {
                return Err(LoginRefusal::Disabled.into());
            }
            // A clock that a test holds does not move however long one waits.
            if standing.wait.is_zero() || waited == Some(standing.wait) {
                return Ok(standing.at);
            }
            tokio::time::sleep(standing.wait).await;
            waited = Some(standing.wait);
        }
    }

    /// The attempt could not be made: it is not held against anyone.
    async fn not_made(&self, attempt: &Attempt, counted: Counted, failure: NotChecked) -> LoginRefused {
        if let Err(error) = self.attempts.not_made(attempt, counted).await {
            warn!(%error, "an attempt that was not made stays counted");
        }
        match failure {
            NotChecked::NotHashed(NotHashed::Busy { retry_after }) => LoginRefused::Busy { retry_after },
            other => LoginRefused::NotChecked(other),
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
