//! The command line: one file a group of verbs.
//!
//! Guarantees: a verb either does all it says or exits with a code above 0 and one sentence on standard error; what it
//! prints on standard output is its result and nothing else, as JSON with `--json`.

mod output;
mod serve;
mod setup;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, StartError};
use crate::config::{Faults, Loaded, Settings};
use crate::ports::StoreError;
use crate::telemetry::{self, TelemetryError};

use output::Output;

/// The exit codes, as `--help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Refused: what was asked for is not possible, or a check failed.
    Refused = 1,
    /// The settings are wrong.
    Settings = 3,
    /// A store or a server can't be reached; the same call may work later.
    Unavailable = 4,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: not possible, or a check failed
  2  the command line is wrong
  3  the settings are wrong
  4  a store or a server can't be reached; the same call may work later";

/// An issuer of signed tokens that any service can verify without calling back.
///
/// Without a verb, Signet serves. On a fresh machine that makes everything it needs: a database in `data/`, signing
/// keys, and a first admin client.
#[derive(Parser)]
#[command(name = "signet", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Arguments {
    /// Read settings from this file instead of `signet.toml` in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve tokens, keys and metadata (what happens without a verb, too).
    Serve,
    /// Set up a database once: schema, keys and a first admin client.
    Init,
    /// Bring the database to this program's schema.
    Migrate,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Settings(#[from] Faults),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log: {0}")]
    Telemetry(#[from] TelemetryError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Settings,
            Self::Unavailable(_)
            | Self::Store(StoreError::Unavailable(_))
            | Self::Start(StartError::Store(StoreError::Unavailable(_)))
            | Self::Start(StartError::Database { why: StoreError::Unavailable(_), .. }) => Exit::Unavailable,
            _ => Exit::Refused,
        }
    }
}

/// What every verb works with.
struct Context {
    config: Option<PathBuf>,
    output: Output,
}

impl Context {
    fn settings(&self) -> Result<Loaded, Faults> {
        Settings::load(self.config.as_deref(), std::env::vars_os(), Path::new(""))
    }
}

/// Runs the command line `arguments`, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no error. When even printing fails, nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context { config: arguments.config, output: Output::new(arguments.json) };
    match perform(&context, arguments.verb.unwrap_or(Verb::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.output.complain(&failure);
            ExitCode::from(failure.exit() as u8)
        }
    }
}

fn perform(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Requests to other servers and TLS to Postgres need it; installing it twice is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    app::block_on(async {
        match verb {
            Verb::Serve => serve::serve(context).await,
            Verb::Init => setup::init(context).await,
            Verb::Migrate => setup::migrate(context).await,
        }
    })
}

/// Logs of a verb that does not serve: warnings and errors only, so that its result stands alone.
fn quiet_log(loaded: &Loaded) -> Result<telemetry::Guard, TelemetryError> {
    telemetry::install(&loaded.settings.telemetry, std::io::stderr().is_terminal())
}
