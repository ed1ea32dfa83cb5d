//! `POST /oauth2/token` ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::clients::AuthenticatedClient;
use crate::grants::{self, GrantError, Parameters, TokenAnswer};
use crate::http::Http;
use crate::http::answer::Answer;
use crate::http::credentials::{basic, presented};
use crate::http::error::OAuthError;
use crate::ports::Timestamp;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// On the wire ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// Answers a token request; an error is an answer too.
pub(in crate::http) async fn token(http: &Http, request: &HttpRequest, body: &[u8], now: Timestamp) -> Answer {
    let mut client = None;
    let mut answer = match grant(http, request, body, now, &mut client).await {
        Ok(token) => success(&token),
        Err(error) => error.into(),
    };
    answer.note.client = client.map(|client| client.client().id.as_str().to_owned());
    answer
}

async fn grant(
    http: &Http,
    request: &HttpRequest,
    body: &[u8],
    now: Timestamp,
    client: &mut Option<AuthenticatedClient>,
) -> Result<TokenAnswer, OAuthError> {
    require_form(request)?;
    let form = Parameters::parse(body, grants::is_repeatable)?;
    let basic = basic(request.headers())?;
    let presented = presented(basic.as_ref(), &form)?;
    let client = client.insert(http.authenticator.authenticate(presented, now).await?);
    let name = form.get("grant_type").ok_or(OAuthError::InvalidRequest("grant_type is missing"))?;
    let grant = grants::find(name).ok_or(OAuthError::UnsupportedGrantType)?;
    if !client.client().grants.contains(&grant.kind) {
        return Err(GrantError::UnauthorizedClient.into());
    }
    let parameters = form.only(grant.parameters);
    Ok((grant.handle)(&http.services, client, &parameters, now).await?)
}

fn require_form(request: &HttpRequest) -> Result<(), OAuthError> {
    let value = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(FORM) { Ok(()) } else { Err(OAuthError::NotAForm) }
}

fn success(token: &TokenAnswer) -> Answer {
    let response = TokenResponse {
        access_token: &token.access_token,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: &token.scope,
    };
    let mut body = Vec::with_capacity(token.access_token.len() + token.scope.len() + 96);
    match serde_json::to_writer(&mut body, &response) {
        Ok(()) => Answer::json(body),
        Err(_) => OAuthError::InvalidRequest("the token can't be written").into(),
    }
}
