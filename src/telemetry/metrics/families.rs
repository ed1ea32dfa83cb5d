//! Families of metrics that are made anew for each scrape, from what holds at that moment.
//!
//! Guarantees: a combination of labels that no longer occurs is gone with the next scrape; a family without samples is
//! not shown.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts};

/// Those of one scrape.
#[derive(Default)]
pub(super) struct Families {
    collected: Vec<MetricFamily>,
}

impl Families {
    /// One that goes up and down, without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, &[], [([""; 0], value)]);
    }

    /// One that goes up and down, with labels: for each sample a value to each name.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        // Names are ours, and a test scrapes them all: none is refused.
        let Ok(family) = GaugeVec::new(Opts::new(name, help), labels) else { return };
        for (values, value) in samples {
            family.with_label_values(&values).set(value);
        }
        self.add(&family);
    }

    /// One that only grows, and is counted elsewhere.
    pub(super) fn counter(&mut self, name: &str, help: &str, total: f64) {
        self.counters(name, help, &[], [([""; 0], total)]);
    }

    /// The same with labels.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        samples: impl IntoIterator<Item = ([&'static str; N], f64)>,
    ) {
        let Ok(family) = CounterVec::new(Opts::new(name, help), labels) else { return };
        for (values, total) in samples {
            family.with_label_values(&values).inc_by(total.max(0.0));
        }
        self.add(&family);
    }

    fn add(&mut self, family: &impl Collector) {
        self.collected.extend(family.collect().into_iter().filter(|family| !family.get_metric().is_empty()));
    }

    pub(super) fn into_inner(self) -> Vec<MetricFamily> {
        self.collected
    }
}
