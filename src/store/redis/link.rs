//! A connection to one master, made anew whenever it is lost.
//!
//! Guarantees: a command is answered, or fails, within the time-out. Once the connection is known to be lost commands fail
//! at once, until a new one has been made in the background; nothing is queued for it. An idle connection is probed, so
//! that its loss is noticed before a request meets it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::connect::{Connector, Made, Target};
use super::error::Failure;
use super::url::Node;
use crate::ports::{Entropy, Stopwatch, SystemEntropy};

/// How often the connection is probed.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Every so many probes the Sentinels are asked whether the master is still the master.
const PROBES_A_LOOKUP: u32 = 5;
/// Commands that may be under way. One more than these means that Redis is far behind: it fails at once.
const MOST_UNDER_WAY: usize = 4_096;
/// The pauses between attempts to connect: each twice the one before, between these.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is sent to Redis.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    /// One command.
    One(&'a Cmd),
    /// Several at once, answered by an array.
    Several(&'a Pipeline),
}

/// The connection at the moment.
#[derive(Clone)]
enum State {
    /// The first attempt is under way.
    Starting,
    /// There is one, of that number.
    Up { connection: MultiplexedConnection, node: Node, number: u64 },
    /// There is none.
    Down(Failure),
}

/// A connection that heals itself. Dropping it ends it.
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

struct Shared {
    state: watch::Sender<State>,
    lost: Notify,
    room: Semaphore,
    timeout: Duration,
    losses: AtomicU64,
    failures: AtomicU64,
    /// What the last probe took, in microseconds.
    latency: AtomicU64,
    said: Mutex<Vec<String>>,
}

/// What a link has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) losses: u64,
    pub(super) failures: u64,
    pub(super) latency: Duration,
}

impl Link {
    /// Begins to connect, by tasks on that runtime.
    pub(super) fn start(connector: &Arc<Connector>, target: Target, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Starting),
            lost: Notify::new(),
            room: Semaphore::new(MOST_UNDER_WAY),
            timeout: connector.options.timeout,
            losses: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            said: Mutex::default(),
        });
        let keeper = runtime.spawn(keep(Arc::clone(&shared), Arc::clone(connector), target)).abort_handle();
        Self { shared, keeper }
    }

    /// Sends, and waits for the answer. Of several, the first error is the answer.
    pub(super) async fn send(&self, sent: Sent<'_>) -> Result<Value, Failure> {
        let outcome = self.shared.send(sent).await;
        if outcome.is_err() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Waits for the outcome of the attempt to connect that is under way; whether there is a connection.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Up { .. }) => Ok(()),
            Ok(State::Down(failure)) => Err(failure),
            Ok(State::Starting) | Err(_) => Err(Failure::NotSent("it is not connected yet".to_owned())),
        }
    }

    /// What is wrong with the connection, if there is something.
    pub(super) fn problem(&self) -> Option<Failure> {
        match &*self.shared.state.borrow() {
            State::Up { .. } => None,
            State::Starting => Some(Failure::NotSent("it is not connected yet".to_owned())),
            State::Down(failure) => Some(failure.clone()),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            losses: self.shared.losses.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
            latency: Duration::from_micros(self.shared.latency.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    async fn send(&self, sent: Sent<'_>) -> Result<Value, Failure> {
        let (mut connection, number) = match &*self.state.borrow() {
            State::Up { connection, number, .. } => (connection.clone(), *number),
            State::Starting => return Err(Failure::NotSent("it is not connected yet".to_owned())),
            State::Down(failure) => return Err(not_sent(failure)),
        };
        let Ok(_room) = self.room.try_acquire() else {
            return Err(Failure::NotSent(format!("{MOST_UNDER_WAY} commands are under way already")));
        };
        let answer = async {
            match sent {
                Sent::One(command) => Ok(connection.send_packed_command(command).await?.extract_error()?),
                Sent::Several(pipeline) => {
                    let answers = connection.send_packed_commands(pipeline, 0, pipeline.len()).await?;
                    Ok(Value::Array(answers).extract_error()?)
                }
            }
        };
        let limit = self.timeout;
        let outcome = tokio::time::timeout(limit, answer).await.unwrap_or(Err(Failure::Late(limit)));
        if let Err(failure) = &outcome
            && failure.ends_connection()
        {
            self.lose(number, failure);
        }
        outcome
    }

    /// Takes the connection of that number out of use.
    fn lose(&self, number: u64, why: &Failure) {
        let was_up = self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Up { number: current, .. } if *current == number);
            if is_it {
                *state = State::Down(why.clone());
            }
            is_it
        });
        if was_up {
            self.losses.fetch_add(1, Ordering::Relaxed);
            warn!(error = %not_sent(why), "Redis is lost: calls that need it fail until it is back");
            self.lost.notify_one();
        }
    }

    fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { .. })
    }

    /// There is a connection.
    fn up(&self, made: Made, number: u64) {
        let Made { connection, node, facts } = made;
        info!(version = facts.version, "Redis is connected");
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in facts.warnings.iter().filter(|warning| !said.contains(warning)) {
            warn!("{warning}");
        }
        *said = facts.warnings;
        self.state.send_replace(State::Up { connection, node, number });
    }

    /// There is none, for that reason.
    fn down(&self, failure: Failure) {
        let before = self.state.send_replace(State::Down(failure.clone()));
        let error = not_sent(&failure);
        let is_new = match before {
            State::Down(before) => not_sent(&before).to_string() != error.to_string(),
            State::Starting | State::Up { .. } => true,
        };
        if is_new {
            warn!(%error, "Redis can't be used: calls that need it fail until it can");
        }
    }
}

/// What a failure means for those that come after it.
fn not_sent(failure: &Failure) -> Failure {
    match failure {
        Failure::Late(limit) => Failure::NotSent(format!("it gave no answer within {limit:?}")),
        Failure::Lost(why) => Failure::NotSent(why.clone()),
        other => other.clone(),
    }
}

/// Connects, watches the connection until it is lost, and begins again.
async fn keep(shared: Arc<Shared>, connector: Arc<Connector>, target: Target) {
    let (mut pause, mut number) = (FIRST_PAUSE, 0);
    loop {
        match connector.connect(&target).await {
            Ok(made) => {
                number += 1;
                shared.up(made, number);
                let since = Stopwatch::start();
                watch(&shared, &connector, &target).await;
                if since.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            Err(failure) => shared.down(failure),
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Probes the connection until it is lost.
async fn watch(shared: &Shared, connector: &Connector, target: &Target) {
    let ping = redis::cmd("PING");
    for probe in 1_u32.. {
        tokio::select! {
            () = shared.lost.notified() => {}
            () = tokio::time::sleep(PROBE_EVERY) => {
                let begun = Stopwatch::start();
                // Its failure ends the connection, as that of any other command.
                if shared.send(Sent::One(&ping)).await.is_ok() {
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    shared.latency.store(took, Ordering::Relaxed);
                }
                if let Target::Master(name) = target && probe.is_multiple_of(PROBES_A_LOOKUP) {
                    follow_master(shared, connector, name).await;
                }
            }
        }
        if !shared.is_up() {
            return;
        }
    }
}

/// A master that was cut off from its Sentinels may still answer here, and lose what it is told.
async fn follow_master(shared: &Shared, connector: &Connector, name: &str) {
    let State::Up { node: current, number, .. } = shared.state.borrow().clone() else { return };
    if let Ok(master) = connector.master(name).await
        && master != current
    {
        shared.lose(number, &Failure::Lost("the Sentinels name another master".to_owned()));
    }
}

/// Between half of it and all: many replicas that lost the same server come back one by one.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    SystemEntropy.fill(&mut random);
    pause / 2 + pause / 2 * u32::from(random[0]) / 255
}
