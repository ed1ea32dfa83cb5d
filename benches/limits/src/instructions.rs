//! Instructions per request, counted by valgrind: exact where timing scatters.
//!
//! Each server is run twice with a different number of requests; the difference of the totals, divided by the
//! difference of the numbers, is the price of one request without the start and the end of the process. What the
//! kernel does isn't counted, so the ratio is harder on Signet than the one of times.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::contender::Contender;
use crate::load::Load;
use crate::talk::Talk;

/// What valgrind starts its summary line with, after the process number.
const TOTAL: &str = "Collected :";

/// Fails when valgrind is missing.
pub(crate) fn check() -> Result<()> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err("--instructions needs valgrind (Debian: apt-get install valgrind)".into()),
    }
}

/// The instructions that `server` spends on one request of `talk`. With `keep`, the profile of the longer run is written
/// there, for `callgrind_annotate`.
pub(crate) fn per_request(server: &Contender, core: usize, talk: &Talk, requests: u64, keep: &Path) -> Result<f64> {
    let mut load = Load::new(server.address, vec![talk.clone()]);
    let few = total(server, core, &mut load, requests / 4, Path::new("/dev/null"))?;
    let many = total(server, core, &mut load, requests, keep)?;
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 instructions")]
    Ok((many.saturating_sub(few)) as f64 / (requests - requests / 4) as f64)
}

fn total(server: &Contender, core: usize, load: &mut Load, requests: u64, out: &Path) -> Result<u64> {
    let out = format!("--callgrind-out-file={}", out.display());
    let log = server.log.with_extension("valgrind");
    // The log is read for its last total only.
    let _ = fs::remove_file(&log);
    let server = Contender { log: log.clone(), ..server.clone() };
    let (running, _) = server.start_under(core, &["valgrind", "--tool=callgrind", "--error-exitcode=0", &out])?;
    load.send_exactly(requests)?;
    running.stop()?;
    let said = fs::read_to_string(&log)?;
    said.lines()
        .rev()
        .find_map(|line| line.split_once(TOTAL))
        .and_then(|(_, total)| total.trim().parse().ok())
        .ok_or_else(|| "valgrind printed no total".into())
}
