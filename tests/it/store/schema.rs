//! The schema: brought up to date once, whoever comes, and never from a newer version.

use std::time::Duration;

use signet::ports::StoreError;
use signet::store::sql::{Schema, SchemaAction};

use super::{Database, at_once, contract, refusal};

contract! {
    processes_that_migrate_at_once_all_succeed,
    a_second_migration_does_nothing,
    a_database_of_a_newer_signet_is_refused_untouched,
    an_older_schema_asks_for_an_upgrade,
}

async fn processes_that_migrate_at_once_all_succeed(database: &Database) {
    let outcomes = at_once((0..8).map(|_| {
        let database = database.clone();
        async move {
            let store = database.try_open(Duration::from_secs(50)).await?;
            store.migrate().await?;
            store.schema().await
        }
    }))
    .await;
    for outcome in outcomes {
        let schema = outcome.unwrap();
        assert_eq!(schema.action().unwrap(), SchemaAction::Nothing);
    }
    assert_eq!(database.count("_sqlx_migrations").await as i64, database.open().await.schema().await.unwrap().known);
    assert_eq!(database.count("change_counter").await, 1);
}

async fn a_second_migration_does_nothing(database: &Database) {
    let store = database.open_empty().await;
    let before = store.migrate().await.unwrap();
    assert_eq!((before.applied, before.action().unwrap()), (0, SchemaAction::Create));
    let applied = database.sql("SELECT CAST(installed_on AS TEXT) FROM _sqlx_migrations").await;
    let again = store.migrate().await.unwrap();
    assert_eq!(again, Schema { applied: before.known, known: before.known });
    assert_eq!(database.sql("SELECT CAST(installed_on AS TEXT) FROM _sqlx_migrations").await, applied);
}

async fn a_database_of_a_newer_signet_is_refused_untouched(database: &Database) {
    let store = database.open().await;
    database
        .sql("UPDATE _sqlx_migrations SET version = 9000 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .await;
    let schema = store.schema().await.unwrap();
    assert_eq!(schema.applied, 9_000);
    let why = refusal(schema.action());
    assert!(why.contains("newer") && why.contains("9000"), "{why}");
    refusal(store.migrate().await);
    assert_eq!(database.sql("SELECT CAST(MAX(version) AS TEXT) FROM _sqlx_migrations").await, ["9000"]);
}

async fn an_older_schema_asks_for_an_upgrade(database: &Database) {
    let known = database.open().await.schema().await.unwrap().known;
    assert_eq!(Schema { applied: 0, known }.action().unwrap(), SchemaAction::Create);
    assert_eq!(Schema { applied: known, known: known + 1 }.action().unwrap(), SchemaAction::Upgrade);
    assert!(matches!(Schema { applied: known + 1, known }.action(), Err(StoreError::Refused(_))));
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |backend: &str| {
        let folder = format!("{}/migrations/{backend}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}
