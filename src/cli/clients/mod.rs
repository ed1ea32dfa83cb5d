//! `signet clients …`: who asks for tokens.

mod change;
mod create;
mod find;
mod secret;
mod view;

use clap::Subcommand;
use serde_json::json;

use super::output::{plain, table};
use super::registry::{DamagedClient, Registry, Scopes};
use super::remote::Through;
use super::why::How;
use super::{Context, Failure, input};
use crate::clients::ClientView;

/// Longer than any metadata that is accepted.
const MOST_METADATA: usize = 256 * 1024;

const READ: Scopes = Scopes { needed: "clients:read", liked: "" };
/// What a resource offers tells whether a scope does anything.
const CREATE: Scopes = Scopes { needed: "clients:write", liked: "resources:read" };
const UPDATE: Scopes = Scopes { needed: "clients:read clients:write", liked: "resources:read" };
const CHANGE: Scopes = Scopes { needed: "clients:read clients:write", liked: "" };

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
  signet clients list --url http://127.0.0.1:8081

Clients that can't be read are named on standard error; the exit code is 1 then.")]
    List {
        #[command(flatten)]
        through: Through,
    },
    /// Show one client, without its secrets.
    #[command(after_help = "\
Examples:
  signet clients show shop
  signet clients show shop --metadata > shop.json     what `clients update` takes
  signet clients show shop --url http://127.0.0.1:8081")]
    Show {
        /// Its identifier.
        id: String,
        /// Print only what describes it, as JSON (RFC 7591).
        #[arg(long)]
        metadata: bool,
        #[command(flatten)]
        through: Through,
    },
    /// Change a client: replace what describes it, or add to what it may, or take from it. Its secrets stay.
    #[command(after_help = "\
Examples:
  signet clients show shop --metadata > shop.json
  $EDITOR shop.json
  signet clients update shop --metadata shop.json
  signet clients update shop --metadata shop.json --url http://127.0.0.1:8081
  signet clients update login --add-access 'https://orders.example=orders:read' --add-web-origin https://app.example
  signet clients update login --remove-access https://orders.example

A running server follows within 2 s. Tokens already issued are not changed. Nothing happens where it is so already.")]
    Update {
        /// Its identifier.
        id: String,
        /// The new description as JSON (RFC 7591 §2), whole; - for standard input.
        #[arg(long, value_name = "FILE", required_unless_present_any = ["access", "without", "web_origins"])]
        metadata: Option<String>,
        /// What else it may get: a resource, =, and scopes separated by spaces; may be repeated.
        #[arg(long = "add-access", id = "access", value_name = "URI=SCOPES", value_parser = create::access, conflicts_with = "metadata")]
        access: Vec<(String, String)>,
        /// A resource that it may get nothing for any more; may be repeated. With --add-access for the same, it has those
        /// scopes and no others.
        #[arg(long = "remove-access", id = "without", value_name = "URI", conflicts_with = "metadata")]
        without: Vec<String>,
        /// The origin of another page that may use /auth for it, as browsers send it; may be repeated.
        #[arg(long = "add-web-origin", id = "web_origins", value_name = "ORIGIN", conflicts_with = "metadata")]
        web_origins: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Give a client a new secret, shown once, here. Also recovers a lost admin credential.
    #[command(after_help = secret::HELP)]
    RollSecret(secret::Arguments),
    /// Stop a client: it gets no more tokens. What it has lives on until it expires.
    #[command(after_help = "\
Examples:
  signet clients disable shop --reason 'its secret was in a log'
  signet clients disable shop --url https://signet-admin.example")]
    Disable {
        /// Its identifier.
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a disabled client work again.
    #[command(after_help = "\
Examples:
  signet clients enable shop
  signet clients enable shop --url https://signet-admin.example")]
    Enable {
        /// Its identifier.
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Delete a client with its secrets, for good.
    #[command(after_help = "\
Examples:
  signet clients delete shop --yes
  signet clients delete shop --yes --url https://signet-admin.example")]
    Delete {
        /// Its identifier.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Standard input and files are read before the database is opened: a slow hand must not hold it.
    match verb {
        Verb::Create(arguments) => {
            let metadata = arguments.metadata()?;
            let act = async |at: &dyn Registry| create::run(context, at, arguments.id.as_deref(), &metadata).await;
            context.changing(&arguments.how, CREATE, act).await
        }
        Verb::Update { id, metadata, access, without, web_origins, how } => {
            let update = match metadata {
                Some(file) => change::Update::Replace(input::json(&file, MOST_METADATA)?),
                None => change::Update::Edit { access, without, web_origins },
            };
            context.changing(&how, UPDATE, async |at| change::update(context, at, &id, &update).await).await
        }
        Verb::List { through } => context.reading(&through, READ, async |at| list(context, at).await).await,
        Verb::Show { id, metadata, through } => {
            context.reading(&through, READ, async |at| show(context, at, &id, metadata).await).await
        }
        Verb::RollSecret(arguments) => {
            context.changing(&arguments.how, CHANGE, async |at| secret::run(context, at, &arguments).await).await
        }
        Verb::Disable { id, how } => {
            context.changing(&how, CHANGE, async |at| change::enable(context, at, &id, false).await).await
        }
        Verb::Enable { id, how } => {
            context.changing(&how, CHANGE, async |at| change::enable(context, at, &id, true).await).await
        }
        Verb::Delete { id, yes, how } => {
            context.changing(&how, CHANGE, async |at| change::delete(context, at, &id, yes).await).await
        }
    }
}

async fn list(context: &Context, registry: &dyn Registry) -> Result<(), Failure> {
    let clients = registry.clients().await?;
    let (views, damaged) = (&clients.readable, &clients.damaged);
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
    let sentence = |DamagedClient { id, why }: &DamagedClient| {
        let why = why.as_ref().map(|why| format!(" ({})", plain(why))).unwrap_or_default();
        format!("`{}`{why}", plain(id))
    };
    Err(Failure::Refused(format!(
        "not listed, because they can't be read: {}: restore them from a backup, or delete them",
        damaged.iter().map(sentence).collect::<Vec<_>>().join(", ")
    )))
}

async fn show(context: &Context, registry: &dyn Registry, id: &str, metadata: bool) -> Result<(), Failure> {
    let view = find::by_id(registry, id).await?;
    if metadata {
        let json = serde_json::to_string_pretty(&view.metadata).map_err(Failure::refused)?;
        return Ok(context.output.text(&format!("{json}\n"))?);
    }
    Ok(context.output.result(&view, ClientView::text)?)
}

/// A client in a sentence.
fn called(client: &ClientView) -> String {
    let (id, name) = (plain(&client.client_id), plain(&client.metadata.client_name));
    if name.is_empty() { format!("`{id}`") } else { format!("`{id}` ({name})") }
}
