//! The contract of every store of sessions. A backend is whatever can open it: [`Backends`] says how, [`on!`] makes a
//! test of each law on it.

mod decided;
mod races;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signet::clients::{ClientId, Insert, ResourceId, ScopeSet};
use signet::ports::{Clock, Entropy, SystemEntropy, Timestamp};
use signet::store::redis::{Options, RedisStore};
use signet::tokens::session::{
    Amr, ClientBinding, Delivery, DeviceLabel, Generation, MacKeyId, Motion, Presented, Presenter, RefreshPolicy,
    Rotation, Session, SessionGrant, SessionId, SessionPage, SessionStore, Swapped,
};
use uuid::Uuid;

use super::{Database, at_once};
use crate::app::{Backend, HeldClock};
use crate::redis::{Cluster, Redis, connection};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const DEADLINE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(10);
const POLICY: RefreshPolicy = RefreshPolicy { grace: GRACE };

/// Where sessions are kept.
#[async_trait(?Send)]
pub trait Backends {
    /// Opens it, as one more process does.
    async fn open(&self) -> Arc<dyn SessionStore>;

    /// The clock that holds the store's time too.
    fn clock(&self) -> &HeldClock;

    /// Damages what is stored of a session.
    async fn damage(&self, id: SessionId);
}

#[async_trait(?Send)]
impl Backends for Database {
    async fn open(&self) -> Arc<dyn SessionStore> {
        Arc::new(Database::open(self).await)
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }

    async fn damage(&self, id: SessionId) {
        let name = format!("{:032x}", u128::from_be_bytes(*id.as_bytes()));
        let name = match self.backend {
            Backend::Sqlite => format!("X'{name}'"),
            Backend::Postgres => format!("'\\x{name}'"),
        };
        self.sql(&format!("UPDATE sessions SET record = substr(record, 1, 3) WHERE sid = {name}")).await;
    }
}

/// Makes a module of tests, one of each law, on a backend.
macro_rules! on {
    ($module:ident, $backend:expr) => {
        $crate::store::sessions::on!(@laws $module, $backend, [
            a_session_is_found_as_it_was_stored,
            a_session_is_stored_once,
            a_session_that_has_expired_is_not_found,
            a_rotation_answers_what_was_before_and_leaves_what_it_should,
            a_rotation_is_taken_back_while_it_is_the_last_and_never_twice,
            of_fifty_at_one_generation_one_moves_it,
            fifty_that_come_late_move_nothing,
            a_session_ends_once_and_is_not_found_after,
            an_end_and_fifty_rotations_at_once_leave_no_session,
            lists_tell_all_living_sessions_of_one_and_no_others,
            a_list_goes_on_where_its_page_ended,
            a_damaged_session_is_left_out_of_lists_and_hides_no_other,
            a_session_is_prolonged_by_use_and_never_past_its_end,
            tokens_that_stay_are_noted_by_the_minute_and_never_move,
            whatever_is_presented_the_store_does_what_is_decided,
            races_fork_nothing_and_sign_nobody_out,
            a_replay_after_the_window_ends_that_session_and_no_other_of_the_person,
        ]);
    };
    (@laws $module:ident, $backend:expr, [$($law:ident),+ $(,)?]) => {
        mod $module {
            use super::*;

            $(#[actix_web::test]
            async fn $law() {
                super::$law(&$backend).await;
            })+
        }
    };
}
pub(crate) use on;

on!(sqlite, Database::new(Backend::Sqlite));
on!(postgres, Database::new(Backend::Postgres));
on!(redis, InRedis::single());
on!(redis_cluster, InRedis::cluster());

/// A namespace of its own in a Redis that all tests share.
struct InRedis {
    options: Options,
    servers: Vec<&'static Redis>,
    clock: HeldClock,
}

impl InRedis {
    fn single() -> Self {
        Self::with(connection::options(&Redis::shared().url()), vec![Redis::shared()])
    }

    fn cluster() -> Self {
        Self::with(connection::cluster(Cluster::shared()), Cluster::shared().nodes.iter().collect())
    }

    /// Ten times the time of production, and more: other tests share this machine.
    fn with(options: Options, servers: Vec<&'static Redis>) -> Self {
        Self { options: Options { timeout: DEADLINE, ..options }, servers, clock: HeldClock::new() }
    }
}

#[async_trait(?Send)]
impl Backends for InRedis {
    async fn open(&self) -> Arc<dyn SessionStore> {
        Arc::new(RedisStore::open(&self.options, Arc::new(self.clock.clone())).await.unwrap())
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }

    async fn damage(&self, id: SessionId) {
        let key = format!("{}:{id}", self.options.namespace);
        // Of a Cluster, one node has it, and the others say so.
        let taken = self.servers.iter().filter(|server| server.ask(&["SET", &key, "junk"]) == "OK").count();
        assert_eq!(taken, 1);
    }
}

use decided::whatever_is_presented_the_store_does_what_is_decided;
use races::{
    a_replay_after_the_window_ends_that_session_and_no_other_of_the_person, races_fork_nothing_and_sign_nobody_out,
};

/// A session of a public client that begins now.
fn session(now: Timestamp) -> Session {
    let mut id = [0; SessionId::LEN];
    SystemEntropy.fill(&mut id);
    Session {
        id: SessionId::from_bytes(id),
        user: Uuid::from_bytes([7; 16]),
        client: ClientId::parse("web").unwrap(),
        binding: ClientBinding::Public,
        grant: SessionGrant {
            resource: ResourceId::from_stored("https://api.example"),
            scope: ScopeSet::parse("read write").unwrap(),
        },
        rotation: Rotation::Rotates,
        delivery: Delivery::Body,
        created_at: now,
        auth_time: now,
        amr: vec![Amr::Password],
        idle: DAY * 14,
        expires_at: now.plus(DAY * 90),
        device: DeviceLabel::fitting("Firefox on Linux"),
        address: None,
        motion: Motion { generation: Generation::FIRST, mac_key: MacKeyId(1), rotated_at: None, last_used_at: now },
    }
}

/// A session that is stored.
async fn stored(store: &dyn SessionStore, session: Session) -> Session {
    assert_eq!(store.insert(&session).await.unwrap(), Insert::Inserted);
    session
}

/// The session's own client presents that generation.
async fn present(store: &dyn SessionStore, session: &Session, generation: u32, key: u32) -> Swapped {
    let presenter = Presenter::of(session);
    let presented = Presented { session: session.id, generation: Generation(generation), presenter };
    store.swap(&presented, MacKeyId(key), &POLICY).await.unwrap()
}

async fn a_session_is_found_as_it_was_stored(backend: &dyn Backends) {
    let (one, other) = (backend.open().await, backend.open().await);
    let first = stored(&*one, session(backend.clock().now())).await;
    let second = Session {
        binding: ClientBinding::Confidential,
        rotation: Rotation::Stays,
        delivery: Delivery::Cookie,
        address: Some(signet::tokens::session::AddressPrefix::of("2001:db8::1".parse().unwrap())),
        motion: Motion {
            generation: Generation(u32::MAX - 1),
            mac_key: MacKeyId(u32::MAX),
            rotated_at: Some(backend.clock().now().minus(MINUTE)),
            ..first.motion
        },
        ..session(backend.clock().now())
    };
    stored(&*other, second.clone()).await;
    for store in [one, other] {
        assert_eq!(store.load(first.id).await.unwrap().as_ref(), Some(&first));
        assert_eq!(store.load(second.id).await.unwrap().as_ref(), Some(&second));
        assert_eq!(store.load(SessionId::from_bytes([0; 16])).await.unwrap(), None);
    }
}

async fn a_session_is_stored_once(backend: &dyn Backends) {
    let store = backend.open().await;
    let first = stored(&*store, session(backend.clock().now())).await;
    let other = Session { user: Uuid::from_bytes([8; 16]), ..first.clone() };
    assert_eq!(store.insert(&other).await.unwrap(), Insert::Exists);
    assert_eq!(store.load(first.id).await.unwrap().as_ref(), Some(&first));
}

async fn a_session_that_has_expired_is_not_found(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let idle = stored(&*store, Session { idle: MINUTE, ..session(now) }).await;
    let short = stored(&*store, Session { expires_at: now.plus(MINUTE), ..session(now) }).await;
    backend.clock().advance(MINUTE - Duration::from_millis(1));
    for session in [&idle, &short] {
        assert!(store.load(session.id).await.unwrap().is_some());
    }
    backend.clock().advance(Duration::from_millis(1));
    for session in [&idle, &short] {
        assert_eq!(store.load(session.id).await.unwrap(), None);
        let swapped = present(&*store, session, 0, 2).await;
        assert!(!swapped.moved);
        assert_eq!(swapped.now, backend.clock().now());
    }
    let page = store.list_by_user(idle.user, None, 10).await.unwrap();
    assert_eq!(page.sessions, []);
}

async fn a_rotation_answers_what_was_before_and_leaves_what_it_should(backend: &dyn Backends) {
    let store = backend.open().await;
    let before = stored(&*store, session(backend.clock().now())).await;
    backend.clock().advance(MINUTE);
    let now = backend.clock().now();
    let swapped = present(&*store, &before, 0, 2).await;
    assert_eq!(swapped, Swapped { before: Some(before.clone()), now, moved: true });
    let after = before.clone().rotated(Generation(1), MacKeyId(2), now);
    assert_eq!(store.load(before.id).await.unwrap().as_ref(), Some(&after));
    // A retry whose answer was lost, and the successor while it is new.
    for generation in [0, 1] {
        let swapped = present(&*store, &before, generation, 3).await;
        assert_eq!(swapped, Swapped { before: Some(after.clone()), now, moved: false });
    }
    assert_eq!(store.load(before.id).await.unwrap(), Some(after));
    let absent = Session { id: SessionId::from_bytes([0; 16]), ..before };
    assert_eq!(present(&*store, &absent, 0, 2).await, Swapped { before: None, now, moved: false });
}

async fn a_rotation_is_taken_back_while_it_is_the_last_and_never_twice(backend: &dyn Backends) {
    let store = backend.open().await;
    let before = stored(&*store, session(backend.clock().now())).await;
    backend.clock().advance(MINUTE);
    let now = backend.clock().now();
    assert!(present(&*store, &before, 0, 2).await.moved);
    let after = before.clone().rotated(Generation(1), MacKeyId(2), now);
    assert!(store.set_back(&after, &before.motion).await.unwrap());
    let back = after.clone().set_back(&before.motion);
    assert_eq!(store.load(before.id).await.unwrap().as_ref(), Some(&back));
    assert_eq!((back.motion.generation, back.motion.last_used_at), (Generation(0), now));
    assert!(!store.set_back(&after, &before.motion).await.unwrap(), "once");
    // It is presented as if nothing had been, and so is the successor that somebody may have got.
    assert!(present(&*store, &before, 0, 3).await.moved);
    assert!(!store.set_back(&after, &before.motion).await.unwrap(), "another rotation");
    let again = before.clone().rotated(Generation(1), MacKeyId(3), now);
    assert!(store.set_back(&again, &before.motion).await.unwrap());
    assert!(present(&*store, &before, 1, 4).await.moved, "adopted");
    backend.clock().advance(MINUTE);
    let last = before.clone().rotated(Generation(2), MacKeyId(4), now);
    assert_eq!(store.load(before.id).await.unwrap(), Some(last.clone()));
    store.end(before.id).await.unwrap();
    assert!(!store.set_back(&last, &again.motion).await.unwrap(), "it has ended");
}

async fn of_fifty_at_one_generation_one_moves_it(backend: &dyn Backends) {
    let stores = [backend.open().await, backend.open().await];
    let session = stored(&*stores[0], session(backend.clock().now())).await;
    let mut keys = BTreeSet::new();
    for generation in 0..8_u32 {
        let racers = (0..50).map(|racer| {
            let (store, session) = (Arc::clone(&stores[racer % 2]), session.clone());
            async move { present(&*store, &session, generation, u32::try_from(racer).unwrap() + 100).await }
        });
        let answers = at_once(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.moved).count(), 1, "generation {generation}");
        let winner = answers.iter().position(|answer| answer.moved).unwrap();
        for answer in answers.iter().filter(|answer| !answer.moved) {
            let motion = answer.before.as_ref().unwrap().motion;
            assert_eq!(motion.generation, Generation(generation + 1));
            assert_eq!(motion.mac_key, MacKeyId(u32::try_from(winner).unwrap() + 100));
            keys.insert((motion.generation, motion.mac_key));
        }
        backend.clock().advance(GRACE);
    }
    assert_eq!(keys.len(), 8, "one successor a generation");
}

async fn fifty_that_come_late_move_nothing(backend: &dyn Backends) {
    let store = backend.open().await;
    let session = stored(&*store, session(backend.clock().now())).await;
    present(&*store, &session, 0, 2).await;
    backend.clock().advance(GRACE);
    let before = store.load(session.id).await.unwrap().unwrap();
    let racers = (0..50).map(|_| {
        let (store, session) = (Arc::clone(&store), session.clone());
        async move { present(&*store, &session, 0, 3).await }
    });
    for answer in at_once(racers).await {
        assert_eq!((answer.moved, answer.before.as_ref()), (false, Some(&before)));
    }
    assert_eq!(store.load(session.id).await.unwrap(), Some(before));
}

async fn a_session_ends_once_and_is_not_found_after(backend: &dyn Backends) {
    let (one, other) = (backend.open().await, backend.open().await);
    let ended = stored(&*one, session(backend.clock().now())).await;
    let kept = stored(&*one, session(backend.clock().now())).await;
    assert!(other.end(ended.id).await.unwrap());
    for store in [&one, &other] {
        assert!(!store.end(ended.id).await.unwrap());
        assert_eq!(store.load(ended.id).await.unwrap(), None);
        assert_eq!(present(&**store, &ended, 0, 2).await.before, None);
        let page = store.list_by_user(ended.user, None, 10).await.unwrap();
        assert_eq!(page.sessions, std::slice::from_ref(&kept));
        let read = async |after| store.list_by_client(&ended.client, after, 10).await.unwrap();
        assert_eq!(pages(read, 10).await, std::slice::from_ref(&kept));
    }
}

async fn an_end_and_fifty_rotations_at_once_leave_no_session(backend: &dyn Backends) {
    let store = backend.open().await;
    let session = stored(&*store, session(backend.clock().now())).await;
    let acts = (0..50).map(|racer| {
        let (store, session) = (Arc::clone(&store), session.clone());
        async move {
            if racer == 25 {
                assert!(store.end(session.id).await.unwrap());
            } else {
                present(&*store, &session, 0, 2).await;
            }
        }
    });
    at_once(acts).await;
    assert_eq!(store.load(session.id).await.unwrap(), None);
    assert_eq!(store.list_by_user(session.user, None, 10).await.unwrap(), SessionPage::default());
}

/// Sessions of two people at two clients, some of which have expired.
async fn many(store: &dyn SessionStore, now: Timestamp) -> Vec<Session> {
    let mut all = Vec::new();
    for place in 0..120_u8 {
        let client = ClientId::parse(if place % 3 == 0 { "web" } else { "app" }).unwrap();
        let idle = if place % 5 == 0 { MINUTE } else { DAY };
        let user = Uuid::from_bytes([place % 2; 16]);
        all.push(stored(store, Session { user, client, idle, ..session(now) }).await);
    }
    all.sort_by_key(|session| session.id);
    all
}

/// All pages of a list.
async fn pages<F: AsyncFn(Option<SessionId>) -> SessionPage>(read: F, most: usize) -> Vec<Session> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = read(after).await;
        assert!(page.sessions.len() <= most);
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn lists_tell_all_living_sessions_of_one_and_no_others(backend: &dyn Backends) {
    let store = backend.open().await;
    let all = many(&*store, backend.clock().now()).await;
    backend.clock().advance(MINUTE);
    for limit in [1, 7, 500] {
        for user in [Uuid::from_bytes([0; 16]), Uuid::from_bytes([1; 16])] {
            let expected: Vec<_> =
                all.iter().filter(|session| session.user == user && session.idle == DAY).cloned().collect();
            let read = async |after| store.list_by_user(user, after, limit).await.unwrap();
            assert_eq!(pages(read, limit as usize).await, expected, "{limit}");
        }
        for client in ["web", "app"] {
            let client = ClientId::parse(client).unwrap();
            let expected: Vec<_> =
                all.iter().filter(|session| session.client == client && session.idle == DAY).cloned().collect();
            let read = async |after| store.list_by_client(&client, after, limit).await.unwrap();
            assert_eq!(pages(read, limit as usize).await, expected, "{limit}");
        }
    }
    let nobody = store.list_by_user(Uuid::from_bytes([9; 16]), None, 10).await.unwrap();
    assert_eq!(nobody, SessionPage::default());
}

async fn a_list_goes_on_where_its_page_ended(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(stored(&*store, session(now)).await);
    }
    all.sort_by_key(|session| session.id);
    let mut page = store.list_by_user(all[0].user, None, 4).await.unwrap();
    let mut told = page.sessions.clone();
    // What a page has told may end, and what it has not told yet too.
    store.end(all[1].id).await.unwrap();
    store.end(all[6].id).await.unwrap();
    while let Some(after) = page.next {
        page = store.list_by_user(all[0].user, Some(after), 4).await.unwrap();
        told.extend(page.sessions.clone());
    }
    all.remove(6);
    assert_eq!(told, all);
}

async fn a_damaged_session_is_left_out_of_lists_and_hides_no_other(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(stored(&*store, session(now)).await);
    }
    all.sort_by_key(|session| session.id);
    // At the end of a page, between others, and two that are a page of their own.
    let damaged = [0, 3, 4, 5, 8].map(|place| all[place].id);
    for id in damaged {
        backend.damage(id).await;
        store.load(id).await.unwrap_err();
    }
    all.retain(|session| !damaged.contains(&session.id));
    let (user, client) = (all[0].user, all[0].client.clone());
    for limit in [1, 2, 4, 10] {
        let read = async |after| store.list_by_user(user, after, limit).await.unwrap();
        assert_eq!(pages(read, limit as usize).await, all, "{limit}");
        let read = async |after| store.list_by_client(&client, after, limit).await.unwrap();
        assert_eq!(pages(read, limit as usize).await, all, "{limit}");
    }
    // What can't be read can still be ended, by its name.
    assert!(store.end(damaged[0]).await.unwrap());
    assert_eq!(store.load(damaged[0]).await.unwrap(), None);
}

async fn a_session_is_prolonged_by_use_and_never_past_its_end(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let session = stored(&*store, Session { idle: DAY, expires_at: now.plus(DAY * 3), ..session(now) }).await;
    let mut generation = 0;
    for _ in 0..5 {
        backend.clock().advance(DAY * 23 / 40);
        assert!(present(&*store, &session, generation, 2).await.moved);
        generation += 1;
    }
    // 2.875 days after its beginning, and used just now.
    backend.clock().advance(DAY / 8 - Duration::from_millis(1));
    assert!(store.load(session.id).await.unwrap().is_some());
    backend.clock().advance(Duration::from_millis(1));
    assert_eq!(store.load(session.id).await.unwrap(), None);
    assert!(!present(&*store, &session, generation, 2).await.moved);
}

async fn tokens_that_stay_are_noted_by_the_minute_and_never_move(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let session = Session { rotation: Rotation::Stays, idle: MINUTE * 2, ..session(now) };
    let mut expected = stored(&*store, session).await;
    for _ in 0..10 {
        backend.clock().advance(MINUTE - Duration::from_secs(1));
        let swapped = present(&*store, &expected, 0, 2).await;
        assert_eq!((swapped.before.as_ref(), swapped.moved), (Some(&expected), false));
        assert_eq!(store.load(expected.id).await.unwrap().as_ref(), Some(&expected), "not yet");
        backend.clock().advance(Duration::from_secs(1));
        assert!(!present(&*store, &expected, 0, 2).await.moved);
        expected = expected.touched(backend.clock().now());
        assert_eq!(store.load(expected.id).await.unwrap().as_ref(), Some(&expected));
    }
    backend.clock().advance(MINUTE * 2);
    assert_eq!(store.load(expected.id).await.unwrap(), None);
}

/// In one database, what has expired takes no room for long.
mod purge {
    use signet::store::sql::SqlStore;

    use super::*;
    use crate::store::contract;

    contract!(an_expired_session_is_removed);

    async fn an_expired_session_is_removed(database: &Database) {
        let store: SqlStore = database.open().await;
        let now = database.now();
        let (short, long) = (Session { idle: MINUTE, ..session(now) }, session(now));
        for session in [&short, &long] {
            stored(&store, session.clone()).await;
        }
        store.purge_expired(now.plus(MINUTE - Duration::from_millis(1))).await.unwrap();
        assert_eq!(database.count("sessions").await, 2);
        store.purge_expired(now.plus(MINUTE)).await.unwrap();
        assert_eq!(database.count("sessions").await, 1);
        assert_eq!(store.load(long.id).await.unwrap(), Some(long));
    }
}
