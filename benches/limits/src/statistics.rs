//! Interleaved pairs, their medians and their spread.

use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::load::Sample;

/// The middle of some numbers, and the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Result<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.is_empty() {
            return Err("nothing was measured".into());
        }
        sorted.sort_by(f64::total_cmp);
        Ok(Self {
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
        })
    }
}

/// The number below which `share` of the `sorted` ones lie, between two of them by straight line.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a handful of samples"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// One limit and one candidate, measured in turns.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    /// Operations a second.
    pub(crate) limit: Spread,
    /// Operations a second.
    pub(crate) signet: Spread,
    /// Of the two halves of each pair.
    pub(crate) ratio: Spread,
    /// The same by operations per second of processor time: what other programs on the machine take away is
    /// not in it.
    pub(crate) ratio_by_cpu: f64,
    /// How much of the wall time the measured process had a processor: limit and Signet.
    pub(crate) busy: (f64, f64),
}

/// Below this share of its core a server was not the bottleneck.
const BUSY: f64 = 0.9;

impl Comparison {
    /// Whether limit and Signet had their core for nearly all of the time. If not, the ratio of the rates tells more
    /// of the other programs on the machine than of these two.
    pub(crate) fn had_the_core(&self) -> bool {
        self.busy.0.min(self.busy.1) >= BUSY
    }

    /// The ratio that is held against a goal: by wall time, or by processor time where the core was shared.
    pub(crate) fn judged(&self) -> f64 {
        if self.had_the_core() { self.ratio.median } else { self.ratio_by_cpu }
    }

    /// Runs `limit` and `signet` in turns, `pairs` times each.
    pub(crate) fn measure(
        pairs: usize,
        mut limit: impl FnMut() -> Result<Sample>,
        mut signet: impl FnMut() -> Result<Sample>,
    ) -> Result<Self> {
        let mut samples = Vec::with_capacity(pairs);
        for _ in 0..pairs {
            samples.push((limit()?, signet()?));
        }
        let (limits, signets): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        let ratios = samples.iter().map(|(limit, signet)| signet.rate() / limit.rate());
        let by_cpu = samples.iter().map(|(limit, signet)| signet.cpu_rate() / limit.cpu_rate());
        Ok(Self {
            limit: Spread::of(limits.iter().map(Sample::rate))?,
            signet: Spread::of(signets.iter().map(Sample::rate))?,
            ratio: Spread::of(ratios)?,
            ratio_by_cpu: Spread::of(by_cpu)?.median,
            busy: (
                Spread::of(limits.iter().map(Sample::busy))?.median,
                Spread::of(signets.iter().map(Sample::busy))?.median,
            ),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "fewer than 2^52 requests")]
impl Sample {
    /// Operations a second of wall time.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }

    /// Operations a second of processor time.
    fn cpu_rate(&self) -> f64 {
        self.requests as f64 / self.cpu.as_secs_f64()
    }

    /// The share of the wall time in which the process had a processor.
    fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// The slowest hundredth of the requests, quiet and while something else goes on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tail {
    /// Microseconds.
    pub(crate) quiet: Spread,
    /// Microseconds.
    pub(crate) busy: Spread,
    /// Of the two halves of each pair: busy by quiet.
    pub(crate) ratio: Spread,
    /// Requests a second, of those that were measured.
    pub(crate) per_second: u32,
    /// How often a second what went on beside them was done.
    pub(crate) beside_per_second: f64,
    /// How often a second it was turned away for now.
    pub(crate) turned_away_per_second: f64,
    /// How fast that was said: the 99th percentile, in microseconds.
    pub(crate) turned_away: f64,
}

/// What the two windows of one pair have shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TailPair {
    /// The 99th percentile.
    pub(crate) quiet: Duration,
    /// The 99th percentile.
    pub(crate) busy: Duration,
    pub(crate) beside_per_second: f64,
    pub(crate) turned_away_per_second: f64,
    /// The 99th percentile.
    pub(crate) turned_away: Duration,
}

impl Tail {
    /// Of the `pairs`, at so many requests a second.
    pub(crate) fn of(pairs: &[TailPair], per_second: u32) -> Result<Self> {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        Ok(Self {
            quiet: Spread::of(pairs.iter().map(|pair| micros(pair.quiet)))?,
            busy: Spread::of(pairs.iter().map(|pair| micros(pair.busy)))?,
            ratio: Spread::of(pairs.iter().map(|pair| pair.busy.as_secs_f64() / pair.quiet.as_secs_f64()))?,
            per_second,
            beside_per_second: Spread::of(pairs.iter().map(|pair| pair.beside_per_second))?.median,
            turned_away_per_second: Spread::of(pairs.iter().map(|pair| pair.turned_away_per_second))?.median,
            turned_away: Spread::of(pairs.iter().map(|pair| micros(pair.turned_away)))?.median,
        })
    }
}

/// What 99 of 100 of the `latencies` do not exceed.
pub(crate) fn p99(mut latencies: Vec<Duration>) -> Result<Duration> {
    latencies.sort_unstable();
    let place = (latencies.len() * 99).div_ceil(100);
    place.checked_sub(1).and_then(|place| latencies.get(place)).copied().ok_or_else(|| "nothing was measured".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_p99_is_what_one_in_a_hundred_exceeds() {
        let latencies = |count: u64| (1..=count).rev().map(Duration::from_micros).collect::<Vec<_>>();
        assert_eq!(p99(latencies(200)).unwrap(), Duration::from_micros(198));
        assert_eq!(p99(latencies(50)).unwrap(), Duration::from_micros(50));
        assert_eq!(p99(latencies(1)).unwrap(), Duration::from_micros(1));
        assert!(p99(Vec::new()).is_err());
    }

    #[test]
    fn a_tail_compares_the_windows_of_each_pair() {
        let pair = |quiet, busy| TailPair {
            quiet: Duration::from_micros(quiet),
            busy: Duration::from_micros(busy),
            beside_per_second: 4.0,
            turned_away_per_second: 0.0,
            turned_away: Duration::ZERO,
        };
        let tail = Tail::of(&[pair(100, 120), pair(1000, 1200), pair(100, 120)], 9).unwrap();
        assert!((tail.ratio.median - 1.2).abs() < 1e-9 && (tail.ratio.upper_quartile - 1.2).abs() < 1e-9);
        assert!((tail.quiet.median - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_spread_names_the_middle_and_the_quartiles_whatever_the_order() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.lower_quartile, spread.median, spread.upper_quartile), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert!(Spread::of([]).is_err());
    }

    #[test]
    fn a_pair_is_compared_with_its_own_half_not_with_the_median_of_all() {
        let sample = |requests, millis| {
            let wall = Duration::from_secs(1);
            Ok(Sample { requests, wall, cpu: Duration::from_millis(millis) })
        };
        let mut limits = [100, 1000, 100].into_iter();
        let mut signets = [90, 900, 90].into_iter();
        let compared = Comparison::measure(
            3,
            || sample(limits.next().unwrap_or_default(), 1000),
            || sample(signets.next().unwrap_or_default(), 500),
        )
        .unwrap();
        assert_eq!(compared.ratio.median, 0.9);
        assert_eq!(compared.ratio_by_cpu, 1.8);
        assert_eq!(compared.busy, (1.0, 0.5));
        assert_eq!(compared.limit.median, 100.0);
        assert_eq!(compared.judged(), 1.8);
        assert_eq!(Comparison { busy: (1.0, 0.95), ..compared }.judged(), 0.9);
    }
}
