//! What holds at the moment of a scrape: keys, lease, store, and whether this replica is ready.

use std::sync::Arc;
use std::time::Duration;

use signet_verify::Algorithm;

use super::families::Families;
use crate::audit::Head;
use crate::http::Check;
use crate::keys::{KeyState, Ring};
use crate::ports::Timestamp;
use crate::store::redis::RedisHealth;
use crate::telemetry::traces::SpanCounts;

/// Knows what holds now, without asking a store.
pub trait Observed: Send + Sync {
    /// What holds now.
    fn observe(&self) -> Observation;
}

/// What holds at one moment, by what this replica last saw.
#[derive(Debug, Clone)]
pub struct Observation {
    /// This replica's time.
    pub now: Timestamp,
    /// The keys it signs with and publishes.
    pub ring: Arc<Ring>,
    /// Since when they are known to be current; `None` when they may not be used.
    pub confirmed_at: Option<Timestamp>,
    /// How long they may be used without being confirmed.
    pub lease: Duration,
    /// The algorithms that it keeps.
    pub kept: Vec<Algorithm>,
    /// When the next key takes over, by algorithm. What is overdue lies in the past.
    pub next_rotations: Vec<(Algorithm, Timestamp)>,
    /// What this replica needs, as `/readyz` tells it.
    pub checks: Vec<Check>,
    /// The database.
    pub store: StoreState,
    /// Redis, where there is one.
    pub redis: Option<RedisHealth>,
    /// When the TLS certificates of the listeners end, by listener.
    pub certificate_ends: Vec<(&'static str, Timestamp)>,
    /// How often presenting a refresh token came out in which way.
    pub refreshes: Vec<(&'static str, u64)>,
    /// What became of spans, where they are sent to a collector.
    pub spans: Option<SpanCounts>,
    /// Lines that the log had no room for.
    pub log_lines_dropped: u64,
}

/// What is known of the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreState {
    /// Whether it answered when it was last asked.
    pub reachable: bool,
    /// The number of the last change that was taken up.
    pub followed: i64,
    /// The number of the last change when it was last asked.
    pub head: i64,
    /// By how many milliseconds this machine's clock was ahead of the database's when they were last compared.
    pub clock_ahead: Option<i64>,
    /// The last row of its audit log, as far as this replica knows.
    pub audit_head: Option<Head>,
    /// What the last look at it took, answered or not.
    pub probe: Duration,
    /// How often a look at it had no answer.
    pub failures: u64,
    /// Its connections.
    pub connections: Connections,
}

/// How the connections to the database are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open, and at work.
    pub busy: u32,
    /// Open, and waiting for work.
    pub idle: u32,
    /// How many there may be.
    pub most: u32,
}

pub(super) fn collect(families: &mut Families, observation: &Observation) {
    keys(families, observation);
    lease(families, observation);
    store(families, &observation.store);
    if let Some(health) = &observation.redis {
        redis(families, health);
    }
    families.gauges(
        "signet_ready",
        "Whether this replica can do its work (1) or not (0), by check.",
        &["check"],
        observation
            .checks
            .iter()
            .filter(|check| check.required)
            .map(|check| ([check.name], bit(check.problem.is_none()))),
    );
    families.gauges(
        "signet_tls_certificate_remaining_seconds",
        "Until the certificate that a listener presents ends, by listener; below zero clients refuse it.",
        &["listener"],
        observation.certificate_ends.iter().map(|(listener, end)| ([*listener], seconds(*end, observation.now))),
    );
    families.counters(
        "signet_refreshes_total",
        "Refresh tokens presented, by what was decided.",
        &["decision"],
        observation.refreshes.iter().map(|(decision, count)| ([*decision], *count as f64)),
    );
    if let Some(spans) = observation.spans {
        families.counter(
            "signet_spans_exported_total",
            "Spans that the collector of traces took.",
            spans.exported as f64,
        );
        families.counters(
            "signet_spans_dropped_total",
            "Spans that were dropped, by the reason: the queue was full, the collector refused them or could not be reached.",
            &["reason"],
            [
                (["queue_full"], spans.no_room as f64),
                (["refused"], spans.refused as f64),
                (["unreachable"], spans.unreachable as f64),
            ],
        );
    }
    families.counter(
        "signet_log_lines_dropped_total",
        "Lines that were not logged because whoever reads the log was too slow.",
        observation.log_lines_dropped as f64,
    );
}

const STATES: [&str; 5] = ["pending", "active", "retiring", "retired", "compromised"];

fn keys(families: &mut Families, observation: &Observation) {
    let keys = &observation.ring.table().keys;
    let count = |algorithm, state| {
        keys.iter().filter(|key| key.algorithm == algorithm && key.state.name() == state).count() as f64
    };
    let used = Algorithm::ALL.into_iter().filter(|algorithm| keys.iter().any(|key| key.algorithm == *algorithm));
    families.gauges(
        "signet_keys",
        "Signing keys, by state and algorithm, of every algorithm that has any.",
        &["state", "algorithm"],
        used.flat_map(|algorithm| STATES.map(|state| (algorithm, state)))
            .map(|(algorithm, state)| ([state, algorithm.name()], count(algorithm, state))),
    );
    let signs = |algorithm| bit(observation.ring.table().active(algorithm).is_some());
    families.gauges(
        "signet_algorithm_signs",
        "Whether some key signs with an algorithm that this replica keeps (1) or none does (0), by algorithm.",
        &["algorithm"],
        observation.kept.iter().map(|algorithm| ([algorithm.name()], signs(*algorithm))),
    );
    families.gauges(
        "signet_active_key_age_seconds",
        "For how long the active key has been signing, by algorithm.",
        &["algorithm"],
        keys.iter().filter_map(|key| match key.state {
            KeyState::Active { since } => Some(([key.algorithm.name()], seconds(observation.now, since))),
            _ => None,
        }),
    );
    families.gauges(
        "signet_next_rotation_seconds",
        "Until the next key takes over by itself, by algorithm; below zero it is overdue.",
        &["algorithm"],
        observation.next_rotations.iter().map(|(algorithm, at)| ([algorithm.name()], seconds(*at, observation.now))),
    );
    families.gauge(
        "signet_key_ring_version",
        "The version of the table of keys that this replica signs by. All replicas have the same but for a moment.",
        observation.ring.version() as f64,
    );
}

fn lease(families: &mut Families, observation: &Observation) {
    let Observation { now, confirmed_at, lease, .. } = observation;
    families.gauge(
        "signet_key_lease_seconds",
        "How long this replica signs with keys that it can't confirm.",
        lease.as_secs_f64(),
    );
    let left = confirmed_at.map_or(0.0, |at| seconds(at.plus(*lease), *now).max(0.0));
    families.gauge(
        "signet_key_lease_remaining_seconds",
        "How long this replica may still sign if it can't confirm its keys from now on; 0 when it signs nothing.",
        left,
    );
    if let Some(at) = confirmed_at {
        families.gauge(
            "signet_key_ring_confirmed_age_seconds",
            "How long ago this replica last knew its keys, and all else that it keeps in memory, to be current.",
            seconds(*now, *at),
        );
    }
}

fn store(families: &mut Families, store: &StoreState) {
    families.gauge(
        "signet_store_reachable",
        "Whether the database answered (1) or not (0) when it was last asked, which is each second.",
        bit(store.reachable),
    );
    families.gauge(
        "signet_store_probe_seconds",
        "What the last look at the database took, which is made each second.",
        store.probe.as_secs_f64(),
    );
    families.counter(
        "signet_store_failures_total",
        "Looks at the database that failed or had no answer in time.",
        store.failures as f64,
    );
    families.gauge(
        "signet_store_followed_change",
        "The number of the last change of the database that this replica has taken up.",
        store.followed as f64,
    );
    families.gauge(
        "signet_store_last_change",
        "The number of the last change when the database was last asked. What is beyond the followed one is the lag.",
        store.head as f64,
    );
    if let Some(ahead) = store.clock_ahead {
        families.gauge(
            "signet_store_clock_skew_seconds",
            "By how much this machine's clock is ahead of the database's; below zero it is behind.",
            ahead as f64 / 1000.0,
        );
    }
    if let Some(head) = store.audit_head {
        families.gauge(
            "signet_audit_head",
            "The number of the last row of the audit log that this replica has seen. It never goes down.",
            head.number as f64,
        );
        // One series at a time: a scrape is made anew from what holds.
        families.gauges(
            "signet_audit_head_info",
            "Always 1; the label tells the head of the audit log, as `signet audit verify --head` takes it.",
            &["head"],
            [([head.to_string().as_str()], 1.0)],
        );
    }
    let Connections { busy, idle, most } = store.connections;
    families.gauges(
        "signet_store_connections",
        "Connections to the database, by state.",
        &["state"],
        [(["busy"], f64::from(busy)), (["idle"], f64::from(idle))],
    );
    families.gauge("signet_store_connections_max", "How many connections there may be.", f64::from(most));
}

fn redis(families: &mut Families, health: &RedisHealth) {
    families.gauge(
        "signet_redis_reachable",
        "Whether Redis, where one is set, can be used (1) or not (0); of a Cluster, every master.",
        bit(health.problem.is_none()),
    );
    families.gauge(
        "signet_redis_probe_seconds",
        "What the last probe of Redis took, which is made each second; of a Cluster, the slowest.",
        health.latency.as_secs_f64(),
    );
    families.counter(
        "signet_redis_losses_total",
        "How often a connection to Redis was lost, and made anew.",
        health.losses as f64,
    );
    families.counter(
        "signet_redis_failures_total",
        "Commands to Redis that failed or had no answer in time.",
        health.failures as f64,
    );
    families.counter(
        "signet_redis_unreplicated_total",
        "Changes that were answered though fewer replicas than `redis.wait_replicas` had them in time.",
        health.unreplicated as f64,
    );
}

fn bit(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// From `earlier` to `later`, below zero when they are the other way round.
fn seconds(later: Timestamp, earlier: Timestamp) -> f64 {
    later.millis().saturating_sub(earlier.millis()) as f64 / 1000.0
}
