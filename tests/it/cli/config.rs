//! `signet config check` and `signet config show`.

use serde_json::Value;

use super::home::Home;

#[test]
fn settings_in_order_are_said_to_be_so_and_nothing_is_made() {
    let home = Home::empty();
    let ran = home.changes_nothing(&["config", "check"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("the settings are in order\n", ""));
    assert_eq!(home.json(&["config", "check"])["valid"], true);
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_and_changes_nothing() {
    let home = Home::empty();
    home.write("signet.toml", "[public]\nbindd = \"127.0.0.1:0\"\n");
    for verb in [&["config", "check"][..], &["serve"], &["init"], &["keys", "list"]] {
        let parts = ["unknown setting `public.bindd` in signet.toml", "did you mean `public.bind`?"];
        home.changes_nothing(verb).refused(3, &parts);
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    let home = Home::empty();
    let faulty = [("SIGNET__KEYS__ROTATE_EVERY", "1x"), ("SIGNET__PUBLIK__BIND", "1"), ("SIGNET__ISSUER", "ftp://a")];
    let ran = home.run_with(&["config", "check"], &faulty, "");
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    for part in ["3 faults", "keys.rotate_every", "SIGNET__PUBLIK__BIND", "`issuer`"] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    let ran = home.run_with(&["config", "check", "--json"], &faulty, "");
    let told: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, told["exit_code"].as_u64(), told["faults"].as_array().unwrap().len()), (3, Some(3), 3));
}

#[test]
fn the_settings_are_shown_with_their_sources_and_without_secrets() {
    let home = Home::empty();
    let master = "signet-master-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let secrets =
        [("SIGNET__KEYS__MASTER_KEY", master), ("SIGNET__DATABASE__URL", "postgres://signet:hunter2@db/signet")];
    for form in [&["config", "show"][..], &["config", "show", "--json"]] {
        let shown = home.run_with(form, &secrets, "").ok().out;
        assert!(shown.contains("SIGNET__PUBLIC__BIND") && shown.contains("default"), "{shown}");
        assert!(!shown.contains("AAAA") && !shown.contains("hunter2"), "{shown}");
    }
    let entries = home.json(&["config", "show"]);
    let bind = entries.as_array().unwrap().iter().find(|entry| entry["key"] == "public.bind").unwrap();
    assert_eq!(bind["source"], "environment SIGNET__PUBLIC__BIND");
}
