//! What is registered: every client, every resource, who names what, and what was meant by a name that nobody has.

use super::output::plain;
use super::{Failure, Installation};
use crate::clients::{Client, ClientStore, Resource, ResourceId, ResourceStore};

const PAGE: u32 = 500;

/// Every client, by ascending identifier.
pub(super) async fn clients(Installation { store, .. }: &Installation) -> Result<Vec<Client>, Failure> {
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

/// Every resource, the reserved one first.
pub(super) async fn resources(Installation { store, .. }: &Installation) -> Result<Vec<Resource>, Failure> {
    let mut resources = vec![Resource::admin()];
    resources.extend(store.load_resources().await?);
    Ok(resources)
}

/// The identifiers of the clients that name `resource`.
pub(super) async fn clients_naming(installation: &Installation, resource: &ResourceId) -> Result<Vec<String>, Failure> {
    let names = |client: &Client| client.access.contains_key(resource) || client.serves.contains(resource);
    let clients = clients(installation).await?;
    Ok(clients.iter().filter(|client| names(client)).map(|client| client.id.as_str().to_owned()).collect())
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
