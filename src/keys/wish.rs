//! What a keeper is asked for, and how it tells what was done: in the audit log and in the lines of the log.
//!
//! Guarantees: every step of a change is told in both, and nothing secret in either.

use serde_json::{Value, json};
use signet_verify::Algorithm;

use super::kind::{Kid, Origin};
use super::material::NewKey;
use super::rotation::{self, Action, KeyAct, Policy, Step, SweepRefused};
use super::states::Key;
use super::store::KeyChange;
use super::table::KeyTable;
use crate::audit::{Act, By, Entry};
use crate::ports::Timestamp;

/// What an operator or the passing of time asks for.
pub(super) enum Wish<'a> {
    Sweep,
    Add { key: &'a NewKey, reason: &'a str },
    Act(&'a KeyAct),
}

impl Wish<'_> {
    pub(super) fn actions(
        &self,
        table: &KeyTable,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Vec<Action>, SweepRefused> {
        match self {
            Self::Sweep => rotation::sweep(table, policy, now),
            Self::Add { key, reason } => rotation::add(table, policy, &key.kid, key.algorithm, reason, now),
            Self::Act(act) => act.steps(table, policy, now),
        }
    }

    /// What goes into the audit log when `actions` are carried out by `change`.
    pub(super) fn entry(
        &self,
        by: &By,
        actions: &[Action],
        change: &KeyChange,
        may_fail_until: Option<Timestamp>,
    ) -> Entry {
        let (act, subject) = match self {
            Self::Sweep => (Act::KeysSweep, String::new()),
            Self::Add { key, .. } if key.origin == Origin::Imported => (Act::KeysImport, key.kid.to_string()),
            Self::Add { key, .. } => (Act::KeysCreate, key.kid.to_string()),
            Self::Act(KeyAct::Rotate { algorithm, .. }) => {
                (Act::KeysRotate, algorithm.map_or_else(String::new, |algorithm| algorithm.name().to_owned()))
            }
            Self::Act(KeyAct::Activate { kid, .. }) => (Act::KeysActivate, kid.to_string()),
            Self::Act(KeyAct::Retire { kid }) => (Act::KeysRetire, kid.to_string()),
            Self::Act(KeyAct::Compromise { kid, .. }) => (Act::KeysCompromise, kid.to_string()),
        };
        let mut detail = json!({ "steps": told(actions, change) });
        if let Self::Act(KeyAct::Rotate { force: true, .. } | KeyAct::Activate { force: true, .. }) = self {
            detail["force"] = Value::Bool(true);
        }
        if let Self::Act(KeyAct::Rotate { if_active: Some(kid), .. }) = self {
            detail["if_active"] = Value::from(kid.as_str());
        }
        if let Some(until) = may_fail_until {
            detail["may_fail_until"] = Value::from(until.to_string());
        }
        by.entry(act, subject, detail)
    }
}

/// The steps of a change, for the audit log.
fn told(actions: &[Action], change: &KeyChange) -> Vec<Value> {
    let published = change.insert.iter().map(|(key, _)| {
        let Key { kid, algorithm, state, reason, .. } = key;
        json!({"step": "publish", "kid": kid.as_str(), "algorithm": algorithm.name(), "state": state.name(), "why": reason})
    });
    let step = |Action { step, reason }: &Action| {
        let (name, kid) = match step {
            // Told as what was published.
            Step::Generate { .. } | Step::GenerateActive { .. } | Step::Add { .. } => return None,
            Step::Activate { kid, forced: true } => ("activate early", kid),
            Step::Activate { kid, .. } => ("activate", kid),
            Step::Retire { kid, .. } => ("retire", kid),
            Step::Withdraw { kid } => ("withdraw", kid),
            Step::Expire { kid } => ("expire", kid),
            Step::Compromise { kid } => ("compromise", kid),
            Step::RaiseLifetime { kid, .. } => ("raise lifetime", kid),
        };
        Some(json!({ "step": name, "kid": kid.as_str(), "why": reason }))
    };
    published.chain(actions.iter().filter_map(step)).collect()
}

/// Which algorithms go out of service because this replica does not keep them. The others may, and can't tell.
pub(super) fn report_dropped(table: &KeyTable, policy: &Policy, actions: &[Action]) {
    let kept = || policy.specs.iter().map(|spec| spec.algorithm().name()).collect::<Vec<_>>().join(", ");
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| policy.spec(*algorithm).is_none()) {
        let is_of_it = |kid: &Kid| table.find(kid).is_some_and(|key| key.algorithm == algorithm);
        let retires = |action: &Action| match &action.step {
            Step::Retire { kid, .. } | Step::Withdraw { kid } => is_of_it(kid),
            _ => false,
        };
        if actions.iter().any(retires) {
            let kept = kept();
            tracing::warn!(%algorithm, kept, "an algorithm goes out of service on every replica: this one does not keep it");
        }
    }
}

/// One line a step, with its reason.
pub(super) fn report(actions: &[Action], change: &KeyChange, may_fail_until: Option<Timestamp>) {
    for (key, _) in &change.insert {
        let Key { kid, algorithm, state, reason, .. } = key;
        tracing::info!(%kid, %algorithm, state = state.name(), reason, "a signing key was published");
    }
    for Action { step, reason } in actions {
        match step {
            Step::Generate { .. } | Step::GenerateActive { .. } | Step::Add { .. } => {}
            Step::Compromise { kid } => tracing::warn!(%kid, reason, "a signing key is compromised"),
            Step::Activate { kid, forced } => {
                tracing::info!(%kid, forced, reason, "a signing key became active");
            }
            Step::Retire { kid, until } => {
                tracing::info!(%kid, %until, reason, "a signing key is retiring");
            }
            Step::Withdraw { kid } => tracing::info!(%kid, reason, "a signing key was withdrawn"),
            Step::Expire { kid } => tracing::info!(%kid, reason, "a signing key was retired"),
            Step::RaiseLifetime { kid, to, .. } => {
                let seconds = to.as_secs();
                tracing::info!(%kid, seconds, reason, "a signing key's tokens may live longer");
            }
        }
    }
    if let Some(until) = may_fail_until {
        tracing::warn!(%until, "a key signs before it has propagated: its tokens may fail at verifiers that lack it");
    }
}
