//! What the benchmark is asked to do: its flags, as `scripts/bench --help` prints them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures Signet against limits taken in the same run on the same core, and prints the ratios.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// How many pairs (limit, Signet, limit, Signet ...) each row is the median of.
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub(crate) pairs: usize,

    /// How long each half of a pair lasts.
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub(crate) seconds: f64,

    /// At how many tokens a second the rows of the slowest requests are measured; at a quarter of it that of refresh.
    #[arg(long, default_value_t = 4000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pace: u32,

    /// Few and short pairs: shows that the benchmark works, not how fast Signet is.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Measures these rows only (repeatable, or separated by commas).
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub(crate) only: Vec<Row>,

    /// How many requests are in flight at any moment.
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(crate) connections: usize,

    /// Keeps the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the table into the marked section of this Markdown file.
    #[arg(long, value_name = "FILE")]
    pub(crate) update: Option<PathBuf>,

    /// Counts instructions per request under valgrind instead of timing: exact, for effects under 10 %.
    #[arg(long)]
    pub(crate) instructions: bool,

    /// Measures a bare server against a copy of itself instead: the ratio must be 1, give or take the noise.
    #[arg(long, conflicts_with = "only")]
    pub(crate) self_test: bool,

    /// Ends with exit code 1 when a goal is missed.
    #[arg(long)]
    pub(crate) strict: bool,

    /// The program to measure, instead of the one built beside this benchmark.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) issuer: Option<PathBuf>,

    /// Where the temporary files go; the files stay there.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) scratch: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What this program is when it is not the benchmark itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// A bare server to compare with; the benchmark starts it.
    #[command(hide = true)]
    LimitServer {
        /// The description of the one answer it gives, as JSON.
        plan: PathBuf,
    },
}

/// A group of measurements that can be asked for alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// `POST /oauth2/token`, client credentials, ES256.
    TokenEs256,
    /// The same with RS256 and a key of 2048 bits.
    TokenRs256,
    /// `GET /.well-known/jwks.json`.
    Jwks,
    /// The slowest hundredth of token requests while signing keys are rotated.
    TokenRotation,
    /// The same while clients are changed over the admin API, 100 times a second.
    TokenAdminWrites,
    /// Refresh tokens with the sessions in Redis: those that are replaced, and those that stay.
    RefreshRedis,
    /// The same with the sessions in SQLite.
    RefreshEmbedded,
    /// Logins a second, and what tells an unknown user from a wrong password.
    Login,
    /// The slowest hundredth of refreshes while more people log in than passwords can be checked.
    RefreshLoginStorm,
    /// The verifier library on tokens it has not seen.
    Verify,
    /// Signatures a second with a parsed key, for each algorithm.
    Signatures,
    /// Resident memory, idle and after load.
    Memory,
    /// From the start of the process to the first JWKS answer.
    Start,
}

impl Options {
    /// The pairs to measure.
    pub(crate) fn pairs(&self) -> usize {
        if self.quick { self.pairs.min(3) } else { self.pairs.max(1) }
    }

    /// How long each half of a pair lasts.
    pub(crate) fn slice(&self) -> Duration {
        let seconds = if self.quick { self.seconds.min(0.3) } else { self.seconds };
        Duration::from_secs_f64(seconds.clamp(0.05, 60.0))
    }

    /// Whether `row` was asked for by its name.
    pub(crate) fn names(&self, row: Row) -> bool {
        self.only.contains(&row)
    }

    /// Whether `row` was asked for.
    pub(crate) fn wants(&self, row: Row) -> bool {
        self.only.is_empty() || self.only.contains(&row)
    }
}
