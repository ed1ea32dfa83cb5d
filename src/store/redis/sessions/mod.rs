//! Sessions in Redis: one string each, as `tokens::session::encode` gives it, that vanishes when the session ends; and
//! the hashes by which those of a person or at a client are found.
//!
//! Guarantees: a session moves by one script on its own key, in one round trip, by Redis' clock. A session that is
//! acknowledged is in both hashes; an entry in them whose session is gone is passed over, and removed by whoever meets it.
//! A record that can't be read is left out of lists, which go on, and the log names it.

mod index;
mod scripts;

use async_trait::async_trait;
use redis::{Value, cmd, from_redis_value};
use tokio::task::JoinSet;
use tracing::error;
use uuid::Uuid;

use self::index::{BUCKETS, Mark, bucket_of, entries, last_of, mark_of_client, of_names, of_user};
use self::scripts::{END, ENTER, INSERT, LOAD, SET_BACK, SWAP};
use super::error::Failure;
use super::link::Sent;
use super::{Namespace, RedisStore, array, unlike};
use crate::clients::{ClientId, Insert};
use crate::ports::{StoreError, Timestamp};
use crate::tokens::session::{
    ClientBinding, Delivery, MacKeyId, Motion, Presented, RefreshPolicy, Session, SessionId, SessionPage, SessionStore,
    Swapped, TOUCH_EVERY, decode, encode,
};

/// So many keys are asked for at a time.
const TOGETHER: usize = 64;
/// So many buckets of names are looked through for one page.
const BUCKETS_A_PAGE: u16 = 256;
const NOTHING: &[&[u8]] = &[];
/// Where a record tells how its tokens stand: generation, key, time of the last rotation.
const STANDING: std::ops::Range<usize> = 2..16;

impl Namespace {
    /// Where a session stands: as a whole its own hash tag, and three bytes too short for the next size of allocation.
    fn session_key(&self, id: SessionId) -> Vec<u8> {
        format!("{self}:{id}").into_bytes()
    }
}

/// What stands under the name of a session.
enum Found {
    Living(Box<Session>),
    Expired,
    Nothing,
    /// What can't be read, and why.
    Damaged(Failure),
}

#[async_trait]
impl SessionStore for RedisStore {
    fn check(&self) -> Result<(), StoreError> {
        self.outage().map_or(Ok(()), |failure| Err(StoreError::Unavailable(failure.to_string())))
    }

    async fn insert(&self, session: &Session) -> Result<Insert, StoreError> {
        let record = encode(session).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.acting(async {
            let namespace = &self.inner.options.namespace;
            let arguments = [self.held(), record, number(session.ends_at().millis())];
            let stored = self.change(&INSERT, &[namespace.session_key(session.id)], &arguments).await?;
            if from_redis_value::<u8>(stored).map_err(|_| unlike())? == 0 {
                return Ok(Insert::Exists);
            }
            // Entered afterwards, so that a name which is taken keeps its entries. Nobody has been told of it so far.
            let [by_user, by_name] = entries(namespace, session);
            let (by_user, by_name) = tokio::join!(self.enter(session, by_user), self.enter(session, by_name));
            by_user.and(by_name).map(|()| Insert::Inserted)
        })
        .await
    }

    async fn load(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.acting(async {
            match self.find(id).await? {
                Found::Living(session) => Ok(Some(*session)),
                Found::Expired | Found::Nothing => Ok(None),
                Found::Damaged(failure) => Err(failure),
            }
        })
        .await
    }

    async fn swap(
        &self,
        presented: &Presented<'_>,
        next_key: MacKeyId,
        policy: &RefreshPolicy,
    ) -> Result<Swapped, StoreError> {
        let presenter = &presented.presenter;
        let [confidential, cookie] =
            [presenter.binding == ClientBinding::Confidential, presenter.delivery == Delivery::Cookie].map(u8::from);
        let arguments = [
            self.held(),
            number(presented.generation.0),
            presenter.client.as_str().as_bytes().to_vec(),
            number(confidential),
            number(next_key.0),
            number(policy.grace.as_millis()),
            number(TOUCH_EVERY.as_millis()),
            number(cookie),
        ];
        let key = self.inner.options.namespace.session_key(presented.session);
        self.acting(async {
            let answer = self.change(&SWAP, &[key], &arguments).await?;
            let (now, record, moved): (i64, Option<Vec<u8>>, u8) = from_redis_value(answer).map_err(|_| unlike())?;
            let before = record.map(|record| read(presented.session, &record)).transpose()?;
            Ok(Swapped { before, now: Timestamp::from_millis(now), moved: moved == 1 })
        })
        .await
    }

    async fn set_back(&self, moved: &Session, to: &Motion) -> Result<bool, StoreError> {
        let standing = |session: &Session| {
            let record = encode(session).map_err(|error| StoreError::Refused(error.to_string()))?;
            Ok::<_, StoreError>(record.get(STANDING).unwrap_or_default().to_vec())
        };
        let arguments = [standing(moved)?, standing(&moved.clone().set_back(to))?];
        let key = self.inner.options.namespace.session_key(moved.id);
        self.acting(async {
            let answer = self.change(&SET_BACK, &[key], &arguments).await?;
            Ok(from_redis_value::<u8>(answer).map_err(|_| unlike())? == 1)
        })
        .await
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        let namespace = &self.inner.options.namespace;
        self.acting(async {
            let ended = self.change(&END, &[namespace.session_key(id)], NOTHING).await?;
            let Some(record) = from_redis_value::<Option<Vec<u8>>>(ended).map_err(|_| unlike())? else {
                return Ok(false);
            };
            // It has ended: that its entries are still there harms nobody, and they go with the next look at them.
            if let Ok(session) = read(id, &record) {
                let [(by_user, _), (by_name, _)] = entries(namespace, &session);
                let _ = tokio::join!(self.leave(&by_user, id), self.leave(&by_name, id));
            }
            Ok(true)
        })
        .await
    }

    async fn list_by_user(&self, user: Uuid, after: Option<SessionId>, limit: u32) -> Result<SessionPage, StoreError> {
        let (key, mark) = of_user(&self.inner.options.namespace, user);
        self.acting(async {
            let entered = self.entered(&key, mark, after).await?;
            let entered = entered.into_iter().map(|id| (id, key.clone())).collect();
            self.page(entered, limit, |session| session.user == user).await
        })
        .await
    }

    async fn list_by_client(
        &self,
        client: &ClientId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        let (namespace, mark) = (&self.inner.options.namespace, mark_of_client(client));
        let first = after.map_or(0, bucket_of);
        let end = first.saturating_add(BUCKETS_A_PAGE).min(BUCKETS);
        self.acting(async {
            let buckets: Vec<_> = (first..end).map(|bucket| of_names(namespace, bucket)).collect();
            let look = move |store: RedisStore, key: Vec<u8>| async move {
                let entered = store.entered(&key, mark, after).await?;
                Ok(entered.into_iter().map(|id| (id, key.clone())).collect::<Vec<_>>())
            };
            let entered = self.each(buckets, look).await?;
            let page = self.page(entered.concat(), limit, |session| session.client == *client).await?;
            let beyond = (end < BUCKETS).then(|| last_of(end - 1));
            Ok(SessionPage { next: page.next.or(beyond), ..page })
        })
        .await
    }
}

impl RedisStore {
    async fn find(&self, id: SessionId) -> Result<Found, Failure> {
        let key = self.inner.options.namespace.session_key(id);
        let answer = self.run(&LOAD, &[key], &[self.held()]).await?;
        let (now, record): (i64, Option<Vec<u8>>) = from_redis_value(answer).map_err(|_| unlike())?;
        let Some(record) = record else { return Ok(Found::Nothing) };
        let session = match read(id, &record) {
            Ok(session) => session,
            Err(damaged) => return Ok(Found::Damaged(damaged)),
        };
        let expired = session.has_expired(Timestamp::from_millis(now));
        Ok(if expired { Found::Expired } else { Found::Living(Box::new(session)) })
    }

    /// Enters a session into a bucket.
    async fn enter(&self, session: &Session, (key, value): (Vec<u8>, [u8; 8])) -> Result<(), Failure> {
        let id = session.id.as_bytes().to_vec();
        let arguments = [self.held(), id, value.to_vec(), number(session.expires_at.millis())];
        self.change(&ENTER, &[key], &arguments).await.map(drop)
    }

    /// Removes a session from a bucket.
    async fn leave(&self, key: &[u8], id: SessionId) -> Result<(), Failure> {
        let mut remove = cmd("HDEL");
        remove.arg(key).arg(id.as_bytes().as_slice());
        self.send(key, Sent::One(&remove)).await.map(drop)
    }

    /// The names after `after` that stand in a bucket with `mark`, in order.
    async fn entered(&self, key: &[u8], mark: Mark, after: Option<SessionId>) -> Result<Vec<SessionId>, Failure> {
        let mut all = cmd("HGETALL");
        all.arg(key);
        let members = array(self.send(key, Sent::One(&all)).await?)?;
        let mut names = Vec::new();
        for pair in members.chunks_exact(2) {
            let [Value::BulkString(name), Value::BulkString(value)] = pair else { return Err(unlike()) };
            let name = <[u8; SessionId::LEN]>::try_from(name.as_slice()).map_err(|_| unlike())?;
            if value.starts_with(&mark) {
                names.push(SessionId::from_bytes(name));
            }
        }
        names.retain(|name| after.is_none_or(|after| *name > after));
        names.sort_unstable();
        Ok(names)
    }

    /// The first `limit` living sessions of those names that `belong`; each name comes with the bucket it stands in.
    async fn page(
        &self,
        names: Vec<(SessionId, Vec<u8>)>,
        limit: u32,
        belongs: impl Fn(&Session) -> bool,
    ) -> Result<SessionPage, Failure> {
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        let mut sessions = Vec::new();
        for some in names.chunks(TOGETHER) {
            let look = |store: RedisStore, (id, key)| async move { Ok((id, key, store.find(id).await?)) };
            for (id, key, found) in self.each(some.to_vec(), look).await? {
                match found {
                    Found::Living(session) if belongs(&session) => sessions.push(*session),
                    Found::Living(_) | Found::Expired => {}
                    // Whoever ends all sessions of a person is to reach the others.
                    Found::Damaged(failure) => error!(error = %failure, "left out of a list"),
                    // Best of all now, and no harm if not.
                    Found::Nothing => drop(self.leave(&key, id).await),
                }
                if sessions.len() == limit {
                    return Ok(SessionPage { sessions, next: Some(id) });
                }
            }
        }
        Ok(SessionPage { sessions, next: None })
    }

    /// What `look` finds for each of `all`, in their order: as many as `TOGETHER` at a time, wherever in a Cluster they are.
    async fn each<T, R, F>(&self, all: Vec<T>, look: impl Fn(Self, T) -> F) -> Result<Vec<R>, Failure>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        let mut found: Vec<Option<R>> = all.iter().map(|_| None).collect();
        let (mut waiting, mut looking) = (all.into_iter().enumerate(), JoinSet::new());
        loop {
            while looking.len() < TOGETHER
                && let Some((place, one)) = waiting.next()
            {
                let looked = look(self.clone(), one);
                looking.spawn(async move { (place, looked.await) });
            }
            let Some(joined) = looking.join_next().await else { break };
            let (place, outcome) = joined.map_err(|_| Failure::NotSent("the look at it was given up".to_owned()))?;
            if let Some(one) = found.get_mut(place) {
                *one = Some(outcome?);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// A session from its record.
fn read(id: SessionId, record: &[u8]) -> Result<Session, Failure> {
    decode(id, record).map_err(|error| Failure::Damaged { what: format!("session {id}"), why: error.to_string() })
}

fn number(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}
