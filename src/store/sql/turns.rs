//! What the change of an account or a client leaves in the journal, and how whoever is authenticated stands to it.
//!
//! Guarantees: it is in the journal by the transaction that makes the change, at a moment that is later than every other of
//! its kind and was read once the changed row was locked; so whoever saw the row as it was before was authenticated no
//! later.

use crate::clients::Client;
use crate::tokens::revocation::Turn;
use crate::users::User;

/// Moves the end of the journal on, and with it the moment of the latest change of an account or a client, which only grows.
pub(super) const TURN_HEAD: &str = "UPDATE revocation_head SET number = number + $1, \
                         epoch = CASE WHEN epoch = '' THEN $2 ELSE epoch END, \
                         moment = CASE WHEN moment < $3 THEN $3 ELSE moment + 1 END \
                         WHERE one = 1 RETURNING number, moment";
/// A mark that was lifted, or that became another, need not last longer than what came after it.
pub(super) const SHORTEN: &str = "UPDATE revocations SET until = $3 \
                         WHERE kind = $1 AND value = $2 AND shape = 'mark' AND until > $3";
/// Whether the last word on that person or client is a mark.
pub(super) const LAST_SHAPE: &str = "SELECT shape FROM revocations WHERE kind = $1 AND value = $2 \
                         AND shape <> 'cut_off' ORDER BY number DESC LIMIT 1";
pub(super) const STANDING: &str = "SELECT version, enabled, password_version FROM users WHERE id = $1";
/// Waits for a change that is on its way, and lets none pass by until the transaction ends. On SQLite no other writes
/// meanwhile in any case.
pub(super) const STANDING_LOCKED: &str = "SELECT version, enabled, password_version FROM users WHERE id = $1 FOR SHARE";
pub(super) const LATEST_TURN: &str = "SELECT moment FROM revocation_head WHERE one = 1";
/// Up to when what a person bears is cut off.
pub(super) const CUT_OFF: &str = "SELECT MAX(moment) FROM revocations WHERE kind = 'sub' AND value = $1";

/// What of an account decides on its sessions.
#[derive(sqlx::FromRow)]
pub(super) struct StandingRow {
    pub(super) version: i64,
    pub(super) enabled: bool,
    pub(super) password_version: i64,
}

impl StandingRow {
    /// What becomes of sessions when `user` takes its place.
    pub(super) fn turns_to(&self, user: &User) -> Vec<Turn> {
        let id = *user.id.as_uuid();
        let password = (self.password_version != user.password_version).then_some(Turn::NewPassword(id));
        let enabled = match (self.enabled, user.enabled) {
            (true, false) => Some(Turn::UserDisabled(id)),
            (false, true) => Some(Turn::UserEnabled(id)),
            _ => None,
        };
        password.into_iter().chain(enabled).collect()
    }
}

/// What becomes of its sessions where a client takes the place of one that was enabled or not.
pub(super) fn turn_to(client: &Client, was_enabled: bool) -> Option<Turn> {
    match (was_enabled, client.enabled) {
        (true, false) => Some(Turn::ClientDisabled(client.id.clone())),
        (false, true) => Some(Turn::ClientEnabled(client.id.clone())),
        _ => None,
    }
}

/// Writes [`Turn`](crate::tokens::revocation::Turn)s to the journal inside a write transaction. It has numbered a change of
/// revocations first, and changed the row that they are about: so nobody who saw that row as it was before can be
/// authenticated later than at the moment which is read here (`SqlStore::confirm_user`).
macro_rules! append_turns {
    ($tx:ident, $store:expr, $turns:expr) => {{
        let turns: Vec<$crate::tokens::revocation::Turn> = $turns;
        for turn in turns {
            let now = $crate::store::sql::now_inside!($store, $tx);
            let (number, moment): (i64, i64) = sqlx::query_as($crate::store::sql::turns::TURN_HEAD)
                .bind(1_i64)
                .bind($crate::ports::unique_id(now).simple().to_string())
                .bind(now.millis())
                .fetch_one(&mut *$tx)
                .await
                .map_err($crate::store::sql::store_error)?;
            let revocation = turn.at($crate::ports::Timestamp::from_millis(moment));
            if !matches!(revocation.what.reach(), $crate::tokens::revocation::Reach::CutOff(_)) {
                sqlx::query($crate::store::sql::turns::SHORTEN)
                    .bind(revocation.what.kind())
                    .bind(revocation.what.value())
                    .bind(revocation.until.millis())
                    .execute(&mut *$tx)
                    .await
                    .map_err($crate::store::sql::store_error)?;
            }
            $crate::store::sql::journal::append_revocation!($tx, number, now, revocation);
        }
    }};
}

/// Whether that person or client is marked, inside a transaction: where there is one of a name that another had.
macro_rules! is_marked {
    ($tx:ident, $kind:expr, $value:expr) => {{
        let last: Option<(String,)> = sqlx::query_as($crate::store::sql::turns::LAST_SHAPE)
            .bind($kind)
            .bind($value)
            .fetch_optional(&mut *$tx)
            .await
            .map_err($crate::store::sql::store_error)?;
        last.is_some_and(|(shape,)| shape == "mark")
    }};
}

pub(super) use {append_turns, is_marked};
