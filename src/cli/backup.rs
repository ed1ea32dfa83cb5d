//! `signet backup FILE`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Context, Failure, system_error};

#[derive(Args)]
#[command(after_help = "\
Examples:
  signet backup /var/backups/signet-$(date +%F).db

The copy holds one state of the database, whatever others write meanwhile. The signing keys in it are sealed: without
the master key that is named at the end they are lost, so keep that key too, and elsewhere. Postgres is backed up with
its own means (pg_dump).")]
pub(super) struct Arguments {
    /// The new file. An existing one is never overwritten; its mode is 0600.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(context: &Context, Arguments { file }: &Arguments) -> Result<(), Failure> {
    let shown = file.display();
    if file.symlink_metadata().is_ok() {
        return Err(Failure::Refused(format!("{shown} exists already, and a backup never overwrites anything")));
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty())
        && let Err(error) = std::fs::metadata(folder)
    {
        return Err(Failure::Refused(format!("{}: {}", folder.display(), system_error::reason(&error))));
    }
    let (backup, key_file) = context
        .with_store(async |installation| {
            let keys = &installation.settings.keys;
            let key_file = keys.master_key.is_none().then(|| keys.master_key_file.clone());
            Ok((installation.store.back_up(file).await?, key_file))
        })
        .await?;
    let result = json!({
        "file": file,
        "bytes": backup.bytes,
        "master_key_ids": backup.master_key_ids,
        "master_key_file": key_file,
    });
    context.output.result(&result, |_| {
        let needs = match (backup.master_key_ids.as_slice(), &key_file) {
            ([], _) => "It holds no sealed keys.".to_owned(),
            ([id], Some(path)) => {
                format!(
                    "Its keys open only with the master key {id}, which is in {}: keep a copy elsewhere.",
                    path.display()
                )
            }
            (ids, _) => format!("Its keys open only with the master key {}: keep a copy elsewhere.", ids.join(" and ")),
        };
        format!("{shown} holds the database ({} kB).\n{needs}", backup.bytes.div_ceil(1000))
    })?;
    Ok(())
}
