//! The log of the built program: no line is forged, and no secret is in it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use signet::app::Credentials;
use signet_verify::Algorithm;

use crate::app::Installation;
use crate::assertion::{jti, metadata};
use crate::raw::{request, say};
use crate::signer::Signer;
use crate::world::{ORDERS, World, eventually};

/// All that Signet and the libraries under it can say, those too that are silent by default.
const EVERYTHING: &str = "trace,actix_http=trace,actix_server=trace";

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const TYPE: (&str, &str) = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

/// The built program over an installation's folder, its log in a file.
struct Program {
    child: Child,
    log: PathBuf,
    public: String,
    issuer: String,
}

impl Program {
    async fn start(installation: &Installation, level: &str) -> Self {
        // Another test of this process may have done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = installation.folder.path();
        let log = folder.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_signet"))
            .current_dir(folder)
            .env("SIGNET__DATA_DIR", folder.join("data"))
            .env("SIGNET__KEYS__MASTER_KEY_FILE", folder.join("keys/master.key"))
            .env("SIGNET__PUBLIC__BIND", "127.0.0.1:0")
            .env("SIGNET__ADMIN__BIND", "127.0.0.1:0")
            .env("SIGNET__TELEMETRY__LEVEL", level)
            .env("SIGNET__TELEMETRY__FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut program = Self { child, log, public: String::new(), issuer: String::new() };
        let listening =
            eventually(async || program.lines().into_iter().find(|line| line["message"] == "listening")).await;
        program.public = listening["public"].as_str().unwrap().to_owned();
        program.issuer = listening["issuer"].as_str().unwrap().to_owned();
        program
    }

    fn text(&self) -> String {
        String::from_utf8(std::fs::read(&self.log).unwrap()).unwrap()
    }

    /// Every whole line, which must be an object with a level and a message.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let line = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value["level"].is_string() && value.is_object(), "{line}");
            value
        };
        whole.lines().map(line).collect()
    }

    /// Stops it as an operator does, and waits for its last line.
    fn stop(mut self) -> (String, Vec<Value>) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
        (self.text(), self.lines())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[actix_web::test]
async fn no_request_forges_a_line_of_the_log() {
    let installation = Installation::new();
    let program = Program::start(&installation, EVERYTHING).await;
    let forged = "x\"}\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\n\u{1b}[31m\u{2028}\u{85}";
    let encoded: String = forged.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let quoted = "x\\\"}{\"message\":\"forged\"}";
    let http = reqwest::Client::new();
    let url = format!("{}/oauth2/token", program.public);
    for id in [forged, quoted, "a\u{7f}b", "\u{feff}", &"x".repeat(5000)] {
        for form in [
            vec![GRANT, ("client_id", id), ("client_secret", id)],
            vec![GRANT, ("client_assertion", id), TYPE],
            vec![("grant_type", id), ("scope", id)],
        ] {
            assert!(!http.post(&url).form(&form).send().await.unwrap().status().is_success());
        }
        http.post(&url).basic_auth(id, Some(id)).form(&[GRANT]).send().await.unwrap();
    }
    for bytes in [
        request("GET", &format!("/{encoded}?{encoded}"), &[]),
        request("GET", "/\"}{\"message\":\"forged\"}", &[]),
        request("GET", "/", &[&format!("User-Agent: {quoted}"), &format!("X-Request-Id: {quoted}")]),
        request("GET", "/", &[&format!("Host: {quoted}"), &format!("X-Forwarded-For: {quoted}")]),
        request("GET", "/", &[&format!("Traceparent: {quoted}"), "X-Bytes: \u{ff}\u{1}"]),
        request("FORGED", "/", &[]),
        request("{\"message\":\"forged\"}", "/", &[]),
        b"\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\n\r\n".to_vec(),
        b"GET /\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: x\r\nX: \xff\xfe\r\nConnection: close\r\n\r\n".to_vec(),
    ] {
        say(&program.public, bytes).await;
    }
    let (text, lines) = program.stop();
    assert!(lines.len() > 30, "{}", lines.len());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{2028}') && !text.contains('\u{85}'));
    for line in &lines {
        assert_ne!(line["message"], "forged", "{line}");
    }
    let requests: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert!(requests.len() >= 25, "each request left its line: {}", requests.len());
    for line in requests {
        assert!(line["route"] == "-" || line["route"] == "/oauth2/token", "never what was sent: {line}");
    }
    println!("{} lines at trace, each one object", lines.len());
}

#[actix_web::test]
async fn no_secret_is_in_the_log_at_any_level() {
    // H5.
    let installation = Installation::new();
    let program = Program::start(&installation, EVERYTHING).await;
    let world = World::of(&installation).await;
    world.resource(ORDERS, "orders:read").await;
    let signer = Signer::new(Algorithm::Es256);
    let access = json!({"access": {ORDERS: "orders:read"}});
    let basic = world.client("basic", access.clone()).await;
    let mut by_post = access;
    by_post["token_endpoint_auth_method"] = json!("client_secret_post");
    let post = world.client("post", by_post).await;
    world.client("robot", metadata(&[&signer], None)).await;

    let http = reqwest::Client::new();
    let url = format!("{}/oauth2/token", program.public);
    let folder = installation.folder.path();
    let admin: Credentials =
        serde_json::from_slice(&std::fs::read(folder.join("data/admin-credentials.json")).unwrap()).unwrap();
    let mut secrets = vec![
        ("master key", std::fs::read_to_string(folder.join("keys/master.key")).unwrap().trim().to_owned()),
        ("admin secret", admin.client_secret.clone()),
        ("secret by Basic", basic.clone()),
        ("secret by form", post.clone()),
    ];
    // Successes: the token is a secret too, and so is what authenticated.
    let succeeds = async |request: reqwest::RequestBuilder| -> String {
        eventually(async || {
            let answer = request.try_clone().unwrap().send().await.unwrap();
            let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            body["access_token"].as_str().map(str::to_owned)
        })
        .await
    };
    for (id, secret) in [(admin.client_id.as_str(), admin.client_secret.as_str()), ("basic", &basic)] {
        let request = http.post(&url).basic_auth(id, Some(secret)).form(&[GRANT]);
        let header =
            request.try_clone().unwrap().build().unwrap().headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        secrets.push(("Authorization header", header.strip_prefix("Basic ").unwrap().to_owned()));
        secrets.push(("access token", succeeds(request).await));
    }
    let form = [GRANT, ("client_id", "post"), ("client_secret", &post)];
    secrets.push(("access token", succeeds(http.post(&url).form(&form)).await));
    let assertion = |exp: i64| {
        signer.sign(&json!({"iss": "robot", "sub": "robot", "aud": program.issuer, "jti": jti(), "exp": exp}))
    };
    let now = signet::ports::Clock::now(&signet::ports::SystemClock).secs();
    let good = assertion(now + 60);
    secrets.push(("access token", succeeds(http.post(&url).form(&[GRANT, TYPE, ("client_assertion", &good)])).await));
    // Failures of every kind, each with something that must not be told.
    let bad = assertion(now - 3600);
    let fails = async |request: reqwest::RequestBuilder| assert!(!request.send().await.unwrap().status().is_success());
    fails(http.post(&url).form(&[GRANT, TYPE, ("client_assertion", &good)])).await;
    fails(http.post(&url).form(&[GRANT, TYPE, ("client_assertion", &bad)])).await;
    fails(http.post(&url).form(&[GRANT, TYPE, ("client_assertion", "c4n4ry-no-jwt")])).await;
    fails(http.post(&url).form(&[GRANT, ("client_id", "basic"), ("client_secret", "c4n4ry-wrong-secret")])).await;
    fails(http.post(&url).basic_auth("c4n4ry-swapped-with-id", Some("x")).form(&[GRANT])).await;
    fails(http.post(format!("{url}?client_id=post&client_secret=c4n4ry-in-query")).form(&[GRANT])).await;
    fails(http.post(&url).bearer_auth("c4n4ry-bearer").form(&[GRANT])).await;
    fails(http.post(&url).header("Cookie", "c4n4ry-cookie").body("c4n4ry-no-form")).await;
    fails(http.post(&url).basic_auth("basic", Some(&basic)).form(&[GRANT, ("scope", "c4n4ry-scope")])).await;
    fails(http.get(format!("{}/c4n4ry-path?c4n4ry-query", program.public)).header("X-Api-Key", "c4n4ry-key")).await;
    say(&program.public, b"GET /c4n4ry-broken\r\nAuthorization: c4n4ry-broken\r\n\r\n".to_vec()).await;
    say(&program.public, request("POST", "/oauth2/token", &["Authorization: Basic c4n4ry", "Content-Length: x"])).await;
    let oversize = "c4n4ry".repeat(5000);
    fails(http.post(&url).header("content-type", "application/x-www-form-urlencoded").body(oversize)).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    secrets.extend([("assertion", good), ("assertion", bad), ("canary", "c4n4ry".to_owned())]);

    let (text, lines) = program.stop();
    for level in ["TRACE", "DEBUG", "INFO"] {
        assert!(
            lines.iter().any(|line| line["level"].as_str().unwrap().eq_ignore_ascii_case(level)),
            "nothing at {level}"
        );
    }
    let private: Vec<_> = secrets
        .into_iter()
        .flat_map(|(what, secret)| {
            // Whole, and the part of it that matters most: the signature.
            let part = secret.rsplit('.').next().unwrap().to_owned();
            [(what, secret), (what, part)]
        })
        .collect();
    for (place, line) in text.lines().enumerate() {
        for (what, secret) in &private {
            assert!(secret.len() >= 6 && !line.contains(secret.as_str()), "{what} in line {place}: {line}");
        }
    }
    println!("{} secrets are in none of {} lines", private.len(), lines.len());
}
