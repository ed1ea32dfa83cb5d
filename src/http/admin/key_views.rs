//! Signing keys as people and programs see them, through the API and on the command line: public facts, and what each key
//! went through and what comes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::keys::{
    Action, Done, DryRun, Key, KeyState, KeyTimeline, Milestone, Step, Survey, Timeline, Transition, timeline,
};
use crate::keys::{Kid, Policy};
use crate::ports::Timestamp;

/// Something that happens to a key, with its moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransitionView {
    /// `published` (the JWKS has it), `usable` (every verifier that honours the cache headers has it), `active` (it signs),
    /// `retiring` (another signs), `retired` or `compromised` (out of the JWKS).
    pub milestone: String,
    /// When.
    pub at: String,
}

/// A signing key. Its private half is nowhere in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its name: its thumbprint of RFC 7638.
    pub kid: String,
    /// What it signs with.
    pub algorithm: String,
    /// `pending`, `active`, `retiring`, `retired` or `compromised`.
    pub state: String,
    /// Of a pending key: from when on it may sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_from: Option<String>,
    /// Since when it is in its state; a pending one since it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of a retiring key: how long it stays published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// When it was made or imported.
    pub created_at: String,
    /// From when on the JWKS has it.
    pub published_at: String,
    /// `generated` or `imported`.
    pub origin: String,
    /// Why it is in its state.
    pub reason: String,
    /// What happened to it, the earliest first.
    pub past: Vec<TransitionView>,
    /// What will happen to it if nobody acts, the earliest first.
    pub coming: Vec<TransitionView>,
}

/// A page of the keys, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys.
    pub items: Vec<KeyView>,
    /// What to send as `cursor` for the page after it; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Counts the changes of the keys: replicas that have the same one sign alike.
    pub ring_version: i64,
    /// The database's time, as of which the timelines are.
    pub at: String,
    /// For each algorithm that is kept ready, when another key signs next.
    pub next_rotation: BTreeMap<String, String>,
}

/// The life of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyLife {
    /// Its name; absent for a key that a dry run does not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it signs with.
    pub algorithm: String,
    /// What happened to it, the earliest first.
    pub past: Vec<TransitionView>,
    /// What will happen to it if nobody acts, the earliest first.
    pub coming: Vec<TransitionView>,
}

/// A step of a change of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionView {
    /// `generate`, `generate_active`, `publish`, `activate`, `activate_early`, `retire`, `withdraw`, `expire`, `compromise`
    /// or `raise_lifetime`.
    pub action: String,
    /// The key that it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What a new key is to sign with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// How long the key stays published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why.
    pub reason: String,
}

/// What became, or would become, of a change of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyChangeView {
    /// Whether anything was changed. It was not when it was so already, or was only tried.
    pub changed: bool,
    /// Whether it was only tried.
    pub dry_run: bool,
    /// The database's time.
    pub at: String,
    /// The steps, in their order.
    pub actions: Vec<ActionView>,
    /// Until when tokens may fail at verifiers that lack the key that signs them. Absent when none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_fail_until: Option<String>,
    /// The lives of the keys that are published after the steps, and of those that the steps changed.
    pub timeline: Vec<KeyLife>,
    /// For each algorithm that is kept ready, when another key signs next.
    pub next_rotation: BTreeMap<String, String>,
}

impl TransitionView {
    fn of(transition: &Transition) -> Self {
        Self { milestone: transition.milestone.name().to_owned(), at: transition.at.to_string() }
    }

    fn all(transitions: &[Transition]) -> Vec<Self> {
        transitions.iter().map(Self::of).collect()
    }
}

impl KeyView {
    /// `key` with its life.
    pub fn of(key: &Key, timeline: &Timeline) -> Self {
        let text = |moment: Timestamp| Some(moment.to_string());
        let (usable_from, until) = match key.state {
            KeyState::Pending { usable_from } => (text(usable_from), None),
            KeyState::Retiring { until, .. } => (None, text(until)),
            KeyState::Active { .. } | KeyState::Retired { .. } | KeyState::Compromised { .. } => (None, None),
        };
        let since = match key.state {
            KeyState::Pending { .. } => text(key.published_at),
            _ => key.state.since().map(|since| since.to_string()),
        };
        let life = timeline.of(&key.kid);
        Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.name().to_owned(),
            state: key.state.name().to_owned(),
            usable_from,
            since,
            until,
            created_at: key.created_at.to_string(),
            published_at: key.published_at.to_string(),
            origin: key.origin.name().to_owned(),
            reason: key.reason.clone(),
            past: life.map(|life| TransitionView::all(&life.past)).unwrap_or_default(),
            coming: life.map(|life| TransitionView::all(&life.coming)).unwrap_or_default(),
        }
    }
}

impl KeyList {
    /// All keys, the newest first.
    pub fn of(survey: &Survey) -> Self {
        let mut keys: Vec<&Key> = survey.table.keys.iter().collect();
        keys.sort_by(|one, other| (other.created_at, &other.kid).cmp(&(one.created_at, &one.kid)));
        Self {
            items: keys.into_iter().map(|key| KeyView::of(key, &survey.timeline)).collect(),
            next_cursor: None,
            ring_version: survey.table.version,
            at: survey.at.to_string(),
            next_rotation: rotations(&survey.timeline),
        }
    }
}

impl ActionView {
    fn of(action: &Action) -> Self {
        let (name, algorithm, until) = match &action.step {
            Step::Generate { spec, .. } => ("generate", Some(spec.algorithm()), None),
            Step::GenerateActive { spec } => ("generate_active", Some(spec.algorithm()), None),
            Step::Add { .. } => ("publish", None, None),
            Step::Activate { forced: true, .. } => ("activate_early", None, None),
            Step::Activate { .. } => ("activate", None, None),
            Step::Retire { until, .. } => ("retire", None, Some(*until)),
            Step::Withdraw { .. } => ("withdraw", None, None),
            Step::Expire { .. } => ("expire", None, None),
            Step::Compromise { .. } => ("compromise", None, None),
            Step::RaiseLifetime { until, .. } => ("raise_lifetime", None, *until),
        };
        Self {
            action: name.to_owned(),
            kid: subject(&action.step).map(Kid::to_string),
            algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
            until: until.map(|until| until.to_string()),
            reason: action.reason.clone(),
        }
    }
}

impl KeyChangeView {
    /// What was done. `policy` is the one by which the keys are kept.
    pub fn done(done: &Done, policy: &Policy) -> Self {
        let lives = timeline(&done.table, policy, done.at);
        Self::new(&done.actions, done.at, done.may_fail_until, &lives, false)
    }

    /// What would be done.
    pub fn foreseen(tried: &DryRun) -> Self {
        Self::new(&tried.actions, tried.at, tried.foreseen.may_fail_until, &tried.foreseen.timeline, true)
    }

    fn new(
        actions: &[Action],
        at: Timestamp,
        may_fail_until: Option<Timestamp>,
        lives: &Timeline,
        dry_run: bool,
    ) -> Self {
        let touched: Vec<&Kid> = actions.iter().filter_map(|action| subject(&action.step)).collect();
        let is_told = |life: &&KeyTimeline| {
            let is_over = |last: &Transition| matches!(last.milestone, Milestone::Retired | Milestone::Compromised);
            let is_touched = life.kid.as_ref().is_some_and(|kid| touched.contains(&kid));
            is_touched || !life.past.last().is_some_and(is_over)
        };
        let life = |life: &KeyTimeline| KeyLife {
            kid: life.kid.as_ref().map(Kid::to_string),
            algorithm: life.algorithm.name().to_owned(),
            past: TransitionView::all(&life.past),
            coming: TransitionView::all(&life.coming),
        };
        Self {
            changed: !dry_run && !actions.is_empty(),
            dry_run,
            at: at.to_string(),
            actions: actions.iter().map(ActionView::of).collect(),
            may_fail_until: may_fail_until.map(|until| until.to_string()),
            timeline: lives.keys.iter().filter(is_told).map(life).collect(),
            next_rotation: rotations(lives),
        }
    }
}

/// The key that a step is about, where it has a name.
const fn subject(step: &Step) -> Option<&Kid> {
    match step {
        Step::Add { kid, .. } => Some(kid),
        other => other.changes(),
    }
}

fn rotations(timeline: &Timeline) -> BTreeMap<String, String> {
    timeline.next_rotation.iter().map(|(algorithm, at)| (algorithm.name().to_owned(), at.to_string())).collect()
}
