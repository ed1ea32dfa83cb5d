//! Follows what other processes change, and does what is due with time.
//!
//! Guarantees: the ring's lease is renewed only after everything that changed before the store was asked has been taken
//! up; a failure loses nothing, the next poll takes up where this one stopped. Where the database announces changes, they
//! are taken up at once; without its word, by the next poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use signet_verify::Algorithm;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::behind::{Behind, Problem};
use super::out_of_service::OutOfService;
use super::presence::Presence;
use crate::clients::Directory;
use crate::http::{Check, Readiness};
use crate::keys::{ClockSkew, KeyKeeper, Purpose};
use crate::ports::{ActRecord, Clock, Stopwatch, Timestamp};
use crate::store::sql::{Change, Changes, SqlStore};
use crate::telemetry::{Connections, Round, StoreState, Traces};
use crate::tokens::session::Sessions;
use crate::tokens::session::mac::MacKeeper;
use crate::users::Profiles;

/// How often expired rows are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// The clocks were never compared.
const UNKNOWN: i64 = i64::MIN;

/// How long to wait before listening anew, at first and at most.
const LISTEN_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is kept up to date.
pub(super) struct Kept {
    pub(super) keeper: Arc<KeyKeeper>,
    pub(super) refresh_keys: Arc<MacKeeper>,
    pub(super) directory: Arc<Directory>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) profiles: Arc<Profiles>,
}

/// Keeps one replica up to date.
pub(super) struct Follower {
    store: SqlStore,
    keeper: Arc<KeyKeeper>,
    refresh_keys: Arc<MacKeeper>,
    directory: Arc<Directory>,
    sessions: Arc<Sessions>,
    profiles: Arc<Profiles>,
    clock: Arc<dyn Clock>,
    algorithms: Vec<Algorithm>,
    followed: AtomicI64,
    purged_at: AtomicI64,
    /// The latest that this machine's clock has said while it agreed with the store's.
    latest: AtomicI64,
    /// The number of the last change when the store was last asked.
    head: AtomicI64,
    /// By how many milliseconds this machine's clock was ahead of the store's then.
    clock_ahead: AtomicI64,
    /// How many microseconds the last look at it took, answered or not.
    probe: AtomicU64,
    /// How often it did not answer.
    failures: AtomicU64,
    presence: Presence,
    problem: Problem,
    out_of_service: OutOfService,
    /// The store said that something changed.
    told: Notify,
}

impl Follower {
    /// A follower that has taken up everything up to the change `head`.
    pub(super) fn new(
        store: SqlStore,
        kept: Kept,
        clock: Arc<dyn Clock>,
        algorithms: Vec<Algorithm>,
        head: i64,
        presence: Presence,
    ) -> Self {
        let [followed, purged_at, latest] = [head, i64::MIN, i64::MIN].map(AtomicI64::new);
        let [head, clock_ahead] = [head, UNKNOWN].map(AtomicI64::new);
        let Kept { keeper, refresh_keys, directory, sessions, profiles } = kept;
        Self {
            store,
            keeper,
            refresh_keys,
            directory,
            sessions,
            profiles,
            clock,
            algorithms,
            followed,
            purged_at,
            latest,
            head,
            clock_ahead,
            probe: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            presence,
            problem: Problem::default(),
            out_of_service: OutOfService::default(),
            told: Notify::new(),
        }
    }

    /// Follows until it is dropped: asks every so often, and whenever it is told that something changed.
    pub(super) async fn follow(&self, every: Duration, traces: Option<&Traces>) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.told.notified() => {}
            }
            let failed = match traces {
                None => self.step().await,
                Some(traces) => self.traced_step(traces).await,
            };
            let failed = failed.err();
            if failed.as_ref().is_some_and(Behind::is_the_clock) {
                self.keeper.ring().suspend();
            }
            self.problem.note(failed);
        }
    }

    /// What is known of the store.
    pub(super) fn store_state(&self) -> StoreState {
        let clock_ahead = self.clock_ahead.load(Ordering::Acquire);
        let connections = self.store.connections();
        StoreState {
            reachable: self.problem.look(Behind::is_outage) != Some(true),
            followed: self.followed.load(Ordering::Acquire),
            head: self.head.load(Ordering::Acquire),
            clock_ahead: (clock_ahead != UNKNOWN).then_some(clock_ahead),
            audit_head: self.store.known_audit_head(),
            probe: Duration::from_micros(self.probe.load(Ordering::Relaxed)),
            failures: self.failures.load(Ordering::Relaxed),
            connections: Connections { busy: connections.busy, idle: connections.idle, most: connections.most },
        }
    }

    /// Listens for announcements until it is dropped, over a connection that is made anew when it is lost. Ends at once
    /// where the store makes none.
    pub(super) async fn listen(&self) {
        let (first, most) = LISTEN_AGAIN;
        let (mut pause, mut said) = (first, false);
        loop {
            let listening = Stopwatch::start();
            let lost = match self.store.subscribe().await {
                Ok(None) => return,
                Ok(Some(mut subscription)) => {
                    if std::mem::take(&mut said) {
                        info!("the database announces changes again");
                    }
                    loop {
                        // At first for what was committed before anybody listened.
                        self.told.notify_one();
                        if let Err(lost) = subscription.changed().await {
                            break lost;
                        }
                    }
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut said, true) {
                warn!(error = %lost, "no announcements of changes: they are found by asking, until it can be listened again");
            }
            // A connection that is lost again and again is asked for less and less often.
            pause = if listening.elapsed() > most { first } else { pause };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }

    /// Closes the store, and says that this replica is gone.
    pub(super) async fn close(&self) {
        self.presence.withdraw(&self.store).await;
        self.store.close().await;
    }

    /// A step that leaves a span when it did more than to ask whether anything changed.
    async fn traced_step(&self, traces: &Traces) -> Result<(), Behind> {
        let (at, begun, record) = (self.clock.now(), Stopwatch::start(), ActRecord::begin());
        let done = record.around(self.step()).await;
        let acts = record.into_acts();
        if acts.len() > 1 || done.is_err() {
            traces.round(Round { name: "follow", at, took: begun.elapsed(), failed: done.is_err(), acts });
        }
        done
    }

    /// Takes up what changed and does what is due, once.
    async fn step(&self) -> Result<(), Behind> {
        let asked_at = self.clock.now();
        let followed = self.followed.load(Ordering::Acquire);
        let asking = Stopwatch::start();
        let answer = self.store.changes_after(followed).await;
        self.probe.store(u64::try_from(asking.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if answer.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let answer = answer.map(|changes| (self.observe(&changes, asked_at), changes));
        let before = Timestamp::from_millis(self.latest.load(Ordering::Acquire));
        // So far it may be set back by those that keep it right.
        if asked_at.plus(self.keeper.max_clock_skew()) < before {
            return Err(Behind::ClockWentBack { now: asked_at, before });
        }
        let (skew, changes) = answer?;
        self.keeper.check_clock(skew)?;
        // What a wrong clock said is no measure: once it is right again, it has not run backwards.
        self.latest.fetch_max(asked_at.millis(), Ordering::AcqRel);
        match &changes.changes {
            Some(list) if list.is_empty() => self.keeper.ring().confirm(asked_at),
            Some(list) => self.take_up(list).await?,
            None => {
                self.profiles.forget_all();
                self.directory.reload().await?;
                self.sessions.follow().await?;
                self.refresh_keys.refresh().await?;
                self.keeper.refresh().await?;
            }
        }
        if self.sessions.has_more_to_say() {
            self.sessions.follow().await?;
        }
        let changed = changes.changes.is_none_or(|list| !list.is_empty());
        self.look_at_audit(changed).await;
        self.followed.store(changes.head, Ordering::Release);
        self.keeper.sweep().await?;
        self.out_of_service.note(self.keeper.ring().current().table(), &self.algorithms);
        self.refresh_keys.sweep().await?;
        self.presence.announce(&self.store, changes.now).await;
        let begun = self.clock.now();
        if begun >= Timestamp::from_millis(self.purged_at.load(Ordering::Acquire)).plus(PURGE_EVERY) {
            let now = self.store.now().await?;
            self.store.purge_expired(now).await?;
            self.sessions.forget_expired(now);
            // Since it began: what expired while it went on is for the next one.
            self.purged_at.store(begun.millis(), Ordering::Release);
        }
        Ok(())
    }

    /// Takes note of where the store stands and of how far its clock is, for the metrics too.
    fn observe(&self, changes: &Changes, asked_at: Timestamp) -> ClockSkew {
        self.head.store(changes.head, Ordering::Release);
        let skew = ClockSkew::measure(asked_at, changes.now, self.clock.now());
        self.clock_ahead.store(skew.ahead_millis(), Ordering::Release);
        skew
    }

    async fn take_up(&self, changes: &[Change]) -> Result<(), Behind> {
        for change in changes {
            match change {
                Change::Client(id) => self.directory.client_changed(id).await?,
                Change::User(id) => self.profiles.changed(id),
                Change::Keys(_) | Change::Resources | Change::Revocations => {}
            }
        }
        if changes.contains(&Change::Resources) {
            self.directory.reload_resources().await?;
        }
        if changes.contains(&Change::Revocations) {
            self.sessions.follow().await?;
        }
        if changes.contains(&Change::Keys(Purpose::SessionMac.name().to_owned())) {
            self.refresh_keys.refresh().await?;
        }
        // Refreshing confirms the ring as of a moment before it asks, so all else has been taken up by then. That is
        // why it comes last, and happens though no key may have changed.
        self.keeper.refresh().await?;
        Ok(())
    }

    /// Takes note of the audit log's head, for the metrics: after a change, which may have set it back with all the rest.
    /// No reason to stop following when that fails.
    async fn look_at_audit(&self, changed: bool) {
        if (changed || self.store.known_audit_head().is_none())
            && let Err(error) = self.store.audit_head().await
        {
            warn!(%error, "the head of the audit log can't be read");
        }
    }
}

impl Readiness for Follower {
    fn checks(&self) -> Vec<Check> {
        let now = self.clock.now();
        let refusal = |algorithm: &Algorithm| Some((*algorithm, self.keeper.ring().signer(*algorithm, now).err()?));
        let refused: Vec<_> = self.algorithms.iter().filter_map(refusal).collect();
        let none_signs = refused.len() == self.algorithms.len();
        let signing = refused.first().filter(|_| none_signs).map(|(_, why)| why.to_string());
        // One that is being introduced, or that another replica's settings took out of service, is missing everywhere: no
        // reason to send callers of the others away.
        let missing: Vec<_> = refused.iter().map(|(algorithm, _)| algorithm.name()).collect();
        let missing = (!none_signs && !missing.is_empty()).then(|| format!("no key signs with {}", missing.join(", ")));
        // While the lease holds, this replica can do its work without the store: an outage is in the log until then.
        let counts = |behind: &Behind| signing.is_some() || !behind.is_outage();
        let following = self.problem.look(|behind| counts(behind).then(|| behind.to_string())).flatten();
        vec![
            Check { name: "keys", problem: signing, required: true },
            Check { name: "algorithms", problem: missing, required: false },
            Check { name: "store", problem: following, required: true },
        ]
    }
}
