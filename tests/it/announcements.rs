//! Changes that the database announces: how soon a replica has them, and that it has them all the same when nothing is
//! announced.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use signet::app::{Preparation, initialise};

use crate::app::{Backend, Installation, Signet};
use crate::pooler::{Announcements, Pooler};
use crate::postgres::Postgres;
use crate::world::{ORDERS, World, eventually};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];
/// So seldom that no test sees it.
const NEVER: Duration = Duration::from_secs(86_400);
/// What the papers promise.
const SOON: Duration = Duration::from_secs(2);

/// Replicas over one database, and a client that all of them know.
struct Replicas {
    replicas: Vec<Signet>,
    world: World,
    secret: String,
    _installation: Installation,
}

impl Replicas {
    /// Over a database that is set up here; each reaches it at `url`, and changes are made directly.
    async fn start(installation: Installation, url: Option<&str>, count: usize) -> Self {
        let opened = installation.open(Preparation::Initialise).await;
        initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
        opened.store.close().await;
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        let secret = world.client("shop", json!({"access": {ORDERS: "orders:read"}})).await;
        let installation = match url {
            Some(url) => installation.without("DATABASE__URL").with("DATABASE__URL", url),
            None => installation,
        };
        let mut replicas = Vec::new();
        for _ in 0..count {
            replicas.push(installation.start().await);
        }
        let replicas = Self { replicas, world, secret, _installation: installation };
        replicas.see(true).await;
        replicas
    }

    /// Waits until each replica lets the client in, or doesn't.
    async fn see(&self, enabled: bool) {
        for replica in &self.replicas {
            eventually(async || {
                let answer = replica.token(Some(("shop", &self.secret)), &FORM).await;
                let wanted = if enabled { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
                (answer.status == wanted).then_some(())
            })
            .await;
        }
    }

    /// Changes the client back and forth; answers the longest time until all replicas had it.
    async fn slowest_of(&self, changes: u32) -> Duration {
        let mut slowest = Duration::ZERO;
        for place in 0..changes {
            let enabled = place % 2 == 1;
            let started = Instant::now();
            self.world.set_enabled("shop", enabled).await;
            self.see(enabled).await;
            slowest = slowest.max(started.elapsed());
        }
        slowest
    }

    async fn stop(self) {
        self.world.opened.store.close().await;
        for replica in self.replicas {
            replica.stop().await;
        }
    }
}

fn on(url: &str) -> Installation {
    Installation::new().with("DATABASE__URL", url)
}

/// How many connections listen to that database.
fn listening(url: &str) -> Vec<String> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    Postgres::shared().psql(url, sql).lines().map(str::to_owned).collect()
}

async fn all_listen(url: &str, replicas: usize) -> Vec<String> {
    eventually(async || Some(listening(url)).filter(|pids| pids.len() == replicas)).await
}

fn end(url: &str, pids: &[String]) {
    for pid in pids {
        assert_eq!(Postgres::shared().psql(url, &format!("SELECT pg_terminate_backend({pid})")), "t");
    }
}

#[actix_web::test]
async fn a_change_by_another_process_is_taken_up_at_once_by_its_announcement_alone() {
    let url = Postgres::shared().database();
    let replicas = Replicas::start(on(&url).following_every(NEVER), None, 2).await;
    all_listen(&url, 2).await;
    let slowest = replicas.slowest_of(10).await;
    println!("a change took {slowest:?} at most");
    assert!(slowest < SOON, "{slowest:?}");
    replicas.stop().await;
}

#[actix_web::test]
async fn a_listening_connection_that_is_killed_is_replaced_and_what_it_missed_is_taken_up() {
    let url = Postgres::shared().database();
    let replicas = Replicas::start(on(&url).following_every(NEVER), None, 2).await;
    for enabled in [false, true] {
        let killed = all_listen(&url, 2).await;
        end(&url, &killed);
        // While nobody listens; whoever listens again asks first.
        replicas.world.set_enabled("shop", enabled).await;
        replicas.see(enabled).await;
        let again = all_listen(&url, 2).await;
        assert!(again.iter().all(|pid| !killed.contains(pid)));
        let slowest = replicas.slowest_of(4).await;
        assert!(slowest < SOON, "{slowest:?}");
        replicas.world.set_enabled("shop", true).await;
        replicas.see(true).await;
    }
    replicas.stop().await;
}

#[actix_web::test]
async fn while_nobody_can_listen_changes_are_found_by_asking() {
    for announcements in [Announcements::Refused, Announcements::Swallowed] {
        let url = Postgres::shared().database();
        let pooler = Pooler::before(&url, announcements);
        let installation = on(&url).following_as_in_production();
        let replicas = Replicas::start(installation, Some(&pooler.url(&url)), 1).await;
        let slowest = replicas.slowest_of(4).await;
        println!("{announcements:?}: a change took {slowest:?} at most");
        assert!(slowest < SOON + Duration::from_secs(3), "the poll of each second, on a busy machine: {slowest:?}");
        assert_eq!(replicas.replicas[0].ready().await.status, StatusCode::OK);
        let asked = pooler.asked_to_listen();
        assert!((1..=4).contains(&asked), "asked {asked} times");
        replicas.stop().await;
    }
}

#[actix_web::test]
async fn a_change_that_is_rolled_back_is_not_announced_and_sqlite_announces_nothing() {
    use signet::clients::ClientStore;
    let sqlite = crate::store::Database::new(Backend::Sqlite);
    assert!(sqlite.open().await.subscribe().await.unwrap().is_none());

    let database = crate::store::Database::new(Backend::Postgres);
    let store = database.open().await;
    let mut subscription = store.subscribe().await.unwrap().unwrap();
    let client = crate::store::client("shop", json!({}), database.now());
    let entry = crate::world::entry();
    let _ = store.insert_client(&client, &entry).await.unwrap();
    tokio::time::timeout(SOON, subscription.changed()).await.unwrap().unwrap();
    // A second client of that name rolls back.
    let _ = store.insert_client(&client, &entry).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(300), subscription.changed()).await;
    assert!(silence.is_err(), "{silence:?}");
}
