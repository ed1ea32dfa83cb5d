//! The servers for the tests do what the tests take them for.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Cluster, Redis, Watched, eventually};

fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

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

const HOLD: &str = "SIGNET_TEST_HOLD_REDIS";

#[test]
#[ignore = "the process that the next test kills"]
fn hold_a_server() {
    if let Some(file) = std::env::var_os(HOLD) {
        let redis = Redis::start(&[]);
        std::fs::write(file, format!("{}\n{}\n", redis.address, redis.folder.display())).unwrap();
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_no_server_behind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "redis::harness::hold_a_server"])
        .env(HOLD, file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    eventually("the other process has its server", || {
        said = std::fs::read_to_string(file.path()).unwrap();
        said.lines().count() == 2
    });
    let (address, folder) = said.trim_end().split_once('\n').unwrap();
    assert!(listens(address) && Path::new(folder).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("the server is gone", || !listens(address) && !Path::new(folder).exists());
}
