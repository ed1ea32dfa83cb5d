//! `signet keys reseal`: another master key in the place of the one in use.
//!
//! Guarantees: every step may be interrupted anywhere, and the same command goes on where it stopped; no step is taken
//! while a replica lives that could not go on after it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::progress::Progress;
use super::{Context, Failure};
use crate::app::{self, Opened};
use crate::audit::Act;
use crate::store::sql::Replica;

pub(super) const HELP: &str = "\
In this order:
  signet keys reseal --generate keys/next-master.key    makes the new master key
  set `keys.next_master_key_file` to it on every replica, and restart them one after the other
  signet keys reseal                                    seals all keys under it, and codes the audit log under it
  set `keys.master_key_file` to it, unset `keys.next_master_key_file`, and restart the replicas again

It may be interrupted: run it again, and it goes on. From its first step on, everything new is sealed under the new
master key. Keep the old one for as long as you keep backups from before; destroy it where it may be known to others.";

/// A replica that was not heard of for so long is gone.
const GONE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Arguments {
    /// Only make a new master key, in this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    generate: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.generate {
        Some(file) => generate(context, file),
        None => context.with_keys(async |_, opened| reseal(context, opened).await).await,
    }
}

fn generate(context: &Context, file: &PathBuf) -> Result<(), Failure> {
    let id = app::make_master_key(file, &context.parts)?;
    let result = json!({ "file": file, "master_key_id": id });
    context.output.result(&result, |_| {
        format!(
            "The master key {id} is in {}. Keep a copy elsewhere. Next: set `keys.next_master_key_file` to it on every \
             replica, restart them, and run `signet keys reseal`.",
            file.display()
        )
    })?;
    Ok(())
}

async fn reseal(context: &Context, opened: &Opened) -> Result<(), Failure> {
    let (store, keeper) = (&opened.store, &opened.keeper);
    let Some(next) = keeper.next_master_key_id().map(str::to_owned) else {
        return Err(Failure::Refused(
            "there is no next master key: `signet keys reseal --generate FILE` makes one, and `keys.next_master_key_file` \
             names it"
                .to_owned(),
        ));
    };
    let replicas = store.replicas_since(store.now().await?.minus(GONE)).await?;
    check_replicas(&replicas, &next)?;
    let before = store.recorded_master_key().await?;
    if before.as_deref() != Some(&next) {
        let from = before.or_else(|| keeper.master_key_ids().into_iter().next());
        let begun = context.by().entry(Act::KeysReseal, "", json!({ "step": "begun", "from": from, "to": next }));
        store.record_master_key(&next, &begun).await?;
    }
    let keys = keeper.reseal(&next).await? + opened.refresh_keys.reseal(&next).await?;
    let mut rows = 0;
    let mut progress = Progress::new("audit rows", context.output.is_json());
    loop {
        let step = store.recode_audit(&next).await?;
        rows += step.rows;
        progress.update(rows, rows + step.left);
        if step.left == 0 {
            break;
        }
    }
    drop(progress);
    if keys > 0 || rows > 0 {
        let detail = json!({ "step": "done", "to": next, "keys": keys, "audit_rows": rows });
        store.append(&context.by().entry(Act::KeysReseal, "", detail)).await?;
    }
    let result = json!({ "master_key_id": next, "keys": keys, "audit_rows": rows, "replicas": replicas.len() });
    context.output.result(&result, |_| {
        format!(
            "All keys are sealed under the master key {next}: {keys} keys and {rows} audit rows were done just now.\n\
             Next: set `keys.master_key_file` to it on every replica, unset `keys.next_master_key_file`, and restart them."
        )
    })?;
    Ok(())
}

/// A replica without the next master key could read nothing that is written from now on.
fn check_replicas(replicas: &[Replica], next: &str) -> Result<(), Failure> {
    let lacks = |replica: &&Replica| !replica.master_key_ids.iter().any(|id| id == next);
    let lacking: Vec<String> = replicas
        .iter()
        .filter(lacks)
        .map(|replica| format!("{} (started {}, last heard of {})", replica.host, replica.started_at, replica.seen_at))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "these replicas do not have the next master key {next}: {}. Set `keys.next_master_key_file` there and restart \
         them; one that is gone counts as gone after {} s",
        lacking.join(", "),
        GONE.as_secs()
    )))
}
