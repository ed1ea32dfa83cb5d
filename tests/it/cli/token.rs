//! `signet token get|inspect|verify`, against a running server where one is needed.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use signet_verify::base64url;

use super::home::{Home, eventually};

#[test]
fn a_token_is_got_read_and_verified() {
    let home = Home::initialised();
    let _server = home.serve();
    // The credentials name the port of the first home: this one's own are made anew.
    home.run(&["clients", "roll-secret", "--admin", "--write-credentials", "--end-old"]).ok();
    let token = eventually(|| Some(home.run(&["token", "get"])).filter(|ran| ran.code == 0)).out;
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    let answer = home.json(&["token", "get", "--scope", "keys:read"]);
    assert_eq!((&answer["token_type"], &answer["scope"]), (&"Bearer".into(), &"keys:read".into()));

    let text = home.run_with(&["token", "inspect", "-"], &[], &token).ok().out;
    assert!(text.starts_with("NOT VERIFIED") && text.contains("ES256") && text.contains("Z ("), "{text}");
    let read = home.run_with(&["token", "inspect", "-", "--json"], &[], &token).json();
    assert_eq!(read["verified"], false);
    assert!(read["dates"]["exp"].as_str().unwrap().ends_with('Z'));

    let (issuer, jwks) = (home.issuer(), format!("{}/.well-known/jwks.json", home.issuer()));
    let audience = format!("{issuer}/admin");
    let verify = |jwks: &str, issuer: &str, audience: &str, token: &str| {
        let arguments = ["token", "verify", "--jwks", jwks, "--issuer", issuer, "--audience", audience, token.trim()];
        home.run(&arguments)
    };
    let good = verify(&jwks, &issuer, &audience, &token).ok().out;
    assert!(good.starts_with("The token is good.") && good.contains(&audience), "{good}");
    verify(&jwks, "https://other.example", &audience, &token).refused(1, &["of another issuer", "(wrong_issuer)"]);
    verify(&jwks, &issuer, "https://other.example", &token).refused(1, &["another audience", &audience]);
    let (unsigned, _) = token.trim().rsplit_once('.').unwrap();
    let forged = format!("{unsigned}.{}", base64url::encode([0; 64]));
    verify(&jwks, &issuer, &audience, &forged).refused(1, &["(bad_signature)"]);
    verify(&jwks, &issuer, &audience, "nonsense").refused(1, &["(malformed)"]);
    home.write("empty.json", r#"{"keys":[]}"#);
    verify("empty.json", &issuer, &audience, &token).refused(1, &["(unknown_key)", "0 usable keys"]);
    verify(&format!("{issuer}/nowhere"), &issuer, &audience, &token).refused(1, &["answers with status 404"]);
}

#[test]
fn a_running_server_follows_what_the_command_line_changes() {
    let home = Home::initialised();
    let _server = home.serve();
    home.run(&["resources", "create", "https://orders.example", "--scope", "orders:read"]).ok();
    let made = home.json(&["clients", "create", "--id", "shop", "--access", "https://orders.example=orders:read"]);
    let secret = home.write("shop.secret", made["client_secret"].as_str().unwrap());
    let get = ["token", "get", "--client-id", "shop", "--client-secret-file", &secret];
    let answers = |code| eventually(|| Some(home.run(&get)).filter(|ran| ran.code == code));
    answers(0);
    home.run(&["clients", "disable", "shop"]).ok();
    answers(1).refused(1, &["(invalid_client)", "unknown or disabled"]);
    home.run(&["clients", "enable", "shop"]).ok();
    answers(0);
    let by_environment = [("SIGNET_CLIENT_SECRET", made["client_secret"].as_str().unwrap())];
    home.run_with(&["token", "get", "--client-id", "shop"], &by_environment, "").ok();
    home.run(&[&get[..], &["--post"]].concat()).refused(1, &["(invalid_client)"]);
    home.run(&[&get[..], &["--scope", "orders:write"]].concat()).refused(1, &["(invalid_scope)"]);
    home.run(&[&get[..], &["--resource", "https://other.example"]].concat()).refused(1, &["(invalid_target)"]);
    let kid = home.json(&["keys", "create", "--algorithm", "ES256"])["kid"].as_str().unwrap().to_owned();
    assert_eq!(kid.len(), 43);
}

#[test]
fn what_is_missing_for_a_token_is_said_without_a_request() {
    let home = Home::empty();
    home.run(&["token", "get"]).refused(1, &["there are no admin credentials at data/admin-credentials.json"]);
    let named = ["token", "get", "--client-id", "shop"];
    home.run(&named).refused(1, &["--client-secret-file", "SIGNET_CLIENT_SECRET"]);
    let secret = [("SIGNET_CLIENT_SECRET", "scs_x")];
    let get = |endpoint| home.run_with(&[&named[..], &["--token-endpoint", endpoint]].concat(), &secret, "");
    get("http://login.example/token").refused(1, &["plain http"]);
    get("ftp://login.example/token").refused(1, &["only http and https"]);
    get("https://a:b@login.example/token").refused(1, &["a user name or password"]);
    home.run_with(&named, &secret, "").refused(4, &["can't be reached: connection refused"]);
}

#[test]
fn credentials_that_others_can_read_are_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::initialised();
    let path = home.path("data/admin-credentials.json");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    home.changes_nothing(&["token", "get"]).refused(1, &["other users can read", "0600"]);
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    let home = Home::empty();
    for (token, part) in [
        ("abc", "this is no JWT"),
        ("a.b", "2 parts"),
        ("a.b.c.d.e", "encrypted"),
        ("a.b.c", "not base64url"),
        ("e30.e30x.c", "claims of the token"),
        ("", "there is no token"),
    ] {
        home.run(&["token", "inspect", token]).refused(1, &[part]);
    }
    let steering = base64url::encode(br#"{"sub":"a\u001b[2Jb"}"#);
    let shown = home.run(&["token", "inspect", &format!("e30.{steering}.")]).ok().out;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn keys_that_can_not_be_had_are_told_from_a_token_that_is_refused() {
    let home = Home::empty();
    let verify = |jwks: &str| {
        let arguments =
            ["token", "verify", "--jwks", jwks, "--issuer", "https://a", "--audience", "b", "e30.e30.", "--json"];
        let ran = home.run(&arguments);
        let told: Value = serde_json::from_str(&ran.err).unwrap();
        (ran.code, told["error"].as_str().unwrap().to_owned())
    };
    let (code, error) = verify("http://127.0.0.1:1/jwks");
    assert!(code == 4 && error.contains("can't be reached"), "{error}");
    let (code, error) = verify("ftp://127.0.0.1/jwks");
    assert!(code == 1 && error.contains("only http and https"), "{error}");
    let (code, error) = verify("absent.json");
    assert!(code == 1 && error.contains("absent.json can't be read"), "{error}");
    home.write("list.json", "[]");
    let (code, error) = verify("list.json");
    assert!(code == 1 && error.contains("list.json: the JWKS can't be read"), "{error}");
    home.write("large.json", &"x".repeat(300_000));
    let (code, error) = verify("large.json");
    assert!(code == 1 && error.contains("longer than 262144 bytes"), "{error}");
}

/// A server that answers each request with `answer`, and then says no more.
fn answering(answer: impl Fn() -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer());
            open.push(stream);
        }
    });
    format!("http://{address}/jwks")
}

#[test]
fn an_answer_is_bounded_in_size_and_time_and_a_redirect_is_not_followed() {
    let home = Home::empty();
    let verify = |jwks: &str| {
        home.run(&["token", "verify", "--jwks", jwks, "--issuer", "https://a", "--audience", "b", "e30.e30."])
    };
    let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    verify(&answering(|| moved.to_vec())).refused(1, &["redirects elsewhere"]);
    let large = || [b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n".to_vec(), vec![b' '; 300_000]].concat();
    verify(&answering(large)).refused(1, &["longer than 262144 bytes"]);
    verify(&answering(Vec::new)).refused(4, &["no answer within 5 s"]);
    let down = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n";
    verify(&answering(|| down.to_vec())).refused(4, &["status 503"]);
}

#[test]
fn a_token_endpoint_that_is_none_is_said_to_be_none() {
    let home = Home::empty();
    let secret = [("SIGNET_CLIENT_SECRET", "scs_x")];
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<br>";
    let endpoint = answering(|| page.to_vec());
    home.run_with(&["token", "get", "--client-id", "shop", "--token-endpoint", &endpoint], &secret, "")
        .refused(1, &["is no token endpoint", "status 200"]);
}

#[test]
fn an_expired_token_is_refused_with_the_moment_of_its_end() {
    let home = Home::initialised();
    home.run(&["resources", "create", "https://orders.example", "--scope", "a", "--lifetime", "1s"]).ok();
    home.write(
        "secret",
        home.json(&["clients", "create", "--id", "shop", "--access", "https://orders.example=a"])["client_secret"]
            .as_str()
            .unwrap(),
    );
    let _server = home.serve();
    let token = home.run(&["token", "get", "--client-id", "shop", "--client-secret-file", "secret"]).ok().out;
    let (issuer, jwks) = (home.issuer(), format!("{}/.well-known/jwks.json", home.issuer()));
    let arguments = ["token", "verify", "--jwks", &jwks, "--issuer", &issuer, "--audience", "https://orders.example"];
    let expired = eventually(|| {
        Some(home.run(&[&arguments[..], &["--leeway", "0s", token.trim()]].concat())).filter(|ran| ran.code == 1)
    });
    expired.refused(1, &["the token has expired, 20", "Z (expired)"]);
    home.run(&[&arguments[..], &["--leeway", "60s", token.trim()]].concat()).ok();
}

#[test]
fn the_old_name_of_ed25519_is_taken_only_when_asked() {
    let home = Home::empty();
    home.write(
        "signet.toml",
        "[keys]\nalgorithms = [\"Ed25519\"]\neddsa_name = \"EdDSA\"\n[tokens]\ndefault_algorithm = \"Ed25519\"\n",
    );
    let _server = home.serve();
    let token = eventually(|| Some(home.run(&["token", "get"])).filter(|ran| ran.code == 0)).out;
    let (issuer, jwks) = (home.issuer(), format!("{}/.well-known/jwks.json", home.issuer()));
    let audience = format!("{issuer}/admin");
    let arguments = ["token", "verify", "--jwks", &jwks, "--issuer", &issuer, "--audience", &audience, token.trim()];
    home.run(&arguments).refused(1, &["(algorithm_not_allowed)"]);
    home.run(&[&arguments[..], &["--accept-eddsa"]].concat()).ok();
}
