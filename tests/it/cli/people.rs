//! `signet users …` and `signet sessions …` with `--url`: the same by the admin API as on the database.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::home::{Home, sql};
use super::through::{either, lesser, served};

/// "correct horse é", as other programs hashed it.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e";

#[test]
fn each_verb_about_accounts_says_the_same_by_the_api_as_on_the_database() {
    let (home, _server, url) = served();
    let both = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        either(&home, &url, &words)
    };
    home.write("first.txt", "mossy kettle orbit plank\n");
    let create = "users create --username NAME --email NAME@example.com --role a --attribute x=[1] --reason new --json";
    assert_eq!(both(create).json()["username"], "alpha");
    both("users create --username NAME-2 --password-file first.txt").ok();
    for verb in ["show NAME", "show NAME@EXAMPLE.com --json", "show NAME --metadata"] {
        both(&format!("users {verb}")).ok();
    }
    for (name, code) in [("ALPHA", "username_taken"), ("a1pha", "username_looks_alike"), ("a b", "invalid_member")] {
        home.run(&["users", "create", "--username", name, "--url", &url]).refused(1, &[&format!("({code})")]);
    }
    let weak = ["users", "create", "--username", "x", "--password-file", "weak.txt", "--url", &url];
    home.write("weak.txt", "passwordpassword\n");
    home.run(&weak).refused(1, &["easy to guess", "(password_refused)"]);
    both("users show NAM").refused(1, &["there is no account `NAM`"]);
    both("users show ..").refused(1, &["there is no account `..`"]);
    for name in ["alpha", "gamma"] {
        home.write(&format!("{name}.json"), &json!({ "username": name, "roles": ["b"] }).to_string());
    }
    assert!(both("users update NAME --metadata NAME.json").ok().out.starts_with("The account is changed."));
    assert!(both("users update NAME --metadata NAME.json").ok().out.starts_with("The account is so already."));
    for (edit, changed) in [
        ("--username NAME --email NAME@example.org --add-role c --add-role b --set-attribute y=[2]", true),
        ("--email NAME@example.org --add-role c", false),
        ("--remove-role b --no-email --unset-attribute y --set-attribute z=1", true),
    ] {
        let said = both(&format!("users update NAME {edit} --reason edit")).ok().out;
        assert!(said.starts_with("The account is changed.") == changed, "{edit}: {said}");
    }
    let described = both("users show NAME --metadata").json();
    assert_eq!(described, json!({"username": "alpha", "roles": ["c"], "attributes": {"z": 1}}));
    for (edit, part) in [
        ("--remove-role x", "has no role `x`: what it has is `c`"),
        ("--unset-attribute x", "has no attribute `x`: what it has is `z`"),
        ("--add-role signet:nope", "signet:nope"),
    ] {
        both(&format!("users update NAME {edit}")).refused(1, &[part]);
    }
    for wrong in ["", "--email x@example.com --no-email", "--metadata NAME.json --add-role x", "--set-attribute x"] {
        assert_eq!(both(format!("users update NAME {wrong}").trim()).code, 2, "{wrong}");
    }
    for (verb, changed) in [("disable", true), ("disable", false), ("enable", true), ("enable", false)] {
        assert_eq!(both(&format!("users {verb} NAME --reason drill --json")).json()["changed"], changed, "{verb}");
    }
    for ran in [
        &["users", "password-link", "alpha", "--json"][..],
        &["users", "password-link", "gamma", "--json", "--url", &url],
    ] {
        let link = home.run(ran).json();
        assert!(link["link_token"].as_str().unwrap().starts_with("spl_") && link["expires_at"].is_string(), "{link}");
        assert_eq!(link.as_object().unwrap().len(), 3);
    }
    both("users delete NAME").refused(1, &["say --yes"]);
    both("users delete NAME-2 --yes --reason over").ok();
    for form in ["users list", "users list --json", "users export", "users export --password-hashes"] {
        let words: Vec<&str> = form.split(' ').collect();
        assert_eq!(home.run(&[&words[..], &["--url", &url]].concat()).ok().out, home.run(&words).ok().out, "{form}");
    }
    let log = |actor: &str| -> Vec<Value> {
        let listed = home.json(&["audit", "list", "--limit", "1000"]);
        let rows = listed["items"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["actor_kind"] == actor && row["act"].as_str().unwrap().starts_with("users."));
        rows.map(|row| json!([row["act"], row["reason"]])).collect()
    };
    assert_eq!(log("client"), log("operator"), "the same is in the log, by a client or by an operator");
    assert_eq!(log("client").len(), 10);
}

#[test]
fn a_file_of_accounts_streams_through_the_api_and_is_told_by_line() {
    let (home, _server, url) = served();
    let rows: Vec<Value> = (0..230)
        .map(|place| match place {
            3 => json!({"username": "person-1"}),
            150 => json!({"username": "eve", "passwort": "canary"}),
            229 => json!({"username": "chief", "roles": ["signet:keys:import"], "password_hash": BCRYPT}),
            _ => json!({"username": format!("person-{place}"), "password_hash": BCRYPT}),
        })
        .collect();
    let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
    home.write("users.jsonl", &lines.join("\n"));
    let import = ["users", "import", "users.jsonl", "--reason", "moved", "--json", "--url", &url];
    let ran = home.run(&import);
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    assert_eq!((ran.code, &report["imported"]), (1, &json!(228)), "{}", ran.err);
    let refused = report["refused"].as_array().unwrap();
    assert_eq!(refused.iter().map(|row| row["line"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 151]);
    assert_eq!(refused[0]["why"], "another account has this username");
    assert!(!ran.out.contains("canary"), "{}", ran.out);
    assert_eq!(home.json(&["users", "show", "chief"])["password"]["hash"], "bcrypt");
    // Who may import, and no more, takes over nobody who may.
    let file = lesser(&home, "importer", "users:import");
    home.write("chief.jsonl", &json!({"username": "chief-2", "roles": ["signet:keys:import"]}).to_string());
    let ran = home.run(&["users", "import", "chief.jsonl", "--url", &url, "--credentials", &file]);
    assert!(ran.code == 1 && ran.out.contains("keys:import"), "{}{}", ran.out, ran.err);
    home.run(&["users", "list", "--url", &url, "--credentials", &file]).refused(1, &["this takes users:read"]);
    let export = ["users", "export", "--password-hashes", "--url", &url, "--credentials", &file];
    home.run(&export).refused(1, &["this takes users:export"]);
    // All that is exported there is imported here.
    let whole = home.run(&["users", "export", "--password-hashes", "--url", &url]).ok().out;
    let other = Home::initialised();
    other.write("users.jsonl", &whole);
    assert_eq!(other.json(&["users", "import", "users.jsonl"]), json!({"imported": 228, "refused": []}));
}

#[test]
fn a_damaged_account_is_named_by_the_api_too() {
    let (home, _server, url) = served();
    let id = home.json(&["users", "create", "--username", "ann"])["id"].as_str().unwrap().to_owned();
    home.run(&["users", "create", "--username", "bob"]).ok();
    sql(&home.path("data/signet.db"), &["UPDATE users SET attributes = 'canary' WHERE username = 'ann'"]);
    home.hand_over();
    for verb in ["list", "export"] {
        let ran = home.run(&["users", verb, "--url", &url]);
        assert!(ran.code == 1 && ran.out.contains("bob") && ran.err.contains(&id), "{}{}", ran.out, ran.err);
        assert!(!ran.err.contains("canary"), "{}", ran.err);
    }
    home.run(&["users", "show", &id, "--url", &url]).refused(4, &["(server_error)"]);
}

/// Signs `ann` in at the server, as often as that.
fn sign_in(home: &Home, times: usize) -> Vec<Value> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body = json!({"username": "ann", "password": "correct horse é"}).to_string();
    let url = format!("{}/auth/login", home.issuer());
    let login = || {
        let (url, body) = (url.clone(), body.clone());
        runtime.block_on(async move {
            let request = reqwest::Client::new().post(url).header("Content-Type", "application/json").body(body);
            let answer = request.send().await.unwrap();
            let good = answer.status() == 200;
            let text = answer.text().await.unwrap();
            good.then(|| serde_json::from_str::<Value>(&text).unwrap())
        })
    };
    (0..times).map(|_| super::home::eventually(login)).collect()
}

#[test]
fn sessions_are_listed_shown_and_ended_alike_by_either_way() {
    let (home, _server, url) = served();
    home.run(&["resources", "create", "https://orders.example", "--scope", "a"]).ok();
    home.run(&["clients", "update", "login", "--add-access", "https://orders.example=a"]).ok();
    home.write("ann.jsonl", &json!({"username": "ann", "password_hash": BCRYPT}).to_string());
    home.run(&["users", "import", "ann.jsonl"]).ok();
    let id = home.json(&["users", "show", "ann"])["id"].as_str().unwrap().to_owned();
    let tokens = sign_in(&home, 5);
    let sid = |place: usize| tokens[place]["session_id"].as_str().unwrap().to_owned();
    let there = |arguments: &[&str]| home.run(&[arguments, &["--url", &url]].concat());
    for arguments in [
        &["sessions", "list", "--user", "ann"][..],
        &["sessions", "list", "--user", &id, "--json"],
        &["sessions", "list", "--client", "login", "--json"],
        &["sessions", "list", "--client", "nobody"],
        &["sessions", "show", &sid(0)],
        &["sessions", "show", &sid(0), "--json"],
    ] {
        assert_eq!(there(arguments).ok().out, home.run(arguments).ok().out, "{arguments:?}");
    }
    let count = || home.json(&["sessions", "list", "--user", "ann"])["sessions"].as_array().unwrap().len();
    assert_eq!(count(), 5);
    for run in [&there as &dyn Fn(&[&str]) -> super::home::Ran, &|arguments: &[&str]| home.run(arguments)] {
        run(&["sessions", "list", "--user", "nobody"]).refused(1, &["there is no account `nobody`"]);
        run(&["sessions", "show", "x"]).refused(1, &["there is no session `x`"]);
        // Names are base64url: one may begin like an option.
        run(&["sessions", "show", "-3AAAAAAAAAAAAAAAAAAAA"]).refused(1, &["there is no session `-3A"]);
        run(&["sessions", "end", &sid(0)]).refused(1, &["say --yes"]);
        run(&["sessions", "end-all", "--client", "login"]).refused(1, &["say --yes"]);
        assert_eq!(run(&["sessions", "list"]).code, 2);
        assert_eq!(run(&["sessions", "list", "--user", "ann", "--client", "login"]).code, 2);
    }
    let end =
        |place: usize| ["sessions".to_owned(), "end".to_owned(), sid(place), "--yes".to_owned(), "--json".to_owned()];
    for (place, run) in
        [(0, &there as &dyn Fn(&[&str]) -> super::home::Ran), (1, &|arguments: &[&str]| home.run(arguments))]
    {
        let words = end(place);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(run(&words).json(), json!({"session_id": sid(place), "ended": true}));
        run(&words).refused_json(&format!("there is no session `{}`", sid(place)));
    }
    assert_eq!(count(), 3);
    let all = ["sessions", "end-all", "--user", "ann", "--yes", "--reason", "drill"];
    assert_eq!(there(&all).ok().out, "3 sessions have ended.\n");
    assert_eq!(home.run(&all).ok().out, "0 sessions have ended.\n");
    sign_in(&home, 1);
    assert_eq!(home.run(&["sessions", "end-all", "--client", "login", "--yes"]).ok().out, "1 session has ended.\n");
    let rows = home.json(&["audit", "list", "--act", "sessions.end"]);
    let kinds: Vec<_> = rows["items"].as_array().unwrap().iter().map(|row| row["actor_kind"].clone()).collect();
    assert_eq!(kinds, ["operator", "client", "operator", "client"], "{rows}");
}

#[test]
fn a_session_that_can_not_be_read_is_ended_by_either_way() {
    let (home, _server, url) = served();
    home.run(&["resources", "create", "https://orders.example", "--scope", "a"]).ok();
    home.run(&["clients", "update", "login", "--add-access", "https://orders.example=a"]).ok();
    home.write("ann.jsonl", &json!({"username": "ann", "password_hash": BCRYPT}).to_string());
    home.run(&["users", "import", "ann.jsonl"]).ok();
    let tokens = sign_in(&home, 2);
    let database = home.path("data/signet.db");
    sql(&database, &["UPDATE sessions SET record = substr(record, 1, 3)"]);
    home.hand_over();
    for (place, more) in [(0, &["--url", &url][..]), (1, &[])] {
        let sid = tokens[place]["session_id"].as_str().unwrap();
        let end = [&["sessions", "end", sid], more].concat();
        home.run(&[&["sessions", "show", sid], more].concat()).refused(if place == 0 { 4 } else { 1 }, &[]);
        home.run(&end).refused(1, &["whose record can't be read", "say --yes"]);
        let yes = [&end[..], &["--yes", "--json", "--reason", "damaged"]].concat();
        assert_eq!(home.json(&yes), json!({"session_id": sid, "ended": true}));
        home.run(&yes).refused_json(&format!("there is no session `{sid}`"));
    }
    assert_eq!(super::home::count(&database, "sessions"), 0);
    let rows = home.json(&["audit", "list", "--act", "sessions.end"]);
    let kinds: Vec<_> = rows["items"].as_array().unwrap().iter().map(|row| row["actor_kind"].clone()).collect();
    assert_eq!(kinds, ["operator", "client"], "{rows}");
}

/// An issuer and admin API that gives out the tokens `t1`, `t2`, … and takes only the second.
fn forgetful() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut given = 0;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = told.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, body) = if head.contains("/oauth2/token") {
                given += 1;
                (200, json!({"access_token": format!("t{given}"), "token_type": "Bearer", "scope": "users:import"}))
            } else if head.contains("Bearer t2") || head.contains("bearer t2") {
                let sent: Value = serde_json::from_slice(&body).unwrap();
                let rows: Vec<_> = sent["users"].as_array().unwrap().iter().map(|_| json!({"id": "x"})).collect();
                (200, json!({"imported": rows.len(), "rows": rows}))
            } else {
                let detail = "the token is not valid here";
                (401, json!({"status": 401, "title": "Unauthorized", "detail": detail, "code": "invalid_token"}))
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n");
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

#[test]
fn a_token_that_ends_while_a_file_streams_is_replaced() {
    let home = Home::initialised();
    let port = forgetful();
    let base = format!("http://127.0.0.1:{port}");
    let file = json!({
        "client_id": "x", "client_secret": "x", "audience": format!("{base}/admin"), "scope": "users:import",
        "token_endpoint": format!("{base}/oauth2/token"),
    });
    home.write("there.json", &file.to_string());
    std::fs::set_permissions(home.path("there.json"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let lines: Vec<_> = (0..250).map(|n| json!({"username": format!("person-{n}")}).to_string()).collect();
    home.write("users.jsonl", &lines.join("\n"));
    let import = ["users", "import", "users.jsonl", "--url", &base, "--credentials", "there.json"];
    assert_eq!(home.json(&import), json!({"imported": 250, "refused": []}));
}
