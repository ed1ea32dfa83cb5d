//! `signet clients roll-secret`.
//!
//! Guarantees: a new secret is shown, or is in the file that was to have it; on the database it is there, whole, before
//! it becomes valid.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::{Context, Failure, Registry, called, find, plain};
use crate::cli::output::fields;
use crate::cli::registry::Rolled;
use crate::cli::span;
use crate::cli::why::How;
use crate::clients::ClientView;

pub(super) const HELP: &str = "\
Examples:
  signet clients roll-secret shop                     the old secret works for `clients.secret_overlap` more
  signet clients roll-secret shop --keep-old 1h
  signet clients roll-secret shop --end-old           the old secret may be known to others
  signet clients roll-secret --admin --write-credentials
                                                      a new data/admin-credentials.json, for instance after its loss
  signet clients roll-secret shop --url https://signet-admin.example
  signet clients roll-secret --admin --write-credentials --credentials ops.json --url https://…
                                                      renews the secret in ops.json with itself

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
    /// Write the new secret of an admin client to `admin-credentials.json` in `data_dir` instead of showing it. With
    /// --url: that of the client whose credentials are used, to the file that has them.
    #[arg(long)]
    write_credentials: bool,
    #[command(flatten)]
    pub(super) how: How,
}

pub(super) async fn run(context: &Context, registry: &dyn Registry, arguments: &Arguments) -> Result<(), Failure> {
    let client = match &arguments.id {
        Some(id) => find::by_id(registry, id).await?,
        None => find::admin(registry).await?,
    };
    let overlap = if arguments.end_old { Some(Duration::ZERO) } else { arguments.keep_old };
    let mut rolled = registry.roll_secret(&client, overlap, arguments.write_credentials).await?;
    let unwritten = rolled.unwritten.take();
    context.output.result(&rolled, |rolled| text(rolled, &client))?;
    unwritten.map_or(Ok(()), Err)
}

fn text(rolled: &Rolled, client: &ClientView) -> String {
    let called = called(client);
    let old = match &rolled.old_secret_valid_until {
        Some(end) => format!("The secret before it stays valid until {}.", plain(end)),
        None => "No older secret is valid any more.".to_owned(),
    };
    match (&rolled.client_secret, &rolled.credentials) {
        (Some(secret), _) => {
            let rows = [("client_id", plain(&rolled.client_id)), ("client_secret", plain(secret))];
            format!("The client {called} has a new secret, shown only this time:\n\n{}\n{old}", fields(&rows))
        }
        (None, Some(path)) => format!("The client {called} has a new secret, in {}.\n{old}", path.display()),
        (None, None) => old,
    }
}
