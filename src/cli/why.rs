//! Why something is done, and by which way.

use clap::Args;

use super::remote::Through;
use crate::audit::check_reason;

/// Why something is done.
#[derive(Args)]
pub(super) struct Why {
    /// Why, for the audit log: up to 500 characters on one line.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = reason)]
    pub(super) reason: String,
}

/// What every verb that changes something takes.
#[derive(Args)]
pub(super) struct How {
    #[command(flatten)]
    pub(super) why: Why,
    #[command(flatten)]
    pub(super) through: Through,
}

fn reason(text: &str) -> Result<String, String> {
    check_reason(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads a reason that must be given, for clap.
pub(super) fn said(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it says nothing".to_owned()) } else { reason(text) }
}
