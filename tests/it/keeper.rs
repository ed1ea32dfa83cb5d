//! Servers for the tests, each kept by a script: `scripts/postgres`, `scripts/redis`, `scripts/chromium`.
//!
//! Guarantees: a server is gone, folder and all, however this process ends: its script keeps it only as long as this
//! process holds its input open. A missing server is a failure that says how to install it, never a test passed over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// A script that keeps a server; dropping it ends both.
#[derive(Debug)]
pub struct Keeper {
    script: Mutex<(Child, BufReader<ChildStdout>)>,
}

impl Keeper {
    /// Runs `scripts/NAME` with these arguments. Answers it and the two lines that it says when its server is up.
    ///
    /// Panics with the reason when there is no such server or it does not start.
    pub fn start(name: &str, arguments: &[&str]) -> (Self, [String; 2]) {
        let mut script = Command::new(format!("{}/scripts/{name}", env!("CARGO_MANIFEST_DIR")))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of reach of a Ctrl-C that ends this process: the script must outlive it by a moment.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("scripts/{name} does not run: {error}"));
        let mut said = BufReader::new(script.stdout.take().unwrap());
        let lines = [line(&mut said), line(&mut said)];
        assert!(!lines[1].is_empty(), "no {name} for the tests: {}", complaint(&mut script));
        (Self { script: Mutex::new((script, said)) }, lines)
    }

    /// Has the script do that to its server, and waits until it is done.
    ///
    /// Panics with the reason when it can't.
    pub fn act(&self, act: &str) {
        let mut script = self.script.lock().unwrap();
        let (child, said) = &mut *script;
        writeln!(child.stdin.as_mut().unwrap(), "{act}").unwrap();
        let answer = line(said);
        assert!(answer == "done", "{act}: {}", complaint(child));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The end of its input tells the script to end its server; its own end says that this is done.
        let Ok((child, _)) = self.script.get_mut() else { return };
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

fn line(said: &mut impl BufRead) -> String {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn complaint(script: &mut Child) -> String {
    let mut why = String::new();
    script.stderr.take().unwrap().read_to_string(&mut why).unwrap();
    why
}

pub fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Tries until it holds, at most a minute: for what another process does.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within_minutes(1, what, holds);
}

#[track_caller]
fn within_minutes(minutes: u32, what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..minutes * 3_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not within {minutes} min: {what}");
}

/// The file in which another process says that it holds a server.
const HELD: &str = "SIGNET_TEST_HELD";

/// Whether this process was started by [`held_by_another`], to hold a server.
pub fn is_holder() -> bool {
    std::env::var_os(HELD).is_some()
}

/// Says what this process holds, one thing a line, and holds it until the process is killed.
pub fn hold(lines: &[&str]) {
    std::fs::write(std::env::var_os(HELD).unwrap(), format!("{}\n\n", lines.join("\n"))).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Another process that holds a server, and what it says of that.
pub struct Holder {
    process: Child,
    pub said: Vec<String>,
}

/// Starts that test as a process of its own, in which it is to [`hold`] a server, and waits until it does.
pub fn held_by_another(test: &str) -> Holder {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env(HELD, file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    // A browser takes its time to start.
    within_minutes(2, "the other process has its server", || {
        assert!(process.try_wait().unwrap().is_none(), "it ended without one");
        said = std::fs::read_to_string(file.path()).unwrap();
        said.ends_with("\n\n")
    });
    Holder { process, said: said.trim_end().lines().map(str::to_owned).collect() }
}

impl Holder {
    /// As by `kill -9`.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// That the server which that test holds, of which it says address and folder, is gone soon after its process is killed.
pub fn assert_gone_with_its_holder(test: &str) {
    let holder = held_by_another(test);
    let [address, folder] = holder.said.clone().try_into().unwrap();
    assert!(listens(&address) && Path::new(&folder).exists());
    holder.kill();
    eventually("the server is gone", || !listens(&address) && !Path::new(&folder).exists());
}
