//! Changing clients and resources: the one way in for the API and for the command line.
//!
//! Guarantees: a change is made to the version that the caller saw, or to the newest where the caller saw none; nobody
//! gives, takes or resets what is beyond their own [`Power`]; what is entered in the audit log tells what became of the
//! client or resource, and holds no secret; a change that changes nothing leaves no trace.

mod power;
mod resources;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signet_verify::Algorithm;

use super::{
    Client, ClientAuthentication, ClientError, ClientId, ClientMetadata, ClientStore, Insert, Removal, ResourceError,
    ResourceStore, SecretOrigin, StoredClient, Swap,
};
use crate::audit::{Act, By};
use crate::issuer::Issuer;
use crate::ports::{Entropy, StoreError, Timestamp};
use crate::secret::SecretText;

pub use power::{BeyondPower, Power};
pub use resources::ResourceMetadata;

/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// What changes go by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Who issues.
    pub issuer: Issuer,
    /// The longest lifetime that a resource's tokens may have.
    pub longest_lifetime: Duration,
    /// The algorithms that keys are kept ready for.
    pub algorithms: Vec<Algorithm>,
    /// How long the secret before a new one stays valid, where nobody says.
    pub secret_overlap: Duration,
}

/// On whose behalf something is changed, and what they saw before.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who, from where and why.
    pub by: &'a By,
    /// What they may give and take.
    pub power: &'a Power,
    /// The version that they saw; `None` changes the newest, whatever it is.
    pub expected: Option<i64>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdministrationError {
    /// The client's description is not acceptable.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The resource's description is not acceptable.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The identifier is taken.
    #[error("it exists already")]
    Exists,
    /// There is none of that identifier.
    #[error("there is none of that identifier")]
    Absent,
    /// Someone changed it since the caller saw it.
    #[error("it was changed meanwhile, and is of version {version} now")]
    Stale {
        /// The version that it has now.
        version: i64,
    },
    /// Clients name the resource.
    #[error("clients name it: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// It names a resource that does not exist.
    #[error("{0}")]
    NoSuchResource(String),
    /// The caller may not do that.
    #[error(transparent)]
    BeyondPower(#[from] BeyondPower),
    /// Others changed it each time.
    #[error("others changed it {ATTEMPTS} times in a row")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes clients and resources.
#[derive(Clone)]
pub struct Administration {
    clients: Arc<dyn ClientStore>,
    resources: Arc<dyn ResourceStore>,
    entropy: Arc<dyn Entropy>,
    rules: Rules,
}

impl Administration {
    /// Works on these stores, by these rules.
    pub fn new(
        clients: Arc<dyn ClientStore>,
        resources: Arc<dyn ResourceStore>,
        entropy: Arc<dyn Entropy>,
        rules: Rules,
    ) -> Self {
        Self { clients, resources, entropy, rules }
    }

    /// What it goes by.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The store's time.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.clients.store_time().await
    }

    /// The client `id`, as it is stored.
    pub async fn client(&self, id: &ClientId) -> Result<Client, AdministrationError> {
        self.clients.load_client(id).await?.ok_or(AdministrationError::Absent)
    }

    /// Up to `limit` clients by ascending identifier, from the one after `after` on, each under its identifier; one that
    /// can't be read is [`StoreError::Corrupt`] in its place.
    pub async fn clients(&self, after: &str, limit: u32) -> Result<Vec<StoredClient>, AdministrationError> {
        Ok(self.clients.list_each_client(after, limit).await?)
    }

    /// Registers a client, under `id` or a new identifier. Its first secret comes with it where it has one, here and
    /// never again.
    pub async fn register(
        &self,
        request: Request<'_>,
        id: Option<ClientId>,
        metadata: &ClientMetadata,
    ) -> Result<(Client, Option<SecretText>), AdministrationError> {
        let now = self.now().await?;
        let id = id.unwrap_or_else(|| ClientId::generate(now));
        let client = metadata.register(id, &self.rules.issuer, now)?;
        let (client, secret) = match &client.authentication {
            ClientAuthentication::PrivateKeyJwt { .. } | ClientAuthentication::Public => (client, None),
            ClientAuthentication::Secret { .. } => {
                let version = client.version;
                let rolled = client.roll_secret(SecretOrigin::Issued, Duration::ZERO, self.entropy.as_ref(), now)?;
                // Its first secret is no change of it.
                (Client { version, ..rolled.0 }, Some(rolled.1))
            }
        };
        request.power.over_client(None, Some(&client))?;
        let entry = request.by.entry(Act::ClientsCreate, client.id.as_str(), json!({ "client": self.told(&client) }));
        match self.clients.insert_client(&client, &entry).await.map_err(refused_resource)? {
            Insert::Inserted => Ok((client, secret)),
            Insert::Exists => Err(AdministrationError::Exists),
        }
    }

    /// Replaces all that describes the client. Secrets stay where it still authenticates with one. Nothing happens where
    /// it is so already.
    pub async fn replace_client(
        &self,
        request: Request<'_>,
        id: &ClientId,
        metadata: &ClientMetadata,
    ) -> Result<Client, AdministrationError> {
        let change = |client, now| {
            let next = metadata.replace(client, &self.rules.issuer, now).map_err(AdministrationError::from)?;
            Ok::<_, AdministrationError>((next, ()))
        };
        Ok(self.change_client(request, Act::ClientsUpdate, id, change).await?.0)
    }

    /// Gives the client a new secret. The one before stays valid for `overlap`, or as the settings say. `keep` gets to see
    /// the secret before it is valid, whenever it is made anew because another change came before.
    pub async fn roll_secret<T, E: From<AdministrationError>>(
        &self,
        request: Request<'_>,
        id: &ClientId,
        overlap: Option<Duration>,
        keep: impl Fn(&Client, &SecretText) -> Result<T, E>,
    ) -> Result<(Client, SecretText, T), E> {
        let overlap = overlap.unwrap_or(self.rules.secret_overlap);
        let change = |client: Client, now| {
            let rolled = client.roll_secret(SecretOrigin::Issued, overlap, self.entropy.as_ref(), now);
            let (client, secret) = rolled.map_err(AdministrationError::from)?;
            let kept = keep(&client, &secret)?;
            Ok::<_, E>((client, (secret, kept)))
        };
        let (client, (secret, kept)) = self.change_client(request, Act::ClientsRollSecret, id, change).await?;
        Ok((client, secret, kept))
    }

    /// Enables or disables the client. Nothing happens where it is so already.
    pub async fn set_enabled(
        &self,
        request: Request<'_>,
        id: &ClientId,
        enabled: bool,
    ) -> Result<Client, AdministrationError> {
        let act = if enabled { Act::ClientsEnable } else { Act::ClientsDisable };
        let change = |client: Client, now| {
            let next = if client.enabled == enabled { client } else { client.with_enabled(enabled, now) };
            Ok::<_, AdministrationError>((next, ()))
        };
        Ok(self.change_client(request, act, id, change).await?.0)
    }

    /// Removes the client with its secrets.
    pub async fn delete_client(&self, request: Request<'_>, id: &ClientId) -> Result<(), AdministrationError> {
        for _ in 0..ATTEMPTS {
            let (version, told) = match self.client(id).await {
                Ok(client) => {
                    check_version(request.expected, client.version)?;
                    request.power.over_client(Some(&client), None)?;
                    (Some(client.version), json!({ "client": self.told(&client) }))
                }
                // Nobody can tell what it might do: only who may do everything takes it away, whatever its version.
                Err(AdministrationError::Store(StoreError::Corrupt { .. }))
                    if *request.power == Power::Everything && request.expected.is_none() =>
                {
                    (None, json!({ "damaged": true }))
                }
                Err(error) => return Err(error),
            };
            let entry = request.by.entry(Act::ClientsDelete, id.as_str(), told);
            match self.clients.delete_client(id, version, &entry).await? {
                Removal::Removed => return Ok(()),
                Removal::Absent => return Err(AdministrationError::Absent),
                Removal::Raced | Removal::InUse => {}
            }
        }
        Err(AdministrationError::Contended)
    }

    /// Stores what `change` makes of the client `id` at the store's time, and answers both that and what `change` has to
    /// tell. A change that another came before is made to the newer version, unless the caller expected the older one.
    pub async fn change_client<T, E: From<AdministrationError>>(
        &self,
        request: Request<'_>,
        act: Act,
        id: &ClientId,
        change: impl Fn(Client, Timestamp) -> Result<(Client, T), E>,
    ) -> Result<(Client, T), E> {
        for _ in 0..ATTEMPTS {
            let client = self.client(id).await?;
            check_version(request.expected, client.version)?;
            let now = self.now().await.map_err(AdministrationError::from)?;
            let (next, told) = change(client.clone(), now)?;
            request.power.over_client(Some(&client), Some(&next)).map_err(AdministrationError::from)?;
            if next.version == client.version {
                return Ok((next, told));
            }
            let entry = request.by.entry(act, id.as_str(), self.difference(&client, &next));
            match self.clients.update_client(&next, &entry).await.map_err(refused_resource)? {
                Swap::Swapped => return Ok((next, told)),
                Swap::Raced => {}
            }
        }
        Err(AdministrationError::Contended.into())
    }

    /// What the audit log keeps of a client: all but its secrets.
    fn told(&self, client: &Client) -> Value {
        json!(ClientMetadata::of(client, &self.rules.issuer))
    }

    fn difference(&self, before: &Client, after: &Client) -> Value {
        let (before, after) = (self.told(before), self.told(after));
        if before == after { json!({}) } else { json!({ "before": before, "client": after }) }
    }
}

const fn check_version(expected: Option<i64>, version: i64) -> Result<(), AdministrationError> {
    match expected {
        Some(expected) if expected != version => Err(AdministrationError::Stale { version }),
        _ => Ok(()),
    }
}

/// A store refuses a client only for what it names.
fn refused_resource(error: StoreError) -> AdministrationError {
    match error {
        StoreError::Refused(why) if why.starts_with("there is no resource") => AdministrationError::NoSuchResource(why),
        other => other.into(),
    }
}
