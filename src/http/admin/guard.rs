//! Who may call the admin API: whoever bears a token that this issuer signed for it, within what the token's client may
//! get now.
//!
//! Guarantees: the token is checked with the library that every other service checks tokens with, against the keys that
//! this replica publishes now; a client that was disabled, deleted or lost a scope is refused though its token lives on,
//! from the moment at which that is stored: no replica asks its memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use signet_verify::{AccessToken, Policy};

use super::caller::Caller;
use crate::clients::{Client, ClientId, ClientStore, Resource, ResourceId, ScopeSet};
use crate::http::bearer::bearer;
use crate::http::error::Problem;
use crate::http::own_keys::OwnKeys;
use crate::issuer::Issuer;
use crate::keys::KeyRing;
use crate::ports::Timestamp;
use crate::tokens::CLIENT_SUBJECT;

/// Checks tokens of the admin API.
pub struct Guard {
    audience: String,
    policy: Policy,
    own: OwnKeys,
    clients: Arc<dyn ClientStore>,
}

impl Guard {
    /// Admits tokens that `ring` signed for the admin API of `issuer`, for clients of `clients`. The clocks of replicas are
    /// at most `max_skew` from the store's, so twice that from one another's, and no more is forgiven.
    pub fn new(issuer: &Issuer, ring: Arc<KeyRing>, clients: Arc<dyn ClientStore>, max_skew: Duration) -> Self {
        let audience = issuer.admin_audience();
        // What Ed25519 is called is a setting, which may have changed since the token was signed.
        let policy = Policy::new(issuer.as_str(), audience.as_str()).accept_eddsa_name(true);
        let policy = policy.clone().leeway(max_skew * 2).unwrap_or(policy);
        Self { audience, policy, own: OwnKeys::new(ring), clients }
    }

    /// The caller, who has the scope `needed`. `request_id` names the request in the log.
    pub(in crate::http) async fn admit(
        &self,
        head: &RequestHead,
        request_id: &str,
        needed: &'static str,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        let token = self.check(bearer(&head.headers)?, now)?;
        let client = self.client(&token).await?;
        let scopes = power(&token, &client);
        // https://www.rfc-editor.org/rfc/rfc6750#section-3.1
        if !scopes.contains(needed) {
            return Err(Problem::InsufficientScope(needed));
        }
        Ok(Caller::new(client.id.clone(), scopes, head, request_id))
    }

    fn check(&self, token: &str, now: Timestamp) -> Result<AccessToken, Problem> {
        let refused = |why: &str| Problem::InvalidToken(why.to_owned().into());
        let token = self.own.verify(&self.policy, token, now)?;
        if *token.aud.as_slice() != [self.audience.as_str()] {
            return Err(refused("it is for others besides the admin API"));
        }
        // https://www.rfc-editor.org/rfc/rfc7800#section-3.1: whoever bears it would have to prove more.
        if token.cnf.is_some() {
            return Err(refused("it is bound to a key"));
        }
        if token.sub.strip_prefix(CLIENT_SUBJECT) != Some(token.client_id.as_str()) {
            return Err(refused("it is on behalf of someone other than its client"));
        }
        Ok(token)
    }

    /// The client that the token was issued to, as it is now.
    async fn client(&self, token: &AccessToken) -> Result<Client, Problem> {
        let refused = |why| Err(Problem::InvalidToken(std::borrow::Cow::Borrowed(why)));
        let Ok(id) = ClientId::parse(&token.client_id) else { return refused("its client has no name that there is") };
        match self.clients.load_client(&id).await? {
            None => refused("its client is deleted"),
            Some(client) if !client.enabled => refused("its client is disabled"),
            // Someone registered the identifier anew: that is another client.
            Some(client) if i64::try_from(token.iat.secs()).is_ok_and(|issued| issued < client.created_at.secs()) => {
                refused("it was issued to another client of that identifier")
            }
            Some(client) => Ok(client),
        }
    }
}

/// What the token allows, of that what its client may get now, of that what there is.
fn power(token: &AccessToken, client: &Client) -> ScopeSet {
    let held = ScopeSet::of(token.scope.iter()).unwrap_or_default();
    let given = client.access.get(&ResourceId::admin()).map(|given| given.meet(&held)).unwrap_or_default();
    given.meet(&Resource::admin().scopes)
}
