//! The port through which keys are kept: one snapshot out, one change in.
//!
//! Guarantees asked of every store: a change is applied whole or not at all, only to the version it was made for, and
//! soon after it was decided; so any number of replicas may act on the same table, and any may stall.

use std::time::Duration;

use async_trait::async_trait;

use super::kind::{Kid, Purpose};
use super::states::Key;
use super::table::KeyTable;
use crate::audit::Entry;
use crate::ports::{StoreError, Timestamp};
use crate::secret::Sealed;

/// How old a change may be when it is applied, by the store's time. What it says of times (since when a key is published,
/// until when another stays) counts from the moment at which it was decided. A process that stalls between deciding and
/// committing would publish a key late and let it sign early.
pub const COMMIT_WITHIN: Duration = Duration::from_secs(2);

/// Where keys are kept.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// One consistent snapshot: table, sealed private keys and the store's own time, as of one moment. A purpose that
    /// never had a key is the empty table of version 0, not an error. A row that can't be read is
    /// [`StoreError::Corrupt`] and names the row; it is never left out.
    async fn load(&self, purpose: Purpose) -> Result<StoredKeys, StoreError>;

    /// Applies `change` whole if the table is still of `expected_version`, appends `entry` to the audit log, and moves the
    /// change counter that running servers poll. Raced by another change: nothing is written, and the answer is
    /// [`Commit::Raced`]. Decided ([`KeyChange::acted_at`]) longer than [`COMMIT_WITHIN`] ago: likewise, and it is
    /// [`Commit::Late`]. An inserted
    /// `kid` that exists already, in whatever state or purpose, is refused with [`StoreError::Refused`], and so is an
    /// updated one that does not exist; then nothing is written either. When the error is
    /// [`StoreError::Unavailable`], the change may have been applied: load again before acting.
    async fn commit(
        &self,
        purpose: Purpose,
        expected_version: i64,
        change: &KeyChange,
        entry: &Entry,
    ) -> Result<Commit, StoreError>;

    /// Puts the private halves `sealed` anew in the place of the old ones, if the table is still of `expected_version`,
    /// and gives the table the next version. Nothing else of the keys changes. A key that has lost its private half
    /// meanwhile stays without. Raced by another change: nothing is written.
    async fn swap_sealed(
        &self,
        purpose: Purpose,
        expected_version: i64,
        sealed: &[(Kid, Sealed)],
    ) -> Result<Commit, StoreError>;
}

/// A snapshot of the keys of a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The keys, their private halves apart.
    pub table: KeyTable,
    /// The sealed private key (PKCS#8) of each key that still has one: pending, active and retiring.
    pub sealed: Vec<(Kid, Sealed)>,
    /// The id of the master key to seal under, where the store has one on record.
    pub sealed_under: Option<String>,
    /// The store's time at the snapshot, passed through [`Clock::of_store`](crate::ports::Clock::of_store).
    pub now: Timestamp,
}

impl StoredKeys {
    /// The sealed private key of `kid`.
    #[must_use]
    pub fn sealed_of(&self, kid: &Kid) -> Option<&Sealed> {
        self.sealed.iter().find(|(of, _)| of == kid).map(|(_, sealed)| sealed)
    }
}

/// A change of a table, to be applied whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The store's time at which it was decided: becomes [`KeyTable::acted_at`].
    pub acted_at: Timestamp,
    /// New keys with their sealed private halves.
    pub insert: Vec<(Key, Sealed)>,
    /// Keys that changed, as they now are. One that is now retired or compromised loses its sealed private key.
    pub update: Vec<Key>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It was applied.
    Done {
        /// The version that the table now has.
        version: i64,
    },
    /// Another change came first; nothing was applied.
    Raced,
    /// It was decided longer than [`COMMIT_WITHIN`] ago; nothing was applied.
    Late,
}
