//! Changes of a client: each is made to the newest version, whatever others do meanwhile.

use serde_json::json;

use super::{Context, Failure, Installation, called, find, input};
use crate::audit::Act;
use crate::clients::{
    AdministrationError, Client, ClientAuthentication, ClientId, ClientMetadata, ClientView, Request,
};
use crate::ports::{StoreError, Timestamp};

/// Stores what `change` makes of the client `id` at the store's time, and returns both that and what `change` has to
/// tell. A change that another process came before is made to the newer version.
pub(super) async fn change<T>(
    context: &Context,
    installation: &Installation,
    act: Act,
    id: &str,
    change: impl Fn(Client, Timestamp) -> Result<(Client, T), Failure>,
) -> Result<(Client, T), Failure> {
    // With a hint where there is none.
    let id = find::by_id(installation, id).await?.id;
    context
        .requesting(async |request| installation.administration.change_client(request, act, &id, &change).await)
        .await
}

pub(super) async fn update(
    context: &Context,
    installation: &Installation,
    id: &str,
    metadata: &ClientMetadata,
) -> Result<(), Failure> {
    let issuer = &installation.settings.issuer;
    let (client, ()) = change(context, installation, Act::ClientsUpdate, id, |client, now| {
        Ok((metadata.replace(client, issuer, now).map_err(Failure::refused)?, ()))
    })
    .await?;
    let view = ClientView::of(&client, issuer, client.updated_at);
    context.output.result(&view, |view| format!("The client is changed.\n\n{}", view.text()))?;
    if let ClientAuthentication::Secret { secrets, .. } = &client.authentication
        && secrets.is_empty()
    {
        context.output.note(&format!("it has no secret yet: `signet clients roll-secret {}` makes one", client.id));
    }
    super::create::note_idle_scopes(context, installation, &client).await
}

pub(super) async fn enable(
    context: &Context,
    installation: &Installation,
    id: &str,
    enabled: bool,
) -> Result<(), Failure> {
    let act = if enabled { Act::ClientsEnable } else { Act::ClientsDisable };
    let (client, was) = change(context, installation, act, id, |client, now| {
        let was = client.enabled;
        let next = if was == enabled { client } else { client.with_enabled(enabled, now) };
        Ok((next, was))
    })
    .await?;
    let result = json!({ "client_id": client.id.as_str(), "enabled": enabled, "changed": was != enabled });
    context.output.result(&result, |_| {
        let already = if was == enabled { " already" } else { "" };
        let state = if enabled { "enabled" } else { "disabled" };
        format!("The client {} is {state}{already}.", called(client.id.as_str(), &client.name))
    })?;
    Ok(())
}

pub(super) async fn delete(context: &Context, installation: &Installation, id: &str, yes: bool) -> Result<(), Failure> {
    let (id, called) = match find::by_id(installation, id).await {
        Ok(client) => (client.id.clone(), called(client.id.as_str(), &client.name)),
        // Whatever else is known of it, it can go.
        Err(Failure::Store(StoreError::Corrupt { .. })) => {
            let id = ClientId::parse(id).map_err(Failure::refused)?;
            let called = format!("`{id}`, whose row is damaged,");
            (id, called)
        }
        Err(other) => return Err(other),
    };
    input::confirm(yes, &format!("Delete the client {called}?"))?;
    let deleting = async |request: Request<'_>| installation.administration.delete_client(request, &id).await;
    match context.requesting(deleting).await {
        // Deleted by someone else meanwhile: it is gone as was asked.
        Ok(()) | Err(AdministrationError::Absent) => {}
        Err(other) => return Err(other.into()),
    }
    let result = json!({ "client_id": id.as_str(), "deleted": true });
    Ok(context.output.result(&result, |_| format!("The client {called} is deleted."))?)
}
