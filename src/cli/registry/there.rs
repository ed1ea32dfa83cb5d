//! The registry through the admin API of a server, as the client whose token it is.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Change, Clients, DamagedClient, Outcome, Registry, Rolled};
use crate::app::Credentials;
use crate::cli::Failure;
use crate::cli::credentials_file::PendingCredentials;
use crate::cli::remote::{Api, STALE, Version};
use crate::clients::{
    AdministrationError, ClientId, ClientMetadata, ClientView, RegisteredClient, ResourceMetadata, ResourceView,
};
use crate::http::path_segment;

const CLIENTS: &str = "clients";
const RESOURCES: &str = "resources";
/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// An admin API.
pub(super) struct There<'a> {
    api: Api,
    reason: &'a str,
}

impl<'a> There<'a> {
    pub(super) const fn new(api: Api, reason: &'a str) -> Self {
        Self { api, reason }
    }

    /// `body` with the reason, where there is one.
    fn because(&self, mut body: Value) -> Value {
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        body
    }

    /// Sends what `body` makes of what was `seen` at `path`, and of what is there by now where another change came
    /// before. It goes to `act` below that path.
    async fn change<T: Versioned>(
        &self,
        method: Method,
        (path, act): (&str, &str),
        seen: &T,
        body: impl Fn(&T) -> Value,
    ) -> Result<Outcome<T>, Failure> {
        let (to, mut newer) = (format!("{path}{act}"), None::<T>);
        for _ in 0..ATTEMPTS {
            let seen = newer.as_ref().unwrap_or(seen);
            let body = self.because(body(seen));
            match self.api.change::<T>(method.clone(), &to, Version::Exactly(seen.version()), &body).await {
                Ok(now) => return Ok(Outcome { changed: now.version() != seen.version(), now }),
                Err(Failure::Coded { code, .. }) if code == STALE => newer = Some(self.api.get(path, &[]).await?),
                Err(other) => return Err(other),
            }
        }
        Err(AdministrationError::Contended.into())
    }

    async fn delete(&self, path: &str, absent: &str) -> Result<(), Failure> {
        let reason = [("reason", self.reason)];
        let query = if self.reason.is_empty() { &[][..] } else { &reason };
        unless(absent, self.api.delete(path, query).await).map(Option::unwrap_or_default)
    }
}

/// What counts its changes.
trait Versioned: DeserializeOwned {
    fn version(&self) -> i64;
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

/// `None` where the API refuses with `code`.
fn unless<T>(code: &str, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(Failure::Coded { code: told, .. }) if told == code => Ok(None),
        answer => answer.map(Some),
    }
}

#[async_trait(?Send)]
impl Registry for There<'_> {
    fn may(&self, scope: &str) -> bool {
        self.api.token.scope.contains(scope)
    }

    fn admin_resource(&self) -> String {
        self.api.token.credentials.audience.clone()
    }

    async fn clients(&self) -> Result<Clients, Failure> {
        let listed = self.api.pages(CLIENTS, &[], usize::MAX).await?;
        let damaged = listed.damaged.into_iter().map(|id| DamagedClient { id, why: None });
        Ok(Clients { readable: listed.items, damaged: damaged.collect() })
    }

    async fn client(&self, id: &str) -> Result<Option<ClientView>, Failure> {
        // What can't be an identifier would be another path.
        let Ok(id) = ClientId::parse(id) else { return Ok(None) };
        unless("no_such_client", self.api.get(&client(id.as_str()), &[]).await)
    }

    async fn register(&self, id: Option<&str>, metadata: &ClientMetadata) -> Result<Option<RegisteredClient>, Failure> {
        let mut body = self.because(json!(metadata));
        if let Some(id) = id {
            body["client_id"] = id.into();
        }
        unless("client_exists", self.api.post(CLIENTS, &body).await)
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
        self.change(Method::PUT, (&client(&seen.client_id), ""), seen, body).await
    }

    async fn set_enabled(&self, seen: &ClientView, enabled: bool) -> Result<Outcome<ClientView>, Failure> {
        let act = if enabled { "/enable" } else { "/disable" };
        self.change(Method::POST, (&client(&seen.client_id), act), seen, |_| json!({})).await
    }

    async fn roll_secret(
        &self,
        seen: &ClientView,
        overlap: Option<Duration>,
        into_file: bool,
    ) -> Result<Rolled, Failure> {
        let used = &self.api.token.credentials;
        if into_file && used.client_id != seen.client_id {
            return Err(Failure::Refused(format!(
                "with --url, --write-credentials renews the credentials in use, and those are of `{}`",
                used.client_id
            )));
        }
        let mut body = self.because(json!({}));
        if let Some(overlap) = overlap {
            // In whole seconds, and no fewer than were said.
            body["overlap_seconds"] = (overlap.as_secs() + u64::from(overlap.subsec_nanos() > 0)).into();
        }
        let path = format!("{}/secret", client(&seen.client_id));
        let mut rolled: Rolled = self.api.change(Method::POST, &path, Version::Any, &body).await?;
        if let (true, Some(client_secret)) = (into_file, &rolled.client_secret) {
            let credentials = Credentials { client_secret: client_secret.clone(), ..used.clone() };
            // The secret is valid by now: what no file can have is shown.
            match PendingCredentials::write(self.api.token.file.clone(), &credentials) {
                Ok(pending) => (rolled.client_secret, rolled.credentials) = (None, Some(pending.publish()?)),
                Err(why) => rolled.unwritten = Some(why),
            }
        }
        Ok(rolled)
    }

    async fn delete_client(&self, id: &str) -> Result<(), Failure> {
        self.delete(&client(id), "no_such_client").await
    }

    async fn resources(&self) -> Result<Vec<ResourceView>, Failure> {
        Ok(self.api.pages(RESOURCES, &[], usize::MAX).await?.items)
    }

    async fn create_resource(&self, uri: &str, metadata: &ResourceMetadata) -> Result<Option<ResourceView>, Failure> {
        let mut body = self.because(json!(metadata));
        body["resource"] = uri.into();
        unless("resource_exists", self.api.post(RESOURCES, &body).await)
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
        self.change(Method::PUT, (&resource(&seen.resource), ""), seen, body).await
    }

    async fn delete_resource(&self, uri: &str) -> Result<(), Failure> {
        self.delete(&resource(uri), "no_such_resource").await
    }
}
