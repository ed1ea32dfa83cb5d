//! Settings from every source, and every fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod issuer;
mod names;
mod properties;
mod redis;
mod reference;
mod values;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
