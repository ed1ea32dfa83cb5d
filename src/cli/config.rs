//! `signet config check` and `signet config show`.

use clap::Subcommand;
use serde_json::json;

use super::{Context, Failure};
use crate::config::{show, show_json};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Check the settings and report every fault at once. Nothing is opened or changed.
    #[command(after_help = "\
Examples:
  signet config check
  signet --config /etc/signet.toml config check
  SIGNET__PUBLIC__BIND=0.0.0.0:8080 signet config check

Exits with 3 when something is wrong.")]
    Check,
    /// Show every setting with its value and where that comes from. Secrets are redacted.
    #[command(after_help = "\
Examples:
  signet config show
  signet config show --json | jq '.[] | select(.source != \"default\")'")]
    Show,
}

pub(super) fn run(context: &Context, verb: &Verb) -> Result<(), Failure> {
    let loaded = context.settings()?;
    match verb {
        Verb::Check => {
            let result = json!({ "valid": true, "issuer": loaded.settings.issuer.as_str() });
            context.output.result(&result, |_| "the settings are in order".to_owned())?;
        }
        Verb::Show => context.output.result(&show_json(&loaded), |_| show(&loaded))?,
    }
    Ok(())
}
