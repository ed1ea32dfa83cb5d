//! An opened installation: its store, master key, keys and directory, as the server and the command line both need it.

use std::fs::File;
use std::sync::Arc;

use super::credentials::CREDENTIALS_FILE;
use super::files::{clear_leftovers, lock};
use super::follower::{Follower, Kept};
use super::host::host_name;
use super::made::Made;
use super::presence::Presence;
use super::redis;
use super::{Parts, StartError, master_key};
use crate::audit::By;
use crate::clients::Directory;
use crate::config::{FOLLOW_BOUND, Settings};
use crate::http::Cursors;
use crate::issuer::Issuer;
use crate::keys::{COMMIT_WITHIN, KeeperSettings, KeyKeeper, KeySpec, Policy};
use crate::store::redis::RedisStore;
use crate::store::sql::{DatabaseUrl, Options, SchemaAction, SqlStore};
use crate::tokens::revocation::LiveRevocations;
use crate::tokens::session::mac::{MacKeeper, MacPolicy};
use crate::tokens::session::{RefreshPolicy, SessionRules, SessionStore, Sessions};
use crate::users::{AttemptStore, Profiles};

/// For what an installation is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// To serve: the embedded default is created where it is missing, and the schema brought up to date.
    Serve,
    /// To set it up by `signet init`: whatever is missing is created.
    Initialise,
    /// To work on what is there: nothing is created.
    Existing,
}

/// An opened installation.
pub struct Opened {
    /// Its database.
    pub store: SqlStore,
    /// Its Redis, where the settings name one.
    pub redis: Option<RedisStore>,
    /// Its signing keys.
    pub keeper: Arc<KeyKeeper>,
    /// The keys of its refresh tokens.
    pub refresh_keys: Arc<MacKeeper>,
    /// Its clients and resources.
    pub directory: Arc<Directory>,
    /// The sessions of people.
    pub sessions: Arc<Sessions>,
    /// What is known to be revoked.
    pub revocations: Arc<LiveRevocations>,
    /// What is known of people.
    pub profiles: Arc<Profiles>,
    /// Who it is.
    pub issuer: Issuer,
    /// Where the pages of the admin API's lists go on.
    pub(super) cursors: Arc<Cursors>,
    pub(super) follower: Arc<Follower>,
    /// Held while something may be created: two starts that would make the same come one after the other.
    setting_up: Option<File>,
}

impl Opened {
    /// Opens the store, the master key and the keys. A start that fails leaves nothing behind that is of no use to the
    /// next.
    pub async fn open(
        settings: &Settings,
        issuer: &Issuer,
        parts: &Parts,
        preparation: Preparation,
    ) -> Result<Self, StartError> {
        // On Postgres only `signet init` makes anything, a lock included.
        let makes = match preparation {
            Preparation::Serve => matches!(settings.database.url, DatabaseUrl::Sqlite(_)),
            Preparation::Initialise => true,
            Preparation::Existing => false,
        };
        let setting_up = if makes { Some(lock_start(settings)?) } else { None };
        if preparation != Preparation::Existing {
            clear_leftovers(&settings.data_dir.join(CREDENTIALS_FILE));
            clear_leftovers(&settings.keys.master_key_file);
        }
        // Before anything is made.
        let redis = match preparation {
            Preparation::Serve => redis::open(settings, parts).await?,
            Preparation::Existing => redis::reach(settings, parts).await?,
            Preparation::Initialise => None,
        };
        let made = Made::watch(settings);
        let opened = Self::open_locked(settings, issuer, parts, preparation, (redis, &made)).await;
        match opened {
            Ok(opened) => Ok(Self { setting_up, ..opened }),
            Err(error) => {
                // Without the lock, what is there may be another's that has just begun.
                if setting_up.is_some() {
                    made.undo().await;
                }
                Err(error)
            }
        }
    }

    /// Where attempts to log in are counted for all replicas.
    pub fn attempts(&self) -> Arc<dyn AttemptStore> {
        match &self.redis {
            Some(redis) => Arc::new(redis.clone()),
            None => Arc::new(self.store.clone()),
        }
    }

    /// The installation is set up: others may start.
    pub(super) fn is_set_up(&mut self) {
        self.setting_up = None;
    }

    async fn open_locked(
        settings: &Settings,
        issuer: &Issuer,
        parts: &Parts,
        preparation: Preparation,
        (redis, made): (Option<RedisStore>, &Made),
    ) -> Result<Self, StartError> {
        let store = open_store(settings, parts, preparation).await?;
        made.note_store(&store);
        prepare_schema(settings, &store, preparation).await?;
        let found = master_key::find(settings, &store, parts, preparation != Preparation::Existing).await?;
        made.note_master_key(found.made);
        let masters = master_key::with_next(settings, found.master)?;
        let store = store.audited_by(master_key::chain(&masters)?);
        let cursors = Arc::new(master_key::cursors(&masters)?);
        // What changes from here on is followed; all that changed before is in what is read next.
        let head = store.changes_after(-1).await?.head;
        let shared = Arc::new(store.clone());
        let (masters, by) = (Arc::new(masters), By::signet(host_name()));
        let keeper = Arc::new(KeyKeeper::new(
            Arc::clone(&shared) as _,
            Arc::clone(&parts.clock),
            Arc::clone(&parts.entropy),
            Arc::clone(&masters),
            KeeperSettings {
                policy: policy(settings),
                ed25519_name: settings.keys.eddsa_name,
                max_clock_skew: settings.clock.max_skew,
                by: by.clone(),
            },
        ));
        let refresh_keys = Arc::new(MacKeeper::new(
            Arc::clone(&shared) as _,
            Arc::clone(&parts.clock),
            Arc::clone(&parts.entropy),
            masters,
            refresh_key_policy(settings),
            by.clone(),
        ));
        if preparation != Preparation::Existing {
            keeper.sweep().await?;
            refresh_keys.sweep().await?;
        }
        keeper.refresh().await?;
        refresh_keys.refresh().await?;
        let sessions: Arc<dyn SessionStore> = match &redis {
            Some(redis) => Arc::new(redis.clone()),
            None => Arc::clone(&shared) as _,
        };
        let revocations = Arc::new(LiveRevocations::new(Arc::clone(&shared) as _));
        let sessions = Arc::new(Sessions::new(
            sessions,
            (Arc::clone(&shared) as _, Arc::clone(&revocations)),
            Arc::clone(refresh_keys.ring()),
            Arc::clone(&parts.entropy),
            issuer.clone(),
            session_rules(settings),
            by,
        ));
        sessions.follow().await?;
        let clock = Arc::clone(&parts.clock);
        let profiles = Arc::new(Profiles::new(Arc::clone(&shared) as _));
        let directory = Arc::new(Directory::new(Arc::clone(&shared) as _, shared, issuer.clone(), clock));
        directory.reload_resources().await?;
        directory.reload_origins().await?;
        let kept = Kept {
            keeper: Arc::clone(&keeper),
            refresh_keys: Arc::clone(&refresh_keys),
            directory: Arc::clone(&directory),
            sessions: Arc::clone(&sessions),
            profiles: Arc::clone(&profiles),
        };
        let follower = Follower::new(
            store.clone(),
            kept,
            Arc::clone(&parts.clock),
            settings.keys.algorithms.clone(),
            head,
            Presence::new(keeper.master_key_ids(), parts.clock.now()),
        );
        let (issuer, follower) = (issuer.clone(), Arc::new(follower));
        Ok(Self {
            store,
            redis,
            keeper,
            refresh_keys,
            directory,
            sessions,
            revocations,
            profiles,
            issuer,
            cursors,
            follower,
            setting_up: None,
        })
    }
}

/// Keeps two starts apart that would make the same: those of one SQLite file, or of one data folder beside Postgres.
fn lock_start(settings: &Settings) -> Result<File, StartError> {
    let path = match &settings.database.url {
        DatabaseUrl::Sqlite(database) => database.with_file_name("start.lock"),
        DatabaseUrl::Postgres(_) => settings.data_dir.join("start.lock"),
    };
    lock(&path).map_err(|why| StartError::File { path, why })
}

/// Opens the database that is there, and nothing else.
pub async fn open_database(settings: &Settings, parts: &Parts) -> Result<SqlStore, StartError> {
    open_store(settings, parts, Preparation::Existing).await
}

/// Opens the database that is there to change it: with the master key, under which changes enter the audit log.
pub async fn open_to_change(settings: &Settings, parts: &Parts) -> Result<SqlStore, StartError> {
    let store = open_database(settings, parts).await?;
    let found = async {
        let own = master_key::find(settings, &store, parts, false).await?.master;
        let masters = master_key::with_next(settings, own)?;
        master_key::check_is_in_use(&store, &masters).await?;
        master_key::chain(&masters)
    };
    match found.await {
        Ok(chain) => Ok(store.audited_by(chain)),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

async fn open_store(settings: &Settings, parts: &Parts, preparation: Preparation) -> Result<SqlStore, StartError> {
    let url = &settings.database.url;
    let options = Options {
        url: url.clone(),
        max_connections: settings.database.max_connections,
        timeout: settings.database.timeout,
        create: preparation != Preparation::Existing,
    };
    let opened = SqlStore::open(&options, Arc::clone(&parts.clock)).await;
    opened.map_err(|why| StartError::Database { database: url.to_string(), why })
}

async fn prepare_schema(settings: &Settings, store: &SqlStore, preparation: Preparation) -> Result<(), StartError> {
    let database = || settings.database.url.to_string();
    let wrong = |why| StartError::Database { database: database(), why };
    let schema = store.schema().await.map_err(wrong)?;
    let action = schema.action().map_err(wrong)?;
    let may_create = preparation == Preparation::Initialise
        || preparation == Preparation::Serve && matches!(settings.database.url, DatabaseUrl::Sqlite(_));
    match action {
        SchemaAction::Nothing => {}
        SchemaAction::Create if may_create => {
            store.migrate().await.map_err(wrong)?;
        }
        SchemaAction::Create => return Err(StartError::NotInitialised { database: database() }),
        SchemaAction::Upgrade if settings.database.auto_migrate && preparation != Preparation::Existing => {
            store.migrate().await.map_err(wrong)?;
        }
        SchemaAction::Upgrade => {
            return Err(StartError::NotMigrated { applied: schema.applied, known: schema.known });
        }
    }
    if !may_create && !store.is_founded().await.map_err(wrong)? {
        return Err(StartError::NotInitialised { database: database() });
    }
    Ok(())
}

/// How the keys of refresh tokens are kept, by the settings. A replica answers no refresh once its lease has ended: so
/// all that may answer one know of a key that has been there for the lease.
fn refresh_key_policy(settings: &Settings) -> MacPolicy {
    let keys = &settings.keys;
    MacPolicy {
        rotate_every: keys.rotate_every,
        lead: keys.lease + FOLLOW_BOUND + COMMIT_WITHIN + keys.skew,
        longest_session: settings.sessions.lifetime,
    }
}

/// How sessions are kept, by the settings.
const fn session_rules(settings: &Settings) -> SessionRules {
    let sessions = &settings.sessions;
    SessionRules { idle: sessions.idle, lifetime: sessions.lifetime, refresh: RefreshPolicy { grace: sessions.grace } }
}

/// How keys are kept, by the settings.
pub fn policy(settings: &Settings) -> Policy {
    let keys = &settings.keys;
    Policy {
        specs: keys.algorithms.iter().map(|algorithm| KeySpec::new(*algorithm, keys.rsa_bits)).collect(),
        rotate_every: keys.rotate_every,
        propagation: keys.propagation,
        lease: keys.lease,
        skew: keys.skew,
        longest_lifetime: settings.tokens.max_access_lifetime.max(settings.tokens.access_lifetime),
    }
}
