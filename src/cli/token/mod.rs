//! `signet token get|inspect|verify`.

mod claims;
mod get;
mod inspect;
mod verify;

use clap::Subcommand;

use super::{Context, Failure, input};
use crate::secret::SecretText;

pub(super) use get::{AdminToken, admin_token};

/// Longer than any token that a verifier reads, and white space around it.
const MOST_TOKEN: usize = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Get a token by client credentials, and print it.
    #[command(after_help = get::HELP)]
    Get(get::Arguments),
    /// Show what a token says, without verifying anything.
    #[command(after_help = "\
Examples:
  signet token inspect eyJ…
  signet token get | signet token inspect -
  signet token get | signet token inspect - --json | jq .claims

Anybody can write a token that says anything: what this shows is no proof. `signet token verify` gives one.")]
    Inspect {
        /// The token, or - for standard input.
        token: String,
    },
    /// Verify an access token as a service does, and print its claims.
    #[command(after_help = verify::HELP)]
    Verify(verify::Arguments),
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Get(arguments) => get::run(context, &arguments).await,
        Verb::Inspect { token } => inspect::run(context, &token),
        Verb::Verify(arguments) => verify::run(context, &arguments).await,
    }
}

/// The token given as an argument, or by standard input where that is `-`.
fn read(token: &str) -> Result<SecretText, Failure> {
    let text = if token == "-" { input::text("-", MOST_TOKEN)? } else { token.to_owned() };
    let token = SecretText::new(text.trim().to_owned());
    if token.expose().is_empty() {
        return Err(Failure::Refused("there is no token: the text is empty".to_owned()));
    }
    Ok(token)
}
