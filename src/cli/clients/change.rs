//! Changes of a client: each is made to the newest version, whatever others do meanwhile.

use serde_json::json;

use super::{Context, Failure, Registry, called, find, input, plain};
use crate::clients::{ClientId, ClientMetadata, ClientView};
use crate::ports::StoreError;

/// What an update does to what describes a client.
pub(super) enum Update {
    /// All of it is replaced.
    Replace(Box<ClientMetadata>),
    /// It gets more, or less, and keeps what else it has.
    Edit {
        /// Resources that it gets, each with its scopes.
        access: Vec<(String, String)>,
        /// Resources that it may get nothing for any more. One that is added as well begins anew.
        without: Vec<String>,
        /// Origins of pages that it gets.
        web_origins: Vec<String>,
    },
}

impl Update {
    /// Refuses to take away what is not there: it may be a slip, and what was meant would stay.
    fn check(&self, seen: &ClientView) -> Result<(), Failure> {
        let Self::Edit { without, .. } = self else { return Ok(()) };
        let has = &seen.metadata.access;
        let Some(unknown) = without.iter().find(|resource| !has.contains_key(*resource)) else { return Ok(()) };
        let there: Vec<_> = has.keys().map(|resource| format!("`{}`", plain(resource))).collect();
        let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
        let (client, unknown) = (called(seen), plain(unknown));
        Err(Failure::Refused(format!("the client {client} has no access to `{unknown}`: what it has is {there}")))
    }

    fn apply(&self, metadata: &mut ClientMetadata) {
        match self {
            Self::Replace(whole) => metadata.clone_from(whole),
            Self::Edit { access, without, web_origins } => {
                metadata.access.retain(|resource, _| !without.contains(resource));
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
    update.check(&seen)?;
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
        let add = Update::Edit {
            without: Vec::new(),
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
    #[test]
    fn what_is_taken_away_is_gone_and_begins_anew_where_it_is_added_too() {
        let edit = |access: &[(&str, &str)]| Update::Edit {
            access: access.iter().map(|(uri, scopes)| ((*uri).to_owned(), (*scopes).to_owned())).collect(),
            without: vec!["https://a.example".to_owned()],
            web_origins: Vec::new(),
        };
        let whole = ["https://a.example", "https://b.example"].map(|uri| (uri.to_owned(), "read list".to_owned()));
        let metadata = ClientMetadata { access: whole.clone().into(), ..ClientMetadata::default() };
        for (edit, left) in [
            (edit(&[]), &[("https://b.example", "read list")][..]),
            (
                edit(&[("https://a.example", "pay")]),
                &[("https://a.example", "pay"), ("https://b.example", "read list")],
            ),
        ] {
            let mut metadata = metadata.clone();
            edit.apply(&mut metadata);
            let access: Vec<_> = metadata.access.iter().map(|(uri, scopes)| (uri.as_str(), scopes.as_str())).collect();
            assert_eq!(access, left);
        }
    }
}
