//! Where the audit log is read, and written to where no other change comes with it.

use async_trait::async_trait;

use super::{Act, Entry, Row};
use crate::ports::{StoreError, Timestamp};

/// Which rows of the audit log are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this act.
    pub act: Option<Act>,
    /// Only acts on exactly this.
    pub subject: Option<String>,
    /// Only acts of whoever has exactly this name, of whatever kind.
    pub actor: Option<String>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only before this moment.
    pub until: Option<Timestamp>,
}

/// Where the rows are.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Up to `limit` rows that `filter` wants, the newest first, from the one before the number `before` on.
    async fn audit_page(&self, filter: &AuditFilter, before: Option<i64>, limit: u32) -> Result<Vec<Row>, StoreError>;

    /// Appends an entry that no other change comes with. Once it has returned, the row is there to stay. Repeated: appended
    /// again. After [`StoreError::Unavailable`] it may be there or not.
    async fn record(&self, entry: &Entry) -> Result<(), StoreError>;
}
