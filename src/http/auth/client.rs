//! At which client somebody signs in.

use std::sync::Arc;

use super::{Call, origin};
use crate::clients::{AuthenticatedClient, AuthenticationError, LOGIN_CLIENT, Presented, Refusal};
use crate::http::credentials::basic;
use crate::http::error::{Denied, OAuthError, Problem};

/// The first-party client of a request: a public one by its name in the body, one with a secret by the `Authorization`
/// header. A page must be the client's own.
pub(super) async fn authenticate(call: &Call<'_>, named: Option<&str>) -> Result<AuthenticatedClient, Problem> {
    let basic = basic(&call.head.headers).map_err(|error| match error {
        OAuthError::Authentication(error) => Problem::from(Denied::Client(error)),
        _ => Problem::SeveralTokens,
    })?;
    let presented = match &basic {
        None => Presented::Public { id: named.unwrap_or(LOGIN_CLIENT) },
        Some(basic) if named.is_some_and(|named| named != basic.id()) => {
            return Err(Denied::Client(AuthenticationError::Refused(Refusal::Unreadable)).into());
        }
        Some(basic) => basic.presented(),
    };
    let client = call.http.authenticator.authenticate(presented, call.now()).await.map_err(|error| {
        if let AuthenticationError::Refused(refusal) = &error {
            call.http.meter.client_refused(refusal.reason());
        }
        Problem::from(if basic.is_some() { Denied::Client(error) } else { Denied::PublicClient(error) })
    })?;
    if !client.client().first_party {
        return Err(Denied::NotFirstParty.into());
    }
    origin::check(call.http, call.head, client.client())?;
    Ok(client)
}

/// The client `id` that a session or a token names, while it may be used here.
pub(super) async fn of_session(call: &Call<'_>, id: &str) -> Result<Arc<crate::clients::Client>, Problem> {
    let refused = |why: &'static str| Problem::InvalidToken(why.into());
    let client = call.http.services.directory.client(id).await?.ok_or_else(|| refused("its client is deleted"))?;
    if !client.enabled {
        return Err(refused("its client is disabled"));
    }
    if !client.first_party {
        return Err(Denied::NotFirstParty.into());
    }
    origin::check(call.http, call.head, &client)?;
    Ok(client)
}
