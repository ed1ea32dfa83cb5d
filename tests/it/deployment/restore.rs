//! Backup and restore, by the very lines of docs/operations.md.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::block;
use crate::postgres::Postgres;
use crate::start::program::Program;

/// Runs a block of the paper where the program runs.
#[track_caller]
fn run(program: &Program, mark: &str) -> String {
    let ended = program.shell(&block(mark), Postgres::shared().programs());
    assert_eq!(ended.code, Some(0), "{mark}: {}{}", ended.out, ended.err);
    ended.out
}

/// Serves, takes a backup, changes something, brings the backup back, and answers that all is as it was.
async fn bring_back(program: &Program, kind: &str, elsewhere: impl FnOnce()) {
    assert_eq!(program.run(&["init"]).code, Some(0));
    let credentials = program.credentials();
    let running = program.serve();
    let keys = running.get("/.well-known/jwks.json").await.text;
    running.admin_token(&credentials).await;
    run(program, &format!("backup {kind}"));
    let later = program.run(&["clients", "create", "--id", "later"]);
    assert_eq!(later.code, Some(0), "{}", later.err);
    running.stop();
    elsewhere();
    let listed = run(program, &format!("restore {kind}"));
    assert_eq!(listed.lines().filter(|line| line.trim_start().starts_with("active  ")).count(), 1, "{listed}");
    let running = program.serve();
    assert_eq!(running.get("/.well-known/jwks.json").await.text, keys);
    running.admin_token(&credentials).await;
    // What came after the backup is gone.
    assert_eq!(program.run(&["clients", "show", "later"]).code, Some(1));
    running.stop();
}

#[actix_web::test]
async fn a_backup_of_sqlite_is_brought_back_as_the_paper_says() {
    let program = Program::new();
    bring_back(&program, "sqlite", || {}).await;
    for name in ["signet-backup.db", "data/signet.db"] {
        assert_eq!(fs::metadata(program.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[actix_web::test]
async fn a_dump_of_postgres_is_brought_back_into_another_database_as_the_paper_says() {
    let program = Program::new().with("DATABASE__URL_FILE", "secrets/database-url");
    let file = program.path("secrets/database-url");
    fs::create_dir(program.path("secrets")).unwrap();
    let point_to = |url: String| {
        fs::write(&file, format!("{url}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    point_to(Postgres::shared().database());
    bring_back(&program, "postgres", || point_to(Postgres::shared().database())).await;
}
