//! The slowest token requests while admins work, against those while nobody does: on the same server, in turns.

use std::time::Duration;

use crate::Result;
use crate::pace::{Kept, Pace};
use crate::process::Pinned;
use crate::signet::Signet;
use crate::statistics::{Tail, TailPair, p99};

/// How long a server is left alone after it was busy, before it counts as quiet: longer than the half second in which
/// it looks for changes of others.
const QUIET: Duration = Duration::from_millis(700);

/// What admins do beside the token requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Beside {
    /// The key of ES256 is rotated in every second, whether or not its successor has propagated.
    Rotation,
    /// Clients are changed 100 times a second.
    AdminWrites,
}

const ROTATE: &str = "/admin/v1/keys/rotate";
/// How often a second keys are rotated: more leave so many retiring keys that these are what is measured.
const ROTATIONS: u32 = 1;
/// How often a second clients are changed.
const WRITES: u32 = 100;
/// How many clients are changed in turn, so that no change waits for another of the same client.
const CLIENTS: usize = 8;

impl Beside {
    /// Whether this Signet has the route: an older one, named by `--issuer`, may not.
    pub(crate) fn is_offered(self, signet: &Signet) -> Result<bool> {
        match self {
            Self::Rotation => Ok(signet.admin()?.ask("POST", ROTATE, r#"{"dry_run":true}"#)?.status != 404),
            Self::AdminWrites => Ok(true),
        }
    }

    fn pace(self, signet: &Signet) -> Result<Pace> {
        let admin = signet.admin()?;
        let (requests, per_second, connections) = match self {
            Self::Rotation => {
                let rotation = r#"{"algorithm":"ES256","force":true,"reason":"bench"}"#;
                (vec![admin.request("POST", ROTATE, &[], rotation)], ROTATIONS, 1)
            }
            Self::AdminWrites => (admin.client_changes(CLIENTS)?, WRITES, 4),
        };
        Ok(Pace { address: admin.address, requests, per_second, connections })
    }
}

/// The 99th percentile of token requests at `pace`, quiet and beside: so many `pairs`, each window of `lasting`.
pub(crate) fn measure(
    signet: &Signet,
    server: &mut Pinned,
    pace: &Pace,
    beside: Beside,
    (pairs, lasting): (usize, Duration),
) -> Result<Tail> {
    let disturbance = beside.pace(signet)?;
    let mut found = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        std::thread::sleep(QUIET);
        let (quiet, _) = window(pace, None, lasting)?;
        let (busy, kept) = window(pace, Some(&disturbance), lasting)?;
        server.check_alive()?;
        #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
        let beside_per_second = kept.latencies.len() as f64 / lasting.as_secs_f64();
        found.push(TailPair { quiet: p99(quiet.latencies)?, busy: p99(busy.latencies)?, beside_per_second });
    }
    Tail::of(&found, pace.per_second)
}

/// What `pace` has come to in one window, beside another, after a warm-up of both that isn't counted.
fn window(pace: &Pace, beside: Option<&Pace>, lasting: Duration) -> Result<(Kept, Kept)> {
    let mut running = pace.open()?;
    let mut beside = beside.map(Pace::open).transpose()?;
    running.run(beside.as_mut(), (lasting / 10).min(Duration::from_millis(100)))?;
    running.run(beside.as_mut(), lasting)
}
