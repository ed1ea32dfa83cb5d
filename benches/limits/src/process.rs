//! A server in a process of its own on one core: started, watched and stopped.
//!
//! The process dies with the benchmark, also when that is killed: the kernel sends it a signal (`setpriv
//! --pdeathsig`).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// How long a server may take to stop after it was asked to.
const STOP: Duration = Duration::from_secs(10);

/// A running server, bound to one core.
#[derive(Debug)]
pub(crate) struct Pinned {
    child: Child,
    log: PathBuf,
}

impl Pinned {
    /// Starts `command` (the program and its arguments) on `core`; what it prints is appended to `log`.
    pub(crate) fn start<I, S>(
        core: usize,
        command: I,
        environment: &[(&'static str, OsString)],
        log: &Path,
    ) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let out = File::options().create(true).append(true).open(log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "taskset", "-c", &core.to_string()])
            .args(command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|e| format!("setpriv (of util-linux) does not start: {e}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Fails, with what the server said last, when it has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(15).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                Err(format!("the server ended with {status}:\n{}", last.join("\n")).into())
            }
        }
    }

    /// The processor time that all its threads have had; in nanoseconds where the kernel counts them.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the listing and the reading.
            let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let ran = line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
            nanoseconds += ran.unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| "the server's status names no VmRSS".into())
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid]).status()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP {
                return Err(format!("the server did not stop within {STOP:?} of SIGTERM").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cores this process may use, in order.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .ok_or("/proc/self/status names no allowed cores")?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>()?..=last.parse::<usize>()?);
    }
    Ok(cores)
}

/// Binds every thread of this process to `core`.
pub(crate) fn bind_self(core: usize) -> Result<()> {
    let pid = std::process::id().to_string();
    let bound = Command::new("taskset")
        .args(["-a", "-c", "-p", &core.to_string(), &pid])
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("taskset (of util-linux) does not start: {e}"))?;
    if bound.success() { Ok(()) } else { Err("taskset can't bind the benchmark to a core".into()) }
}
