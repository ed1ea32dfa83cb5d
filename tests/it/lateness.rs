//! How late this machine is. Tests run beside each other and beside compilers; a promise of an answer within so many
//! milliseconds is one of a machine that has the time.
//!
//! Guarantees: what is forgiven was measured while the promise was tried; on a machine that has time it is next to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread that wants to run every few milliseconds.
const EVERY: Duration = Duration::from_millis(5);
/// What is asked of a store goes through so many threads and processes, one after the other: who asks, the link or the
/// pool, a proxy, the server, and back.
const HOPS: u32 = 8;

/// Watches how late threads are, until it is dropped.
pub struct Lateness {
    shared: Arc<Shared>,
    watching: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// In nanoseconds.
    worst: AtomicU64,
    ended: AtomicBool,
}

impl Lateness {
    pub fn watch() -> Self {
        let shared = Arc::new(Shared::default());
        let watching = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.ended.load(Ordering::Relaxed) {
                    let slept = Instant::now();
                    std::thread::sleep(EVERY);
                    let late = slept.elapsed().saturating_sub(EVERY);
                    shared.worst.fetch_max(u64::try_from(late.as_nanos()).unwrap(), Ordering::Relaxed);
                }
            }
        });
        Self { shared, watching: Some(watching) }
    }

    /// How much longer an answer may have taken than on a machine that has time, since the watch began: each thread that
    /// it went through may have been as late as the latest here.
    pub fn allowance(&self) -> Duration {
        Duration::from_nanos(self.shared.worst.load(Ordering::Relaxed)) * HOPS
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
    }
}

/// The one in the middle; of an even number the later of the two. Orders them.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
