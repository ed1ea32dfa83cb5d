//! `/admin/v1/resources`: the services that tokens are for.

use actix_web::http::header::LOCATION;
use serde::Deserialize;
use tracing::warn;

use super::document::read;
use super::paging::{PARAMETERS, Wanted, json};
use super::precondition::{IfMatch, etag};
use super::query::Query;
use super::{Admin, Call};
use utoipa::ToSchema;

use crate::clients::{AdministrationError, Request, Resource, ResourceMetadata, ResourceView};
use crate::http::answer::Answer;
use crate::http::error::{Kind, Problem, created, no_content};

const ROUTE: &str = "/admin/v1/resources";

/// Registers a resource.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateResource {
    /// Its identifier, an absolute URI without fragment: the audience of its tokens.
    #[schema(max_length = 512, pattern = r#"^[A-Za-z][A-Za-z0-9+.-]*:[!"$-~]+$"#)]
    pub resource: String,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it.
    #[serde(flatten)]
    pub metadata: ResourceMetadata,
}

/// Replaces all that describes a resource.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceResource {
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// What describes it from now on.
    #[serde(flatten)]
    pub metadata: ResourceMetadata,
}

fn failed(error: AdministrationError) -> Problem {
    Problem::Administration(Kind::Resource, error)
}

/// The resource that the path names, as it is stored.
async fn load(admin: &Admin, call: &Call<'_>) -> Result<Resource, Problem> {
    let id = admin.administration.resource_id(call.parameter()).map_err(|_| failed(AdministrationError::Absent))?;
    admin.administration.resource(&id).await.map_err(failed)
}

/// The resource as it is now, under its tag.
fn shown(admin: &Admin, resource: &Resource) -> Answer {
    let view = ResourceView::of(resource, &admin.administration.rules().issuer);
    Answer { etag: etag(resource.version), ..json(&view) }
}

/// Has this replica know at once what it changed itself; all others follow.
async fn changed(admin: &Admin) {
    if let Err(error) = admin.directory.reload_resources().await {
        warn!(%error, "a resource was changed, and is taken up with the next poll");
    }
}

pub(super) async fn list(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &PARAMETERS)?;
    let wanted = Wanted::read(admin, ROUTE, &query, &[])?;
    let mut resources = admin.administration.resources().await.map_err(failed)?;
    // The stored form of the reserved one stands before every URI.
    resources.retain(|resource| wanted.after.as_deref().is_none_or(|after| resource.id.as_stored() > after));
    resources.truncate(wanted.limit() as usize);
    let issuer = &admin.administration.rules().issuer;
    let view = |resource: Resource| (resource.id.as_stored().to_owned(), ResourceView::of(&resource, issuer));
    Ok(json(&wanted.page(admin, resources.into_iter().map(view).collect())))
}

pub(super) async fn create(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let CreateResource { resource, reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let id = admin.administration.resource_id(&resource).map_err(failed)?;
    let request = Request { by: &by, power: &call.caller.power, expected: None };
    let resource = admin.administration.create_resource(request, id, &metadata).await.map_err(failed)?;
    changed(admin).await;
    let location = format!("{ROUTE}/{}", path_segment(resource.id.as_stored()));
    Ok(created(shown(admin, &resource)).with_text(LOCATION, location))
}

pub(super) async fn show(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    Ok(shown(admin, &load(admin, call).await?))
}

pub(super) async fn replace(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let ReplaceResource { reason, metadata } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let resource = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(resource.version)? };
    let resource = admin.administration.replace_resource(request, &resource.id, &metadata).await.map_err(failed)?;
    changed(admin).await;
    Ok(shown(admin, &resource))
}

pub(super) async fn delete(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &["reason"])?;
    let if_match = IfMatch::read(&call.head.headers)?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let resource = load(admin, call).await?;
    let request = Request { by: &by, power: &call.caller.power, expected: if_match.expected(resource.version)? };
    admin.administration.delete_resource(request, &resource.id).await.map_err(|error| in_use(call, error))?;
    changed(admin).await;
    Ok(no_content())
}

/// Which clients name the resource is for those to know who may read clients.
fn in_use(call: &Call<'_>, error: AdministrationError) -> Problem {
    match error {
        AdministrationError::InUse(_) if !call.caller.has("clients:read") => {
            failed(AdministrationError::InUse(Vec::new()))
        }
        other => failed(other),
    }
}

/// An identifier as one segment of a path ([RFC 3986 §3.3](https://www.rfc-editor.org/rfc/rfc3986#section-3.3)).
pub fn path_segment(identifier: &str) -> String {
    use std::fmt::Write;
    let mut segment = String::with_capacity(identifier.len() + 16);
    for byte in identifier.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_one_segment_of_a_path() {
        assert_eq!(path_segment("https://a.example/v1?x=%20~"), "https%3A%2F%2Fa.example%2Fv1%3Fx%3D%2520~");
    }
}
