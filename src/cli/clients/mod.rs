//! `signet clients …`: who asks for tokens.

mod change;
mod create;
mod credentials_file;
mod find;
mod secret;
mod view;

use clap::Subcommand;
use serde_json::json;

use super::output::{plain, table};
use super::registry::{self, DamagedClient};
use super::{Context, Failure, Installation, input};
use crate::clients::{ClientMetadata, ClientView};

/// Longer than any metadata that is accepted.
const MOST_METADATA: usize = 256 * 1024;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Register a client. Its secret is shown once, here.
    #[command(after_help = create::HELP)]
    Create(Box<create::Arguments>),
    /// List the clients.
    #[command(after_help = "\
Examples:
  signet clients list
  signet clients list --json | jq -r '.clients[].client_id'

Clients that can't be read are named on standard error; the exit code is 1 then.")]
    List,
    /// Show one client, without its secrets.
    #[command(after_help = "\
Examples:
  signet clients show shop
  signet clients show shop --metadata > shop.json     what `clients update` takes")]
    Show {
        /// Its identifier.
        id: String,
        /// Print only what describes it, as JSON (RFC 7591).
        #[arg(long)]
        metadata: bool,
    },
    /// Replace what describes a client. Its secrets stay.
    #[command(after_help = "\
Examples:
  signet clients show shop --metadata > shop.json
  $EDITOR shop.json
  signet clients update shop --metadata shop.json

A running server follows within 2 s. Tokens already issued are not changed.")]
    Update {
        /// Its identifier.
        id: String,
        /// The new description as JSON (RFC 7591 §2), whole; - for standard input.
        #[arg(long, value_name = "FILE")]
        metadata: String,
    },
    /// Give a client a new secret, shown once, here. Also recovers a lost admin credential.
    #[command(after_help = secret::HELP)]
    RollSecret(secret::Arguments),
    /// Stop a client: it gets no more tokens. What it has lives on until it expires.
    #[command(after_help = "Examples:\n  signet clients disable shop")]
    Disable {
        /// Its identifier.
        id: String,
    },
    /// Let a disabled client work again.
    #[command(after_help = "Examples:\n  signet clients enable shop")]
    Enable {
        /// Its identifier.
        id: String,
    },
    /// Delete a client with its secrets, for good.
    #[command(after_help = "Examples:\n  signet clients delete shop --yes")]
    Delete {
        /// Its identifier.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Standard input and files are read before the database is opened: a slow hand must not hold it.
    match verb {
        Verb::Create(arguments) => {
            let metadata = arguments.metadata()?;
            context.changing_store(async |at| create::run(context, at, &arguments, &metadata).await).await
        }
        Verb::Update { id, metadata } => {
            let metadata: ClientMetadata = input::json(&metadata, MOST_METADATA)?;
            context.changing_store(async |at| change::update(context, at, &id, &metadata).await).await
        }
        Verb::List => context.with_store(async |at| list(context, at).await).await,
        Verb::Show { id, metadata } => context.with_store(async |at| show(context, at, &id, metadata).await).await,
        Verb::RollSecret(arguments) => {
            context.changing_store(async |at| secret::run(context, at, &arguments).await).await
        }
        Verb::Disable { id } => context.changing_store(async |at| change::enable(context, at, &id, false).await).await,
        Verb::Enable { id } => context.changing_store(async |at| change::enable(context, at, &id, true).await).await,
        Verb::Delete { id, yes } => {
            context.changing_store(async |at| change::delete(context, at, &id, yes).await).await
        }
    }
}

async fn list(context: &Context, installation: &Installation) -> Result<(), Failure> {
    let now = installation.now().await?;
    let issuer = &installation.settings.issuer;
    let (clients, damaged) = registry::all_clients(installation).await?;
    let views: Vec<_> = clients.iter().map(|client| ClientView::of(client, issuer, now)).collect();
    let ids: Vec<_> = damaged.iter().map(|client| client.id.as_str()).collect();
    context.output.result(&json!({ "clients": views, "damaged": ids }), |_| {
        if views.is_empty() && damaged.is_empty() {
            return "There are no clients: `signet clients create` registers one.".to_owned();
        }
        let rows: Vec<_> = views.iter().map(ClientView::row).collect();
        table(["CLIENT", "NAME", "STATE", "AUTHENTICATION", "ACCESS"], &rows)
    })?;
    if damaged.is_empty() {
        return Ok(());
    }
    let sentence = |client: &DamagedClient| format!("`{}` ({})", plain(&client.id), plain(&client.why.to_string()));
    Err(Failure::Refused(format!(
        "not listed, because they can't be read: {}: restore them from a backup, or delete them",
        damaged.iter().map(sentence).collect::<Vec<_>>().join(", ")
    )))
}

async fn show(context: &Context, installation: &Installation, id: &str, metadata: bool) -> Result<(), Failure> {
    let client = find::by_id(installation, id).await?;
    let issuer = &installation.settings.issuer;
    if metadata {
        let json = serde_json::to_string_pretty(&ClientMetadata::of(&client, issuer)).map_err(Failure::refused)?;
        return Ok(context.output.text(&format!("{json}\n"))?);
    }
    let view = ClientView::of(&client, issuer, installation.now().await?);
    Ok(context.output.result(&view, ClientView::text)?)
}

/// A client's name in a sentence.
fn called(id: &str, name: &str) -> String {
    if name.is_empty() { format!("`{}`", plain(id)) } else { format!("`{}` ({})", plain(id), plain(name)) }
}
