//! Settings from every source, and every fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod properties;
mod redis;
mod reference;

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

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
    refused(
        "[token]\naccess = 1",
        &[],
        "unknown setting `token.access` in signet.toml: did you mean `tokens.access_lifetime`?",
    );
    refused(
        "",
        &[("SIGNET__TOKEN__ACCESS", "x")],
        "unknown environment variable `SIGNET__TOKEN__ACCESS`: did you mean `SIGNET__TOKENS__ACCESS_LIFETIME`?",
    );
    refused(
        "token.colour = 1",
        &[],
        "unknown setting `token.colour` in signet.toml: no setting of `tokens` resembles it",
    );
    let fault = load("nope.a = 1", &[]).unwrap_err().to_string();
    assert!(fault.contains("there is no such section, known are admin, "), "{fault}");
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
        ("public.workers = 1.5", "`public.workers` (signet.toml) must be a whole number, not 1.5"),
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
            "telemetry.otlp_endpoint = \"http://user:hunter2@collector\"",
            "`telemetry.otlp_endpoint` (signet.toml) must not have a user or a password: those belong into `telemetry.otlp_headers`",
        ),
        (
            "telemetry.otlp_sample_ratio = 1.5",
            "`telemetry.otlp_sample_ratio` (signet.toml) must be a number from 0 to 1, not 1.5",
        ),
        (
            "telemetry.otlp_sample_ratio = \"0.5\"",
            "`telemetry.otlp_sample_ratio` (signet.toml) must be a number from 0 to 1, without quotes",
        ),
        (
            "telemetry.otlp_headers = \"hunter2\"",
            "`telemetry.otlp_headers` (signet.toml) must be headers of the form name=value, separated by commas",
        ),
        (
            "telemetry.otlp_service_name = \"\"",
            "`telemetry.otlp_service_name` (signet.toml) must be a name of 1 to 255 bytes",
        ),
        ("public.workers = 1.5", "`public.workers` (signet.toml) must be a whole number, not 1.5"),
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
            "keys.skew = \"5s\"\nclock.max_skew = \"2s\"",
            "`keys.skew` (signet.toml) must be at least 6s (twice `clock.max_skew` + 2s to store a change), or keys would leave while tokens of theirs live",
        ),
        (
            "keys.lease = \"774s\"",
            "`keys.lease` (signet.toml) must be at most 12m53s (`keys.propagation` - `keys.skew` - 1m7s in which caches keep the JWKS at least), or a replica that can't reach the database would give verifiers a JWKS that lacks a key which signs",
        ),
        (
            "keys.rotate_every = \"1h\"\nkeys.propagation = \"2h\"",
            "`keys.rotate_every` (signet.toml) must be at least 2h (`keys.propagation`), or no successor would be ready in time",
        ),
        (
            "keys.rotate_every = \"1h\"\ntokens.max_access_lifetime = \"1d\"\nkeys.algorithms = [\"ES256\", \"ES384\", \"RS256\", \"PS256\", \"Ed25519\"]",
            "`keys.rotate_every` (signet.toml) would keep 135 keys published, and 40 may be: each of 5 algorithms has an active key, its successor, and those that signed within the last 1d11m (`keys.lease` + `tokens.max_access_lifetime` + `keys.skew`)",
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
fn passwords_are_never_hashed_with_too_little_or_too_much_and_a_pepper_is_no_word() {
    let settings = load("", &[]).unwrap().settings.passwords;
    assert_eq!((settings.hash_memory, settings.hash_passes, settings.hash_lanes), (19_456, 2, 1));
    for fine in ["hash_memory = 7168\nhash_passes = 5", "hash_memory = 47104\nhash_passes = 1"] {
        assert!(load(&format!("[passwords]\n{fine}"), &[]).is_ok(), "{fine}");
    }
    for (wrong, part) in [
        ("hash_memory = 7168", "must be at least 17920 with 2 passes"),
        ("hash_memory = 131072\nhash_passes = 16", "more than 1 GiB"),
        ("min_length = 7", "must be between 8 and 128"),
        ("pepper = \"canary\"", "at least 32 characters"),
        ("former_pepper = \"canary\"", "at least 32 characters"),
    ] {
        let faults = load(&format!("[passwords]\n{wrong}"), &[]).unwrap_err().to_string();
        assert!(faults.contains(part) && !faults.contains("canary"), "{wrong}: {faults}");
    }
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
fn no_session_is_set_to_live_longer_than_the_journal_remembers() {
    let days = crate::tokens::revocation::LONGEST_SESSION.as_secs() / 86_400;
    assert!(load(&format!("[sessions]\nlifetime = \"{days}d\""), &[]).is_ok());
    assert!(load(&format!("[sessions]\nlifetime = \"{}d\"", days + 1), &[]).is_err());
}
