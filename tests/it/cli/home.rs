//! A folder that Signet runs in as an ordinary user, and what a run left behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

/// `nobody` wherever there is one. Tests that run as root step down to it, since root may do anything anywhere.
const ORDINARY: u32 = 65_534;

/// Whether these tests run as root.
pub fn is_root() -> bool {
    // The folder of this process belongs to the user who runs it.
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The program, where an ordinary user can run it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(PathBuf, Option<TempDir>)> = OnceLock::new();
    let (path, _) = PROGRAM.get_or_init(|| {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_signet"));
        let open = |folder: &Path| fs::metadata(folder).is_ok_and(|known| known.mode() & 0o001 != 0);
        if !is_root() || built.ancestors().all(open) {
            return (built, None);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = folder.path().join("signet");
        fs::copy(built, &copy).unwrap();
        (copy, Some(folder))
    });
    path
}

/// What a run of the program came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It did what was asked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// Its result as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let ran = self.ok();
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
    }

    /// It failed with `code` and one sentence that has all of `parts`, and printed no result.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert_eq!(self.out, "", "{}", self.err);
        let lines: Vec<_> = self.err.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("signet: "), "not one sentence: {}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "no `{part}` in: {}", self.err);
        }
        for never in ["panicked", "os error", "Error {", "Some("] {
            assert!(!self.err.contains(never), "{}", self.err);
        }
        self
    }
}

impl Ran {
    /// Told `--json`, it failed with a sentence that has `part`.
    #[track_caller]
    pub fn refused_json(self, part: &str) {
        let told: Value = serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {}", self.err));
        assert!(self.code == 1 && told["error"].as_str().unwrap().contains(part), "{}", self.err);
    }
}

/// A folder of its own, with ports of its own.
pub struct Home {
    pub folder: TempDir,
    pub public: u16,
    pub admin: u16,
}

impl Home {
    /// An empty one.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            chown(folder.path(), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        // Both are held until both are chosen.
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [public, admin] = listeners.map(|listener| listener.local_addr().unwrap().port());
        Self { folder, public, admin }
    }

    /// One that is set up, as `signet init` does it.
    pub fn initialised() -> Self {
        static FIRST: OnceLock<Home> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            let home = Self::empty();
            home.run(&["init"]).ok();
            home
        });
        let home = Self::empty();
        for name in ["data", "keys"] {
            let (from, to) = (first.path(name), home.path(name));
            fs::create_dir(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap() {
                let name = entry.unwrap().file_name();
                fs::copy(from.join(&name), to.join(&name)).unwrap();
            }
            fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).unwrap();
        }
        home.hand_over();
        home
    }

    /// Gives everything in it to the ordinary user.
    pub fn hand_over(&self) {
        if is_root() {
            for path in walk(self.folder.path()) {
                chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }

    /// A file in it, which the ordinary user can read.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.hand_over();
        name.to_owned()
    }

    /// The program in this folder, with nothing in its environment but what it must have.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SIGNET__PUBLIC__BIND", format!("127.0.0.1:{}", self.public));
        command.env("SIGNET__ADMIN__BIND", format!("127.0.0.1:{}", self.admin));
        if is_root() {
            command.gid(ORDINARY).uid(ORDINARY);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[], "")
    }

    /// Runs it with more in its environment and a text on its standard input.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // A program that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it with `--json` and gives its result.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).json()
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Server {
        let log = File::create(self.path("serve.log")).unwrap();
        let child = self.command(&["serve"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let server = Server { child };
        eventually(|| TcpStream::connect(("127.0.0.1", self.public)).ok());
        server
    }

    /// What is in the folder: each file with its mode and contents, the database as one file.
    pub fn contents(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let database = self.path("data/signet.db");
        if database.exists() {
            sql(&database, &["PRAGMA wal_checkpoint(TRUNCATE)"]);
            self.hand_over();
        }
        let is_aside = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ["-wal", "-shm", ".lock"].iter().any(|end| name.ends_with(end)) || name == "serve.log"
        };
        let entry = |path: PathBuf| {
            let mode = fs::symlink_metadata(&path).unwrap().mode();
            let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            (path, (mode, bytes))
        };
        walk(self.folder.path()).into_iter().filter(|path| !is_aside(path)).map(entry).collect()
    }

    /// Runs it, and holds that it changed nothing in the folder.
    #[track_caller]
    pub fn changes_nothing(&self, arguments: &[&str]) -> Ran {
        let before = self.contents();
        let ran = self.run(arguments);
        assert!(self.contents() == before, "{arguments:?} changed something: {}", ran.err);
        ran
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// Runs statements on a SQLite file that nobody else uses.
pub fn sql(database: &Path, statements: &[&'static str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// How many rows a table of a SQLite file has.
pub fn count(database: &Path, table: &'static str) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let statement = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let (rows,): (i64,) = sqlx::query_as(statement).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    })
}

/// A running server, ended with the test.
pub struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until there is an answer, for at most ten seconds.
#[track_caller]
pub fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it did not come to that in ten seconds");
        std::thread::sleep(Duration::from_millis(20));
    }
}
