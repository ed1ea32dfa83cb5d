//! The service over stores in memory that fail, stall and are set back when they are told to.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;

use super::super::decide::{Decision, RefreshPolicy, decide};
use super::super::fixtures::{START, session};
use super::super::record::Presenter;
use super::super::store::{Presented, Swapped};
use super::super::token::{MacKeyId, TokenFault};
use super::*;
use crate::keys::fixtures::{HeldClock, by};
use crate::ports::{Clock, SystemEntropy};
use crate::tokens::revocation::{EndReason, JournalHead, JournalPage, LiveRevocations, Revoked, Revoking, Turn};

const GRACE: Duration = Duration::from_secs(10);
const RULES: SessionRules = SessionRules {
    idle: Duration::from_secs(86_400),
    lifetime: Duration::from_secs(10 * 86_400),
    refresh: RefreshPolicy { grace: GRACE },
};

#[derive(Debug)]
struct Memory {
    clock: Arc<HeldClock>,
    sessions: Mutex<BTreeMap<SessionId, Session>>,
    journal: Mutex<Vec<Revocation>>,
    stalls: AtomicBool,
    refuses: AtomicBool,
    lies: AtomicBool,
}

impl Memory {
    fn page(&self, fits: impl Fn(&Session) -> bool, after: Option<SessionId>, limit: u32) -> SessionPage {
        let sessions = self.sessions.lock().unwrap();
        let fitting = sessions.values().filter(|session| fits(session) && after.is_none_or(|after| session.id > after));
        let sessions: Vec<_> = fitting.take(limit as usize).cloned().collect();
        let next = sessions.last().map(|last| last.id).filter(|_| sessions.len() == limit as usize);
        SessionPage { sessions, next }
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn insert(&self, session: &Session) -> Result<Insert, StoreError> {
        self.sessions.lock().unwrap().insert(session.id, session.clone());
        Ok(Insert::Inserted)
    }

    async fn load(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.sessions.lock().unwrap().get(&id).cloned())
    }

    async fn swap(
        &self,
        presented: &Presented<'_>,
        next_key: MacKeyId,
        policy: &RefreshPolicy,
    ) -> Result<Swapped, StoreError> {
        let (mut sessions, now) = (self.sessions.lock().unwrap(), self.clock.now());
        let before = sessions.get(&presented.session).cloned();
        let decision = decide(before.as_ref(), presented.generation, &presented.presenter, now, policy);
        if let (Some(to), Some(session)) = (decision.moves_to(), &before) {
            sessions.insert(session.id, session.clone().rotated(to, next_key, now));
        }
        Ok(Swapped { before, now, moved: decision.moves_to().is_some() != self.lies.load(Ordering::SeqCst) })
    }

    async fn set_back(&self, moved: &Session, to: &Motion) -> Result<bool, StoreError> {
        let mut sessions = self.sessions.lock().unwrap();
        let Some(found) = sessions.get_mut(&moved.id).filter(|found| found.motion == moved.motion) else {
            return Ok(false);
        };
        *found = found.clone().set_back(to);
        Ok(true)
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        if self.stalls.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(self.sessions.lock().unwrap().remove(&id).is_some())
    }

    async fn list_by_user(&self, user: Uuid, after: Option<SessionId>, limit: u32) -> Result<SessionPage, StoreError> {
        Ok(self.page(|session| session.user == user, after, limit))
    }

    async fn list_by_client(
        &self,
        client: &ClientId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError> {
        Ok(self.page(|session| session.client == *client, after, limit))
    }
}

#[async_trait]
impl RevocationJournal for Memory {
    async fn revoke(&self, revocations: &[Revocation], _: &Entry) -> Result<i64, StoreError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("down".to_owned()));
        }
        let mut journal = self.journal.lock().unwrap();
        journal.extend_from_slice(revocations);
        Ok(i64::try_from(journal.len()).unwrap())
    }

    async fn journal_head(&self) -> Result<JournalHead, StoreError> {
        let number = i64::try_from(self.journal.lock().unwrap().len()).unwrap();
        Ok(JournalHead { epoch: "epoch".to_owned(), number })
    }

    async fn revocations_after(&self, number: i64, limit: u32) -> Result<JournalPage, StoreError> {
        let journal = self.journal.lock().unwrap();
        let numbered = (1..).zip(journal.iter()).filter(|(at, _)| *at > number).take(limit as usize);
        let entries: Vec<_> =
            numbered.map(|(number, entry)| Revoking { number, what: entry.what.clone(), until: entry.until }).collect();
        let head = i64::try_from(journal.len()).unwrap();
        let full = entries.len() == limit as usize;
        let told = entries.last().filter(|_| full).map_or(head, |last| last.number);
        Ok(JournalPage { head: JournalHead { epoch: "epoch".to_owned(), number: head }, entries, told })
    }
}

struct Bench {
    memory: Arc<Memory>,
    ring: Arc<MacRing>,
    client: ClientId,
}

impl Bench {
    fn new() -> Self {
        let memory = Memory {
            clock: HeldClock::at(START),
            sessions: Mutex::default(),
            journal: Mutex::default(),
            stalls: AtomicBool::default(),
            refuses: AtomicBool::default(),
            lies: AtomicBool::default(),
        };
        let ring = Arc::new(MacRing::default());
        ring.hold(&[1], 1);
        Self { memory: Arc::new(memory), ring, client: session().client }
    }

    /// One more replica.
    async fn replica(&self) -> Sessions {
        let issuer = Issuer::parse("https://as.example", false).unwrap();
        let (store, journal) = (Arc::clone(&self.memory), Arc::clone(&self.memory));
        let ring = Arc::clone(&self.ring);
        let live = Arc::new(LiveRevocations::new(Arc::clone(&journal) as _));
        let sessions = Sessions::new(store, (journal, live), ring, Arc::new(SystemEntropy), issuer, RULES, by());
        sessions.follow().await.unwrap();
        sessions
    }

    async fn begin(&self, sessions: &Sessions) -> (Session, String) {
        let Session { user, grant, delivery, amr, device, address, .. } = session();
        let beginning = Beginning {
            user,
            client: &self.client,
            binding: ClientBinding::Public,
            grant,
            rotation: Rotation::Stays,
            delivery,
            auth_time: START,
            amr,
            device,
            address,
        };
        let (session, token) = sessions.begin(beginning, self.memory.clock.now()).await.unwrap();
        assert_eq!(session.rotation, Rotation::Rotates, "those of a public client always do");
        (session, token.expose().to_owned())
    }

    async fn refresh(&self, sessions: &Sessions, token: &str) -> Result<Refreshed, RefreshError> {
        let presenter =
            Presenter { client: &self.client, binding: ClientBinding::Public, delivery: session().delivery };
        sessions.refresh(token, &presenter).await
    }

    /// The successor that is given.
    async fn successor(&self, sessions: &Sessions, token: &str) -> String {
        self.refresh(sessions, token).await.unwrap().token.unwrap().expose().to_owned()
    }

    async fn refusal(&self, sessions: &Sessions, token: &str) -> RefreshRefusal {
        match self.refresh(sessions, token).await {
            Err(RefreshError::Refused(refusal)) => refusal,
            other => unreachable!("{other:?}"),
        }
    }

    /// What the store does with the change itself.
    fn turn(&self, turn: Turn, at: Timestamp) {
        self.memory.journal.lock().unwrap().push(turn.at(at));
    }

    fn ended(&self) -> Vec<SessionId> {
        self.memory
            .journal
            .lock()
            .unwrap()
            .iter()
            .filter_map(|entry| match entry.what {
                Revoked::Session(id) => Some(id),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test]
async fn a_rotation_of_the_keys_signs_nobody_out_and_forks_nothing() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (_, first) = bench.begin(&sessions).await;
    bench.ring.hold(&[1, 2], 2);
    let second = bench.successor(&sessions, &first).await;
    // Another key took over in the very window: the successor is still the one that was given.
    bench.ring.hold(&[1, 2, 3], 3);
    assert_eq!(bench.successor(&sessions, &first).await, second);
    bench.memory.clock.advance(GRACE);
    assert_ne!(bench.successor(&sessions, &second).await, second);
    // A key that is gone makes its tokens those of nobody.
    bench.ring.hold(&[3], 3);
    let unknown = RefreshRefusal::Token(TokenFault::UnknownKey(MacKeyId(1)));
    assert_eq!(bench.refusal(&sessions, &first).await, unknown);
}

#[tokio::test]
async fn a_replica_without_the_key_of_the_current_token_says_so_and_ends_nothing() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, first) = bench.begin(&sessions).await;
    bench.ring.hold(&[1, 2], 2);
    bench.successor(&sessions, &first).await;
    bench.ring.hold(&[1], 1);
    let lacking = bench.refresh(&sessions, &first).await;
    assert!(matches!(lacking, Err(RefreshError::Session(SessionError::NoKey))), "{lacking:?}");
    assert!(sessions.load(session.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_store_that_is_set_back_revives_nothing() {
    let bench = Bench::new();
    let (one, other) = (bench.replica().await, bench.replica().await);
    let (session, token) = bench.begin(&one).await;
    one.end(&session, EndReason::Logout, &by()).await.unwrap();
    assert_eq!(bench.ended(), [session.id]);
    other.follow().await.unwrap();
    for replica in [&one, &other, &bench.replica().await] {
        assert_eq!(bench.memory.insert(&session).await.unwrap(), Insert::Inserted);
        assert_eq!(replica.load(session.id).await.unwrap(), None);
        assert_eq!(replica.list_by_user(session.user, None, 10).await.unwrap().sessions, []);
        assert_eq!(replica.list_by_client(&session.client, None, 10).await.unwrap().sessions, []);
        assert_eq!(bench.refusal(replica, &token).await, RefreshRefusal::Ended);
        assert!(bench.memory.sessions.lock().unwrap().is_empty(), "it is told again");
    }
}

#[tokio::test]
async fn a_reused_token_ends_its_session_once_though_many_present_it() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, first) = bench.begin(&sessions).await;
    let (other, kept) = bench.begin(&sessions).await;
    let second = bench.successor(&sessions, &first).await;
    bench.memory.clock.advance(GRACE);
    assert_eq!(bench.refusal(&sessions, &first).await, RefreshRefusal::Decided(Decision::Reuse));
    for token in [&first, &second] {
        assert_eq!(bench.refusal(&sessions, token).await, RefreshRefusal::Ended);
    }
    assert_eq!(bench.ended(), [session.id]);
    assert!(bench.refresh(&sessions, &kept).await.is_ok());
    assert!(sessions.load(other.id).await.unwrap().is_some());
    let counts: BTreeMap<_, _> = REFRESH_OUTCOMES.into_iter().zip(sessions.counts()).filter(|(_, n)| *n > 0).collect();
    assert_eq!(counts, BTreeMap::from([("rotate", 2), ("reuse", 1), ("ended", 2)]));
}

#[tokio::test]
async fn a_reuse_that_the_journal_can_not_take_is_refused_at_once_and_written_later() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, first) = bench.begin(&sessions).await;
    bench.successor(&sessions, &first).await;
    bench.memory.clock.advance(GRACE);
    bench.memory.refuses.store(true, Ordering::SeqCst);
    let answer = bench.refresh(&sessions, &first).await;
    assert!(
        matches!(answer, Err(RefreshError::Session(SessionError::Store(StoreError::Unavailable(_))))),
        "{answer:?}"
    );
    assert_eq!(bench.refusal(&sessions, &first).await, RefreshRefusal::Ended);
    assert!(bench.memory.sessions.lock().unwrap().is_empty());
    assert!(sessions.has_more_to_say() && sessions.follow().await.is_err());
    bench.memory.refuses.store(false, Ordering::SeqCst);
    sessions.follow().await.unwrap();
    assert_eq!((bench.ended(), sessions.has_more_to_say()), (vec![session.id], false));
}

#[tokio::test]
async fn an_end_that_the_journal_can_not_take_is_none() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, token) = bench.begin(&sessions).await;
    bench.memory.refuses.store(true, Ordering::SeqCst);
    assert!(sessions.end(&session, EndReason::Logout, &by()).await.is_err());
    assert!(bench.refresh(&sessions, &token).await.is_ok());
}

#[tokio::test]
async fn a_session_store_that_does_not_answer_holds_nobody_up_and_is_told_later() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, token) = bench.begin(&sessions).await;
    bench.memory.stalls.store(true, Ordering::SeqCst);
    sessions.end(&session, EndReason::Logout, &by()).await.unwrap();
    assert_eq!(bench.refusal(&sessions, &token).await, RefreshRefusal::Ended);
    assert!(sessions.has_more_to_say() && bench.memory.sessions.lock().unwrap().len() == 1);
    bench.memory.stalls.store(false, Ordering::SeqCst);
    sessions.follow().await.unwrap();
    assert!(!sessions.has_more_to_say() && bench.memory.sessions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn all_sessions_of_a_person_end_but_one() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let mut kept = None;
    for _ in 0..(PAGE + 20) {
        kept = Some(bench.begin(&sessions).await);
    }
    let (kept, token) = kept.unwrap();
    let ended = sessions.end_all_of(kept.user, Some(kept.id), EndReason::Password, &by()).await.unwrap();
    assert_eq!((ended, bench.ended().len()), (PAGE as usize + 19, PAGE as usize + 19));
    assert!(bench.refresh(&sessions, &token).await.is_ok());
    assert_eq!(sessions.end_all_at(&kept.client, EndReason::ClientDeleted, &by()).await.unwrap(), 1);
    assert_eq!(bench.refusal(&sessions, &token).await, RefreshRefusal::Ended);
}

#[tokio::test]
async fn a_journal_that_is_set_back_makes_nothing_that_ended_live_again() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (first, _) = bench.begin(&sessions).await;
    let (second, _) = bench.begin(&sessions).await;
    for session in [&first, &second] {
        sessions.end(session, EndReason::Logout, &by()).await.unwrap();
    }
    sessions.follow().await.unwrap();
    bench.memory.journal.lock().unwrap().truncate(1);
    sessions.follow().await.unwrap();
    for session in [&first, &second] {
        assert_eq!(bench.memory.insert(session).await.unwrap(), Insert::Inserted);
        assert_eq!(sessions.load(session.id).await.unwrap(), None);
    }
    sessions.forget_expired(first.expires_at.plus(Duration::from_secs(60)));
    assert!(sessions.load(first.id).await.unwrap().is_some(), "what has expired need not be remembered");
}

#[tokio::test]
async fn a_store_that_does_other_than_is_decided_is_noticed() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (_, token) = bench.begin(&sessions).await;
    bench.memory.lies.store(true, Ordering::SeqCst);
    let answer = bench.refresh(&sessions, &token).await;
    assert!(
        matches!(answer, Err(RefreshError::Session(SessionError::Store(StoreError::Corrupt { .. })))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_turn_ends_what_was_authenticated_before_wherever_the_journal_was_followed() {
    let bench = Bench::new();
    let (one, other) = (bench.replica().await, bench.replica().await);
    let (session, token) = bench.begin(&one).await;
    let (user, client) = (session.user, session.client.clone());
    for turn in [Turn::UserDisabled(user), Turn::ClientDeleted(client.clone()), Turn::NewPassword(user)] {
        bench.turn(turn, START);
    }
    other.follow().await.unwrap();
    assert!(bench.memory.sessions.lock().unwrap().is_empty() && !other.has_more_to_say(), "it is removed on the way");
    for replica in [&other, &bench.replica().await] {
        assert_eq!(bench.memory.insert(&session).await.unwrap(), Insert::Inserted);
        assert_eq!(replica.load(session.id).await.unwrap(), None);
        assert_eq!(replica.list_by_user(user, None, 10).await.unwrap().sessions, []);
        assert_eq!(replica.list_by_client(&client, None, 10).await.unwrap().sessions, []);
        assert_eq!(bench.refusal(replica, &token).await, RefreshRefusal::Ended);
        assert!(bench.memory.sessions.lock().unwrap().is_empty(), "it is removed when it is met");
    }
    // Lifted, and begun anew: what was there before stays dead.
    bench.turn(Turn::UserEnabled(user), START);
    bench.turn(Turn::ClientEnabled(client), START);
    one.take_up().await;
    bench.memory.clock.advance(GRACE);
    let (_, fresh) = bench.begin(&one).await;
    assert!(bench.refusal(&one, &fresh).await == RefreshRefusal::Ended, "authenticated before, and begun after");
    assert_eq!(bench.ended(), [], "none of them had to be named");
}

#[tokio::test]
async fn a_turn_is_no_error_where_the_session_store_or_the_journal_is_away() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, token) = bench.begin(&sessions).await;
    bench.turn(Turn::UserDisabled(session.user), START);
    bench.memory.stalls.store(true, Ordering::SeqCst);
    assert_eq!(sessions.end_all_of(session.user, None, EndReason::UserDisabled, &by()).await.unwrap(), 1);
    assert_eq!(bench.refusal(&sessions, &token).await, RefreshRefusal::Ended);
    assert!(sessions.has_more_to_say() && bench.memory.sessions.lock().unwrap().len() == 1);
    bench.memory.stalls.store(false, Ordering::SeqCst);
    sessions.follow().await.unwrap();
    assert!(!sessions.has_more_to_say() && bench.memory.sessions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_journal_that_is_set_back_unmarks_whom_it_marks_no_more() {
    let bench = Bench::new();
    let sessions = bench.replica().await;
    let (session, token) = bench.begin(&sessions).await;
    let (other, _) = bench.begin(&sessions).await;
    sessions.end(&other, EndReason::Logout, &by()).await.unwrap();
    bench.turn(Turn::ClientDisabled(session.client.clone()), START);
    sessions.take_up().await;
    assert_eq!(sessions.load(session.id).await.unwrap(), None);
    bench.memory.journal.lock().unwrap().truncate(1);
    sessions.take_up().await;
    assert!(bench.refresh(&sessions, &token).await.is_ok());
    assert_eq!(sessions.load(other.id).await.unwrap(), None);
}
