//! What a test takes of a processor, whatever else the machine does meanwhile.

use std::sync::OnceLock;
use std::time::Duration;

use crate::ports::Stopwatch;

/// For how long a processor was this thread's, as Linux tells it; elsewhere whatever time has passed.
pub(super) fn on_a_processor() -> Duration {
    static BEGUN: OnceLock<Stopwatch> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGUN.get_or_init(Stopwatch::start).elapsed(), Duration::from_nanos)
}
