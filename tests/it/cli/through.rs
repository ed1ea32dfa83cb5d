//! `signet clients …` and `signet resources …` with `--url`: the same by the admin API as on the database.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::home::{Home, Ran, Server, eventually, sql};

/// A folder in which a server runs, and the address of its admin API.
pub fn served() -> (Home, Server, String) {
    // Set up by itself: its credentials name its own port.
    let home = Home::empty();
    let server = home.serve();
    // It listens before its first start is complete.
    eventually(|| (home.run(&["token", "get"]).code == 0).then_some(()));
    let url = format!("http://127.0.0.1:{}", home.admin);
    (home, server, url)
}

/// What a run printed, but for moments, versions (which begin at the moment of registration), identifiers of accounts
/// and secrets.
fn constant(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|sign: char| !sign.is_ascii_alphanumeric());
        let is_moment = bare.len() == 20 && bare.ends_with('Z') && bare.contains('T');
        let is_second = matches!(bare.len(), 10 | 13) && bare.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = bare.len() == 36 && bare.bytes().filter(|byte| *byte == b'-').count() == 4;
        let kind = if bare.starts_with("scs_") { "SECRET" } else { "MOMENT" };
        let varies = is_moment || is_second || is_id || bare.starts_with("scs_");
        if varies { word.replace(bare, kind) } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs the same twice, on the database about `alpha` and through the API about `gamma`, and holds that it comes to the
/// same. Answers the first.
#[track_caller]
pub fn either(home: &Home, url: &str, arguments: &[&str]) -> Ran {
    let about = |name: &str| arguments.iter().map(|text| text.replace("NAME", name)).collect::<Vec<_>>();
    let (here, there) = (about("alpha"), about("gamma"));
    let here = home.run(&here.iter().map(String::as_str).collect::<Vec<_>>());
    let there: Vec<_> = there.iter().map(String::as_str).chain(["--url", url]).collect();
    let there = home.run(&there);
    let told = |ran: &Ran, name: &str| {
        (ran.code, constant(&ran.out).replace(name, "NAME"), constant(&ran.err).replace(name, "NAME"))
    };
    assert_eq!(told(&there, "gamma"), told(&here, "alpha"), "{arguments:?}");
    here
}

#[test]
fn each_verb_says_the_same_by_the_api_as_on_the_database() {
    let (home, _server, url) = served();
    let both = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        either(&home, &url, &words)
    };
    both("resources create https://NAME.example --name R --scope a --scope b --lifetime 10m --reason new --json").ok();
    both("resources create https://NAME.example/bare").ok();
    assert_eq!(both("resources create https://NAME.example --json").code, 1);
    both("resources update https://NAME.example --scope a --default-lifetime --algorithm ES256 --json").ok();
    both("resources update https://NAME.example --name Other").ok();
    both("resources update https://NAME.example").refused(1, &["nothing is to be changed"]);
    both("resources update https://NAMEE.example --name x").refused(1, &["did you mean"]);

    let create = "clients create --id NAME --name N --access https://NAME.example=a --reason new --json";
    assert!(both(create).json()["client_secret"].as_str().unwrap().starts_with("scs_"));
    assert!(both(create).err.contains("exists already"));
    let idle = both("clients create --id NAME2 --access https://NAME.example=z --serves https://NAME.example").ok();
    assert!(idle.err.contains("offers no z"), "{}", idle.err);
    for verb in ["clients show NAME", "clients show NAME --json", "clients show NAME --metadata"] {
        both(verb).ok();
    }
    both("clients show NAM").refused(1, &["there is no client"]);
    both("clients show ..").refused(1, &["there is no client `..`"]);
    for name in ["alpha", "gamma"] {
        let access = json!({ format!("https://{name}.example"): "a z" });
        home.write(&format!("{name}.json"), &json!({ "client_name": "Changed", "access": access }).to_string());
    }
    let changed = both("clients update NAME --metadata NAME.json").ok();
    assert!(
        changed.out.starts_with("The client is changed.") && changed.err.contains("offers no z"),
        "{}",
        changed.err
    );
    assert!(both("clients update NAME --metadata NAME.json").ok().out.starts_with("Nothing to do"));
    let version = home.json(&["clients", "show", "alpha"])["version"].clone();
    assert_eq!(both("clients update NAME --metadata NAME.json --json").json()["version"], version);
    assert!(both("clients roll-secret NAME").ok().out.contains("stays valid until"));
    assert!(both("clients roll-secret NAME --keep-old 1h --json").json()["old_secret_valid_until"].is_string());
    assert_eq!(both("clients roll-secret NAME --end-old --json").json().get("old_secret_valid_until"), None);
    for (verb, changed) in [("disable", true), ("disable", false), ("enable", true), ("enable", false)] {
        let told = both(&format!("clients {verb} NAME --reason drill --json")).json();
        assert_eq!(told["changed"], changed, "{verb}");
    }
    both("clients disable NAME").ok();

    for form in ["resources show https://NAME.example", "resources show https://NAME.example --json"] {
        assert!(both(form).ok().out.contains("alpha2"));
    }
    both("resources delete https://NAME.example --yes").refused(1, &["is named by alpha, alpha2"]);
    both("clients delete NAME").refused(1, &["say --yes"]);
    for verb in ["clients delete NAME", "clients delete NAME2", "resources delete https://NAME.example"] {
        both(&format!("{verb} --yes --reason over --json")).ok();
    }
    for form in ["clients list", "clients list --json", "resources list", "resources list --json"] {
        let words: Vec<&str> = form.split(' ').collect();
        assert_eq!(home.run(&[&words[..], &["--url", &url]].concat()).ok().out, home.run(&words).ok().out);
    }
    // What was done is in the log with its reason, by an operator or by a client.
    let log = |subject: &str| -> Vec<Value> {
        let listed = home.json(&["audit", "list", "--subject", subject]);
        let told = |row: &Value| json!([row["act"], row["reason"], row["detail"]["client"]["client_name"]]);
        let rows = listed["items"].as_array().unwrap();
        let actor = if subject.contains("alpha") { "operator" } else { "client" };
        assert!(rows.iter().all(|row| row["actor_kind"] == actor), "{listed}");
        rows.iter().map(told).collect()
    };
    let rows = log("gamma");
    assert_eq!((rows.len(), &rows, &rows[0][1]), (9, &log("alpha"), &json!("over")));
    assert_eq!(log("https://gamma.example"), log("https://alpha.example"));
}

/// The credentials of a client that may do that much at the admin API.
pub fn lesser(home: &Home, id: &str, scopes: &str) -> String {
    let admin = format!("{}/admin", home.issuer());
    let made = home.json(&["clients", "create", "--id", id, "--access", &format!("{admin}={scopes}")]);
    let file = json!({
        "client_id": id, "client_secret": made["client_secret"], "audience": admin, "scope": scopes,
        "token_endpoint": format!("{}/oauth2/token", home.issuer()),
    });
    let name = home.write(&format!("{id}.credentials.json"), &file.to_string());
    fs::set_permissions(home.path(&name), fs::Permissions::from_mode(0o600)).unwrap();
    name
}

#[test]
fn a_verb_takes_as_few_scopes_as_it_needs() {
    let (home, _server, url) = served();
    let orders = "https://orders.example";
    home.run(&["resources", "create", orders, "--scope", "a"]).ok();
    let (reader, writer) = (lesser(&home, "reader", "clients:read"), lesser(&home, "writer", "clients:write"));
    let (looker, keeper) = (lesser(&home, "looker", "resources:read"), lesser(&home, "keeper", "resources:write"));
    let run = |file: &str, arguments: &[&str]| home.run(&[arguments, &["--url", &url, "--credentials", file]].concat());
    // The server follows what the command line changed.
    eventually(|| (run(&looker, &["resources", "list"]).code == 0).then_some(()));
    eventually(|| (run(&keeper, &["resources", "create", "urn:x"]).code == 0).then_some(()));
    run(&reader, &["clients", "list"]).ok();
    run(&reader, &["clients", "show", "writer"]).ok();
    let made = run(&writer, &["clients", "create", "--id", "shop", "--access", &format!("{orders}=z")]).ok();
    assert!(!made.err.contains("offers no"), "it may not know: {}", made.err);
    let shown = run(&looker, &["resources", "show", orders]).ok().out;
    assert!(shown.contains("lacks clients:read"), "{shown}");
    for (file, arguments, lacking) in [
        (&reader, &["clients", "create"][..], "this takes clients:write"),
        (&reader, &["clients", "disable", "shop"], "this takes clients:read clients:write"),
        (&writer, &["clients", "list"], "this takes clients:read"),
        (&looker, &["resources", "update", orders, "--name", "x"], "this takes resources:read resources:write"),
        (&keeper, &["resources", "show", orders], "this takes resources:read"),
    ] {
        run(file, arguments).refused(1, &[lacking, "(invalid_scope)"]);
    }
    // A client with admin scopes is made by whoever has those, and by nobody else.
    let ops = ["clients", "create", "--id", "ops", "--access", &format!("{}/admin=keys:read", home.issuer())];
    run(&writer, &ops).refused(1, &["the admin scope `keys:read`", "(beyond_own_power)"]);
    run("data/admin-credentials.json", &ops).ok();
    run("data/admin-credentials.json", &["clients", "delete", "ops", "--yes"]).ok();
    // Its file says more than it may get by now.
    let text = fs::read_to_string(home.path(&looker)).unwrap().replace("resources:read", "resources:read clients:read");
    fs::write(home.path(&looker), text).unwrap();
    run(&looker, &["resources", "show", orders]).ok();
}

#[test]
fn what_the_api_refuses_is_one_sentence() {
    let (home, server, url) = served();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    let admin = format!("{}/admin", home.issuer());
    for (arguments, parts) in [
        (&["clients", "show", "shpo"][..], &["there is no client `shpo`: did you mean `shop`?"][..]),
        (&["clients", "create", "--id", "a b"], &["(invalid_member)"]),
        (&["clients", "create", "--access", "https://nope.example=a"], &["https://nope.example"]),
        (&["clients", "create", "--access", &format!("{admin}=keys:destroy")], &["keys:destroy"]),
        (&["resources", "create", "orders"], &["is not an absolute URI"]),
        (&["resources", "create", &admin], &["reserved"]),
        (&["resources", "update", &admin, "--name", "x"], &["(reserved_resource)"]),
        (&["resources", "delete", &admin, "--yes"], &["reserved"]),
        (&["clients", "roll-secret", "shop", "--keep-old", "100d"], &["overlap_seconds", "at most"]),
        (&["clients", "roll-secret", "shop", "--write-credentials"], &["renews the credentials in use"]),
    ] {
        home.run(&[arguments, &["--url", &url]].concat()).refused(1, parts);
    }
    for verb in [&["clients", "list"][..], &["resources", "delete", "urn:x", "--yes"]] {
        let at = |url: &str| home.run(&[verb, &["--url", url]].concat());
        at("http://signet.example").refused(1, &["plain http"]);
        at(&home.issuer()).refused(1, &["(not_found)"]);
        assert_eq!(home.run(&[verb, &["--credentials", "x.json"]].concat()).code, 2);
    }
    drop(server);
    home.run(&["clients", "list", "--url", &url]).refused(4, &["can't be reached"]);
}

#[test]
fn an_admin_renews_its_own_credentials_and_never_loses_them() {
    let (home, _server, url) = served();
    let file = home.path("data/admin-credentials.json");
    let read = || serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap();
    let before = read();
    let roll = ["clients", "roll-secret", "--admin", "--write-credentials", "--end-old", "--url", &url];
    let rolled = home.run(&roll).ok();
    assert!(rolled.out.contains("data/admin-credentials.json") && !rolled.out.contains("scs_"), "{}", rolled.out);
    assert_ne!(read()["client_secret"], before["client_secret"]);
    assert_eq!((&read()["client_id"], &read()["scope"]), (&before["client_id"], &before["scope"]));
    home.run(&["token", "get"]).ok();

    // No file can have it, and it is valid: so it is shown.
    let folder = home.path("shut");
    fs::create_dir(&folder).unwrap();
    fs::copy(&file, folder.join("ops.json")).unwrap();
    home.hand_over();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let ran = home.run(&[&roll[..], &["--credentials", "shut/ops.json", "--json"]].concat());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(ran.code == 1 && ran.err.contains("shut/ops.json can't be written"), "{}{}", ran.out, ran.err);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    let id = before["client_id"].as_str().unwrap();
    let secret = home.write("new.secret", shown["client_secret"].as_str().unwrap());
    let get = ["token", "get", "--client-id", id, "--client-secret-file", &secret, "--resource"];
    home.run(&[&get[..], &[before["audience"].as_str().unwrap()]].concat()).ok();
}

/// Of the client `shop` and of the resource `urn:orders`.
fn versions(home: &Home) -> [i64; 2] {
    [["clients", "show", "shop"], ["resources", "show", "urn:orders"]]
        .map(|show| home.json(&show)["version"].as_i64().unwrap())
}

#[test]
fn changes_through_the_api_at_the_same_time_all_succeed() {
    let (home, _server, url) = served();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    home.run(&["resources", "create", "urn:orders"]).ok();
    let before = versions(&home);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (home, url) = (&home, &url);
            scope.spawn(move || {
                let metadata = home.path(&format!("{number}.json"));
                fs::write(&metadata, format!("{{\"client_name\": \"{number}\"}}")).unwrap();
                fs::set_permissions(&metadata, fs::Permissions::from_mode(0o644)).unwrap();
                let metadata = metadata.to_str().unwrap();
                home.run(&["clients", "update", "shop", "--metadata", metadata, "--url", url]).ok();
                home.run(&["resources", "update", "urn:orders", "--name", &number.to_string(), "--url", url]).ok();
            });
        }
    });
    assert_eq!(versions(&home), before.map(|version| version + 6), "each of them was made once");
}

#[test]
fn a_damaged_client_is_named_by_the_api_too() {
    let (home, _server, url) = served();
    home.run(&["clients", "create", "--id", "shop"]).ok();
    sql(&home.path("data/signet.db"), &["UPDATE clients SET grant_types = 'telepathy' WHERE client_id = 'shop'"]);
    let listed = home.run(&["clients", "list", "--url", &url, "--json"]);
    let told: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((listed.code, &told["damaged"], told["clients"].as_array().unwrap().len()), (1, &json!(["shop"]), 2));
    assert!(listed.err.contains("`shop`") && !listed.err.contains("telepathy"), "{}", listed.err);
    home.run(&["clients", "show", "shop", "--url", &url]).refused(4, &["(server_error)"]);
    home.run(&["clients", "roll-secret", "--admin", "--url", &url]).ok();
}
