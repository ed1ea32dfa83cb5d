//! `signet clients …`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::home::{Home, sql};

const ACCESS: &str = "https://orders.example=orders:read";

fn home_with_orders() -> Home {
    let home = Home::initialised();
    home.run(&["resources", "create", "https://orders.example", "--scope", "orders:read"]).ok();
    home
}

#[test]
fn a_client_is_made_with_a_secret_that_is_shown_once() {
    let home = home_with_orders();
    let made = home.json(&["clients", "create", "--id", "shop", "--name", "Shop", "--access", ACCESS]);
    let secret = made["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("scs_") && made["client_secret_expires_at"] == 0, "{made}");
    for form in [&["clients", "list"][..], &["clients", "show", "shop"], &["clients", "show", "shop", "--metadata"]] {
        for json in [&[][..], &["--json"]] {
            let shown = home.run(&[form, json].concat()).ok().out;
            assert!(shown.contains("Shop") && !shown.contains("scs_"), "{shown}");
        }
    }
    let text = home.run(&["clients", "create", "--name", "Other"]).ok().out;
    assert!(text.contains("the only time") && text.contains("c_") && text.contains("scs_"), "{text}");
}

#[test]
fn what_can_not_be_a_client_is_refused_and_changes_nothing() {
    let home = home_with_orders();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    home.write("unknown.json", r#"{"clientname": "x"}"#);
    home.write("broken.json", r#"{"client_name": "#);
    home.write("keys.json", r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#);
    for (arguments, part) in [
        (&["create", "--id", "shop"][..], "exists already"),
        (&["create", "--id", "a b"], "a client identifier has"),
        (&["create", "--access", "https://nope.example=a"], "there is no resource `https://nope.example`"),
        (&["create", "--access", ACCESS, "--access", ACCESS], "twice"),
        (&["create", "--auth-method", "tls_client_auth"], "token_endpoint_auth_method"),
        (&["create", "--auth-method", "none", "--web-origin", "https://app.example"], "web_origins: only"),
        (&["create", "--first-party", "--web-origin", "https://app.example/"], "web_origins: an origin"),
        (&["create", "--auth-method", "private_key_jwt"], "jwks"),
        (&["create", "--auth-method", "private_key_jwt", "--jwks", "keys.json"], "jwks: key 1"),
        (&["create", "--grant", "password"], "grant_types"),
        (&["create", "--metadata", "unknown.json"], "unknown.json does not fit: unknown field `clientname`"),
        (&["create", "--metadata", "broken.json"], "broken.json is not JSON"),
        (&["create", "--metadata", "absent.json"], "absent.json can't be read"),
        (&["update", "shop", "--metadata", "unknown.json"], "unknown field"),
        (&["show", "shpo"], "there is no client `shpo`: did you mean `shop`?"),
        (&["disable", "nobody"], "there is no client `nobody`"),
        (&["delete", "shop"], "say --yes"),
        (&["roll-secret", "shop", "--write-credentials"], "no access to the admin resource"),
    ] {
        home.changes_nothing(&[&["clients"], arguments].concat()).refused(1, &[part]);
    }
    assert_eq!(home.run(&["clients", "create", "--access", "orders"]).code, 2);
    assert_eq!(home.run(&["clients", "create", "--metadata", "-", "--name", "x"]).code, 2);
}

#[test]
fn a_client_is_changed_by_what_show_prints() {
    let home = home_with_orders();
    home.run(&["clients", "create", "--id", "shop", "--name", "Shop", "--access", ACCESS]).ok();
    let mut metadata: Value =
        serde_json::from_str(&home.run(&["clients", "show", "shop", "--metadata"]).ok().out).unwrap();
    metadata["client_name"] = json!("Store");
    let arguments = ["clients", "update", "shop", "--metadata", "-", "--json"];
    let changed = home.run_with(&arguments, &[], &metadata.to_string()).json();
    assert_eq!(changed["client_name"], "Store");
    assert_eq!(changed["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(changed["access"], metadata["access"]);
}

#[test]
fn a_client_gets_more_and_keeps_what_it_has() {
    let home = home_with_orders();
    let built_in = home.json(&["clients", "show", "login"]);
    assert_eq!((&built_in["token_endpoint_auth_method"], &built_in["first_party"]), (&json!("none"), &json!(true)));
    assert_eq!((built_in.get("access"), built_in.get("web_origins")), (None, None), "{built_in}");
    let add = ["clients", "update", "login", "--add-access", ACCESS, "--add-web-origin", "https://app.example"];
    let changed = home.json(&add);
    assert_eq!(changed["access"], json!({"https://orders.example": "orders:read"}));
    assert_eq!(changed["web_origins"], json!(["https://app.example"]));
    assert_eq!(home.json(&add)["version"], changed["version"], "it is so already");
    let more = home.json(&["clients", "update", "login", "--add-web-origin", "http://127.0.0.1:4173"]);
    assert_eq!(more["web_origins"], json!(["http://127.0.0.1:4173", "https://app.example"]));
    assert_eq!((&more["access"], &more["client_name"]), (&changed["access"], &built_in["client_name"]));
    for (arguments, part) in [
        (&["--add-access", "https://nowhere.example=a"][..], "https://nowhere.example"),
        (&["--add-web-origin", "http://app.example"], "an origin is of https"),
        (&["--add-web-origin", "null"], "never `null`"),
    ] {
        home.changes_nothing(&[&["clients", "update", "login"], arguments].concat()).refused(1, &[part]);
    }
    assert_eq!(home.run(&["clients", "update", "login"]).code, 2);
    assert_eq!(home.run(&["clients", "update", "login", "--metadata", "-", "--add-access", ACCESS]).code, 2);
}

#[test]
fn a_client_gets_less_and_keeps_what_else_it_has_by_either_way() {
    let (home, _server, url) = super::through::served();
    for resource in ["https://orders.example", "https://bills.example"] {
        home.run(&["resources", "create", resource, "--scope", "a", "--scope", "b"]).ok();
    }
    for (id, more) in [("here", &[][..]), ("there", &["--url", &url])] {
        let access = ["--access", "https://orders.example=a b", "--access", "https://bills.example=a"];
        home.run(&[&["clients", "create", "--id", id, "--name", "Shop"], &access[..]].concat()).ok();
        let update = |words: &[&str]| home.run(&[&["clients", "update", id, "--json"], words, more].concat());
        let unknown = update(&["--remove-access", "https://order.example"]);
        unknown.refused_json(
            "has no access to `https://order.example`: what it has is `https://bills.example`, `https://orders.example`",
        );
        let less = update(&["--remove-access", "https://bills.example"]).json();
        assert_eq!(less["access"], json!({"https://orders.example": "a b"}));
        assert_eq!(less["client_name"], "Shop");
        // Anew: these scopes and no others.
        let anew = ["--remove-access", "https://orders.example", "--add-access", "https://orders.example=b"];
        assert_eq!(update(&anew).json()["access"], json!({"https://orders.example": "b"}));
        assert_eq!(update(&anew).json()["version"], home.json(&["clients", "show", id])["version"], "it is so already");
        assert_eq!(update(&["--remove-access", "https://orders.example"]).json().get("access"), None);
        update(&["--remove-access", "https://orders.example"]).refused_json("what it has is nothing");
        assert_eq!(update(&["--remove-access", "x", "--metadata", "-"]).code, 2);
    }
}

#[test]
fn a_client_is_stopped_let_go_on_and_deleted() {
    let home = Home::initialised();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    let enabled = |verb| home.json(&["clients", verb, "shop"]);
    assert_eq!(enabled("disable"), json!({"client_id": "shop", "enabled": false, "changed": true}));
    assert_eq!(enabled("disable"), json!({"client_id": "shop", "enabled": false, "changed": false}));
    assert!(home.run(&["clients", "show", "shop"]).ok().out.contains("disabled"));
    assert_eq!(enabled("enable")["changed"], true);
    home.run(&["clients", "delete", "shop", "--yes"]).ok();
    home.run(&["clients", "show", "shop"]).refused(1, &["there is no client `shop`"]);
}

#[test]
fn a_rolled_secret_leaves_the_one_before_for_as_long_as_is_said() {
    let home = Home::initialised();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    let secrets = || home.json(&["clients", "show", "shop"])["secrets"].as_array().unwrap().len();
    let rolled = home.json(&["clients", "roll-secret", "shop", "--keep-old", "1h"]);
    assert!(rolled["client_secret"].as_str().unwrap().starts_with("scs_"));
    assert!(rolled["old_secret_valid_until"].is_string());
    assert_eq!(secrets(), 2);
    let text = home.run(&["clients", "roll-secret", "shop", "--end-old"]).ok().out;
    assert!(text.contains("No older secret is valid any more"), "{text}");
    assert_eq!(secrets(), 1);
    assert_eq!(home.run(&["clients", "roll-secret", "shop", "--end-old", "--keep-old", "1h"]).code, 2);
}

#[test]
fn a_lost_admin_credential_is_recovered_into_its_file() {
    let home = Home::initialised();
    let path = home.path("data/admin-credentials.json");
    let before: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::remove_file(&path).unwrap();
    let ran = home.run(&["clients", "roll-secret", "--admin", "--write-credentials", "--end-old"]).ok();
    assert!(ran.out.contains("data/admin-credentials.json") && !ran.out.contains("scs_"), "{}", ran.out);
    let after: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!((&after["client_id"], &after["scope"]), (&before["client_id"], &before["scope"]));
    assert_ne!(after["client_secret"], before["client_secret"]);
    assert_eq!(after["token_endpoint"], format!("{}/oauth2/token", home.issuer()));
    assert_eq!(
        fs::read_dir(home.path("data"))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".new") })
            .count(),
        0
    );
}

#[test]
fn where_several_clients_serve_the_admin_resource_one_has_to_be_named() {
    let home = Home::initialised();
    let admin = format!("{}/admin", home.issuer());
    home.run(&["clients", "create", "--id", "second", "--serves", &admin]).ok();
    home.changes_nothing(&["clients", "roll-secret", "--admin"])
        .refused(1, &["several clients", "second", "First admin"]);
}

#[test]
fn no_secret_is_rolled_of_a_client_that_nobody_named() {
    let home = Home::initialised();
    let ran = home.changes_nothing(&["clients", "roll-secret"]);
    assert!(ran.code == 2 && ran.err.contains("--admin") && ran.err.contains("ID"), "{}", ran.err);
    assert_eq!(home.changes_nothing(&["clients", "roll-secret", "shop", "--admin"]).code, 2);
}

#[test]
fn a_client_of_keys_has_no_secret_to_roll() {
    let home = Home::initialised();
    let key = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    home.write("jwks.json", &key.to_string());
    let made =
        home.json(&["clients", "create", "--id", "batch", "--auth-method", "private_key_jwt", "--jwks", "jwks.json"]);
    assert!(made.get("client_secret").is_none() && made["jwks"]["keys"][0]["kid"] == "k1", "{made}");
    home.changes_nothing(&["clients", "roll-secret", "batch"]).refused(1, &["private_key_jwt", "no secret"]);
}

#[test]
fn changes_at_the_same_time_all_succeed() {
    let home = Home::initialised();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    std::thread::scope(|scope| {
        let rolls: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| home.json(&["clients", "roll-secret", "shop", "--keep-old", "1h"])))
            .collect();
        let secrets: std::collections::BTreeSet<_> =
            rolls.into_iter().map(|roll| roll.join().unwrap()["client_secret"].to_string()).collect();
        assert_eq!(secrets.len(), 6);
    });
    assert_eq!(home.json(&["clients", "show", "shop"])["secrets"].as_array().unwrap().len(), 2);
}

#[test]
fn a_damaged_client_is_named_beside_the_list_of_the_others_and_can_be_deleted() {
    let home = home_with_orders();
    for id in ["shop", "zoo"] {
        home.run(&["clients", "create", "--id", id, "--access", ACCESS]).ok();
    }
    let telepathy = "UPDATE clients SET grant_types = 'telepathy' WHERE client_id = 'shop'";
    sql(&home.path("data/signet.db"), &[telepathy]);
    let listed = home.changes_nothing(&["clients", "list"]);
    assert!(listed.code == 1 && listed.out.contains("zoo") && !listed.out.contains("shop"), "{}", listed.out);
    assert!(listed.err.contains("`shop`") && listed.err.contains("telepathy"), "{}", listed.err);
    let listed = home.run(&["clients", "list", "--json"]);
    let json: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((listed.code, &json["damaged"], json["clients"].as_array().unwrap().len()), (1, &json!(["shop"]), 3));

    // Others go on, and who looks for another is not stopped by it.
    home.changes_nothing(&["clients", "show", "shop"]).refused(1, &["shop", "telepathy"]);
    home.changes_nothing(&["clients", "show", "zo"]).refused(1, &["did you mean `zoo`"]);
    home.run(&["clients", "roll-secret", "--admin"]).ok();
    home.run(&["resources", "show", "https://orders.example"]).ok();
    home.run(&["clients", "delete", "shop", "--yes"]).ok();
    home.run(&["clients", "list"]).ok();
    home.changes_nothing(&["clients", "show", "shop"]).refused(1, &["no client"]);
}
