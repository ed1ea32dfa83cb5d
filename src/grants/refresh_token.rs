//! `refresh_token`: a client prolongs what a person let it have
//! ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
//!
//! Guarantees: a scope may be narrowed for one answer, and that narrows nothing else; never a scope beyond what the
//! session was given, the client may get now, the resource offers now and, of the admin API, the person's roles allow now;
//! a request that asks for too much does not use the refresh token up, and neither does one that comes while no token can
//! be signed, or while it can't be told what its resource asks for of the person; where a refusal is found only after the
//! session has moved, the move is taken back.

use std::sync::Arc;

use super::client_credentials::single;
use super::{Grant, GrantError, Parameters, Services, TokenAnswer};
use crate::clients::{AuthenticatedClient, Client, GrantType, Resource, ScopeSet};
use crate::ports::Timestamp;
use crate::tokens::session::{Decision, Delivery, Presenter, RefreshRefusal, Session, SessionGrant};
use crate::tokens::{AccessToken, Person, TokenRequest};
use crate::users::Profile;

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
    // One that is empty asks for nothing in particular, as one that is not there.
    let scope = match asked.scope {
        None | Some("") => None,
        Some(scope) => Some(ScopeSet::parse(scope).map_err(|_| GrantError::InvalidScope("the scope is malformed"))?),
    };
    let presenter = Presenter::new(client, delivery);
    let mut profile = None;
    if scope.is_some() || resource.is_some() || may_ask_for_people(services, client) {
        let session = services.sessions.look_up(token, &presenter).await?;
        // One that may be refused for another reason is presented, so that it is: a reused token ends its session.
        if let Some(session) = session {
            check(services, &session.grant, scope.as_ref(), resource)?;
            if let Some(resource) = services.directory.resource_by_id(&session.grant.resource) {
                profile = services.profile_for(&resource, session.user).await?;
            }
        }
    }
    services.minter.check(now)?;
    let refreshed = services.sessions.refresh(token, &presenter).await?;
    match given(services, client, &refreshed.session, (profile, scope), now).await {
        Ok((token, scope)) => {
            let answer = TokenAnswer {
                access_token: token.compact,
                expires_in: token.lifetime.as_secs(),
                scope: scope.into(),
                refresh_token: refreshed.token,
                algorithm: token.algorithm,
            };
            Ok((answer, refreshed.session))
        }
        Err(error) => {
            services.sessions.take_back(&refreshed).await;
            Err(error)
        }
    }
}

/// The access token for a session that was refreshed, and its scope: what there is to be had of `asked`.
async fn given(
    services: &Services,
    client: &Client,
    session: &Session,
    (profile, asked): (Option<Arc<Profile>>, Option<ScopeSet>),
    now: Timestamp,
) -> Result<(AccessToken, ScopeSet), GrantError> {
    let resource = still_allowed(services, client, session)?;
    // It was not to be known before where the resource asks for it since a moment ago.
    let profile = match profile {
        None => services.profile_for(&resource, session.user).await?,
        known => known,
    };
    let scope = allowed(client, &resource, profile.as_deref(), &session.grant.scope, asked)?;
    let person = Some(Person::of(session, profile.as_deref()));
    let request = TokenRequest { client, person, resource: &resource, scope: scope.as_str() };
    Ok((services.minter.mint(&request, now)?, scope))
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

/// Whether a session at this client may be for a resource whose tokens need to know the person: then it is looked at before
/// its token is used up. It costs a question to the session store, which the sessions of all other clients are spared.
fn may_ask_for_people(services: &Services, client: &Client) -> bool {
    let asks = |id| services.directory.resource_by_id(id).is_some_and(|resource| resource.asks_for_people());
    client.access.keys().any(asks)
}

/// The resource of the session, while there is one and the client may get tokens for it.
fn still_allowed(services: &Services, client: &Client, session: &Session) -> Result<Arc<Resource>, GrantError> {
    let id = &session.grant.resource;
    let resource = services.directory.resource_by_id(id).filter(|_| client.access.contains_key(id));
    resource.ok_or(GrantError::InvalidTarget("the resource is gone, or the client may get no token for it any more"))
}

/// What the session was given, as far as the client may still get it, the resource still offers it and, of the admin API,
/// the person's roles still allow it, and as far as it was asked for.
fn allowed(
    client: &Client,
    resource: &Resource,
    profile: Option<&Profile>,
    granted: &ScopeSet,
    asked: Option<ScopeSet>,
) -> Result<ScopeSet, GrantError> {
    // Nothing was looked up where the session could not be seen: what is asked for is held to the grant here too.
    if asked.as_ref().is_some_and(|asked| asked.first_outside(granted).is_some()) {
        return Err(GrantError::InvalidGrant(RefreshRefusal::Decided(Decision::Foreign)));
    }
    let nothing = ScopeSet::default();
    let own = client.access.get(&resource.id).unwrap_or(&nothing);
    let mut given = asked.as_ref().unwrap_or(granted).meet(own).meet(&resource.scopes);
    if resource.id.is_admin() {
        given = given.meet(&profile.map(|profile| profile.roles.admin_scopes()).unwrap_or_default());
    }
    if given.is_empty() && !granted.is_empty() {
        return Err(GrantError::InvalidScope("nothing of the scope may be had any more"));
    }
    Ok(given)
}
