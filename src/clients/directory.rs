//! What this replica knows of clients and resources, in memory.
//!
//! Guarantees: a known client and every resource are answered without asking the store; what the store says changed is
//! replaced before the follower counts the change as followed; identifiers nobody registered take bounded room and are
//! remembered briefly, so that guessing them costs the store little.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tracing::error;

use super::{Client, ClientId, Resource, ResourceId, WebOrigin};
use crate::audit::Entry;
use crate::issuer::Issuer;
use crate::ports::{Clock, StoreError, Timestamp};

const KNOWN_CLIENTS: usize = 20_000;
const UNKNOWN_CLIENTS: usize = 1_000;
const UNKNOWN_FOR: Duration = Duration::from_secs(2);

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Insert {
    /// It is stored.
    Inserted,
    /// The identifier is taken; nothing changed.
    Exists,
}

/// What a conditional update did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Swap {
    /// The new version is stored.
    Swapped,
    /// The stored version is not the one before the new one, or is gone; nothing changed.
    Raced,
}

/// What a removal did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// Something still names it; nothing changed.
    InUse,
    /// It is of another version than expected; nothing changed.
    Raced,
}

/// The identifier of a stored client, and what can be read of it.
pub type StoredClient = (String, Result<Client, StoreError>);

/// Where clients are kept. Every change moves the change feed and appends its entry to the audit log in the same
/// transaction.
#[async_trait]
pub trait ClientStore: Send + Sync {
    /// The store's time.
    async fn store_time(&self) -> Result<Timestamp, StoreError>;

    /// The client of that identifier, with its secrets' digests; `None` when there is none.
    async fn load_client(&self, id: &ClientId) -> Result<Option<Client>, StoreError>;

    /// Up to `limit` clients by ascending identifier, from the one after `after` on, each under its identifier; one that
    /// can't be read is [`StoreError::Corrupt`] in its place.
    async fn list_each_client(&self, after: &str, limit: u32) -> Result<Vec<StoredClient>, StoreError>;

    /// The web origins of all enabled first-party clients, in any order.
    async fn load_web_origins(&self) -> Result<Vec<WebOrigin>, StoreError>;

    /// Stores a new client. A resource it names that does not exist is [`StoreError::Refused`]. Where one of that identifier
    /// was removed, and the journal still marks it, the same transaction puts a cut-off in the place of the mark.
    async fn insert_client(&self, client: &Client, entry: &Entry) -> Result<Insert, StoreError>;

    /// Stores `client` if the stored version is `client.version - 1`. A resource it names that does not exist is
    /// [`StoreError::Refused`]. One that becomes disabled is marked in the journal in the same transaction; one that is
    /// enabled again leaves a cut-off there. So its sessions are dead from then on, whatever becomes of whoever asked.
    async fn update_client(&self, client: &Client, entry: &Entry) -> Result<Swap, StoreError>;

    /// Removes the client with its secrets, and marks it in the journal in the same transaction; where `version` is given,
    /// only if the stored one is of it ([`Removal::Raced`]).
    async fn delete_client(&self, id: &ClientId, version: Option<i64>, entry: &Entry) -> Result<Removal, StoreError>;
}

/// Where resources are kept; the admin resource is not among them. Every change moves the change feed and appends its
/// entry to the audit log in the same transaction.
#[async_trait]
pub trait ResourceStore: Send + Sync {
    /// All resources by ascending identifier; one that can't be read is [`StoreError::Corrupt`] in its place.
    async fn load_each_resource(&self) -> Result<Vec<Result<Resource, StoreError>>, StoreError>;

    /// All resources by ascending identifier, or the first that can't be read.
    async fn load_resources(&self) -> Result<Vec<Resource>, StoreError> {
        self.load_each_resource().await?.into_iter().collect()
    }

    /// Stores a new resource.
    async fn insert_resource(&self, resource: &Resource, entry: &Entry) -> Result<Insert, StoreError>;

    /// Stores `resource` if the stored version is `resource.version - 1`.
    async fn update_resource(&self, resource: &Resource, entry: &Entry) -> Result<Swap, StoreError>;

    /// Removes the resource, unless a client names it ([`Removal::InUse`]); where `version` is given, only if the stored
    /// one is of it ([`Removal::Raced`]).
    async fn delete_resource(
        &self,
        id: &ResourceId,
        version: Option<i64>,
        entry: &Entry,
    ) -> Result<Removal, StoreError>;
}

#[derive(Default)]
struct Seen {
    known: HashMap<Box<str>, Arc<Client>>,
    unknown: HashMap<Box<str>, Timestamp>,
    /// Moves whenever the store says that something changed: an answer read before that is not remembered.
    epoch: u64,
}

/// The clients met so far, and all resources by their audience.
pub struct Directory {
    clients: Arc<dyn ClientStore>,
    resources: Arc<dyn ResourceStore>,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
    seen: RwLock<Seen>,
    by_audience: ArcSwap<HashMap<String, Arc<Resource>>>,
    origins: ArcSwap<HashSet<String>>,
    /// One reload of the resources at a time, so that an older answer never replaces a newer one.
    reload: tokio::sync::Mutex<()>,
}

impl Directory {
    /// An empty directory; [`Directory::reload`] fills in the resources.
    pub fn new(
        clients: Arc<dyn ClientStore>,
        resources: Arc<dyn ResourceStore>,
        issuer: Issuer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clients,
            resources,
            issuer,
            clock,
            seen: RwLock::default(),
            by_audience: ArcSwap::default(),
            origins: ArcSwap::default(),
            reload: tokio::sync::Mutex::default(),
        }
    }

    /// The client called `id`, from memory where it is known; `None` when nobody registered it.
    pub async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        if let Some(known) = self.remembered(id) {
            return Ok(known);
        }
        let Ok(id) = ClientId::parse(id) else { return Ok(None) };
        let epoch = self.read().epoch;
        let found = self.clients.load_client(&id).await?.map(Arc::new);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.epoch == epoch {
            remember(&mut seen, &id, found.clone(), self.clock.now());
        }
        Ok(found)
    }

    /// The resource whose tokens bear `audience`.
    pub fn resource(&self, audience: &str) -> Option<Arc<Resource>> {
        self.by_audience.load().get(audience).cloned()
    }

    /// The resource of that identifier.
    pub fn resource_by_id(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.resource(&id.audience(&self.issuer))
    }

    /// Whether pages of `origin`, as a browser sent it, may call for some first-party client.
    pub fn has_web_origin(&self, origin: &str) -> bool {
        self.origins.load().contains(origin)
    }

    /// Clients changed in the store, or this replica starts: takes the origins of all of them.
    pub async fn reload_origins(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.reload.lock().await;
        let origins = self.clients.load_web_origins().await?;
        self.origins.store(Arc::new(origins.iter().map(|origin| origin.as_str().to_owned()).collect()));
        Ok(())
    }

    /// The client `id` changed in the store: takes its new state where it is known here, and its pages.
    pub async fn client_changed(&self, id: &str) -> Result<(), StoreError> {
        self.reload_origins().await?;
        self.known_client_changed(id).await
    }

    async fn known_client_changed(&self, id: &str) -> Result<(), StoreError> {
        let epoch = {
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            seen.epoch += 1;
            seen.unknown.remove(id);
            if !seen.known.contains_key(id) {
                return Ok(());
            }
            seen.epoch
        };
        let Ok(parsed) = ClientId::parse(id) else { return Ok(()) };
        let found = match self.clients.load_client(&parsed).await {
            // A damaged row takes its own client away, and stops neither the others nor the keys.
            Err(damaged @ StoreError::Corrupt { .. }) => {
                error!(error = %damaged, "left out");
                self.seen.write().unwrap_or_else(PoisonError::into_inner).known.remove(id);
                return Ok(());
            }
            found => found?.map(Arc::new),
        };
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.epoch == epoch {
            remember(&mut seen, &parsed, found, self.clock.now());
        } else {
            // Another change came meanwhile: what was read may be old, so the next caller asks the store.
            seen.known.remove(id);
        }
        Ok(())
    }

    /// Resources changed in the store, or this replica starts: takes them all.
    pub async fn reload_resources(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.reload.lock().await;
        // One damaged row takes its own resource away, and nothing else with it.
        let readable = |row: Result<Resource, StoreError>| row.inspect_err(|error| error!(%error, "left out")).ok();
        let mut resources: Vec<_> =
            self.resources.load_each_resource().await?.into_iter().filter_map(readable).collect();
        resources.push(Resource::admin());
        let by_audience = resources
            .into_iter()
            .map(|resource| (resource.id.audience(&self.issuer).into_owned(), Arc::new(resource)))
            .collect();
        self.by_audience.store(Arc::new(by_audience));
        Ok(())
    }

    /// Forgets every client and takes all resources again: for a replica that was away for longer than the change feed
    /// reaches back.
    pub async fn reload(&self) -> Result<(), StoreError> {
        self.reload_resources().await?;
        self.reload_origins().await?;
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen { epoch: seen.epoch + 1, ..Seen::default() };
        Ok(())
    }

    /// `Some(None)` is a client known not to exist.
    #[allow(clippy::option_option, reason = "known, known to be absent, not known")]
    fn remembered(&self, id: &str) -> Option<Option<Arc<Client>>> {
        let seen = self.read();
        if let Some(client) = seen.known.get(id) {
            return Some(Some(Arc::clone(client)));
        }
        let until = seen.unknown.get(id)?;
        (self.clock.now() < *until).then_some(None)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(seen: &mut Seen, id: &ClientId, found: Option<Arc<Client>>, now: Timestamp) {
    let id: Box<str> = id.as_str().into();
    match found {
        Some(client) => {
            make_room(&mut seen.known, KNOWN_CLIENTS, &id);
            seen.known.insert(id, client);
        }
        None => {
            seen.known.remove(&id);
            if seen.unknown.len() >= UNKNOWN_CLIENTS {
                seen.unknown.retain(|_, until| now < *until);
            }
            make_room(&mut seen.unknown, UNKNOWN_CLIENTS, &id);
            seen.unknown.insert(id, now.plus(UNKNOWN_FOR));
        }
    }
}

/// Makes room for `id` by forgetting some other entry; which one does not matter, it is read again when asked for.
fn make_room<V>(map: &mut HashMap<Box<str>, V>, most: usize, id: &str) {
    if map.len() >= most
        && !map.contains_key(id)
        && let Some(victim) = map.keys().next().cloned()
    {
        map.remove(&victim);
    }
}
