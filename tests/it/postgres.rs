//! A Postgres for the tests: one throwaway cluster for the whole test binary, a fresh database for each test.
//!
//! Guarantees: the cluster runs on a free loopback port in a temporary folder, and is gone, folder and all, however
//! this process ends: `scripts/postgres` keeps it only as long as this process holds its input open. A missing
//! Postgres is a failure that says how to install it, never a test passed over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// A running cluster; dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    keeper: Mutex<(Child, BufReader<ChildStdout>)>,
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
        let mut keeper = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of reach of a Ctrl-C that ends this process: the keeper must outlive it by a moment.
            .process_group(0)
            .spawn()
            .expect("scripts/postgres runs");
        let mut said = BufReader::new(keeper.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let (url, programs) = (line(), line());
        let Some(base) = url.strip_suffix("postgres").filter(|_| !programs.is_empty()) else {
            let mut why = String::new();
            keeper.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("no Postgres for the tests: {why}");
        };
        let databases = AtomicU32::new(0);
        Self { base: base.to_owned(), programs: programs.into(), databases, keeper: Mutex::new((keeper, said)) }
    }

    /// Ends all of its processes at once: connections are lost, and it has to recover.
    pub fn kill(&self) {
        self.act("kill");
    }

    /// Starts it again on its port.
    pub fn start_again(&self) {
        self.act("start");
    }

    fn act(&self, act: &str) {
        let mut keeper = self.keeper.lock().unwrap();
        let (child, said) = &mut *keeper;
        writeln!(child.stdin.as_mut().unwrap(), "{act}").unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{act}");
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

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input tells the keeper to stop the cluster; its own end says that this is done.
        let Ok((child, _)) = self.keeper.get_mut() else { return };
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn folder_of(cluster: &Postgres) -> String {
        let data = cluster.psql(&cluster.url("postgres"), "show data_directory");
        data.strip_suffix("/data").expect("the data folder").to_owned()
    }

    fn address_of(url: &str) -> String {
        url.strip_prefix("postgres://signet@").unwrap().split('/').next().unwrap().to_owned()
    }

    fn listens(address: &str) -> bool {
        TcpStream::connect(address).is_ok()
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

    const HOLD: &str = "SIGNET_TEST_HOLD_POSTGRES";

    #[test]
    #[ignore = "the process that the next test kills"]
    fn hold_a_cluster() {
        if std::env::var_os(HOLD).is_some() {
            let cluster = Postgres::shared();
            std::fs::write(
                std::env::var_os(HOLD).unwrap(),
                format!("{}\n{}\n", address_of(&cluster.base), folder_of(cluster)),
            )
            .unwrap();
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_killed_process_leaves_no_cluster_behind() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "postgres::tests::hold_a_cluster"])
            .env(HOLD, file.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        eventually("the other process has its cluster", || {
            said = std::fs::read_to_string(file.path()).unwrap();
            said.lines().count() == 2
        });
        let (address, folder) = said.trim_end().split_once('\n').unwrap();
        assert!(listens(address) && Path::new(folder).exists());
        holder.kill().unwrap();
        holder.wait().unwrap();
        eventually("the cluster is gone", || !listens(address) && !Path::new(folder).exists());
    }

    /// Waits for what another process does, at most a minute.
    #[track_caller]
    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        for _ in 0..3_000 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not within a minute: {what}");
    }
}
