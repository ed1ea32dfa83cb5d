//! Finding clients, and what was meant by a name that nobody has.

use super::{Failure, Installation, called, plain};
use crate::clients::{Client, ClientId, ClientStore, ResourceId};

const PAGE: u32 = 500;

/// Every client, by ascending identifier.
pub(super) async fn all(Installation { store, .. }: &Installation) -> Result<Vec<Client>, Failure> {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let page = store.list_clients(clients.last().map(|client| &client.id), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        clients.extend(page);
        if is_last {
            return Ok(clients);
        }
    }
}

/// The client called `id`; where there is none, a sentence with the nearest one.
pub(super) async fn by_id(installation: &Installation, id: &str) -> Result<Client, Failure> {
    if let Ok(id) = ClientId::parse(id)
        && let Some(client) = installation.store.load_client(&id).await?
    {
        return Ok(client);
    }
    let clients = all(installation).await?;
    let mut named = clients.iter().filter(|client| client.name == id);
    let hint = match (named.next(), named.next()) {
        (Some(only), None) => format!(": the client with that name is `{}`", only.id),
        _ => suggestion(id, clients.iter().map(|client| client.id.as_str())),
    };
    Err(Failure::Refused(format!("there is no client `{}`{hint}", plain(id))))
}

/// The one client that serves `<issuer>/admin`.
pub(super) async fn admin(installation: &Installation) -> Result<Client, Failure> {
    let mut admins = all(installation).await?;
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

/// The identifiers of the clients that name `resource`.
pub(in crate::cli) async fn naming(installation: &Installation, resource: &ResourceId) -> Result<Vec<String>, Failure> {
    let names = |client: &Client| client.access.contains_key(resource) || client.serves.contains(resource);
    let clients = all(installation).await?;
    Ok(clients.iter().filter(|client| names(client)).map(|client| client.id.as_str().to_owned()).collect())
}

/// ": did you mean …?" where one of `known` is a few slips away from `given`, else nothing.
pub(in crate::cli) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
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
