//! The threads that hash passwords: how many wait, for how long, and how many were turned away.
//!
//! Guarantees: recording is a few atomic additions; every series exists from the start, at zero, and no other ever does.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::users::password::{HashMeter, TurnedAway};

/// The upper ends, in seconds, of the wait: from nothing to the longest deadline.
const WAITS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
/// Of a hash: from the cheapest that may be set to one that nobody should.
const DURATIONS: [f64; 10] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// Counts what the threads do.
pub struct HashMetrics {
    waiting: IntGauge,
    running: IntGauge,
    waited: Histogram,
    took: Histogram,
    refused: IntCounterVec,
    queue_full: IntCounter,
    deadline: IntCounter,
}

impl HashMetrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// Never in a sound build: when a metric has a name that Prometheus does not know.
    pub fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: [f64; 10]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        let refused = IntCounterVec::new(
            Opts::new(
                "signet_password_hashes_refused_total",
                "Passwords that were not looked at because too many were waiting, by the reason: the queue was full, or the deadline was over.",
            ),
            &["reason"],
        )?;
        Ok(Self {
            waiting: IntGauge::new("signet_password_hashes_waiting", "Passwords that wait to be hashed.")?,
            running: IntGauge::new("signet_password_hashes_running", "Passwords that are being hashed.")?,
            waited: histogram(
                "signet_password_hash_wait_seconds",
                "How long passwords waited before they were hashed.",
                WAITS,
            )?,
            took: histogram("signet_password_hash_duration_seconds", "How long hashing a password took.", DURATIONS)?,
            queue_full: refused.with_label_values(&["queue_full"]),
            deadline: refused.with_label_values(&["deadline"]),
            refused,
        })
    }

    /// Shows it in `registry`.
    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.waiting.clone()))?;
        registry.register(Box::new(self.running.clone()))?;
        registry.register(Box::new(self.waited.clone()))?;
        registry.register(Box::new(self.took.clone()))?;
        registry.register(Box::new(self.refused.clone()))
    }
}

impl HashMeter for HashMetrics {
    fn waiting(&self, depth: usize) {
        self.waiting.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    fn begun(&self, wait: Duration) {
        self.running.inc();
        self.waited.observe(wait.as_secs_f64());
    }

    fn done(&self, took: Duration) {
        self.running.dec();
        self.took.observe(took.as_secs_f64());
    }

    fn turned_away(&self, why: TurnedAway) {
        match why {
            TurnedAway::QueueFull => self.queue_full.inc(),
            TurnedAway::Deadline => self.deadline.inc(),
        }
    }
}
