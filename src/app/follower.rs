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

/// Why this replica is behind.
#[derive(Debug, thiserror::Error)]
enum Behind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeeperError),
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
    problem: Mutex<Option<String>>,
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
        let (followed, purged_at) = (AtomicI64::new(head), AtomicI64::new(i64::MIN));
        Self { store, keeper, directory, clock, algorithms, followed, purged_at, problem: Mutex::default() }
    }

    /// Follows until it is dropped.
    pub(super) async fn follow(&self, every: Duration) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let outcome = self.step().await;
            self.report(outcome.err());
        }
    }

    /// Closes the store.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    /// Takes up what changed and does what is due, once.
    async fn step(&self) -> Result<(), Behind> {
        let asked_at = self.clock.now();
        let followed = self.followed.load(Ordering::Acquire);
        let changes = self.store.changes_after(followed).await?;
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
        match (&failed, problem.is_some()) {
            (Some(Behind::Store(StoreError::Unavailable(_))), false) => {
                warn!(error = %text(&failed), "the store can't be followed: signing goes on until the lease ends");
            }
            (Some(_), false) => error!(error = %text(&failed), "the store can't be followed"),
            (None, true) => info!("the store is followed again"),
            _ => {}
        }
        *problem = failed.map(|failed| failed.to_string());
    }
}

fn text(failed: &Option<Behind>) -> String {
    failed.as_ref().map(ToString::to_string).unwrap_or_default()
}

impl Readiness for Follower {
    fn checks(&self) -> Vec<Check> {
        let now = self.clock.now();
        // An algorithm that is being introduced signs only once its keys have propagated: no reason to send callers away.
        let refusal = |algorithm: &Algorithm| self.keeper.ring().signer(*algorithm, now).err();
        let all_refused: Option<Vec<_>> = self.algorithms.iter().map(refusal).collect();
        let signing = all_refused.and_then(|refusals| refusals.first().map(ToString::to_string));
        // While the lease holds, this replica can do its work without the store: what is wrong with that is in the log.
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let following = problem.filter(|_| signing.is_some());
        vec![Check { name: "keys", problem: signing }, Check { name: "store", problem: following }]
    }
}
