//! Sessions, where they are kept in this database.
//!
//! Guarantees: a session moves by one conditional statement, which compares all that was decided on with what is stored,
//! by the database's own clock; whoever comes second decides anew on what the first has left. A row that can't be read is
//! left out of lists, which go on, and the log names it.

use async_trait::async_trait;
use tracing::error;
use uuid::Uuid;

use super::{Pool, SqlStore, on_pool, store_error};
use crate::clients::{ClientId, Insert};
use crate::ports::{StoreError, Timestamp};
use crate::tokens::session::{
    Decision, Generation, MacKeyId, Motion, Presented, RefreshPolicy, Session, SessionId, SessionPage, SessionStore,
    Swapped, decide, decode, encode,
};

/// The statements for a database whose clock is read by an expression. A moment that is bound comes before it: a clock
/// that a test holds.
macro_rules! statements {
    ($now:literal) => {
        Statements {
            find: concat!(
                "SELECT clock.moment, generation, mac_key, rotated_at, last_used_at, record FROM (SELECT ",
                "COALESCE(CAST($2 AS BIGINT), ",
                $now,
                ") AS moment) AS clock LEFT JOIN sessions ON sid = $1"
            ),
            rotate: concat!(
                "UPDATE sessions SET generation = $3, mac_key = $4, rotated_at = clock.moment, ",
                "last_used_at = clock.moment, ",
                "ends_at = CASE WHEN clock.moment + $5 < $6 THEN clock.moment + $5 ELSE $6 END FROM (SELECT ",
                "COALESCE(CAST($2 AS BIGINT), ",
                $now,
                ") AS moment) AS clock WHERE sid = $1 AND generation = $7 ",
                "AND rotated_at = $8 AND ends_at > clock.moment RETURNING rotated_at"
            ),
            touch: concat!(
                "UPDATE sessions SET last_used_at = clock.moment, ",
                "ends_at = CASE WHEN clock.moment + $3 < $4 THEN clock.moment + $3 ELSE $4 END FROM (SELECT ",
                "COALESCE(CAST($2 AS BIGINT), ",
                $now,
                ") AS moment) AS clock WHERE sid = $1 AND generation = $5 ",
                "AND last_used_at = $6 AND ends_at > clock.moment RETURNING last_used_at"
            ),
            by_user: concat!(
                "SELECT sid, generation, mac_key, rotated_at, last_used_at, record FROM sessions ",
                "WHERE user_id = $1 AND sid > $2 AND ends_at > COALESCE(CAST($4 AS BIGINT), ",
                $now,
                ") ",
                "ORDER BY sid LIMIT $3"
            ),
            by_client: concat!(
                "SELECT sid, generation, mac_key, rotated_at, last_used_at, record FROM sessions ",
                "WHERE client_id = $1 AND sid > $2 AND ends_at > COALESCE(CAST($4 AS BIGINT), ",
                $now,
                ") ",
                "ORDER BY sid LIMIT $3"
            ),
        }
    };
}

struct Statements {
    find: &'static str,
    rotate: &'static str,
    touch: &'static str,
    by_user: &'static str,
    by_client: &'static str,
}

const SQLITE: Statements = statements!("CAST(unixepoch('subsec') * 1000 AS BIGINT)");
const POSTGRES: Statements = statements!("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)");

const INSERT: &str = "INSERT INTO sessions (sid, user_id, client_id, generation, mac_key, rotated_at, last_used_at, \
                      ends_at, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (sid) DO NOTHING";
const SET_BACK: &str = "UPDATE sessions SET generation = $5, mac_key = $6, rotated_at = $7 \
                        WHERE sid = $1 AND generation = $2 AND mac_key = $3 AND rotated_at = $4";
const END: &str = "DELETE FROM sessions WHERE sid = $1";

/// Each time a session was moved by others in between: that often they can't come before us, one after the other, within
/// one grace window.
const ATTEMPTS: usize = 64;

#[derive(sqlx::FromRow)]
struct SessionRow {
    sid: Vec<u8>,
    generation: i64,
    mac_key: i64,
    rotated_at: i64,
    last_used_at: i64,
    record: Vec<u8>,
}

/// What stands beside a record, or nothing where there is no session.
#[derive(sqlx::FromRow)]
struct FoundRow {
    moment: i64,
    generation: Option<i64>,
    mac_key: Option<i64>,
    rotated_at: Option<i64>,
    last_used_at: Option<i64>,
    record: Option<Vec<u8>>,
}

impl SessionRow {
    fn id(&self) -> Option<SessionId> {
        <[u8; SessionId::LEN]>::try_from(self.sid.as_slice()).ok().map(SessionId::from_bytes)
    }

    fn session(self) -> Result<Session, StoreError> {
        let id = self.id().ok_or_else(|| StoreError::Corrupt {
            what: "a session".to_owned(),
            why: "its name is not 16 bytes".to_owned(),
        })?;
        let damaged = |why: String| StoreError::Corrupt { what: format!("session {id}"), why };
        let number = |column| u32::try_from(column).map_err(|_| damaged("a number is out of range".to_owned()));
        let motion = Motion {
            generation: Generation(number(self.generation)?),
            mac_key: MacKeyId(number(self.mac_key)?),
            rotated_at: Some(Timestamp::from_millis(self.rotated_at)).filter(|at| *at != Timestamp::default()),
            last_used_at: Timestamp::from_millis(self.last_used_at),
        };
        let session = decode(id, &self.record).map_err(|error| damaged(error.to_string()))?;
        Ok(Session { motion, ..session })
    }
}

impl FoundRow {
    fn session(self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let (Some(generation), Some(mac_key), Some(rotated_at), Some(last_used_at), Some(record)) =
            (self.generation, self.mac_key, self.rotated_at, self.last_used_at, self.record)
        else {
            return Ok(None);
        };
        let sid = id.as_bytes().to_vec();
        SessionRow { sid, generation, mac_key, rotated_at, last_used_at, record }.session().map(Some)
    }
}

fn rotated_column(motion: &Motion) -> i64 {
    motion.rotated_at.unwrap_or_default().millis()
}

fn span_column(session: &Session) -> i64 {
    i64::try_from(session.idle.as_millis()).unwrap_or(i64::MAX)
}

/// What can be read of `rows`: whoever ends all sessions of a person is to reach the others. The next page begins behind
/// the last of the rows, be it damaged or not.
fn page(rows: Vec<SessionRow>, limit: u32) -> SessionPage {
    let full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    let next = rows.iter().rev().find_map(SessionRow::id).filter(|_| full);
    let readable = |row: SessionRow| row.session().inspect_err(|error| error!(%error, "left out of a list")).ok();
    SessionPage { sessions: rows.into_iter().filter_map(readable).collect(), next }
}

impl SqlStore {
    const fn statements(&self) -> &'static Statements {
        match &self.pool {
            Pool::Sqlite(_) => &SQLITE,
            Pool::Postgres(_) => &POSTGRES,
        }
    }

    fn held(&self) -> Option<i64> {
        self.clock.held().map(Timestamp::millis)
    }

    /// The session of that name, expired or not, and the database's time.
    async fn find_session(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        let found: FoundRow = on_pool!(self, |pool| {
            let find = sqlx::query_as(self.statements().find).bind(id.as_bytes().as_slice()).bind(self.held());
            find.fetch_one(pool).await.map_err(store_error)?
        });
        let now = Timestamp::from_millis(found.moment);
        Ok((found.session(id)?, now))
    }

    /// Moves `session` on to `to`, if it is still as it was read and has not expired: when that was.
    async fn rotate_session(
        &self,
        session: &Session,
        to: Generation,
        next_key: MacKeyId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let moved: Option<(i64,)> = on_pool!(self, |pool| {
            sqlx::query_as(self.statements().rotate)
                .bind(session.id.as_bytes().as_slice())
                .bind(self.held())
                .bind(i64::from(to.0))
                .bind(i64::from(next_key.0))
                .bind(span_column(session))
                .bind(session.expires_at.millis())
                .bind(i64::from(session.motion.generation.0))
                .bind(rotated_column(&session.motion))
                .fetch_optional(pool)
                .await
                .map_err(store_error)?
        });
        Ok(moved.map(|(at,)| Timestamp::from_millis(at)))
    }

    /// Notes that `session` is used, if it is still as it was read and has not expired: when that was.
    async fn touch_session(&self, session: &Session) -> Result<Option<Timestamp>, StoreError> {
        let touched: Option<(i64,)> = on_pool!(self, |pool| {
            sqlx::query_as(self.statements().touch)
                .bind(session.id.as_bytes().as_slice())
                .bind(self.held())
                .bind(span_column(session))
                .bind(session.expires_at.millis())
                .bind(i64::from(session.motion.generation.0))
                .bind(session.motion.last_used_at.millis())
                .fetch_optional(pool)
                .await
                .map_err(store_error)?
        });
        Ok(touched.map(|(at,)| Timestamp::from_millis(at)))
    }

    /// Decides on what is stored now and acts on it. `None` where others came in between.
    async fn try_swap(
        &self,
        presented: &Presented<'_>,
        next_key: MacKeyId,
        policy: &RefreshPolicy,
    ) -> Result<Option<Swapped>, StoreError> {
        let (before, now) = self.find_session(presented.session).await?;
        let decision = decide(before.as_ref(), presented.generation, &presented.presenter, now, policy);
        let done = match (decision, &before) {
            (Decision::Rotate { to } | Decision::Adopt { to }, Some(session)) => {
                self.rotate_session(session, to, next_key).await?.map(|now| (now, true))
            }
            (Decision::Stay { touch: true }, Some(session)) => {
                self.touch_session(session).await?.map(|now| (now, false))
            }
            _ => Some((now, false)),
        };
        Ok(done.map(|(now, moved)| Swapped { before, now, moved }))
    }
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn insert(&self, session: &Session) -> Result<Insert, StoreError> {
        let record =
            encode(session).map_err(|error| StoreError::Refused(format!("session {}: {error}", session.id)))?;
        self.bounded(async {
            let done = on_pool!(self, |pool| {
                sqlx::query(INSERT)
                    .bind(session.id.as_bytes().as_slice())
                    .bind(session.user.as_bytes().as_slice())
                    .bind(session.client.as_str())
                    .bind(i64::from(session.motion.generation.0))
                    .bind(i64::from(session.motion.mac_key.0))
                    .bind(rotated_column(&session.motion))
                    .bind(session.motion.last_used_at.millis())
                    .bind(session.ends_at().millis())
                    .bind(record)
                    .execute(pool)
                    .await
                    .map(|done| done.rows_affected())
            });
            Ok(if done.map_err(store_error)? == 1 { Insert::Inserted } else { Insert::Exists })
        })
        .await
    }

    async fn load(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.bounded(async {
            let (session, now) = self.find_session(id).await?;
            Ok(session.filter(|session| !session.has_expired(now)))
        })
        .await
    }

    async fn swap(
        &self,
        presented: &Presented<'_>,
        next_key: MacKeyId,
        policy: &RefreshPolicy,
    ) -> Result<Swapped, StoreError> {
        self.bounded(async {
            for _ in 0..ATTEMPTS {
                if let Some(swapped) = self.try_swap(presented, next_key, policy).await? {
                    return Ok(swapped);
                }
            }
            Err(StoreError::Unavailable(format!("session {} is moved by others all the time", presented.session)))
        })
        .await
    }

    async fn set_back(&self, moved: &Session, to: &Motion) -> Result<bool, StoreError> {
        self.bounded(async {
            let done = on_pool!(self, |pool| {
                let mut set_back = sqlx::query(SET_BACK).bind(moved.id.as_bytes().as_slice());
                for motion in [&moved.motion, to] {
                    set_back = set_back
                        .bind(i64::from(motion.generation.0))
                        .bind(i64::from(motion.mac_key.0))
                        .bind(rotated_column(motion));
                }
                set_back.execute(pool).await.map(|done| done.rows_affected())
            });
            Ok(done.map_err(store_error)? == 1)
        })
        .await
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        self.bounded(async {
            let done = on_pool!(self, |pool| {
                let done = sqlx::query(END).bind(id.as_bytes().as_slice()).execute(pool).await;
                done.map(|done| done.rows_affected())
            });
            Ok(done.map_err(store_error)? == 1)
        })
        .await
    }

    async fn list_by_user(&self, user: Uuid, after: Option<SessionId>, limit: u32) -> Result<SessionPage, StoreError> {
        self.bounded(async {
            let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            let rows: Vec<SessionRow> = on_pool!(self, |pool| {
                let list = sqlx::query_as(self.statements().by_user).bind(user.as_bytes().as_slice()).bind(after);
                list.bind(i64::from(limit)).bind(self.held()).fetch_all(pool).await.map_err(store_error)?
            });
            Ok(page(rows, limit))
        })
        .await
    }

    async fn list_by_client(
        &self,
        client: &ClientId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        self.bounded(async {
            let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            let rows: Vec<SessionRow> = on_pool!(self, |pool| {
                let list = sqlx::query_as(self.statements().by_client).bind(client.as_str()).bind(after);
                list.bind(i64::from(limit)).bind(self.held()).fetch_all(pool).await.map_err(store_error)?
            });
            Ok(page(rows, limit))
        })
        .await
    }
}
