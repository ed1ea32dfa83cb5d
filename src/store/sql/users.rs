//! Accounts, one row each, with how their names look and the links to choose a password.
//!
//! Every change takes its place in the audit log first, whose lock orders changes: so whether a name is free is asked and
//! used in one state of the database. What changes an account that there was takes its number in the change feed before
//! that; a new one is known to nobody. One that ends sessions takes another there, as whoever writes to the journal does,
//! and writes to the journal last, when the account's row is its own.

use async_trait::async_trait;
use sqlx::Row;
use uuid::Uuid;

use super::changes::{REVOCATIONS, USER};
use super::turns::{CUT_OFF, LATEST_TURN, STANDING, STANDING_LOCKED, StandingRow, append_turns, is_marked};
use super::{
    Pool, SqlStore, append_audit, check_text, in_write, note_change, now_inside, on_pool, read_each, read_rows,
    store_error,
};
use crate::audit::Entry;
use crate::clients::Removal;
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretDigest;
use crate::tokens::revocation::Turn;
use crate::users::{
    Attributes, Email, LoginName, PasswordLink, PasswordState, Redemption, Roles, Standing, StoredPassword, Taken,
    User, UserId, UserInsert, UserStore, UserSwap, Username,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, username, username_key, email, email_key, roles, attributes, enabled, password, password_changed_at, \
             password_must_change, password_version, created_at, updated_at, version FROM users ",
            $rest
        )
    };
}

const LOAD: &str = select!("WHERE id = $1");
const BY_USERNAME: &str = select!("WHERE username_key = $1");
const BY_EMAIL: &str = select!("WHERE email_key = $1");
const LIST: &str = select!("WHERE id > $1 ORDER BY id LIMIT $2");
const INSERT: &str = "INSERT INTO users (id, username, username_key, email, email_key, roles, attributes, enabled, \
    password, password_changed_at, password_must_change, password_version, updated_at, version, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, roles = $6, \
    attributes = $7, enabled = $8, password = $9, password_changed_at = $10, password_must_change = $11, \
    password_version = $12, updated_at = $13, version = $14 WHERE id = $1 AND version = $14 - 1";
const VERSION: &str = "SELECT version FROM users WHERE id = $1";
const DELETE: &str = "DELETE FROM users WHERE id = $1";
const KEEP_HASH: &str = "UPDATE users SET password = $3 WHERE id = $1 AND password = $2";
const HAS_USERNAME: &str = "SELECT id FROM users WHERE username_key = $1 AND id <> $2";
const HAS_EMAIL: &str = "SELECT id FROM users WHERE email_key = $1 AND id <> $2";
const HAS_LOOK: &str = "SELECT user_id FROM user_looks WHERE look = $1 AND user_id <> $2";
const FORGET_LOOKS: &str = "DELETE FROM user_looks WHERE user_id = $1";
const LOOK: &str = "INSERT INTO user_looks (look, user_id) VALUES ($1, $2)";
const LINK: &str = "INSERT INTO password_links (user_id, digest, password_version, expires_at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (user_id) DO UPDATE SET digest = $2, password_version = $3, expires_at = $4";
const FIND_LINK: &str = "SELECT user_id, password_version, expires_at FROM password_links WHERE digest = $1";
const USE_LINK: &str = "DELETE FROM password_links WHERE digest = $1 AND user_id = $2";

#[derive(sqlx::FromRow)]
struct UserRow {
    id: String,
    username: String,
    username_key: String,
    email: Option<String>,
    email_key: Option<String>,
    roles: String,
    attributes: String,
    enabled: bool,
    password: Option<String>,
    password_changed_at: Option<i64>,
    password_must_change: bool,
    password_version: i64,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl UserRow {
    fn user(self) -> Result<User, String> {
        let text = |error: crate::users::UserError| error.to_string();
        let password = match (self.password, self.password_changed_at) {
            (None, _) => None,
            (Some(_), None) => return Err("it has a password without its date".to_owned()),
            (Some(stored), Some(changed_at)) => Some(PasswordState {
                stored: StoredPassword::parse(&stored).map_err(|error| format!("its password: {error}"))?,
                changed_at: Timestamp::from_millis(changed_at),
                must_change: self.password_must_change,
            }),
        };
        let attributes = serde_json::from_str(&self.attributes).map_err(|error| error.to_string())?;
        let email = self.email.as_deref().zip(self.email_key.as_deref());
        let email = email.map(|(shown, key)| Email::from_stored(shown, key)).transpose();
        Ok(User {
            id: self.id.parse().map_err(text)?,
            username: Username::from_stored(&self.username, &self.username_key).map_err(|error| error.to_string())?,
            email: email.map_err(|error| error.to_string())?,
            roles: Roles::of(self.roles.split_whitespace()).map_err(text)?,
            attributes: Attributes::of(attributes).map_err(text)?,
            enabled: self.enabled,
            password,
            password_version: self.password_version,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            version: self.version,
        })
    }
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let what = format!("user {:?}", row.id);
        row.user().map_err(|why| StoreError::Corrupt { what, why })
    }
}

/// What stands in the columns that are not simply members.
struct Columns {
    id: String,
    roles: String,
    attributes: String,
}

impl Columns {
    fn of(user: &User) -> Result<Self, StoreError> {
        check_text("a username", user.username.as_str())?;
        let attributes = serde_json::to_string(user.attributes.as_map());
        Ok(Self {
            id: user.id.to_string(),
            roles: user.roles.iter().collect::<Vec<_>>().join(" "),
            attributes: attributes.map_err(|error| StoreError::Refused(error.to_string()))?,
        })
    }
}

/// Binds the columns of a row in the order of [`INSERT`] and [`UPDATE`], but for the last.
macro_rules! bind_row {
    ($sql:expr, $user:expr, $columns:expr) => {
        sqlx::query($sql)
            .bind(&$columns.id)
            .bind($user.username.as_str())
            .bind($user.username.key())
            .bind($user.email.as_ref().map(Email::as_str))
            .bind($user.email.as_ref().map(Email::key))
            .bind(&$columns.roles)
            .bind(&$columns.attributes)
            .bind($user.enabled)
            .bind($user.password.as_ref().map(|password| password.stored.expose()))
            .bind($user.password.as_ref().map(|password| password.changed_at.millis()))
            .bind($user.password.as_ref().is_some_and(|password| password.must_change))
            .bind($user.password_version)
            .bind($user.updated_at.millis())
            .bind($user.version)
    };
}

/// Which of the user's names another account has, inside a write transaction.
macro_rules! taken {
    ($tx:ident, $user:expr, $id:expr) => {{
        let mut questions = vec![(HAS_USERNAME, $user.username.key().to_owned(), Taken::Username)];
        questions.extend($user.username.looks().into_iter().map(|look| (HAS_LOOK, look, Taken::LookAlike)));
        questions.extend($user.email.iter().map(|email| (HAS_EMAIL, email.key().to_owned(), Taken::Email)));
        let mut taken = None;
        for (question, name, which) in questions {
            let asked = sqlx::query(question).bind(name).bind($id).fetch_optional(&mut *$tx).await;
            if asked.map_err(store_error)?.is_some() {
                taken = Some(which);
                break;
            }
        }
        taken
    }};
}

/// Stores how the user's name looks, inside a write transaction.
macro_rules! keep_looks {
    ($tx:ident, $user:expr, $id:expr) => {
        for look in $user.username.looks() {
            sqlx::query(LOOK).bind(look).bind($id).execute(&mut *$tx).await.map_err(store_error)?;
        }
    };
}

/// Stores the next version of a user inside a write transaction; leaves the function with `$raced` where it is not the
/// next one.
macro_rules! update_user {
    ($tx:ident, $user:expr, $columns:expr, $raced:expr) => {{
        let done = bind_row!(UPDATE, $user, $columns).execute(&mut *$tx).await.map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Ok($raced);
        }
    }};
}

#[async_trait]
impl UserStore for SqlStore {
    async fn store_time(&self) -> Result<Timestamp, StoreError> {
        self.now().await
    }

    async fn load_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.one_user(LOAD, &id.to_string()).await
    }

    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        match name {
            LoginName::Username(key) => self.one_user(BY_USERNAME, key).await,
            LoginName::Email(key) => self.one_user(BY_EMAIL, key).await,
            LoginName::Nobody(_) => Ok(None),
        }
    }

    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Result<User, StoreError>)>, StoreError> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        self.bounded(async {
            on_pool!(self, |pool| {
                let rows = sqlx::query(LIST).bind(after).bind(i64::from(limit)).fetch_all(pool).await;
                let rows = rows.map_err(store_error)?;
                let users =
                    read_each(&rows, "user").into_iter().map(|row| row.and_then(<User as TryFrom<UserRow>>::try_from));
                // Identifiers are written by this store alone: where one is none, the list can't go on behind it.
                let id = |row| {
                    let id: String = Row::try_get(row, 0).map_err(store_error)?;
                    let damaged =
                        |why: uuid::Error| StoreError::Corrupt { what: format!("user {id:?}"), why: why.to_string() };
                    Uuid::try_parse(&id).map(UserId::from_uuid).map_err(damaged)
                };
                rows.iter().zip(users).map(|(row, user)| Ok((id(row)?, user))).collect()
            })
        })
        .await
    }

    async fn insert_user(&self, user: &User, entry: &Entry) -> Result<UserInsert, StoreError> {
        self.bounded(async {
            let (now, columns) = (self.now().await?, Columns::of(user)?);
            let row = in_write!(self, |tx| {
                // One that is taken over under the identifier of an account that was here: its own sessions live.
                let returns = user.enabled && is_marked!(tx, "sub", &columns.id);
                if returns {
                    note_change!(tx, now, REVOCATIONS, "");
                }
                let row = append_audit!(tx, self, now, entry);
                if let Some(taken) = taken!(tx, user, &columns.id) {
                    return Ok(UserInsert::Taken(taken));
                }
                let insert = bind_row!(INSERT, user, columns).bind(user.created_at.millis());
                if insert.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
                    return Err(StoreError::Refused(format!("there is an account `{}` already", user.id)));
                }
                keep_looks!(tx, user, &columns.id);
                if returns {
                    append_turns!(tx, self, vec![Turn::UserEnabled(*user.id.as_uuid())]);
                }
                row
            });
            self.appended(&row);
            Ok(UserInsert::Inserted)
        })
        .await
    }

    async fn update_user(&self, user: &User, entry: &Entry) -> Result<UserSwap, StoreError> {
        self.bounded(async {
            let (now, columns) = (self.now().await?, Columns::of(user)?);
            let row = in_write!(self, |tx| {
                // Read before anything is locked: a version has one content, and the change is made to that version only.
                let stored: Option<StandingRow> =
                    sqlx::query_as(STANDING).bind(&columns.id).fetch_optional(&mut *tx).await.map_err(store_error)?;
                let Some(stored) = stored.filter(|stored| stored.version == user.version - 1) else {
                    return Ok(UserSwap::Raced);
                };
                note_change!(tx, now, USER, &columns.id);
                let turns = stored.turns_to(user);
                if !turns.is_empty() {
                    note_change!(tx, now, REVOCATIONS, "");
                }
                let row = append_audit!(tx, self, now, entry);
                if let Some(taken) = taken!(tx, user, &columns.id) {
                    return Ok(UserSwap::Taken(taken));
                }
                update_user!(tx, user, columns, UserSwap::Raced);
                sqlx::query(FORGET_LOOKS).bind(&columns.id).execute(&mut *tx).await.map_err(store_error)?;
                keep_looks!(tx, user, &columns.id);
                append_turns!(tx, self, turns);
                row
            });
            self.appended(&row);
            Ok(UserSwap::Swapped)
        })
        .await
    }

    async fn confirm_user(&self, id: &UserId) -> Result<Option<Standing>, StoreError> {
        self.bounded(async {
            let lock = if matches!(self.pool, Pool::Sqlite(_)) { STANDING } else { STANDING_LOCKED };
            let id = id.to_string();
            let standing = in_write!(self, |tx| {
                let stored: Option<StandingRow> =
                    sqlx::query_as(lock).bind(&id).fetch_optional(&mut *tx).await.map_err(store_error)?;
                let Some(stored) = stored else { return Ok(None) };
                let latest: (i64,) = sqlx::query_as(LATEST_TURN).fetch_one(&mut *tx).await.map_err(store_error)?;
                let cut: (Option<i64>,) =
                    sqlx::query_as(CUT_OFF).bind(&id).fetch_one(&mut *tx).await.map_err(store_error)?;
                let now = now_inside!(self, tx);
                let later = Timestamp::from_millis(latest.0.saturating_add(1));
                // A cut-off hits all of its second: tokens have their times in whole ones.
                let cut = cut.0.map(|moment| Timestamp::from_secs(Timestamp::from_millis(moment).secs().saturating_add(1)));
                let at = now.max(later).max(cut.unwrap_or(now));
                let wait = at.since(now);
                Standing { enabled: stored.enabled, password_version: stored.password_version, at, wait }
            });
            Ok(Some(standing))
        })
        .await
    }

    async fn keep_hash(&self, id: &UserId, from: &StoredPassword, to: &StoredPassword) -> Result<bool, StoreError> {
        self.bounded(async {
            let kept = on_pool!(self, |pool| {
                let keep = sqlx::query(KEEP_HASH).bind(id.to_string()).bind(from.expose()).bind(to.expose());
                keep.execute(pool).await.map(|done| done.rows_affected())
            });
            Ok(kept.map_err(store_error)? == 1)
        })
        .await
    }

    async fn delete_user(&self, id: &UserId, version: Option<i64>, entry: &Entry) -> Result<Removal, StoreError> {
        self.bounded(async {
            let (now, turn, id) = (self.now().await?, Turn::UserDeleted(*id.as_uuid()), id.to_string());
            let row = in_write!(self, |tx| {
                note_change!(tx, now, USER, &id);
                note_change!(tx, now, REVOCATIONS, "");
                let row = append_audit!(tx, self, now, entry);
                let stored: Option<(i64,)> =
                    sqlx::query_as(VERSION).bind(&id).fetch_optional(&mut *tx).await.map_err(store_error)?;
                match (stored, version) {
                    (None, _) => return Ok(Removal::Absent),
                    (Some((stored,)), Some(expected)) if stored != expected => return Ok(Removal::Raced),
                    _ => {}
                }
                sqlx::query(DELETE).bind(&id).execute(&mut *tx).await.map_err(store_error)?;
                append_turns!(tx, self, vec![turn.clone()]);
                row
            });
            self.appended(&row);
            Ok(Removal::Removed)
        })
        .await
    }

    async fn insert_link(&self, link: &PasswordLink, entry: &Entry) -> Result<bool, StoreError> {
        self.bounded(async {
            let (now, id) = (self.now().await?, link.user.to_string());
            let row = in_write!(self, |tx| {
                let row = append_audit!(tx, self, now, entry);
                let owner = sqlx::query(VERSION).bind(&id).fetch_optional(&mut *tx).await.map_err(store_error)?;
                if owner.is_none() {
                    return Ok(false);
                }
                sqlx::query(LINK)
                    .bind(&id)
                    .bind(link.digest.as_bytes().as_slice())
                    .bind(link.password_version)
                    .bind(link.expires_at.millis())
                    .execute(&mut *tx)
                    .await
                    .map_err(store_error)?;
                row
            });
            self.appended(&row);
            Ok(true)
        })
        .await
    }

    async fn find_link(&self, digest: &SecretDigest) -> Result<Option<PasswordLink>, StoreError> {
        self.bounded(async {
            let found: Option<(String, i64, i64)> = on_pool!(self, |pool| {
                sqlx::query_as(FIND_LINK).bind(digest.as_bytes().as_slice()).fetch_optional(pool).await
            })
            .map_err(store_error)?;
            let Some((user, password_version, expires_at)) = found else { return Ok(None) };
            let damaged = |why: crate::users::UserError| StoreError::Corrupt {
                what: "a password link".to_owned(),
                why: why.to_string(),
            };
            Ok(Some(PasswordLink {
                digest: *digest,
                user: user.parse().map_err(damaged)?,
                password_version,
                expires_at: Timestamp::from_millis(expires_at),
            }))
        })
        .await
    }

    async fn redeem_link(&self, digest: &SecretDigest, user: &User, entry: &Entry) -> Result<Redemption, StoreError> {
        self.bounded(async {
            let (now, columns) = (self.now().await?, Columns::of(user)?);
            let row = in_write!(self, |tx| {
                note_change!(tx, now, USER, &columns.id);
                note_change!(tx, now, REVOCATIONS, "");
                let row = append_audit!(tx, self, now, entry);
                let used = sqlx::query(USE_LINK).bind(digest.as_bytes().as_slice()).bind(&columns.id);
                if used.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
                    return Ok(Redemption::Gone);
                }
                update_user!(tx, user, columns, Redemption::Raced);
                append_turns!(tx, self, vec![Turn::NewPassword(*user.id.as_uuid())]);
                row
            });
            self.appended(&row);
            Ok(Redemption::Redeemed)
        })
        .await
    }
}

impl SqlStore {
    async fn one_user(&self, question: &'static str, key: &str) -> Result<Option<User>, StoreError> {
        self.bounded(async {
            let rows: Vec<UserRow> = on_pool!(self, |pool| {
                read_rows(&sqlx::query(question).bind(key).fetch_all(pool).await.map_err(store_error)?, "user")?
            });
            rows.into_iter().next().map(User::try_from).transpose()
        })
        .await
    }
}
