//! Changes of a client: each is made to the newest version, whatever others do meanwhile.

use serde_json::json;

use super::{Context, Failure, Registry, called, find, input, plain};
use crate::clients::{ClientId, ClientMetadata};
use crate::ports::StoreError;

/// What an update does to what describes a client.
pub(super) enum Update {
    /// All of it is replaced.
    Replace(Box<ClientMetadata>),
    /// It gets more, and keeps what it has.
    Add {
        /// Resources, each with its scopes.
        access: Vec<(String, String)>,
        /// Origins of pages.
        web_origins: Vec<String>,
    },
}

impl Update {
    fn apply(&self, metadata: &mut ClientMetadata) {
        match self {
            Self::Replace(whole) => metadata.clone_from(whole),
            Self::Add { access, web_origins } => {
                for (resource, scopes) in access {
                    let had = metadata.access.entry(resource.clone()).or_default();
                    let more: Vec<_> =
                        scopes.split(' ').filter(|scope| !had.split(' ').any(|old| old == *scope)).collect();
                    *had = format!("{had} {}", more.join(" ")).trim().to_owned();
                }
                for origin in web_origins {
                    if !metadata.web_origins.contains(origin) {
                        metadata.web_origins.push(origin.clone());
                    }
                }
            }
        }
    }
}

pub(super) async fn update(
    context: &Context,
    registry: &dyn Registry,
    id: &str,
    update: &Update,
) -> Result<(), Failure> {
    let seen = find::by_id(registry, id).await?;
    let outcome = registry.change_client(&seen, &|metadata| update.apply(metadata)).await?;
    let told = if outcome.changed { "The client is changed." } else { "Nothing to do: the client is so already." };
    context.output.result(&outcome.now, |view| format!("{told}\n\n{}", view.text()))?;
    if outcome.now.secrets.as_ref().is_some_and(Vec::is_empty) {
        let id = plain(&outcome.now.client_id);
        context.output.note(&format!("it has no secret yet: `signet clients roll-secret {id}` makes one"));
    }
    super::create::note_idle_scopes(context, registry, &outcome.now).await;
    Ok(())
}

pub(super) async fn enable(context: &Context, registry: &dyn Registry, id: &str, enabled: bool) -> Result<(), Failure> {
    let seen = find::by_id(registry, id).await?;
    let outcome = registry.set_enabled(&seen, enabled).await?;
    let result = json!({ "client_id": outcome.now.client_id, "enabled": enabled, "changed": outcome.changed });
    context.output.result(&result, |_| {
        let already = if outcome.changed { "" } else { " already" };
        let state = if enabled { "enabled" } else { "disabled" };
        format!("The client {} is {state}{already}.", called(&outcome.now))
    })?;
    Ok(())
}

pub(super) async fn delete(context: &Context, registry: &dyn Registry, id: &str, yes: bool) -> Result<(), Failure> {
    let called = match find::by_id(registry, id).await {
        Ok(client) => called(&client),
        // Whatever else is known of it, it can go.
        Err(Failure::Store(StoreError::Corrupt { .. })) => {
            let id = ClientId::parse(id).map_err(Failure::refused)?;
            format!("`{id}`, whose row is damaged,")
        }
        Err(other) => return Err(other),
    };
    input::confirm(yes, &format!("Delete the client {called}?"))?;
    registry.delete_client(id).await?;
    let result = json!({ "client_id": id, "deleted": true });
    Ok(context.output.result(&result, |_| format!("The client {called} is deleted."))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_comes_to_what_is_there_once() {
        let add = Update::Add {
            access: vec![
                ("https://a.example".to_owned(), "read write".to_owned()),
                ("https://b.example".to_owned(), "pay".to_owned()),
                ("https://b.example".to_owned(), "pay see".to_owned()),
            ],
            web_origins: vec!["https://app.example".to_owned(), "https://app.example".to_owned()],
        };
        let mut metadata = ClientMetadata {
            client_name: "Pages".to_owned(),
            access: [("https://a.example".to_owned(), "read list".to_owned())].into(),
            ..ClientMetadata::default()
        };
        for _ in 0..2 {
            add.apply(&mut metadata);
            let access: Vec<_> = metadata.access.iter().map(|(uri, scopes)| (uri.as_str(), scopes.as_str())).collect();
            assert_eq!(access, [("https://a.example", "read list write"), ("https://b.example", "pay see")]);
            assert_eq!(
                (&*metadata.client_name, &*metadata.web_origins),
                ("Pages", &["https://app.example".to_owned()][..])
            );
        }
    }
}
