//! The rows of login: how many a second, what tells an unknown user from a wrong password, and what a storm of logins
//! does to those who refresh.

use std::time::{Duration, Instant};

use crate::Result;
use crate::bench::Bench;
use crate::limit_server::Work;
use crate::load::{Connection, Load};
use crate::pace::Pace;
use crate::people::{Kind, People};
use crate::report::{Finding, Of};
use crate::signet::bare_server;
use crate::statistics::{Comparison, Spread};
use crate::tails;

/// What a hash costs and how many are made at a time, where nothing is set and the server has one core.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const THREADS: usize = 1;
/// So many log in at a time: enough to keep that thread busy, and few enough that nobody waits for long.
const CALLERS: usize = 4;
/// A hash takes some 30 ms: windows are so much longer, that their ends count for little.
const LONGER: u32 = 2;

/// A storm: so many logins a second, far more than are checked, on so many connections, more than may wait.
const STORM: u32 = 500;
const STORMING: usize = 160;
/// The slowest refreshes during a storm, against those while nobody logs in.
const STORM_GOAL: f64 = 2.0;

/// Fewer failures in a row than are free, between two logins with the right password.
const FAILURES: usize = 3;

/// Logins a second, against a bare server that does nothing but the hash.
pub(crate) fn rate(bench: &Bench<'_>, people: &People) -> Result<Finding> {
    let (options, path) = (bench.options, "login, argon2id of 19 MiB in two passes, one thread");
    Bench::progress(path);
    let mut talks = people.logins();
    talks.truncate(CALLERS);
    let first = talks.first_mut().ok_or("there is nobody")?;
    let plan = people.signet.plan(first, Work::Hash { memory: MEMORY, passes: PASSES, threads: THREADS })?;
    let bare = bare_server(&plan, bench.folder(), "login", first.request())?;
    let (limit, _) = bare.start(bench.server_core)?;
    let mut limit_load = Load::new(bare.address, talks.clone());
    let mut signet_load = Load::new(people.signet.contender.address, talks);
    let slice = options.slice() * LONGER;
    let comparison = Comparison::measure(
        options.pairs(),
        || limit_load.run(&limit, slice),
        || signet_load.run(&people.server, slice),
    )?;
    limit.stop()?;
    Ok(Finding::ratio(path, comparison, None))
}

/// How long it takes until an unknown user is refused, and a known one with a wrong password: in turns, one at a time.
pub(crate) fn unknown_and_wrong(bench: &Bench<'_>, people: &People) -> Result<Finding> {
    Bench::progress("unknown user and wrong password");
    let mut connection = Connection::open(people.signet.contender.address)?;
    let (mut wrong_took, mut unknown_took) = (Vec::new(), Vec::new());
    let mut took = |request: &[u8], status| -> Result<f64> {
        let begun = Instant::now();
        match connection.ask(request)? {
            same if same == status => Ok(begun.elapsed().as_secs_f64() * 1e6),
            other => Err(format!("a login was answered {other} instead of {status}").into()),
        }
    };
    let rounds = bench.options.pairs() * 3;
    for round in 0..rounds {
        for failure in 0..FAILURES {
            let [_, wrong, unknown] = people.right_wrong_and_unknown(round, 1_000_000 + round * FAILURES + failure);
            wrong_took.push(took(&wrong, 401)?);
            unknown_took.push(took(&unknown, 401)?);
        }
        // Who logs in has no failures any more.
        let [right, ..] = people.right_wrong_and_unknown(round, 0);
        took(&right, 200)?;
    }
    let path = "login: wrong password (limit), unknown user".to_owned();
    Ok(Finding::Alike { path, one: Spread::of(wrong_took)?, other: Spread::of(unknown_took)? })
}

/// The slowest refreshes on Redis during a storm of logins, against those while nobody logs in.
pub(crate) fn storm(bench: &Bench<'_>, people: &mut People) -> Result<Finding> {
    let (options, path) = (bench.options, "refresh p99 during a login storm");
    Bench::progress(path);
    let address = people.signet.contender.address;
    let pace = Pace {
        address,
        talks: people.refreshes(Kind::Rotating, options.connections)?.talks,
        per_second: (options.pace / 4).max(1),
        connections: options.connections,
        may_turn_away: false,
    };
    let storm = Pace { address, talks: people.logins(), per_second: STORM, connections: STORMING, may_turn_away: true };
    let lasting = options.slice().max(Duration::from_millis(500));
    let tail = tails::measure(&mut people.server, &pace, &storm, (options.pairs(), lasting))?;
    Ok(Finding::tail(path, tail, STORM_GOAL, Of::RefreshesBesideLogins))
}
