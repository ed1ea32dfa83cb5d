//! Files with settings, and with secrets that settings name.

use super::*;

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_place_and_without_its_text() {
    refused(
        "[public]\nbind = \"hunter2",
        &[],
        "signet.toml, line 2, column 16, is not valid TOML: invalid basic string, expected `\"`",
    );
    let faults = sentences("[public]\nbind = \"a\"\nbind = \"hunter2\"", &[]);
    assert_eq!(faults, ["signet.toml, line 3, column 1, is not valid TOML: duplicate key"]);
    let faults = sentences("public.workers = 99999999999999999999", &[]);
    assert!(faults[0].starts_with("signet.toml is not valid TOML: "), "{faults:?}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("signet.toml"), b"data_dir = \"\xff\"").unwrap();
    let fault = Settings::load(None, NO_ENVIRONMENT.into_iter(), folder.path()).unwrap_err();
    assert!(fault.to_string().starts_with("signet.toml can't be read: "), "{fault}");
}

#[test]
fn a_secret_may_come_from_a_file_that_a_setting_names() {
    let folder = folder_with(&[
        ("signet.toml", "database.url_file = \"url\"", 0o644),
        ("url", "postgres://u:hunter2@h/d\r\n\n", 0o640),
    ]);
    let loaded = Settings::load(None, NO_ENVIRONMENT.into_iter(), folder.path()).unwrap();
    let DatabaseUrl::Postgres(url) = &loaded.settings.database.url else { panic!("{loaded:?}") };
    assert_eq!(url.expose(), "postgres://u:hunter2@h/d");
    assert_eq!(source(&loaded, "database.url"), "url (named by database.url_file in signet.toml)");
    assert!(!show(&loaded).contains("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));

    let named = [("SIGNET__DATABASE__URL_FILE", "url")];
    let loaded = Settings::load(None, named.into_iter(), folder.path()).unwrap();
    assert_eq!(
        source(&loaded, "database.url"),
        "url (named by database.url_file in environment SIGNET__DATABASE__URL_FILE)"
    );
    let both = [("SIGNET__DATABASE__URL", "sqlite:x.db")];
    let fault = Settings::load(None, both.into_iter(), folder.path()).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`database.url` (environment SIGNET__DATABASE__URL) and `database.url_file` (signet.toml) exclude each other: keep one"
    );
}

#[test]
fn a_secret_file_that_is_unfit_is_refused_without_repeating_what_may_be_the_secret() {
    let large = "x".repeat(70_000);
    let folder = folder_with(&[
        ("open", "postgres://u:p@h/d", 0o604),
        ("empty", "\n", 0o600),
        ("large", &large, 0o600),
        ("odd", "mysql://u:hunter2@h/d", 0o600),
    ]);
    let start = "`database.url_file` (environment SIGNET__DATABASE__URL_FILE)";
    for (file, sentence) in [
        ("open", format!("{start} names a file that everybody may read: take that away (chmod o-r)")),
        ("empty", format!("{start} names a file that is empty")),
        ("large", format!("{start} names a file that is too large for a secret")),
        (".", format!("{start} names a file that is not a regular file")),
        ("", format!("{start} must be the path of a file")),
        ("odd", "`database.url` (odd (named by database.url_file in environment SIGNET__DATABASE__URL_FILE)) must begin with `sqlite:`, `postgres://` or `postgresql://`".to_owned()),
        ("postgres://u:hunter2@h/d", format!("{start} names a file that can't be read: No such file or directory (os error 2)")),
    ] {
        let environment = [("SIGNET__DATABASE__URL_FILE", file)];
        let faults = Settings::load(None, environment.into_iter(), folder.path()).unwrap_err();
        assert_eq!(faults.to_string(), sentence);
    }
}
