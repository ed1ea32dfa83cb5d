//! `signet sessions …`: who is signed in. Where sessions are kept, or with `--url` through the admin API.

mod here;
mod there;
mod view;

use async_trait::async_trait;
use clap::{Args, Subcommand};
use serde_json::json;

use self::here::Here;
use self::there::There;
use super::output::{plain, table};
use super::remote::Through;
use super::why::How;
use super::{Context, Failure, input};
use crate::clients::ClientId;
use crate::ports::StoreError;
use crate::tokens::session::{LiveSession, SessionId};
use crate::users::UserId;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the sessions of a person, or at a client.
    #[command(after_help = "\
Examples:
  signet sessions list --user ann
  signet sessions list --client till --json | jq -r '.sessions[].session_id'
  signet sessions list --user ann --url http://127.0.0.1:8081")]
    List {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        through: Through,
    },
    /// Show one session.
    #[command(after_help = "\
Examples:
  signet sessions show mZ0n9dEXAMPLEq2b7Xc1Aw
  signet sessions show mZ0n9dEXAMPLEq2b7Xc1Aw --url http://127.0.0.1:8081")]
    Show {
        /// Its name: the `sid` of its tokens.
        #[arg(allow_hyphen_values = true)]
        sid: String,
        #[command(flatten)]
        through: Through,
    },
    /// End one session: it refreshes no more.
    #[command(after_help = "\
Examples:
  signet sessions end mZ0n9dEXAMPLEq2b7Xc1Aw --reason 'a lost phone'
  signet sessions end mZ0n9dEXAMPLEq2b7Xc1Aw --yes --url https://signet-admin.example

A running server follows within 2 s. Access tokens that were given out live on at other services until they expire.
One whose record is damaged ends too: lists leave it out, and the log of the server names it.")]
    End {
        /// Its name: the `sid` of its tokens.
        #[arg(allow_hyphen_values = true)]
        sid: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// End all sessions of a person, or at a client.
    #[command(after_help = "\
Examples:
  signet sessions end-all --user ann --reason 'a stolen laptop'
  signet sessions end-all --client till --yes --url https://signet-admin.example")]
    EndAll {
        #[command(flatten)]
        whose: Whose,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

/// Of whom sessions are.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// The person: by username, e-mail address or identifier.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The client: by identifier.
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
}

/// The same, once it is known who that is.
enum Owner {
    Person(UserId),
    Client(ClientId),
}

/// Where sessions are seen and ended.
#[async_trait(?Send)]
trait SignedIn {
    /// The identifier of the account of that name; `None` where there is none.
    async fn person(&self, name: &str) -> Result<Option<UserId>, Failure>;

    /// All that live, by ascending name.
    async fn list(&self, owner: &Owner) -> Result<Vec<LiveSession>, Failure>;

    /// The session of that name, while it lives.
    async fn load(&self, id: SessionId) -> Result<Option<LiveSession>, Failure>;

    /// Ends it; false where it had ended before.
    async fn end(&self, id: SessionId) -> Result<bool, Failure>;

    /// Ends all, and answers how many those were.
    async fn end_all(&self, owner: &Owner) -> Result<usize, Failure>;
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { whose, through } => {
            let act = async |at: &dyn SignedIn| list(context, at, &whose).await;
            on_sessions(context, &through, "", &whose.scopes("sessions:read"), act).await
        }
        Verb::Show { sid, through } => {
            let act = async |at: &dyn SignedIn| show(context, at, &sid).await;
            on_sessions(context, &through, "", "sessions:read", act).await
        }
        Verb::End { sid, yes, how } => {
            let act = async |at: &dyn SignedIn| end(context, at, &sid, yes).await;
            on_sessions(context, &how.through, &how.why.reason, "sessions:read sessions:write", act).await
        }
        Verb::EndAll { whose, yes, how } => {
            let act = async |at: &dyn SignedIn| end_all(context, at, &whose, yes).await;
            on_sessions(context, &how.through, &how.why.reason, &whose.scopes("sessions:write"), act).await
        }
    }
}

/// Runs `act` where sessions are kept, or on the admin API with a token for `scopes`.
async fn on_sessions<T>(
    context: &Context,
    through: &Through,
    reason: &str,
    scopes: &str,
    act: impl AsyncFnOnce(&dyn SignedIn) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match through.api(context, scopes).await? {
        Some(api) => act(&There::new(api, reason)).await,
        None => {
            let (by, now) = (context.by().because(reason), context.parts.clock.now());
            context.with_keys(async |settings, opened| act(&Here::new(settings, opened, by, now)).await).await
        }
    }
}

impl Whose {
    /// What it takes at the admin API: who is called so is for those to know who may see accounts.
    fn scopes(&self, needed: &str) -> String {
        let is_name = self.user.as_ref().is_some_and(|user| user.parse::<UserId>().is_err());
        if is_name { format!("{needed} users:read") } else { needed.to_owned() }
    }

    async fn find(&self, at: &dyn SignedIn) -> Result<Owner, Failure> {
        match (&self.user, &self.client) {
            (Some(user), _) => match user.parse() {
                // Whoever is gone may have left sessions behind.
                Ok(id) => Ok(Owner::Person(id)),
                Err(_) => match at.person(user).await? {
                    Some(id) => Ok(Owner::Person(id)),
                    None => Err(Failure::Refused(format!("there is no account `{}`", plain(user)))),
                },
            },
            (None, client) => {
                ClientId::parse(client.as_deref().unwrap_or_default()).map(Owner::Client).map_err(Failure::refused)
            }
        }
    }

    /// In a sentence.
    fn told(&self) -> String {
        match (&self.user, &self.client) {
            (Some(user), _) => format!("of `{}`", plain(user)),
            (None, client) => format!("at `{}`", plain(client.as_deref().unwrap_or_default())),
        }
    }
}

async fn list(context: &Context, at: &dyn SignedIn, whose: &Whose) -> Result<(), Failure> {
    let sessions = at.list(&whose.find(at).await?).await?;
    Ok(context.output.result(&json!({ "sessions": sessions }), |_| {
        if sessions.is_empty() {
            return format!("There are no sessions {}.", whose.told());
        }
        let rows: Vec<_> = sessions.iter().map(LiveSession::row).collect();
        table(["SESSION", "USER", "CLIENT", "DEVICE", "FROM", "BEGUN", "LAST USED"], &rows)
    })?)
}

fn absent(sid: &str) -> Failure {
    Failure::Refused(format!("there is no session `{}`: it has ended, or never was", plain(sid)))
}

async fn show(context: &Context, at: &dyn SignedIn, sid: &str) -> Result<(), Failure> {
    let id = SessionId::parse(sid).ok_or_else(|| absent(sid))?;
    let session = at.load(id).await?.ok_or_else(|| absent(sid))?;
    Ok(context.output.result(&session, LiveSession::text)?)
}

async fn end(context: &Context, at: &dyn SignedIn, sid: &str, yes: bool) -> Result<(), Failure> {
    let id = SessionId::parse(sid).ok_or_else(|| absent(sid))?;
    let whose = match at.load(id).await {
        Ok(Some(session)) => format!(" of {} at `{}`", plain(&session.user), plain(&session.client_id)),
        Ok(None) => return Err(absent(sid)),
        // Whatever else is known of it, it can end.
        Err(Failure::Store(StoreError::Corrupt { .. }) | Failure::Damaged(_)) => {
            ", whose record can't be read".to_owned()
        }
        Err(other) => return Err(other),
    };
    input::confirm(yes, &format!("End the session {id}{whose}?"))?;
    // Ended by someone else meanwhile: that is what was asked for.
    at.end(id).await?;
    let result = json!({ "session_id": id.to_string(), "ended": true });
    Ok(context.output.result(&result, |_| format!("The session {id} has ended."))?)
}

async fn end_all(context: &Context, at: &dyn SignedIn, whose: &Whose, yes: bool) -> Result<(), Failure> {
    let owner = whose.find(at).await?;
    input::confirm(yes, &format!("End all sessions {}?", whose.told()))?;
    let ended = at.end_all(&owner).await?;
    Ok(context.output.result(&json!({ "ended": ended }), |_| {
        let sessions = if ended == 1 { "session has" } else { "sessions have" };
        format!("{ended} {sessions} ended.")
    })?)
}
