//! The built program in a folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;
use signet::app::Credentials;
use tempfile::TempDir;

use crate::app::Answer;
use crate::stopped::signal;

/// The longest that a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder and what is in the environment of the program there.
pub struct Program {
    pub folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a verb came to.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Program {
    /// In an empty folder, with an issuer that stays the same whatever port the system gives.
    pub fn new() -> Self {
        // Another test of this process may have done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let program = Self { folder: TempDir::new().unwrap(), environment: Vec::new() };
        program
            .with("ISSUER", "https://as.example")
            .with("PUBLIC__BIND", "127.0.0.1:0")
            .with("ADMIN__BIND", "127.0.0.1:0")
            .with("PUBLIC__WORKERS", "1")
            .with("KEYS__ALGORITHMS", "ES256")
            .with("TELEMETRY__FORMAT", "json")
    }

    /// With one more setting; a later one of that name counts.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, Some(value));
        self
    }

    /// Sets or unsets a setting.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| *known != format!("SIGNET__{name}"));
        self.environment.extend(value.map(|value| (format!("SIGNET__{name}"), value.to_owned())));
    }

    /// With a variable that is no setting.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Runs lines of a shell, for which `signet` and what is in the folder `tools` are on the path.
    pub fn shell(&self, lines: &str, tools: &Path) -> Ended {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", lines]).current_dir(self.folder.path()).env_clear();
        let signet = Path::new(env!("CARGO_BIN_EXE_signet")).parent().unwrap();
        let path = [signet, tools, Path::new("/usr/bin"), Path::new("/bin")];
        command.env("PATH", std::env::join_paths(path).unwrap()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ended::of(command.output().unwrap())
    }

    /// Starts a verb without waiting for its end.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Starts the server without waiting for anything.
    pub fn spawn(&self) -> Running {
        let mut child = self.command(&["serve"]).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let mut line = String::new();
                while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                    log.lock().unwrap().push_str(&line);
                    line.clear();
                }
            }
        });
        Running { child, log, reader: Some(reader), public: String::new(), admin: String::new() }
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Running {
        let mut running = self.spawn();
        assert!(running.listens(), "it ended: {}", running.wait().err);
        running
    }

    /// The first credentials.
    pub fn credentials(&self) -> Credentials {
        serde_json::from_slice(&std::fs::read(self.path("data/admin-credentials.json")).unwrap()).unwrap()
    }

    /// Every file and folder with its mode, and the contents of files.
    pub fn contents(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_owned();
                let mode = std::fs::symlink_metadata(&path).unwrap().mode() & 0o777;
                let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
                found.insert(name, (mode, bytes));
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }

    /// Runs statements on its SQLite file and answers the first column of the last.
    pub async fn sql(&self, statement: &str) -> Vec<String> {
        sql(&self.path("data/signet.db"), statement).await
    }
}

async fn sql(file: &Path, statement: &str) -> Vec<String> {
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).foreign_keys(true);
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap();
    let first = rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect();
    connection.close().await.unwrap();
    first
}

/// A running server; killed when dropped.
pub struct Running {
    pub child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// `http://address` of the public listener.
    pub public: String,
    /// `http://address` of the admin listener.
    pub admin: String,
}

impl Running {
    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it listens; false when it ends instead.
    pub fn listens(&mut self) -> bool {
        let started = Instant::now();
        loop {
            let listening = self.log().lines().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                line.to_string().contains("\"listening\"").then_some(line)
            });
            if let Some(line) = listening {
                let address = |name: &str| line[name].as_str().unwrap().to_owned();
                (self.public, self.admin) = (address("public"), address("admin"));
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "it does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.child.id().to_string()]);
    }

    /// Waits for its end and answers its exit code (none when a signal ended it), standard output and log.
    pub fn wait(&mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        Ended { code, out, err: self.log() }
    }

    /// Stops it gracefully.
    pub fn stop(mut self) -> Ended {
        self.signal("TERM");
        let ended = self.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(reqwest::get(format!("{}{path}", self.public)).await.unwrap()).await
    }

    /// A token request with those credentials.
    pub async fn token(&self, id: &str, secret: &str) -> Answer {
        let request = reqwest::Client::new().post(format!("{}/oauth2/token", self.public));
        let request = request.basic_auth(id, Some(secret)).form(&[("grant_type", "client_credentials")]);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A token for the first admin.
    pub async fn admin_token(&self, credentials: &Credentials) -> String {
        let answer = self.token(&credentials.client_id, &credentials.client_secret).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
