//! `signet audit list|verify|head`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{plain, table};
use super::progress::Progress;
use super::remote::Through;
use super::{Context, Failure};
use crate::audit::{Act, AuditEntry, AuditFilter, AuditLog, Head, Verdict};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List what was done, the newest first.
    #[command(after_help = "\
Examples:
  signet audit list
  signet audit list --act keys.rotate --limit 5
  signet audit list --url http://127.0.0.1:8081
  signet audit list --subject shop --json | jq -r '.items[] | [.at, .act, .reason] | @tsv'")]
    List {
        /// Only this act, such as clients.create.
        #[arg(long, value_parser = act)]
        act: Option<Act>,
        /// Only what was done to this: a kid, a client's or a resource's identifier.
        #[arg(long)]
        subject: Option<String>,
        /// Only what this client or operator did.
        #[arg(long)]
        actor: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        through: Through,
    },
    /// Read the whole log and find every row that was edited, removed, added or moved by someone without the master key.
    #[command(after_help = "\
Examples:
  signet audit verify
  signet audit verify --head \"$(cat /safe/place/audit-head)\"

Whoever can write the database can cut off the end of the log, and its recorded head with it: nothing in the database
tells of that. So keep a head elsewhere now and then: `signet audit head` prints it, each change logs it as `audit_head`,
and a metric has it. With --head, the log must contain exactly that row. Exit code 1 when anything does not fit.")]
    Verify {
        /// A head that was kept elsewhere: a number, a colon and a hash.
        #[arg(long, value_name = "HEAD")]
        head: Option<Head>,
    },
    /// Print the head of the log, to be kept elsewhere.
    #[command(after_help = "Examples:\n  signet audit head > /safe/place/audit-head")]
    Head,
}

fn act(name: &str) -> Result<Act, String> {
    let known = || Act::ALL.iter().map(|act| act.name()).collect::<Vec<_>>().join(", ");
    Act::from_name(name).ok_or_else(|| format!("known are {}", known()))
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { act, subject, actor, limit, through } => {
            let filter = AuditFilter { act, subject, actor, ..AuditFilter::default() };
            list(context, &through, &filter, limit).await
        }
        Verb::Verify { head } => verify(context, head).await,
        Verb::Head => head(context).await,
    }
}

async fn list(context: &Context, through: &Through, filter: &AuditFilter, limit: u32) -> Result<(), Failure> {
    let items = match through.api(context, "audit:read").await? {
        Some(api) => {
            let AuditFilter { act, subject, actor, .. } = filter;
            let filters = [("act", act.map(Act::name)), ("subject", subject.as_deref()), ("actor", actor.as_deref())];
            let filters = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
            api.pages("audit", &filters, limit as usize).await?.items
        }
        None => {
            let rows = context.with_store(async |at| Ok(at.store.audit_page(filter, None, limit).await?)).await?;
            rows.into_iter().map(AuditEntry::from).collect::<Vec<_>>()
        }
    };
    context.output.result(&json!({ "items": items }), |_| {
        if items.is_empty() {
            return "Nothing that was done fits.".to_owned();
        }
        let row = |item: &AuditEntry| {
            [
                item.number.to_string(),
                item.at.clone(),
                plain(&item.who()),
                item.act.clone(),
                plain(&item.subject),
                plain(&item.origin),
                plain(&item.reason),
            ]
        };
        let rows: Vec<_> = items.iter().map(row).collect();
        table(["NO", "AT", "WHO", "ACT", "SUBJECT", "FROM", "REASON"], &rows)
    })?;
    Ok(())
}

async fn head(context: &Context) -> Result<(), Failure> {
    let head = context.with_store(async |at| Ok(at.store.audit_head().await?)).await?;
    context.output.result(&json!({ "head": head.to_string(), "number": head.number }), |_| head.to_string())?;
    Ok(())
}

async fn verify(context: &Context, noted: Option<Head>) -> Result<(), Failure> {
    let mut progress = Progress::new("rows", context.output.is_json());
    let verdict = context
        .changing_store(async |at| Ok(at.store.verify_audit(noted, |done, total| progress.update(done, total)).await?))
        .await?;
    drop(progress);
    let result = json!({
        "holds": verdict.holds(),
        "rows": verdict.rows,
        "head": verdict.head.to_string(),
        "wrong": verdict.wrong,
        "findings": verdict.findings.iter().map(|finding| json!({
            "number": finding.number, "what": finding.wrong.to_string(),
        })).collect::<Vec<Value>>(),
    });
    context.output.result(&result, |_| told(&verdict))?;
    if verdict.holds() {
        return Ok(());
    }
    Err(Failure::Refused(format!("the audit log does not hold: {} findings", verdict.wrong)))
}

fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    for finding in &verdict.findings {
        text.push_str(&format!("row {}: {}\n", finding.number, finding.wrong));
    }
    let kept = verdict.findings.len() as u64;
    if verdict.wrong > kept {
        text.push_str(&format!("and {} more\n", verdict.wrong - kept));
    }
    if verdict.holds() {
        text.push_str(&format!("The audit log holds: {} rows, head {}\n", verdict.rows, verdict.head));
    }
    text
}
