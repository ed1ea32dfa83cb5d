//! What was revoked, and the journal that it is written to before anybody is told that it is done.
//!
//! Guarantees asked of the journal: its numbers have no gaps and follow the order of commit; what was answered with
//! success survives the loss of every other store; an entry is kept for as long as there may be something that it hits.

use async_trait::async_trait;

use super::sid::SessionId;
use crate::audit::Entry;
use crate::ports::{StoreError, Timestamp};

/// What is dead from now on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Revoked {
    /// A session, and every token that bears its name.
    Session(SessionId),
}

impl Revoked {
    /// The stable name of its kind: the claim by which a token is hit.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Session(_) => "sid",
        }
    }

    /// The value of that claim.
    pub fn value(&self) -> String {
        match self {
            Self::Session(id) => id.to_string(),
        }
    }

    /// The revocation of that kind and value; `None` where a newer Signet knows it, and this one does not.
    pub fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "sid" => SessionId::parse(value).map(Self::Session),
            _ => None,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// The person signed out.
    Logout,
    /// A refresh token that was replaced before was presented.
    Reuse,
    /// The person's password was changed.
    Password,
    /// The person was disabled.
    UserDisabled,
    /// The person was removed.
    UserDeleted,
    /// The client was removed.
    ClientDeleted,
    /// An administrator ended it.
    Admin,
}

impl EndReason {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Password => "password",
            Self::UserDisabled => "user_disabled",
            Self::UserDeleted => "user_deleted",
            Self::ClientDeleted => "client_deleted",
            Self::Admin => "admin",
        }
    }
}

/// A revocation that is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// What is dead.
    pub what: Revoked,
    /// Until when there may be something that it hits.
    pub until: Timestamp,
    /// Why.
    pub why: EndReason,
}

/// One that was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revoking {
    /// Its place in the journal, from 1.
    pub number: i64,
    /// What is dead.
    pub what: Revoked,
    /// Until when there may be something that it hits.
    pub until: Timestamp,
}

/// Some entries of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalPage {
    /// Which journal: another one since the database was made or restored. Empty while nothing was written.
    pub epoch: String,
    /// The number of its last entry.
    pub head: i64,
    /// The entries that are still kept, by number; those of a kind that this Signet does not know are left out.
    pub entries: Vec<Revoking>,
    /// The number up to which this page tells all there is: where to go on after.
    pub told: i64,
}

/// Where revocations are written first.
#[async_trait]
pub trait RevocationJournal: Send + Sync + std::fmt::Debug {
    /// Writes `revocations` in that order with the next numbers, appends `entry` to the audit log and moves the change
    /// feed, all in one transaction, and answers the number of the last. Repeated: written again, with numbers of their
    /// own. None at all: nothing is written. After [`StoreError::Unavailable`] they may be written or not: repeat it.
    async fn revoke(&self, revocations: &[Revocation], entry: &Entry) -> Result<i64, StoreError>;

    /// Up to `limit` entries after `number`. A head before `number` means that the database was set back: read from 0.
    async fn revocations_after(&self, number: i64, limit: u32) -> Result<JournalPage, StoreError>;
}
