//! Metrics: what `GET /metrics` of the admin listener tells.
//!
//! Guarantees: recording on the path of a request is a few atomic additions; no label's value is ever what a client
//! sent, and there are as many series as this program has routes, methods, statuses, grants, algorithms and codes, and
//! no more.

mod families;
mod hashing;
mod process;
mod requests;
mod state;
mod tokens;

use std::sync::Arc;

use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};
use signet_verify::Algorithm;

use self::families::Families;
pub use self::hashing::HashMetrics;
use self::requests::Requests;
pub use self::state::{Connections, Observation, Observed, StoreState};
use self::tokens::Tokens;
use super::TelemetryError;
use crate::clients::GrantType;
use crate::http::{Listener, Meter, RouteMeter};
use crate::ports::Timestamp;

/// Counts, and tells what it counted.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    tokens: Tokens,
    observed: Arc<dyn Observed>,
    started_at: Timestamp,
}

impl Metrics {
    /// Nothing counted yet but for `hashing`; what is not counted is asked of `observed` at each scrape.
    ///
    /// # Errors
    /// Never in a sound build: when two metrics have the same name, or one that Prometheus does not know.
    pub fn new(
        observed: Arc<dyn Observed>,
        hashing: &HashMetrics,
        started_at: Timestamp,
    ) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            Opts::new("signet_build_info", "Always 1; the label tells the version that runs."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        hashing.register(&registry)?;
        let (requests, tokens) = (Requests::new(&registry)?, Tokens::new(&registry)?);
        Ok(Self { registry, requests, tokens, observed, started_at })
    }
}

impl Meter for Metrics {
    fn route(&self, listener: Listener, path: &str) -> Arc<dyn RouteMeter> {
        self.requests.route(listener, path)
    }

    fn token_issued(&self, grant: GrantType, algorithm: Algorithm) {
        self.tokens.issued(grant, algorithm);
    }

    fn token_refused(&self, grant: Option<GrantType>, code: &'static str) {
        self.tokens.refused(grant, code);
    }

    fn client_refused(&self, reason: &'static str) {
        self.tokens.unauthenticated(reason);
    }

    fn login(&self, outcome: &'static str) {
        self.tokens.logged_in(outcome);
    }

    fn page(&self) -> String {
        let mut families = Families::default();
        state::collect(&mut families, &self.observed.observe());
        process::collect(&mut families, self.started_at);
        let mut all = self.registry.gather();
        all.extend(families.into_inner());
        all.sort_by(|one, other| one.name().cmp(other.name()));
        // Writing to a string does not fail, and no family is empty.
        TextEncoder::new().encode_to_string(&all).unwrap_or_default()
    }
}
