//! Debian's nginx with the committed configuration, as an ordinary user in a folder of its own; gone with the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::read;
use crate::cli::home::{eventually, is_root};

/// `nobody`, as which it runs where the tests are root's.
const ORDINARY: &str = "65534";

/// A port that nobody listens on, below those that the system hands out by itself: who restarts there finds it free.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 11_000).unwrap();
    loop {
        let port = 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running nginx.
pub(super) struct Nginx {
    child: Child,
    folder: TempDir,
    pub(super) url: String,
}

impl Nginx {
    /// Before replicas at those ports. With `tls`, also the drop-in and a certificate; it is then asked by https.
    pub(super) fn start(port: u16, replicas: [u16; 2], tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("signet.d")).unwrap();
        let here = folder.path().to_str().unwrap();
        // Where it stands, and what it stands before: nothing else differs from the committed file.
        let mut text = replaced(read("docs/operations/nginx.conf"), "/tmp/", &format!("{here}/"), 6);
        text = replaced(text, "/dev/stdout", &format!("{here}/access.log"), 1);
        text = replaced(text, "include /etc/nginx/", &format!("include {here}/"), 1);
        for (name, replica) in ["signet-1", "signet-2"].iter().zip(replicas) {
            text = replaced(text, &format!("server {name}:8080"), &format!("server 127.0.0.1:{replica}"), 1);
        }
        let plain = if tls { free_port() } else { port };
        text = replaced(text, "listen 8080;", &format!("listen 127.0.0.1:{plain};"), 1);
        fs::write(at("nginx.conf"), text).unwrap();
        if tls {
            certify(&at("signet.d"));
            let text = replaced(read("docs/operations/nginx-tls.conf"), "/etc/nginx/", &format!("{here}/"), 3);
            let text = replaced(text, "listen 8443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"), 1);
            fs::write(at("signet.d/tls.conf"), text).unwrap();
        }
        give_away(folder.path());
        let child = command(folder.path()).spawn().unwrap_or_else(|_| panic!("setpriv is missing: install util-linux"));
        let scheme = if tls { "https" } else { "http" };
        let mut nginx = Self { child, folder, url: format!("{scheme}://127.0.0.1:{port}") };
        eventually(|| {
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx ended: {}", nginx.errors());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        assert_eq!(nginx.errors(), "", "it starts without a warning");
        nginx
    }

    /// What it wrote to standard error.
    pub(super) fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("errors")).unwrap()
    }

    /// One object for each request that it answered.
    pub(super) fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
    }

    pub(super) fn certificate(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("signet.d/tls.crt")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it when it is asked to, and not when it is killed.
        crate::stopped::signal("TERM", &[self.child.id().to_string()]);
        let _ = self.child.wait();
    }
}

/// `text` with all of the `count` places changed.
#[track_caller]
fn replaced(text: String, from: &str, to: &str, count: usize) -> String {
    assert_eq!(text.matches(from).count(), count, "{from}");
    text.replace(from, to)
}

fn command(folder: &Path) -> Command {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].iter().find(|path| Path::new(path).exists());
    let program = program.unwrap_or_else(|| panic!("nginx is missing: install it, or run scripts/test, which does"));
    // It ends with this test, even when that is killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if is_root() {
        command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]);
    }
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    command.args(["--", program, "-e", "stderr", "-g", "daemon off;", "-p"]).arg(folder);
    command.arg("-c").arg(folder.join("nginx.conf")).current_dir("/").env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file("errors"));
    command
}

/// Makes a certificate for 127.0.0.1.
fn certify(folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let key =
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=nginx"];
    let extensions = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    let made = Command::new("openssl")
        .args(["req", "-x509", "-keyout", &path("tls.key"), "-out", &path("tls.crt")])
        .args(key.iter().chain(&extensions))
        .output()
        .unwrap_or_else(|_| panic!("openssl is missing: install it, or run scripts/test, which does"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn give_away(folder: &Path) {
    if is_root() {
        let id = ORDINARY.parse().ok();
        let mut paths: Vec<PathBuf> = vec![folder.to_owned()];
        while let Some(path) = paths.pop() {
            chown(&path, id, id).unwrap();
            if path.is_dir() {
                paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
}
