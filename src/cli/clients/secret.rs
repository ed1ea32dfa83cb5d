//! `signet clients roll-secret`.
//!
//! Guarantees: a secret that is written to a file is there, whole, before it becomes valid.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::change::change;
use super::credentials_file::PendingCredentials;
use super::{Context, Failure, Installation, called, find};
use crate::audit::Act;
use crate::cli::output::fields;
use crate::cli::span;
use crate::clients::{Client, ResourceId, SecretOrigin};
use crate::secret::SecretText;

pub(super) const HELP: &str = "\
Examples:
  signet clients roll-secret shop                     the old secret works for `clients.secret_overlap` more
  signet clients roll-secret shop --keep-old 1h
  signet clients roll-secret shop --end-old           the old secret may be known to others
  signet clients roll-secret --admin --write-credentials
                                                      a new data/admin-credentials.json, for instance after its loss

At most two secrets of a client are valid at a time. A running server follows within 2 s.";

#[derive(Args)]
#[command(group(ArgGroup::new("who").required(true)))]
pub(in crate::cli) struct Arguments {
    /// The client's identifier.
    #[arg(group = "who")]
    id: Option<String>,
    /// Take the one client that serves the admin resource.
    #[arg(long, group = "who")]
    admin: bool,
    /// How long the old secret stays valid, such as 2h (default: `clients.secret_overlap`).
    #[arg(long, value_name = "SPAN", value_parser = span::parse, conflicts_with = "end_old")]
    keep_old: Option<Duration>,
    /// End all older secrets now.
    #[arg(long)]
    end_old: bool,
    /// Write the new secret of an admin client to `admin-credentials.json` in `data_dir` instead of showing it.
    #[arg(long)]
    write_credentials: bool,
}

#[derive(Serialize)]
struct Rolled {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_valid_until: Option<String>,
}

pub(super) async fn run(context: &Context, at: &Installation, arguments: &Arguments) -> Result<(), Failure> {
    let client = match &arguments.id {
        Some(id) => find::by_id(at, id).await?,
        None => find::admin(at).await?,
    };
    let overlap = match arguments.keep_old {
        _ if arguments.end_old => Duration::ZERO,
        Some(overlap) => overlap,
        None => at.settings.clients.secret_overlap,
    };
    let (client, (secret, pending)) = change(context, at, Act::ClientsRollSecret, client.id.as_str(), |client, now| {
        let entropy = context.parts.entropy.as_ref();
        let (client, secret) =
            client.roll_secret(SecretOrigin::Issued, overlap, entropy, now).map_err(Failure::refused)?;
        let pending = if arguments.write_credentials { Some(pending(at, &client, &secret)?) } else { None };
        Ok((client, (secret, pending)))
    })
    .await?;
    let old_secret_valid_until = client.old_secret_valid_until().map(|end| end.to_string());
    let (client_secret, credentials) = match pending {
        Some(pending) => (None, Some(pending.publish()?)),
        None => (Some(secret.expose().to_owned()), None),
    };
    let rolled =
        Rolled { client_id: client.id.as_str().to_owned(), client_secret, credentials, old_secret_valid_until };
    context.output.result(&rolled, |rolled| text(rolled, &client))?;
    Ok(())
}

fn text(rolled: &Rolled, client: &Client) -> String {
    let called = called(&rolled.client_id, &client.name);
    let old = match &rolled.old_secret_valid_until {
        Some(end) => format!("The secret before it stays valid until {end}."),
        None => "No older secret is valid any more.".to_owned(),
    };
    match (&rolled.client_secret, &rolled.credentials) {
        (Some(secret), _) => {
            let rows = [("client_id", rolled.client_id.clone()), ("client_secret", secret.clone())];
            format!("The client {called} has a new secret, shown only this time:\n\n{}\n{old}", fields(&rows))
        }
        (None, Some(path)) => format!("The client {called} has a new secret, in {}.\n{old}", path.display()),
        (None, None) => old,
    }
}

/// The credentials' file with the new secret, beside the old one until the secret is valid.
fn pending(at: &Installation, client: &Client, secret: &SecretText) -> Result<PendingCredentials, Failure> {
    let settings = &at.settings;
    let Some(scopes) = client.access.get(&ResourceId::admin()) else {
        return Err(Failure::Refused(format!(
            "the client {} has no access to the admin resource: --write-credentials is for admin clients",
            called(client.id.as_str(), &client.name)
        )));
    };
    if settings.issuer_follows_bind && settings.public.bind.port() == 0 {
        return Err(Failure::Refused(
            "the address of the token endpoint is not known while `public.bind` has port 0: set `issuer`".to_owned(),
        ));
    }
    let credentials = crate::app::Credentials {
        client_id: client.id.as_str().to_owned(),
        client_secret: secret.expose().to_owned(),
        token_endpoint: settings.issuer.token_endpoint(),
        audience: settings.issuer.admin_audience(),
        scope: scopes.to_string(),
    };
    PendingCredentials::write(at, &credentials)
}
