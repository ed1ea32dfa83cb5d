//! A person's sessions: signing out, here or everywhere, and seeing and ending the others.
//!
//! Guarantees: nobody is told that a session has ended before the journal says so; a person sees and ends their own
//! sessions and no one else's; signing out of a session that has ended already is no error.

use actix_web::http::header::{AUTHORIZATION, SET_COOKIE};

use super::bodies::{LogOut, SessionList, SessionView};
use super::refresh::{Presented, presented};
use super::{Call, client, cookie};
use crate::clients::ClientId;
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem, no_content};
use crate::ports::StoreError;
use crate::tokens::revocation::EndReason;
use crate::tokens::session::{Delivery, Presenter, RefreshError, RefreshRefusal, Session, SessionError, SessionId};

const PAGE: u32 = 100;
/// More of them nobody looks through.
const MOST_SHOWN: usize = 500;

/// Whose session is to end.
struct Leaving {
    client: ClientId,
    /// `None` where it has ended already.
    session: Option<Session>,
    everywhere: bool,
}

pub(super) async fn log_out(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let Leaving { client, session, everywhere } =
        if is_bearer(call) { by_access_token(call).await? } else { by_refresh_token(call).await? };
    if let Some(session) = &session {
        let by = call.by(&session.user.to_string());
        let sessions = &call.http.services.sessions;
        if everywhere {
            sessions.end_all_of(session.user, None, EndReason::Logout, &by).await?;
        } else {
            sessions.end(session, EndReason::Logout, &by).await?;
        }
    }
    let in_cookie = session.is_none_or(|session| session.delivery == Delivery::Cookie);
    let mut answer = no_content();
    if in_cookie && cookie::is_there(&call.head.headers, &client) {
        answer = answer.with_text(SET_COOKIE, cookie::clear(&client));
    }
    answer.note.client = Some(client.as_str().to_owned());
    Ok(answer)
}

fn is_bearer(call: &Call<'_>) -> bool {
    let value = call.head.headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

async fn by_access_token(call: &mut Call<'_>) -> Result<Leaving, Problem> {
    let person = call.auth.person.admit(call).await?;
    let asked: LogOut = call.read().await?;
    if asked.refresh_token.is_some() {
        return Err(Denied::SeveralRefreshTokens.into());
    }
    if asked.client_id.is_some_and(|named| named != person.client.id.as_str()) {
        return Err(Problem::InvalidMember { name: Some("client_id".to_owned()), why: "another client".to_owned() });
    }
    let client = person.client.id.clone();
    Ok(Leaving { client, session: Some(person.session), everywhere: asked.everywhere })
}

async fn by_refresh_token(call: &mut Call<'_>) -> Result<Leaving, Problem> {
    let asked: LogOut = call.read().await?;
    let client = client::authenticate(call, asked.client_id.as_deref()).await?;
    let client = client.client();
    let Presented { token, delivery } = presented(call, client, asked.refresh_token)?;
    let presenter = Presenter::new(client, delivery);
    let session = match call.http.services.sessions.look_up(token.expose(), &presenter).await {
        Ok(found) => found,
        Err(RefreshError::Refused(RefreshRefusal::Ended | RefreshRefusal::NoAccount)) => None,
        // Nothing has ended: whoever forgot which client it was is to learn of it.
        Err(RefreshError::Refused(refusal @ (RefreshRefusal::Token(_) | RefreshRefusal::Decided(_)))) => {
            return Err(Denied::RefreshToken(refusal).into());
        }
        Err(RefreshError::Session(SessionError::Store(error))) => return Err(error.into()),
        Err(RefreshError::Session(SessionError::NoKey)) => {
            return Err(Problem::Unavailable("there is no key to check a refresh token with".into()));
        }
    };
    Ok(Leaving { client: client.id.clone(), session, everywhere: asked.everywhere })
}

/// All of somebody's sessions, as many as are shown, and `own` among them.
async fn all_of(call: &Call<'_>, own: &Session) -> Result<Vec<Session>, StoreError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = call.http.services.sessions.list_by_user(own.user, after, PAGE).await?;
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() || all.len() >= MOST_SHOWN {
            all.truncate(MOST_SHOWN);
            if !all.iter().any(|session| session.id == own.id) {
                // Behind the last that is shown: whoever looks is to find themselves.
                all.truncate(MOST_SHOWN - 1);
                all.push(own.clone());
            }
            return Ok(all);
        }
    }
}

pub(super) async fn list(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let person = call.auth.person.admit(call).await?;
    let mut all = all_of(call, &person.session).await?;
    all.sort_by_key(|session| std::cmp::Reverse(session.motion.last_used_at));
    let items = all.iter().map(|session| SessionView::of(session, person.session.id)).collect();
    Ok(Answer::json(serde_json::to_vec(&SessionList { items }).unwrap_or_default()))
}

pub(super) async fn end_others(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let person = call.auth.person.admit(call).await?;
    let (user, own) = (person.session.user, person.session.id);
    let by = call.by(&user.to_string());
    call.http.services.sessions.end_all_of(user, Some(own), EndReason::Logout, &by).await?;
    Ok(no_content())
}

pub(super) async fn end(call: &mut Call<'_>) -> Result<Answer, Problem> {
    let person = call.auth.person.admit(call).await?;
    let named = call.parameters.first().and_then(|text| SessionId::parse(text)).ok_or(Denied::NoSuchSession)?;
    let sessions = &call.http.services.sessions;
    let session = sessions.load(named).await?.filter(|session| session.user == person.session.user);
    let session = session.ok_or(Denied::NoSuchSession)?;
    sessions.end(&session, EndReason::Logout, &call.by(&session.user.to_string())).await?;
    Ok(no_content())
}
