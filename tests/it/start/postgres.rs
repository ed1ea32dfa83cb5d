//! On Postgres nothing is made unasked.

use std::sync::Arc;

use sqlx::{Connection, PgConnection};

use super::program::Program;
use crate::postgres::Postgres;
use crate::world::eventually;

#[actix_web::test]
async fn an_empty_postgres_is_left_alone_until_signet_init() {
    let cluster = Postgres::shared();
    let url = cluster.database();
    let tables = || cluster.psql(&url, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'");
    let program = Program::new().with("DATABASE__URL", &url);
    for verb in [&["serve"][..], &[]] {
        let refused = program.run(verb);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
        assert!(refused.err.contains("signet init"), "{}", refused.err);
        assert_eq!(tables(), "0");
        assert!(program.contents().is_empty(), "{:?}", program.contents().keys());
    }

    // A schema alone is not an installation.
    let migrated = program.run(&["migrate", "--json"]);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let refused = program.run(&["serve"]);
    assert!(refused.code == Some(1) && refused.err.contains("signet init"), "{refused:?}");

    let done = program.run(&["init", "--if-needed", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let result: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let credentials = program.credentials();
    assert_eq!((&result["client_id"], &result["set_up"]), (&credentials.client_id.as_str().into(), &true.into()));
    assert!(!done.out.contains(&credentials.client_secret) && !done.err.contains(&credentials.client_secret));
    let running = program.serve();
    running.admin_token(&credentials).await;

    // Twice is refused, and changes nothing, also while it is served.
    let (files, clients) = (program.contents(), cluster.psql(&url, "SELECT client_id, secrets FROM clients"));
    let again = program.run(&["init"]);
    assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{again:?}");
    assert!(again.err.contains("already") && again.err.contains("roll-secret"), "{}", again.err);
    // Unless that is what was asked for.
    let needless = program.run(&["init", "--if-needed", "--json"]);
    assert_eq!(needless.code, Some(0), "{needless:?}");
    let result: serde_json::Value = serde_json::from_str(&needless.out).unwrap();
    assert_eq!((&result["set_up"], result.get("client_id")), (&false.into(), None));
    assert_eq!(program.contents(), files);
    assert_eq!(cluster.psql(&url, "SELECT client_id, secrets FROM clients"), clients);
    running.admin_token(&credentials).await;
    running.stop();
    program.serve().stop();
}

#[actix_web::test]
async fn init_on_the_embedded_default_is_refused_the_second_time_too() {
    let program = Program::new();
    assert_eq!(program.run(&["init"]).code, Some(0));
    let credentials = program.credentials();
    let again = program.run(&["init"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(program.credentials().client_secret, credentials.client_secret);
    let running = program.serve();
    running.admin_token(&credentials).await;
    running.stop();
}

#[actix_web::test]
async fn two_inits_at_once_leave_one_admin_with_the_credentials_that_stay() {
    let program = Program::new().with("DATABASE__URL", &Postgres::shared().database());
    let outcomes = std::thread::scope(|scope| {
        let both = [scope.spawn(|| program.run(&["init"])), scope.spawn(|| program.run(&["init"]))];
        both.map(|one| one.join().unwrap())
    });
    let mut codes: Vec<_> = outcomes.iter().map(|ended| ended.code.unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1], "{outcomes:?}");
    let running = program.serve();
    running.admin_token(&program.credentials()).await;
    running.stop();
}

#[actix_web::test]
async fn a_migration_may_take_longer_than_the_database_time_out_and_who_waits_for_it_says_so() {
    let cluster = Postgres::shared();
    let url = cluster.database();
    let program = Arc::new(Program::new().with("DATABASE__URL", &url).with("DATABASE__TIMEOUT", "1s"));
    // The migration can't make this table before it is known whether there will be another of that name.
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::query("CREATE TABLE clients (one INT)").execute(&mut *held).await.unwrap();
    let both = [(); 2].map(|()| {
        let program = Arc::clone(&program);
        std::thread::spawn(move || program.run(&["migrate"]))
    });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '3 s'";
    eventually(async || (cluster.psql(&url, waiting) == "2").then_some(())).await;
    held.rollback().await.unwrap();
    let both = both.map(|one| one.join().unwrap());
    assert!(both.iter().all(|ended| ended.code == Some(0)), "{both:?}");
    let told = |words: &str| both.iter().filter(|ended| ended.err.contains(words) || ended.out.contains(words)).count();
    assert_eq!(told("waiting for another process that migrates"), 1, "{both:?}");
    assert_eq!((told("from schema 0"), told("already")), (1, 1), "{both:?}");
}
