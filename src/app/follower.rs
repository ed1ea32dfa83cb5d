//! Follows what other processes change, and does what is due with time.
//!
//! Guarantees: the ring's lease is renewed only after everything that changed before the store was asked has been taken
//! up; a failure loses nothing, the next poll takes up where this one stopped.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signet_verify::Algorithm;
use tracing::{error, info, warn};

use crate::clients::Directory;
use crate::http::{Check, Readiness};
use crate::keys::{KeeperError, KeyKeeper};
use crate::ports::{Clock, StoreError, Timestamp};
use crate::store::sql::{Change, SqlStore};

/// How often expired rows are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// By how much a clock may be set back by those that keep it right.
const BACKWARDS: Duration = Duration::from_secs(1);

/// Why this replica is behind.
#[derive(Debug, thiserror::Error)]
enum Behind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeeperError),
    #[error("this machine's clock says {now}, and said {before} before: it ran backwards")]
    ClockWentBack { now: Timestamp, before: Timestamp },
}

impl Behind {
    /// Whether this machine's clock is wrong: then no lease counts, and a token would be of another time.
    const fn is_the_clock(&self) -> bool {
        matches!(self, Self::ClockWentBack { .. } | Self::Keys(KeeperError::ClockApart { .. }))
    }

    /// Whether the lease is all there is to it: everything this replica knows may still be used.
    const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Unavailable(_)) | Self::Keys(KeeperError::Store(StoreError::Unavailable(_)))
        )
    }
}

/// Keeps one replica up to date.
pub(super) struct Follower {
    store: SqlStore,
    keeper: Arc<KeyKeeper>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    algorithms: Vec<Algorithm>,
    followed: AtomicI64,
    purged_at: AtomicI64,
    /// The latest that this machine's clock has ever said.
    latest: AtomicI64,
    problem: Mutex<Option<Behind>>,
}

impl Follower {
    /// A follower that has taken up everything up to the change `head`.
    pub(super) fn new(
        store: SqlStore,
        keeper: Arc<KeyKeeper>,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        algorithms: Vec<Algorithm>,
        head: i64,
    ) -> Self {
        let [followed, purged_at, latest] = [head, i64::MIN, i64::MIN].map(AtomicI64::new);
        Self { store, keeper, directory, clock, algorithms, followed, purged_at, latest, problem: Mutex::default() }
    }

    /// Follows until it is dropped.
    pub(super) async fn follow(&self, every: Duration) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let failed = self.step().await.err();
            if failed.as_ref().is_some_and(Behind::is_the_clock) {
                self.keeper.ring().suspend();
            }
            self.report(failed);
        }
    }

    /// Closes the store.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    /// Takes up what changed and does what is due, once.
    async fn step(&self) -> Result<(), Behind> {
        let asked_at = self.clock.now();
        let before = Timestamp::from_millis(self.latest.fetch_max(asked_at.millis(), Ordering::AcqRel));
        if asked_at.plus(BACKWARDS) < before {
            return Err(Behind::ClockWentBack { now: asked_at, before });
        }
        let followed = self.followed.load(Ordering::Acquire);
        let changes = self.store.changes_after(followed).await?;
        self.keeper.check_clock(asked_at, changes.now)?;
        match &changes.changes {
            Some(list) if list.is_empty() => self.keeper.ring().confirm(asked_at),
            Some(list) => self.take_up(list).await?,
            None => {
                self.directory.reload().await?;
                self.keeper.refresh().await?;
            }
        }
        self.followed.store(changes.head, Ordering::Release);
        self.keeper.sweep().await?;
        if self.clock.now() >= Timestamp::from_millis(self.purged_at.load(Ordering::Acquire)).plus(PURGE_EVERY) {
            let now = self.store.now().await?;
            self.store.purge_expired(now).await?;
            self.purged_at.store(self.clock.now().millis(), Ordering::Release);
        }
        Ok(())
    }

    async fn take_up(&self, changes: &[Change]) -> Result<(), Behind> {
        for change in changes {
            if let Change::Client(id) = change {
                self.directory.client_changed(id).await?;
            }
        }
        if changes.contains(&Change::Resources) {
            self.directory.reload_resources().await?;
        }
        // Refreshing confirms the ring as of a moment before it asks, so all else has been taken up by then. That is
        // why it comes last, and happens though no key may have changed.
        self.keeper.refresh().await?;
        Ok(())
    }

    /// Says once that following fails, and once that it works again.
    fn report(&self, failed: Option<Behind>) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |behind: &Behind| problem.as_ref().is_some_and(|before| before.is_outage() == behind.is_outage());
        match &failed {
            Some(behind) if known(behind) => {}
            Some(behind) if behind.is_outage() => {
                warn!(error = %behind, "the store can't be followed: signing goes on until the lease ends");
            }
            Some(behind) => error!(error = %behind, "the store can't be followed"),
            None if problem.is_some() => info!("the store is followed again"),
            None => {}
        }
        *problem = failed;
    }
}

impl Readiness for Follower {
    fn checks(&self) -> Vec<Check> {
        let now = self.clock.now();
        // An algorithm that is being introduced signs only once its keys have propagated: no reason to send callers away.
        let refusal = |algorithm: &Algorithm| self.keeper.ring().signer(*algorithm, now).err();
        let all_refused: Option<Vec<_>> = self.algorithms.iter().map(refusal).collect();
        let signing = all_refused.and_then(|refusals| refusals.first().map(ToString::to_string));
        // While the lease holds, this replica can do its work without the store: an outage is in the log until then.
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |behind: &&Behind| signing.is_some() || !behind.is_outage();
        let following = problem.as_ref().filter(counts).map(ToString::to_string);
        vec![Check { name: "keys", problem: signing }, Check { name: "store", problem: following }]
    }
}
