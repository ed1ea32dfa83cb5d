//! `signet users …`.

use serde_json::{Value, json};

use super::home::{Home, count, sql};

/// "correct horse é", as other programs hashed it.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e";
const DJANGO: &str = "pbkdf2_sha256$1000$saltsaltsalt$HpSbrkBrDWDAB9HrNXHZggikF+GO3Q6ksWrO0IeZG4M=";
const SCRYPT: &str = "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BgXswDBQAwNsps4yaptIChzC47BvN3aox/CCkCkSYi0";

#[test]
fn an_account_is_made_shown_changed_stopped_and_deleted() {
    let home = Home::initialised();
    let arguments = ["users", "create", "--username", "Ann", "--email", "Ann@Example.com", "--role", "billing"];
    let made = home.json(&[&arguments[..], &["--attribute", "levels=[1,2]"]].concat());
    assert_eq!(
        (&made["username"], &made["email"], &made["enabled"]),
        (&json!("Ann"), &json!("Ann@example.com"), &json!(true))
    );
    assert_eq!((&made["attributes"], made.get("password")), (&json!({"levels": [1, 2]}), None));
    for name in ["ann", "ANN", "ann@example.com", made["id"].as_str().unwrap()] {
        assert_eq!(home.json(&["users", "show", name]), made, "{name}");
    }
    let mut described: Value =
        serde_json::from_str(&home.run(&["users", "show", "ann", "--metadata"]).ok().out).unwrap();
    described["username"] = json!("anna");
    let changed =
        home.run_with(&["users", "update", "ann", "--metadata", "-", "--json"], &[], &described.to_string()).json();
    assert_eq!((&changed["username"], &changed["version"], &changed["id"]), (&json!("anna"), &json!(2), &made["id"]));
    let again = home.run_with(&["users", "update", "anna", "--metadata", "-"], &[], &described.to_string()).ok();
    assert!(again.out.contains("so already"), "{}", again.out);
    assert!(home.run(&["users", "disable", "anna", "--reason", "left"]).ok().out.contains("is disabled."));
    assert!(home.run(&["users", "disable", "anna"]).ok().out.contains("is disabled already."));
    assert!(home.run(&["users", "list"]).ok().out.contains("disabled"));
    assert_eq!(home.json(&["users", "enable", "anna"])["changed"], true);
    home.changes_nothing(&["users", "delete", "anna"]).refused(1, &["say --yes"]);
    home.run(&["users", "delete", "anna", "--yes"]).ok();
    home.changes_nothing(&["users", "show", "anna"]).refused(1, &["there is no account `anna`"]);
    let acts: Vec<_> =
        home.json(&["audit", "list"])["items"].as_array().unwrap().iter().map(|row| row["act"].clone()).collect();
    for act in ["users.create", "users.update", "users.disable", "users.enable", "users.delete"] {
        assert_eq!(acts.iter().filter(|known| **known == act).count(), 1, "{act}: {acts:?}");
    }
}

#[test]
fn what_can_not_be_an_account_is_refused_and_changes_nothing() {
    let home = Home::initialised();
    home.run(&["users", "create", "--username", "paul1", "--email", "paul@example.com"]).ok();
    home.write("unknown.json", r#"{"username": "x", "passwort": "y"}"#);
    home.write("weak.txt", "passwordpassword\n");
    home.write("short.txt", "short\n");
    for (arguments, part) in [
        (&["create", "--username", "PAUL1"][..], "another account has this username"),
        (&["create", "--username", "paull"], "looks like this one"),
        (&["create", "--username", "p", "--email", "Paul@EXAMPLE.com"], "this e-mail address"),
        (&["create", "--username", "a b"], "a username has letters"),
        (&["create", "--username", "pаul"], "one script"),
        (&["create", "--username", "x", "--role", "a b"], "`a b` is no role"),
        (&["create", "--username", "x", "--role", "signet:nope"], "a scope of the admin API"),
        (&["create", "--username", "x", "--attribute", "sub=1"], "the attribute `sub`"),
        (&["create", "--username", "x", "--password-file", "weak.txt"], "easy to guess"),
        (&["create", "--username", "x", "--password-file", "short.txt"], "at least 15 characters"),
        (&["create", "--metadata", "unknown.json"], "unknown field `passwort`"),
        (&["update", "paul1", "--metadata", "unknown.json"], "unknown field `passwort`"),
        (&["disable", "nobody"], "there is no account `nobody`"),
        (&["password-link", "nobody"], "there is no account `nobody`"),
        (&["import", "absent.jsonl"], "absent.jsonl can't be read"),
    ] {
        home.changes_nothing(&[&["users"], arguments].concat()).refused(1, &[part]);
    }
    for wrong in [
        &["create"][..],
        &["create", "--username", "x", "--attribute", "a=b"],
        &["create", "--metadata", "-", "--username", "x"],
    ] {
        assert_eq!(home.run(&[&["users"], wrong].concat()).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_first_password_is_taken_from_a_file_and_a_link_is_shown_once() {
    let home = Home::initialised();
    let password = "mossy kettle orbit plank";
    let arguments = ["users", "create", "--username", "ann", "--password-file", "-", "--json"];
    let made = home.run_with(&arguments, &[], &format!("{password}\n")).json();
    assert_eq!((&made["password"]["hash"], &made["password"]["must_change"]), (&json!("argon2id"), &json!(true)));
    let link = home.json(&["users", "password-link", "ann"]);
    let token = link["link_token"].as_str().unwrap();
    assert!(token.starts_with("spl_") && token.len() == 47, "{link}");
    let text = home.run(&["users", "password-link", "ann"]).ok().out;
    assert!(text.contains("only time") && text.contains("spl_") && !text.contains(token), "{text}");
    assert_eq!(count(&home.path("data/signet.db"), "password_links"), 1, "it takes the place of the one before");
    let bytes: Vec<u8> = home.contents().into_values().flat_map(|(_, bytes)| bytes).collect();
    let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("argon2id") && !holds(password) && !holds(&token[4..]));
}

#[test]
fn accounts_of_another_program_are_taken_over_and_what_is_refused_is_told_by_line() {
    let home = Home::initialised();
    let rows = [
        json!({"username": "ann", "email": "ann@example.com", "password_hash": BCRYPT, "roles": ["a"], "attributes": {"x": 1}}),
        json!({"username": "ANN"}),
        json!({"email": "bob@example.com", "password_hash": DJANGO, "enabled": false}),
        json!({"username": "eve", "password_hash": "$1$salt$qJH7.N4xYta3aEG/dfqo/0"}),
        json!({"username": "eve", "password_hash": "$2b$31$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e"}),
        json!({"username": "eve", "passwort": "canary"}),
        json!({"username": "a b"}),
        json!({}),
        json!({"username": "zoe", "password_hash": SCRYPT, "must_change_password": true}),
    ];
    let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
    home.write("users.jsonl", &format!("{}\n\n{{\"username\": \n", lines.join("\n")));
    let ran = home.run(&["users", "import", "users.jsonl", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["imported"], 3);
    let refused: Vec<_> =
        report["refused"].as_array().unwrap().iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(refused, [2, 4, 5, 6, 7, 8, 11], "{report}");
    assert!(!ran.out.contains("canary") && !ran.out.contains("qJH7"), "{}", ran.out);
    assert!(ran.err.contains("7 rows were refused"), "{}", ran.err);
    let listed = home.json(&["users", "list"]);
    let told: Vec<_> = listed["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["password"]["hash"].clone(), user["enabled"].clone()))
        .collect();
    assert_eq!(told, [(json!("bcrypt"), json!(true)), (json!("pbkdf2"), json!(false)), (json!("scrypt"), json!(true))]);
    assert!(home.json(&["users", "show", "bob@example.com"])["username"].as_str().unwrap().starts_with("user-"));
    assert_eq!(home.json(&["users", "show", "zoe"])["password"]["must_change"], true);
}

#[test]
fn a_csv_file_is_taken_over_as_spreadsheets_write_it() {
    let home = Home::initialised();
    home.write(
        "users.csv",
        &format!(
            "\u{feff}username,email,roles,enabled,password_hash,attribute.department\r\n\
             ann,ann@example.com,a b,TRUE,{BCRYPT},\"books, \"\"old\"\"\"\r\nbob,,,maybe,,\r\neve,,,0,,\r\n"
        ),
    );
    let ran = home.run(&["users", "import", "users.csv", "--must-change"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out, "line 3: enabled is neither true nor false\n2 accounts are imported.\n");
    let ann = home.json(&["users", "show", "ann"]);
    assert_eq!((&ann["roles"], &ann["attributes"]), (&json!(["a", "b"]), &json!({"department": "books, \"old\""})));
    assert_eq!(ann["password"]["must_change"], true);
    assert_eq!(home.json(&["users", "show", "eve"])["enabled"], false);
    home.write("wrong.csv", "name,mail\na,b\n");
    home.changes_nothing(&["users", "import", "wrong.csv"]).refused(1, &["no CSV of accounts", "`name`"]);
}

#[test]
fn what_was_exported_is_imported_elsewhere_and_hashes_only_where_they_were_asked_for() {
    let home = Home::initialised();
    let row = json!({"username": "Zo\u{eb}", "email": "z@example.com", "password_hash": BCRYPT, "roles": ["a"], "attributes": {"x": {"y": [1]}}});
    home.write("one.jsonl", &row.to_string());
    home.run(&["users", "import", "one.jsonl"]).ok();
    home.run(&["users", "create", "--username", "bare"]).ok();
    home.run(&["users", "disable", "bare"]).ok();
    let plain = home.changes_nothing(&["users", "export"]).ok().out;
    assert!(plain.lines().count() == 2 && !plain.contains("$2b$") && !plain.contains("password_hash"), "{plain}");
    let whole = home.run(&["users", "export", "--password-hashes"]).ok().out;
    assert!(whole.contains(BCRYPT), "{whole}");
    let other = Home::initialised();
    other.write("users.jsonl", &whole);
    assert_eq!(other.json(&["users", "import", "users.jsonl"]), json!({"imported": 2, "refused": []}));
    assert_eq!(other.run(&["users", "export", "--password-hashes"]).ok().out, whole);
    let again = other.run(&["users", "import", "users.jsonl"]);
    assert!(again.code == 1 && again.out.contains("0 accounts are imported"), "{}{}", again.out, again.err);
}

#[test]
fn a_damaged_account_is_named_and_can_be_deleted_and_the_others_are_listed() {
    let home = Home::initialised();
    let id = home.json(&["users", "create", "--username", "ann"])["id"].as_str().unwrap().to_owned();
    home.run(&["users", "create", "--username", "bob"]).ok();
    sql(&home.path("data/signet.db"), &["UPDATE users SET attributes = 'canary' WHERE username = 'ann'"]);
    home.hand_over();
    for verb in ["list", "export"] {
        let ran = home.run(&["users", verb]);
        assert!(ran.code == 1 && ran.out.contains("bob") && ran.err.contains(&id), "{}{}", ran.out, ran.err);
    }
    home.run(&["users", "delete", &id, "--yes"]).ok();
    assert!(home.run(&["users", "list"]).ok().out.contains("bob"));
}
