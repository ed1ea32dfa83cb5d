//! The registry on the database itself, past the API and its powers, as an operator.

use std::time::Duration;

use async_trait::async_trait;

use super::{Change, Clients, DamagedClient, Outcome, Registry, Rolled, in_use};
use crate::app::{CREDENTIALS_FILE, Credentials};
use crate::audit::{Act, By};
use crate::cli::credentials_file::PendingCredentials;
use crate::cli::output::plain;
use crate::cli::{Failure, Installation};
use crate::clients::{
    AdministrationError, Client, ClientId, ClientMetadata, ClientStore, ClientView, Power, RegisteredClient, Request,
    Resource, ResourceId, ResourceMetadata, ResourceView,
};
use crate::issuer::Issuer;
use crate::secret::SecretText;

const PAGE: u32 = 500;

/// The database of an installation.
pub(super) struct Here<'a> {
    at: &'a Installation,
    by: By,
}

impl<'a> Here<'a> {
    pub(super) const fn new(at: &'a Installation, by: By) -> Self {
        Self { at, by }
    }

    const fn issuer(&self) -> &Issuer {
        &self.at.settings.issuer
    }

    /// Whoever has the stores in their hands may change whatever there is.
    const fn request(&self) -> Request<'_> {
        Request { by: &self.by, power: &Power::Everything, expected: None }
    }

    fn changed_client(&self, seen: &ClientView, client: &Client) -> Outcome<ClientView> {
        let now = ClientView::of(client, self.issuer(), client.updated_at);
        Outcome { changed: now.version != seen.version, now }
    }

    fn resource(&self, resource: &Resource) -> ResourceView {
        ResourceView::of(resource, self.issuer())
    }

    /// By what the resource is called, not by what may be registered: whatever is stored can be changed and removed.
    fn resource_id(&self, uri: &str) -> ResourceId {
        if uri == self.issuer().admin_audience() { ResourceId::admin() } else { ResourceId::from_stored(uri) }
    }

    /// The credentials' file with the new secret, beside the old one until the secret is valid.
    fn pending(&self, client: &Client, secret: &SecretText) -> Result<PendingCredentials, Failure> {
        let settings = &self.at.settings;
        let Some(scopes) = client.access.get(&ResourceId::admin()) else {
            return Err(Failure::Refused(format!(
                "the client `{}` has no access to the admin resource: --write-credentials is for admin clients",
                plain(client.id.as_str())
            )));
        };
        if settings.issuer_follows_bind && settings.public.bind.port() == 0 {
            return Err(Failure::Refused(
                "the address of the token endpoint is not known while `public.bind` has port 0: set `issuer`"
                    .to_owned(),
            ));
        }
        let credentials = Credentials {
            client_id: client.id.as_str().to_owned(),
            client_secret: secret.expose().to_owned(),
            token_endpoint: settings.issuer.token_endpoint(),
            audience: settings.issuer.admin_audience(),
            scope: scopes.to_string(),
        };
        PendingCredentials::write(settings.data_dir.join(CREDENTIALS_FILE), &credentials)
    }
}

fn client_id(id: &str) -> Result<ClientId, Failure> {
    ClientId::parse(id).map_err(Failure::refused)
}

#[async_trait(?Send)]
impl Registry for Here<'_> {
    fn may(&self, _scope: &str) -> bool {
        true
    }

    fn admin_resource(&self) -> String {
        self.issuer().admin_audience()
    }

    async fn clients(&self) -> Result<Clients, Failure> {
        let now = self.at.now().await?;
        let mut clients = Clients { readable: Vec::new(), damaged: Vec::new() };
        let mut last = String::new();
        loop {
            let page = self.at.store.list_each_client(&last, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for (id, client) in page {
                last.clone_from(&id);
                match client {
                    Ok(client) => clients.readable.push(ClientView::of(&client, self.issuer(), now)),
                    Err(why) => clients.damaged.push(DamagedClient { id, why: Some(why.to_string()) }),
                }
            }
            if is_last {
                return Ok(clients);
            }
        }
    }

    async fn client(&self, id: &str) -> Result<Option<ClientView>, Failure> {
        let Ok(id) = ClientId::parse(id) else { return Ok(None) };
        let Some(client) = self.at.store.load_client(&id).await? else { return Ok(None) };
        Ok(Some(ClientView::of(&client, self.issuer(), self.at.now().await?)))
    }

    async fn register(&self, id: Option<&str>, metadata: &ClientMetadata) -> Result<Option<RegisteredClient>, Failure> {
        let id = id.map(client_id).transpose()?;
        match self.at.administration.register(self.request(), id, metadata).await {
            Ok((client, secret)) => Ok(Some(RegisteredClient::of(&client, secret.as_ref(), self.issuer()))),
            Err(AdministrationError::Exists) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn change_client(
        &self,
        seen: &ClientView,
        change: &Change<'_, ClientMetadata>,
    ) -> Result<Outcome<ClientView>, Failure> {
        let id = client_id(&seen.client_id)?;
        let apply = |client: Client, now| {
            let mut metadata = ClientMetadata::of(&client, self.issuer());
            change(&mut metadata);
            let next = metadata.replace(client, self.issuer(), now).map_err(AdministrationError::from)?;
            Ok::<_, AdministrationError>((next, ()))
        };
        let changing = self.at.administration.change_client(self.request(), Act::ClientsUpdate, &id, apply);
        let (client, ()) = changing.await?;
        Ok(self.changed_client(seen, &client))
    }

    async fn set_enabled(&self, seen: &ClientView, enabled: bool) -> Result<Outcome<ClientView>, Failure> {
        let id = client_id(&seen.client_id)?;
        let client = self.at.administration.set_enabled(self.request(), &id, enabled).await?;
        Ok(self.changed_client(seen, &client))
    }

    async fn roll_secret(
        &self,
        seen: &ClientView,
        overlap: Option<Duration>,
        into_file: bool,
    ) -> Result<Rolled, Failure> {
        let id = client_id(&seen.client_id)?;
        let Installation { administration, .. } = self.at;
        // The file is there, whole, before the secret in it becomes valid.
        let keep = |client: &Client, secret: &SecretText| {
            if into_file { self.pending(client, secret).map(Some) } else { Ok(None) }
        };
        let (client, secret, pending) = administration.roll_secret(self.request(), &id, overlap, keep).await?;
        let (client_secret, credentials) = match pending {
            Some(pending) => (None, Some(pending.publish()?)),
            None => (Some(secret.expose().to_owned()), None),
        };
        let old_secret_valid_until = client.old_secret_valid_until().map(|end| end.to_string());
        Ok(Rolled {
            client_id: seen.client_id.clone(),
            client_secret,
            credentials,
            old_secret_valid_until,
            unwritten: None,
        })
    }

    async fn delete_client(&self, id: &str) -> Result<(), Failure> {
        match self.at.administration.delete_client(self.request(), &client_id(id)?).await {
            Ok(()) | Err(AdministrationError::Absent) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    async fn resources(&self) -> Result<Vec<ResourceView>, Failure> {
        let resources = self.at.administration.resources().await?;
        Ok(resources.iter().map(|resource| self.resource(resource)).collect())
    }

    async fn create_resource(&self, uri: &str, metadata: &ResourceMetadata) -> Result<Option<ResourceView>, Failure> {
        let id = ResourceId::parse(uri, self.issuer()).map_err(Failure::refused)?;
        match self.at.administration.create_resource(self.request(), id, metadata).await {
            Ok(resource) => Ok(Some(self.resource(&resource))),
            Err(AdministrationError::Exists) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn change_resource(
        &self,
        seen: &ResourceView,
        change: &Change<'_>,
    ) -> Result<Outcome<ResourceView>, Failure> {
        let apply = |resource: &mut Resource| {
            let mut metadata = ResourceMetadata::of(resource);
            change(&mut metadata);
            metadata.apply(resource)
        };
        let id = self.resource_id(&seen.resource);
        let resource = self.at.administration.change_resource(self.request(), &id, apply).await?;
        Ok(Outcome { changed: resource.version != seen.version, now: self.resource(&resource) })
    }

    async fn delete_resource(&self, uri: &str) -> Result<(), Failure> {
        match self.at.administration.delete_resource(self.request(), &self.resource_id(uri)).await {
            Ok(()) | Err(AdministrationError::Absent) => Ok(()),
            Err(AdministrationError::InUse(clients)) => Err(in_use(&clients)),
            Err(other) => Err(other.into()),
        }
    }
}
