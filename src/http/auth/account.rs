//! What people do with their own account once they are signed in, or where they can't be yet.

use actix_web::http::header::SET_COOKIE;

use super::bodies::{ChangePassword, MeView, Typed};
use super::login::{Kept, begin, outcome, outcome_of_change, tokens};
use super::person::Person;
use super::{Call, cookie, known_device, origin};
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem, no_content};
use crate::tokens::revocation::EndReason;
use crate::tokens::session::Delivery;
use crate::users::{AccountError, Profile};

pub(super) async fn me(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let Person { user, session, .. } = call.auth.person.admit(call).await?;
    let view = MeView {
        sub: session.user.as_hyphenated().to_string(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_ref().map(|email| email.as_str().to_owned()),
        roles: user.roles.iter().map(str::to_owned).collect(),
        session_id: session.id.to_string(),
        auth_time: session.auth_time.to_string(),
    };
    Ok(Answer::json(serde_json::to_vec(&view).unwrap_or_default()))
}

/// `POST /auth/password`. Whoever changes a password ends every session of its owner; the one that did it goes on as a
/// new one, whose owner was authenticated just now. No device is known from then on but the one that did it.
pub(super) async fn password(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let asked: ChangePassword = call.read().await?;
    let ChangePassword { new_password, current_password, username, link_token, device_token: device } = asked;
    let new = new_password.expose();
    match (link_token, username, current_password) {
        (Some(link), None, None) => by_link(call, link.expose(), new, device).await,
        (None, Some(username), Some(current)) => by_name(call, &username, current.expose(), new, device).await,
        (None, None, Some(current)) => by_session(call, current.expose(), new, device).await,
        (None, _, None) => Err(Problem::MissingMember("current_password".to_owned())),
        (Some(_), _, _) => Err(Problem::InvalidMember {
            name: Some("link_token".to_owned()),
            why: "a link needs a new password and nothing else".to_owned(),
        }),
    }
}

/// A page has its device token in the cookie, and gets one there if it has none: so an owner to whom strangers have closed
/// their name logs in on this device at once. What is no page presents its own.
async fn by_link(call: &Call<'_>, link: &str, new: &str, device: Option<Typed>) -> Result<Answer, Problem> {
    let is_page = origin::is_page_call(call.head);
    let delivery = if is_page { Delivery::Cookie } else { Delivery::Body };
    let device = known_device::presented(call, delivery, device)?.or_else(|| is_page.then(|| call.auth.new_device()));
    let accounts = &call.auth.accounts;
    let (_, owner) = accounts.link_owner(link).await.map_err(Denied::Account)?;
    let by = call.by(&owner.id.to_string());
    let user =
        accounts.redeem_link(link, new, call.caller(device.as_ref()).device, &by).await.map_err(Denied::Account)?;
    let sessions = &call.http.services.sessions;
    sessions.end_all_of(*user.id.as_uuid(), None, EndReason::Password, &by).await?;
    Ok(match device {
        Some(device) if is_page => no_content().with_text(SET_COOKIE, cookie::set_device(&device)),
        _ => no_content(),
    })
}

async fn by_name(
    call: &Call<'_>,
    username: &str,
    current: &str,
    new: &str,
    device: Option<Typed>,
) -> Result<Answer, Problem> {
    let caller = call.caller(known_device::in_member(device)?.as_ref());
    let accounts = &call.auth.accounts;
    let known = accounts.authenticate(username, current, caller, &call.seen()).await.map_err(|refused| {
        call.http.meter.login(outcome(&refused));
        Denied::Login(refused)
    })?;
    let id = known.user().id;
    let by = call.by(&id.to_string());
    accounts.change_password(&id, current, new, caller, &by).await.map_err(Denied::Account)?;
    call.http.services.sessions.end_all_of(*id.as_uuid(), None, EndReason::Password, &by).await?;
    Ok(no_content())
}

async fn by_session(call: &Call<'_>, current: &str, new: &str, device: Option<Typed>) -> Result<Answer, Problem> {
    let Person { user, session, client } = call.auth.person.admit(call).await?;
    if session.delivery == Delivery::Cookie {
        origin::check_cookie_call(call.http, call.head, &client)?;
    }
    let device = known_device::presented(call, session.delivery, device)?;
    let device = device.unwrap_or_else(|| call.auth.new_device());
    let services = &call.http.services;
    let gone = || Problem::InvalidToken("its resource is gone".into());
    let resource = services.directory.resource_by_id(&session.grant.resource).ok_or_else(gone)?;
    let by = call.by(&user.id.to_string());
    let caller = call.caller(Some(&device));
    let changed = call.auth.accounts.change_password(&user.id, current, new, caller, &by).await;
    let authenticated = changed.map_err(|error: AccountError| {
        if let Some(outcome) = outcome_of_change(&error) {
            call.http.meter.login(outcome);
        }
        Denied::Account(error)
    })?;
    let scope = session.grant.scope.clone();
    let profile = Profile::of(authenticated.user());
    let begun = begin(call, &client, authenticated, &resource, scope, session.delivery).await;
    // Whatever became of the new one, nobody goes on by the old password.
    let kept = begun.as_ref().ok().map(|(session, _)| session.id);
    services.sessions.end_all_of(session.user, kept, EndReason::Password, &by).await?;
    let (session, token) = begun?;
    tokens(call, &client, &session, &resource, &profile, &Kept { refresh: token, device })
}
