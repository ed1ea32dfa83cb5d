//! How verbs come by what they work on: the settings, the database of an installation, its keys.
//!
//! Guarantees: no verb creates an installation or changes its schema by the way; a database that a verb opened is
//! closed when the verb ends, however it ends.

use std::io::IsTerminal;

use super::{Context, Failure};
use crate::app::{self, Opened, Preparation, StartError};
use crate::clients::Administration;
use crate::config::{Loaded, Settings, Source};
use crate::ports::{StoreError, Timestamp};
use crate::store::sql::{DatabaseUrl, SchemaAction, SqlStore};
use crate::telemetry::{self, Filter, TelemetryError};

/// An open database with the settings that led to it.
pub(super) struct Installation {
    pub(super) settings: Settings,
    pub(super) store: SqlStore,
    /// Changes clients and resources, where the store was opened for that.
    pub(super) administration: Administration,
}

impl Installation {
    /// The store's time: what is written now bears it.
    pub(super) async fn now(&self) -> Result<Timestamp, StoreError> {
        self.store.now().await
    }
}

impl Context {
    /// Runs `act` on the database of an installation, to read it: neither the master key nor any signing key is touched.
    pub(super) async fn with_store<T>(
        &self,
        act: impl AsyncFnOnce(&Installation) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.on_store(false, act).await
    }

    /// Runs `act` on the database of an installation, to change it: the master key enters the changes in the audit log.
    pub(super) async fn changing_store<T>(
        &self,
        act: impl AsyncFnOnce(&Installation) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.on_store(true, act).await
    }

    async fn on_store<T>(
        &self,
        to_change: bool,
        act: impl AsyncFnOnce(&Installation) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let loaded = self.settings()?;
        let _log = quiet_log(&loaded)?;
        check_present(&loaded.settings)?;
        let store = if to_change {
            app::open_to_change(&loaded.settings, &self.parts).await?
        } else {
            app::open_database(&loaded.settings, &self.parts).await?
        };
        let administration = app::administration(&loaded.settings, &loaded.settings.issuer, &store, &self.parts);
        let installation = Installation { settings: loaded.settings, store, administration };
        let done = match check(&installation).await {
            Ok(()) => act(&installation).await,
            Err(error) => Err(error.into()),
        };
        installation.store.close().await;
        done
    }

    /// Runs `act` on a whole installation, its keys included.
    pub(super) async fn with_keys<T>(
        &self,
        act: impl AsyncFnOnce(&Settings, &Opened) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let loaded = self.settings()?;
        let _log = quiet_log(&loaded)?;
        let settings = &loaded.settings;
        check_present(settings)?;
        let opened = Opened::open(settings, &settings.issuer, &self.parts, Preparation::Existing).await?;
        let done = act(settings, &opened).await;
        opened.store.close().await;
        done
    }
}

/// Where nobody has set up anything yet, that is what there is to say.
fn check_present(settings: &Settings) -> Result<(), Failure> {
    match &settings.database.url {
        DatabaseUrl::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => Err(Failure::Refused(format!(
            "there is no database at {} yet: the first start of `signet serve` makes it (or is this the wrong folder?)",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// The database is of this program's schema, and somebody set it up.
async fn check(Installation { settings, store, .. }: &Installation) -> Result<(), StartError> {
    let database = || settings.database.url.to_string();
    let wrong = |why| StartError::Database { database: database(), why };
    let schema = store.schema().await.map_err(wrong)?;
    match schema.action().map_err(wrong)? {
        SchemaAction::Nothing if store.is_founded().await.map_err(wrong)? => Ok(()),
        SchemaAction::Nothing | SchemaAction::Create => Err(StartError::NotInitialised { database: database() }),
        SchemaAction::Upgrade => Err(StartError::NotMigrated { applied: schema.applied, known: schema.known }),
    }
}

/// Logs of a verb that does not serve: warnings and errors only, so that its result stands alone. Whoever set a level
/// gets that.
pub(super) fn quiet_log(loaded: &Loaded) -> Result<telemetry::Guard, TelemetryError> {
    let mut settings = loaded.settings.telemetry.clone();
    let unset = |entry: &crate::config::Entry| entry.key == "telemetry.level" && entry.source == Source::Default;
    if loaded.report.iter().any(unset) {
        settings.level = Filter::parse("warn")?;
    }
    telemetry::install(&settings, std::io::stderr().is_terminal())
}
