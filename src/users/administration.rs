//! Changing accounts of others: the one way in for the API and for the command line.
//!
//! Guarantees: a change is made to the version that the caller saw, or to the newest where the caller saw none; nobody
//! touches an account that may do more in the admin API than they themselves, or makes one; what is entered in the audit
//! log tells which members changed and what became of the roles, and holds neither secrets nor what else describes a
//! person, since it never forgets; a change that changes nothing leaves no trace.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use super::attempts::AttemptStore;
use super::{
    LoginName, NotChosen, Password, PasswordLink, Passwords, StoredPassword, Taken, User, UserError, UserId,
    UserInsert, UserMetadata, UserStore, UserSwap, Username,
};
use crate::audit::Act;
use crate::clients::{Power, Removal, Request, ScopeSet};
use crate::ports::{Entropy, StoreError, Timestamp};
use crate::secret::SecretText;

/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// Why nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserAdministrationError {
    /// The description is not acceptable.
    #[error(transparent)]
    User(#[from] UserError),
    /// The password was not taken.
    #[error(transparent)]
    Password(#[from] NotChosen),
    /// Another account has the username.
    #[error("another account has this username")]
    UsernameTaken,
    /// Another account has a username that looks the same.
    #[error("another account has a username that looks like this one")]
    LookAlike,
    /// Another account has the e-mail address.
    #[error("another account has this e-mail address")]
    EmailTaken,
    /// There is none of that identifier.
    #[error("there is none of that identifier")]
    Absent,
    /// There is one of that identifier, which was brought along.
    #[error("there is an account of that identifier already")]
    Exists,
    /// Someone changed it since the caller saw it.
    #[error("it was changed meanwhile, and is of version {version} now")]
    Stale {
        /// The version that it has now.
        version: i64,
    },
    /// The account may, or would, do more in the admin API than the caller.
    #[error("the account has, or would have, the admin scope `{0}`, which your token lacks")]
    BeyondPower(String),
    /// Nobody gives themselves more.
    #[error("nobody gives their own account another role")]
    Own,
    /// Others changed it each time.
    #[error("others changed it {ATTEMPTS} times in a row")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Taken> for UserAdministrationError {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Username => Self::UsernameTaken,
            Taken::LookAlike => Self::LookAlike,
            Taken::Email => Self::EmailTaken,
        }
    }
}

/// An account of another program.
#[derive(Debug, Clone)]
pub struct Import {
    /// What describes it. Without a username it gets one made from its identifier.
    pub metadata: UserMetadata,
    /// What it has been checked against there; `None` where its owner is to get a link.
    pub password: Option<StoredPassword>,
    /// Whether its owner is to choose another password at the first login.
    pub must_change: bool,
    /// Whether anybody may log in.
    pub enabled: bool,
    /// The identifier that it had in another Signet; a new one where there is none.
    pub id: Option<UserId>,
}

/// Changes accounts. Cheap to clone.
#[derive(Clone)]
pub struct UserAdministration {
    users: Arc<dyn UserStore>,
    attempts: Arc<dyn AttemptStore>,
    passwords: Passwords,
    entropy: Arc<dyn Entropy>,
    link_lifetime: Duration,
}

impl UserAdministration {
    /// Works on these stores. Links are good for `link_lifetime`.
    pub fn new(
        users: Arc<dyn UserStore>,
        attempts: Arc<dyn AttemptStore>,
        passwords: Passwords,
        entropy: Arc<dyn Entropy>,
        link_lifetime: Duration,
    ) -> Self {
        Self { users, attempts, passwords, entropy, link_lifetime }
    }

    /// The store's time.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.users.store_time().await
    }

    /// The account `id`, as it is stored.
    pub async fn user(&self, id: &UserId) -> Result<User, UserAdministrationError> {
        self.users.load_user(id).await?.ok_or(UserAdministrationError::Absent)
    }

    /// The account that `text` names: by identifier, username or e-mail address.
    pub async fn find(&self, text: &str) -> Result<User, UserAdministrationError> {
        let found = match text.parse() {
            Ok(id) => self.users.load_user(&id).await?,
            Err(_) => self.find_by(&LoginName::parse(text)).await?,
        };
        found.ok_or(UserAdministrationError::Absent)
    }

    /// The account whose owner logs in by `name`; `None` when there is none.
    pub async fn find_by(&self, name: &LoginName) -> Result<Option<User>, UserAdministrationError> {
        Ok(self.users.find_user(name).await?)
    }

    /// Up to `limit` accounts by ascending identifier, from the one after `after` on; one that can't be read is an error
    /// in its place.
    pub async fn users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Result<User, StoreError>)>, UserAdministrationError> {
        Ok(self.users.list_users(after, limit).await?)
    }

    /// Makes an account, with a password where one is given: its owner is to choose another then.
    pub async fn create(
        &self,
        request: Request<'_>,
        metadata: &UserMetadata,
        password: Option<Password>,
    ) -> Result<User, UserAdministrationError> {
        let now = self.now().await?;
        let mut user = described(metadata, now)?;
        over(request.power, None, Some(&user))?;
        if let Some(password) = password {
            let stored = self.passwords.choose(password, &user).await?;
            user = user.with_password(stored, true, now);
        }
        self.insert(request, Act::UsersCreate, user).await
    }

    /// Takes an account over from another program.
    pub async fn import(&self, request: Request<'_>, import: &Import) -> Result<User, UserAdministrationError> {
        let now = self.now().await?;
        let id = import.id.unwrap_or_else(|| UserId::generate(now));
        let mut metadata = import.metadata.clone();
        if metadata.username.is_empty() {
            // Of the random part: what is made within a moment begins alike.
            metadata.username = format!("user-{}", &id.as_uuid().simple().to_string()[16..]);
        }
        let mut user = described(&metadata, now)?;
        user.id = id;
        user.enabled = import.enabled;
        if let Some(stored) = &import.password {
            user = user.with_password(stored.clone(), import.must_change, now);
        }
        over(request.power, None, Some(&user))?;
        match self.insert(request, Act::UsersImport, user).await {
            // The store refuses an identifier that there is, and nothing else of what was checked before.
            Err(UserAdministrationError::Store(StoreError::Refused(_))) => Err(UserAdministrationError::Exists),
            outcome => outcome,
        }
    }

    async fn insert(&self, request: Request<'_>, act: Act, user: User) -> Result<User, UserAdministrationError> {
        let hash = user.password.as_ref().map(|password| password.stored.kind());
        let detail = json!({ "roles": roles(&user), "enabled": user.enabled, "password": hash });
        match self.users.insert_user(&user, &request.by.entry(act, user.id.to_string(), detail)).await? {
            UserInsert::Inserted => Ok(user),
            UserInsert::Taken(taken) => Err(taken.into()),
        }
    }

    /// Replaces all that describes the account. Its password stays.
    pub async fn replace(
        &self,
        request: Request<'_>,
        id: &UserId,
        metadata: &UserMetadata,
    ) -> Result<User, UserAdministrationError> {
        self.change(request, Act::UsersUpdate, id, |user, _| Ok(metadata.apply(user)?)).await
    }

    /// Enables or disables the account. Nothing happens where it is so already. The sessions of a disabled one are dead with
    /// it, and stay so; removing them is up to the caller.
    pub async fn set_enabled(
        &self,
        request: Request<'_>,
        id: &UserId,
        enabled: bool,
    ) -> Result<User, UserAdministrationError> {
        let act = if enabled { Act::UsersEnable } else { Act::UsersDisable };
        self.change(request, act, id, |user, _| {
            user.enabled = enabled;
            Ok(())
        })
        .await
    }

    /// Sets a password that its owner is to change at the next login. All sessions of the account are dead with it; removing
    /// them is up to the caller.
    pub async fn set_password(
        &self,
        request: Request<'_>,
        id: &UserId,
        password: Password,
    ) -> Result<User, UserAdministrationError> {
        let user = self.user(id).await?;
        over(request.power, Some(&user), None)?;
        let stored = self.passwords.choose(password, &user).await?;
        let set = |user: &mut User, now| {
            *user = user.clone().with_password(stored.clone(), true, now);
            Ok(())
        };
        let user = self.change(request, Act::UsersSetPassword, id, set).await?;
        let names: Vec<_> = user.login_names().map(|name| name.digest()).collect();
        // The password is set, and waiting costs its owner minutes at most. Devices that knew the former one are forgotten.
        if let Err(error) = self.attempts.clear(&names).await {
            warn!(%error, user = %user.id, "failed attempts are still counted, and devices still known");
        }
        Ok(user)
    }

    /// Makes a one-time link by which its owner chooses a password, in the place of the former one. The token is given
    /// here and never again.
    pub async fn issue_link(
        &self,
        request: Request<'_>,
        id: &UserId,
    ) -> Result<(PasswordLink, SecretText), UserAdministrationError> {
        let user = self.user(id).await?;
        check_version(request.expected, user.version)?;
        over(request.power, Some(&user), None)?;
        let now = self.now().await?;
        let (link, token) = PasswordLink::issue(&user, self.link_lifetime, self.entropy.as_ref(), now);
        let detail = json!({ "expires_at": link.expires_at.to_string() });
        let entry = request.by.entry(Act::UsersIssueLink, id.to_string(), detail);
        if self.users.insert_link(&link, &entry).await? {
            Ok((link, token))
        } else {
            Err(UserAdministrationError::Absent)
        }
    }

    /// Removes the account. Its sessions are dead with it; removing them is up to the caller.
    pub async fn delete(&self, request: Request<'_>, id: &UserId) -> Result<(), UserAdministrationError> {
        for _ in 0..ATTEMPTS {
            let (version, detail) = match self.user(id).await {
                Ok(user) => {
                    check_version(request.expected, user.version)?;
                    over(request.power, Some(&user), None)?;
                    (Some(user.version), json!({ "roles": roles(&user) }))
                }
                // Nobody can tell what it might do: only who may do everything takes it away, whatever its version.
                Err(UserAdministrationError::Store(StoreError::Corrupt { .. }))
                    if *request.power == Power::Everything && request.expected.is_none() =>
                {
                    (None, json!({ "damaged": true }))
                }
                Err(error) => return Err(error),
            };
            let entry = request.by.entry(Act::UsersDelete, id.to_string(), detail);
            match self.users.delete_user(id, version, &entry).await? {
                Removal::Removed => return Ok(()),
                Removal::Absent => return Err(UserAdministrationError::Absent),
                Removal::Raced | Removal::InUse => {}
            }
        }
        Err(UserAdministrationError::Contended)
    }

    /// Stores what `change` makes of the account `id` at the store's time. A change that another came before is made to
    /// the newer version, unless the caller expected the older one.
    pub async fn change(
        &self,
        request: Request<'_>,
        act: Act,
        id: &UserId,
        change: impl Fn(&mut User, Timestamp) -> Result<(), UserAdministrationError>,
    ) -> Result<User, UserAdministrationError> {
        for _ in 0..ATTEMPTS {
            let user = self.user(id).await?;
            check_version(request.expected, user.version)?;
            let now = self.now().await?;
            let mut next = user.clone();
            change(&mut next, now)?;
            over(request.power, Some(&user), Some(&next))?;
            if next == user {
                return Ok(user);
            }
            let next = next.changed(now);
            let entry = request.by.entry(act, id.to_string(), difference(&user, &next));
            match self.users.update_user(&next, &entry).await? {
                UserSwap::Swapped => return Ok(next),
                UserSwap::Taken(taken) => return Err(taken.into()),
                UserSwap::Raced => {}
            }
        }
        Err(UserAdministrationError::Contended)
    }
}

fn described(metadata: &UserMetadata, now: Timestamp) -> Result<User, UserError> {
    let mut user = User::new(Username::parse(&metadata.username)?, None, now);
    metadata.apply(&mut user)?;
    Ok(user)
}

fn roles(user: &User) -> Vec<&str> {
    user.roles.iter().collect()
}

/// Which members differ, and the roles where they do.
fn difference(before: &User, after: &User) -> Value {
    let mut changed = Vec::new();
    for (name, differs) in [
        ("username", before.username != after.username),
        ("email", before.email != after.email),
        ("roles", before.roles != after.roles),
        ("attributes", before.attributes != after.attributes),
    ] {
        if differs {
            changed.push(name);
        }
    }
    match (changed.is_empty(), before.roles == after.roles) {
        (true, _) => json!({}),
        (false, true) => json!({ "changed": changed }),
        (false, false) => json!({ "changed": changed, "roles_before": roles(before), "roles": roles(after) }),
    }
}

/// Whether the caller may make `after` of `before`: both may do no more in the admin API than the caller, and nobody adds a
/// role to their own account, whatever it means to whom.
fn over(power: &Power, before: Option<&User>, after: Option<&User>) -> Result<(), UserAdministrationError> {
    let Power::Of { scopes, person, .. } = power else { return Ok(()) };
    let allowed = |user: &User| -> ScopeSet { user.roles.admin_scopes() };
    for user in [before, after].into_iter().flatten() {
        if let Some(scope) = allowed(user).first_outside(scopes) {
            return Err(UserAdministrationError::BeyondPower(scope.to_owned()));
        }
    }
    if let (Some(before), Some(after)) = (before, after)
        && *person == Some(*after.id.as_uuid())
        && after.roles.iter().any(|role| !before.roles.contains(role))
    {
        return Err(UserAdministrationError::Own);
    }
    Ok(())
}

const fn check_version(expected: Option<i64>, version: i64) -> Result<(), UserAdministrationError> {
    match expected {
        Some(expected) if expected != version => Err(UserAdministrationError::Stale { version }),
        _ => Ok(()),
    }
}
