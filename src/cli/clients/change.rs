//! Changes of a client: each is made to the newest version, whatever others do meanwhile.

use serde_json::json;

use super::{Context, Failure, Registry, called, find, input, plain};
use crate::clients::{ClientId, ClientMetadata};
use crate::ports::StoreError;

pub(super) async fn update(
    context: &Context,
    registry: &dyn Registry,
    id: &str,
    metadata: &ClientMetadata,
) -> Result<(), Failure> {
    let seen = find::by_id(registry, id).await?;
    let outcome = registry.replace_client(&seen, metadata).await?;
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
