//! A Postgres for the tests: one throwaway cluster for the whole test binary, a fresh database for each test.
//!
//! Guarantees: the cluster runs on a free loopback port in a temporary folder, and is gone, folder and all, however
//! this process ends ([`keeper`](crate::keeper)).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::keeper::Keeper;

/// A running cluster; dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    keeper: Keeper,
    /// URL of the cluster up to the database's name, with the `/`.
    base: String,
    programs: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// The cluster that all tests of this binary share, started by the first that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a cluster of one's own, for tests that stop or restart it.
    ///
    /// Panics with the reason when there is no Postgres or it does not start.
    pub fn start() -> Self {
        let (keeper, [url, programs]) = Keeper::start("postgres", &[]);
        let base = url.strip_suffix("postgres").expect("the URL of a database").to_owned();
        Self { base, programs: programs.into(), databases: AtomicU32::new(0), keeper }
    }

    /// Ends all of its processes at once: connections are lost, and it has to recover.
    pub fn kill(&self) {
        self.keeper.act("kill");
    }

    /// Starts it again on its port.
    pub fn start_again(&self) {
        self.keeper.act("start");
    }

    /// Creates an empty database and answers its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql(&self.url("postgres"), &format!("create database {name}"));
        self.url(&name)
    }

    /// What `sql` answers in the database of that URL: rows by line, columns parted by `|`.
    ///
    /// Panics when Postgres refuses.
    pub fn psql(&self, url: &str, sql: &str) -> String {
        let answer = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", sql, url])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        assert!(answer.status.success(), "{sql}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// Where psql and its kin are.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    fn url(&self, database: &str) -> String {
        format!("{}{database}", self.base)
    }
}

mod tests {
    use super::*;
    use crate::keeper::{assert_gone_with_its_holder, hold, is_holder, listens};

    fn folder_of(cluster: &Postgres) -> String {
        let data = cluster.psql(&cluster.url("postgres"), "show data_directory");
        data.strip_suffix("/data").expect("the data folder").to_owned()
    }

    fn address_of(url: &str) -> String {
        url.strip_prefix("postgres://signet@").unwrap().split('/').next().unwrap().to_owned()
    }

    #[test]
    fn each_database_is_empty_and_of_its_own() {
        let cluster = Postgres::shared();
        let (one, two) = (cluster.database(), cluster.database());
        assert_ne!(one, two);
        cluster.psql(&one, "create table letters (seal text); insert into letters values ('wax')");
        assert_eq!(cluster.psql(&one, "select seal, 1 from letters"), "wax|1");
        assert_eq!(cluster.psql(&two, "select count(*) from pg_tables where schemaname = 'public'"), "0");
    }

    #[test]
    fn the_cluster_keeps_what_it_acknowledges() {
        let cluster = Postgres::shared();
        for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("server_encoding", "UTF8")] {
            assert_eq!(cluster.psql(&cluster.url("postgres"), &format!("show {setting}")), value, "{setting}");
        }
    }

    #[test]
    fn a_dropped_cluster_is_gone_with_its_folder() {
        let cluster = Postgres::start();
        let (folder, address) = (folder_of(&cluster), address_of(&cluster.base));
        assert!(listens(&address) && Path::new(&folder).exists());
        drop(cluster);
        assert!(!listens(&address), "{address} still answers");
        assert!(!Path::new(&folder).exists(), "{folder} is still there");
    }

    #[test]
    #[ignore = "the process that the next test kills"]
    fn hold_a_cluster() {
        if is_holder() {
            let cluster = Postgres::start();
            hold(&[&address_of(&cluster.base), &folder_of(&cluster)]);
        }
    }

    #[test]
    fn a_killed_process_leaves_no_cluster_behind() {
        assert_gone_with_its_holder("postgres::tests::hold_a_cluster");
    }
}
