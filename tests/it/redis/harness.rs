//! The servers for the tests do what the tests take them for.

use super::{Cluster, Redis, Watched, eventually};
use crate::keeper::{assert_gone_with_its_holder, hold, is_holder, listens};

#[test]
fn a_killed_server_comes_back_with_what_it_had_on_disk_or_without() {
    let redis = Redis::start(&["appendonly yes", "appendfsync always"]);
    redis.tell(&["SET", "seal", "wax"]);
    redis.kill();
    assert!(!listens(&redis.address));
    redis.start_again();
    eventually("it has loaded", || redis.ask(&["GET", "seal"]) == "wax");
    redis.kill();
    redis.wipe();
    redis.start_again();
    assert_eq!(redis.ask(&["GET", "seal"]), "");
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let redis = Redis::start(&[]);
    let (address, folder) = (redis.address.clone(), redis.folder.clone());
    assert!(listens(&address) && folder.exists());
    drop(redis);
    assert!(!listens(&address), "{address} still answers");
    assert!(!folder.exists(), "{} is still there", folder.display());
}

#[test]
fn a_cluster_serves_every_slot_and_its_nodes_send_callers_on() {
    let cluster = Cluster::shared();
    let moved = cluster.nodes.iter().filter(|node| node.ask(&["GET", "x"]).starts_with("MOVED")).count();
    assert_eq!(moved, 2);
}

#[test]
fn the_watched_master_is_replaced_when_it_dies() {
    let watched = Watched::start();
    let first = watched.master().address.clone();
    watched.master().kill();
    eventually("the Sentinels name another", || watched.master().address != first);
}

#[test]
#[ignore = "the process that the next test kills"]
fn hold_a_server() {
    if is_holder() {
        let redis = Redis::start(&[]);
        hold(&[&redis.address, redis.folder.to_str().unwrap()]);
    }
}

#[test]
fn a_killed_process_leaves_no_server_behind() {
    assert_gone_with_its_holder("redis::harness::hold_a_server");
}
