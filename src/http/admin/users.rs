//! `/admin/v1/users`: people's accounts.
//!
//! Guarantees: a password that is sent neither comes back nor is logged, and its owner must change it; a one-time link
//! stands in the answer that makes it and nowhere else; whoever may not log in any more, or is gone, is signed out
//! everywhere.

use actix_web::http::header::LOCATION;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::{error, warn};
use utoipa::ToSchema;
use uuid::Uuid;

use super::clients::Because;
use super::document::{read, read_any};
use super::paging::{PARAMETERS, Page, Wanted, json};
use super::precondition::{IfMatch, etag};
use super::query::Query;
use super::{Admin, Call};
use crate::audit::By;
use crate::clients::Request;
use crate::http::answer::Answer;
use crate::http::error::{Problem, created, no_content};
use crate::ports::StoreError;
use crate::secret::SecretText;
use crate::tokens::revocation::EndReason;
use crate::users::{LoginName, Password, User, UserAdministrationError, UserId, UserMetadata, UserView};

const ROUTE: &str = "/admin/v1/users";
const FILTERS: [&str; 2] = ["username", "email"];

/// Makes an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// A first password, which its owner must change; without one its owner chooses it by a link.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>)]
    pub password: Option<SecretText>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it.
    #[serde(flatten)]
    pub metadata: UserMetadata,
}

/// Replaces all that describes an account. Its password stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceUser {
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it from now on.
    #[serde(flatten)]
    pub metadata: UserMetadata,
}

/// A page of accounts.
#[derive(Debug, Serialize)]
pub struct UserPage<T> {
    /// Those that can be read.
    #[serde(flatten)]
    pub page: Page<T>,
    /// The identifiers of those that belong on it and can't be read; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// A one-time link to choose a password by, shown here and never again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IssuedLink {
    /// Whose password it sets.
    pub id: String,
    /// What a login frontend sends to `POST /auth/password` with the new password.
    pub link_token: String,
    /// Until when it is good.
    pub expires_at: String,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretText>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretText::new))
}

/// The account that the path names, as it is stored.
async fn load(admin: &Admin, call: &Call<'_>) -> Result<User, Problem> {
    let id: UserId = call.parameter().parse().map_err(|_| UserAdministrationError::Absent)?;
    Ok(admin.users.user(&id).await?)
}

/// The account as it is now, under its tag.
fn shown(user: &User) -> Answer {
    Answer { etag: etag(user.version), ..json(&UserView::of(user)) }
}

/// Signs a person out everywhere. What was changed before is written and counts by itself: here the session store hears
/// of it.
async fn sign_out(admin: &Admin, user: &Uuid, why: EndReason, by: &By) {
    if let Err(error) = admin.sessions.end_all_of(*user, None, why, by).await {
        warn!(%error, %user, "the sessions of a person who may not go on are still in the session store");
    }
}

/// The page of accounts that was read, each as `view` shows it; what can't be read is told by its identifier, and logged.
pub(super) fn page_of<T>(
    admin: &Admin,
    wanted: &Wanted<'_>,
    users: Vec<(UserId, Result<User, StoreError>)>,
    view: impl Fn(&User) -> T,
) -> UserPage<T> {
    let read = users.into_iter().map(|(id, user)| (id.to_string(), user.map_err(|error| (id, error)))).collect();
    let Page { items: each, next_cursor } = wanted.page(admin, read);
    let (mut items, mut damaged) = (Vec::with_capacity(each.len()), Vec::new());
    for user in each {
        match user {
            Ok(user) => items.push(view(&user)),
            Err((id, error)) => {
                error!(user = %id, %error, "an account can't be read");
                damaged.push(id.to_string());
            }
        }
    }
    UserPage { page: Page { items, next_cursor }, damaged }
}

/// Where the page begins.
pub(super) fn after(wanted: &Wanted<'_>) -> Result<Option<UserId>, Problem> {
    // What the code vouches for is an identifier.
    wanted.after.as_deref().map(|after| after.parse().map_err(|_| Problem::InvalidCursor)).transpose()
}

pub(super) async fn list(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &[&PARAMETERS[..], &FILTERS].concat())?;
    let text = |value: &str| (!value.is_empty()).then(|| LoginName::parse(value));
    let username = query.typed("username", "a text that is not empty", text)?;
    let email = query.typed("email", "a text that is not empty", text)?;
    let wanted = Wanted::read(admin, ROUTE, &query, &FILTERS)?;
    let after = after(&wanted)?;
    let users = if username.is_none() && email.is_none() {
        admin.users.users(after.as_ref(), wanted.limit()).await?
    } else {
        // No text is the name of two, so there is one at most.
        let found = named(admin, username, email).await?;
        found
            .into_iter()
            .filter(|user| after.is_none_or(|after| user.id > after))
            .map(|user| (user.id, Ok(user)))
            .collect()
    };
    Ok(json(&page_of(admin, &wanted, users, UserView::of)))
}

/// The account that has both names, of those that were given.
async fn named(admin: &Admin, username: Option<LoginName>, email: Option<LoginName>) -> Result<Option<User>, Problem> {
    let username = username.map(|name| matches!(name, LoginName::Username(_)).then_some(name));
    let email = email.map(|name| matches!(name, LoginName::Email(_)).then_some(name));
    let mut found = None;
    for name in [username, email].into_iter().flatten() {
        let Some(name) = name else { return Ok(None) };
        let Some(user) = admin.users.find_by(&name).await? else { return Ok(None) };
        if found.as_ref().is_some_and(|other: &User| other.id != user.id) {
            return Ok(None);
        }
        found = Some(user);
    }
    Ok(found)
}

pub(super) async fn create(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let CreateUser { password, reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let password = password.map(|typed| Password::parse(typed.expose())).transpose();
    let password = password.map_err(|error| UserAdministrationError::Password(error.into()))?;
    let request = Request { by: &by, power: &call.caller.power, expected: None };
    let user = admin.users.create(request, &metadata, password).await?;
    Ok(created(shown(&user)).with_text(LOCATION, format!("{ROUTE}/{}", user.id)))
}

pub(super) async fn show(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    Ok(shown(&load(admin, call).await?))
}

pub(super) async fn replace(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let ReplaceUser { reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let user = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(user.version)? };
    Ok(shown(&admin.users.replace(request, &user.id, &metadata).await?))
}

pub(super) async fn set_enabled(admin: &Admin, call: &mut Call<'_>, enabled: bool) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let Because { reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    let user = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(user.version)? };
    let user = admin.users.set_enabled(request, &user.id, enabled).await?;
    if !user.enabled {
        sign_out(admin, user.id.as_uuid(), EndReason::UserDisabled, &by).await;
    }
    Ok(shown(&user))
}

pub(super) async fn delete(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &["reason"])?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let user = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(user.version)? };
    admin.users.delete(request, &user.id).await?;
    sign_out(admin, user.id.as_uuid(), EndReason::UserDeleted, &by).await;
    Ok(no_content())
}

pub(super) async fn issue_link(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let Because { reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    let user = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(user.version)? };
    let (link, token) = admin.users.issue_link(request, &user.id).await?;
    let issued = IssuedLink {
        id: user.id.to_string(),
        link_token: token.expose().to_owned(),
        expires_at: link.expires_at.to_string(),
    };
    Ok(Answer { etag: etag(user.version), ..json(&issued) })
}
