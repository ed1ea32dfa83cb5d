//! `refresh_token`: a client prolongs what a person let it have
//! ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
//!
//! Guarantees: a scope may be narrowed for one answer, and that narrows nothing else; never a scope beyond what the
//! session was given, the client may get now and the resource offers now; a request that asks for too much does not use
//! the refresh token up, and neither does one that comes while no token can be signed.

use super::client_credentials::single;
use super::{Grant, GrantError, Parameters, Services, TokenAnswer};
use crate::clients::{AuthenticatedClient, Client, GrantType, Resource, ScopeSet};
use crate::ports::Timestamp;
use crate::tokens::session::{Decision, Delivery, Presenter, RefreshRefusal, Session, SessionGrant};
use crate::tokens::{Person, TokenRequest};

pub(super) const GRANT: Grant = Grant {
    kind: GrantType::RefreshToken,
    parameters: &["refresh_token", "scope", "resource"],
    repeatable: &["resource"],
    handle: |services, client, parameters, now| Box::pin(handle(services, client, parameters, now)),
};

async fn handle(
    services: &Services,
    client: &AuthenticatedClient,
    parameters: &Parameters<'_>,
    now: Timestamp,
) -> Result<TokenAnswer, GrantError> {
    let token = parameters.get("refresh_token").ok_or(GrantError::InvalidRequest("refresh_token is missing"))?;
    let (scope, resource) = (parameters.get("scope"), single(parameters)?);
    let asked = Prolonging { token, delivery: Delivery::Body, scope, resource };
    Ok(prolong(services, client.client(), &asked, now).await?.0)
}

/// What is asked for with a refresh token.
#[derive(Clone, Copy)]
pub struct Prolonging<'a> {
    /// The refresh token.
    pub token: &'a str,
    /// How it came.
    pub delivery: Delivery,
    /// Less than the session was given, if anything is said.
    pub scope: Option<&'a str>,
    /// The resource of the session, if anything is said.
    pub resource: Option<&'a str>,
}

/// Prolongs a session at `client`, which was authenticated. A token that came in another way than the session has them
/// travel is refused, and the session stays where it is.
pub async fn prolong(
    services: &Services,
    client: &Client,
    asked: &Prolonging<'_>,
    now: Timestamp,
) -> Result<(TokenAnswer, Session), GrantError> {
    let Prolonging { token, delivery, resource, .. } = *asked;
    let scope = match asked.scope {
        None => None,
        Some(scope) => Some(ScopeSet::parse(scope).map_err(|_| GrantError::InvalidScope("the scope is malformed"))?),
    };
    let presenter = Presenter::new(client, delivery);
    if scope.is_some() || resource.is_some() {
        let session = services.sessions.look_up(token, &presenter).await?;
        // One that may be refused for another reason is presented, so that it is: a reused token ends its session.
        if let Some(session) = session {
            check(services, &session.grant, scope.as_ref(), resource)?;
        }
    }
    services.minter.check(now)?;
    let refreshed = services.sessions.refresh(token, &presenter).await?;
    let (resource, scope) = allowed(services, client, &refreshed.session, scope)?;
    let request = TokenRequest {
        client,
        person: Some(Person::of(&refreshed.session)),
        resource: &resource,
        scope: scope.as_str(),
    };
    let token = services.minter.mint(&request, now)?;
    let answer = TokenAnswer {
        access_token: token.compact,
        expires_in: token.lifetime.as_secs(),
        scope: scope.into(),
        refresh_token: refreshed.token,
        algorithm: token.algorithm,
    };
    Ok((answer, refreshed.session))
}

/// Refuses what goes beyond the session's grant.
fn check(
    services: &Services,
    grant: &SessionGrant,
    scope: Option<&ScopeSet>,
    resource: Option<&str>,
) -> Result<(), GrantError> {
    // https://www.rfc-editor.org/rfc/rfc8707#section-2.2
    if resource.is_some_and(|audience| audience != grant.resource.audience(&services.issuer)) {
        return Err(GrantError::InvalidTarget("the refresh token is for another resource"));
    }
    // https://www.rfc-editor.org/rfc/rfc6749#section-6
    if scope.is_some_and(|scope| scope.first_outside(&grant.scope).is_some()) {
        return Err(GrantError::InvalidScope("the scope is more than the refresh token was given"));
    }
    Ok(())
}

/// What the session was given, as far as the client may still get it and the resource still offers it, and as far as it
/// was asked for.
fn allowed(
    services: &Services,
    client: &Client,
    session: &Session,
    asked: Option<ScopeSet>,
) -> Result<(std::sync::Arc<Resource>, ScopeSet), GrantError> {
    let SessionGrant { resource, scope } = &session.grant;
    let gone = || GrantError::InvalidTarget("the resource is gone, or the client may get no token for it any more");
    let own = client.access.get(resource).ok_or_else(gone)?;
    let resource = services.directory.resource_by_id(resource).ok_or_else(gone)?;
    // Nothing was looked up where the session could not be seen: what is asked for is held to the grant here too.
    let wide = asked.as_ref().is_some_and(|asked| asked.first_outside(scope).is_some());
    if wide {
        return Err(GrantError::InvalidGrant(RefreshRefusal::Decided(Decision::Foreign)));
    }
    let given = asked.as_ref().unwrap_or(scope).meet(own).meet(&resource.scopes);
    if given.is_empty() && !scope.is_empty() {
        return Err(GrantError::InvalidScope("nothing of the scope may be had any more"));
    }
    Ok((resource, given))
}
