//! What is registered in tests: resources and clients, made as a second process makes them.

use std::panic::Location;
use std::time::Duration;

use serde_json::{Value, json};
use signet::app::{Opened, Preparation};
use signet::audit::{Act, By, Entry};
use signet::clients::{
    Client, ClientId, ClientMetadata, ClientStore, Insert, LOGIN_CLIENT, Resource, ResourceId, ResourceStore, ScopeSet,
    SecretOrigin, Swap,
};
use signet::ports::{Clock, Entropy, SystemEntropy, Timestamp};
use signet::tokens::session::{
    AddressPrefix, Amr, ClientBinding, Delivery, DeviceLabel, Generation, MacKeyId, Motion, Rotation, Session,
    SessionGrant, SessionId,
};
use uuid::Uuid;

use crate::app::{Installation, Signet};

/// The resource that most tests ask tokens for.
pub const ORDERS: &str = "https://orders.example";
/// Another one.
pub const BILLING: &str = "https://billing.example";

/// The operator, on whose behalf tests act.
pub fn by() -> By {
    By::operator("tester", "test").because("a test")
}

/// What such an act leaves in the audit log, where a test does not look at it.
pub fn entry() -> Entry {
    by().entry(Act::ClientsUpdate, "test", json!({}))
}

/// Registers things beside a running issuer.
pub struct World {
    pub opened: Opened,
    clock: crate::app::HeldClock,
}

impl World {
    /// Opens the installation of a running issuer.
    pub async fn of(installation: &Installation) -> Self {
        Self { opened: installation.open(Preparation::Existing).await, clock: installation.clock.clone() }
    }

    /// Registers a resource.
    pub async fn resource(&self, identifier: &str, scopes: &str) {
        self.resource_with(identifier, scopes, |_| {}).await;
    }

    /// Registers a resource with more than scopes.
    pub async fn resource_with(&self, identifier: &str, scopes: &str, more: impl FnOnce(&mut Resource)) {
        let id = ResourceId::parse(identifier, &self.opened.issuer).unwrap();
        let mut resource = Resource::new(id, "", ScopeSet::parse(scopes).unwrap(), self.clock.now());
        more(&mut resource);
        resource.check(Duration::from_secs(3600), &signet_verify::Algorithm::ALL).unwrap();
        assert_eq!(self.opened.store.insert_resource(&resource, &entry()).await.unwrap(), Insert::Inserted);
    }

    /// Registers a client and returns its secret, if it has one.
    pub async fn client(&self, id: &str, metadata: Value) -> String {
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let now = self.clock.now();
        let client = metadata.register(ClientId::parse(id).unwrap(), &self.opened.issuer, now).unwrap();
        let (client, secret) =
            match client.clone().roll_secret(SecretOrigin::Issued, Duration::ZERO, &SystemEntropy, now) {
                Ok((client, secret)) => (Client { version: 1, ..client }, secret.expose().to_owned()),
                Err(_) => (client, String::new()),
            };
        match self.opened.store.insert_client(&client, &entry()).await.unwrap() {
            Insert::Inserted => {}
            Insert::Exists => {
                // The built-in one: it is changed, as an operator would.
                assert_eq!(id, LOGIN_CLIENT);
                self.replace(id, &metadata).await;
            }
        }
        secret
    }

    /// Describes a client anew.
    pub async fn replace(&self, id: &str, metadata: &ClientMetadata) {
        let client = self.opened.store.load_client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
        let changed = metadata.replace(client, &self.opened.issuer, self.clock.now()).unwrap();
        assert_eq!(self.opened.store.update_client(&changed, &entry()).await.unwrap(), Swap::Swapped);
    }

    /// Disables or enables a client.
    pub async fn set_enabled(&self, id: &str, enabled: bool) {
        let client = self.opened.store.load_client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
        let changed = client.with_enabled(enabled, self.clock.now());
        assert_eq!(self.opened.store.update_client(&changed, &entry()).await.unwrap(), Swap::Swapped);
    }

    /// Rolls a client's secret.
    pub async fn roll_secret(&self, id: &str, overlap: Duration) -> String {
        let client = self.opened.store.load_client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
        let (changed, secret) =
            client.roll_secret(SecretOrigin::Issued, overlap, &SystemEntropy, self.clock.now()).unwrap();
        assert_eq!(self.opened.store.update_client(&changed, &entry()).await.unwrap(), Swap::Swapped);
        secret.expose().to_owned()
    }
}

/// A session of a public client that begins now, with a name of its own.
pub fn session(now: Timestamp) -> Session {
    let mut id = [0; SessionId::LEN];
    SystemEntropy.fill(&mut id);
    Session {
        id: SessionId::from_bytes(id),
        user: Uuid::from_bytes([7; 16]),
        client: ClientId::parse("web").unwrap(),
        binding: ClientBinding::Public,
        grant: SessionGrant {
            resource: ResourceId::from_stored("https://api.example"),
            scope: ScopeSet::parse("read write").unwrap(),
        },
        rotation: Rotation::Rotates,
        delivery: Delivery::Body,
        created_at: now,
        auth_time: now,
        amr: vec![Amr::Password],
        idle: Duration::from_secs(14 * 86_400),
        expires_at: now.plus(Duration::from_secs(90 * 86_400)),
        device: DeviceLabel::fitting("Firefox on Linux"),
        address: Some(AddressPrefix::V4([192, 0, 2])),
        motion: Motion { generation: Generation::FIRST, mac_key: MacKeyId(1), rotated_at: None, last_used_at: now },
    }
}

/// A running issuer with the two resources, and the client `shop` that may read and write orders and read bills.
pub async fn shop(installation: &Installation) -> (Signet, World, String) {
    let signet = installation.start().await;
    let world = World::of(installation).await;
    world.resource(ORDERS, "orders:read orders:write").await;
    world.resource(BILLING, "bills:read bills:pay").await;
    let access = json!({"access": {ORDERS: "orders:read orders:write", BILLING: "bills:read"}});
    let secret = world.client("shop", access).await;
    for resource in [ORDERS, BILLING] {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        eventually(async || signet.token(Some(("shop", &secret)), &form).await.status.is_success().then_some(())).await;
    }
    (signet, world, secret)
}

/// Tries until `done`, for at most ten seconds: for what a follower takes up.
#[track_caller]
pub fn eventually<T>(mut done: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let asked_at = Location::caller();
    async move {
        for _ in 0..500 {
            if let Some(value) = done().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not happen within ten seconds: {asked_at}");
    }
}
