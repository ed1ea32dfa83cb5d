//! `POST /auth/login`: a password for a session.
//!
//! Guarantees: what can be refused without the password is refused before it; an unknown user, a wrong password and a
//! disabled account are answered alike; the refresh token is in the cookie or in the body, never in both; nobody is given
//! the tokens of a session whose beginning is not in the audit log.

use std::sync::Arc;

use actix_web::http::header::SET_COOKIE;
use serde_json::json;

use super::bodies::{DeliveryName, LogIn, LoggedIn};
use super::{Call, client, cookie, device, origin};
use crate::audit::Act;
use crate::clients::{Client, Resource, ScopeSet};
use crate::grants;
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem};
use crate::ports::Timestamp;
use crate::secret::SecretText;
use crate::tokens::session::{
    AddressPrefix, Amr, Beginning, ClientBinding, Delivery, Rotation, Session, SessionError, SessionGrant,
};
use crate::tokens::{AccessToken, Person, TokenRequest};
use crate::users::{AccountError, AuthenticatedUser, LoginRefused, Profile, User};

pub(super) async fn log_in(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let asked: LogIn = call.read().await?;
    let client = client::authenticate(call, asked.client_id.as_deref()).await?;
    let client = client.client();
    if asked.delivery == DeliveryName::Cookie {
        origin::check_cookie_call(call.http, call.head, client)?;
    }
    let services = &call.http.services;
    let (resource, scope) =
        grants::chosen(services, client, asked.audience.as_deref(), asked.scope.as_deref()).map_err(Denied::Grant)?;
    services.minter.check(call.now()).map_err(|error| Problem::Unavailable(error.to_string().into()))?;
    services.past_cut_offs(client, call.now()).await;
    let address = call.counted_address();
    let user = call.auth.accounts.authenticate(&asked.username, asked.password.expose(), address, &call.seen()).await;
    let user = user.map_err(|refused| {
        call.http.meter.login(outcome(&refused));
        Denied::Login(refused)
    })?;
    if user.must_change_password() {
        call.http.meter.login("must_change_password");
        return Err(Denied::MustChangePassword.into());
    }
    let profile = Profile::of(user.user());
    let begun = begin(call, client, user, &resource, scope, asked.delivery.into()).await;
    call.http.meter.login(if begun.is_ok() { "success" } else { "error" });
    let (session, token) = begun?;
    let mut answer = tokens(call, client, &session, &resource, &profile, Some(token))?;
    answer.note.client = Some(client.id.as_str().to_owned());
    Ok(answer)
}

/// How that is counted.
pub(super) const fn outcome(refused: &LoginRefused) -> &'static str {
    match refused {
        LoginRefused::Credentials(refusal) => refusal.reason(),
        LoginRefused::TooMany { .. } => "too_many",
        LoginRefused::Busy { .. } => "busy",
        LoginRefused::NotChecked(_) | LoginRefused::Store(_) => "error",
    }
}

/// The same of a change of a password that begins with the old one.
pub(super) const fn outcome_of_change(error: &AccountError) -> Option<&'static str> {
    match error {
        AccountError::Login(refused) => Some(outcome(refused)),
        _ => None,
    }
}

/// What a person may have of `scope`: all of it, but for the admin API what their roles allow.
fn allowed(user: &User, resource: &Resource, scope: &ScopeSet) -> Result<ScopeSet, Problem> {
    if !resource.id.is_admin() {
        return Ok(scope.clone());
    }
    let allowed = scope.meet(&user.roles.admin_scopes());
    if allowed.is_empty() { Err(Denied::NothingAllowed.into()) } else { Ok(allowed) }
}

/// Begins a session of `user`, who was authenticated in this request.
pub(super) async fn begin(
    call: &Call<'_>,
    client: &Client,
    user: AuthenticatedUser,
    resource: &Arc<Resource>,
    scope: ScopeSet,
    delivery: Delivery,
) -> Result<(Session, SecretText), Problem> {
    let scope = allowed(user.user(), resource, &scope)?;
    let beginning = Beginning {
        user: *user.user().id.as_uuid(),
        client: &client.id,
        binding: ClientBinding::of(client),
        grant: SessionGrant { resource: resource.id.clone(), scope },
        rotation: if client.rotates_refresh_tokens() { Rotation::Rotates } else { Rotation::Stays },
        delivery,
        auth_time: user.at(),
        amr: vec![Amr::Password],
        device: device::label(&call.head.headers),
        address: call.address.map(AddressPrefix::of),
    };
    let sessions = &call.http.services.sessions;
    let (session, token) = sessions.begin(beginning, user.at()).await.map_err(|error| match error {
        SessionError::Store(error) => error.into(),
        SessionError::NoKey => Problem::Unavailable("there is no key to make a refresh token with".into()),
    })?;
    let person = user.user().id.to_string();
    let detail = json!({"user": &person, "client": client.id.as_str()});
    let entry = call.by(&person).entry(Act::SessionsBegin, session.id.to_string(), detail);
    if let Err(error) = call.auth.audit.record(&entry).await {
        // Nobody has a token of it.
        sessions.discard(session.id).await;
        return Err(Problem::Unavailable(format!("the session can't be entered in the audit log: {error}").into()));
    }
    Ok((session, token))
}

/// The answer with an access token of the session for all that this was given, which tells of the person what its resource
/// asks for, and `refresh` in its body or its cookie.
pub(super) fn tokens(
    call: &Call<'_>,
    client: &Client,
    session: &Session,
    resource: &Resource,
    profile: &Profile,
    refresh: Option<SecretText>,
) -> Result<Answer, Problem> {
    let scope = session.grant.scope.as_str();
    let request = TokenRequest { client, person: Some(Person::of(session, Some(profile))), resource, scope };
    let minted = call.http.services.minter.mint(&request, call.now());
    let AccessToken { compact, lifetime, .. } =
        minted.map_err(|error| Problem::Unavailable(error.to_string().into()))?;
    let body = LoggedIn {
        access_token: compact,
        token_type: "Bearer",
        expires_in: lifetime.as_secs(),
        refresh_token: None,
        scope: scope.to_owned(),
        session_id: session.id.to_string(),
    };
    Ok(delivered(client, session, body, refresh, call.now()))
}

/// `body` with the refresh token where the session has it travel.
pub(super) fn delivered(
    client: &Client,
    session: &Session,
    body: LoggedIn,
    refresh: Option<SecretText>,
    now: Timestamp,
) -> Answer {
    let json = |body: &LoggedIn| Answer::json(serde_json::to_vec(body).unwrap_or_default());
    match (session.delivery, refresh) {
        (_, None) => json(&body),
        (Delivery::Body, Some(token)) => json(&LoggedIn { refresh_token: Some(token.expose().to_owned()), ..body }),
        (Delivery::Cookie, Some(token)) => {
            let kept = session.idle.min(session.expires_at.since(now)).as_secs();
            json(&body).with_text(SET_COOKIE, cookie::set(&client.id, &token, kept))
        }
    }
}
