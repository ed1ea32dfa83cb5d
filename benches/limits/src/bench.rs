//! The rows of the table: what is started, asked and compared for each.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::contender::Contender;
use crate::limit_server::{Plan, Work};
use crate::options::{Options, Row};
use crate::pace::Pace;
use crate::people::People;
use crate::process::Pinned;
use crate::redis_server::{self, Redis};
use crate::report::{Finding, Of};
use crate::signet::{SETTLING, Signet, bare_server};
use crate::statistics::{Comparison, Spread};
use crate::tails::Beside;
use crate::talk::Talk;
use crate::{contender, in_process, instructions, logins, process, refresh, tails};

/// What is measured over HTTP: the request, the work that can't be left out, and the goal.
struct Endpoint<'a> {
    row: Row,
    path: &'static str,
    name: &'static str,
    request: &'a [u8],
    work: Work,
    goal: f64,
}

/// The folder of one run.
struct Scratch {
    folder: PathBuf,
    /// Whether it goes away at the end, with everything in it.
    temporary: bool,
}

impl Scratch {
    /// The folder that was `named`, which stays, or a new one that does not.
    fn new(named: Option<&Path>) -> Result<Self> {
        if let Some(named) = named {
            return Ok(Self { folder: named.canonicalize()?, temporary: false });
        }
        let folder = std::env::temp_dir().join(format!("signet-bench-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        Ok(Self { folder, temporary: true })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing more can be done about a folder that can't be removed.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One run of the benchmark.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    program: PathBuf,
    scratch: Scratch,
    pub(crate) server_core: usize,
    load_core: usize,
}

impl<'a> Bench<'a> {
    /// Binds this process to the core of the load, and finds the program to measure.
    pub(crate) fn new(options: &'a Options) -> Result<Self> {
        let &[server_core, load_core, ..] = process::cores()?.as_slice() else {
            return Err("two cores are needed: one for the server, one for the load".into());
        };
        process::bind_self(load_core)?;
        let scratch = Scratch::new(options.scratch.as_deref())?;
        let program = match &options.issuer {
            Some(named) => named.clone(),
            None => std::env::current_exe()?.with_file_name("signet"),
        };
        let program =
            program.canonicalize().map_err(|e| format!("there is no issuer at {}: {e}", program.display()))?;
        Ok(Self { options, program, scratch, server_core, load_core })
    }

    /// All rows by time, in the order of the table.
    pub(crate) fn times(&self) -> Result<Vec<Finding>> {
        let options = self.options;
        let mut findings = Vec::new();
        let over_http = [
            Row::TokenEs256,
            Row::TokenRs256,
            Row::Jwks,
            Row::TokenRotation,
            Row::TokenAdminWrites,
            Row::Memory,
            Row::Start,
        ];
        if over_http.into_iter().any(|row| options.wants(row)) {
            self.issuer_rows(&mut findings)?;
        }
        self.people_rows(&mut findings)?;
        if options.wants(Row::Verify) {
            progress("verification");
            for (algorithm, comparison) in in_process::verification(options.pairs(), options.slice())? {
                let path = format!("verify a token not seen before, {algorithm}");
                findings.push(Finding::ratio(path, comparison, Some(0.95)));
            }
        }
        if options.wants(Row::Signatures) {
            progress("raw signatures");
            for (algorithm, per_second) in in_process::signatures(options.slice())? {
                let path = format!("raw signatures with a parsed key, {algorithm}");
                findings.push(Finding::Rate { path, per_second });
            }
        }
        Ok(findings)
    }

    /// The rows that need a running Signet.
    fn issuer_rows(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let options = self.options;
        progress("preparing an issuer");
        let signet = Signet::prepare(&self.program, &self.scratch.folder, self.server_core, &[])?;
        let mut last = Vec::new();
        if options.wants(Row::Start) {
            progress("starts");
            last.push(self.starts(&signet)?);
        }
        let (mut server, _) = signet.contender.start(self.server_core)?;
        let resident = |server: &Pinned, path, below| -> Result<Finding> {
            #[allow(clippy::cast_precision_loss, reason = "megabytes")]
            let megabytes = server.resident_bytes()? as f64 / 1e6;
            Ok(Finding::amount(path, "MB", Spread::of([megabytes])?, below))
        };
        if options.wants(Row::Memory) {
            progress("idle memory");
            std::thread::sleep(SETTLING);
            last.push(resident(&server, "resident memory, idle", Some(30.0))?);
        }
        for endpoint in endpoints(&signet)? {
            if !options.wants(endpoint.row) {
                continue;
            }
            progress(endpoint.path);
            let plan = signet.plan(&mut Talk::always(endpoint.request.to_vec()), endpoint.work)?;
            let bare = bare_server(&plan, &self.scratch.folder, endpoint.name, endpoint.request)?;
            let (limit, _) = bare.start(self.server_core)?;
            let mut limit_load = bare.load(endpoint.request, options.connections);
            let mut signet_load = signet.contender.load(endpoint.request, options.connections);
            let comparison = Comparison::measure(
                options.pairs(),
                || limit_load.run(&limit, options.slice()),
                || signet_load.run(&server, options.slice()),
            )?;
            limit.stop()?;
            findings.push(Finding::ratio(endpoint.path, comparison, Some(endpoint.goal)));
        }
        if options.wants(Row::Memory) {
            last.push(resident(&server, "resident memory, after the load above", None)?);
        }
        self.tail_rows(&signet, &mut server, findings)?;
        server.stop()?;
        findings.append(&mut last);
        Ok(())
    }

    /// The rows of the slowest requests: after all others, since they leave keys and clients behind.
    fn tail_rows(&self, signet: &Signet, server: &mut Pinned, findings: &mut Vec<Finding>) -> Result<()> {
        let options = self.options;
        let rows = [
            (Row::TokenAdminWrites, Beside::AdminWrites, "token p99 under 100 admin writes/s"),
            (Row::TokenRotation, Beside::Rotation, "token p99 under rotation"),
        ];
        for (row, beside, path) in rows {
            if !options.wants(row) {
                continue;
            }
            progress(path);
            if !beside.is_offered(signet)? {
                progress("left out: this issuer has no route for that");
                continue;
            }
            let pace = Pace {
                address: signet.contender.address,
                talks: vec![Talk::always(signet.es256.clone())],
                per_second: options.pace,
                connections: options.connections,
                may_turn_away: false,
            };
            let disturbance = beside.pace(signet)?;
            let tail = tails::measure(server, &pace, &disturbance, (options.pairs(), options.slice()))?;
            findings.push(Finding::tail(path, tail, 1.5, Of::TokensBesideChanges));
        }
        Ok(())
    }

    /// A running Signet that people sign in at, with its data in `folder` below the scratch folder.
    pub(crate) fn people(&self, folder: &str, settings: &[(&'static str, String)]) -> Result<People> {
        progress("preparing an issuer with people");
        People::start(&self.program, &self.scratch.folder.join(folder), self.server_core, settings)
    }

    /// The rows of refresh and login.
    fn people_rows(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let options = self.options;
        let on_redis = [Row::RefreshRedis, Row::RefreshLoginStorm];
        if on_redis.into_iter().any(|row| options.wants(row)) {
            if !redis_server::is_installed() && !on_redis.into_iter().any(|row| options.names(row)) {
                progress(&format!("left out: {}", redis_server::MISSING));
            } else {
                self.redis_rows(findings)?;
            }
        }
        if options.wants(Row::RefreshEmbedded) || options.wants(Row::Login) {
            let people = self.people("embedded", &[])?;
            if options.wants(Row::RefreshEmbedded) {
                refresh::embedded(self, &people, findings)?;
            }
            if options.wants(Row::Login) {
                findings.push(logins::rate(self, &people)?);
                findings.push(logins::unknown_and_wrong(self, &people)?);
            }
            people.server.stop()?;
        }
        Ok(())
    }

    /// Those with the sessions in Redis, which shares the core of the load: it is no part of what is compared.
    fn redis_rows(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let redis = Redis::start(self.load_core, &self.scratch.folder)?;
        let mut people = self.people("refresh", &redis.settings())?;
        if self.options.wants(Row::RefreshRedis) {
            refresh::on_redis(self, &people, &redis, findings)?;
        }
        if self.options.wants(Row::RefreshLoginStorm) {
            findings.push(logins::storm(self, &mut people)?);
        }
        people.server.stop()?;
        redis.stop()
    }

    /// From the start of the process, on existing data, to the first JWKS answer.
    fn starts(&self, signet: &Signet) -> Result<Finding> {
        let mut milliseconds = Vec::new();
        for _ in 0..self.options.pairs().max(5) {
            let (server, took) = signet.contender.start(self.server_core)?;
            server.stop()?;
            milliseconds.push(took.as_secs_f64() * 1e3);
        }
        Ok(Finding::amount("start to first JWKS answer", "ms", Spread::of(milliseconds)?, Some(100.0)))
    }

    /// Instructions per request, Signet's and the limit's.
    pub(crate) fn instructions(&self) -> Result<Vec<Finding>> {
        instructions::check()?;
        progress("preparing an issuer");
        let signet = Signet::prepare(&self.program, &self.scratch.folder, self.server_core, &[])?;
        let mut findings = Vec::new();
        for endpoint in endpoints(&signet)? {
            if !self.options.wants(endpoint.row) {
                continue;
            }
            progress(endpoint.path);
            let requests = match endpoint.row {
                Row::TokenRs256 => 400,
                _ => 2000,
            };
            let (server, _) = signet.contender.start(self.server_core)?;
            let talk = Talk::always(endpoint.request.to_vec());
            let plan = signet.plan(&mut talk.clone(), endpoint.work)?;
            server.stop()?;
            let bare = bare_server(&plan, &self.scratch.folder, endpoint.name, endpoint.request)?;
            findings.push(self.instructions_of(
                format!("{}, instructions", endpoint.path),
                (&bare, &format!("{}-limit", endpoint.name)),
                (&signet.contender, &format!("{}-signet", endpoint.name)),
                &talk,
                requests,
            )?);
        }
        if self.options.wants(Row::RefreshRedis) {
            let redis = Redis::start(self.load_core, &self.scratch.folder)?;
            findings.append(&mut refresh::instructions(self, &redis, 2000)?);
            redis.stop()?;
        }
        Ok(findings)
    }

    /// What `limit` and `signet` spend on each of so many `requests` of `talk`; their profiles are kept in the scratch folder.
    pub(crate) fn instructions_of(
        &self,
        path: String,
        limit: (&Contender, &str),
        signet: (&Contender, &str),
        talk: &Talk,
        requests: u64,
    ) -> Result<Finding> {
        let count = |(server, whose): (&Contender, &str)| {
            let keep = self.scratch.folder.join(format!("{whose}.callgrind"));
            instructions::per_request(server, self.server_core, talk, requests, &keep)
        };
        let (limit, signet) = (count(limit)?, count(signet)?);
        Ok(Finding::Instructions { path, limit, signet, ratio: limit / signet })
    }

    /// A bare server against another copy of itself: what the benchmark finds where there is nothing to find.
    pub(crate) fn self_test(&self) -> Result<Vec<Finding>> {
        let form = "grant_type=client_credentials&resource=x";
        let request = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        let copy = |name| -> Result<Contender> {
            let plan = Plan {
                address: contender::free_address()?,
                path: "/oauth2/token".to_owned(),
                work: Work::SignEs256(in_process::new_es256_key()?),
                headers: vec![("cache-control".to_owned(), "no-store".to_owned())],
                body: "x".repeat(700),
            };
            bare_server(&plan, &self.scratch.folder, name, request.as_bytes())
        };
        let (one, other) = (copy("one")?, copy("other")?);
        let path = "a bare server against itself";
        if self.options.instructions {
            instructions::check()?;
            let talk = Talk::always(request.into_bytes());
            let found = self.instructions_of(path.to_owned(), (&one, "one"), (&other, "other"), &talk, 2000)?;
            return Ok(vec![found]);
        }
        let (running_one, _) = one.start(self.server_core)?;
        let (running_other, _) = other.start(self.server_core)?;
        let load = |copy: &Contender| copy.load(request.as_bytes(), self.options.connections);
        let (mut load_one, mut load_other, slice) = (load(&one), load(&other), self.options.slice());
        let comparison = Comparison::measure(
            self.options.pairs(),
            || load_one.run(&running_one, slice),
            || load_other.run(&running_other, slice),
        )?;
        Ok(vec![Finding::ratio(path, comparison, None)])
    }
}

/// The endpoints of the table, with new keys for the limits.
fn endpoints(signet: &Signet) -> Result<[Endpoint<'_>; 3]> {
    Ok([
        Endpoint {
            row: Row::TokenEs256,
            path: "POST /oauth2/token, client credentials, ES256",
            name: "token-es256",
            request: &signet.es256,
            work: Work::SignEs256(in_process::new_es256_key()?),
            goal: 0.90,
        },
        Endpoint {
            row: Row::TokenRs256,
            path: "POST /oauth2/token, client credentials, RS256 (2048 bits)",
            name: "token-rs256",
            request: &signet.rs256,
            work: Work::SignRs256(in_process::new_rs256_key()?),
            goal: 0.97,
        },
        Endpoint {
            row: Row::Jwks,
            path: "GET /.well-known/jwks.json",
            name: "jwks",
            request: &signet.jwks,
            work: Work::Nothing,
            goal: 0.95,
        },
    ])
}

impl Bench<'_> {
    /// Where files of this run go.
    pub(crate) fn folder(&self) -> &Path {
        &self.scratch.folder
    }

    /// Says on the terminal what is being done.
    pub(crate) fn progress(what: &str) {
        progress(what);
    }
}

/// Says on the terminal what is being done.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
