//! The journal of revocations.
//!
//! Guarantees asked of it: its numbers have no gaps and follow the order of commit; what was answered with success survives
//! the loss of every other store; an entry is kept for as long as there may be something that it hits; what is said of a
//! person or a client counts in the order of the numbers, and the last word on a mark is the one that holds.

use async_trait::async_trait;

use super::{EndReason, Revoked};
use crate::audit::Entry;
use crate::ports::{StoreError, Timestamp};

/// A revocation that is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// What is dead.
    pub what: Revoked,
    /// Until when there may be something that it hits.
    pub until: Timestamp,
    /// Why.
    pub why: EndReason,
}

/// One that was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoking {
    /// Its place in the journal, from 1.
    pub number: i64,
    /// What is dead.
    pub what: Revoked,
    /// Until when there may be something that it hits.
    pub until: Timestamp,
}

/// Where the journal ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JournalHead {
    /// Which journal: another one since the database was made or restored. Empty while nothing was written.
    pub epoch: String,
    /// The number of its last entry.
    pub number: i64,
}

/// Some entries of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalPage {
    /// Where the journal ends.
    pub head: JournalHead,
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

    /// Where it ends now: whatever was acknowledged before this was called is not beyond.
    async fn journal_head(&self) -> Result<JournalHead, StoreError>;

    /// Up to `limit` entries after `number`. A head before `number` means that the database was set back: read from 0.
    async fn revocations_after(&self, number: i64, limit: u32) -> Result<JournalPage, StoreError>;
}
