//! `signet audit list|verify|head`.

use super::home::{Home, sql};

#[test]
fn what_was_done_is_listed_with_who_did_it() {
    let home = Home::initialised();
    home.run(&["resources", "create", "https://orders.example", "--scope", "read"]).ok();
    let listed = home.json(&["audit", "list"]);
    let acts: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["resources.create", "installation.init", "keys.sweep", "keys.sweep"]);
    let newest = &listed["items"][0];
    assert_eq!((&newest["subject"], &newest["number"]), (&"https://orders.example".into(), &4.into()));
    assert_eq!(newest["actor_kind"], "operator", "{newest}");
    assert_eq!(newest["detail"]["resource"]["scopes"][0], "read");
    let table = home.run(&["audit", "list", "--act", "resources.create"]).ok().out;
    assert!(table.starts_with("NO ") && table.lines().count() == 2, "{table}");
    assert_eq!(home.run(&["audit", "list", "--subject", "nobody"]).ok().out, "Nothing that was done fits.\n");
    let refused = home.run(&["audit", "list", "--act", "keys.turn"]);
    assert!(refused.code == 2 && refused.err.contains("keys.rotate"), "{}", refused.err);
}

#[test]
fn a_log_that_nobody_touched_holds_and_a_changed_one_does_not() {
    let home = Home::initialised();
    let head = home.run(&["audit", "head"]).ok().out;
    let held = home.changes_nothing(&["audit", "verify", "--head", head.trim()]).ok().out;
    assert!(held.contains("holds: 3 rows") && held.contains(head.trim()), "{held}");
    sql(&home.path("data/signet.db"), &["UPDATE audit_log SET origin = 'elsewhere' WHERE number = 1"]);
    let ran = home.run(&["audit", "verify"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("row 1: its hash does not fit"), "{}", ran.out);
    assert!(ran.err.contains("the audit log does not hold: 1 findings"), "{}", ran.err);
    let json = home.run(&["audit", "verify", "--json"]);
    assert!(json.code == 1 && json.out.contains("\"holds\": false"), "{}", json.out);
    assert_eq!(home.run(&["audit", "verify", "--head", "2:x"]).code, 2);
}

#[test]
fn a_tail_that_was_cut_is_found_by_the_head_that_was_kept() {
    let home = Home::initialised();
    home.run(&["resources", "create", "https://orders.example"]).ok();
    let head = home.run(&["audit", "head"]).ok().out;
    sql(
        &home.path("data/signet.db"),
        &[
            "DELETE FROM audit_log WHERE number = 4",
            "UPDATE audit_head SET number = 3, hash = (SELECT hash FROM audit_log WHERE number = 3)",
        ],
    );
    home.run(&["audit", "verify"]).ok();
    let ran = home.run(&["audit", "verify", "--head", head.trim()]);
    assert!(ran.code == 1 && ran.out.contains("noted head 4:"), "{}{}", ran.out, ran.err);
}
