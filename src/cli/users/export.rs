//! `signet users export`.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::import::Record;
use super::{At, each, refuse_damaged};
use crate::cli::Failure;

pub(super) const HELP: &str = "\
Examples:
  signet users export > users.jsonl
  signet users export --password-hashes > secret-users.jsonl

One JSON object a line, as `signet users import` takes it. With --password-hashes the file holds what passwords can be
guessed from: keep it as you keep the database. Hashes made with a pepper are of use only where that pepper is.";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// With the hashes of passwords.
    #[arg(long)]
    password_hashes: bool,
}

pub(super) async fn run(at: &At<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut damaged = Vec::new();
    let mut is_read = true;
    each(at, async |id, user| {
        match user {
            Ok(user) if is_read => {
                let line = serde_json::to_string(&Record::of(&user, arguments.password_hashes));
                let written = writeln!(out, "{}", line.map_err(Failure::refused)?);
                is_read = still_read(written)?;
            }
            Ok(_) => {}
            Err(why) => damaged.push((id, why)),
        }
        Ok(())
    })
    .await?;
    still_read(out.flush())?;
    refuse_damaged("exported", &damaged)
}

/// Whoever reads only the first lines has what they want.
fn still_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
}
