//! `signet users export`.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::{READ, refuse_damaged};
use crate::cli::people::{Accounts, Scopes};
use crate::cli::why::How;
use crate::cli::{Context, Failure};
use crate::users::UserRecord;

const EXPORT: Scopes<'_> = Scopes { needed: "users:export", liked: "" };

pub(super) const HELP: &str = "\
Examples:
  signet users export > users.jsonl
  signet users export --password-hashes --reason 'the move to the new cluster' > secret-users.jsonl
  signet users export --url http://127.0.0.1:8081 > users.jsonl

One JSON object a line, as `signet users import` takes it. With --password-hashes the file holds what passwords can be
guessed from: keep it as you keep the database; the audit log says who got it. Hashes made with a pepper are of use only where that pepper is.";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// With the hashes of passwords.
    #[arg(long)]
    password_hashes: bool,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.password_hashes {
        // That is entered in the audit log.
        context.changing_accounts(&arguments.how, EXPORT, async |at| write(at, true).await).await
    } else {
        context.reading_accounts(&arguments.how.through, READ, async |at| write(at, false).await).await
    }
}

async fn write(accounts: &dyn Accounts, with_hashes: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut line = |record: &UserRecord| -> Result<bool, Failure> {
        let line = serde_json::to_string(record).map_err(Failure::refused)?;
        Ok(still_read(writeln!(out, "{line}"))?)
    };
    let damaged = accounts.export(with_hashes, &mut line).await?;
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
