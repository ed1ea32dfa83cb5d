//! `signet backup FILE`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::home::Home;

#[test]
fn a_running_store_is_copied_whole_and_the_copy_serves_with_the_same_keys() {
    let home = Home::initialised();
    let _server = home.serve();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    let made = home.json(&["backup", "copy.db"]);
    let copy = home.path("copy.db");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    assert_eq!(made["bytes"], fs::metadata(&copy).unwrap().len());
    assert_eq!(made["master_key_ids"].as_array().unwrap().len(), 1);

    let restored = Home::initialised();
    for name in ["signet.db-wal", "signet.db-shm"] {
        let _ = fs::remove_file(restored.path("data").join(name));
    }
    fs::copy(&copy, restored.path("data/signet.db")).unwrap();
    restored.hand_over();
    assert_eq!(restored.json(&["keys", "list"])["keys"], home.json(&["keys", "list"])["keys"]);
    assert_eq!(restored.json(&["clients", "show", "shop"])["client_id"], "shop");
    restored.run(&["keys", "create", "--algorithm", "ES256"]).ok();
}

#[test]
fn a_backup_overwrites_nothing_and_names_the_master_key_it_needs() {
    let home = Home::initialised();
    let text = home.run(&["backup", "copy.db"]).ok().out;
    assert!(text.contains("only with the master key") && text.contains("keys/master.key"), "{text}");
    home.changes_nothing(&["backup", "copy.db"]).refused(1, &["copy.db exists already"]);
    home.changes_nothing(&["backup", "nowhere/copy.db"]).refused(1, &["nowhere: no such file or directory"]);
    Home::empty().changes_nothing(&["backup", "copy.db"]).refused(1, &["there is no database at data/signet.db"]);
}
