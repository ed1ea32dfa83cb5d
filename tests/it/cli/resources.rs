//! `signet resources …`.

use serde_json::json;

use super::home::Home;

const ORDERS: &str = "https://orders.example";

#[test]
fn a_resource_is_made_shown_changed_and_deleted() {
    let home = Home::initialised();
    let made = home.json(&["resources", "create", ORDERS, "--scope", "a b", "--scope", "c", "--lifetime", "10m"]);
    assert_eq!((&made["scopes"], &made["token_lifetime"]), (&json!(["a", "b", "c"]), &json!(600)));
    home.json(&["resources", "update", ORDERS, "--name", "Orders", "--scope", "a", "--default-lifetime"]);
    let shown = home.json(&["resources", "show", ORDERS]);
    assert_eq!((&shown["name"], &shown["scopes"], &shown["clients"]), (&json!("Orders"), &json!(["a"]), &json!([])));
    assert!(shown.get("token_lifetime").is_none() && shown.get("claims").is_none());
    let asks = home.json(&["resources", "update", ORDERS, "--claim", "email roles", "--claim", "attributes.a"]);
    assert_eq!(asks["claims"], json!(["roles", "email", "attributes.a"]));
    assert!(home.run(&["resources", "show", ORDERS]).ok().out.contains("roles email attributes.a"));
    assert!(home.json(&["resources", "update", ORDERS, "--no-claims"]).get("claims").is_none());
    let listed = home.json(&["resources", "list"]);
    let names: Vec<_> = listed["resources"].as_array().unwrap().iter().map(|one| one["resource"].clone()).collect();
    assert_eq!(names, [json!(format!("{}/admin", home.issuer())), json!(ORDERS)]);
    assert!(home.run(&["resources", "list"]).ok().out.contains("Orders"));
    home.changes_nothing(&["resources", "delete", ORDERS]).refused(1, &["say --yes"]);
    home.run(&["resources", "delete", ORDERS, "--yes"]).ok();
    home.changes_nothing(&["resources", "show", ORDERS]).refused(1, &["there is no resource"]);
}

#[test]
fn what_can_not_be_a_resource_is_refused_and_changes_nothing() {
    let home = Home::initialised();
    home.run(&["resources", "create", ORDERS, "--scope", "a"]).ok();
    let admin = format!("{}/admin", home.issuer());
    for (arguments, part) in [
        (&["create", ORDERS][..], "exists already"),
        (&["create", "orders"], "is not an absolute URI"),
        (&["create", "https://a.example#b"], "fragment"),
        (&["create", "https://a.example", "--lifetime", "2h"], "`tokens.max_access_lifetime`"),
        (&["create", "https://a.example", "--algorithm", "Ed25519"], "`keys.algorithms`"),
        (&["create", "https://a.example", "--scope", "a  b"], "a scope is a list"),
        (&["create", "https://a.example", "--claim", "sub"], "`sub` can't be asked for"),
        (&["create", &admin], "reserved"),
        (&["update", &admin, "--claim", "roles"], "reserved"),
        (&["update", &admin, "--name", "x"], "reserved"),
        (&["delete", &admin, "--yes"], "reserved"),
        (&["update", ORDERS], "nothing is to be changed"),
        (&["update", "https://ordres.example", "--name", "x"], "did you mean `https://orders.example`?"),
    ] {
        home.changes_nothing(&[&["resources"], arguments].concat()).refused(1, &[part]);
    }
}

#[test]
fn a_resource_in_use_stays_and_the_sentence_names_who_uses_it() {
    let home = Home::initialised();
    home.run(&["resources", "create", ORDERS, "--scope", "a"]).ok();
    home.run(&["clients", "create", "--id", "shop", "--access", "https://orders.example=a"]).ok();
    home.run(&["clients", "create", "--id", "orders", "--serves", ORDERS]).ok();
    home.changes_nothing(&["resources", "delete", ORDERS, "--yes"]).refused(1, &["is named by orders, shop"]);
    assert_eq!(home.json(&["resources", "show", ORDERS])["clients"], json!(["orders", "shop"]));
}
