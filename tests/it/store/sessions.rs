//! The contract of every store of sessions: how it is opened, and the laws of one session.

mod decided;
mod lists;
mod races;
mod rotations;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signet::clients::{ClientId, Insert};
use signet::ports::{Clock, SystemEntropy, Timestamp};
use signet::tokens::session::{
    ClientBinding, Delivery, Generation, MacKeyId, Motion, Presented, Presenter, RefreshPolicy, Rotation, Session,
    SessionId, SessionPage, SessionStore, Swapped,
};
use uuid::Uuid;

use super::{Database, InRedis, at_once, on_each_store};
use crate::app::{Backend, HeldClock};
use crate::world::session;
use decided::whatever_is_presented_the_store_does_what_is_decided;
use lists::{
    a_damaged_session_is_left_out_of_lists_and_hides_no_other, a_list_goes_on_where_its_page_ended,
    lists_tell_all_living_sessions_of_one_and_no_others, pages,
};
use races::{
    a_replay_after_the_window_ends_that_session_and_no_other_of_the_person, races_fork_nothing_and_sign_nobody_out,
};
use rotations::{
    a_rotation_answers_what_was_before_and_leaves_what_it_should,
    a_rotation_is_taken_back_while_it_is_the_last_and_never_twice, an_end_and_fifty_rotations_at_once_leave_no_session,
    fifty_that_come_late_move_nothing, of_fifty_at_one_generation_one_moves_it,
    tokens_that_stay_are_noted_by_the_minute_and_never_move,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
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

on_each_store![
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
];

#[async_trait(?Send)]
impl Backends for InRedis {
    async fn open(&self) -> Arc<dyn SessionStore> {
        Arc::new(InRedis::open(self).await)
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
