//! `/admin/v1/sessions`: who is signed in, at which client.
//!
//! Guarantees: nobody is told that a session has ended before the journal says so; a list is of one person or of one
//! client, and an end of many is, too; a session whose record can't be read can be ended by its name; nothing in an answer
//! opens a session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::paging::{PARAMETERS, Page, Wanted, json};
use super::precondition::IfMatch;
use super::query::Query;
use super::{Admin, Call};
use crate::clients::ClientId;
use crate::http::answer::Answer;
use crate::http::error::{Problem, no_content};
use crate::ports::StoreError;
use crate::tokens::revocation::EndReason;
use crate::tokens::session::{LiveSession, Session, SessionId, SessionPage};
use crate::users::UserId;

const ROUTE: &str = "/admin/v1/sessions";
const WHOSE: [&str; 2] = ["user", "client"];
/// How often a page that is not full is filled up with what comes next: a store may look through a long list by parts.
const LOOKS: usize = 16;

/// Of whom sessions are.
enum Whose {
    Person(UserId),
    Client(ClientId),
}

/// How many sessions ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EndedCount {
    /// So many.
    pub ended: usize,
}

impl Whose {
    /// Exactly one of the two must be named.
    fn read(query: &Query) -> Result<Self, Problem> {
        let user = query.typed("user", "the identifier of an account", |text| text.parse().ok())?;
        let client = query.typed("client", "the identifier of a client", |text| ClientId::parse(text).ok())?;
        match (user, client) {
            (Some(user), None) => Ok(Self::Person(user)),
            (None, Some(client)) => Ok(Self::Client(client)),
            _ => Err(Problem::InvalidParameter { name: "user", expected: "either `user` or `client`, and not both" }),
        }
    }

    async fn list(&self, admin: &Admin, after: Option<SessionId>, limit: u32) -> Result<SessionPage, StoreError> {
        match self {
            Self::Person(user) => admin.sessions.list_by_user(*user.as_uuid(), after, limit).await,
            Self::Client(client) => admin.sessions.list_by_client(client, after, limit).await,
        }
    }
}

pub(super) async fn list(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &[&PARAMETERS[..], &WHOSE].concat())?;
    let whose = Whose::read(&query)?;
    let wanted = Wanted::read(admin, ROUTE, &query, &WHOSE)?;
    let position = |after: &str| SessionId::parse(after).ok_or(Problem::InvalidCursor);
    let mut after = wanted.after.as_deref().map(position).transpose()?;
    let mut found: Vec<Session> = Vec::new();
    for _ in 0..LOOKS {
        // As many as there is room for on the page, and one that tells of another.
        let room = wanted.limit().saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        let page = whose.list(admin, after, room).await?;
        found.extend(page.sessions);
        after = page.next;
        if after.is_none() || found.len() >= wanted.limit() as usize {
            break;
        }
    }
    let issuer = &admin.administration.rules().issuer;
    let is_full = found.len() >= wanted.limit() as usize;
    let shown = found.iter().map(|session| (session.id.to_string(), LiveSession::of(session, issuer))).collect();
    let mut page: Page<LiveSession> = wanted.page(admin, shown);
    if let (false, Some(after)) = (is_full, after) {
        page.next_cursor = Some(wanted.cursor(admin, &after.to_string()));
    }
    Ok(json(&page))
}

/// The session that the path names, while it lives.
async fn load(admin: &Admin, call: &Call<'_>) -> Result<Session, Problem> {
    let id = SessionId::parse(call.parameter()).ok_or(Problem::NoSuchSession)?;
    admin.sessions.load(id).await?.ok_or(Problem::NoSuchSession)
}

pub(super) async fn show(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let session = load(admin, call).await?;
    Ok(json(&LiveSession::of(&session, &admin.administration.rules().issuer)))
}

pub(super) async fn end(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &["reason"])?;
    IfMatch::none(&call.head.headers)?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let id = SessionId::parse(call.parameter()).ok_or(Problem::NoSuchSession)?;
    if admin.sessions.end_named(id, call.now, EndReason::Admin, &by).await? {
        Ok(no_content())
    } else {
        Err(Problem::NoSuchSession)
    }
}

pub(super) async fn end_all(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &["user", "client", "reason"])?;
    IfMatch::none(&call.head.headers)?;
    let whose = Whose::read(&query)?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let ended = match whose {
        Whose::Person(user) => admin.sessions.end_all_of(*user.as_uuid(), None, EndReason::Admin, &by).await?,
        Whose::Client(client) => admin.sessions.end_all_at(&client, EndReason::Admin, &by).await?,
    };
    Ok(json(&EndedCount { ended }))
}
