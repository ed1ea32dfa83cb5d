//! Every way to Redis that there is, and those that must not be taken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use signet::clients::Insert;
use signet::ports::{Clock, StoreError, SystemClock};
use signet::store::redis::{Namespace, Options, RedisStore, RedisUrl, Topology};
use signet::tokens::session::SessionStore;
use tempfile::TempDir;

use super::sessions::{NEXT_KEY, POLICY, presented, session};
use super::{Cluster, MASTER_NAME, Redis, Watched, namespace, tls_lines};
use crate::tls::authority::Authority;

/// What a store is opened with: a namespace of its own, and more time than in production.
pub fn options(url: &str) -> Options {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Options {
        url: RedisUrl::parse(url).unwrap(),
        topology: Topology::Single,
        ca_file: None,
        namespace: Namespace::parse(&namespace()).unwrap(),
        // Other tests share this machine.
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        wait_replicas: 0,
    }
}

/// With the time that a command has in production.
pub fn in_time(options: Options) -> Options {
    Options { timeout: Duration::from_millis(200), ..options }
}

/// Its master, by way of the Sentinels.
pub fn watched(servers: &Watched) -> Options {
    let sentinels = RedisUrl::parse(&servers.sentinels_url()).unwrap();
    Options { topology: Topology::Sentinel { sentinels }, ..options(&format!("redis://{MASTER_NAME}")) }
}

pub fn cluster(nodes: &Cluster) -> Options {
    Options { topology: Topology::Cluster, ..options(&nodes.url()) }
}

pub async fn open(options: &Options) -> Result<RedisStore, StoreError> {
    RedisStore::open(options, Arc::new(SystemClock)).await
}

/// Opens it, and it works.
pub async fn opened(options: &Options) -> RedisStore {
    let store = open(options).await.unwrap();
    assert_eq!(store.health().problem, None);
    store.take_up_layout().await.unwrap();
    store
}

async fn refused(options: &Options) -> String {
    match open(options).await {
        Err(StoreError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Servers with TLS, which have a certificate for these names: started with lines of configuration, and asked with
/// arguments of `redis-cli`.
fn with_tls<T>(folder: &Path, names: &[&str], start: impl FnOnce(&[&str], &[&str]) -> T) -> T {
    let authority = Authority::new();
    authority.issue_to(names).store(folder);
    std::fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
    let lines = tls_lines(folder);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let ca = folder.join("ca.crt").display().to_string();
    start(&lines, &["--tls", "--cacert", &ca])
}

/// Sessions begin there, wherever in a Cluster they fall, and are refreshed.
async fn refreshes(store: &RedisStore) {
    for number in 0..30 {
        let session = session(number, SystemClock.now());
        assert_eq!(store.insert(&session).await.unwrap(), Insert::Inserted);
        assert!(store.swap(&presented(&session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
    }
}

#[tokio::test]
async fn one_server_a_watched_master_and_a_cluster_are_reached() {
    opened(&options(&Redis::shared().url())).await;
    opened(&cluster(Cluster::shared())).await;
    opened(&watched(&Watched::start())).await;
}

#[tokio::test]
async fn any_node_of_a_cluster_leads_to_all() {
    for node in &Cluster::shared().nodes {
        let one = Options { topology: Topology::Cluster, ..options(&node.url()) };
        opened(&one).await;
    }
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_is_spoken_and_another_is_not_trusted() {
    let folder = TempDir::new().unwrap();
    let redis = with_tls(folder.path(), &["127.0.0.1"], |lines, cli| Redis::start(lines).asked_with(cli));
    let url = redis.url().replace("redis://", "rediss://");
    let trusting = Options { ca_file: Some(folder.path().join("ca.crt")), ..options(&url) };
    opened(&trusting).await;
    let store = open(&Options { connect_timeout: Duration::from_secs(1), ..options(&url) }).await.unwrap();
    let problem = store.health().problem.unwrap();
    assert!(problem.contains("certificate"), "{problem}");
    let missing = Options { ca_file: Some("/nowhere/ca.crt".into()), ..options(&url) };
    assert!(refused(&missing).await.starts_with("/nowhere/ca.crt can't be read: "));
}

#[tokio::test]
async fn tls_is_spoken_to_every_node_of_a_cluster_by_the_name_that_it_announces() {
    let folder = TempDir::new().unwrap();
    let nodes = with_tls(folder.path(), &["localhost"], |lines, cli| {
        let announce =
            ["tls-cluster yes", "cluster-announce-hostname localhost", "cluster-preferred-endpoint-type hostname"];
        Cluster::start_with(&[lines, &announce].concat(), cli)
    });
    // One is enough to find the others.
    let at = |host: &str| format!("rediss://{host}:{}", nodes.nodes[0].port());
    let named = Options {
        ca_file: Some(folder.path().join("ca.crt")),
        topology: Topology::Cluster,
        ..options(&at("localhost"))
    };
    let store = opened(&named).await;
    refreshes(&store).await;
    for node in &nodes.nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0", "each node has some of the sessions");
    }
    // The certificate bears no address.
    let unnamed =
        Options { url: RedisUrl::parse(&at("127.0.0.1")).unwrap(), connect_timeout: Duration::from_secs(1), ..named };
    let problem = open(&unnamed).await.unwrap().health().problem.unwrap();
    assert!(problem.contains("certificate"), "{problem}");
}

#[tokio::test]
async fn tls_is_spoken_to_sentinels_and_to_the_master_that_they_name() {
    let folder = TempDir::new().unwrap();
    let servers = with_tls(folder.path(), &["127.0.0.1"], |lines, cli| {
        Watched::start_with(&[lines, &["tls-replication yes"]].concat(), cli)
    });
    let sentinels = RedisUrl::parse(&servers.sentinels_url().replace("redis://", "rediss://")).unwrap();
    let ca_file = Some(folder.path().join("ca.crt"));
    let trusting =
        Options { topology: Topology::Sentinel { sentinels }, ca_file, ..options(&format!("rediss://{MASTER_NAME}")) };
    refreshes(&opened(&trusting).await).await;
    assert_ne!(servers.master().ask(&["DBSIZE"]), "0");
    let untrusting = Options { ca_file: None, connect_timeout: Duration::from_secs(1), ..trusting };
    let problem = open(&untrusting).await.unwrap().health().problem.unwrap();
    assert!(problem.contains("certificate"), "{problem}");
}

#[tokio::test]
async fn a_user_of_the_acl_needs_its_password() {
    let redis = Redis::start(&["user signet on >hunter2 ~* &* +@all", "user default on nopass ~* &* +@all"]);
    let at = |credentials: &str| options(&redis.url().replace("redis://", &format!("redis://{credentials}@")));
    opened(&at("signet:hunter2")).await;
    let why = refused(&at("signet:wrong-hunter3")).await;
    assert!(why.starts_with("it does not let this user in: ") && !why.contains("hunter3"), "{why}");
    assert!(!format!("{:?}", at("signet:hunter2")).contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_would_forget_is_refused_with_what_to_do() {
    let redis = Redis::start(&["maxmemory-policy allkeys-lru"]);
    let why = refused(&options(&redis.url())).await;
    assert_eq!(
        why,
        "its maxmemory-policy is allkeys-lru, by which it forgets sessions when memory runs short: set it to noeviction"
    );
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    opened(&options(&redis.url())).await;
}

#[tokio::test]
async fn a_user_that_may_not_be_told_what_redis_is_gets_a_clear_sentence() {
    let redis = Redis::start(&["user blind on >pw ~* &* +@all -info", "user shy on >pw ~* &* +@all -config"]);
    let at = |user: &str| options(&redis.url().replace("redis://", &format!("redis://{user}:pw@")));
    let why = refused(&at("blind")).await;
    assert!(why.contains("may not run INFO") && why.contains("`+info`"), "{why}");
    opened(&at("shy")).await;
}

#[tokio::test]
async fn a_redis_that_is_away_or_a_replica_is_waited_for() {
    let watched = Watched::start();
    let replica = &watched.servers[1];
    let store = open(&options(&replica.url())).await.unwrap();
    assert_eq!(store.health().problem.as_deref(), Some("it is a replica, and takes no writes"));
    let error = store.take_up_layout().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let nobody = open(&options("redis://127.0.0.1:1")).await.unwrap();
    assert!(nobody.health().problem.unwrap().contains("refused"));
    let unknown = Options { url: RedisUrl::parse("redis://other").unwrap(), ..self::watched(&watched) };
    assert!(refused(&unknown).await.contains("knows no master called \"other\""));
}

#[tokio::test]
async fn another_layout_is_refused() {
    let (redis, options) = (Redis::shared(), options(&Redis::shared().url()));
    redis.tell(&["SET", &format!("{{{}}}:layout", options.namespace), "2"]);
    let why = refused(&options).await;
    assert!(why.contains("is of layout 2, and this program knows layout 1"), "{why}");
}
