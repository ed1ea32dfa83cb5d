//! `/admin/v1/clients`: who may ask for tokens.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::document::{read, read_any};
use super::paging::{PARAMETERS, Page, Wanted, json};
use super::precondition::{IfMatch, etag};
use super::query::Query;
use super::{Admin, Call};
use utoipa::ToSchema;

use crate::clients::{
    AdministrationError, Client, ClientError, ClientId, ClientMetadata, ClientView, RegisteredClient, Request,
    StoredClient,
};
use crate::http::answer::Answer;
use crate::http::error::{Kind, Problem, created, no_content};

const ROUTE: &str = "/admin/v1/clients";
/// The longest that an old secret may go on beside a new one, seconds: 90 days.
const MOST_OVERLAP: u64 = 90 * 86_400;

/// Registers a client: the members of [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2), and those below.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterClient {
    /// Its identifier: 1 to 64 of `A-Z a-z 0-9 - . _ ~`; a new random one when absent.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// Replaces all that describes a client. Its secrets stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceClient {
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it from now on.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// Rolls a client's secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollSecret {
    /// How long the secret before the new one stays valid, seconds, at most 90 days; `clients.secret_overlap` when absent.
    #[serde(default)]
    pub overlap_seconds: Option<u64>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A change of which nothing is to be said but why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A page of clients.
#[derive(Debug, Serialize)]
pub struct ClientPage {
    /// Those that can be read.
    #[serde(flatten)]
    pub page: Page<ClientView>,
    /// The identifiers of those that belong on it and can't be read; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// A new secret, shown here and never again.
#[derive(Serialize, ToSchema)]
pub struct RolledSecret {
    /// Whose it is.
    pub client_id: String,
    /// The secret.
    pub client_secret: String,
    /// Zero: it does not expire.
    pub client_secret_expires_at: u8,
    /// Until when the one before it stays valid, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_secret_valid_until: Option<String>,
}

fn failed(error: AdministrationError) -> Problem {
    Problem::Administration(Kind::Client, error)
}

/// The client that the path names, as it is stored.
async fn load(admin: &Admin, call: &Call<'_>) -> Result<Client, Problem> {
    let id = ClientId::parse(call.parameter()).map_err(|_| failed(AdministrationError::Absent))?;
    admin.administration.client(&id).await.map_err(failed)
}

/// The client as it is now, under its tag.
fn shown(admin: &Admin, call: &Call<'_>, client: &Client) -> Answer {
    let view = ClientView::of(client, &admin.administration.rules().issuer, call.now);
    Answer { etag: etag(client.version), ..json(&view) }
}

/// Has this replica know at once what it changed itself, and which sessions that ended; all others follow. Those sessions
/// are removed in the background.
async fn changed(admin: &Admin, id: &ClientId) {
    admin.sessions.take_up().await;
    if let Err(error) = admin.directory.client_changed(id.as_str()).await {
        warn!(%error, "a client was changed, and is taken up with the next poll");
    }
}

pub(super) async fn list(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &PARAMETERS)?;
    let wanted = Wanted::read(admin, ROUTE, &query, &[])?;
    let after = wanted.after.as_deref().unwrap_or_default();
    let clients = admin.administration.clients(after, wanted.limit()).await.map_err(failed)?;
    let issuer = &admin.administration.rules().issuer;
    let view = |(id, client): StoredClient| {
        let shown = client.map(|client| ClientView::of(&client, issuer, call.now));
        (id.clone(), shown.map_err(|error| (id, error)))
    };
    let Page { items: each, next_cursor } = wanted.page(admin, clients.into_iter().map(view).collect());
    let (mut items, mut damaged) = (Vec::with_capacity(each.len()), Vec::new());
    for client in each {
        match client {
            Ok(client) => items.push(client),
            Err((id, error)) => {
                error!(client = %id, %error, "a client can't be read");
                damaged.push(id);
            }
        }
    }
    Ok(json(&ClientPage { page: Page { items, next_cursor }, damaged }))
}

pub(super) async fn register(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let RegisterClient { client_id, reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let id = client_id.as_deref().map(ClientId::parse).transpose();
    let id = id.map_err(|error: ClientError| failed(error.into()))?;
    let request = Request { by: &by, power: &call.caller.power, expected: None };
    let (client, secret) = admin.administration.register(request, id, &metadata).await.map_err(failed)?;
    changed(admin, &client.id).await;
    let registered = RegisteredClient::of(&client, secret.as_ref(), &admin.administration.rules().issuer);
    let answer = created(Answer { etag: etag(client.version), ..json(&registered) });
    Ok(answer.with_text(LOCATION, format!("{ROUTE}/{}", client.id)))
}

pub(super) async fn show(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    Ok(shown(admin, call, &load(admin, call).await?))
}

pub(super) async fn replace(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let ReplaceClient { reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let client = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(client.version)? };
    let client = admin.administration.replace_client(request, &client.id, &metadata).await.map_err(failed)?;
    changed(admin, &client.id).await;
    Ok(shown(admin, call, &client))
}

pub(super) async fn delete(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &["reason"])?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let client = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(client.version)? };
    admin.administration.delete_client(request, &client.id).await.map_err(failed)?;
    changed(admin, &client.id).await;
    Ok(no_content())
}

pub(super) async fn roll_secret(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let RollSecret { overlap_seconds, reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    if overlap_seconds.is_some_and(|overlap| overlap > MOST_OVERLAP) {
        let why = format!("at most {MOST_OVERLAP}");
        return Err(Problem::InvalidMember { name: Some("overlap_seconds".to_owned()), why });
    }
    let client = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(client.version)? };
    let overlap = overlap_seconds.map(Duration::from_secs);
    let keep = |_: &Client, _: &_| Ok::<_, AdministrationError>(());
    let rolled = admin.administration.roll_secret(request, &client.id, overlap, keep).await;
    let (client, secret, ()) = rolled.map_err(failed)?;
    changed(admin, &client.id).await;
    let rolled = RolledSecret {
        client_id: client.id.as_str().to_owned(),
        client_secret: secret.expose().to_owned(),
        client_secret_expires_at: 0,
        old_secret_valid_until: client.old_secret_valid_until().map(|end| end.to_string()),
    };
    Ok(Answer { etag: etag(client.version), ..json(&rolled) })
}

pub(super) async fn set_enabled(admin: &Admin, call: &mut Call<'_>, enabled: bool) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let Because { reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    let client = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(client.version)? };
    let client = admin.administration.set_enabled(request, &client.id, enabled).await.map_err(failed)?;
    changed(admin, &client.id).await;
    Ok(shown(admin, call, &client))
}
