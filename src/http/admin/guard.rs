//! Who may call the admin API: whoever bears a token that this issuer signed for it, within what the token's client may
//! get now and, where it speaks for a person, what that person's roles allow now.
//!
//! Guarantees: the token is checked with the library that every other service checks tokens with, against the keys that
//! this replica publishes now; a client or person that was disabled, deleted or lost a scope or role is refused though the
//! token lives on, from the moment at which that is stored: no replica asks its memory; a person's token is good for no
//! longer than the session that it is of.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use signet_verify::{AccessToken, Policy};

use super::caller::Caller;
use crate::clients::{Client, ClientId, ClientStore, Power, Resource, ResourceId, ScopeSet};
use crate::http::bearer::bearer;
use crate::http::error::Problem;
use crate::http::own_keys::OwnKeys;
use crate::issuer::Issuer;
use crate::keys::KeyRing;
use crate::ports::Timestamp;
use crate::tokens::CLIENT_SUBJECT;
use crate::tokens::revocation::LiveRevocations;
use crate::tokens::session::{SessionId, Sessions};
use crate::users::{User, UserId, UserStore};

/// Where it is looked up what a caller may do now.
pub struct Callers {
    /// Whose tokens they are.
    pub clients: Arc<dyn ClientStore>,
    /// For whom they speak.
    pub users: Arc<dyn UserStore>,
    /// By which sessions.
    pub sessions: Arc<Sessions>,
    /// What of all that is revoked.
    pub revocations: Arc<LiveRevocations>,
}

/// Checks tokens of the admin API.
pub struct Guard {
    audience: String,
    policy: Policy,
    own: OwnKeys,
    callers: Callers,
}

impl Guard {
    /// Admits tokens that `ring` signed for the admin API of `issuer`, of those among `callers`. The clocks of replicas are
    /// at most `max_skew` from the store's, so twice that from one another's, and no more is forgiven.
    pub fn new(issuer: &Issuer, ring: Arc<KeyRing>, callers: Callers, max_skew: Duration) -> Self {
        let audience = issuer.admin_audience();
        // What Ed25519 is called is a setting, which may have changed since the token was signed.
        let policy = Policy::new(issuer.as_str(), audience.as_str()).accept_eddsa_name(true);
        let policy = policy.clone().leeway(max_skew * 2).unwrap_or(policy);
        Self { audience, policy, own: OwnKeys::new(ring), callers }
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
        if self.callers.revocations.judge_token(&token).await?.is_some() {
            return Err(Problem::InvalidToken("it is revoked".into()));
        }
        let client = self.client(&token).await?;
        let mut scopes = power(&token, &client);
        let mut person = None;
        if !speaks_for_its_client(&token) {
            let user = self.person(&token).await?;
            scopes = scopes.meet(&user.roles.admin_scopes());
            person = Some(*user.id.as_uuid());
        }
        // https://www.rfc-editor.org/rfc/rfc6750#section-3.1
        if !scopes.contains(needed) {
            return Err(Problem::InsufficientScope(needed));
        }
        Ok(Caller::new(Power::Of { client: client.id, scopes, person }, head, request_id))
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
        if token.sub.starts_with(CLIENT_SUBJECT) && !speaks_for_its_client(&token) {
            return Err(refused("it is on behalf of another client than its own"));
        }
        Ok(token)
    }

    /// The client that the token was issued to, as it is now.
    async fn client(&self, token: &AccessToken) -> Result<Client, Problem> {
        let refused = |why| Err(Problem::InvalidToken(std::borrow::Cow::Borrowed(why)));
        let Ok(id) = ClientId::parse(&token.client_id) else { return refused("its client has no name that there is") };
        match self.callers.clients.load_client(&id).await? {
            None => refused("its client is deleted"),
            Some(client) if !client.enabled => refused("its client is disabled"),
            // Someone registered the identifier anew: that is another client.
            Some(client) if i64::try_from(token.iat.secs()).is_ok_and(|issued| issued < client.created_at.secs()) => {
                refused("it was issued to another client of that identifier")
            }
            Some(client) => Ok(client),
        }
    }

    /// The person for whom the token speaks, as they are now, while its session lives.
    async fn person(&self, token: &AccessToken) -> Result<User, Problem> {
        let refused = |why: &'static str| Problem::InvalidToken(why.into());
        let id: UserId = token.sub.parse().map_err(|_| refused("it is on behalf of nobody that there is"))?;
        let session = token.sid.as_deref().and_then(SessionId::parse).ok_or_else(|| refused("it is of no session"))?;
        let session = self.callers.sessions.load(session).await?.ok_or_else(|| refused("its session has ended"))?;
        let is_of_session = session.user == *id.as_uuid()
            && session.client.as_str() == token.client_id
            && session.grant.resource.is_admin();
        if !is_of_session {
            return Err(refused("it is not what its session was begun for"));
        }
        match self.callers.users.load_user(&id).await? {
            Some(user) if user.enabled => Ok(user),
            Some(_) => Err(refused("its person is disabled")),
            None => Err(refused("its person is gone")),
        }
    }
}

/// Whether the token is a client's own.
fn speaks_for_its_client(token: &AccessToken) -> bool {
    token.sub.strip_prefix(CLIENT_SUBJECT) == Some(token.client_id.as_str())
}

/// What the token allows, of that what its client may get now, of that what there is.
fn power(token: &AccessToken, client: &Client) -> ScopeSet {
    let held = ScopeSet::of(token.scope.iter()).unwrap_or_default();
    let given = client.access.get(&ResourceId::admin()).map(|given| given.meet(&held)).unwrap_or_default();
    given.meet(&Resource::admin().scopes)
}
