//! `/healthz` and `/readyz`: whether the process runs, and whether it can do its work.

use actix_web::web::Bytes;
use serde_json::json;

use super::answer::Answer;
use super::error::not_ready;

/// One thing that this replica needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it; `None` when nothing is.
    pub problem: Option<String>,
    /// Whether it can do no work at all without it.
    pub required: bool,
}

/// Knows whether this replica can do its work.
pub trait Readiness: Send + Sync {
    /// Everything it needs, without asking a store.
    fn checks(&self) -> Vec<Check>;
}

/// The process runs and answers.
pub(super) fn healthy() -> Answer {
    Answer::json(Bytes::from_static(br#"{"status":"ok"}"#))
}

/// Ready, or 503 with what is missing.
pub(super) fn ready(readiness: &dyn Readiness) -> Answer {
    let checks = readiness.checks();
    let required = checks.iter().filter(|check| check.required);
    let problems: Vec<String> =
        required.filter_map(|check| check.problem.as_ref().map(|why| format!("{}: {why}", check.name))).collect();
    let listed: serde_json::Map<_, _> =
        checks.iter().map(|check| (check.name.to_owned(), json!(check.problem.as_deref().unwrap_or("ok")))).collect();
    let status = if problems.is_empty() { "ready" } else { "not ready" };
    let body = json!({ "status": status, "checks": listed }).to_string();
    if problems.is_empty() { Answer::json(body) } else { not_ready(body, problems.join("; ")) }
}
