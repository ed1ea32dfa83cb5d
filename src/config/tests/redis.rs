//! The settings of Redis, and what holds between them.

use super::*;

const URL: (&str, &str) = ("SIGNET__REDIS__URL", "redis://signet:hunter2@10.0.0.1");
const SENTINELS: (&str, &str) = ("SIGNET__REDIS__SENTINELS", "redis://:hunter2@10.0.0.2,10.0.0.3:26380");

#[test]
fn without_a_url_there_is_no_redis_and_nothing_beside_it() {
    assert!(defaults().settings.redis.url.is_none());
    for (name, key, value) in [
        ("SIGNET__REDIS__SENTINELS", "redis.sentinels", "redis://h"),
        ("SIGNET__REDIS__CLUSTER", "redis.cluster", "true"),
        ("SIGNET__REDIS__CA_FILE", "redis.ca_file", "/ca.crt"),
    ] {
        refused("", &[(name, value)], &format!("`{key}` (environment {name}) needs `redis.url` beside it"));
    }
    load("", &[("SIGNET__REDIS__CLUSTER", "false")]).unwrap();
}

#[test]
fn every_way_to_redis_can_be_set() {
    let redis = |environment: &[(&str, &str)]| load("", environment).unwrap().settings.redis;
    assert_eq!(redis(&[URL]).url.unwrap().to_string(), "redis://signet:***@10.0.0.1");
    let cluster = [("SIGNET__REDIS__URL", "rediss://a,b:1"), ("SIGNET__REDIS__CLUSTER", "true")];
    assert_eq!(redis(&cluster).url.unwrap().nodes.len(), 2);
    let watched = redis(&[("SIGNET__REDIS__URL", "redis://main"), SENTINELS]);
    assert_eq!(watched.sentinels.unwrap().to_string(), "redis://:***@10.0.0.2,10.0.0.3:26380");
    let with_ca = [("SIGNET__REDIS__URL", "rediss://a"), ("SIGNET__REDIS__CA_FILE", "/ca.crt")];
    assert_eq!(redis(&with_ca).ca_file.as_deref(), Some(Path::new("/ca.crt")));
}

#[test]
fn what_contradicts_itself_is_refused_with_what_to_do() {
    const KEY: &str = "`redis.url` (environment SIGNET__REDIS__URL)";
    let with = |name: &'static str, value: &'static str| (name, value);
    for (environment, sentence) in [
        (
            vec![with("SIGNET__REDIS__URL", "redis://a,b")],
            format!("{KEY} names several hosts, which only a Cluster has: set `redis.cluster`, or name one"),
        ),
        (
            vec![with("SIGNET__REDIS__URL", "redis://a/1"), with("SIGNET__REDIS__CLUSTER", "true")],
            format!("{KEY} names a database, and a Cluster has only 0"),
        ),
        (
            vec![with("SIGNET__REDIS__URL", "redis://a:6379"), SENTINELS],
            format!("{KEY} must name one host without a port, the name of the master, as `redis.sentinels` is set"),
        ),
        (
            vec![URL, with("SIGNET__REDIS__CA_FILE", "/ca.crt")],
            "`redis.ca_file` (environment SIGNET__REDIS__CA_FILE) is of no use without TLS: `redis.url` begins with \
             redis://"
                .to_owned(),
        ),
        (
            vec![URL, SENTINELS, with("SIGNET__REDIS__CLUSTER", "true")],
            "`redis.sentinels` (environment SIGNET__REDIS__SENTINELS) excludes `redis.cluster`: a Cluster has no \
             Sentinels, it fails over by itself"
                .to_owned(),
        ),
        (
            vec![URL, with("SIGNET__REDIS__NAMESPACE", "Signet")],
            "`redis.namespace` (environment SIGNET__REDIS__NAMESPACE) must be 1 to 32 small letters, digits, `-`, `_` \
             and `.`, not `Signet`"
                .to_owned(),
        ),
        (
            vec![with("SIGNET__REDIS__URL", "postgres://u:hunter2@h/d")],
            format!("{KEY} must begin with `redis://` or, for TLS, `rediss://`"),
        ),
        (
            vec![with("SIGNET__REDIS__ULR", "redis://u:hunter2@h")],
            "unknown environment variable `SIGNET__REDIS__ULR`: did you mean `SIGNET__REDIS__URL`?".to_owned(),
        ),
    ] {
        refused("", &environment, &sentence);
    }
}

#[test]
fn the_url_of_redis_may_come_from_a_file_and_all_faults_are_told_at_once() {
    let folder =
        folder_with(&[("signet.toml", "redis.url_file = \"url\"", 0o600), ("url", "redis://:hunter2@h\n", 0o600)]);
    let loaded = Settings::load(None, NO_ENVIRONMENT.into_iter(), folder.path()).unwrap();
    assert_eq!(loaded.settings.redis.url.clone().unwrap().to_string(), "redis://:***@h");
    assert!(!format!("{loaded:?}{}", show(&loaded)).contains("hunter2"));
    let toml = "[redis]\nurl = \"redis://a,b\"\ntimeout = \"1ms\"\nwait_replicas = 11\n";
    let faults = sentences(toml, &[]);
    assert_eq!(faults.len(), 3, "{faults:?}");
}
