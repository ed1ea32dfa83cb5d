//! The composition root: settings make stores, stores make services, services make routes; bind, run, stop gracefully.

mod banner;
mod behind;
mod credentials;
mod files;
mod first_start;
mod follower;
mod host;
mod listeners;
mod made;
mod master_key;
mod observation;
mod opened;
mod out_of_service;
mod people;
mod presence;
mod readiness;
mod redis;
#[cfg(test)]
mod said;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tracing::info;

use crate::clients::{Administration, AdministrationRules, AssertionRules, Authenticator};
use crate::config::Settings;
use crate::grants::Services;
use crate::http::{
    AccessLog, Admin, Auth, Callers, Description, Guard, Http, Limits, Listener, Metadata, PersonGuard, PublishedKeys,
    TrustedProxies,
};
use crate::issuer::Issuer;
use crate::keys::{ImportRefused, KeeperError};
use crate::ports::{Clock, Entropy, StoreError, SystemClock, SystemEntropy};
use crate::store::sql::SqlStore;
use crate::telemetry::{HashMetrics, Losses, Metrics, TelemetryError, Traces};
use crate::tokens::Minter;
use crate::tokens::session::mac::MacKeeperError;
use crate::users::Accounts;

pub use banner::banner;
pub use credentials::{CREDENTIALS_FILE, Credentials};
pub use files::{Existing, PendingSecret};
pub use first_start::{NewAdmin, initialise};
pub use host::{host_name, operator};
pub use master_key::make_master_key;
pub use opened::{Opened, Preparation, open_database, open_to_change, policy};
pub use people::{People, people};
pub use tls::PairError;

use follower::Follower;
use listeners::{Bound, Servers};
use observation::Replica;
use readiness::Needs;
use tls::{Certificate, End};

/// What the application takes from outside. Tests bring their own clock.
#[derive(Clone)]
pub struct Parts {
    /// This machine's time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for secrets and keys.
    pub entropy: Arc<dyn Entropy>,
    /// How often the store is asked what changed, and certificate files are looked at.
    pub follow_every: Duration,
    /// Where requests leave a line, if anywhere.
    pub access_log: Option<Arc<dyn AccessLog>>,
    /// Counts what the log loses, if there is one.
    pub log_losses: Option<Losses>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            follow_every: Duration::from_secs(1),
            access_log: None,
            log_losses: None,
        }
    }
}

/// Runs `work` on this thread, with all that servers need around it.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

/// Why Signet does not start. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("the database {database} can't be used: {why}")]
    Database {
        /// Which one, without its password.
        database: String,
        /// What is wrong.
        why: StoreError,
    },
    /// Redis.
    #[error("the Redis {redis} can't be used: {why}")]
    Redis {
        /// Which one, without its password.
        redis: String,
        /// What is wrong.
        why: StoreError,
    },
    /// The database holds nothing yet, and is not to be filled unasked.
    #[error("the database {database} is not set up: run `signet init` once")]
    NotInitialised {
        /// Which one.
        database: String,
    },
    /// The schema is old and not to be changed unasked.
    #[error(
        "the database has schema {applied}, and `database.auto_migrate` is false: run `signet migrate` to bring it to {known}"
    )]
    NotMigrated {
        /// The database's schema.
        applied: i64,
        /// This program's.
        known: i64,
    },
    /// Someone else set it up already.
    #[error(
        "the database {database} is set up already; `signet clients roll-secret --admin --write-credentials` replaces a lost secret"
    )]
    AlreadyInitialised {
        /// Which one.
        database: String,
    },
    /// The master key.
    #[error("the master key: {0}")]
    MasterKey(String),
    /// The keys.
    #[error("the signing keys: {0}")]
    Keys(#[from] KeeperError),
    /// The keys of refresh tokens.
    #[error("the keys of refresh tokens: {0}")]
    RefreshKeys(#[from] MacKeeperError),
    /// A file that can't be written or read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// A listener.
    #[error("{listener} can't listen on {address}: {why}")]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: String,
        /// What the system says.
        why: io::Error,
    },
    /// The certificate of a listener.
    #[error(transparent)]
    Tls(#[from] PairError),
    /// The threads that hash passwords.
    #[error("the threads that hash passwords can't be started: {0}")]
    Threads(io::Error),
    /// Metrics or traces.
    #[error("metrics or traces can't be set up: {0}")]
    Telemetry(#[from] TelemetryError),
    /// A store failed on the way.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ImportRefused> for StartError {
    fn from(error: ImportRefused) -> Self {
        Self::Keys(KeeperError::Import(error))
    }
}

/// A Signet that is bound and ready to run.
pub struct Application {
    http: Arc<Http>,
    servers: Servers,
    follower: Arc<Follower>,
    follow_every: Duration,
    certificates: Vec<Certificate>,
    traces: Option<Arc<Traces>>,
    clock: Arc<dyn Clock>,
    public: (SocketAddr, String),
    admin: (SocketAddr, String),
    credentials: Option<PathBuf>,
    first_secret_in_use: bool,
}

impl Application {
    /// Binds both listeners, opens the store, brings keys and schema up to date, and on the embedded default does the
    /// first start. Nothing is created when a listener can't be bound.
    pub async fn build(settings: &Settings, parts: Parts) -> Result<Self, StartError> {
        let bound = Bound::bind(settings, parts.clock.now())?;
        let issuer = settings.issuer_bound_to(bound.public.address.port());
        let mut opened = Opened::open(settings, &issuer, &parts, Preparation::Serve).await?;
        let (first_start, first_secret_in_use) = first_start::complete(settings, &opened, &parts).await?;
        opened.is_set_up();
        let traces = Traces::start(&settings.telemetry, &issuer, opened.store.kind(), &*parts.clock)?.map(Arc::new);
        let seen = Seen { certificates: bound.certificate_ends(), traces: traces.clone() };
        let http = compose(settings, &issuer, &opened, &parts, seen)?;
        let http = Arc::new(http);
        let [public, admin] = [&bound.public, &bound.admin].map(|listener| (listener.address, listener.url()));
        let (servers, certificates) = bound.serve(settings, &http)?;
        Ok(Self {
            http,
            servers,
            follower: opened.follower,
            follow_every: parts.follow_every,
            certificates,
            traces,
            clock: parts.clock,
            public,
            admin,
            credentials: first_start,
            first_secret_in_use,
        })
    }

    /// Where the public listener really listens.
    pub const fn public_address(&self) -> SocketAddr {
        self.public.0
    }

    /// The same with the scheme that it speaks: `https://127.0.0.1:8080`.
    pub fn public_url(&self) -> &str {
        &self.public.1
    }

    /// Where the admin listener really listens.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.0
    }

    /// The same with the scheme that it speaks.
    pub fn admin_url(&self) -> &str {
        &self.admin.1
    }

    /// The issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.http.services.issuer
    }

    /// The file with the first admin client's credentials, while it is there.
    pub fn credentials(&self) -> Option<&PathBuf> {
        self.credentials.as_ref()
    }

    /// Whether the secret of the first start is still valid.
    pub const fn first_secret_in_use(&self) -> bool {
        self.first_secret_in_use
    }

    /// Stops the application gracefully from another task.
    pub fn stopper(&self) -> Stopper {
        Stopper { handles: self.servers.handles() }
    }

    /// Serves until told to stop by [`Stopper::stop`], SIGTERM or SIGINT; then lets requests in flight finish.
    pub async fn run_until_stopped(self) -> Result<(), StartError> {
        let stopper = self.stopper();
        // From before anyone is told that this process listens: a signal without a handler would end it at once.
        let asked_to_stop = stop_signal();
        actix_web::rt::spawn(async move {
            asked_to_stop.await;
            info!("stopping: requests in flight may finish");
            stopper.stop().await;
        });
        let following = {
            let (follower, every, traces) = (Arc::clone(&self.follower), self.follow_every, self.traces.clone());
            // Tasks of the runtime itself, which drops them before it ends: their connections can't be given up later.
            tokio::spawn(async move { follower.follow(every, traces.as_deref()).await })
        };
        let listening = {
            let follower = Arc::clone(&self.follower);
            tokio::spawn(async move { follower.listen().await })
        };
        let watching = actix_web::rt::spawn(tls::watch(self.certificates, self.clock, self.follow_every));
        info!(issuer = self.http.services.issuer.as_str(), public = self.public.1, admin = self.admin.1, "listening");
        let served = self.servers.run().await;
        following.abort();
        listening.abort();
        watching.abort();
        self.follower.close().await;
        if let Some(traces) = &self.traces {
            traces.close().await;
        }
        info!("stopped");
        served
    }
}

/// Stops an application.
#[derive(Clone)]
pub struct Stopper {
    handles: [ServerHandle; 2],
}

impl Stopper {
    /// Takes no new requests and lets those in flight finish, for at most `public.shutdown_grace`.
    pub async fn stop(&self) {
        let [public, admin] = &self.handles;
        public.stop(true).await;
        admin.stop(true).await;
    }
}

/// Handles SIGTERM and SIGINT from now on; what it returns waits for the first of them.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals =
        signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    async {
        let Ok((mut terminate, mut interrupt)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// What changes clients and resources in `store`, as the settings have it.
pub fn administration(settings: &Settings, issuer: &Issuer, store: &SqlStore, parts: &Parts) -> Administration {
    let store = Arc::new(store.clone());
    let rules = AdministrationRules {
        issuer: issuer.clone(),
        longest_lifetime: settings.tokens.max_access_lifetime.max(settings.tokens.access_lifetime),
        algorithms: settings.keys.algorithms.clone(),
        secret_overlap: settings.clients.secret_overlap,
    };
    Administration::new(Arc::clone(&store) as _, store, Arc::clone(&parts.entropy), rules)
}

/// What is not of the installation and has to be seen in the metrics.
struct Seen {
    certificates: Vec<End>,
    traces: Option<Arc<Traces>>,
}

/// What signs people in, as the settings have it.
fn auth(settings: &Settings, issuer: &Issuer, opened: &Opened, accounts: Accounts) -> Auth {
    Auth {
        accounts,
        person: PersonGuard::new(issuer, Arc::clone(opened.keeper.ring()), settings.clock.max_skew),
        registration: settings.auth.registration,
        audit: Arc::new(opened.store.clone()),
    }
}

/// Who may call the admin API, as the settings have it.
fn guard(settings: &Settings, issuer: &Issuer, opened: &Opened) -> Guard {
    let store = Arc::new(opened.store.clone());
    let callers = Callers {
        clients: Arc::clone(&store) as _,
        users: store,
        sessions: Arc::clone(&opened.sessions),
        revocations: Arc::clone(&opened.revocations),
    };
    Guard::new(issuer, Arc::clone(opened.keeper.ring()), callers, settings.clock.max_skew)
}

fn compose(
    settings: &Settings,
    issuer: &Issuer,
    opened: &Opened,
    parts: &Parts,
    seen: Seen,
) -> Result<Http, StartError> {
    let ring = Arc::clone(opened.keeper.ring());
    let tokens = &settings.tokens;
    let minter = Minter::new(issuer.clone(), Arc::clone(&ring), tokens.access_lifetime, tokens.default_algorithm);
    let rules = AssertionRules { issuer: issuer.clone(), max_lifetime: settings.clients.assertion_max_lifetime };
    let directory = Arc::clone(&opened.directory);
    let Seen { certificates, traces } = seen;
    let needs = Arc::new(Needs { follower: Arc::clone(&opened.follower), redis: opened.redis.clone() });
    let replica = Replica {
        needs: Arc::clone(&needs),
        follower: Arc::clone(&opened.follower),
        redis: opened.redis.clone(),
        keeper: Arc::clone(&opened.keeper),
        sessions: Arc::clone(&opened.sessions),
        clock: Arc::clone(&parts.clock),
        log: parts.log_losses.clone(),
        certificates,
        traces: traces.clone(),
    };
    let hashing = Arc::new(HashMetrics::new().map_err(TelemetryError::from)?);
    let people = people(settings, issuer, &opened.store, opened.attempts(), parts, Arc::clone(&hashing) as _)?;
    let admin = Admin {
        guard: guard(settings, issuer, opened),
        cursors: Arc::clone(&opened.cursors),
        limits: Limits { body: Admin::BODY, body_time: settings.public.header_timeout },
        keeper: Arc::clone(&opened.keeper),
        administration: administration(settings, issuer, &opened.store, parts),
        directory: Arc::clone(&directory),
        users: people.administration,
        sessions: Arc::clone(&opened.sessions),
        audit: Arc::new(opened.store.clone()),
    };
    let auth = auth(settings, issuer, opened, people.accounts);
    Ok(Http {
        services: Services {
            issuer: issuer.clone(),
            directory: Arc::clone(&directory),
            minter,
            sessions: Arc::clone(&opened.sessions),
            revocations: Arc::clone(&opened.revocations),
            profiles: Arc::clone(&opened.profiles),
        },
        authenticator: Authenticator::new(directory, Arc::new(opened.store.clone()), rules),
        admin,
        auth,
        keys: PublishedKeys::new(ring, settings.keys.jwks_max_age),
        metadata: Metadata::new(issuer),
        description: Description::new(issuer, &settings.admin.bind.to_string()),
        readiness: needs,
        clock: Arc::clone(&parts.clock),
        limits: Limits { body: settings.public.body_limit, body_time: settings.public.header_timeout },
        metadata_max_age: settings.keys.jwks_max_age,
        access_log: parts.access_log.clone().filter(|_| settings.telemetry.access_log),
        tracer: traces.map(|traces| traces as _),
        meter: Arc::new(Metrics::new(Arc::new(replica), &hashing, parts.clock.now())?),
        over_tls: issuer.as_str().starts_with("https:"),
        proxies: TrustedProxies::new(settings.public.trusted_proxies.clone()),
    })
}

/// The listener's name in messages.
const fn name(listener: Listener) -> &'static str {
    match listener {
        Listener::Public => "the public listener (`public.bind`)",
        Listener::Admin => "the admin listener (`admin.bind`)",
    }
}
