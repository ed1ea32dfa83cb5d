//! The first start: the first admin client with the file of its credentials, and the client that people sign in at.
//!
//! Guarantees: the file is written whole before the credentials in it become valid; a start that is interrupted is
//! begun anew, and leaves no other clients.

use std::path::PathBuf;

use serde_json::json;
use tracing::{info, warn};

use super::credentials::{CREDENTIALS_FILE, Credentials};
use super::files::Existing;
use super::host::host_name;
use super::{Opened, Parts, StartError};
use crate::audit::{Act, By};
use crate::clients::{
    ADMIN_SCOPES, Client, ClientError, ClientId, ClientMetadata, ClientStore, Insert, LOGIN_CLIENT, SecretOrigin,
    login_client,
};
use crate::config::Settings;
use crate::ports::StoreError;
use crate::secret::SecretText;

/// A first admin client that exists now.
#[derive(Debug, Clone)]
pub struct NewAdmin {
    /// Its identifier.
    pub client_id: ClientId,
    /// Where its credentials are.
    pub credentials: PathBuf,
}

/// Sets up an opened installation by `signet init`.
pub async fn initialise(settings: &Settings, opened: &Opened, parts: &Parts) -> Result<NewAdmin, StartError> {
    let already = || StartError::AlreadyInitialised { database: settings.database.url.to_string() };
    if opened.store.is_founded().await? {
        return Err(already());
    }
    found(settings, opened, parts).await?.ok_or_else(already)
}

/// Completes the first start of an embedded installation, if that was not done. Answers with the credentials' file
/// while there is one, and whether its secret is still valid.
pub(super) async fn complete(
    settings: &Settings,
    opened: &Opened,
    parts: &Parts,
) -> Result<(Option<PathBuf>, bool), StartError> {
    let path = settings.data_dir.join(CREDENTIALS_FILE);
    if !opened.store.is_founded().await?
        && let Some(new) = found(settings, opened, parts).await?
    {
        info!(client_id = new.client_id.as_str(), credentials = %path.display(), "first start: made an admin client, and `login` for people");
        return Ok((Some(path), true));
    }
    let in_use = first_secret_in_use(opened, parts).await?;
    if let Some(client) = &in_use {
        warn!(
            client_id = client.as_str(),
            "the secret of the first start is still in use: roll it with `signet clients roll-secret --admin --end-old --write-credentials`"
        );
    }
    Ok((path.exists().then_some(path), in_use.is_some()))
}

/// `None` when another process was first, from another folder: those of one folder are kept apart while it is set up.
/// What was written for this one's client, which there will never be, is gone again then.
async fn found(settings: &Settings, opened: &Opened, parts: &Parts) -> Result<Option<NewAdmin>, StartError> {
    let path = settings.data_dir.join(CREDENTIALS_FILE);
    let refused = |error: ClientError| StoreError::Refused(error.to_string());
    let (client, secret) = first_admin(opened, parts).map_err(refused)?;
    let login = login_client(&opened.issuer, parts.clock.now()).map_err(refused)?;
    let credentials = Credentials {
        client_id: client.id.as_str().to_owned(),
        client_secret: secret.expose().to_owned(),
        token_endpoint: opened.issuer.token_endpoint(),
        audience: opened.issuer.admin_audience(),
        scope: ADMIN_SCOPES.to_owned(),
    };
    let failed = |why| StartError::File { path: path.clone(), why };
    let written = credentials.write_beside(&path).and_then(|mut pending| pending.publish(Existing::Replace));
    written.map_err(failed)?;
    let by = By::signet(host_name());
    let made = json!({ "issuer": opened.issuer.as_str(), "login_client": LOGIN_CLIENT });
    let (entry, client_id) = (by.entry(Act::InstallationInit, client.id.as_str(), made), client.id.clone());
    match opened.store.found(&[client, login], &entry).await? {
        Insert::Inserted => Ok(Some(NewAdmin { client_id, credentials: path })),
        Insert::Exists => {
            std::fs::remove_file(&path).map_err(failed)?;
            Ok(None)
        }
    }
}

fn first_admin(opened: &Opened, parts: &Parts) -> Result<(Client, SecretText), ClientError> {
    let now = parts.clock.now();
    let admin = opened.issuer.admin_audience();
    let metadata = ClientMetadata {
        client_name: "First admin".to_owned(),
        access: [(admin.clone(), ADMIN_SCOPES.to_owned())].into(),
        serves: vec![admin],
        ..ClientMetadata::default()
    };
    let client = metadata.register(ClientId::generate(now), &opened.issuer, now)?;
    client.roll_secret(SecretOrigin::FirstStart, std::time::Duration::ZERO, &*parts.entropy, now)
}

async fn first_secret_in_use(opened: &Opened, parts: &Parts) -> Result<Option<ClientId>, StoreError> {
    let now = parts.clock.now();
    for id in opened.store.clients_of_first_start().await? {
        match opened.store.load_client(&id).await {
            Ok(Some(client)) if client.uses_first_secret(now) => return Ok(Some(id)),
            // A damaged row is reported when its client is asked for: no reason not to start.
            Ok(_) | Err(StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
