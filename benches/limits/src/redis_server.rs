//! A Redis of the benchmark's own: in its temporary folder, bound to one core, gone with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::contender::free_address;
use crate::process::Pinned;

/// How long it may take until it answers.
const READY: Duration = Duration::from_secs(10);

/// Over so many keys a bare server spreads what it reads and writes, as Signet does over as many sessions.
pub(crate) const SPREAD: usize = 32;

/// The name of such a key: as long as that of a session.
pub(crate) fn bare_key(number: usize) -> String {
    format!("signet:{number:022}")
}

/// Whether there is a redis-server on this machine.
pub(crate) fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// What to say where there is none.
pub(crate) const MISSING: &str = "redis-server is missing (Debian: apt-get install redis-server)";

/// A running Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Pinned,
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// Starts one on `core`, with its files below `scratch`. It appends what it is told to a file and has the disk write
    /// that every second, as `docs/operations.md` has it.
    pub(crate) fn start(core: usize, scratch: &Path) -> Result<Self> {
        if !is_installed() {
            return Err(MISSING.into());
        }
        let (folder, address) = (scratch.join("redis"), free_address()?);
        std::fs::create_dir_all(&folder)?;
        let (port, folder) = (address.port().to_string(), folder.to_string_lossy().into_owned());
        let settings = [
            ["--port", &port],
            ["--bind", "127.0.0.1"],
            ["--dir", &folder],
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "everysec"],
            ["--maxmemory-policy", "noeviction"],
        ];
        let command = std::iter::once("redis-server").chain(settings.into_iter().flatten());
        let server = Pinned::start(core, command, &[], &scratch.join("redis.log"))?;
        let mut redis = Self { server, address };
        let begun = Instant::now();
        while redis.number("EXISTS nothing").is_err() {
            redis.server.check_alive()?;
            if begun.elapsed() > READY {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }

    /// What makes a Signet keep its sessions here. It waits for longer than it does when nothing is set: under valgrind, and
    /// on a machine that others keep busy, an answer takes longer than 200 ms now and then, and a 503 ends the run.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        let url = format!("redis://{}", self.address);
        [("SIGNET__REDIS__URL", url), ("SIGNET__REDIS__TIMEOUT", "10s".to_owned())]
    }

    /// How many bytes stand under `key`.
    pub(crate) fn length(&self, key: &str) -> Result<usize> {
        match self.number(&format!("STRLEN {key}"))? {
            0 => Err(format!("nothing stands under {key}").into()),
            length => Ok(length),
        }
    }

    /// The answer to a command that gives a number
    /// ([inline commands](https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands)).
    fn number(&self, command: &str) -> Result<usize> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(READY))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let number = line.trim_end().strip_prefix(':').and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("Redis answers {:?} to {command}", line.trim_end()).into())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> Result<()> {
        self.server.stop()
    }
}
