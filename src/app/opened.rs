//! An opened installation: its store, master key, keys and directory, as the server and the command line both need it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::files::{Existing, is_open_to_others, write_secret};
use super::follower::Follower;
use super::{Parts, StartError};
use crate::clients::Directory;
use crate::config::Settings;
use crate::issuer::Issuer;
use crate::keys::{KeeperSettings, KeyKeeper, KeySpec, Policy};
use crate::secret::MasterKey;
use crate::store::sql::{DatabaseUrl, Options, SchemaAction, SqlStore};

/// How far this machine's clock may be from the store's before keys are left alone.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(1);

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
    /// Its signing keys.
    pub keeper: Arc<KeyKeeper>,
    /// Its clients and resources.
    pub directory: Arc<Directory>,
    /// Who it is.
    pub issuer: Issuer,
    pub(super) follower: Arc<Follower>,
}

impl Opened {
    /// Opens the store, the master key and the keys.
    pub async fn open(
        settings: &Settings,
        issuer: &Issuer,
        parts: &Parts,
        preparation: Preparation,
    ) -> Result<Self, StartError> {
        let store = open_store(settings, parts, preparation).await?;
        prepare_schema(settings, &store, preparation).await?;
        let master = master_key(settings, &store, parts, preparation).await?;
        // What changes from here on is followed; all that changed before is in what is read next.
        let head = store.changes_after(-1).await?.head;
        let shared = Arc::new(store.clone());
        let keeper = Arc::new(KeyKeeper::new(
            Arc::clone(&shared) as _,
            Arc::clone(&parts.clock),
            Arc::clone(&parts.entropy),
            master,
            KeeperSettings {
                policy: policy(settings),
                ed25519_name: settings.keys.eddsa_name,
                max_clock_skew: MAX_CLOCK_SKEW,
            },
        ));
        if preparation != Preparation::Existing {
            keeper.sweep().await?;
        }
        keeper.refresh().await?;
        let clock = Arc::clone(&parts.clock);
        let directory = Arc::new(Directory::new(Arc::clone(&shared) as _, shared, issuer.clone(), clock));
        directory.reload_resources().await?;
        let follower = Follower::new(
            store.clone(),
            Arc::clone(&keeper),
            Arc::clone(&directory),
            Arc::clone(&parts.clock),
            settings.keys.algorithms.clone(),
            head,
        );
        Ok(Self { store, keeper, directory, issuer: issuer.clone(), follower: Arc::new(follower) })
    }
}

/// Opens the database that is there, and nothing else.
pub async fn open_database(settings: &Settings, parts: &Parts) -> Result<SqlStore, StartError> {
    open_store(settings, parts, Preparation::Existing).await
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

fn policy(settings: &Settings) -> Policy {
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

/// The master key from the settings or its file. It is made only where nothing is sealed yet and it may be: never in
/// place of one that is missing.
async fn master_key(
    settings: &Settings,
    store: &SqlStore,
    parts: &Parts,
    preparation: Preparation,
) -> Result<MasterKey, StartError> {
    let malformed = |error: crate::secret::SecretError| StartError::MasterKey(error.to_string());
    if let Some(text) = &settings.keys.master_key {
        return MasterKey::parse(text.expose()).map_err(malformed);
    }
    let path = &settings.keys.master_key_file;
    let failed = |why| StartError::File { path: path.clone(), why };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            if is_open_to_others(path).map_err(failed)? {
                return Err(StartError::MasterKey(format!(
                    "other users can read {}: set its mode to 0600, and take it for compromised if they are not trusted",
                    path.display()
                )));
            }
            let text = crate::secret::SecretText::new(text);
            MasterKey::parse(text.expose().trim())
                .map_err(|error| StartError::MasterKey(format!("{}: {error}", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let needed = store.master_key_ids().await?;
            if let Some(id) = needed.first() {
                return Err(StartError::MasterKey(format!(
                    "{} is missing, and the stored keys are sealed under the master key {id}: bring it back from its backup",
                    path.display()
                )));
            }
            if preparation == Preparation::Existing {
                return Err(StartError::MasterKey(format!("{} is missing", path.display())));
            }
            let master = MasterKey::generate(&*parts.entropy);
            let text = format!("{}\n", master.to_text().expose());
            match write_secret(path, text.as_bytes(), Existing::Keep) {
                Ok(()) => Ok(master),
                Err(why) => Err(failed(why)),
            }
        }
        Err(why) => Err(failed(why)),
    }
}
