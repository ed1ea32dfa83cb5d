//! What went wrong between here and Redis, and what can be done about it.

use std::fmt;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::ports::StoreError;

/// Why a command has no answer that is of use.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// It was not sent: there is no connection, or no room for one more command.
    NotSent(String),
    /// No answer came within the time that is given. Whether it had an effect is unknown.
    Late(Duration),
    /// The connection was lost under it, or is of no use any more. Whether it had an effect is unknown.
    Lost(String),
    /// The slot of its key is, for good or for this once, at another node of the Cluster.
    Elsewhere {
        /// `host:port`.
        address: String,
        /// Only for this command, which `ASKING` precedes.
        only_now: bool,
    },
    /// The server does not know the script of that hash (any more).
    NoScript,
    /// The server can't do it now, and may later.
    NotNow(String),
    /// What it keeps can't be read.
    Damaged {
        /// Which of it.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server refuses, and would again.
    Refused(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_server(kind, &error, text),
            ErrorKind::Io | ErrorKind::Parse => Self::Lost(text),
            // The server's own words, by their first: those that the library has no name for.
            ErrorKind::Extension => match error.code().unwrap_or_default() {
                "OOM" => Self::NotNow("its memory is full (maxmemory)".to_owned()),
                "NOREPLICAS" => Self::NotNow("it takes no writes, as it has too few replicas".to_owned()),
                "MISCONF" => Self::NotNow("it takes no writes, as it can't save to its disk".to_owned()),
                "BUSY" => Self::NotNow("it is busy with a script".to_owned()),
                "UNBLOCKED" => Self::NotNow("it has become a replica".to_owned()),
                _ => Self::Refused(text),
            },
            ErrorKind::AuthenticationFailed => Self::Refused(format!("it does not let this user in: {text}")),
            _ => Self::Refused(text),
        }
    }
}

impl Failure {
    fn of_server(kind: ServerErrorKind, error: &RedisError, text: String) -> Self {
        match kind {
            ServerErrorKind::Moved | ServerErrorKind::Ask => match error.redirect_node() {
                Some((address, _)) => {
                    Self::Elsewhere { address: address.to_owned(), only_now: kind == ServerErrorKind::Ask }
                }
                None => Self::NotNow(text),
            },
            ServerErrorKind::NoScript => Self::NoScript,
            ServerErrorKind::BusyLoading => Self::Lost("it is loading its data".to_owned()),
            // A master that was made a replica: whoever is the master now has to be found.
            ServerErrorKind::ReadOnly => Self::Lost("it is a replica, and takes no writes".to_owned()),
            ServerErrorKind::MasterDown => Self::Lost("it is a replica without its master".to_owned()),
            ServerErrorKind::ClusterDown => Self::NotNow("the Cluster does not serve all slots".to_owned()),
            ServerErrorKind::TryAgain => Self::NotNow("the slot is being moved".to_owned()),
            ServerErrorKind::NoPerm => Self::Refused(format!("its user may not do this (docs/redis.md): {text}")),
            // Inside a script the words of an error come behind a general code.
            _ if text.contains("OOM command not allowed") => Self::NotNow("its memory is full (maxmemory)".to_owned()),
            _ => Self::Refused(text),
        }
    }

    /// Whether the connection that it came from is of no use any more.
    pub(super) const fn ends_connection(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Lost(_))
    }
}

/// What is wrong, without its subject: the server.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) | Self::Lost(why) | Self::NotNow(why) | Self::Refused(why) => f.write_str(why),
            Self::Late(limit) => write!(f, "no answer within {limit:?}"),
            Self::Elsewhere { address, .. } => write!(f, "the slot was moved to {address}, which can't be reached"),
            Self::Damaged { what, why } => write!(f, "{what} is damaged: {why}"),
            Self::NoScript => f.write_str("it forgot a script twice"),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Refused(why),
            Failure::Damaged { what, why } => Self::Corrupt { what, why },
            other => Self::Unavailable(other.to_string()),
        }
    }
}
