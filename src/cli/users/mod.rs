//! `signet users …`: people's accounts, on the stores themselves.

mod create;
mod export;
mod import;
mod view;

use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use super::output::{fields, plain, table};
use super::why::Why;
use super::{Context, Failure, Installation, input};
use crate::app;
use crate::clients::{Power, Request};
use crate::users::{NotChosen, User, UserAdministration, UserAdministrationError, UserId, UserMetadata, UserView};

/// Longer than any description that is accepted.
const MOST_METADATA: usize = 64 * 1024;
/// So many accounts are read at a time.
const PAGE: u32 = 500;

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

Accounts that can't be read are named on standard error; the exit code is 1 then.")]
    List,
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
    },
    /// Replace what describes an account. Its password stays.
    #[command(after_help = "\
Examples:
  signet users show ann --metadata > ann.json
  $EDITOR ann.json
  signet users update ann --metadata ann.json --reason 'moved to billing'")]
    Update {
        /// Its username, e-mail address or identifier.
        user: String,
        /// The new description as JSON, whole; - for standard input.
        #[arg(long, value_name = "FILE")]
        metadata: String,
        #[command(flatten)]
        why: Why,
    },
    /// Stop an account: nobody can log in any more.
    #[command(after_help = "Examples:\n  signet users disable ann --reason 'left the company'")]
    Disable {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        why: Why,
    },
    /// Let the owner of a disabled account log in again.
    #[command(after_help = "Examples:\n  signet users enable ann")]
    Enable {
        /// Its username, e-mail address or identifier.
        user: String,
        #[command(flatten)]
        why: Why,
    },
    /// Delete an account for good. Its names are free again, its identifier never is.
    #[command(after_help = "Examples:\n  signet users delete ann --yes")]
    Delete {
        /// Its username, e-mail address or identifier.
        user: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        why: Why,
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
        why: Why,
    },
    /// Take accounts over from another program, with their password hashes.
    #[command(after_help = import::HELP)]
    Import(import::Arguments),
    /// Print all accounts, as `import` takes them.
    #[command(after_help = export::HELP)]
    Export(export::Arguments),
}

/// What accounts are changed with.
struct At<'a> {
    context: &'a Context,
    administration: &'a UserAdministration,
}

impl At<'_> {
    /// Runs `act` with a request to change whatever there is: whoever has the stores in their hands may.
    async fn requesting<T>(&self, why: &Why, act: impl AsyncFnOnce(Request<'_>) -> T) -> T {
        let by = self.context.by().because(why.reason.clone());
        act(Request { by: &by, power: &Power::Everything, expected: None }).await
    }

    async fn find(&self, user: &str) -> Result<User, Failure> {
        match self.administration.find(user).await {
            Err(UserAdministrationError::Absent) => {
                Err(Failure::Refused(format!("there is no account `{}`", plain(user))))
            }
            found => Ok(found?),
        }
    }
}

impl Context {
    /// Runs `act` on the accounts of an installation, to read or to change them.
    async fn on_accounts<T>(
        &self,
        changing: bool,
        act: impl AsyncFnOnce(At<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let run = async |installation: &Installation| {
            let (settings, store) = (&installation.settings, &installation.store);
            let attempts = Arc::new(store.clone());
            let people = app::people(settings, &settings.issuer, store, attempts, &self.parts, Arc::new(()))?;
            act(At { context: self, administration: &people.administration }).await
        };
        if changing { self.changing_store(run).await } else { self.with_store(run).await }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Standard input and files are read before the database is opened: a slow hand must not hold it.
    match verb {
        Verb::Create(arguments) => {
            let (metadata, password) = (arguments.metadata()?, arguments.password()?);
            context.on_accounts(true, async |at| create::run(&at, &arguments.why, &metadata, password).await).await
        }
        Verb::Update { user, metadata, why } => {
            let metadata: UserMetadata = input::json(&metadata, MOST_METADATA)?;
            context.on_accounts(true, async |at| update(&at, &why, &user, &metadata).await).await
        }
        Verb::List => context.on_accounts(false, async |at| list(&at).await).await,
        Verb::Show { user, metadata } => context.on_accounts(false, async |at| show(&at, &user, metadata).await).await,
        Verb::Disable { user, why } => {
            context.on_accounts(true, async |at| enable(&at, &why, &user, false).await).await
        }
        Verb::Enable { user, why } => context.on_accounts(true, async |at| enable(&at, &why, &user, true).await).await,
        Verb::Delete { user, yes, why } => {
            context.on_accounts(true, async |at| delete(&at, &why, &user, yes).await).await
        }
        Verb::PasswordLink { user, why } => {
            context.on_accounts(true, async |at| password_link(&at, &why, &user).await).await
        }
        Verb::Import(arguments) => {
            let file = import::read(&arguments)?;
            context.on_accounts(true, async |at| import::run(&at, &arguments, file).await).await
        }
        Verb::Export(arguments) => context.on_accounts(false, async |at| export::run(&at, &arguments).await).await,
    }
}

async fn update(at: &At<'_>, why: &Why, user: &str, metadata: &UserMetadata) -> Result<(), Failure> {
    let before = at.find(user).await?;
    let replacing = async |request: Request<'_>| at.administration.replace(request, &before.id, metadata).await;
    let user = at.requesting(why, replacing).await?;
    let said = if user.version == before.version { "The account is so already." } else { "The account is changed." };
    Ok(at.context.output.result(&UserView::of(&user), |view| format!("{said}\n\n{}", view.text()))?)
}

async fn enable(at: &At<'_>, why: &Why, user: &str, enabled: bool) -> Result<(), Failure> {
    let before = at.find(user).await?;
    let setting = async |request: Request<'_>| at.administration.set_enabled(request, &before.id, enabled).await;
    let user = at.requesting(why, setting).await?;
    let changed = user.version != before.version;
    let result = json!({ "id": user.id.to_string(), "enabled": enabled, "changed": changed });
    Ok(at.context.output.result(&result, |_| {
        let already = if changed { "" } else { " already" };
        let state = if enabled { "enabled" } else { "disabled" };
        format!("The account {} is {state}{already}.", called(&user))
    })?)
}

async fn delete(at: &At<'_>, why: &Why, user: &str, yes: bool) -> Result<(), Failure> {
    let (id, called): (UserId, String) = match (at.find(user).await, user.parse()) {
        (Ok(user), _) => (user.id, called(&user)),
        // Whatever else is known of it, it can go.
        (Err(Failure::Store(crate::ports::StoreError::Corrupt { .. })), Ok(id)) => {
            (id, format!("`{id}`, whose row is damaged,"))
        }
        (Err(other), _) => return Err(other),
    };
    input::confirm(yes, &format!("Delete the account {called}?"))?;
    match at.requesting(why, async |request| at.administration.delete(request, &id).await).await {
        // Deleted by someone else meanwhile: it is gone as was asked.
        Ok(()) | Err(UserAdministrationError::Absent) => {}
        Err(other) => return Err(other.into()),
    }
    let result = json!({ "id": id.to_string(), "deleted": true });
    Ok(at.context.output.result(&result, |_| format!("The account {called} is deleted."))?)
}

async fn password_link(at: &At<'_>, why: &Why, user: &str) -> Result<(), Failure> {
    let user = at.find(user).await?;
    let issuing = async |request: Request<'_>| at.administration.issue_link(request, &user.id).await;
    let (link, token) = at.requesting(why, issuing).await?;
    let result = json!({
        "id": user.id.to_string(), "link_token": token.expose(), "expires_at": link.expires_at.to_string(),
    });
    at.context.output.result(&result, |_| {
        let rows = [
            ("account", called(&user)),
            ("link_token", token.expose().to_owned()),
            ("good until", link.expires_at.to_string()),
        ];
        format!("This is the only time that the token is shown:\n\n{}", fields(&rows))
    })?;
    if !user.enabled {
        at.context.output.note("the account is disabled: the link is good once it is enabled");
    }
    Ok(())
}

async fn list(at: &At<'_>) -> Result<(), Failure> {
    let (mut views, mut damaged) = (Vec::new(), Vec::new());
    each(at, async |id, user| {
        match user {
            Ok(user) => views.push(UserView::of(&user)),
            Err(why) => damaged.push((id, why)),
        }
        Ok(())
    })
    .await?;
    let ids: Vec<_> = damaged.iter().map(|(id, _)| id.to_string()).collect();
    at.context.output.result(&json!({ "users": views, "damaged": ids }), |_| {
        if views.is_empty() && damaged.is_empty() {
            return "There are no accounts: `signet users create` makes one.".to_owned();
        }
        let rows: Vec<_> = views.iter().map(UserView::row).collect();
        table(["USERNAME", "E-MAIL", "STATE", "PASSWORD", "ROLES"], &rows)
    })?;
    refuse_damaged("listed", &damaged)
}

/// Hands each account to `take`, the oldest first.
async fn each(
    at: &At<'_>,
    mut take: impl AsyncFnMut(UserId, Result<User, crate::ports::StoreError>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = at.administration.users(after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for (id, user) in page {
            after = Some(id);
            take(id, user).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn refuse_damaged(done: &str, damaged: &[(UserId, crate::ports::StoreError)]) -> Result<(), Failure> {
    if damaged.is_empty() {
        return Ok(());
    }
    let sentence = |(id, why): &(UserId, _)| format!("`{id}` ({})", plain(&format!("{why}")));
    Err(Failure::Refused(format!(
        "not {done}, because they can't be read: {}: restore them from a backup, or delete them",
        damaged.iter().map(sentence).collect::<Vec<_>>().join(", ")
    )))
}

async fn show(at: &At<'_>, user: &str, metadata: bool) -> Result<(), Failure> {
    let user = at.find(user).await?;
    if metadata {
        let json = serde_json::to_string_pretty(&UserMetadata::of(&user)).map_err(Failure::refused)?;
        return Ok(at.context.output.text(&format!("{json}\n"))?);
    }
    Ok(at.context.output.result(&UserView::of(&user), UserView::text)?)
}

/// An account in a sentence.
fn called(user: &User) -> String {
    format!("`{}` ({})", plain(user.username.as_str()), user.id)
}

impl From<UserAdministrationError> for Failure {
    fn from(error: UserAdministrationError) -> Self {
        match error {
            UserAdministrationError::Store(error) => Self::Store(error),
            UserAdministrationError::Contended | UserAdministrationError::Password(NotChosen::NotHashed(_)) => {
                Self::Unavailable(format!("{error}: try again"))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}
