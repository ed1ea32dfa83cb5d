//! Logging in: a password is checked for whoever says that a name is theirs.
//!
//! Guarantees: nothing is checked beyond the limits of [`attempts`](crate::users::attempts); an unknown user, a wrong
//! password and a disabled account can't be told apart by the answer, nor by the time that it takes, however an account's
//! password was hashed, as long as that is no longer than [`failure_time`]; a password that was hashed with less than is
//! asked for now is hashed anew.
//!
//! [`failure_time`]: super::AccountLimits::failure_time

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::{error, info, warn};

use super::{Accounts, AuthenticatedUser};
use crate::audit::{Act, By};
use crate::ports::{Stopwatch, StoreError};
use crate::users::attempts::{Admission, Attempt, Counted, Mark};
use crate::users::password::{NotHashed, Password, StoredPassword, Verdict};
use crate::users::passwords::NotChecked;
use crate::users::steps::hold_back;
use crate::users::{LoginName, User, UserId};

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

/// What an attempt to log in was about, as far as it came.
#[derive(Default)]
struct Tried {
    user: Option<UserId>,
    counted: Option<(Counted, Option<Mark>)>,
}

impl Accounts {
    /// Checks `typed`, the password of whoever is called `name` (a username or an e-mail address) and calls from
    /// `address`. The only way to an [`AuthenticatedUser`]. Of failures at an account, the first in a row and the one by
    /// which a limit is reached are entered in the audit log as seen by `by`.
    ///
    /// # Errors
    /// [`LoginRefused::Credentials`] comes at the end of a [`failure_time`](super::AccountLimits::failure_time): a hash of
    /// another kind or cost than those that are made now would tell by its time that there is an account.
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
        anew: Option<StoredPassword>,
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
}
