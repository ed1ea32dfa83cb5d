//! A server that can be measured: how it is started, and when it is ready.

use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::{Load, exchange};
use crate::process::Pinned;
use crate::talk::Talk;

/// How long a server may take until it answers; under valgrind everything takes fifty times as long.
const READY: Duration = Duration::from_secs(90);

/// One server program with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) command: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) address: SocketAddr,
    /// The request that it answers with 200 as soon as it is ready.
    pub(crate) probe: Vec<u8>,
    pub(crate) log: PathBuf,
}

impl Contender {
    /// Starts it on `core`, and waits for its first answer; also how long that took from the start of the process.
    pub(crate) fn start(&self, core: usize) -> Result<(Pinned, Duration)> {
        self.start_under(core, &[])
    }

    /// The same, behind a program that runs it, such as valgrind.
    pub(crate) fn start_under(&self, core: usize, runner: &[&str]) -> Result<(Pinned, Duration)> {
        let runner = runner.iter().map(OsStr::new);
        let command = runner.chain(self.command.iter().map(OsString::as_os_str));
        let begun = Instant::now();
        let mut server = Pinned::start(core, command, &self.environment, &self.log)?;
        loop {
            match exchange(self.address, &self.probe) {
                Ok(answer) if answer.status == 200 => return Ok((server, begun.elapsed())),
                Ok(answer) if begun.elapsed() > READY => {
                    return Err(format!("the server still answers {}", answer.status).into());
                }
                Err(e) if begun.elapsed() > READY => return Err(e),
                Ok(_) | Err(_) => server.check_alive()?,
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Load of `request` on it.
    pub(crate) fn load(&self, request: &[u8], connections: usize) -> Load {
        Load::new(self.address, vec![Talk::always(request.to_vec()); connections.max(1)])
    }
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
