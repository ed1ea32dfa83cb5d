//! A whole run of the built program at trace level, on a Postgres and a Redis that want passwords, with canaries in the
//! place of every secret: none is in the log, in metrics, in the audit log or in an error, and neither store holds
//! anything that can be used.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet_verify::base64url;

use crate::app::Answer;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::start::program::{Program, Running};
use crate::world::{ORDERS, eventually};

const PAGE: &str = "https://app.example";
const RIGHT: &str = "c4n4ry mossy kettle orbit";
const NEXT: &str = "c4n4ry brisk lantern tulip";
const WRONG: &str = "c4n4ry wrong password here";
const DATABASE: &str = "c4n4ry-of-the-database";
const REDIS: &str = "c4n4ry-of-redis";
/// All that libraries can say, those too that are silent by default.
const EVERYTHING: &str = "trace,actix_http=trace,actix_server=trace,redis=trace,sqlx=trace";

/// What must be nowhere: what it is, and the text.
type Secrets = Vec<(&'static str, String)>;

/// A server, and all that it has said that may hold a secret and must not.
struct Run {
    http: reqwest::Client,
    running: Running,
    secrets: Secrets,
    /// Bodies of errors.
    told: String,
    errors: usize,
}

impl Run {
    fn auth(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.http.post(format!("{}/auth/{path}", self.running.public));
        request.header("Content-Type", "application/json").body(body.to_string())
    }

    async fn ask(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::of(request.send().await.unwrap()).await;
        if !answer.status.is_success() {
            self.told += &format!("{:?} {}\n", answer.headers, answer.text);
            self.errors += 1;
        }
        answer
    }

    /// An answer with tokens, which are secrets from now on.
    async fn tokens(&mut self, request: RequestBuilder) -> Answer {
        let answer = self.ask(request).await;
        assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
        for name in ["access_token", "refresh_token", "device_token"] {
            if let Some(text) = answer.body[name].as_str() {
                self.secrets.push((name, text.to_owned()));
            }
        }
        for cookie in answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            self.secrets.push(("cookie", cookie.split(['=', ';']).nth(1).unwrap().to_owned()));
        }
        answer
    }

    fn from_a_page(request: RequestBuilder) -> RequestBuilder {
        request.header("Origin", PAGE).header("X-Signet-CSRF", "1")
    }

    /// A person's day: in by bodies and by the cookie, on, a new password, out; and all that goes wrong.
    async fn a_persons_day(&mut self, link: &str) {
        let chosen = self.auth("password", &json!({"link_token": link, "new_password": RIGHT}));
        assert_eq!(self.ask(chosen).await.status, 204);
        let login = json!({"username": "ann", "password": RIGHT, "client_id": "front"});
        let begun = self.tokens(self.auth("login", &login)).await;
        let refresh = |token: &Value| json!({"refresh_token": token, "client_id": "front"});
        let next = self.tokens(self.auth("refresh", &refresh(&begun.body["refresh_token"]))).await;
        let access = next.body["access_token"].as_str().unwrap().to_owned();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "front"),
            ("refresh_token", next.body["refresh_token"].as_str().unwrap()),
        ];
        let request = self.http.post(format!("{}/oauth2/token", self.running.public)).form(&form);
        self.tokens(request).await;
        let by_cookie = json!({"username": "ann", "password": RIGHT, "client_id": "front", "delivery": "cookie"});
        let answer = self.tokens(Self::from_a_page(self.auth("login", &by_cookie))).await;
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let on = Self::from_a_page(self.auth("refresh", &json!({"client_id": "front"}))).header("Cookie", &cookie);
        self.tokens(on).await;
        for path in ["me", "sessions"] {
            let request = self.http.get(format!("{}/auth/{path}", self.running.public)).bearer_auth(&access);
            assert_eq!(self.ask(request).await.status, 200);
        }
        self.what_goes_wrong(&access, &cookie, &begun.body["refresh_token"]).await;
        let change = self.auth("password", &json!({"current_password": RIGHT, "new_password": NEXT}));
        let changed = self.tokens(change.bearer_auth(&access)).await;
        // What was replaced, and what has ended.
        for token in [&begun.body["refresh_token"], &next.body["refresh_token"]] {
            assert_eq!(self.ask(self.auth("refresh", &refresh(token))).await.status, 401);
        }
        let out = self.auth("logout", &refresh(&changed.body["refresh_token"]));
        assert_eq!(self.ask(out).await.status, 204);
        // One that lives on, in both stores.
        let login = json!({"username": "ann", "password": NEXT, "client_id": "front"});
        self.tokens(self.auth("login", &login)).await;
    }

    async fn what_goes_wrong(&mut self, access: &str, cookie: &str, old: &Value) {
        let old = old.as_str().unwrap();
        let login = |name: &str, password: &str| json!({"username": name, "password": password, "client_id": "front"});
        let me = format!("{}/auth/me", self.running.public);
        let requests = [
            self.auth("login", &login("ann", WRONG)),
            self.auth("login", &login(WRONG, RIGHT)),
            self.auth("login", &login(RIGHT, WRONG)),
            self.auth("login", &json!({"username": "ann", "password": [RIGHT]})),
            self.auth("login", &json!({"username": "ann", "password": RIGHT, "remember": RIGHT})),
            self.auth("login", &json!({"username": "ann", "password": RIGHT, "client_id": RIGHT})),
            self.auth("login", &json!({"username": "ann", "password": RIGHT, "scope": RIGHT, "client_id": "front"})),
            self.auth("login", &json!({"username": "ann", "password": RIGHT, "audience": RIGHT, "client_id": "front"})),
            self.auth("login", &json!({"username": "ann", "password": RIGHT, "device_token": format!("sdt_{RIGHT}")})),
            self.auth("login", &Value::from(format!("{RIGHT}{old}"))),
            self.auth("refresh", &json!({"refresh_token": format!("{old}x"), "client_id": "front"})),
            self.auth("refresh", &json!({"refresh_token": old, "client_id": old})),
            self.auth("refresh", &json!({"refresh_token": old, "client_id": "front", "scope": old})),
            self.auth("refresh", &json!({"client_id": "front"})).header("Cookie", cookie),
            self.auth("refresh", &json!({"client_id": "front"})).header("Cookie", format!("{cookie}; {cookie}")),
            self.auth("refresh", &json!({"refresh_token": old, "client_id": "front"})).header("Cookie", cookie),
            self.auth("refresh", &json!({})).header("Origin", RIGHT),
            self.auth("password", &json!({"link_token": format!("spl_{RIGHT}"), "new_password": NEXT})),
            self.auth("password", &json!({"current_password": WRONG, "new_password": NEXT})).bearer_auth(access),
            self.auth("password", &json!({"current_password": RIGHT, "new_password": "c4n4ry"})).bearer_auth(access),
            self.auth("register", &json!({"username": RIGHT, "password": WRONG})),
            self.http.get(&me).bearer_auth(format!("{access}x")),
            self.http.get(&me).bearer_auth(old),
            self.http.get(format!("{me}?access_token={access}")),
            self.http.get(&me).header("Authorization", format!("Basic {access}")),
            self.http.request(Method::DELETE, format!("{me}/{old}")).header("X-Forwarded-For", RIGHT),
        ];
        for request in requests {
            let answer = self.ask(request).await;
            assert!(answer.status.is_client_error(), "{} {}", answer.status, answer.text);
        }
    }
}

/// How a secret may be written: as it is, the part that matters most, and in the shapes that stores show bytes in.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
    let mut shapes = vec![secret.as_bytes().to_vec(), hex(secret.as_bytes())];
    shapes.push(base64url::encode(secret).into_bytes());
    shapes.push(secret.rsplit('.').next().unwrap().as_bytes().to_vec());
    shapes.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes());
    if let Some(bytes) = secret.strip_prefix("srt_").and_then(|text| base64url::decode(text).ok()) {
        // The session's secret, and the code over the whole.
        for part in [&bytes[5..21], &bytes[25..]] {
            shapes.extend([part.to_vec(), hex(part), base64url::encode(part).into_bytes()]);
        }
    }
    for prefix in ["spl_", "scs_", "sdt_"] {
        if let Some(bytes) = secret.strip_prefix(prefix).and_then(|text| base64url::decode(text).ok()) {
            shapes.extend([hex(&bytes), bytes]);
        }
    }
    shapes
}

#[track_caller]
fn assert_absent(secrets: &Secrets, place: &str, text: &[u8]) {
    for (what, secret) in secrets {
        for shape in spellings(secret) {
            assert!(shape.len() >= 6, "{what} is too short to be looked for");
            let found = text.windows(shape.len()).position(|window| window == shape);
            let around =
                found.map(|at| String::from_utf8_lossy(&text[at.saturating_sub(120)..(at + 40).min(text.len())]));
            assert!(around.is_none(), "{what} in {place}: {around:?}");
        }
    }
}

/// Every row of every table, bytes in hexadecimal.
fn rows_of(url: &str) -> String {
    let server = Postgres::shared();
    let tables = server.psql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    let mut all = String::new();
    for table in tables.lines() {
        all += &format!("{table}\n{}\n", server.psql(url, &format!("SELECT row_to_json(t)::text FROM \"{table}\" t")));
    }
    assert!(tables.lines().count() > 10, "{tables}");
    all
}

#[actix_web::test]
async fn no_canary_is_in_logs_metrics_audit_and_errors_and_no_store_holds_what_can_be_used() {
    let database = Postgres::shared().database();
    let with_password = database.replace("signet@", &format!("signet:{DATABASE}@"));
    let redis = Redis::start(&["appendonly no", "rdbcompression no", &format!("requirepass {REDIS}")]).asked_with(&[
        "--no-auth-warning",
        "-a",
        REDIS,
    ]);
    let program = Program::new()
        .with("DATABASE__URL", &with_password)
        .with("REDIS__URL", &format!("redis://:{REDIS}@{}", redis.address))
        .with("PASSWORDS__PEPPER", "c4n4ry-pepper-AAECAwQFBgcICQoLDA0ODxAREhMU")
        .with("TELEMETRY__LEVEL", EVERYTHING);
    let mut said = String::new();
    let mut tell = |arguments: &[&str]| {
        let ended = program.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        said += &ended.err;
        ended.out
    };
    tell(&["init"]);
    tell(&["resources", "create", ORDERS, "--scope", "orders:read"]);
    tell(&[
        "clients",
        "create",
        "--id",
        "front",
        "--auth-method",
        "none",
        "--first-party",
        "--web-origin",
        PAGE,
        "--access",
        &format!("{ORDERS}=orders:read"),
    ]);
    tell(&["users", "create", "--username", "ann"]);
    let made = tell(&["users", "password-link", "ann", "--json"]);
    let link = serde_json::from_str::<Value>(&made).unwrap()["link_token"].as_str().unwrap().to_owned();
    let running = program.serve();
    let credentials = program.credentials();
    let admin = running.admin_token(&credentials).await;
    let mut run = Run {
        http: reqwest::Client::new(),
        running,
        secrets: vec![
            ("canary", "c4n4ry".to_owned()),
            ("link", link.clone()),
            ("admin secret", credentials.client_secret.clone()),
            ("admin token", admin.clone()),
        ],
        told: String::new(),
        errors: 0,
    };
    run.a_persons_day(&link).await;
    let page = Answer::of(run.http.get(format!("{}/metrics", run.running.admin)).send().await.unwrap()).await.text;
    let audit = run.http.get(format!("{}/admin/v1/audit?page_size=200", run.running.admin)).bearer_auth(&admin);
    let audit = Answer::of(audit.send().await.unwrap()).await.text;
    assert!(page.contains("signet_logins_total") && audit.contains("users.create"), "{audit}");
    redis.tell(&["SAVE"]);
    let kept = std::fs::read(redis.folder.join("dump.rdb")).unwrap();
    let rows = rows_of(&database);
    // Redis is lost on the way: what is said of that has no password in it either.
    redis.kill();
    let login = json!({"username": "ann", "password": NEXT, "client_id": "front"});
    let problem = run.ask(run.auth("login", &login)).await;
    assert_eq!(problem.status, 503, "{}", problem.text);
    eventually(async || run.running.log().contains("WARN").then_some(())).await;
    let Run { running, secrets, told, errors, .. } = run;
    let log = said + &running.stop().err;

    assert!(log.contains("TRACE") && log.lines().count() > 200, "{} lines", log.lines().count());
    assert_absent(&secrets, "the log", log.as_bytes());
    assert_absent(&secrets, "metrics", page.as_bytes());
    assert_absent(&secrets, "the audit log", audit.as_bytes());
    assert_absent(&secrets, "errors", told.as_bytes());
    assert_absent(&secrets, "Postgres", rows.as_bytes());
    assert_absent(&secrets, "Redis", &kept);
    let lives = kept.windows(7).any(|window| window == b"{signet") && kept.windows(5).any(|window| window == b"front");
    assert!(lives, "Redis holds the session that lives: {} bytes", kept.len());
    println!(
        "{} secrets, each in several spellings, are in none of {} lines at trace, {errors} errors, metrics, audit log, \
         {} bytes of Postgres and {} of Redis",
        secrets.len(),
        log.lines().count(),
        rows.len(),
        kept.len()
    );
}
