//! What is registered, clients and resources: where verbs read and change it, and what was meant by a name that nobody
//! has.
//!
//! Guarantees: whether the database or the admin API is worked on is decided here alone, so that a verb is written once
//! and does the same by either way.

mod here;
mod there;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::here::Here;
use self::there::There;
use super::acting::Outcome;
use super::output::plain;
use super::remote::Through;
use super::why::How;
use super::{Context, Failure};
use crate::clients::{ClientMetadata, ClientView, RegisteredClient, ResourceMetadata, ResourceView};

/// Which scopes a verb needs at the admin API, and which others let it tell more.
#[derive(Clone, Copy)]
pub(super) struct Scopes {
    pub(super) needed: &'static str,
    pub(super) liked: &'static str,
}

/// Every client.
pub(super) struct Clients {
    /// Those that can be read, by ascending identifier.
    pub(super) readable: Vec<ClientView>,
    /// All others, likewise.
    pub(super) damaged: Vec<DamagedClient>,
}

/// A client whose row can't be read.
pub(super) struct DamagedClient {
    pub(super) id: String,
    /// What is wrong with it, which is for those alone who have the database in their hands.
    pub(super) why: Option<String>,
}

/// What is to be made of what describes a resource, or a client.
pub(super) type Change<'c, M = ResourceMetadata> = dyn Fn(&mut M) + 'c;

/// What came of rolling a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct Rolled {
    pub(super) client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<String>,
    /// The file that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_secret_valid_until: Option<String>,
    /// Why no file has it, where one was to have it and the secret is valid all the same.
    #[serde(skip)]
    pub(super) unwritten: Option<Failure>,
}

/// Where clients and resources are read and changed. A change is made to the newest version, whatever others do
/// meanwhile; where it changes nothing, it leaves no trace.
#[async_trait(?Send)]
pub(super) trait Registry {
    /// Whether what asks for this scope may be done here.
    fn may(&self, scope: &str) -> bool;

    /// The identifier of the admin resource.
    fn admin_resource(&self) -> String;

    /// Every client.
    async fn clients(&self) -> Result<Clients, Failure>;

    /// The client of that identifier.
    async fn client(&self, id: &str) -> Result<Option<ClientView>, Failure>;

    /// Registers a client, under `id` or a new identifier; `None` where that is taken.
    async fn register(&self, id: Option<&str>, metadata: &ClientMetadata) -> Result<Option<RegisteredClient>, Failure>;

    /// Stores what `change` makes of what describes the client that was `seen`.
    async fn change_client(
        &self,
        seen: &ClientView,
        change: &Change<'_, ClientMetadata>,
    ) -> Result<Outcome<ClientView>, Failure>;

    /// Enables or disables the client that was `seen`.
    async fn set_enabled(&self, seen: &ClientView, enabled: bool) -> Result<Outcome<ClientView>, Failure>;

    /// Gives the client that was `seen` a new secret, which goes to the file of the credentials where that is wanted.
    async fn roll_secret(
        &self,
        seen: &ClientView,
        overlap: Option<Duration>,
        into_file: bool,
    ) -> Result<Rolled, Failure>;

    /// Removes a client. One that someone else removed meanwhile is gone as was asked.
    async fn delete_client(&self, id: &str) -> Result<(), Failure>;

    /// Every resource, the reserved one first.
    async fn resources(&self) -> Result<Vec<ResourceView>, Failure>;

    /// Registers a resource; `None` where the identifier is taken.
    async fn create_resource(&self, uri: &str, metadata: &ResourceMetadata) -> Result<Option<ResourceView>, Failure>;

    /// Stores what `change` makes of what describes the resource that was `seen`.
    async fn change_resource(&self, seen: &ResourceView, change: &Change<'_>)
    -> Result<Outcome<ResourceView>, Failure>;

    /// Removes a resource that no client names, as [`Registry::delete_client`] does a client.
    async fn delete_resource(&self, uri: &str) -> Result<(), Failure>;
}

impl Context {
    /// Runs `act` on what is registered, to read it.
    pub(super) async fn reading<T>(
        &self,
        through: &Through,
        scopes: Scopes,
        act: impl AsyncFnOnce(&dyn Registry) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match through.api_with(self, scopes.needed, scopes.liked).await? {
            Some(api) => act(&There::new(api, "")).await,
            None => self.with_store(async |at| act(&Here::new(at, self.by())).await).await,
        }
    }

    /// Runs `act` on what is registered, to change it.
    pub(super) async fn changing<T>(
        &self,
        how: &How,
        scopes: Scopes,
        act: impl AsyncFnOnce(&dyn Registry) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reason = &how.why.reason;
        match how.through.api_with(self, scopes.needed, scopes.liked).await? {
            Some(api) => act(&There::new(api, reason)).await,
            None => self.changing_store(async |at| act(&Here::new(at, self.by().because(reason))).await).await,
        }
    }
}

/// That clients name the resource, which keeps it from being deleted.
pub(super) fn in_use(clients: &[String]) -> Failure {
    Failure::Refused(format!(
        "the resource is named by {}: take it out of their access first (`signet clients update`)",
        clients.join(", ")
    ))
}

/// ": did you mean …?" where one of `known` is a few slips away from `given`, else nothing.
pub(super) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    let slips = given.chars().count().div_ceil(4).clamp(1, 4);
    let near = known
        .map(|candidate| (strsim::osa_distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min();
    near.map(|(_, candidate)| format!(": did you mean `{}`?", plain(candidate))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_gets_the_nearest_name_and_a_strange_name_gets_none() {
        let known = ["orders", "shop", "c_0190"];
        assert_eq!(suggestion("shpo", known.into_iter()), ": did you mean `shop`?");
        assert_eq!(suggestion("order", known.into_iter()), ": did you mean `orders`?");
        assert_eq!(suggestion("billing", known.into_iter()), "");
    }
}
