//! `signet keys reseal`.

use serde_json::Value;

use super::home::{Home, count, eventually, sql};

const NEXT: (&str, &str) = ("SIGNET__KEYS__NEXT_MASTER_KEY_FILE", "keys/next.key");

fn reseal(home: &Home) -> super::home::Ran {
    home.run_with(&["keys", "reseal", "--json"], &[NEXT], "")
}

fn generated(home: &Home) -> String {
    let made = home.json(&["keys", "reseal", "--generate", "keys/next.key"]);
    made["master_key_id"].as_str().unwrap().to_owned()
}

#[test]
fn another_master_key_takes_the_place_of_the_one_in_use() {
    let home = Home::initialised();
    home.run(&["keys", "reseal"]).refused(1, &["there is no next master key", "--generate"]);
    let next = generated(&home);
    home.changes_nothing(&["keys", "reseal", "--generate", "keys/next.key"]).refused(1, &["next.key"]);
    let head = home.run(&["audit", "head"]).ok().out;
    let done = reseal(&home).json();
    // The three rows of the first start, and the one that tells of this beginning is new already.
    assert_eq!(
        (&done["master_key_id"], &done["keys"], &done["audit_rows"]),
        (&next.as_str().into(), &5.into(), &3.into())
    );
    // Again: nothing is left.
    let again = reseal(&home).json();
    assert_eq!((&again["keys"], &again["audit_rows"]), (&0.into(), &0.into()));
    // With the old master key alone nothing goes on, with the new one alone everything.
    home.run(&["keys", "create", "--algorithm", "ES256"]).refused(1, &[&next]);
    std::fs::rename(home.path("keys/next.key"), home.path("keys/master.key")).unwrap();
    home.run(&["keys", "create", "--algorithm", "ES256"]).ok();
    home.run(&["audit", "verify", "--head", head.trim()]).ok();
    let acts = home.json(&["audit", "list", "--act", "keys.reseal"]);
    let steps: Vec<&Value> = acts["items"].as_array().unwrap().iter().map(|item| &item["detail"]["step"]).collect();
    assert_eq!(steps, ["done", "begun"]);
}

#[test]
fn a_row_that_does_not_hold_gets_no_new_code() {
    let home = Home::initialised();
    generated(&home);
    sql(&home.path("data/signet.db"), &["UPDATE audit_log SET mac = hash WHERE number = 1"]);
    let refused = reseal(&home);
    assert!(refused.code == 1 && refused.err.contains("audit row 1"), "{}", refused.err);
    let verdict = home.run_with(&["audit", "verify", "--json"], &[NEXT], "");
    assert_eq!(verdict.code, 1);
}

#[test]
fn a_replica_without_the_next_master_key_is_waited_for() {
    let home = Home::initialised();
    generated(&home);
    let server = home.serve();
    let database = home.path("data/signet.db");
    eventually(|| (count(&database, "replicas") == 1).then_some(()));
    let refused = reseal(&home);
    assert!(refused.code == 1 && refused.err.contains("do not have the next master key"), "{}", refused.err);
    drop(server);
}
