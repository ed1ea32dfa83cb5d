//! A start that fails on its way, or that another comes before: what stays of it, and what goes.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use signet::app::{Opened, Parts, Preparation, StartError, block_on, initialise};
use signet::ports::{Entropy, SystemEntropy};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::program::Program;
use crate::app::{Backend, Installation};
use crate::postgres::Postgres;

/// Randomness, before the first of which something else happens: at a known place in the middle of a start.
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Meanwhile {
    fn parts(installation: &Installation, act: impl AsyncFnOnce() + Send + 'static) -> Parts {
        let act: Box<dyn FnOnce() + Send> = Box::new(move || block_on(act()));
        Parts { entropy: Arc::new(Self(Mutex::new(Some(act)))), ..installation.parts() }
    }
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Meanwhile")
    }
}

impl Entropy for Meanwhile {
    fn fill(&self, buf: &mut [u8]) {
        let act = self.0.lock().unwrap().take();
        if let Some(act) = act {
            std::thread::spawn(act).join().unwrap();
        }
        SystemEntropy.fill(buf);
    }
}

const MASTER_KEY: &str = "keys/master.key";
const CREDENTIALS: &str = "data/admin-credentials.json";
const SQLITE: &str = "data/signet.db";

fn path(installation: &Installation, name: &str) -> PathBuf {
    installation.folder.path().join(name)
}

/// Runs a statement on the database and answers the first column.
async fn sql(url: &str, statement: &str) -> Vec<String> {
    let statement = AssertSqlSafe(statement.to_owned());
    if url.starts_with("postgres:") {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
        return rows.iter().map(|row| row.get(0)).collect();
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(url);
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
    let first = rows.iter().map(|row| row.get(0)).collect();
    connection.close().await.unwrap();
    first
}

async fn open(installation: &Installation, parts: &Parts) -> Result<Opened, StartError> {
    let settings = installation.settings();
    Opened::open(&settings, &settings.issuer, parts, Preparation::Initialise).await
}

/// Opens an installation, whose database can't be read any more from the moment between the commit of the first keys
/// and the end of the start.
async fn fail_after_the_first_keys(installation: &Installation, url: &str) {
    let url = url.to_owned();
    let parts = Meanwhile::parts(installation, async move || {
        sql(&url, "ALTER TABLE resources RENAME TO elsewhere").await;
    });
    let Err(error) = open(installation, &parts).await else { panic!("it opened") };
    assert!(error.to_string().contains("resources"), "{error}");
}

#[actix_web::test]
async fn a_master_key_stays_when_a_start_fails_after_keys_were_sealed_under_it() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let postgres = Postgres::shared().database();
        let installation = match backend {
            Backend::Sqlite => Installation::new(),
            Backend::Postgres => Installation::new().with("DATABASE__URL", &postgres),
        };
        let sqlite = path(&installation, SQLITE);
        let url = match backend {
            Backend::Sqlite => {
                // Somebody else's file: it was there before the start.
                std::fs::create_dir(sqlite.parent().unwrap()).unwrap();
                std::fs::write(&sqlite, "").unwrap();
                sqlite.to_str().unwrap()
            }
            Backend::Postgres => &postgres,
        };
        fail_after_the_first_keys(&installation, url).await;
        let master_key = std::fs::read(path(&installation, MASTER_KEY)).unwrap();
        let keys = sql(url, "SELECT kid FROM keys WHERE sealed IS NOT NULL ORDER BY kid").await;
        assert!(!keys.is_empty(), "{backend:?}: the failure came after the commit");
        assert!(!path(&installation, CREDENTIALS).exists());

        sql(url, "ALTER TABLE elsewhere RENAME TO resources").await;
        let parts = installation.parts();
        let opened = open(&installation, &parts).await.unwrap();
        initialise(&installation.settings(), &opened, &parts).await.unwrap();
        drop(opened);
        assert_eq!(std::fs::read(path(&installation, MASTER_KEY)).unwrap(), master_key);
        assert_eq!(sql(url, "SELECT kid FROM keys WHERE sealed IS NOT NULL ORDER BY kid").await, keys);
        let signet = installation.start().await;
        signet.admin_token().await;
        signet.stop().await;
    }
}

#[actix_web::test]
async fn a_database_that_a_failing_start_made_goes_with_its_master_key() {
    let installation = Installation::new();
    let database = path(&installation, SQLITE);
    fail_after_the_first_keys(&installation, database.to_str().unwrap()).await;
    let names = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(path(&installation, folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!((names("data"), names("keys")), (vec!["start.lock".to_owned()], vec![]));
    let signet = installation.start().await;
    signet.admin_token().await;
    signet.stop().await;
}

#[actix_web::test]
async fn of_two_inits_from_two_folders_the_later_keeps_no_master_key_that_opens_nothing() {
    let url = Postgres::shared().database();
    let [first, second] = [(); 2].map(|()| Installation::new().with("DATABASE__URL", &url));
    // The first gets ahead while the second makes its master key.
    let (settings, parts) = (first.settings(), first.parts());
    let parts = Meanwhile::parts(&second, async move || {
        let opened = Opened::open(&settings, &settings.issuer, &parts, Preparation::Initialise).await.unwrap();
        initialise(&settings, &opened, &parts).await.unwrap();
        opened.store.close().await;
    });
    let Err(error) = open(&second, &parts).await else { panic!("it opened") };
    assert!(error.to_string().contains("master key"), "{error}");
    assert!(!path(&second, MASTER_KEY).exists());
    assert!(!path(&second, CREDENTIALS).exists());
    assert!(path(&first, MASTER_KEY).exists());
    let signet = first.start().await;
    signet.admin_token().await;
    signet.stop().await;
}

#[actix_web::test]
async fn of_two_inits_from_two_folders_the_later_keeps_no_credentials_that_never_became_valid() {
    let url = Postgres::shared().database();
    let [first, second] = [(); 2].map(|()| Installation::new().with("DATABASE__URL", &url));
    // Replicas share a master key.
    let master_key = signet::secret::MasterKey::generate(&SystemEntropy).to_text();
    for installation in [&first, &second] {
        let file = path(installation, MASTER_KEY);
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, master_key.expose()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let opened = open(&second, &second.parts()).await.unwrap();
    // The first gets ahead between the second's look whether somebody was, and its own founding.
    let (settings, parts) = (first.settings(), first.parts());
    let parts = Meanwhile::parts(&second, async move || {
        let opened = Opened::open(&settings, &settings.issuer, &parts, Preparation::Initialise).await.unwrap();
        initialise(&settings, &opened, &parts).await.unwrap();
        opened.store.close().await;
    });
    let lost = initialise(&second.settings(), &opened, &parts).await;
    assert!(matches!(lost, Err(StartError::AlreadyInitialised { .. })), "{lost:?}");
    drop(opened);
    assert!(!path(&second, CREDENTIALS).exists());
    // Both serve, with the credentials of the first.
    let signet = second.start().await;
    assert!(signet.credentials.is_none());
    let json = std::fs::read(path(&first, CREDENTIALS)).unwrap();
    let credentials: signet::app::Credentials = serde_json::from_slice(&json).unwrap();
    let form = [("grant_type", "client_credentials")];
    let answer = signet.token(Some((&credentials.client_id, &credentials.client_secret)), &form).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    signet.stop().await;
}

#[actix_web::test]
async fn what_a_killed_process_left_of_a_secret_is_gone_after_the_next_start() {
    let program = Program::new();
    program.serve().stop();
    let before: Vec<_> = program.contents().into_keys().collect();
    for left in ["data/admin-credentials.json.4711.new", "keys/master.key.1.new"] {
        std::fs::write(program.path(left), "half a sec").unwrap();
    }
    let log = program.serve().stop().err;
    assert_eq!(log.matches("left half written").count(), 2, "{log}");
    assert_eq!(program.contents().into_keys().collect::<Vec<_>>(), before);
}
