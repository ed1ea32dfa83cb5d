//! A master, its replica, and three Sentinels that watch them.

use super::{Redis, eventually};

/// The name by which the Sentinels know the master.
pub const MASTER_NAME: &str = "signet-test";

/// All five; dropping it ends them.
#[derive(Debug)]
pub struct Watched {
    /// The first of them was the master at the start.
    pub servers: Vec<Redis>,
    pub sentinels: Vec<Redis>,
}

impl Watched {
    /// Starts them, and waits until each Sentinel knows all.
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// The same with these lines of configuration in each besides, which `redis-cli` reaches with these arguments.
    pub fn start_with(more: &[&str], cli: &[&str]) -> Self {
        let own = [&["repl-diskless-sync-delay 0", "appendonly yes"], more].concat();
        let master = Redis::start(&own).asked_with(cli);
        let follow = format!("replicaof 127.0.0.1 {}", master.port());
        let replica = Redis::start(&[&own[..], &[&follow]].concat()).asked_with(cli);
        let monitor = format!("sentinel monitor {MASTER_NAME} 127.0.0.1 {} 2", master.port());
        let [down, failover] = ["down-after-milliseconds 1000", "failover-timeout 3000"].map(|setting| {
            let (name, value) = setting.split_once(' ').unwrap();
            format!("sentinel {name} {MASTER_NAME} {value}")
        });
        eventually("the replica follows", || replica.follows());
        let watch = [&["--sentinel"], more, &[&monitor, &down, &failover]].concat();
        let sentinels: Vec<_> = (0..3).map(|_| Redis::start(&watch).asked_with(cli)).collect();
        let watched = Self { servers: vec![master, replica], sentinels };
        eventually("the Sentinels know each other and the replica", || watched.is_watched());
        watched
    }

    /// Whether every Sentinel knows the others, and a replica that could take over.
    pub fn is_watched(&self) -> bool {
        self.sentinels.iter().all(|sentinel| {
            let known = sentinel.ask(&["SENTINEL", "MASTER", MASTER_NAME]);
            let number = |name: &str| {
                let mut lines = known.lines();
                lines.find(|line| *line == name).and_then(|_| lines.next()).unwrap_or_default().to_owned()
            };
            let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", MASTER_NAME]);
            let down = replicas.contains("s_down") || replicas.contains("disconnected");
            number("num-other-sentinels") == "2" && number("num-slaves") == "1" && !down
        })
    }

    /// The Sentinels in one URL.
    pub fn sentinels_url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.address.as_str()).collect();
        format!("redis://{}", addresses.join(","))
    }

    /// The server that the Sentinels call the master.
    pub fn master(&self) -> &Redis {
        let answer = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME]);
        let port = answer.lines().nth(1).expect("a port").to_owned();
        self.servers.iter().find(|server| server.port() == port).expect("one of ours")
    }
}
