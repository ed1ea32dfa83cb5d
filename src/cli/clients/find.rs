//! Finding clients, and what was meant by a name that nobody has.

use super::{Failure, Installation, called, plain};
use crate::cli::registry;
use crate::clients::{Client, ClientId, ClientStore, ResourceId};

/// The client called `id`; where there is none, a sentence with the nearest one.
pub(super) async fn by_id(installation: &Installation, id: &str) -> Result<Client, Failure> {
    if let Ok(id) = ClientId::parse(id)
        && let Some(client) = installation.store.load_client(&id).await?
    {
        return Ok(client);
    }
    let clients = registry::clients(installation).await?;
    let mut named = clients.iter().filter(|client| client.name == id);
    let hint = match (named.next(), named.next()) {
        (Some(only), None) => format!(": the client with that name is `{}`", only.id),
        _ => registry::suggestion(id, clients.iter().map(|client| client.id.as_str())),
    };
    Err(Failure::Refused(format!("there is no client `{}`{hint}", plain(id))))
}

/// The one client that serves `<issuer>/admin`.
pub(super) async fn admin(installation: &Installation) -> Result<Client, Failure> {
    let mut admins = registry::clients(installation).await?;
    admins.retain(|client| client.serves.contains(&ResourceId::admin()));
    match admins.len() {
        0 => Err(Failure::Refused("no client serves the admin resource: name a client".to_owned())),
        1 => Ok(admins.remove(0)),
        _ => {
            let names: Vec<_> = admins.iter().map(|client| called(client.id.as_str(), &client.name)).collect();
            Err(Failure::Refused(format!("several clients serve the admin resource, name one: {}", names.join(", "))))
        }
    }
}
