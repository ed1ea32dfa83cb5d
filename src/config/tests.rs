//! Settings from every source, every fault, and the reference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Well formed, and no secret: 32 zero bytes.
const MASTER_KEY: &str = "signet-master-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let folder = folder_with(&[("signet.toml", toml, 0o600)]);
    Settings::load(None, environment.iter().copied(), folder.path())
}

fn folder_with(files: &[(&str, &str, u32)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    folder
}

fn defaults() -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.toml");
    fs::write(&file, "").unwrap();
    Settings::load(Some(&file), NO_ENVIRONMENT.into_iter(), Path::new("")).unwrap()
}

/// The sentences of all faults; the settings must be faulty.
fn sentences(toml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let faults = load(toml, environment).expect_err("these settings are faulty");
    faults.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(toml: &str, environment: &[(&str, &str)], sentence: &str) {
    assert_eq!(sentences(toml, environment), [sentence]);
}

fn source(loaded: &Loaded, key: &str) -> String {
    loaded.report.iter().find(|entry| entry.key == key).unwrap().source.to_string()
}

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let Loaded { settings, report } = defaults();
    assert_eq!(settings.issuer.as_str(), "http://127.0.0.1:8080");
    assert!(settings.issuer_follows_bind);
    assert_eq!(settings.data_dir, Path::new("data"));
    assert_eq!(settings.public.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.public.body_limit, 16384);
    assert_eq!(settings.admin.bind.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.database.url, DatabaseUrl::Sqlite(PathBuf::from("data/signet.db")));
    assert!(settings.database.auto_migrate);
    assert_eq!(settings.keys.algorithms, [Algorithm::Es256, Algorithm::Rs256]);
    assert_eq!(settings.keys.propagation, Duration::from_secs(900));
    assert!(settings.keys.master_key.is_none());
    assert_eq!(settings.keys.master_key_file, Path::new("keys/master.key"));
    assert_eq!(settings.tokens.access_lifetime, Duration::from_secs(300));
    assert_eq!(settings.clients.secret_overlap, Duration::from_secs(86_400));
    assert_eq!(settings.telemetry.format, Format::Auto);
    assert!(report.iter().all(|entry| entry.source == Source::Default));
    assert_eq!(report.len(), table().count());
}

#[test]
fn a_certificate_needs_its_key_and_the_key_its_certificate() {
    for (name, section) in [("PUBLIC", "public"), ("ADMIN", "admin")] {
        for (given, missing) in [("certificate", "key"), ("key", "certificate")] {
            let variable = format!("SIGNET__{name}__TLS_{}_FILE", given.to_uppercase());
            refused(
                "",
                &[(&variable, "/tls.pem")],
                &format!(
                    "`{section}.tls_{given}_file` (environment {variable}) needs `{section}.tls_{missing}_file` beside \
                     it: TLS takes a certificate and its private key"
                ),
            );
        }
    }
    let toml = "[public]\ntls_certificate_file = \"c.pem\"\ntls_key_file = \"\"\n";
    refused(toml, &[], "`public.tls_key_file` (signet.toml) must be a path: it is empty");
}

#[test]
fn with_tls_the_issuer_that_follows_the_listener_is_https() {
    let tls = [("SIGNET__PUBLIC__TLS_CERTIFICATE_FILE", "/c.pem"), ("SIGNET__PUBLIC__TLS_KEY_FILE", "/k.pem")];
    for (bind, issuer) in [("127.0.0.1:8443", "https://127.0.0.1:8443"), ("localhost:443", "https://localhost")] {
        let loaded = load("", &[tls[0], tls[1], ("SIGNET__PUBLIC__BIND", bind)]).unwrap();
        assert_eq!(loaded.settings.issuer.as_str(), issuer);
        assert_eq!(loaded.settings.public.tls_key_file.as_deref(), Some(Path::new("/k.pem")));
    }
    let any = load("", &[tls[0], tls[1], ("SIGNET__PUBLIC__BIND", "127.0.0.1:0")]).unwrap().settings;
    assert_eq!(any.issuer_bound_to(8444).as_str(), "https://127.0.0.1:8444");
    assert_eq!(any.issuer_bound_to(443).as_str(), "https://127.0.0.1");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let toml = "data_dir = \"of-file\"\n[public]\nbind = \"127.0.0.1:1\"\nworkers = 3\n";
    let loaded = load(toml, &[("SIGNET__PUBLIC__BIND", "127.0.0.1:2"), ("PATH", "/bin")]).unwrap();
    assert_eq!(loaded.settings.public.bind.port(), 2);
    assert_eq!(loaded.settings.public.workers, 3);
    assert_eq!(source(&loaded, "public.bind"), "environment SIGNET__PUBLIC__BIND");
    assert_eq!(source(&loaded, "public.workers"), "signet.toml");
    assert_eq!(source(&loaded, "public.keep_alive"), "default");
}

#[test]
fn a_named_file_is_read_in_place_of_the_local_one_and_must_exist() {
    let folder = folder_with(&[
        ("signet.toml", "data_dir = \"local\"", 0o600),
        ("other.toml", "\u{feff}data_dir = \"other\"", 0o600),
    ]);
    let load = |file: &str| Settings::load(Some(Path::new(file)), NO_ENVIRONMENT.into_iter(), folder.path());
    let loaded = load("other.toml").unwrap();
    assert_eq!(loaded.settings.data_dir, folder.path().join("other"));
    assert_eq!(source(&loaded, "data_dir"), "other.toml");
    let missing = load("missing.toml").unwrap_err().to_string();
    assert!(missing.starts_with("missing.toml can't be read: No such file"), "{missing}");
    assert!(load(".").unwrap_err().to_string().starts_with(". can't be read: "));
}

#[test]
fn every_type_of_setting_is_read_from_the_environment() {
    let environment = [
        ("SIGNET__ISSUER", "https://login.example.com/t1"),
        ("SIGNET__KEYS__ALGORITHMS", "ES384, Ed25519,PS256"),
        ("SIGNET__KEYS__RSA_BITS", "4096"),
        ("SIGNET__KEYS__EDDSA_NAME", "EdDSA"),
        ("SIGNET__KEYS__MASTER_KEY", MASTER_KEY),
        ("SIGNET__KEYS__ROTATE_EVERY", "1d12h"),
        ("SIGNET__TOKENS__DEFAULT_ALGORITHM", "Ed25519"),
        ("SIGNET__TOKENS__ACCESS_LIFETIME", "90"),
        ("SIGNET__DATABASE__URL", "postgres://u:p@h/d"),
        ("SIGNET__DATABASE__AUTO_MIGRATE", "false"),
        ("SIGNET__TELEMETRY__FORMAT", "json"),
        ("SIGNET__TELEMETRY__LEVEL", "signet=debug,warn"),
        ("SIGNET__ADMIN__BIND", "[::1]:0"),
    ];
    let settings = load("", &environment).unwrap().settings;
    assert_eq!(settings.issuer.path(), "/t1");
    assert!(!settings.issuer_follows_bind);
    assert_eq!(settings.keys.algorithms, [Algorithm::Es384, Algorithm::Ed25519, Algorithm::Ps256]);
    assert_eq!(settings.keys.rsa_bits.bits(), 4096);
    assert_eq!(settings.keys.eddsa_name.of(Algorithm::Ed25519), "EdDSA");
    assert_eq!(settings.keys.master_key.unwrap().expose(), MASTER_KEY);
    assert_eq!(settings.keys.rotate_every, Duration::from_secs(129_600));
    assert_eq!(settings.tokens.access_lifetime, Duration::from_secs(90));
    assert_eq!(settings.database.url.to_string(), "postgres://u:***@h/d");
    assert!(!settings.database.auto_migrate);
    assert_eq!(settings.telemetry.format, Format::Json);
    assert_eq!((settings.admin.bind.host(), settings.admin.bind.port()), ("::1", 0));
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
    refused(
        "[public]\nbnid = \"127.0.0.1:1\"",
        &[],
        "unknown setting `public.bnid` in signet.toml: did you mean `public.bind`?",
    );
    refused(
        "[publik]\nworkers = 1",
        &[],
        "unknown setting `publik.workers` in signet.toml: did you mean `public.workers`?",
    );
    refused(
        "jwks_max_age = 5",
        &[],
        "unknown setting `jwks_max_age` in signet.toml: did you mean `keys.jwks_max_age`?",
    );
    refused("colour = 5", &[], "unknown setting `colour` in signet.toml");
    refused("[colour]", &[], "unknown setting `colour` in signet.toml");
    refused(
        "[public.bind]\nhost = 1",
        &[],
        "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not a table",
    );
    refused("public = 1", &[], "`public` (signet.toml) is a section, which holds settings: it has no value of its own");
    refused(
        "",
        &[("SIGNET__PUBLIC__BNID", "x")],
        "unknown environment variable `SIGNET__PUBLIC__BNID`: did you mean `SIGNET__PUBLIC__BIND`?",
    );
    refused(
        "",
        &[("signet__public__bind", "x")],
        "unknown environment variable `signet__public__bind`: did you mean `SIGNET__PUBLIC__BIND`?",
    );
    refused("", &[("SIGNET__", "x")], "unknown environment variable `SIGNET__`");
}

#[test]
fn variables_that_only_resemble_ours_are_left_alone() {
    // Kubernetes sets such for a service called signet, and for one called signet-public.
    for name in [
        "SIGNET_SERVICE_HOST",
        "SIGNET_SERVICE_PORT",
        "SIGNET_SERVICE_PORT_HTTP",
        "SIGNET_PORT",
        "SIGNET_PORT_8080_TCP",
        "SIGNET_PORT_8080_TCP_ADDR",
        "SIGNET_PUBLIC_SERVICE_HOST",
        "SIGNET_PUBLIC_PORT",
        "SIGNET_CLIENT_SECRET",
        "SIGNET_TEST_SCALE",
        "SIGNET",
        "SIGNET_",
        "SIGNETISSUER",
        "MY_SIGNET_ISSUER",
        "SIGNET_ISSUERS",
        "SIGNET_BIND",
        "signet_issuer",
    ] {
        let loaded = load("", &[(name, "tcp://10.0.0.1")]).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert!(loaded.report.iter().all(|entry| entry.source == Source::Default), "{name}");
    }
}

#[test]
fn a_variable_with_too_few_underscores_is_refused_with_the_right_one() {
    for (written, meant) in [
        ("SIGNET_ISSUER", "SIGNET__ISSUER"),
        ("SIGNET_PUBLIC_BIND", "SIGNET__PUBLIC__BIND"),
        ("SIGNET_PUBLIC__BIND", "SIGNET__PUBLIC__BIND"),
        ("SIGNET__PUBLIC_BIND", "SIGNET__PUBLIC__BIND"),
        ("SIGNET_DATA_DIR", "SIGNET__DATA_DIR"),
        ("SIGNET__DATA__DIR", "SIGNET__DATA_DIR"),
        ("SIGNET_DATABASE_URL", "SIGNET__DATABASE__URL"),
        ("SIGNET_DATABASE_URL_FILE", "SIGNET__DATABASE__URL_FILE"),
        ("SIGNET_KEYS_MASTER_KEY", "SIGNET__KEYS__MASTER_KEY"),
        ("SIGNET_KEYS_MASTER_KEY_FILE", "SIGNET__KEYS__MASTER_KEY_FILE"),
    ] {
        let sentence = format!("unknown environment variable `{written}`: did you mean `{meant}`?");
        refused("", &[(written, "hunter2")], &sentence);
        // The right one beside it does not hide it: which of them holds is not ours to guess.
        assert!(sentences("", &[(written, "x"), (meant, "y")]).contains(&sentence), "{written}");
    }
    for setting in table() {
        let written = source::variable(setting.key).replace("__", "_");
        let found = sentences("", &[(written.as_str(), "x")]);
        let meant = source::variable(setting.key);
        assert_eq!(found, [format!("unknown environment variable `{written}`: did you mean `{meant}`?")]);
    }
}

#[test]
fn a_value_of_the_wrong_type_or_out_of_bounds_is_refused_with_its_key_and_source() {
    for (toml, sentence) in [
        (
            "public.bind = \"8080\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `8080`",
        ),
        (
            "public.bind = \"h:99999\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `h:99999`",
        ),
        (
            "public.bind = \"::1:80\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `::1:80`",
        ),
        ("public.workers = 0", "`public.workers` (signet.toml) must be between 1 and 512"),
        ("public.workers = \"4\"", "`public.workers` (signet.toml) must be a whole number, without quotes"),
        ("public.workers = -1", "`public.workers` (signet.toml) must be a whole number, not -1"),
        ("public.workers = 1.5", "`public.workers` (signet.toml) must be a whole number, not a fraction"),
        (
            "database.auto_migrate = \"yes\"",
            "`database.auto_migrate` (signet.toml) must be true or false, without quotes",
        ),
        ("database.auto_migrate = 1", "`database.auto_migrate` (signet.toml) must be true or false, not 1"),
        (
            "keys.lease = \"5 min\"",
            "`keys.lease` (signet.toml) must be a span of time such as 300s, 15m, 1h30m or 30d, not `5 min`",
        ),
        ("keys.lease = 1", "`keys.lease` (signet.toml) must be between 3s and 1d"),
        ("keys.rsa_bits = 1024", "`keys.rsa_bits` (signet.toml) must be 2048, 3072 or 4096, not 1024"),
        (
            "keys.eddsa_name = \"eddsa\"",
            "`keys.eddsa_name` (signet.toml) must be \"Ed25519\" or \"EdDSA\", not `eddsa`",
        ),
        ("keys.algorithms = \"ES256\"", "`keys.algorithms` (signet.toml) must be a list, such as [\"ES256\"]"),
        ("keys.algorithms = []", "`keys.algorithms` (signet.toml) must name at least one algorithm"),
        ("keys.algorithms = [\"ES256\", \"ES256\"]", "`keys.algorithms` (signet.toml) names ES256 twice"),
        (
            "keys.algorithms = [\"ES256\", \"es384\"]",
            "`keys.algorithms` (signet.toml) must be of ES256, ES384, RS256, PS256, Ed25519, not `es384` (did you mean `ES384`?)",
        ),
        (
            "keys.algorithms = [\"ES256\", \"HS256\"]",
            "`keys.algorithms` (signet.toml) must be of ES256, ES384, RS256, PS256, Ed25519, not `HS256` (did you mean `ES256`?)",
        ),
        (
            "keys.algorithms = [\"ES256\", \"EdDSA\"]",
            "`keys.algorithms` (signet.toml) says `EdDSA`, which is called `Ed25519` here (RFC 9864); what tokens call it is keys.eddsa_name",
        ),
        (
            "telemetry.format = \"xml\"",
            "`telemetry.format` (signet.toml) must be \"auto\", \"text\" or \"json\", not `xml`",
        ),
        (
            "telemetry.level = \"inof\"",
            "`telemetry.level` (signet.toml) must be a level (off, error, warn, info, debug, trace) or such as signet=debug,info, not `inof`",
        ),
        (
            "clients.assertion_max_lifetime = \"61m\"",
            "`clients.assertion_max_lifetime` (signet.toml) must be between 10s and 60m",
        ),
        ("data_dir = \"\"", "`data_dir` (signet.toml) must be a path: it is empty"),
        ("data_dir = 5", "`data_dir` (signet.toml) must be a path, as text, not 5"),
        ("issuer = \"https://example.com/\"", "`issuer` (signet.toml) must not end with a slash: write it without"),
        (
            "issuer = \"http://signet\"",
            "`issuer` (signet.toml) must begin with `https://`: plain http is for loopback hosts only, unless `allow_insecure_issuer = true`",
        ),
        ("database.url = 5", "`database.url` (signet.toml) must be text: sqlite:PATH or postgres://…"),
        ("keys.master_key = \"\"", "`keys.master_key` (signet.toml) is empty"),
        (
            "keys.master_key = \"hunter2\"",
            "`keys.master_key` (signet.toml) is not a master key: it does not begin with \"signet-master-1:\"",
        ),
        ("keys.master_key = []", "`keys.master_key` (signet.toml) must be text"),
    ] {
        refused(toml, &[], sentence);
    }
    refused(
        "",
        &[("SIGNET__PUBLIC__WORKERS", "")],
        "`public.workers` (environment SIGNET__PUBLIC__WORKERS) must be a whole number, not ``",
    );
    refused(
        "",
        &[("SIGNET__KEYS__ALGORITHMS", "")],
        "`keys.algorithms` (environment SIGNET__KEYS__ALGORITHMS) must name at least one algorithm",
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (toml, sentence) in [
        (
            "keys.lease = \"4m\"\nkeys.propagation = \"7m1s\"",
            "`keys.propagation` (signet.toml) must be at least 7m2s (`keys.jwks_max_age` + 60s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.jwks_max_age = \"1h\"",
            "`keys.propagation` (default) must be at least 1h2m2s (`keys.jwks_max_age` + 60s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.lease = \"4s\"\nkeys.jwks_max_age = \"10s\"\nkeys.propagation = \"81s\"",
            "`keys.propagation` (signet.toml) must be at least 1m22s (`keys.jwks_max_age` + 10s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.lease = \"774s\"",
            "`keys.lease` (signet.toml) must be at most 12m53s (`keys.propagation` - `keys.skew` - 67s in which caches keep the JWKS at least), or a replica that can't reach the database would give verifiers a JWKS that lacks a key which signs",
        ),
        (
            "keys.rotate_every = \"1h\"\nkeys.propagation = \"2h\"",
            "`keys.rotate_every` (signet.toml) must be at least 2h (`keys.propagation`), or no successor would be ready in time",
        ),
        (
            "tokens.default_algorithm = \"PS256\"",
            "`tokens.default_algorithm` (signet.toml) is PS256, for which `keys.algorithms` keeps no keys ready",
        ),
        (
            "tokens.access_lifetime = \"2h\"",
            "`tokens.access_lifetime` (signet.toml) must be at most 1h (`tokens.max_access_lifetime`)",
        ),
        (
            "admin.bind = \"127.0.0.1:8080\"",
            "`admin.bind` (signet.toml) is 127.0.0.1:8080, where `public.bind` listens already: they must differ",
        ),
        (
            "keys.master_key = \"signet-master-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\nkeys.master_key_file = \"f\"",
            "`keys.master_key` (signet.toml) and `keys.master_key_file` (signet.toml) exclude each other: keep one",
        ),
        (
            "public.bind = \"10.0.0.1:80\"",
            "`issuer` (default) must be set, as `public.bind` is not a loopback address: the https URL by which services reach Signet",
        ),
    ] {
        refused(toml, &[], sentence);
    }
    assert!(load("keys.propagation = \"7m2s\"\nkeys.lease = \"4m55s\"", &[]).is_ok());
    assert!(load("public.bind = \"[::1]:0\"\nadmin.bind = \"[::1]:0\"", &[]).is_ok());
}

#[test]
fn all_faults_are_reported_at_once() {
    let toml = "colour = 1\n[public]\nbnid = 1\nworkers = 0\n[keys]\njwks_max_age = \"1d\"\nlease = \"?\"";
    let environment = [("SIGNET__ISSUER", "http://signet"), ("SIGNET__ISUER", "x")];
    let faults = load(toml, &environment).unwrap_err();
    let keys = ["colour", "public.bnid", "SIGNET__ISUER", "public.workers", "keys.lease", "issuer", "keys.propagation"];
    assert_eq!(faults.iter().count(), keys.len(), "{faults}");
    for (fault, key) in faults.iter().zip(keys) {
        assert!(fault.to_string().contains(&format!("`{key}`")), "{fault} is not about {key}");
    }
    let text = faults.to_string();
    assert!(text.starts_with("7 faults in the settings:\n  unknown setting `colour`"), "{text}");
    assert_eq!(text.lines().count(), 8);
}

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
fn a_variable_that_is_not_unicode_is_refused_only_when_it_is_ours() {
    let odd = || OsString::from_vec(vec![0xff]);
    let folder = tempfile::tempdir().unwrap();
    let load = |name: OsString| Settings::load(None, [(name, odd())].into_iter(), folder.path());
    assert!(load(OsString::from("PATH")).is_ok());
    assert!(load(odd()).is_ok());
    let fault = load(OsString::from("SIGNET__DATA_DIR")).unwrap_err();
    assert_eq!(fault.to_string(), "`data_dir` (environment SIGNET__DATA_DIR) is not UTF-8 text");
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

#[test]
fn an_issuer_that_nobody_set_follows_the_public_listener() {
    for (bind, issuer) in [
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://127.0.0.1:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("localhost:9000", "http://localhost:9000"),
    ] {
        let settings = load("", &[("SIGNET__PUBLIC__BIND", bind)]).unwrap().settings;
        assert_eq!(settings.issuer.as_str(), issuer, "{bind}");
        assert_eq!(settings.issuer_bound_to(1234).as_str(), issuer, "{bind}");
    }
    let settings = load("", &[("SIGNET__PUBLIC__BIND", "127.0.0.1:0")]).unwrap().settings;
    assert_eq!(settings.issuer_bound_to(1234).as_str(), "http://127.0.0.1:1234");
    let named = [("SIGNET__PUBLIC__BIND", "127.0.0.1:0"), ("SIGNET__ISSUER", "https://a.example")];
    let settings = load("", &named).unwrap().settings;
    assert_eq!(settings.issuer_bound_to(1234).as_str(), "https://a.example");
}

#[test]
fn what_is_shown_is_aligned_redacted_and_names_each_source() {
    let environment = [("SIGNET__DATABASE__URL", "postgres://u:hunter2@h/d"), ("SIGNET__KEYS__MASTER_KEY", MASTER_KEY)];
    let loaded = load("keys.lease = 660", &environment).unwrap();
    let shown = show(&loaded);
    assert!(!shown.contains("hunter2"));
    assert!(!shown.contains("AAAA") && !format!("{loaded:?}").contains("AAAA"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let lines: BTreeMap<&str, &str> = shown.lines().map(|line| line.split_once("  ").unwrap()).collect();
    assert_eq!(lines.len(), table().count());
    assert!(
        lines["database.url"].ends_with("postgres://u:***@h/d  environment SIGNET__DATABASE__URL")
            || lines["database.url"].contains("postgres://u:***@h/d ")
    );
    let columns = |line: &str| {
        let (_, end) = line.split_once("  ").unwrap();
        line.len() - end.trim_start().len()
    };
    assert!(shown.lines().all(|line| columns(line) == columns(shown.lines().next().unwrap())));

    let json = show_json(&loaded);
    let row = |key: &str| json.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("keys.lease"), json!({"key": "keys.lease", "value": "11m", "source": "signet.toml"}));
    assert_eq!(row("keys.algorithms")["value"], json!(["ES256", "RS256"]));
    assert_eq!(row("keys.master_key")["value"], json!("***"));
    assert_eq!(row("database.auto_migrate")["value"], json!(true));
    assert!(!json.to_string().contains("hunter2"));
}

const REFERENCE: &str = include_str!("../../docs/configuration.toml");

#[test]
fn the_reference_is_what_the_table_says() {
    // Where this fails: make docs/configuration.toml what `reference()` gives, and read the difference.
    assert_eq!(REFERENCE, reference());
}

#[test]
fn the_reference_yields_exactly_the_defaults() {
    let folder = folder_with(&[("configuration.toml", REFERENCE, 0o644)]);
    let file = folder.path().join("configuration.toml");
    let of_reference = Settings::load(Some(&file), NO_ENVIRONMENT.into_iter(), Path::new("")).unwrap();
    assert_eq!(format!("{:?}", of_reference.settings), format!("{:?}", defaults().settings));
    let values =
        |loaded: &Loaded| loaded.report.iter().map(|entry| (entry.key, entry.value.clone())).collect::<Vec<_>>();
    assert_eq!(values(&of_reference), values(&defaults()));
}

#[test]
fn the_reference_names_every_setting_and_no_other() {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let (mut named, mut section) = (Vec::new(), String::new());
    for line in REFERENCE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, value)) = line.trim_start_matches("# ").split_once(" = ")
            && is_name(name)
        {
            named.push(format!("{section}{name}"));
            // What is commented out is what may be set as well.
            let value_reads = ::config::Format::parse(&::config::FileFormat::Toml, None, &format!("x = {value}"));
            assert!(value_reads.is_ok(), "{line}");
        }
    }
    let known: Vec<String> = table().flat_map(|row| [Some(row.key.to_owned()), row.file_key()]).flatten().collect();
    assert_eq!(named, known);
}

#[test]
fn every_example_and_bound_of_the_table_is_of_its_type() {
    for row in table().filter(|row| !row.rule.secret) {
        let text = match row.rule.fallback {
            setting::Fallback::Fixed(text) => text,
            setting::Fallback::Computed { example, .. } => example,
            setting::Fallback::Unset { example } => example,
        };
        let (least, most) = row.rule.bounds.unwrap_or((text, text));
        for text in [text, least, most] {
            assert!((row.example)(text).is_some(), "{}: {text}", row.key);
        }
    }
}

#[test]
fn each_bound_is_admitted_and_what_lies_beyond_is_not() {
    for row in table() {
        let Some((least, most)) = row.rule.bounds else { continue };
        let complains = |text: &str| {
            let loaded = load("", &[(source::variable(row.key).as_str(), text)]);
            loaded.is_err_and(|faults| faults.to_string().contains("must be between"))
        };
        assert!(!complains(least) && !complains(most), "{}", row.key);
        let beyond = match duration::parse(most) {
            Some(span) if most.ends_with(|c: char| c.is_ascii_alphabetic()) => {
                duration::write(span + Duration::from_millis(1))
            }
            _ => (most.parse::<u64>().unwrap() + 1).to_string(),
        };
        assert!(complains(&beyond), "{}: {beyond}", row.key);
    }
}

fn any_variable() -> impl Strategy<Value = String> {
    let known: Vec<String> = table()
        .flat_map(|row| [Some(row.key.to_owned()), row.file_key()])
        .flatten()
        .map(|key| source::variable(&key))
        .collect();
    prop_oneof![
        8 => prop::sample::select(known),
        1 => "SIGNET__[A-Z_]{0,12}",
        1 => "[sS]IGNET__.{0,8}",
        1 => ".{0,12}",
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,20}",
        "[0-9]{1,20}[a-z]{0,2}",
        "(https?|postgres|sqlite)://[a-z:@/.0-9]{0,20}",
        "[a-z0-9.\\[\\]:]{0,12}:[0-9]{0,6}",
        Just("true".to_owned()),
        Just("ES256,Ed25519".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_environment_makes_loading_panic_or_breaks_a_line(
        environment in prop::collection::vec((any_variable(), any_value()), 0..8),
    ) {
        match Settings::load(None, environment.into_iter(), Path::new("/nonexistent")) {
            Ok(loaded) => prop_assert_eq!(show(&loaded).lines().count(), table().count()),
            Err(faults) => for fault in faults.iter() {
                prop_assert!(!fault.to_string().chars().any(char::is_control), "{:?}", fault);
            },
        }
    }

    #[test]
    fn no_output_ever_repeats_a_secret(
        environment in prop::collection::vec((any_variable(), any_value()), 0..4),
        key in prop::sample::select(vec![
            "SIGNET__DATABASE__URL", "SIGNET__DATABASE__URL_FILE", "SIGNET__KEYS__MASTER_KEY", "SIGNET__DATABASE__ULR",
        ]),
        before in "[ -~]{0,4}",
        after in "[ -~]{0,4}",
        scheme in prop::sample::select(vec!["postgres://u:", "postgresql://u:", "postgers://u:", "u:", ""]),
    ) {
        let secret = format!("{scheme}{before}CANARY{after}@host/db");
        let environment = environment
            .into_iter()
            .map(|(key, value)| (key, value.replace("CANARY", "")))
            .chain([(key.to_owned(), secret)]);
        let said = match Settings::load(None, environment, Path::new("/nonexistent")) {
            Ok(loaded) => format!("{loaded:?}{}{}", show(&loaded), show_json(&loaded)),
            Err(faults) => format!("{faults:?}{faults}"),
        };
        prop_assert!(!said.contains("CANARY"), "{}", said);
    }

    #[test]
    fn no_file_makes_loading_panic(toml in "(.{0,40}\n){0,4}") {
        let _ = load(&toml, &[]);
    }
}
