//! The benchmark of Signet: each path of the issuer against a limit taken in the same run on the same core.
//!
//! `scripts/bench` builds and runs it; `docs/performance.md` says how to read what it prints. It starts every server
//! on one core, loads it from another, and leaves nothing running.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, whose subject is the time that really passes"
)]

mod bench;
mod contender;
mod in_process;
mod instructions;
mod limit_server;
mod load;
mod logins;
mod options;
mod pace;
mod people;
mod process;
mod redis_server;
mod refresh;
mod report;
mod signet;
mod statistics;
mod tails;
mod talk;

use std::process::ExitCode;

use clap::Parser;

use crate::bench::Bench;
use crate::options::{Options, Role};
use crate::report::{Finding, Report};

/// What goes wrong here is told to a person and ends the program.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.role {
        Some(Role::LimitServer { plan }) => limit_server::serve(plan).map(|()| ExitCode::SUCCESS),
        None => run(&options),
    };
    done.unwrap_or_else(|e| {
        eprintln!("bench: {e}");
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode> {
    let bench = Bench::new(options)?;
    let findings = match (options.self_test, options.instructions) {
        (true, _) => bench.self_test()?,
        (false, true) => bench.instructions()?,
        (false, false) => bench.times()?,
    };
    let report = Report {
        signet: env!("CARGO_PKG_VERSION"),
        machine: report::machine(),
        pairs: options.pairs(),
        seconds: options.slice().as_secs_f64(),
        connections: options.connections,
        findings,
    };
    println!("{}", report.text());
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(file) = &options.update {
        report.update(file)?;
    }
    let missed = report.findings.iter().any(Finding::is_missed);
    Ok(if missed && options.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
