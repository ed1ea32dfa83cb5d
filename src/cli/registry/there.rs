//! The registry through the admin API of a server, as the client whose token it is.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;

use super::{Change, Clients, DamagedClient, Outcome, Registry, Rolled};
use crate::app::Credentials;
use crate::cli::Failure;
use crate::cli::acting::{Acting, Versioned, unless};
use crate::cli::credentials_file::PendingCredentials;
use crate::cli::remote::{Api, Version};
use crate::clients::{ClientId, ClientMetadata, ClientView, RegisteredClient, ResourceMetadata, ResourceView};
use crate::http::path_segment;

const CLIENTS: &str = "clients";
const RESOURCES: &str = "resources";

/// An admin API.
pub(super) struct There<'a>(Acting<'a>);

impl<'a> There<'a> {
    pub(super) const fn new(api: Api, reason: &'a str) -> Self {
        Self(Acting::new(api, reason))
    }

    const fn api(&self) -> &Api {
        &self.0.api
    }
}

impl Versioned for ClientView {
    fn version(&self) -> i64 {
        self.version
    }
}

impl Versioned for ResourceView {
    fn version(&self) -> i64 {
        self.version
    }
}

fn client(id: &str) -> String {
    format!("{CLIENTS}/{id}")
}

fn resource(uri: &str) -> String {
    format!("{RESOURCES}/{}", path_segment(uri))
}

#[async_trait(?Send)]
impl Registry for There<'_> {
    fn may(&self, scope: &str) -> bool {
        self.api().token.scope.contains(scope)
    }

    fn admin_resource(&self) -> String {
        self.api().token.credentials.audience.clone()
    }

    async fn clients(&self) -> Result<Clients, Failure> {
        let listed = self.api().pages(CLIENTS, &[], usize::MAX).await?;
        let damaged = listed.damaged.into_iter().map(|id| DamagedClient { id, why: None });
        Ok(Clients { readable: listed.items, damaged: damaged.collect() })
    }

    async fn client(&self, id: &str) -> Result<Option<ClientView>, Failure> {
        // What can't be an identifier would be another path.
        let Ok(id) = ClientId::parse(id) else { return Ok(None) };
        unless("no_such_client", self.api().get(&client(id.as_str()), &[]).await)
    }

    async fn register(&self, id: Option<&str>, metadata: &ClientMetadata) -> Result<Option<RegisteredClient>, Failure> {
        let mut body = self.0.because(json!(metadata));
        if let Some(id) = id {
            body["client_id"] = id.into();
        }
        unless("client_exists", self.api().post(CLIENTS, &body).await)
    }

    async fn change_client(
        &self,
        seen: &ClientView,
        change: &Change<'_, ClientMetadata>,
    ) -> Result<Outcome<ClientView>, Failure> {
        let body = |seen: &ClientView| {
            let mut metadata = seen.metadata.clone();
            change(&mut metadata);
            json!(metadata)
        };
        self.0.change(Method::PUT, (&client(&seen.client_id), ""), seen, body).await
    }

    async fn set_enabled(&self, seen: &ClientView, enabled: bool) -> Result<Outcome<ClientView>, Failure> {
        let act = if enabled { "/enable" } else { "/disable" };
        self.0.change(Method::POST, (&client(&seen.client_id), act), seen, |_| json!({})).await
    }

    async fn roll_secret(
        &self,
        seen: &ClientView,
        overlap: Option<Duration>,
        into_file: bool,
    ) -> Result<Rolled, Failure> {
        let used = &self.api().token.credentials;
        if into_file && used.client_id != seen.client_id {
            return Err(Failure::Refused(format!(
                "with --url, --write-credentials renews the credentials in use, and those are of `{}`",
                used.client_id
            )));
        }
        let mut body = self.0.because(json!({}));
        if let Some(overlap) = overlap {
            // In whole seconds, and no fewer than were said.
            body["overlap_seconds"] = (overlap.as_secs() + u64::from(overlap.subsec_nanos() > 0)).into();
        }
        let path = format!("{}/secret", client(&seen.client_id));
        let mut rolled: Rolled = self.api().change(Method::POST, &path, Version::Any, &body).await?;
        if let (true, Some(client_secret)) = (into_file, &rolled.client_secret) {
            let credentials = Credentials { client_secret: client_secret.clone(), ..used.clone() };
            // The secret is valid by now: what no file can have is shown.
            match PendingCredentials::write(self.api().token.file.clone(), &credentials) {
                Ok(pending) => (rolled.client_secret, rolled.credentials) = (None, Some(pending.publish()?)),
                Err(why) => rolled.unwritten = Some(why),
            }
        }
        Ok(rolled)
    }

    async fn delete_client(&self, id: &str) -> Result<(), Failure> {
        self.0.delete(&client(id), "no_such_client").await
    }

    async fn resources(&self) -> Result<Vec<ResourceView>, Failure> {
        Ok(self.api().pages(RESOURCES, &[], usize::MAX).await?.items)
    }

    async fn create_resource(&self, uri: &str, metadata: &ResourceMetadata) -> Result<Option<ResourceView>, Failure> {
        let mut body = self.0.because(json!(metadata));
        body["resource"] = uri.into();
        unless("resource_exists", self.api().post(RESOURCES, &body).await)
    }

    async fn change_resource(
        &self,
        seen: &ResourceView,
        change: &Change<'_>,
    ) -> Result<Outcome<ResourceView>, Failure> {
        let body = |seen: &ResourceView| {
            let mut metadata = seen.metadata();
            change(&mut metadata);
            json!(metadata)
        };
        self.0.change(Method::PUT, (&resource(&seen.resource), ""), seen, body).await
    }

    async fn delete_resource(&self, uri: &str) -> Result<(), Failure> {
        self.0.delete(&resource(uri), "no_such_resource").await
    }
}
