//! Why a verb failed: the sentence, and the exit code that tells scripts what kind it is.

use serde_json::{Value, json};

use super::system_error;
use crate::app::StartError;
use crate::clients::AdministrationError;
use crate::config::Faults;
use crate::keys::KeeperError;
use crate::ports::StoreError;
use crate::telemetry::TelemetryError;
use crate::tokens::session::mac::MacKeeperError;

/// The exit codes, as `--help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Refused: what was asked for is not possible, or a check failed.
    Refused = 1,
    /// The settings are wrong.
    Settings = 3,
    /// A store or a server can't be reached; the same call may work later.
    Unavailable = 4,
}

/// For the end of the program's help.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: not possible, or a check failed
  2  the command line is wrong
  3  the settings are wrong
  4  a store or a server can't be reached; the same call may work later";

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Settings(#[from] Faults),
    #[error("{}", start_sentence(.0))]
    Start(#[from] StartError),
    #[error("{}", store_sentence(.0))]
    Store(#[from] StoreError),
    #[error("the log: {0}")]
    Telemetry(#[from] TelemetryError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unavailable(String),
    /// A server says that what it has stored of something can't be read.
    #[error("{0}")]
    Damaged(String),
    /// A check or a server said no, and has a name for the reason.
    #[error("{message} ({code})")]
    Coded { code: String, message: String },
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// What a store refuses is a sentence by itself: who refuses does not help whoever reads it.
fn store_sentence(error: &StoreError) -> String {
    match error {
        StoreError::Refused(why) => system_error::without_number(why),
        other => system_error::without_number(&other.to_string()),
    }
}

fn start_sentence(error: &StartError) -> String {
    match error {
        StartError::Database { database, why: StoreError::Unavailable(why) } => {
            format!("the database {database} can't be used at the moment: {}", system_error::without_number(why))
        }
        StartError::Database { database, why } => {
            format!("the database {database} can't be used: {}", store_sentence(why))
        }
        StartError::Redis { redis, why } => format!("the Redis {redis} can't be used: {}", store_sentence(why)),
        StartError::Store(error)
        | StartError::Keys(KeeperError::Store(error))
        | StartError::RefreshKeys(MacKeeperError::Store(error)) => store_sentence(error),
        StartError::File { path, why } => format!("{}: {}", path.display(), system_error::reason(why)),
        StartError::Listen { listener, address, why } => {
            format!("{listener} can't listen on {address}: {}", system_error::reason(why))
        }
        other => other.to_string(),
    }
}

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Self {
        match error {
            AdministrationError::Store(error) => Self::Store(error),
            AdministrationError::Contended => Self::Unavailable(format!("{error}: try again")),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<KeeperError> for Failure {
    fn from(error: KeeperError) -> Self {
        match error {
            KeeperError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<MacKeeperError> for Failure {
    fn from(error: MacKeeperError) -> Self {
        match error {
            MacKeeperError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Failure {
    /// A refusal in the words of `why`.
    pub(super) fn refused(why: impl ToString) -> Self {
        Self::Refused(why.to_string())
    }

    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Settings,
            Self::Unavailable(_)
            | Self::Damaged(_)
            | Self::Store(StoreError::Unavailable(_))
            | Self::Start(
                StartError::Store(StoreError::Unavailable(_))
                | StartError::Database { why: StoreError::Unavailable(_), .. }
                | StartError::Keys(KeeperError::Store(StoreError::Unavailable(_)))
                | StartError::RefreshKeys(MacKeeperError::Store(StoreError::Unavailable(_))),
            ) => Exit::Unavailable,
            _ => Exit::Refused,
        }
    }

    /// For programs: the sentence, and what is known beside it.
    pub(super) fn to_json(&self) -> Value {
        let mut told = json!({ "error": self.to_string(), "exit_code": self.exit() as u8 });
        match self {
            Self::Settings(faults) => told["faults"] = faults.iter().map(ToString::to_string).collect(),
            Self::Coded { code, message } => {
                told["error"] = message.as_str().into();
                told["code"] = code.as_str().into();
            }
            _ => {}
        }
        told
    }
}
