//! The port through which the keys that make refresh tokens are kept, beside the signing keys and like them.

use async_trait::async_trait;

use super::super::token::MacKeyId;
use super::sweep::MacKeyRow;
use crate::audit::Entry;
use crate::keys::Commit;
use crate::ports::{StoreError, Timestamp};
use crate::secret::Sealed;

/// A snapshot of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMacKeys {
    /// The version of the table; 0 where it never had a key.
    pub version: i64,
    /// The keys, and the sealed secret of each that still has one.
    pub keys: Vec<(MacKeyRow, Option<Sealed>)>,
    /// The id of the master key to seal under, where the store has one on record.
    pub sealed_under: Option<String>,
    /// The store's time at the snapshot.
    pub now: Timestamp,
}

/// A change of the table, to be applied whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacKeyChange {
    /// The store's time at which it was decided.
    pub decided_at: Timestamp,
    /// New keys.
    pub insert: Vec<(MacKeyRow, Sealed)>,
    /// Keys that changed, as they now are. One that is retired loses its secret.
    pub update: Vec<MacKeyRow>,
}

/// Where the keys are kept.
#[async_trait]
pub trait MacKeyStore: Send + Sync {
    /// One consistent snapshot. A row that can't be read is [`StoreError::Corrupt`] and names it.
    async fn load_mac_keys(&self) -> Result<StoredMacKeys, StoreError>;

    /// Applies `change` whole if the table is still of `expected_version`, appends `entry` to the audit log, and moves the
    /// change counter that running servers poll. Raced by another change: nothing is written, and it is
    /// [`Commit::Raced`]. Decided longer than [`COMMIT_WITHIN`](crate::keys::COMMIT_WITHIN) ago: likewise, and it is
    /// [`Commit::Late`]. A new key whose name is taken, or a changed one that does not exist, is
    /// [`StoreError::Refused`].
    async fn commit_mac_keys(
        &self,
        expected_version: i64,
        change: &MacKeyChange,
        entry: &Entry,
    ) -> Result<Commit, StoreError>;

    /// Puts the secrets `sealed` anew in the place of the old ones, if the table is still of `expected_version`. A key
    /// that has lost its secret meanwhile stays without.
    async fn reseal_mac_keys(&self, expected_version: i64, sealed: &[(MacKeyId, Sealed)])
    -> Result<Commit, StoreError>;
}
