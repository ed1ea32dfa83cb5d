//! Refresh races over two replicas of the service: callers that come at once, whose answers are lost, who ask again, and
//! strangers among them.

use signet::audit::By;
use signet::issuer::Issuer;
use signet::secret::MasterKey;
use signet::tokens::revocation::LiveRevocations;
use signet::tokens::session::mac::{MacKeeper, MacPolicy};
use signet::tokens::session::{Beginning, Decision, RefreshError, RefreshRefusal, SessionRules, Sessions, TOUCH_EVERY};

use super::*;
use crate::rotation::load::Random;

/// So many races, each of 2 to 50 callers; and so many rounds of five tabs.
fn rounds() -> (usize, usize) {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { (10_000, 2_000) } else { (150, 100) }
}

/// Two replicas over a backend; the journal and the keys are in a database of their own.
async fn replicas(backend: &dyn Backends) -> [Arc<Sessions>; 2] {
    let database = Database::new(Backend::Sqlite);
    let (journal, clock) = (Arc::new(database.open().await), Arc::new(database.clock.clone()));
    let masters = MasterKey::parse(&format!("signet-master-1:{}", "A".repeat(43))).unwrap().into();
    let policy = MacPolicy { rotate_every: DAY, lead: MINUTE, longest_session: DAY };
    let keys = Arc::clone(&journal) as _;
    let keeper = MacKeeper::new(keys, clock, Arc::new(SystemEntropy), Arc::new(masters), policy, By::signet("test"));
    keeper.sweep().await.unwrap();
    let rules = SessionRules { idle: DAY * 14, lifetime: DAY * 4000, refresh: POLICY };
    let replica = async || {
        let sessions = Sessions::new(
            backend.open().await,
            (Arc::clone(&journal) as _, Arc::new(LiveRevocations::new(Arc::clone(&journal) as _))),
            Arc::clone(keeper.ring()),
            Arc::new(SystemEntropy),
            Issuer::parse("https://as.example", false).unwrap(),
            rules,
            By::signet("test"),
        );
        sessions.follow().await.unwrap();
        Arc::new(sessions)
    };
    [replica().await, replica().await]
}

async fn begun(sessions: &Sessions, backend: &dyn Backends) -> (Session, String) {
    let now = backend.clock().now();
    let Session { user, client, binding, grant, rotation, delivery, auth_time, amr, device, address, .. } =
        session(now);
    let client = &client;
    let beginning = Beginning { user, client, binding, grant, rotation, delivery, auth_time, amr, device, address };
    let (session, token) = sessions.begin(beginning, now).await.unwrap();
    (session, token.expose().to_owned())
}

/// What presenting a token gave: a refresh token or none.
async fn present(sessions: &Sessions, client: &str, token: &str) -> Result<Option<String>, RefreshRefusal> {
    let client = ClientId::parse(client).unwrap();
    let presenter = Presenter { client: &client, binding: ClientBinding::Public, delivery: Delivery::Body };
    match sessions.refresh(token, &presenter).await {
        Ok(refreshed) => Ok(refreshed.token.map(|token| token.expose().to_owned())),
        Err(RefreshError::Refused(refusal)) => Err(refusal),
        Err(RefreshError::Session(error)) => panic!("{error}"),
    }
}

/// What one caller has in mind.
#[derive(Clone, Copy)]
struct Caller {
    replica: usize,
    /// So often others come first.
    late: usize,
    /// Its answer is lost: it asks again, at either replica.
    lost: bool,
    stranger: bool,
}

impl Caller {
    fn any(random: &mut Random) -> Self {
        Self {
            replica: random.below(2),
            late: random.below(6),
            lost: random.below(5) == 0,
            stranger: random.below(12) == 0,
        }
    }

    /// All refresh tokens that come of it, lost ones too.
    async fn call(self, replicas: [Arc<Sessions>; 2], token: String) -> Vec<String> {
        for _ in 0..self.late {
            tokio::task::yield_now().await;
        }
        if self.stranger {
            let refused = present(&replicas[self.replica], "stranger", &token).await;
            assert_eq!(refused, Err(RefreshRefusal::Decided(Decision::Foreign)));
            return Vec::new();
        }
        let mut given = Vec::new();
        for replica in [self.replica, 1 - self.replica].into_iter().take(1 + usize::from(self.lost)) {
            given.extend(present(&replicas[replica], "web", &token).await.unwrap());
        }
        given
    }
}

/// Callers at once, one race after the other, on one session: the successors that were given in each.
async fn race(
    backend: &dyn Backends,
    replicas: &[Arc<Sessions>; 2],
    random: &mut Random,
    token: &mut String,
    callers: usize,
) {
    let callers: Vec<_> = (0..callers).map(|_| Caller::any(random)).collect();
    let calls = callers.iter().map(|caller| caller.call(replicas.clone(), token.clone()));
    let mut given: BTreeSet<String> = at_once(calls.collect::<Vec<_>>()).await.into_iter().flatten().collect();
    // Where all were strangers, nothing moved.
    if callers.iter().all(|caller| caller.stranger) {
        assert!(given.is_empty());
        given.extend(present(&replicas[0], "web", token).await.unwrap());
    }
    // One that was on its way for long gets the same, and the successor is not replaced so soon.
    backend.clock().advance(GRACE - Duration::from_millis(u64::try_from(random.below(9_999)).unwrap() + 1));
    given.extend(present(&replicas[random.below(2)], "web", token).await.unwrap());
    assert_eq!(given.len(), 1, "one successor");
    let successor = given.into_iter().next().unwrap();
    assert_eq!(present(&replicas[random.below(2)], "web", &successor).await, Ok(None));
    *token = successor;
    backend.clock().advance(GRACE);
}

pub(super) async fn races_fork_nothing_and_sign_nobody_out(backend: &dyn Backends) {
    let replicas = replicas(backend).await;
    let mut random = Random::new(7);
    let (session, mut token) = begun(&replicas[0], backend).await;
    let (tabbed, mut tabs) = begun(&replicas[1], backend).await;
    let (races, rounds) = rounds();
    let mut presented = 0;
    for _ in 0..races {
        let callers = 2 + random.below(49);
        presented += callers;
        race(backend, &replicas, &mut random, &mut token, callers).await;
    }
    for _ in 0..rounds {
        race(backend, &replicas, &mut random, &mut tabs, 5).await;
    }
    for (session, generations) in [(&session, races), (&tabbed, rounds)] {
        let found = replicas[0].load(session.id).await.unwrap().unwrap();
        assert_eq!(found.motion.generation, Generation(u32::try_from(generations).unwrap()));
    }
    println!(
        "{races} races of {presented} callers and {rounds} rounds of five tabs over two replicas: one successor a \
         generation, nobody signed out"
    );
}

pub(super) async fn a_replay_after_the_window_ends_that_session_and_no_other_of_the_person(backend: &dyn Backends) {
    let replicas = replicas(backend).await;
    let (stolen, first) = begun(&replicas[0], backend).await;
    let (kept, other) = begun(&replicas[0], backend).await;
    let second = present(&replicas[0], "web", &first).await.unwrap().unwrap();
    backend.clock().advance(TOUCH_EVERY);
    let reused = present(&replicas[1], "web", &first).await;
    assert_eq!(reused, Err(RefreshRefusal::Decided(Decision::Reuse)));
    // At the replica that ended it by the journal, at the other by the record that is gone.
    for replica in &replicas {
        assert_eq!(replica.load(stolen.id).await.unwrap(), None);
        assert!(present(replica, "web", &second).await.is_err());
    }
    assert!(replicas[0].load(kept.id).await.unwrap().is_some());
    assert!(present(&replicas[1], "web", &other).await.unwrap().is_some());
}
