//! What is registered: every client, every resource, who names what, and what was meant by a name that nobody has.

use super::output::plain;
use super::{Failure, Installation};
use crate::clients::{Client, Resource, ResourceId, ResourceStore};
use crate::ports::StoreError;

const PAGE: u32 = 500;

/// A client whose row can't be read.
pub(super) struct DamagedClient {
    pub(super) id: String,
    pub(super) why: StoreError,
}

/// Every client that can be read, and every other, each by ascending identifier.
pub(super) async fn all_clients(at: &Installation) -> Result<(Vec<Client>, Vec<DamagedClient>), Failure> {
    let (mut clients, mut damaged) = (Vec::new(), Vec::new());
    let mut last = String::new();
    loop {
        let page = at.store.stored_clients(&last, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for (id, client) in page {
            last.clone_from(&id);
            match client {
                Ok(client) => clients.push(client),
                Err(why) => damaged.push(DamagedClient { id, why }),
            }
        }
        if is_last {
            return Ok((clients, damaged));
        }
    }
}

/// Every client that can be read: one that is damaged is nobody's business but its own.
pub(super) async fn clients(at: &Installation) -> Result<Vec<Client>, Failure> {
    Ok(all_clients(at).await?.0)
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
