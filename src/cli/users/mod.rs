//! `signet users …`: people's accounts. On the database, or with `--url` through the admin API.

mod change;
mod create;
mod export;
mod import;
mod view;

use clap::Subcommand;
use serde_json::json;

use super::output::{plain, table};
use super::people::{Accounts, DamagedUser, Scopes, Users};
use super::remote::Through;
use super::why::How;
use super::{Context, Failure, input};
use crate::users::UserView;

/// Longer than any description that is accepted.
const MOST_METADATA: usize = 64 * 1024;

const READ: Scopes<'_> = Scopes { needed: "users:read", liked: "" };
const CREATE: Scopes<'_> = Scopes { needed: "users:write", liked: "" };
const CHANGE: Scopes<'_> = Scopes { needed: "users:read users:write", liked: "" };

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Make an account. Without a password its owner chooses one by a link.
    #[command(after_help = "\
Examples:
  signet users create --username ann --email ann@example.com --role billing
  signet users create --username ann --attribute 'department=\"books\"' --attribute 'levels=[1,2]'
  signet users create --metadata ann.json
  signet users create --username ann --password-file first-password.txt

A username is shown as it is written here and compared without case; one that looks like another account's is refused.
A password given here must be changed at the first login. `signet users password-link ann` makes a link instead.")]
    Create(Box<create::Arguments>),
    /// List the accounts, the oldest first.
    #[command(after_help = "\
Examples:
  signet users list
  signet users list --json | jq -r '.users[] | select(.enabled | not) | .username'
  signet users list --url http://127.0.0.1:8081

Accounts that can't be read are named on standard error; the exit code is 1 then.")]
    List {
        #[command(flatten)]
        through: Through,
    },
    /// Show one account.
    #[command(after_help = "\
Examples:
  signet users show ann
  signet users show ann@example.com
  signet users show ann --metadata > ann.json     what `users update` takes")]
    Show {
        /// Its username, e-mail address or identifier.
        user: String,
        /// Print only what describes it, as JSON.
        #[arg(long)]
        metadata: bool,
        #[command(flatten)]
        through: Through,
    },
    /// Change what describes an account: some of it, or all. Its password stays.
    #[command(after_help = "\
Examples:
  signet users update ann --email ann@example.org --add-role billing --remove-role sales
  signet users update ann --set-attribute 'department=\"books\"' --unset-attribute levels --url http://127.0.0.1:8081
  signet users show ann --metadata > ann.json
  $EDITOR ann.json
  signet users update ann --metadata ann.json --reason 'moved to billing'

What others change meanwhile stays, but for what is named here. Nothing happens where it is so already.")]
    Update {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        fields: change::Fields,
        /// The new description as JSON, whole; - for standard input.
        #[arg(long, value_name = "FILE", required_unless_present = "fields")]
        metadata: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Stop an account: nobody can log in any more, and its sessions end.
    #[command(after_help = "\
Examples:
  signet users disable ann --reason 'left the company'
  signet users disable ann --url https://signet-admin.example")]
    Disable {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Let the owner of a disabled account log in again.
    #[command(after_help = "Examples:\n  signet users enable ann")]
    Enable {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Delete an account for good, and end its sessions. Its names are free again, its identifier never is.
    #[command(after_help = "\
Examples:
  signet users delete ann --yes
  signet users delete ann --yes --url https://signet-admin.example")]
    Delete {
        /// Its username, e-mail address or identifier.
        user: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// Make a one-time link token by which the owner of an account chooses a password. It is shown once, here.
    #[command(after_help = "\
Examples:
  signet users password-link ann
  signet users password-link ann --json | jq -r .link_token

It is good for `passwords.link_lifetime` and for the password that there is now, and takes the place of the one before.
A login frontend sends it with the new password; whoever has it has the account.")]
    PasswordLink {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Take accounts over from another program, with their password hashes.
    #[command(after_help = import::HELP)]
    Import(import::Arguments),
    /// Print all accounts, as `import` takes them.
    #[command(after_help = export::HELP)]
    Export(export::Arguments),
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Standard input and files are read before the database is opened: a slow hand must not hold it.
    match verb {
        Verb::Create(arguments) => {
            let (metadata, password) = (arguments.metadata()?, arguments.password()?);
            let act = async |at: &dyn Accounts| create::run(context, at, &metadata, password).await;
            context.changing_accounts(&arguments.how, CREATE, act).await
        }
        Verb::Update { user, fields, metadata, how } => {
            let update = match metadata {
                Some(file) => change::Update::Replace(input::json(&file, MOST_METADATA)?),
                None => change::Update::Edit(Box::new(fields)),
            };
            let act = async |at: &dyn Accounts| change::update(context, at, &user, &update).await;
            context.changing_accounts(&how, CHANGE, act).await
        }
        Verb::List { through } => context.reading_accounts(&through, READ, async |at| list(context, at).await).await,
        Verb::Show { user, metadata, through } => {
            context.reading_accounts(&through, READ, async |at| show(context, at, &user, metadata).await).await
        }
        Verb::Disable { user, how } => {
            context.changing_accounts(&how, CHANGE, async |at| change::enable(context, at, &user, false).await).await
        }
        Verb::Enable { user, how } => {
            context.changing_accounts(&how, CHANGE, async |at| change::enable(context, at, &user, true).await).await
        }
        Verb::Delete { user, yes, how } => {
            context.changing_accounts(&how, CHANGE, async |at| change::delete(context, at, &user, yes).await).await
        }
        Verb::PasswordLink { user, how } => {
            context.changing_accounts(&how, CHANGE, async |at| change::password_link(context, at, &user).await).await
        }
        Verb::Import(arguments) => {
            let rows = import::read(&arguments)?;
            let liked = import::liked(&rows);
            let scopes = Scopes { needed: "users:import", liked: &liked };
            let act = async |at: &dyn Accounts| import::run(context, at, &arguments, rows).await;
            context.changing_accounts(&arguments.how, scopes, act).await
        }
        Verb::Export(arguments) => export::run(context, &arguments).await,
    }
}

/// The account called `name`, by whichever of its names.
async fn find(accounts: &dyn Accounts, name: &str) -> Result<UserView, Failure> {
    let found = accounts.find(name).await?;
    found.ok_or_else(|| Failure::Refused(format!("there is no account `{}`", plain(name))))
}

async fn list(context: &Context, accounts: &dyn Accounts) -> Result<(), Failure> {
    let Users { readable: views, damaged } = accounts.users().await?;
    let ids: Vec<_> = damaged.iter().map(|user| user.id.as_str()).collect();
    context.output.result(&json!({ "users": views, "damaged": ids }), |_| {
        if views.is_empty() && damaged.is_empty() {
            return "There are no accounts: `signet users create` makes one.".to_owned();
        }
        let rows: Vec<_> = views.iter().map(UserView::row).collect();
        table(["USERNAME", "E-MAIL", "STATE", "PASSWORD", "ROLES"], &rows)
    })?;
    refuse_damaged("listed", &damaged)
}

fn refuse_damaged(done: &str, damaged: &[DamagedUser]) -> Result<(), Failure> {
    if damaged.is_empty() {
        return Ok(());
    }
    let sentence = |DamagedUser { id, why }: &DamagedUser| {
        let why = why.as_ref().map(|why| format!(" ({})", plain(why))).unwrap_or_default();
        format!("`{}`{why}", plain(id))
    };
    Err(Failure::Refused(format!(
        "not {done}, because they can't be read: {}: restore them from a backup, or delete them",
        damaged.iter().map(sentence).collect::<Vec<_>>().join(", ")
    )))
}

async fn show(context: &Context, accounts: &dyn Accounts, user: &str, metadata: bool) -> Result<(), Failure> {
    let user = find(accounts, user).await?;
    if metadata {
        let json = serde_json::to_string_pretty(&user.metadata).map_err(Failure::refused)?;
        return Ok(context.output.text(&format!("{json}\n"))?);
    }
    Ok(context.output.result(&user, UserView::text)?)
}

/// An account in a sentence.
fn called(user: &UserView) -> String {
    format!("`{}` ({})", plain(&user.metadata.username), plain(&user.id))
}
