//! `client_credentials`: a service asks for a token of its own
//! ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
//!
//! Guarantees: one audience a token; never a scope that the client was not given and the resource does not offer; no
//! refresh token.

use std::sync::Arc;

use super::{Grant, GrantError, Parameters, Services, TokenAnswer};
use crate::clients::{AuthenticatedClient, Client, GrantType, Resource, ScopeSet};
use crate::ports::Timestamp;
use crate::tokens::TokenRequest;

pub(super) const GRANT: Grant = Grant {
    kind: GrantType::ClientCredentials,
    parameters: &["scope", "resource"],
    repeatable: &["resource"],
    handle: |services, client, parameters, now| {
        Box::pin(async move {
            let now = services.past_cut_offs(client.client(), now).await;
            handle(services, client, parameters, now)
        })
    },
};

fn handle(
    services: &Services,
    client: &AuthenticatedClient,
    parameters: &Parameters<'_>,
    now: Timestamp,
) -> Result<TokenAnswer, GrantError> {
    let client = client.client();
    let (resource, scope) = chosen(services, client, single(parameters)?, parameters.get("scope"))?;
    let token = services
        .minter
        .mint(&TokenRequest { client, person: None, resource: &resource, scope: scope.as_str() }, now)?;
    Ok(TokenAnswer {
        access_token: token.compact,
        expires_in: token.lifetime.as_secs(),
        scope: scope.into(),
        refresh_token: None,
        algorithm: token.algorithm,
    })
}

/// The resource and the scope that `client` gets where it asks for these; by default its only resource, and all that it
/// may get there.
pub fn chosen(
    services: &Services,
    client: &Client,
    resource: Option<&str>,
    scope: Option<&str>,
) -> Result<(Arc<Resource>, ScopeSet), GrantError> {
    let requested = match scope {
        None => None,
        Some(scope) => Some(ScopeSet::parse(scope).map_err(|_| GrantError::InvalidScope("the scope is malformed"))?),
    };
    let resource = match resource {
        Some(audience) => services
            .directory
            .resource(audience)
            .filter(|resource| client.access.contains_key(&resource.id))
            .ok_or(GrantError::InvalidTarget("the resource is unknown, or the client may get no token for it"))?,
        None => default_resource(services, client, requested.as_ref())?,
    };
    let scope = granted(client, &resource, requested)?;
    Ok((resource, scope))
}

/// The one `resource` asked for, if any. Several are refused: a token that two services accept is a token that each of
/// them can use at the other ([RFC 9700 §2.3](https://www.rfc-editor.org/rfc/rfc9700#section-2.3)).
pub(super) fn single<'a>(parameters: &'a Parameters<'_>) -> Result<Option<&'a str>, GrantError> {
    let mut asked = parameters.all("resource");
    let first = asked.next();
    if asked.next().is_some() {
        return Err(GrantError::InvalidTarget("a token is for one resource: ask for one token each"));
    }
    Ok(first)
}

/// Where no resource is named: the only one of the client's that has all the scopes asked for.
fn default_resource(
    services: &Services,
    client: &Client,
    requested: Option<&ScopeSet>,
) -> Result<Arc<Resource>, GrantError> {
    let mut fitting = client.access.iter().filter_map(|(id, allowed)| {
        let fits = requested.is_none_or(|scopes| scopes.first_outside(allowed).is_none());
        if fits { services.directory.resource_by_id(id) } else { None }
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) if requested.is_some() => {
            Err(GrantError::InvalidScope("no resource of the client has all these scopes"))
        }
        (None, _) => Err(GrantError::InvalidTarget("the client may get no token for any resource")),
        (Some(_), Some(_)) => {
            Err(GrantError::InvalidTarget("the client has several resources: name one by `resource`"))
        }
    }
}

/// What was asked for, or by default all that the client may get at the resource.
fn granted(client: &Client, resource: &Resource, requested: Option<ScopeSet>) -> Result<ScopeSet, GrantError> {
    let own = client.access.get(&resource.id);
    match requested {
        None => Ok(own.map(|own| own.meet(&resource.scopes)).unwrap_or_default()),
        Some(scopes) => {
            let allowed = |token| own.is_some_and(|own| own.contains(token)) && resource.scopes.contains(token);
            let exceeds = GrantError::InvalidScope("the scope is unknown, or more than the client may get");
            if scopes.iter().all(allowed) { Ok(scopes) } else { Err(exceeds) }
        }
    }
}
