//! `signet keys list|create|import`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::home::Home;

/// A new P-256 key under the label `label`.
fn pem(label: &str) -> String {
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
    let table = home.run(&["keys", "list"]).ok().out;
    assert!(table.starts_with("KID ") && table.lines().count() == 5, "{table}");
    assert!(table.contains("usable from ") && table.contains("the first key of a new issuer"), "{table}");
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
