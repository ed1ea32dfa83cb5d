//! Where passwords are hashed: a few threads of their own behind a queue of bounded length.
//!
//! Guarantees: at most as many hashes at a time as there are threads, so that memory and processors are bounded whatever
//! comes; nothing waits in the queue for longer than the deadline; work whose caller went away is not begun; who is
//! turned away is told when to come again. What waits for nothing here, as tokens and refresh do, keeps its speed.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ports::Stopwatch;

/// What bounds the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many hashes run at a time.
    pub threads: usize,
    /// How many wait.
    pub queue: usize,
    /// For how long.
    pub deadline: Duration,
}

impl PoolLimits {
    /// How many threads are right for a machine of so many processors: half of them, so that however many log in, the
    /// other half is there for tokens.
    pub const fn threads_for(processors: usize) -> usize {
        if processors < 4 { 1 } else { processors / 2 }
    }
}

/// Why nothing was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHashed {
    /// Too many wait already, or have waited for too long.
    #[error("too many passwords are waiting to be checked")]
    Busy {
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// The pool is closing, or the work failed in a way that it should not.
    #[error("the threads that hash passwords are gone")]
    Gone,
}

/// Counts what the pool does. Recording neither waits nor fails.
pub trait HashMeter: Send + Sync {
    /// So many wait now.
    fn waiting(&self, depth: usize);

    /// One was begun after this wait.
    fn begun(&self, wait: Duration);

    /// One is done, and took this long.
    fn done(&self, took: Duration);

    /// One was turned away.
    fn turned_away(&self, why: TurnedAway);
}

/// Why something was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// So many waited already as may.
    QueueFull,
    /// It had waited for as long as it may.
    Deadline,
}

/// Counts nothing.
impl HashMeter for () {
    fn waiting(&self, _: usize) {}
    fn begun(&self, _: Duration) {}
    fn done(&self, _: Duration) {}
    fn turned_away(&self, _: TurnedAway) {}
}

/// Does the work and answers its caller.
type Work = Box<dyn FnOnce() + Send>;

struct Job {
    number: u64,
    queued: Stopwatch,
    work: Work,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    last: u64,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    limits: PoolLimits,
    meter: Arc<dyn HashMeter>,
}

/// The threads, and the queue before them. Dropping it ends them after what they are at.
pub struct HashPool {
    shared: Arc<Shared>,
}

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(limits: PoolLimits, meter: Arc<dyn HashMeter>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), limits, meter });
        // From here on its drop ends the threads that were started, should a later one fail.
        let pool = Self { shared };
        for number in 0..limits.threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new().name(format!("hash-{number}")).spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// How many wait now.
    pub fn depth(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    /// What bounds it.
    pub fn limits(&self) -> PoolLimits {
        self.shared.limits
    }

    /// Turns away whoever comes while the queue is full, before they cost anything else: when to come again, and `None` where
    /// there is room. It may be gone when [`Self::run`] is called.
    pub fn turn_away(&self) -> Option<Duration> {
        if self.depth() < self.shared.limits.queue {
            return None;
        }
        self.shared.meter.turned_away(TurnedAway::QueueFull);
        Some(self.shared.retry_after())
    }

    /// Runs `work` on one of the threads. When the caller goes away before it was begun, it never is.
    ///
    /// # Errors
    /// [`NotHashed::Busy`] when the queue is full, or when `work` was not begun within the deadline.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotHashed> {
        let (answer, answered) = oneshot::channel();
        let number = self.shared.push(Box::new(move || drop(answer.send(work()))))?;
        // Takes the job out of the queue, unless it was begun, whenever this future is dropped.
        let place = Place { shared: &self.shared, number };
        let mut answered = answered;
        match tokio::time::timeout(self.shared.limits.deadline, &mut answered).await {
            Ok(done) => done.map_err(|_| NotHashed::Gone),
            Err(_) if place.leave() => {
                self.shared.meter.turned_away(TurnedAway::Deadline);
                Err(self.shared.busy())
            }
            // Begun in time: it ends soon.
            Err(_) => answered.await.map_err(|_| NotHashed::Gone),
        }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.filled.notify_all();
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

/// A place in the queue.
struct Place<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Place<'_> {
    /// Gives it up; false when the work was begun.
    fn leave(&self) -> bool {
        let mut queue = self.shared.lock();
        // The numbers ascend.
        let found = queue.jobs.binary_search_by_key(&self.number, |job| job.number);
        let job = found.ok().and_then(|at| queue.jobs.remove(at));
        let depth = queue.jobs.len();
        drop(queue);
        if job.is_some() {
            self.shared.meter.waiting(depth);
        }
        job.is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever comes again after the deadline meets another queue.
    fn retry_after(&self) -> Duration {
        self.limits.deadline.max(Duration::from_secs(1))
    }

    fn busy(&self) -> NotHashed {
        NotHashed::Busy { retry_after: self.retry_after() }
    }

    fn push(&self, work: Work) -> Result<u64, NotHashed> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(NotHashed::Gone);
        }
        if queue.jobs.len() >= self.limits.queue {
            drop(queue);
            self.meter.turned_away(TurnedAway::QueueFull);
            return Err(self.busy());
        }
        queue.last += 1;
        let number = queue.last;
        queue.jobs.push_back(Job { number, queued: Stopwatch::start(), work });
        let depth = queue.jobs.len();
        drop(queue);
        self.filled.notify_one();
        self.meter.waiting(depth);
        Ok(number)
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(Job { queued, work, .. }) = self.next() {
            let begun = Stopwatch::start();
            self.meter.begun(queued.elapsed());
            // A fault in one hash is its caller's: the answer is dropped with it, and the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(work));
            self.meter.done(begun.elapsed());
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                let depth = queue.jobs.len();
                drop(queue);
                self.meter.waiting(depth);
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[derive(Default)]
    struct Counts {
        deepest: AtomicUsize,
        begun: AtomicUsize,
        turned_away: AtomicUsize,
    }

    impl HashMeter for Counts {
        fn waiting(&self, depth: usize) {
            self.deepest.fetch_max(depth, Ordering::Relaxed);
        }

        fn begun(&self, _: Duration) {
            self.begun.fetch_add(1, Ordering::Relaxed);
        }

        fn done(&self, _: Duration) {}

        fn turned_away(&self, _: TurnedAway) {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pool(threads: usize, queue: usize, deadline: Duration) -> (Arc<HashPool>, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let limits = PoolLimits { threads, queue, deadline };
        (Arc::new(HashPool::start(limits, Arc::clone(&counts) as Arc<dyn HashMeter>).unwrap()), counts)
    }

    const LONG: Duration = Duration::from_secs(60);

    /// Something that keeps one thread busy until it is told to end.
    async fn occupied(pool: &Arc<HashPool>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), NotHashed>>) {
        let ((end, ended), (begin, begun)) = (mpsc::channel(), oneshot::channel());
        let pool = Arc::clone(pool);
        let work = move || {
            let _ = begin.send(());
            let _ = ended.recv();
        };
        let running = tokio::spawn(async move { pool.run(work).await });
        begun.await.unwrap();
        (end, running)
    }

    #[tokio::test]
    async fn a_storm_keeps_to_the_bounds_and_whoever_is_turned_away_is_told_at_once() {
        let (pool, counts) = pool(2, 16, LONG);
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let holding = [occupied(&pool).await, occupied(&pool).await];
        let storm: Vec<_> = (0..1_000)
            .map(|_| {
                let (pool, running, most) = (Arc::clone(&pool), Arc::clone(&running), Arc::clone(&most));
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        running.fetch_sub(1, Ordering::SeqCst);
                    };
                    pool.run(work).await
                })
            })
            .collect();
        // All but those that the queue takes are turned away while nothing moves.
        while counts.turned_away.load(Ordering::Relaxed) < 1_000 - 16 {
            tokio::task::yield_now().await;
        }
        assert_eq!((pool.depth(), pool.turn_away()), (16, Some(LONG)), "told without a place in the queue");
        for (end, _) in &holding {
            end.send(()).unwrap();
        }
        let mut done = 0;
        for one in storm {
            match one.await.unwrap() {
                Ok(()) => done += 1,
                Err(NotHashed::Busy { retry_after }) => assert_eq!(retry_after, LONG),
                Err(NotHashed::Gone) => unreachable!("the pool is there"),
            }
        }
        assert_eq!((done, counts.deepest.load(Ordering::Relaxed)), (16, 16));
        assert!(most.load(Ordering::SeqCst) <= 2);
        for (_, running) in holding {
            assert_eq!(running.await.unwrap(), Ok(()));
        }
        assert_eq!(pool.turn_away(), None);
    }

    #[tokio::test]
    async fn nothing_waits_for_longer_than_the_deadline_and_what_was_begun_ends() {
        let (pool, counts) = pool(1, 16, Duration::from_millis(20));
        let (end, running) = occupied(&pool).await;
        let late = pool.run(|| ()).await;
        assert_eq!(late, Err(NotHashed::Busy { retry_after: Duration::from_secs(1) }));
        assert_eq!((pool.depth(), counts.begun.load(Ordering::Relaxed)), (0, 1));
        end.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(()), "longer than the deadline, but begun within it");
    }

    #[tokio::test]
    async fn work_whose_caller_went_away_is_never_begun() {
        let (pool, counts) = pool(1, 16, LONG);
        let (end, running) = occupied(&pool).await;
        let gone = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(|| unreachable!("nobody waits for this")).await })
        };
        while pool.depth() == 0 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.is_err());
        assert_eq!(pool.depth(), 0);
        end.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(()));
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(counts.begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_fault_in_one_hash_is_its_callers_alone() {
        let (pool, _) = pool(1, 16, LONG);
        assert_eq!(pool.run(|| -> () { unreachable!("a fault") }).await, Err(NotHashed::Gone));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[test]
    fn half_of_the_processors_are_left_for_everything_else() {
        let threads = [1, 2, 3, 4, 64].map(PoolLimits::threads_for);
        assert_eq!(threads, [1, 1, 1, 2, 32]);
    }
}
