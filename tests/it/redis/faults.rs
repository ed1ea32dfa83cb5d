//! Redis away, hanging, slow, replaced and torn apart: every call is answered in time, and all is well again without help.

use std::time::{Duration, Instant};

use signet::ports::StoreError;
use signet::store::redis::{Options, RedisStore};

use super::connection::{cluster, in_time, opened, options, watched};
use super::{Cluster, Redis, Watched};
use crate::proxy::Proxy;

/// What no call may take longer than.
const BOUND: Duration = Duration::from_millis(250);

/// Calls until it fails, and answers how long the slowest call took.
async fn until_it_fails(store: &RedisStore) -> Duration {
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    loop {
        let call = Instant::now();
        let outcome = store.take_up_layout().await;
        slowest = slowest.max(call.elapsed());
        match outcome {
            Err(StoreError::Unavailable(_)) => return slowest,
            Err(error) => panic!("{error}"),
            Ok(()) => assert!(begun.elapsed() < Duration::from_secs(10), "it never failed"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How long it takes until calls succeed again, each in time.
async fn until_it_works(store: &RedisStore) -> Duration {
    let begun = Instant::now();
    loop {
        let call = Instant::now();
        let outcome = store.take_up_layout().await;
        assert!(call.elapsed() < BOUND, "{:?}: {outcome:?}", call.elapsed());
        match outcome {
            Ok(()) => return begun.elapsed(),
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it never worked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// While it is down a thousand calls at once cost nothing.
async fn fails_at_once(store: &RedisStore) {
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert!(matches!(store.take_up_layout().await, Err(StoreError::Unavailable(_))));
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_killed_redis_fails_calls_at_once_and_is_found_again() {
    let redis = Redis::start(&["appendonly yes"]);
    let store = opened(&in_time(options(&redis.url()))).await;
    let mut found = Vec::new();
    for round in 0..5 {
        redis.kill();
        let slowest = until_it_fails(&store).await;
        assert!(slowest < BOUND, "{slowest:?}");
        fails_at_once(&store).await;
        if round % 2 == 1 {
            redis.wipe();
        }
        redis.start_again();
        found.push(until_it_works(&store).await);
    }
    let longest = found.iter().max().unwrap();
    println!("Redis killed and started {} times: found again within {longest:?}", found.len());
    assert_eq!(store.health().losses, 5);
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_time_out_and_then_nothing() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(&redis.url());
    let store = opened(&in_time(options(&proxy.url))).await;
    for _ in 0..3 {
        proxy.swallow();
        let calls = (0..100).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                assert!(matches!(store.take_up_layout().await, Err(StoreError::Unavailable(_))));
                begun.elapsed()
            })
        });
        let mut slowest = Duration::ZERO;
        for call in calls.collect::<Vec<_>>() {
            slowest = slowest.max(call.await.unwrap());
        }
        assert!(slowest < BOUND, "{slowest:?}");
        fails_at_once(&store).await;
        proxy.restore();
        let found = until_it_works(&store).await;
        println!("a black hole: 100 calls failed within {slowest:?}, found again within {found:?}");
    }
    // A process that stands still is no different.
    redis.freeze();
    assert!(until_it_fails(&store).await < BOUND);
    fails_at_once(&store).await;
    redis.thaw();
    until_it_works(&store).await;
}

#[tokio::test]
async fn an_idle_connection_that_was_lost_is_noticed_without_a_call() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(&redis.url());
    let store = opened(&in_time(options(&proxy.url))).await;
    proxy.swallow();
    crate::world::eventually(async || store.health().problem.map(drop)).await;
    proxy.restore();
    crate::world::eventually(async || store.health().problem.is_none().then_some(())).await;
}

#[tokio::test]
async fn a_slow_redis_is_used_and_many_calls_wait_together() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(&redis.url());
    let store = opened(&in_time(options(&proxy.url))).await;
    proxy.delay(Duration::from_millis(100));
    let begun = Instant::now();
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.take_up_layout().await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let took = begun.elapsed();
    assert!(took < BOUND, "{took:?}");
    println!("200 calls at once over 100 ms: {took:?}");
    assert_eq!(store.health().losses, 0);
}

#[tokio::test]
async fn a_cut_connection_is_made_anew() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(&redis.url());
    let store = opened(&in_time(options(&proxy.url))).await;
    for _ in 0..10 {
        proxy.cut();
        until_it_fails(&store).await;
        proxy.restore();
        until_it_works(&store).await;
    }
    assert!(proxy.connections() < 200, "{}", proxy.connections());
}

#[tokio::test]
async fn a_failover_by_sentinel_is_followed() {
    let servers = Watched::start();
    let store = opened(&in_time(watched(&servers))).await;
    let first = servers.master().address.clone();
    servers.master().kill();
    let slowest = until_it_fails(&store).await;
    assert!(slowest < BOUND, "{slowest:?}");
    fails_at_once(&store).await;
    let found = until_it_works(&store).await;
    assert_ne!(servers.master().address, first);
    println!("failover by Sentinel: the new master was in use after {found:?}");
    // The old master comes back as a replica, and then takes over again, by hand this time.
    let old = servers.servers.iter().find(|server| server.address == first).unwrap();
    old.start_again();
    super::eventually("the old master follows", || old.follows());
    super::eventually("the Sentinels agree to a failover", || {
        servers.sentinels[0].ask(&["SENTINEL", "FAILOVER", super::sentinel::MASTER_NAME]) == "OK"
    });
    super::eventually("the old master is the master", || servers.master().address == first);
    let found = until_it_works(&store).await;
    println!("failover by hand: the old master was in use again after {found:?}");
}

#[tokio::test]
async fn a_node_of_a_cluster_that_dies_fails_its_slots_alone() {
    let nodes = Cluster::start();
    let mut stores = Vec::new();
    for _ in 0..12 {
        stores.push(opened(&in_time(cluster(&nodes))).await);
    }
    let at = |store: &RedisStore| {
        let key = format!("{{{}}}:layout", namespace_of(store));
        nodes.nodes.iter().position(|node| node.ask(&["EXISTS", &key]) == "1").unwrap()
    };
    let places: Vec<_> = stores.iter().map(at).collect();
    nodes.nodes[0].kill();
    for (store, place) in stores.iter().zip(&places) {
        if *place == 0 {
            assert!(until_it_fails(store).await < BOUND);
            fails_at_once(store).await;
        } else {
            until_it_works(store).await;
        }
    }
    nodes.nodes[0].start_again();
    for store in &stores {
        until_it_works(store).await;
    }
    println!(
        "a node of a Cluster killed: slots at the three nodes {places:?}, those of the first failed and came back"
    );
}

/// Out of what its Debug tells.
fn namespace_of(store: &RedisStore) -> String {
    let text = format!("{store:?}");
    text.split("Namespace(\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let nodes = Cluster::start();
    let options: Options = cluster(&nodes);
    let store = opened(&options).await;
    let key = format!("{{{}}}:layout", options.namespace);
    let slot: u16 = nodes.nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]).parse().unwrap();
    for to in (0..3).chain(0..3) {
        let has_it = nodes.nodes[to].ask(&["EXISTS", &key]) == "1";
        if !has_it {
            nodes.move_slot(slot, to);
        }
        store.take_up_layout().await.unwrap();
        assert_eq!(nodes.nodes[to].ask(&["EXISTS", &key]), "1");
    }
    assert_eq!(store.health().losses, 0);
}
