//! What people do with their own account once they are signed in, or where they can't be yet.

use super::bodies::{ChangePassword, MeView};
use super::login::{begin, outcome, outcome_of_change, tokens};
use super::person::Person;
use super::{Call, origin};
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
/// new one, whose owner was authenticated just now.
pub(super) async fn password(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let asked: ChangePassword = call.read().await?;
    let ChangePassword { new_password, current_password, username, link_token } = asked;
    let new = new_password.expose();
    match (link_token, username, current_password) {
        (Some(link), None, None) => by_link(call, link.expose(), new).await,
        (None, Some(username), Some(current)) => by_name(call, &username, current.expose(), new).await,
        (None, None, Some(current)) => by_session(call, current.expose(), new).await,
        (None, _, None) => Err(Problem::MissingMember("current_password".to_owned())),
        (Some(_), _, _) => Err(Problem::InvalidMember {
            name: Some("link_token".to_owned()),
            why: "a link needs a new password and nothing else".to_owned(),
        }),
    }
}

async fn by_link(call: &Call<'_>, link: &str, new: &str) -> Result<Answer, Problem> {
    let accounts = &call.auth.accounts;
    let (_, owner) = accounts.link_owner(link).await.map_err(Denied::Account)?;
    let by = call.by(&owner.id.to_string());
    let user = accounts.redeem_link(link, new, call.counted_address(), &by).await.map_err(Denied::Account)?;
    let sessions = &call.http.services.sessions;
    sessions.end_all_of(*user.id.as_uuid(), None, EndReason::Password, &by).await?;
    Ok(no_content())
}

async fn by_name(call: &Call<'_>, username: &str, current: &str, new: &str) -> Result<Answer, Problem> {
    let (accounts, address) = (&call.auth.accounts, call.counted_address());
    let known = accounts.authenticate(username, current, address, &call.seen()).await.map_err(|refused| {
        call.http.meter.login(outcome(&refused));
        Denied::Login(refused)
    })?;
    let id = known.user().id;
    let by = call.by(&id.to_string());
    accounts.change_password(&id, current, new, address, &by).await.map_err(Denied::Account)?;
    call.http.services.sessions.end_all_of(*id.as_uuid(), None, EndReason::Password, &by).await?;
    Ok(no_content())
}

async fn by_session(call: &Call<'_>, current: &str, new: &str) -> Result<Answer, Problem> {
    let Person { user, session, client } = call.auth.person.admit(call).await?;
    if session.delivery == Delivery::Cookie {
        origin::check_cookie_call(call.http, call.head, &client)?;
    }
    let services = &call.http.services;
    let gone = || Problem::InvalidToken("its resource is gone".into());
    let resource = services.directory.resource_by_id(&session.grant.resource).ok_or_else(gone)?;
    let by = call.by(&user.id.to_string());
    let address = call.counted_address();
    let changed = call.auth.accounts.change_password(&user.id, current, new, address, &by).await;
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
    tokens(call, &client, &session, &resource, &profile, Some(token))
}
