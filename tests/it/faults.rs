//! What one fault may take away, and what it may not: a damaged row, a wrong clock, a master key that is no file.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use signet::app::{Preparation, initialise};
use signet::keys::{KeyStore, Purpose};

use crate::app::{Backend, Installation};
use crate::world::{ORDERS, eventually, shop};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];

/// Changes the SQLite database as another program would, and tells replicas that the client changed.
async fn damage(installation: &Installation, sql: &'static str) {
    let path = installation.folder.path().join("data/signet.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    for statement in [
        sql,
        "UPDATE change_counter SET number = number + 1",
        "INSERT INTO changes (number, topic, subject, changed_at) SELECT number, 'client', 'shop', 0 FROM change_counter",
        "UPDATE change_counter SET number = number + 1",
        "INSERT INTO changes (number, topic, subject, changed_at) SELECT number, 'resources', '', 0 FROM change_counter",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

#[actix_web::test]
async fn a_damaged_client_takes_itself_away_and_nobody_else() {
    let installation = Installation::new();
    let (signet, world, secret) = shop(&installation).await;
    let other = world.client("other", json!({"access": {ORDERS: "orders:read"}})).await;
    let ask = async |id: &str, secret: &str| signet.token(Some((id, secret)), &FORM).await.status;
    eventually(async || (ask("other", &other).await == StatusCode::OK).then_some(())).await;

    // As a newer Signet may write it during an upgrade.
    damage(&installation, "UPDATE clients SET grant_types = 'client_credentials telepathy' WHERE client_id = 'shop'")
        .await;
    eventually(async || (ask("shop", &secret).await == StatusCode::INTERNAL_SERVER_ERROR).then_some(())).await;
    assert_eq!(ask("other", &other).await, StatusCode::OK);
    // What changes later is followed all the same.
    world.set_enabled("other", false).await;
    eventually(async || (ask("other", &other).await == StatusCode::UNAUTHORIZED).then_some(())).await;
    world.set_enabled("other", true).await;
    eventually(async || (ask("other", &other).await == StatusCode::OK).then_some(())).await;
    assert_eq!(signet.ready().await.status, StatusCode::OK);
    signet.stop().await;

    let again = installation.start().await;
    assert_eq!(again.token(Some(("other", &other)), &FORM).await.status, StatusCode::OK);
    again.stop().await;
}

#[actix_web::test]
async fn a_damaged_resource_takes_itself_away_and_no_other() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let ask =
        async |resource: &str| signet.token(Some(("shop", &secret)), &[FORM[0], ("resource", resource)]).await.status;
    damage(&installation, "UPDATE resources SET algorithm = 'XS512' WHERE identifier = 'https://billing.example'")
        .await;
    eventually(async || (ask(crate::world::BILLING).await == StatusCode::BAD_REQUEST).then_some(())).await;
    assert_eq!(ask(ORDERS).await, StatusCode::OK);
    assert_eq!(signet.ready().await.status, StatusCode::OK);
    signet.stop().await;
}

#[actix_web::test]
async fn a_replica_whose_clock_is_wrong_signs_nothing_until_it_is_right() {
    let installation = Installation::new().on(Backend::Postgres);
    let opened = installation.open(Preparation::Initialise).await;
    initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
    drop(opened);
    let (signet, _, secret) = shop(&installation).await;
    let ask = async || signet.token(Some(("shop", &secret)), &FORM).await.status;
    let hour = Duration::from_secs(3600);
    for (skew, back) in [(hour, false), (hour, true), (Duration::from_secs(2), false), (Duration::from_secs(2), true)] {
        installation.clock.skew_from_the_store(skew, back);
        eventually(async || (ask().await == StatusCode::SERVICE_UNAVAILABLE).then_some(())).await;
        eventually(async || {
            let ready = signet.ready().await;
            assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
            ready.body["checks"]["store"].as_str().unwrap().contains("clock").then_some(())
        })
        .await;
        assert_eq!(signet.get("/.well-known/jwks.json").await.status, StatusCode::OK);
        // A clock that was ahead does not count as run backwards by being put right.
        installation.clock.skew_from_the_store(Duration::ZERO, false);
        eventually(async || (ask().await == StatusCode::OK).then_some(())).await;
    }
    // Half a second is no reason.
    installation.clock.skew_from_the_store(Duration::from_millis(500), false);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask().await, StatusCode::OK);
    assert_eq!(signet.ready().await.status, StatusCode::OK);
    signet.stop().await;
}

#[actix_web::test]
async fn how_far_a_clock_may_be_off_is_a_setting_and_how_far_it_is_can_be_seen() {
    let installation = Installation::new().on(Backend::Postgres).with("CLOCK__MAX_SKEW", "3s");
    let opened = installation.open(Preparation::Initialise).await;
    initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
    drop(opened);
    let (signet, world, secret) = shop(&installation).await;
    let version = async || world.opened.store.load(Purpose::Signing).await.unwrap().table.version;
    let before = version().await;
    for (skew, back, ready) in [(2_900, true, true), (3_100, true, false), (2_900, false, true), (3_100, false, false)]
    {
        installation.clock.skew_from_the_store(Duration::from_millis(skew), back);
        let shown = f64::from(u32::try_from(skew).unwrap()) / 1000.0 * if back { -1.0 } else { 1.0 };
        eventually(async || {
            let metrics = signet.http.get(format!("{}/metrics", signet.admin)).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            let line = metrics.lines().find_map(|line| line.strip_prefix("signet_store_clock_skew_seconds "))?;
            (line.parse::<f64>().unwrap() == shown).then_some(())
        })
        .await;
        let wanted = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        eventually(async || (signet.ready().await.status == wanted).then_some(())).await;
        let token = signet.token(Some(("shop", &secret)), &FORM).await;
        assert_eq!(token.status, wanted, "{skew} ms");
    }
    // The keys are due for long, and stay as they are while the clock is wrong.
    installation.clock.advance(Duration::from_secs(40 * 86_400));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(version().await, before, "nothing is swept");
    installation.clock.skew_from_the_store(Duration::ZERO, false);
    eventually(async || (version().await > before).then_some(())).await;
    signet.stop().await;
}

#[actix_web::test]
async fn a_clock_set_back_on_the_embedded_default_ends_the_lease_at_once() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let ask = async || signet.token(Some(("shop", &secret)), &FORM).await.status;
    installation.clock.set_back(Duration::from_secs(60));
    eventually(async || (ask().await == StatusCode::SERVICE_UNAVAILABLE).then_some(())).await;
    assert_eq!(signet.ready().await.status, StatusCode::SERVICE_UNAVAILABLE);
    installation.clock.advance(Duration::from_secs(61));
    eventually(async || (ask().await == StatusCode::OK).then_some(())).await;
    signet.stop().await;
}

#[actix_web::test]
async fn a_master_key_that_is_no_private_file_is_refused_and_nothing_is_made() {
    let refusal = async |installation: &Installation| match installation.try_start().await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    let prepared = |make: &dyn Fn(&std::path::Path)| {
        let installation = Installation::new();
        let path = installation.folder.path().join("keys/master.key");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        make(&path);
        installation
    };
    let pipe = prepared(&|path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    assert!(refusal(&pipe).await.contains("is not a file"));
    let endless = prepared(&|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
    assert!(refusal(&endless).await.contains("is not a file"));
    let garbage = prepared(&|path| {
        std::fs::write(path, "x".repeat(100_000)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    assert!(refusal(&garbage).await.contains("does not hold one"));
    for installation in [pipe, endless, garbage] {
        assert!(!installation.folder.path().join("data/signet.db").exists(), "the database it made is gone again");
    }
}
