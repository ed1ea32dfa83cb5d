//! `POST /auth/refresh`: a session goes on.

use super::bodies::{LoggedIn, Refresh, Typed};
use super::login::delivered;
use super::{Call, client, cookie, origin};
use crate::clients::{Client, GrantType};
use crate::grants::{self, GrantError, Prolonging};
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem};
use crate::tokens::session::Delivery;

/// A refresh token, and how it came.
pub(super) struct Presented {
    pub(super) token: crate::secret::SecretText,
    pub(super) delivery: Delivery,
}

/// The one refresh token of a request: in its body, or in its cookie where no foreign page can have made it.
pub(super) fn presented(call: &Call<'_>, client: &Client, body: Option<Typed>) -> Result<Presented, Problem> {
    let cookie = cookie::read(&call.head.headers, &client.id)?;
    match (body, cookie) {
        (Some(_), Some(_)) => Err(Denied::SeveralRefreshTokens.into()),
        (None, None) => Err(Denied::NoRefreshToken.into()),
        (Some(body), None) => Ok(Presented { token: body.into_secret(), delivery: Delivery::Body }),
        (None, Some(token)) => {
            origin::check_cookie_call(call.http, call.head, client)?;
            let token = crate::secret::SecretText::new(token.to_owned());
            Ok(Presented { token, delivery: Delivery::Cookie })
        }
    }
}

pub(super) async fn refresh(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let asked: Refresh = call.read().await?;
    let client = client::authenticate(call, asked.client_id.as_deref()).await?;
    let Presented { token, delivery } = presented(call, client.client(), asked.refresh_token)?;
    let prolonging = Prolonging {
        token: token.expose(),
        delivery,
        scope: asked.scope.as_deref(),
        resource: asked.audience.as_deref(),
    };
    let prolonged = grants::prolong(&call.http.services, client.client(), &prolonging, call.now()).await;
    let (token, session) = prolonged.map_err(|error| match error {
        GrantError::InvalidGrant(refusal) => Denied::RefreshToken(refusal),
        other => Denied::Grant(other),
    })?;
    call.http.meter.token_issued(GrantType::RefreshToken, token.algorithm);
    let body = LoggedIn {
        access_token: token.access_token,
        token_type: "Bearer",
        expires_in: token.expires_in,
        refresh_token: None,
        device_token: None,
        scope: token.scope,
        session_id: session.id.to_string(),
    };
    let mut answer = delivered(client.client(), &session, body, token.refresh_token, None, call.now());
    answer.note.client = Some(client.client().id.as_str().to_owned());
    Ok(answer)
}
