//! `signet keys …`, on the database and through the admin API.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use signet::keys::MOST_BY_HAND;

use super::home::{Home, eventually};

/// A new P-256 key under the label `label`.
pub fn pem(label: &str) -> String {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let encoded = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn the_keys_are_listed_with_what_matters_of_their_state() {
    let home = Home::initialised();
    let listed = home.json(&["keys", "list"]);
    let keys = listed["keys"].as_array().unwrap();
    let states: Vec<_> = keys.iter().map(|key| (key["algorithm"].as_str(), key["state"].as_str())).collect();
    let of = |state| [(Some("ES256"), Some(state)), (Some("RS256"), Some(state))];
    assert_eq!(states, [of("active"), of("pending")].concat());
    assert!(keys[0]["since"].as_str().unwrap().ends_with('Z'));
    assert!(keys[2]["usable_from"].is_string());
    assert_eq!(keys[0]["coming"][0]["milestone"], "retiring");
    let drawn = home.run(&["keys", "list"]).ok().out;
    assert!(drawn.starts_with("ES256: the next key signs from ") && drawn.contains("\nRS256: "), "{drawn}");
    for part in [" → now →\n", " → retired ", "generated, the first key of a new issuer"] {
        assert!(drawn.contains(part), "no `{part}` in: {drawn}");
    }
    for key in keys {
        assert!(drawn.contains(key["kid"].as_str().unwrap()), "{drawn}");
    }
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
}

fn kid(home: &Home, algorithm: &str, state: &str) -> String {
    let listed = home.json(&["keys", "list"]);
    let fits = |key: &&serde_json::Value| key["algorithm"] == algorithm && key["state"] == state;
    listed["keys"].as_array().unwrap().iter().find(fits).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[test]
fn keys_are_rotated_activated_retired_and_compromised_by_the_beginnings_of_their_names() {
    let home = Home::initialised();
    let (old, next) = (kid(&home, "ES256", "active"), kid(&home, "ES256", "pending"));
    let plan = home.changes_nothing(&["keys", "rotate", "--algorithm", "ES256", "--dry-run"]).ok().out;
    assert!(
        plan.contains("nothing was changed") && plan.contains(&next) && plan.contains("a key to be made"),
        "{plan}"
    );
    let rotate = ["keys", "rotate", "--algorithm", "ES256", "--if-active", &old[..8], "--reason", "a drill"];
    let told = home.json(&rotate);
    assert_eq!((&told["changed"], told.get("may_fail_until")), (&true.into(), None), "{told}");
    home.changes_nothing(&rotate).refused(1, &["is not the active one"]);
    home.changes_nothing(&["keys", "rotate", "--algorithm", "ES256"]).refused(1, &["may sign only from"]);
    assert_eq!(kid(&home, "ES256", "active"), next);
    let row = &home.json(&["audit", "list", "--act", "keys.rotate"])["items"][0];
    assert_eq!((&row["reason"], &row["actor_kind"]), (&"a drill".into(), &"operator".into()));

    let young = kid(&home, "ES256", "pending");
    home.changes_nothing(&["keys", "activate", &young[..6]]).refused(1, &["may sign only from"]);
    let forced = home.run(&["keys", "activate", &young[..6], "--force"]).ok();
    assert!(forced.out.contains("may fail at verifiers") && forced.err.contains("note: until "), "{}", forced.out);
    let again = home.changes_nothing(&["keys", "activate", &young]).ok().out;
    assert!(again.starts_with("Nothing to do"), "{again}");
    home.changes_nothing(&["keys", "activate", &old]).refused(1, &["is retiring and can't become active"]);
    let unwanted = kid(&home, "RS256", "pending");
    home.changes_nothing(&["keys", "retire", &unwanted[..10]]).refused(1, &["say --yes"]);
    home.run(&["keys", "retire", &unwanted[..10], "--yes"]).ok();

    let lost = ["keys", "compromise", &young[..12], "--reason", "ticket 4711"];
    home.changes_nothing(&lost).refused(1, &["say --yes"]);
    home.run(&[&lost[..], &["--yes"]].concat()).ok();
    assert_eq!(kid(&home, "ES256", "compromised"), young);
    home.changes_nothing(&["keys", "retire", "abcde"]).refused(1, &["too short"]);
    home.changes_nothing(&["keys", "retire", "abcdef"]).refused(1, &["no key's name begins with"]);
    home.changes_nothing(&["keys", "retire", &"x".repeat(43), "--yes"]).refused(1, &["there is no key"]);
    for wrong in [&["keys", "compromise", &young][..], &["keys", "compromise", &young, "--reason", " "]] {
        assert_eq!(home.run(wrong).code, 2);
    }
}

#[test]
fn a_name_that_begins_with_a_hyphen_is_a_name() {
    let home = Home::initialised();
    home.changes_nothing(&["keys", "activate", "--force", "-bcdefgh"])
        .refused(1, &["no key's name begins with -bcdefgh"]);
    home.changes_nothing(&["keys", "rotate", "--if-active", "-bcdefgh"]).refused(1, &["-bcdefgh"]);
}

#[test]
fn with_an_address_the_verbs_go_through_the_api_as_the_admin() {
    // Set up by itself: its credentials name its own port.
    let home = Home::empty();
    let server = home.serve();
    // It listens before its first start is complete.
    eventually(|| (home.run(&["token", "get"]).code == 0).then_some(()));
    let url = format!("http://127.0.0.1:{}", home.admin);
    let through = |arguments: &[&str]| home.json(&[arguments, &["--url", &url]].concat());
    let listed = through(&["keys", "list"]);
    assert_eq!(listed["keys"], home.json(&["keys", "list"])["keys"]);
    let old = kid(&home, "ES256", "active");
    let plan = through(&["keys", "rotate", "--dry-run"]);
    assert_eq!((&plan["changed"], &plan["dry_run"]), (&false.into(), &true.into()));
    let rotate = ["keys", "rotate", "--algorithm", "ES256", "--if-active", &old[..8], "--reason", "from afar"];
    assert_eq!(through(&rotate)["changed"], true);
    let again = home.run(&[&rotate[..], &["--url", &url]].concat());
    again.refused(1, &["another key is active", "(active_key_differs)"]);
    let made = through(&["keys", "create", "--algorithm", "RS256", "--rsa-bits", "2048"]);
    assert_eq!(made["state"], "pending");
    let file = home.write("key.pem", &pem("PRIVATE KEY"));
    assert_eq!(through(&["keys", "import", &file])["origin"], "imported");
    let early = home.run(&["keys", "activate", &made["kid"].as_str().unwrap()[..9], "--url", &url]);
    early.refused(1, &["possible from ", "(not_propagated)"]);
    let items = &through(&["audit", "list", "--act", "keys.rotate", "--limit", "1"])["items"];
    assert_eq!((&items[0]["reason"], &items[0]["actor_kind"]), (&"from afar".into(), &"client".into()));
    assert_eq!(home.json(&["audit", "list", "--act", "keys.rotate", "--limit", "1"])["items"], *items);

    home.run(&["keys", "list", "--url", "http://signet.example"]).refused(1, &["plain http"]);
    home.run(&["keys", "list", "--url", &url, "--credentials", "absent.json"]).refused(1, &["absent.json"]);
    assert_eq!(home.run(&["keys", "list", "--credentials", "x.json"]).code, 2);
    home.run(&["keys", "list", "--url", &home.issuer()]).refused(1, &["(not_found)"]);
    drop(server);
    home.run(&["keys", "list", "--url", &url]).refused(4, &["can't be reached"]);
}

#[test]
fn listing_keys_needs_no_master_key() {
    let home = Home::initialised();
    std::fs::remove_file(home.path("keys/master.key")).unwrap();
    home.changes_nothing(&["keys", "list"]).ok();
}

#[test]
fn a_key_that_is_made_is_published_and_waits_its_turn() {
    let home = Home::initialised();
    let key = home.json(&["keys", "create", "--algorithm", "ES256"]);
    assert_eq!((&key["state"], &key["origin"]), (&"pending".into(), &"generated".into()));
    assert_eq!(home.json(&["keys", "list"])["keys"].as_array().unwrap().len(), 5);
    home.changes_nothing(&["keys", "create", "--algorithm", "Ed25519"])
        .refused(1, &["Ed25519 is not among the algorithms that are kept ready", "`keys.algorithms`"]);
    home.changes_nothing(&["keys", "create", "--algorithm", "ES256", "--rsa-bits", "3072"])
        .refused(1, &["--rsa-bits is for RS256 and PS256"]);
    assert_eq!(home.run(&["keys", "create", "--algorithm", "HS256"]).code, 2);
}

#[test]
fn no_more_keys_are_made_by_hand_than_may_be_published() {
    let home = Home::initialised();
    for _ in 4..MOST_BY_HAND {
        home.run(&["keys", "create", "--algorithm", "ES256"]).ok();
    }
    let sentence =
        "48 keys are published, and by hand there may come to be 48 at most: wait until retiring keys have left";
    home.changes_nothing(&["keys", "create", "--algorithm", "ES256"]).refused(1, &[sentence]);
    let lost = kid(&home, "ES256", "active");
    home.run(&["keys", "compromise", &lost, "--reason", "a drill", "--yes"]).ok();
    home.run(&["keys", "create", "--algorithm", "ES256"]).ok();
}

#[test]
fn a_key_is_imported_from_a_file_or_standard_input_and_only_once() {
    let home = Home::initialised();
    let file = home.write("key.pem", &pem("PRIVATE KEY"));
    let ran = home.run(&["keys", "import", &file]).ok();
    assert!(ran.out.contains("imported") && ran.err.contains("still holds the private key"), "{}{}", ran.out, ran.err);
    home.changes_nothing(&["keys", "import", &file]).refused(1, &["is in the table already"]);
    let other = home.run_with(&["keys", "import", "-", "--json"], &[], &pem("PRIVATE KEY")).json();
    assert_eq!((&other["origin"], &other["algorithm"]), (&"imported".into(), &"ES256".into()));
}

#[test]
fn a_malformed_pem_is_one_clear_sentence_and_nothing_changes() {
    let home = Home::initialised();
    let whole = pem("PRIVATE KEY");
    let damaged = whole.replacen("MIG", "MIH", 1);
    let cut: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    for (text, part) in [
        (String::new(), "holds no PEM block"),
        ("hello\n".to_owned(), "holds no PEM block"),
        (whole.repeat(2), "holds 2 PEM blocks"),
        (damaged, "is malformed"),
        (cut, "is malformed"),
        (pem("PUBLIC KEY"), "holds a public key, and a private key is needed"),
        (pem("CERTIFICATE"), "holds a certificate"),
        (pem("ENCRYPTED PRIVATE KEY"), "the key is encrypted: decrypt it first"),
        (pem("OPENSSH PRIVATE KEY"), "ssh-keygen"),
        (pem("RSA PRIVATE KEY"), "is malformed"),
        (pem("DSA PRIVATE KEY"), "is of a kind that is not known here"),
    ] {
        let file = home.write("bad.pem", &text);
        let ran = home.changes_nothing(&["keys", "import", &file]).refused(1, &["bad.pem: ", part]);
        let secret: String = text.lines().nth(1).unwrap_or("-").to_owned();
        assert!(secret.len() < 9 || !ran.err.contains(&secret), "{}", ran.err);
    }
    home.changes_nothing(&["keys", "import", "absent.pem"])
        .refused(1, &["absent.pem can't be read: no such file or directory"]);
    let file = home.write("key.pem", &whole);
    home.changes_nothing(&["keys", "import", &file, "--algorithm", "RS256"])
        .refused(1, &["the key is an EC (P-256) key, which RS256 does not sign with"]);
}
