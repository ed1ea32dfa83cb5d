//! Redis: sessions, attempts to log in, and what else lives for a while and must be the same for every replica. [`docs/redis.md`][paper] is the
//! layout, a versioned public interface.
//!
//! Guarantees: every command is answered or fails within `timeout`; while Redis is away commands fail at once, and it is
//! found again without help: restarted, failed over (through Sentinel or in a Cluster), or cut off for a while. No server
//! is used that forgets by itself what it was told, checked at every connection. No password is in an error or in the log.
//! Each script touches the keys of one hash tag.
//!
//! [paper]: https://github.com/signet/signet/blob/main/docs/redis.md

mod attempts;
mod checks;
mod cluster;
mod connect;
mod error;
mod layout;
mod link;
mod namespace;
mod script;
mod sessions;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use self::cluster::{Cluster, slot_of};
use self::connect::{Connector, Target};
use self::error::Failure;
use self::link::{Link, Sent};
pub use self::namespace::Namespace;
use self::script::Lua;
pub use self::url::{Node, RedisUrl};
use crate::ports::{Clock, StoreError, act, name_of};

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is, and as whom. With Sentinels the host is the name by which they know the master.
    pub url: RedisUrl,
    /// How many servers there are, and how the right one is found.
    pub topology: Topology,
    /// The certificates (PEM) of the authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub namespace: Namespace,
    /// The longest that connecting may take, checks included.
    pub connect_timeout: Duration,
    /// The longest that a command may take.
    pub timeout: Duration,
    /// How many replicas must have a change before it is answered; for at most half of `timeout`.
    pub wait_replicas: u32,
}

/// How the server for a key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// There is one.
    Single,
    /// Sentinels say which is the master.
    Sentinel {
        /// Where they are, and as whom they are asked.
        sentinels: RedisUrl,
    },
    /// The nodes of a Cluster say which has its slot.
    Cluster,
}

/// How it goes with Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisHealth {
    /// What is wrong; `None` while it can be used.
    pub problem: Option<String>,
    /// How often a connection was lost.
    pub losses: u64,
    /// How many commands failed.
    pub failures: u64,
    /// How many changes were answered though fewer replicas than `wait_replicas` had them in time.
    pub unreplicated: u64,
    /// What the last probe took; of the slowest node in a Cluster.
    pub latency: Duration,
}

/// A store in Redis. Clones share their connections.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    clock: Arc<dyn Clock>,
    place: Place,
    unreplicated: AtomicU64,
    /// Dropped last: what runs on it ends before.
    _worker: Worker,
}

enum Place {
    One(Link),
    Cluster(Cluster),
}

/// A thread for the connections alone: nothing else that this process does makes them late.
struct Worker {
    runtime: Handle,
    _stop: oneshot::Sender<()>,
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("signet-redis".to_owned()).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, _stop: stop })
    }
}

impl RedisStore {
    /// Connects and checks the servers. A Redis that is away is no error: it is looked for until it is there, and what
    /// needs it fails meanwhile; [`RedisStore::health`] tells.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a server is there that Signet can't or must not use: too old, one that evicts keys, a
    /// wrong password, another layout.
    pub async fn open(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::start(options, clock)?;
        if let Err(Failure::Refused(why)) = store.settled().await {
            return Err(StoreError::Refused(why));
        }
        match store.take_up_layout().await {
            Err(refused @ StoreError::Refused(_)) => Err(refused),
            _ => Ok(store),
        }
    }

    /// The same for a command, which may not need it after all: a server that must not be used is one that is away.
    ///
    /// # Errors
    /// When this machine has no room for one more thread.
    pub async fn reach(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::start(options, clock)?;
        let _ = store.settled().await;
        Ok(store)
    }

    fn start(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let worker =
            Worker::start().map_err(|error| StoreError::Refused(format!("no thread can be had for it: {error}")))?;
        let connector = Arc::new(Connector::new(options.clone()));
        let first = options.url.nodes.first().cloned();
        let first = first.ok_or_else(|| StoreError::Refused("its URL names no host".to_owned()))?;
        let place = match &options.topology {
            Topology::Single => Place::One(Link::start(&connector, Target::Node(first), &worker.runtime)),
            Topology::Sentinel { .. } => {
                Place::One(Link::start(&connector, Target::Master(first.host), &worker.runtime))
            }
            Topology::Cluster => Place::Cluster(Cluster::start(connector, &worker.runtime)),
        };
        let (options, unreplicated) = (options.clone(), AtomicU64::new(0));
        Ok(Self { inner: Arc::new(Inner { options, clock, place, unreplicated, _worker: worker }) })
    }

    async fn settled(&self) -> Result<(), Failure> {
        match &self.inner.place {
            Place::One(link) => link.settled().await,
            Place::Cluster(cluster) => cluster.settled().await,
        }
    }

    /// Why nothing that is asked of it would be answered now, without asking it; `None` where some of a Cluster is there.
    fn outage(&self) -> Option<Failure> {
        match &self.inner.place {
            Place::One(link) => link.problem(),
            Place::Cluster(cluster) => cluster.outage(),
        }
    }

    /// How it goes with it, without asking it.
    pub fn health(&self) -> RedisHealth {
        let (problem, counts) = match &self.inner.place {
            Place::One(link) => (link.problem(), link.counts()),
            Place::Cluster(cluster) => (cluster.problem(), cluster.counts()),
        };
        let problem = problem.map(|failure| failure.to_string());
        let unreplicated = self.inner.unreplicated.load(Ordering::Relaxed);
        RedisHealth { problem, losses: counts.losses, failures: counts.failures, unreplicated, latency: counts.latency }
    }

    /// Runs a script over `keys`, which all bear the hash tag of the first.
    ///
    /// What hardly ever happens is boxed, here and below: the future of a command is copied with every refresh, and with all
    /// ways in it, those through a Cluster too, copying it was a twentieth of what a refresh took.
    async fn run<A: AsRef<[u8]>>(&self, script: &Lua, keys: &[Vec<u8>], arguments: &[A]) -> Result<Value, Failure> {
        let key = keys.first().map_or(&[][..], Vec::as_slice);
        match self.send(key, Sent::One(&script.by_hash(keys, arguments))).await {
            Err(Failure::NoScript) => {
                let by_text = script.by_text(keys, arguments);
                Box::pin(self.send(key, Sent::One(&by_text))).await
            }
            outcome => outcome,
        }
    }

    /// The same for a script that changes something, which replicas are to have as well where the settings say so.
    async fn change<A: AsRef<[u8]>>(&self, script: &Lua, keys: &[Vec<u8>], arguments: &[A]) -> Result<Value, Failure> {
        if self.inner.options.wait_replicas == 0 {
            return self.run(script, keys, arguments).await;
        }
        Box::pin(self.change_and_wait(script, keys, arguments)).await
    }

    async fn change_and_wait<A: AsRef<[u8]>>(
        &self,
        script: &Lua,
        keys: &[Vec<u8>],
        arguments: &[A],
    ) -> Result<Value, Failure> {
        let (replicas, timeout) = (self.inner.options.wait_replicas, self.inner.options.timeout);
        let key = keys.first().map_or(&[][..], Vec::as_slice);
        let and_wait = |command| {
            let mut both = Pipeline::new();
            both.add_command(command);
            both.cmd("WAIT").arg(replicas).arg(u64::try_from(timeout.as_millis() / 2).unwrap_or(u64::MAX).max(1));
            both
        };
        let answers = match self.send(key, Sent::Several(&and_wait(script.by_hash(keys, arguments)))).await {
            Err(Failure::NoScript) => self.send(key, Sent::Several(&and_wait(script.by_text(keys, arguments)))).await?,
            outcome => outcome?,
        };
        let [answer, Value::Int(had)] = <[Value; 2]>::try_from(array(answers)?).map_err(|_| unlike())? else {
            return Err(unlike());
        };
        if had < i64::from(replicas) {
            self.inner.unreplicated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// What a script is to take for the time of Redis.
    fn held(&self) -> Vec<u8> {
        self.inner.clock.held().map(|now| now.millis().to_string().into_bytes()).unwrap_or_default()
    }

    /// Sends to the server that has `key`.
    async fn send(&self, key: &[u8], sent: Sent<'_>) -> Result<Value, Failure> {
        match &self.inner.place {
            Place::One(link) => link.send(sent).await,
            Place::Cluster(cluster) => {
                // Where a command is sent on, all its ways together have the time of one.
                let limit = self.inner.options.timeout;
                let sending = Box::pin(cluster.send(slot_of(key), sent));
                tokio::time::timeout(limit, sending).await.unwrap_or(Err(Failure::Late(limit)))
            }
        }
    }

    /// One act of a port, by its name in traces.
    async fn acting<T, A: Future<Output = Result<T, Failure>> + Send>(&self, work: A) -> Result<T, StoreError> {
        act(name_of::<A>, work).await.map_err(StoreError::from)
    }
}

/// The members of an array.
fn array(value: Value) -> Result<Vec<Value>, Failure> {
    if let Value::Array(members) = value { Ok(members) } else { Err(unlike()) }
}

/// An answer of another shape than the script gives.
fn unlike() -> Failure {
    Failure::Refused("its answer is not understood".to_owned())
}

/// Without its URL.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("options", &self.inner.options).finish_non_exhaustive()
    }
}
