//! Names that no setting has, and those that only resemble one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

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
fn a_variable_that_is_not_unicode_is_refused_only_when_it_is_ours() {
    let odd = || OsString::from_vec(vec![0xff]);
    let folder = tempfile::tempdir().unwrap();
    let load = |name: OsString| Settings::load(None, [(name, odd())].into_iter(), folder.path());
    assert!(load(OsString::from("PATH")).is_ok());
    assert!(load(odd()).is_ok());
    let fault = load(OsString::from("SIGNET__DATA_DIR")).unwrap_err();
    assert_eq!(fault.to_string(), "`data_dir` (environment SIGNET__DATA_DIR) is not UTF-8 text");
}
