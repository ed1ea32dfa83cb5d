//! The slowest requests while something else goes on, against those while nothing does: on the same server, in turns.

use std::time::Duration;

use crate::Result;
use crate::pace::{Kept, Pace, Running};
use crate::process::Pinned;
use crate::signet::Signet;
use crate::statistics::{Tail, TailPair, p99};
use crate::talk::Talk;

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

    /// What is to go on.
    pub(crate) fn pace(self, signet: &Signet) -> Result<Pace> {
        let admin = signet.admin()?;
        let (requests, per_second, connections) = match self {
            Self::Rotation => {
                let rotation = r#"{"algorithm":"ES256","force":true,"reason":"bench"}"#;
                (vec![admin.request("POST", ROTATE, &[], rotation)], ROTATIONS, 1)
            }
            Self::AdminWrites => (admin.client_changes(CLIENTS)?, WRITES, 4),
        };
        let talks = requests.into_iter().map(Talk::always).collect();
        Ok(Pace { address: admin.address, talks, per_second, connections, may_turn_away: false })
    }
}

/// The 99th percentile of what is asked at `pace`, quiet and beside `disturbance`: so many `pairs`, each window of
/// `lasting`.
pub(crate) fn measure(
    server: &mut Pinned,
    pace: &Pace,
    disturbance: &Pace,
    (pairs, lasting): (usize, Duration),
) -> Result<Tail> {
    let mut found = Vec::with_capacity(pairs);
    // Open throughout: what follows its answers goes on where it was.
    let mut running = pace.open()?;
    for _ in 0..pairs {
        std::thread::sleep(QUIET);
        let (quiet, _) = window(&mut running, None, lasting)?;
        let (busy, kept) = window(&mut running, Some(disturbance), lasting)?;
        server.check_alive()?;
        #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
        let a_second = |count: usize| count as f64 / lasting.as_secs_f64();
        found.push(TailPair {
            quiet: p99(quiet.latencies)?,
            busy: p99(busy.latencies)?,
            beside_per_second: a_second(kept.latencies.len()),
            turned_away_per_second: a_second(kept.turned_away.len()),
            turned_away: p99(kept.turned_away).unwrap_or_default(),
        });
    }
    Tail::of(&found, pace.per_second)
}

/// What `running` has come to in one window, beside another, after a warm-up of both that isn't counted.
fn window(running: &mut Running<'_>, beside: Option<&Pace>, lasting: Duration) -> Result<(Kept, Kept)> {
    let mut beside = beside.map(Pace::open).transpose()?;
    running.run(beside.as_mut(), (lasting / 10).min(Duration::from_millis(100)))?;
    running.run(beside.as_mut(), lasting)
}
