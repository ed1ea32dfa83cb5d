//! Real Redis servers for the tests: single ones, some with TLS or users, a Cluster of three nodes, and a master with its
//! replica and three Sentinels.
//!
//! Guarantees: each server runs on a free loopback port in a temporary folder, and is gone, folder and all, however this
//! process ends ([`keeper`](crate::keeper)).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attempts;
mod cluster;
pub mod connection;
mod faults;
mod harness;
mod sentinel;
mod sessions;
mod start;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::keeper::Keeper;
pub use crate::keeper::eventually;
pub use cluster::Cluster;
pub use sentinel::{MASTER_NAME, Watched};

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Redis {
    keeper: Keeper,
    /// Host and port.
    pub address: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// What `redis-cli` needs besides the port.
    cli: Vec<String>,
}

impl Redis {
    /// The one that all tests of this binary share, started by the first that asks. Each takes a namespace of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["appendonly yes"]))
    }

    /// Starts one of one's own with these lines of `redis.conf` besides, in which FOLDER stands for its folder.
    ///
    /// Panics with the reason when there is no Redis or it does not start.
    pub fn start(lines: &[&str]) -> Self {
        let (keeper, [address, folder]) = Keeper::start("redis", lines);
        Self { keeper, address, folder: folder.into(), cli: Vec::new() }
    }

    /// One that `redis-cli` reaches with these arguments.
    pub fn asked_with(mut self, arguments: &[&str]) -> Self {
        self.cli = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    /// What it answers to a command.
    ///
    /// Panics when it can't be reached.
    pub fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    fn try_ask(&self, command: &[&str]) -> Result<String, String> {
        let mut asked = Command::new("redis-cli");
        asked.args(["-p", self.port()]).args(&self.cli).args(command).stdin(Stdio::null());
        let answer = asked.output().expect("redis-cli runs");
        let text = String::from_utf8(answer.stdout).expect("UTF-8").trim_end().to_owned();
        if answer.status.success() {
            Ok(text)
        } else {
            Err(format!("{text}{}", String::from_utf8_lossy(&answer.stderr)))
        }
    }

    /// Whether its one replica has said that it has all. `WAIT` would not do: it is about writes of its own connection.
    pub fn is_followed(&self) -> bool {
        let info = self.ask(&["INFO", "replication"]);
        let line =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        let replica = line("slave0:");
        let has = replica.split(',').find_map(|field| field.strip_prefix("offset="));
        has == Some(line("master_repl_offset:").as_str()) && replica.contains("state=online")
    }

    /// Whether it is a replica that has what its master has. A Sentinel that makes it one ends its connections.
    pub fn follows(&self) -> bool {
        self.try_ask(&["INFO", "replication"]).is_ok_and(|info| info.contains("master_link_status:up"))
    }

    /// A command that must be answered by OK.
    pub fn tell(&self, command: &[&str]) {
        let answer = self.ask(command);
        assert_eq!(answer, "OK", "{command:?}");
    }

    /// A number out of `INFO`.
    pub fn info(&self, field: &str) -> u64 {
        let info = self.ask(&["INFO", "everything"]);
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("INFO has no {field}")).trim().parse().unwrap()
    }

    /// As by `kill -9`.
    pub fn kill(&self) {
        self.keeper.act("kill");
    }

    /// Starts it again on its port, with what is on its disk.
    pub fn start_again(&self) {
        self.keeper.act("start");
    }

    /// Removes what is on its disk; it must not run.
    pub fn wipe(&self) {
        self.keeper.act("wipe");
    }

    /// It hangs: its connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.keeper.act("stop");
    }

    pub fn thaw(&self) {
        self.keeper.act("continue");
    }
}

/// A namespace that no other test of this binary has.
pub fn namespace() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The files of that folder's TLS server.
pub fn tls_lines(folder: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        "port 0".to_owned(),
        "tls-port PORT".to_owned(),
        format!("tls-cert-file {}", at("tls.crt")),
        format!("tls-key-file {}", at("tls.key")),
        "tls-auth-clients no".to_owned(),
        format!("tls-ca-cert-file {}", at("ca.crt")),
    ]
}
