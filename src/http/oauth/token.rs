//! `POST /oauth2/token` ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).

use actix_web::dev::RequestHead;
use actix_web::http::header::CONTENT_TYPE;

use crate::clients::{AuthenticatedClient, GrantType};
use crate::grants::{self, GrantError, Parameters, TokenAnswer};
use crate::http::Http;
use crate::http::answer::Answer;
use crate::http::credentials::{basic, presented};
use crate::http::error::{OAuthError, Refused, UNREAD};
use crate::ports::Timestamp;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// What is known of a request, however far it came.
#[derive(Default)]
struct Known {
    client: Option<AuthenticatedClient>,
    grant: Option<GrantType>,
}

/// Answers a token request; an error is an answer too.
pub(in crate::http) async fn token(http: &Http, head: &RequestHead, body: &[u8], now: Timestamp) -> Answer {
    let mut known = Known::default();
    let mut answer = match grant(http, head, body, now, &mut known).await {
        Ok(token) => success(&token),
        Err(error) => {
            if let Some(reason) = error.refusal() {
                http.meter.client_refused(reason);
            }
            let answer = Answer::from(error);
            http.meter.token_refused(known.grant, answer.note.error.unwrap_or_default());
            answer
        }
    };
    answer.note.client = known.client.map(|client| client.client().id.as_str().to_owned());
    answer
}

/// Answers a token request whose body could not be read.
pub(in crate::http) fn unread(http: &Http, refused: Refused) -> Answer {
    http.meter.token_refused(None, UNREAD);
    refused.answer(true)
}

async fn grant(
    http: &Http,
    head: &RequestHead,
    body: &[u8],
    now: Timestamp,
    known: &mut Known,
) -> Result<TokenAnswer, OAuthError> {
    require_form(head)?;
    let form = Parameters::parse(body, grants::is_repeatable)?;
    let named = form.get("grant_type");
    let grant = named.and_then(grants::find);
    known.grant = grant.map(|grant| grant.kind);
    let basic = basic(head.headers())?;
    let presented = presented(basic.as_ref(), &form)?;
    let client = known.client.insert(http.authenticator.authenticate(presented, now).await?);
    if named.is_none() {
        return Err(OAuthError::InvalidRequest("grant_type is missing"));
    }
    let grant = grant.ok_or(OAuthError::UnsupportedGrantType)?;
    if !client.client().grants.contains(&grant.kind) {
        return Err(GrantError::UnauthorizedClient.into());
    }
    let parameters = form.only(grant.parameters);
    let token = (grant.handle)(&http.services, client, &parameters, now).await?;
    http.meter.token_issued(grant.kind, token.algorithm);
    Ok(token)
}

fn require_form(head: &RequestHead) -> Result<(), OAuthError> {
    let value = head.headers().get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(FORM) { Ok(()) } else { Err(OAuthError::NotAForm) }
}

/// On the wire ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)). Written by hand: a token is made of
/// characters that need no escaping, and it is what most of the bytes are.
fn success(token: &TokenAnswer) -> Answer {
    let mut body = Vec::with_capacity(token.access_token.len() + token.scope.len() + 208);
    body.extend_from_slice(b"{\"access_token\":\"");
    body.extend_from_slice(token.access_token.as_bytes());
    body.extend_from_slice(b"\",\"token_type\":\"Bearer\",\"expires_in\":");
    body.extend_from_slice(token.expires_in.to_string().as_bytes());
    if !token.scope.is_empty() {
        // Nor has a scope anything to escape: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
        body.extend_from_slice(b",\"scope\":\"");
        body.extend_from_slice(token.scope.as_bytes());
        body.push(b'"');
    }
    if let Some(refresh_token) = &token.refresh_token {
        body.extend_from_slice(b",\"refresh_token\":\"");
        body.extend_from_slice(refresh_token.expose().as_bytes());
        body.push(b'"');
    }
    body.push(b'}');
    Answer::json(body)
}
