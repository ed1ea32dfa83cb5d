//! A row of the audit log as people and programs see it, on the command line and through the API.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use signet_verify::base64url;
use utoipa::ToSchema;

use super::Row;

/// One act, as the audit log has it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the log, from 1, without gaps.
    pub number: i64,
    /// When, by the database's time.
    pub at: String,
    /// `client` (through the API), `operator` (on the machine of the database) or `signet` (by itself).
    pub actor_kind: String,
    /// Who, within that kind; empty for Signet itself.
    pub actor: String,
    /// What was done, such as `clients.create`.
    pub act: String,
    /// To which: a key's `kid`, a client's or resource's identifier; empty for the whole installation.
    pub subject: String,
    /// Why, in the actor's words; maybe empty.
    pub reason: String,
    /// From where: an address, or a machine's name.
    pub origin: String,
    /// The `X-Request-Id` of the request that did it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What else there is to know, an object.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// SHA-256 over this row and the hash of the row before, in base64url.
    pub hash: String,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            number: row.number,
            at: row.at.to_string(),
            actor_kind: row.actor_kind,
            actor: row.actor,
            act: row.act,
            subject: row.subject,
            reason: row.reason,
            origin: row.origin,
            request_id: row.request_id,
            // What is damaged is shown as it is: whoever looks for tampering has to see it.
            detail: serde_json::from_str(&row.detail).unwrap_or(Value::String(row.detail)),
            hash: base64url::encode(row.hash),
        }
    }
}

impl AuditEntry {
    /// Who, with the kind: `signet`, `client:shop`.
    pub fn who(&self) -> String {
        if self.actor.is_empty() { self.actor_kind.clone() } else { format!("{}:{}", self.actor_kind, self.actor) }
    }
}
