//! The rows of refresh: with the sessions in Redis, against a bare server that runs one script there; and in SQLite.

use crate::Result;
use crate::bench::Bench;
use crate::in_process::new_es256_key;
use crate::limit_server::Work;
use crate::load::Load;
use crate::people::{Kind, People, Refreshes};
use crate::redis_server::Redis;
use crate::report::Finding;
use crate::signet::bare_server;
use crate::statistics::{Comparison, Spread};

/// What the ratio of refresh on Redis must reach.
const GOAL: f64 = 0.75;

impl Kind {
    const ALL: [Self; 2] = [Self::Rotating, Self::Staying];

    const fn path(self) -> &'static str {
        match self {
            Self::Rotating => "refresh, tokens rotate (public client)",
            Self::Staying => "refresh, tokens stay (client with a secret)",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rotating => "refresh-rotating",
            Self::Staying => "refresh-staying",
        }
    }
}

/// What a bare server must do besides, that does the same as a refresh of one of these.
fn work(kind: Kind, refreshes: &Refreshes, redis: &Redis) -> Result<Work> {
    let record = redis.length(&format!("signet:{}", refreshes.session))?;
    let (pkcs8, redis) = (new_es256_key()?, redis.address);
    Ok(Work::Refresh { pkcs8, redis, record, writes: kind == Kind::Rotating })
}

/// Refreshes a second on Redis, against the bare server.
pub(crate) fn on_redis(bench: &Bench<'_>, people: &People, redis: &Redis, findings: &mut Vec<Finding>) -> Result<()> {
    let (options, folder) = (bench.options, bench.folder());
    for kind in Kind::ALL {
        Bench::progress(kind.path());
        let mut refreshes = people.refreshes(kind, options.connections)?;
        let work = work(kind, &refreshes, redis)?;
        let first = refreshes.talks.first_mut().ok_or("there is no session")?;
        let plan = people.signet.plan(first, work)?;
        let bare = bare_server(&plan, folder, kind.name(), first.request())?;
        let (limit, _) = bare.start(bench.server_core)?;
        let mut limit_load = Load::new(bare.address, refreshes.talks.clone());
        let mut signet_load = Load::new(people.signet.contender.address, refreshes.talks);
        let comparison = Comparison::measure(
            options.pairs(),
            || limit_load.run(&limit, options.slice()),
            || signet_load.run(&people.server, options.slice()),
        )?;
        limit.stop()?;
        findings.push(Finding::ratio(format!("{}, Redis", kind.path()), comparison, Some(GOAL)));
    }
    Ok(())
}

/// Refreshes a second in SQLite.
pub(crate) fn embedded(bench: &Bench<'_>, people: &People, findings: &mut Vec<Finding>) -> Result<()> {
    let options = bench.options;
    for kind in Kind::ALL {
        Bench::progress(kind.path());
        let talks = people.refreshes(kind, options.connections)?.talks;
        let mut load = Load::new(people.signet.contender.address, talks);
        let rates = (0..options.pairs()).map(|_| Ok(load.run(&people.server, options.slice())?.rate()));
        let rate = Spread::of(rates.collect::<Result<Vec<_>>>()?)?;
        findings.push(Finding::Reached { path: format!("{}, SQLite", kind.path()), rate });
    }
    Ok(())
}

/// Instructions of a refresh on Redis, Signet's and the limit's. What Redis itself spends is not among them.
pub(crate) fn instructions(bench: &Bench<'_>, redis: &Redis, requests: u64) -> Result<Vec<Finding>> {
    let people = bench.people("refresh", &redis.settings())?;
    let mut prepared = Vec::new();
    for kind in Kind::ALL {
        let mut refreshes = people.refreshes(kind, 1)?;
        let work = work(kind, &refreshes, redis)?;
        let mut talk = refreshes.talks.remove(0);
        let plan = people.signet.plan(&mut talk, work)?;
        prepared.push((kind, talk, plan));
    }
    people.server.stop()?;
    let mut findings = Vec::new();
    for (kind, talk, plan) in prepared {
        Bench::progress(kind.path());
        let bare = bare_server(&plan, bench.folder(), kind.name(), talk.request())?;
        let name = kind.name();
        findings.push(bench.instructions_of(
            format!("{}, Redis, instructions", kind.path()),
            (&bare, &format!("{name}-limit")),
            (&people.signet.contender, &format!("{name}-signet")),
            &talk,
            requests,
        )?);
    }
    Ok(findings)
}
