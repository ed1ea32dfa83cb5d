//! Finding clients, and what was meant by a name that nobody has.

use super::{Failure, Registry, called, plain};
use crate::cli::registry::suggestion;
use crate::clients::ClientView;

/// The client called `id`; where there is none, a sentence with the nearest one.
pub(super) async fn by_id(registry: &dyn Registry, id: &str) -> Result<ClientView, Failure> {
    if let Some(client) = registry.client(id).await? {
        return Ok(client);
    }
    let clients = registry.clients().await?.readable;
    let mut named = clients.iter().filter(|client| client.metadata.client_name == id);
    let hint = match (named.next(), named.next()) {
        (Some(only), None) => format!(": the client with that name is `{}`", plain(&only.client_id)),
        _ => suggestion(id, clients.iter().map(|client| client.client_id.as_str())),
    };
    Err(Failure::Refused(format!("there is no client `{}`{hint}", plain(id))))
}

/// The one client that serves `<issuer>/admin`.
pub(super) async fn admin(registry: &dyn Registry) -> Result<ClientView, Failure> {
    let resource = registry.admin_resource();
    let mut admins = registry.clients().await?.readable;
    admins.retain(|client| client.metadata.serves.contains(&resource));
    match admins.len() {
        0 => Err(Failure::Refused("no client serves the admin resource: name a client".to_owned())),
        1 => Ok(admins.remove(0)),
        _ => {
            let names: Vec<_> = admins.iter().map(called).collect();
            Err(Failure::Refused(format!("several clients serve the admin resource, name one: {}", names.join(", "))))
        }
    }
}
