//! Requests by listener, route, method and status, and how long they took.
//!
//! Guarantees: once a combination has occurred, recording it is a few atomic additions: no lock, no look-up by label,
//! no allocation. There are never more combinations than routes × methods × statuses of this program.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::http::{Listener, METHODS, RouteMeter};

/// The statuses that this program answers with, the frequent ones first; whatever else a library answers is `other`.
const STATUSES: [&str; 25] = [
    "200", "304", "201", "204", "400", "401", "403", "404", "405", "406", "408", "409", "410", "411", "412", "413",
    "414", "415", "428", "429", "431", "500", "501", "503", "other",
];

/// The upper ends, in seconds: from less than a signature of ES256 takes to what nobody waits for.
const BUCKETS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The families.
pub(super) struct Requests {
    answered: IntCounterVec,
    took: HistogramVec,
}

impl Requests {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let answered = IntCounterVec::new(
            Opts::new("signet_http_requests_total", "Requests answered, by listener, route, method and status."),
            &["listener", "route", "method", "status"],
        )?;
        let took = HistogramVec::new(
            HistogramOpts::new(
                "signet_http_request_duration_seconds",
                "From the head of a request being read to its answer being ready, by listener and route.",
            )
            .buckets(BUCKETS.to_vec()),
            &["listener", "route"],
        )?;
        registry.register(Box::new(answered.clone()))?;
        registry.register(Box::new(took.clone()))?;
        Ok(Self { answered, took })
    }

    /// The counters of one route.
    pub(super) fn route(&self, listener: Listener, path: &str) -> Arc<dyn RouteMeter> {
        Arc::new(Route {
            listener: listener.name(),
            path: path.into(),
            answered: self.answered.clone(),
            took: self.took.clone(),
            cells: [const { [const { OnceLock::new() }; STATUSES.len()] }; METHODS.len()],
            timer: OnceLock::new(),
        })
    }
}

/// The counters of a route, each found by its labels when it is first needed, and never again.
struct Route {
    listener: &'static str,
    path: Box<str>,
    answered: IntCounterVec,
    took: HistogramVec,
    cells: [[OnceLock<IntCounter>; STATUSES.len()]; METHODS.len()],
    timer: OnceLock<Histogram>,
}

impl RouteMeter for Route {
    fn answered(&self, method: usize, status: u16, took: Duration) {
        let status = slot(status);
        let Some(cell) = self.cells.get(method).and_then(|of_method| of_method.get(status)) else { return };
        let counter = cell.get_or_init(|| {
            self.answered.with_label_values(&[self.listener, &self.path, METHODS[method], STATUSES[status]])
        });
        counter.inc();
        let timer = self.timer.get_or_init(|| self.took.with_label_values(&[self.listener, &self.path]));
        timer.observe(took.as_secs_f64());
    }
}

/// The status's place in [`STATUSES`].
fn slot(status: u16) -> usize {
    // Nearly every request.
    if status == 200 {
        return 0;
    }
    let known = STATUSES.iter().position(|known| known.parse() == Ok(status));
    known.unwrap_or(STATUSES.len() - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_place_and_strangers_share_the_last() {
        for (place, status) in STATUSES.iter().enumerate().take(STATUSES.len() - 1) {
            assert_eq!(slot(status.parse().unwrap()), place);
        }
        for stranger in [0, 100, 299, 418, 599, u16::MAX] {
            assert_eq!(STATUSES[slot(stranger)], "other");
        }
    }

    #[test]
    fn whatever_is_recorded_there_are_no_more_series_than_methods_and_statuses() {
        let registry = Registry::new();
        let route = Requests::new(&registry).unwrap().route(Listener::Public, "/a");
        for method in 0..METHODS.len() + 3 {
            for status in 0..=u16::MAX {
                route.answered(method, status, Duration::from_millis(1));
            }
        }
        let families = registry.gather();
        let requests = families.iter().find(|family| family.name() == "signet_http_requests_total").unwrap();
        assert_eq!(requests.get_metric().len(), METHODS.len() * STATUSES.len());
    }

    #[test]
    fn the_two_workers_of_a_route_count_together() {
        let registry = Registry::new();
        let requests = Requests::new(&registry).unwrap();
        for worker in [requests.route(Listener::Public, "/a"), requests.route(Listener::Public, "/a")] {
            worker.answered(0, 200, Duration::from_micros(70));
        }
        let families = registry.gather();
        let [took, answered] = families.as_slice() else { unreachable!("two families") };
        assert_eq!(answered.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum::<f64>(), 2.0);
        let histogram = took.get_metric()[0].get_histogram();
        let counts: Vec<u64> = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count()).collect();
        assert_eq!((histogram.get_sample_count(), counts[0], counts[1]), (2, 0, 2));
    }
}
