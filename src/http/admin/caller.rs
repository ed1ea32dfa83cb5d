//! Who calls the admin API, and how far their power reaches.

use actix_web::dev::RequestHead;

use crate::audit::{By, check_reason};
use crate::clients::Power;
use crate::http::error::Problem;

/// A client or a person whose token was good in this request. Only the [`Guard`](super::Guard) makes one.
#[derive(Debug)]
pub(in crate::http) struct Caller {
    /// What the caller may do: the token's scopes, as far as its client may have them now and its person's roles allow.
    pub(in crate::http) power: Power,
    /// For the audit log, still without a reason.
    by: By,
}

impl Caller {
    pub(super) fn new(power: Power, head: &RequestHead, request_id: &str) -> Self {
        // The other end of the connection: what a header says of it is the sender's choice of words.
        let origin = head.peer_addr.map_or_else(|| "unknown".to_owned(), |address| address.ip().to_string());
        let by = match &power {
            Power::Of { person: Some(person), .. } => By::user(person.as_hyphenated().to_string(), origin, request_id),
            Power::Of { client, .. } => By::client(client.as_str(), origin, request_id),
            // A guard gives nobody that, and the log would say so.
            Power::Everything => By::signet(origin),
        };
        Self { power, by }
    }

    /// The identifier of the client whose token it is, also where that speaks for a person.
    pub(in crate::http) fn client_id(&self) -> &str {
        match &self.power {
            Power::Of { client, .. } => client.as_str(),
            Power::Everything => "",
        }
    }

    /// Whether the caller has that scope.
    pub(in crate::http) fn has(&self, scope: &str) -> bool {
        match &self.power {
            Power::Everything => true,
            Power::Of { scopes, .. } => scopes.contains(scope),
        }
    }

    /// Who acts, from where, by which request, and why.
    pub(in crate::http) fn because(&self, reason: Option<String>) -> Result<By, Problem> {
        let reason = reason.unwrap_or_default();
        check_reason(&reason).map_err(|_| Problem::InvalidReason)?;
        Ok(self.by.clone().because(reason))
    }
}
