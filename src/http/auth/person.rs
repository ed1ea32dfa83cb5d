//! Who calls, by an access token of a session.
//!
//! Guarantees: the token is checked with the library that every other service checks tokens with, for the very resource
//! that its session was begun for; nothing that was acknowledged as revoked before the request came is admitted; the session
//! is alive, its client and its person are enabled; a token that is a client's own, or is bound to a key, is refused.

use std::sync::Arc;
use std::time::Duration;

use signet_verify::{AccessToken, Compact, Policy};

use super::{Call, client};
use crate::clients::Client;
use crate::http::bearer::bearer;
use crate::http::error::Problem;
use crate::http::own_keys::OwnKeys;
use crate::issuer::Issuer;
use crate::keys::KeyRing;
use crate::ports::Timestamp;
use crate::tokens::session::{Session, SessionId};
use crate::users::{User, UserId};

/// Checks access tokens of people.
pub struct PersonGuard {
    issuer: Issuer,
    leeway: Duration,
    own: OwnKeys,
}

/// Somebody whose token was good in this request.
pub(super) struct Person {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) client: Arc<Client>,
}

fn refused(why: &'static str) -> Problem {
    Problem::InvalidToken(why.into())
}

impl PersonGuard {
    /// Admits tokens of `issuer` that `ring` signed. The clocks of replicas are at most `max_skew` from the store's, so
    /// twice that from one another's, and no more is forgiven.
    pub fn new(issuer: &Issuer, ring: Arc<KeyRing>, max_skew: Duration) -> Self {
        Self { issuer: issuer.clone(), leeway: max_skew * 2, own: OwnKeys::new(ring) }
    }

    /// The token's claims, and that it is for some resource that there is.
    fn check(&self, call: &Call<'_>, token: &str, now: Timestamp) -> Result<AccessToken, Problem> {
        let unverified = Compact::parse(token).and_then(|compact| compact.unverified_claims());
        let unverified = unverified.map_err(|error| Problem::InvalidToken(error.to_string().into()))?;
        // Which audience to hold it to is the token's own word; below it is held to that of its session.
        let Ok(Some(audience)) = unverified.unverified_text("aud") else {
            return Err(refused("it has no one audience"));
        };
        if call.http.services.directory.resource(audience).is_none() {
            return Err(refused("it is for a resource that there is not"));
        }
        let policy = Policy::new(self.issuer.as_str(), audience).accept_eddsa_name(true);
        let policy = policy.clone().leeway(self.leeway).unwrap_or(policy);
        let token = self.own.verify(&policy, token, now)?;
        if token.aud.sole() != Some(audience) {
            return Err(refused("it has more than one audience"));
        }
        // https://www.rfc-editor.org/rfc/rfc7800#section-3.1: whoever bears it would have to prove more.
        if token.cnf.is_some() {
            return Err(refused("it is bound to a key"));
        }
        Ok(token)
    }

    /// The person whose session the token of the request is of.
    pub(super) async fn admit(&self, call: &Call<'_>) -> Result<Person, Problem> {
        let token = self.check(call, bearer(&call.head.headers)?, call.now())?;
        if call.http.services.revocations.judge_token(&token).await?.is_some() {
            return Err(refused("it is revoked"));
        }
        let id = token.sid.as_deref().and_then(SessionId::parse).ok_or_else(|| refused("it is of no session"))?;
        let services = &call.http.services;
        let session = services.sessions.load(id).await?.ok_or_else(|| refused("its session has ended"))?;
        let is_of_session = session.user.as_hyphenated().to_string() == token.sub
            && session.client.as_str() == token.client_id
            && token.aud.sole() == Some(&*session.grant.resource.audience(&services.issuer));
        if !is_of_session {
            return Err(refused("it is not what its session was begun for"));
        }
        let client = client::of_session(call, session.client.as_str()).await?;
        let user = call.auth.accounts.load(&UserId::from_uuid(session.user)).await?;
        match user {
            Some(user) if user.enabled => Ok(Person { user, session, client }),
            Some(_) => Err(refused("its person is disabled")),
            None => Err(refused("its person is gone")),
        }
    }
}
