//! Changing resources, and how people and programs describe one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signet_verify::Algorithm;

use super::{ATTEMPTS, Administration, AdministrationError, Request, check_version};
use utoipa::ToSchema;

use crate::audit::Act;
use crate::clients::{Client, Insert, PersonClaims, Removal, Resource, ResourceError, ResourceId, ScopeSet, Swap};

/// So many clients are read at a time.
const PAGE: u32 = 500;

/// What describes a resource, without its identifier. Unknown members are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceMetadata {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What can be asked of it.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How long its tokens live, seconds; the issuer's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<u64>,
    /// How its tokens are signed; the issuer's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// What its tokens tell of the people whom they speak for: any of `roles`, `username`, `email` and `attributes.` with
    /// the name of an attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

impl ResourceMetadata {
    /// What describes `resource`.
    pub fn of(resource: &Resource) -> Self {
        Self {
            name: resource.name.clone(),
            scopes: resource.scopes.iter().map(str::to_owned).collect(),
            token_lifetime: resource.token_lifetime.map(|lifetime| lifetime.as_secs()),
            algorithm: resource.algorithm.map(|algorithm| algorithm.name().to_owned()),
            claims: resource.claims.texts(),
        }
    }

    /// Puts the description in the place of `resource`'s.
    ///
    /// # Errors
    /// When a member is malformed. Bounds are checked when the resource is stored.
    pub fn apply(&self, resource: &mut Resource) -> Result<(), ResourceError> {
        let algorithm = |name: &String| Algorithm::from_name(name).ok_or(ResourceError::UnknownAlgorithm);
        let algorithm = self.algorithm.as_ref().map(algorithm).transpose()?;
        let scopes = ScopeSet::of(self.scopes.iter().map(String::as_str)).map_err(ResourceError::Scopes)?;
        let claims = PersonClaims::of(self.claims.iter().map(String::as_str))?;
        self.name.clone_into(&mut resource.name);
        resource.scopes = scopes;
        resource.token_lifetime = self.token_lifetime.map(Duration::from_secs);
        resource.algorithm = algorithm;
        resource.claims = claims;
        Ok(())
    }
}

impl Administration {
    /// The identifier that `text` names: an absolute URI, or that of the reserved resource.
    pub fn resource_id(&self, text: &str) -> Result<ResourceId, AdministrationError> {
        Ok(ResourceId::parse(text, &self.rules.issuer)?)
    }

    /// The resource `id`; the reserved one is always there.
    pub async fn resource(&self, id: &ResourceId) -> Result<Resource, AdministrationError> {
        if id.is_admin() {
            return Ok(Resource::admin());
        }
        let unreadable = |row: &Result<Resource, _>| row.as_ref().is_ok_and(|resource| resource.id == *id);
        let mut rows = self.resources.load_each_resource().await?.into_iter().filter(unreadable);
        rows.next().ok_or(AdministrationError::Absent)?.map_err(Into::into)
    }

    /// All resources by ascending identifier, the reserved one first.
    pub async fn resources(&self) -> Result<Vec<Resource>, AdministrationError> {
        let mut resources = vec![Resource::admin()];
        resources.extend(self.resources.load_resources().await?);
        Ok(resources)
    }

    /// Registers a resource.
    pub async fn create_resource(
        &self,
        request: Request<'_>,
        id: ResourceId,
        metadata: &ResourceMetadata,
    ) -> Result<Resource, AdministrationError> {
        let mut resource = Resource::new(id, "", ScopeSet::default(), self.now().await?);
        metadata.apply(&mut resource)?;
        self.check(&resource)?;
        let entry = request.by.entry(Act::ResourcesCreate, self.called(&resource), told(&resource));
        match self.resources.insert_resource(&resource, &entry).await? {
            Insert::Inserted => Ok(resource),
            Insert::Exists => Err(AdministrationError::Exists),
        }
    }

    /// Replaces all that describes the resource.
    pub async fn replace_resource(
        &self,
        request: Request<'_>,
        id: &ResourceId,
        metadata: &ResourceMetadata,
    ) -> Result<Resource, AdministrationError> {
        self.change_resource(request, id, |resource| metadata.apply(resource)).await
    }

    /// Stores what `change` makes of the resource `id`. Nothing is stored where that is the same.
    pub async fn change_resource(
        &self,
        request: Request<'_>,
        id: &ResourceId,
        change: impl Fn(&mut Resource) -> Result<(), ResourceError>,
    ) -> Result<Resource, AdministrationError> {
        for _ in 0..ATTEMPTS {
            let before = self.resource(id).await?;
            check_version(request.expected, before.version)?;
            let mut next = before.clone();
            change(&mut next)?;
            self.check(&next)?;
            if next == before {
                return Ok(before);
            }
            next.version += 1;
            next.updated_at = self.now().await?;
            let detail = json!({ "before": ResourceMetadata::of(&before), "resource": ResourceMetadata::of(&next) });
            let entry = request.by.entry(Act::ResourcesUpdate, self.called(&next), detail);
            match self.resources.update_resource(&next, &entry).await? {
                Swap::Swapped => return Ok(next),
                Swap::Raced => {}
            }
        }
        Err(AdministrationError::Contended)
    }

    /// Removes a resource that no client names.
    pub async fn delete_resource(&self, request: Request<'_>, id: &ResourceId) -> Result<(), AdministrationError> {
        for _ in 0..ATTEMPTS {
            let resource = self.resource(id).await?;
            check_version(request.expected, resource.version)?;
            if resource.id.is_admin() {
                return Err(ResourceError::Reserved.into());
            }
            let entry = request.by.entry(Act::ResourcesDelete, self.called(&resource), told(&resource));
            match self.resources.delete_resource(id, Some(resource.version), &entry).await? {
                Removal::Removed => return Ok(()),
                Removal::Absent => return Err(AdministrationError::Absent),
                Removal::InUse => return Err(AdministrationError::InUse(self.clients_naming(id).await?)),
                Removal::Raced => {}
            }
        }
        Err(AdministrationError::Contended)
    }

    /// The identifiers of the clients that name the resource, as far as they can be read.
    pub async fn clients_naming(&self, id: &ResourceId) -> Result<Vec<String>, AdministrationError> {
        let names = |client: &Client| client.access.contains_key(id) || client.serves.contains(id);
        let (mut naming, mut last) = (Vec::new(), String::new());
        loop {
            let page = self.clients(&last, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for (client_id, client) in page {
                last.clone_from(&client_id);
                if client.is_ok_and(|client| names(&client)) {
                    naming.push(client_id);
                }
            }
            if is_last {
                return Ok(naming);
            }
        }
    }

    fn check(&self, resource: &Resource) -> Result<(), ResourceError> {
        resource.check(self.rules.longest_lifetime, &self.rules.algorithms)
    }

    /// As the audit log names it: as its tokens do.
    fn called(&self, resource: &Resource) -> String {
        resource.id.audience(&self.rules.issuer).into_owned()
    }
}

fn told(resource: &Resource) -> Value {
    json!({ "resource": ResourceMetadata::of(resource) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::Timestamp;

    #[test]
    fn a_description_survives_the_way_through_a_resource() {
        let metadata: ResourceMetadata = serde_json::from_value(json!({
            "name": "Orders", "scopes": ["orders:read", "orders:write"], "token_lifetime": 60, "algorithm": "RS256",
            "claims": ["roles", "username", "email", "attributes.department"],
        }))
        .unwrap();
        let id = ResourceId::from_stored("https://orders.example");
        let mut resource = Resource::new(id, "", ScopeSet::default(), Timestamp::from_secs(1));
        metadata.apply(&mut resource).unwrap();
        assert_eq!(ResourceMetadata::of(&resource), metadata);
        ResourceMetadata::default().apply(&mut resource).unwrap();
        assert_eq!(ResourceMetadata::of(&resource), ResourceMetadata::default());
    }

    #[test]
    fn a_malformed_member_changes_nothing() {
        let id = ResourceId::from_stored("https://orders.example");
        let before = Resource::new(id, "Orders", ScopeSet::default(), Timestamp::from_secs(1));
        for metadata in [
            json!({"name": "x", "scopes": ["a b"]}),
            json!({"name": "x", "algorithm": "HS256"}),
            json!({"name": "x", "claims": ["sub"]}),
        ] {
            let metadata: ResourceMetadata = serde_json::from_value(metadata).unwrap();
            let mut resource = before.clone();
            assert!(metadata.apply(&mut resource).is_err());
            assert_eq!(resource, before);
        }
        for unknown in [json!({"id": "x"}), json!({"version": 3}), json!({"reserved": true})] {
            assert!(serde_json::from_value::<ResourceMetadata>(unknown).is_err());
        }
    }
}
