//! `signet init` and `signet migrate`.

use clap::Args;
use serde_json::json;

use super::{Context, Failure, quiet_log};
use crate::app::{self, Opened, Preparation, StartError};
use crate::clients::LOGIN_CLIENT;

pub(super) const INIT_HELP: &str = "\
Examples:
  SIGNET__DATABASE__URL=postgres://signet@db/signet signet init
  signet init --if-needed                          for scripts that run before each start

Once for each database; with --if-needed a database that is set up already is left as it is, and that is no failure. The embedded default needs no `init`: its first start does the same. The credentials of the
first admin client go to `admin-credentials.json` in `data_dir`, and nowhere else. People sign in at the client `login`, once
`signet clients update login --add-access` says for which service.";

pub(super) const MIGRATE_HELP: &str = "\
Examples:
  signet migrate

Starting does this by itself, unless `database.auto_migrate` is false. Run it before replicas of a new version start.
It may take an hour, whatever `database.timeout` says, and waits for another process that migrates.";

#[derive(Args)]
pub(super) struct InitArguments {
    /// Leave a database that is set up already as it is, and exit with 0.
    #[arg(long)]
    if_needed: bool,
}

/// Sets up a database: what the first start does by itself on the embedded default.
pub(super) async fn init(context: &Context, arguments: &InitArguments) -> Result<(), Failure> {
    let loaded = context.settings()?;
    let _log = quiet_log(&loaded)?;
    let (settings, parts) = (&loaded.settings, &context.parts);
    let opened = Opened::open(settings, &settings.issuer, parts, Preparation::Initialise).await?;
    let admin = app::initialise(settings, &opened, parts).await;
    opened.store.close().await;
    let admin = match admin {
        Err(StartError::AlreadyInitialised { database }) if arguments.if_needed => {
            let result = json!({ "issuer": settings.issuer.as_str(), "database": database, "set_up": false });
            context.output.result(&result, |_| format!("{database} is set up already."))?;
            return Ok(());
        }
        other => other?,
    };
    let result = json!({
        "set_up": true,
        "issuer": settings.issuer.as_str(),
        "database": settings.database.url.to_string(),
        "client_id": admin.client_id.as_str(),
        "credentials": admin.credentials,
        "login_client": LOGIN_CLIENT,
    });
    context.output.result(&result, |_| {
        format!(
            "{} is set up for {}.\nThe first admin client's credentials are in {}.",
            settings.database.url,
            settings.issuer.as_str(),
            admin.credentials.display()
        )
    })?;
    Ok(())
}

/// Brings the schema up to date by hand.
pub(super) async fn migrate(context: &Context) -> Result<(), Failure> {
    let loaded = context.settings()?;
    let _log = quiet_log(&loaded)?;
    let store = app::open_database(&loaded.settings, &context.parts).await?;
    let before = store.migrate().await;
    store.close().await;
    let before = before?;
    let result = json!({ "before": before.applied, "now": before.known });
    context.output.result(&result, |_| {
        if before.applied == before.known {
            format!("The database has schema {} already.", before.known)
        } else {
            format!("The database went from schema {} to {}.", before.applied, before.known)
        }
    })?;
    Ok(())
}
