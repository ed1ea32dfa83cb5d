//! A real Cluster of three masters.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Redis, eventually};

/// Three nodes; dropping it ends them.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// The one that all tests of this binary share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts one, and waits until it serves all slots.
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// The same with these lines of `redis.conf` in each node besides, which `redis-cli` reaches with these arguments.
    pub fn start_with(more: &[&str], cli: &[&str]) -> Self {
        let own = [
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            "cluster-node-timeout 2000",
            "cluster-require-full-coverage no",
        ];
        let lines = [&own, more].concat();
        let nodes: Vec<Redis> = (0..3).map(|_| Redis::start(&lines).asked_with(cli)).collect();
        let made = Command::new("redis-cli")
            .args(cli)
            .args(["--cluster", "create"])
            .args(nodes.iter().map(|node| &node.address))
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli runs");
        assert!(made.status.success(), "no Cluster: {}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        cluster.is_whole();
        cluster
    }

    /// Waits until every node knows that every slot is served.
    pub fn is_whole(&self) {
        for node in &self.nodes {
            eventually("the Cluster is whole", || {
                node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && node.ask(&["CLUSTER", "SLOTS"]).matches("127.0.0.1").count() == self.nodes.len()
            });
        }
    }

    /// All nodes in one URL.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| node.address.as_str()).collect();
        format!("redis://{}", addresses.join(","))
    }

    /// Moves a slot with its keys from the node that has it to another, as a rebalancing does.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let slot = slot.to_string();
        let id = |node: &Redis| node.ask(&["CLUSTER", "MYID"]);
        let owns = |node: &&Redis| node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) != "0";
        let target = &self.nodes[to];
        let source = self.nodes.iter().find(owns).expect("a node with keys in that slot");
        assert_ne!(source.address, target.address);
        target.tell(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]);
        source.tell(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]);
        let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for key in keys.lines() {
            source.tell(&["MIGRATE", "127.0.0.1", target.port(), key, "0", "5000"]);
        }
        for node in [target, source] {
            node.tell(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]);
        }
    }
}
