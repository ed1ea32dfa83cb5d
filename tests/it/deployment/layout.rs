//! The layout of docker-compose.yml as processes: Postgres, Redis with the arguments and users of the file, `signet init`,
//! two replicas with the environment that it gives them, and nginx with the committed configuration before them.

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use signet_verify::{Jwks, Policy, verify};
use tempfile::TempDir;

use super::nginx::{Nginx, free_port};
use super::people::ask_from;
use super::{block, compose, workspace};
use crate::app::Answer;
use crate::cli::home::is_root;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::start::program::{Program, Running};
use crate::world::eventually;

/// Everything that the file starts.
pub(super) struct Layout {
    pub(super) nginx: Nginx,
    pub(super) replicas: [Program; 2],
    running: [Option<Running>; 2],
    basic: (String, String),
    http: reqwest::Client,
    pub(super) redis: Redis,
    _secrets: TempDir,
}

/// The block of docs/operations.md that makes the secrets, run as it stands, in a folder that has the docs.
fn secrets(database: &str) -> TempDir {
    let block = block("secrets");
    let (make, hand_over) = block.trim_end().rsplit_once('\n').unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(workspace().join("docs"), folder.path().join("docs")).unwrap();
    let run = |line: &str| {
        let ran = Command::new("bash").args(["-euc", line]).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success() && ran.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    run(make);
    // Giving files to another group takes root.
    assert_eq!(hand_over.split(' ').next(), Some("sudo"));
    if is_root() {
        run(hand_over.strip_prefix("sudo ").unwrap());
    }
    // The one thing that is different here is where the database listens.
    let file = folder.path().join("secrets/database-url");
    let url = fs::read_to_string(&file).unwrap();
    let (credentials, _) = url.split_once("@postgres:5432/signet\n").expect("the service of docker-compose.yml");
    let (_, at) = database.split_once('@').unwrap();
    fs::write(&file, format!("{credentials}@{at}\n")).unwrap();
    folder
}

/// The server that the file describes, and its address in the secret.
fn redis(secrets: &TempDir) -> Redis {
    let arguments = compose::command("redis");
    assert_eq!(arguments[0], "redis-server");
    let lines: Vec<String> = arguments[1..]
        .chunks(2)
        .map(|pair| {
            let value = in_folder(&pair[1], secrets);
            let value = if value.is_empty() { "\"\"".to_owned() } else { value };
            format!("{} {value}", pair[0].strip_prefix("--").unwrap())
        })
        .collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let redis = Redis::start(&lines);
    // Only where it listens is different.
    let file = secrets.path().join("secrets/redis-url");
    let url = fs::read_to_string(&file).unwrap();
    let credentials = url.strip_suffix("@redis:6379\n").expect("the service of docker-compose.yml");
    fs::write(&file, format!("{credentials}@{}\n", redis.address)).unwrap();
    let password = credentials.strip_prefix("redis://signet:").unwrap();
    redis.asked_with(&["--no-auth-warning", "--user", "signet", "--pass", password])
}

/// What a service finds below /run/secrets.
fn in_folder(value: &str, secrets: &TempDir) -> String {
    value.replace("/run/secrets/", &format!("{}/secrets/", secrets.path().display()))
}

impl Layout {
    pub(super) fn start(tls: bool) -> Self {
        let secrets = secrets(&Postgres::shared().database());
        let redis = redis(&secrets);
        let ports = [free_port(), free_port(), free_port()];
        let scheme = if tls { "https" } else { "http" };
        let issuer = format!("{scheme}://127.0.0.1:{}", ports[0]);
        let program = |service: &str, port: u16| {
            let mut program = Program::new();
            for (name, value) in compose::environment(service) {
                program = program.with(name.strip_prefix("SIGNET__").unwrap(), &in_folder(&value, &secrets));
            }
            let admin = format!("127.0.0.1:{}", free_port());
            program
                .with("ISSUER", &issuer)
                .with("PUBLIC__BIND", &format!("127.0.0.1:{port}"))
                .with("ADMIN__BIND", &admin)
                // From where nginx asks here.
                .with("PUBLIC__TRUSTED_PROXIES", "127.0.0.1")
        };
        // As the one-shot service does it, at each `up`.
        let init = program("init", 0);
        let arguments = compose::command("init");
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        for _ in 0..2 {
            let ended = init.run(&arguments);
            assert_eq!(ended.code, Some(0), "{}", ended.err);
        }
        let credentials = init.credentials();
        let replicas = [program("signet-1", ports[1]), program("signet-2", ports[2])];
        let running = replicas.each_ref().map(|replica| Some(replica.serve()));
        let nginx = Nginx::start(ports[0], [ports[1], ports[2]], tls);
        let mut http = reqwest::Client::builder().timeout(Duration::from_secs(20));
        if tls {
            http = http.tls_certs_only([reqwest::Certificate::from_pem(&nginx.certificate()).unwrap()]);
        }
        let basic = (credentials.client_id, credentials.client_secret);
        Self { nginx, replicas, running, basic, http: http.build().unwrap(), redis, _secrets: secrets }
    }

    /// A token request to the address of nginx or of a replica.
    async fn token(&self, root: &str) -> Result<Answer, reqwest::Error> {
        let request = self.http.post(format!("{root}/oauth2/token")).basic_auth(&self.basic.0, Some(&self.basic.1));
        let form = request.form(&[("grant_type", "client_credentials")]);
        Ok(Answer::of(form.send().await?).await)
    }

    async fn get(&self, root: &str, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{root}{path}")).send().await.unwrap()).await
    }

    async fn jwks(&self, root: &str) -> String {
        let answer = self.get(root, "/.well-known/jwks.json").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.text
    }

    /// What a service does with a token, and the keys that it has.
    fn verifies(&self, jwks: &str, token: &str) -> bool {
        let issuer = &self.nginx.url;
        let policy = Policy::new(issuer, format!("{issuer}/admin"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        verify(&Jwks::parse(jwks.as_bytes()).unwrap(), &policy, token, now).is_ok()
    }

    /// The addresses of the replicas.
    pub(super) fn roots(&self) -> [String; 2] {
        self.running.each_ref().map(|running| running.as_ref().unwrap().public.clone())
    }

    /// The replicas that nginx asked since it had answered `after` requests, once each.
    pub(super) fn asked(&self, after: usize) -> Vec<String> {
        let asked = self.nginx.access_log().into_iter().skip(after);
        let mut asked: Vec<_> = asked.map(|line| line["upstream"].as_str().unwrap().to_owned()).collect();
        asked.sort();
        asked.dedup();
        asked
    }

    pub(super) fn verb(&self, replica: usize, arguments: &[&str]) -> Value {
        let ended = self.replicas[replica].run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    }
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.body["access_token"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn tokens_of_both_replicas_verify_with_one_key_set_through_nginx() {
    let layout = Layout::start(false);
    let nginx = layout.nginx.url.clone();
    let keys = layout.jwks(&nginx).await;
    for root in layout.roots() {
        assert_eq!(layout.jwks(&root).await, keys);
        assert!(layout.verifies(&keys, &token_of(&layout.token(&root).await.unwrap())));
    }
    for _ in 0..20 {
        assert!(layout.verifies(&keys, &token_of(&layout.token(&nginx).await.unwrap())));
    }
    assert_eq!(layout.asked(0).len(), 2, "{:?}", layout.asked(0));
    for replica in 0..2 {
        assert_eq!(layout.verb(replica, &["health"])["status"], "ready");
    }
    // What is the admin listener's is not to be had through nginx.
    for path in ["/healthz", "/readyz", "/metrics", "/admin/v1/keys"] {
        assert_eq!(layout.get(&nginx, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    // A key made beside them is published by both within 2 s.
    let kid = layout.verb(0, &["keys", "create", "--algorithm", "ES256"])["kid"].as_str().unwrap().to_owned();
    let made = Instant::now();
    for root in layout.roots() {
        eventually(async || layout.jwks(&root).await.contains(&kid).then_some(())).await;
    }
    let followed = made.elapsed();
    println!("a key made by the command line was published by both replicas within {} ms", followed.as_millis());
    assert!(followed < Duration::from_secs(2), "{followed:?}");
    assert_eq!(layout.get(&nginx, "/.well-known/jwks.json").await.text, layout.jwks(&layout.roots()[1]).await);
    // Not a secret of a request reaches nginx's log.
    let log = format!("{:?}{}", layout.nginx.access_log(), layout.nginx.errors());
    assert!(!log.contains(&layout.basic.1) && !log.contains("Basic"), "{log}");
}

/// What one request of the load came to.
struct Outcome {
    post: bool,
    begun: Instant,
    status: StatusCode,
    retry_after: bool,
}

/// Asks on and on, a token and then the key set, until `stop` is set.
async fn ask_on(layout: Rc<RefCell<Layout>>, stop: Rc<RefCell<bool>>) -> Vec<Outcome> {
    let (http, root, basic) = {
        let layout = layout.borrow();
        (layout.http.clone(), layout.nginx.url.clone(), layout.basic.clone())
    };
    let mut outcomes = Vec::new();
    while !*stop.borrow() {
        for post in [true, false] {
            let begun = Instant::now();
            let request = if post {
                let request = http.post(format!("{root}/oauth2/token")).basic_auth(&basic.0, Some(&basic.1));
                request.form(&[("grant_type", "client_credentials")])
            } else {
                http.get(format!("{root}/.well-known/jwks.json"))
            };
            let answer = Answer::of(request.send().await.expect("nginx answers")).await;
            let retry_after = answer.header("retry-after").is_some();
            outcomes.push(Outcome { post, begun, status: answer.status, retry_after });
        }
    }
    outcomes
}

#[actix_web::test]
async fn a_killed_replica_costs_no_more_than_the_requests_in_flight_and_comes_back() {
    const CLIENTS: usize = 16;
    const KILLS: usize = 5;
    /// The system tells nginx, which a busy machine runs a moment later.
    const LEARNT: Duration = Duration::from_millis(50);
    let layout = Rc::new(RefCell::new(Layout::start(false)));
    let stop = Rc::new(RefCell::new(false));
    let clients = (0..CLIENTS).map(|_| actix_web::rt::spawn(ask_on(Rc::clone(&layout), Rc::clone(&stop))));
    let clients: Vec<_> = clients.collect();
    let pause = async || tokio::time::sleep(Duration::from_millis(300)).await;
    let mut deaths = Vec::new();
    for kill in 0..KILLS {
        pause().await;
        let which = kill % 2;
        let mut killed = layout.borrow_mut().running[which].take().unwrap();
        let address = killed.public.strip_prefix("http://").unwrap().to_owned();
        killed.child.kill().unwrap();
        // Its connections are closed before it can be waited for.
        killed.child.wait().unwrap();
        deaths.push(Instant::now());
        pause().await;
        // The one that stayed answers for both.
        let alone = layout.borrow().nginx.access_log().len();
        pause().await;
        let asked = layout.borrow().asked(alone + CLIENTS);
        // Those that tried the dead one first name both, and the one that answered last.
        assert!(!asked.is_empty() && asked.iter().all(|known| !known.ends_with(&address)), "{asked:?}");
        // Back, it is asked again.
        let mut again = layout.borrow().replicas[which].spawn();
        eventually(async || again.log().contains("\"listening\"").then_some(())).await;
        assert!(again.listens());
        let back = layout.borrow().nginx.access_log().len();
        layout.borrow_mut().running[which] = Some(again);
        eventually(async || layout.borrow().asked(back).contains(&address).then_some(())).await;
    }
    *stop.borrow_mut() = true;
    let mut outcomes = Vec::new();
    for client in clients {
        outcomes.extend(client.await.unwrap());
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.status != StatusCode::OK).collect();
    println!("{} requests, {KILLS} kills of a replica, {} failed, all of them in flight", outcomes.len(), failed.len());
    for outcome in &failed {
        let Outcome { post, begun, status, retry_after } = outcome;
        // A GET is given to the other replica. A POST that was sent is not: said so, for the caller to try again.
        assert!(*post && *retry_after, "{status} for a {}", if *post { "POST" } else { "GET" });
        assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE);
        // It was in flight: begun before nginx could learn that its connections to the replica were gone.
        let in_flight = |death: &Instant| {
            *begun <= *death + LEARNT && death.saturating_duration_since(*begun) < Duration::from_secs(1)
        };
        let after: Vec<_> = deaths.iter().map(|death| begun.saturating_duration_since(*death)).collect();
        assert!(deaths.iter().any(in_flight), "begun this long after the deaths: {after:?}");
    }
    assert!(failed.len() <= KILLS * CLIENTS && outcomes.len() > 1_000, "{} of {}", failed.len(), outcomes.len());
}

#[actix_web::test]
async fn without_any_replica_nginx_says_what_signet_would_say() {
    let mut layout = Layout::start(false);
    let nginx = layout.nginx.url.clone();
    token_of(&layout.token(&nginx).await.unwrap());
    layout.running = [None, None];
    for _ in 0..3 {
        let answer = layout.token(&nginx).await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("2")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.body["error"], "temporarily_unavailable");
    }
    let answer = ask_from("127.0.0.1", &nginx, Method::POST, "login", None, Some(json!({}))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("2")));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!((&answer.body["code"], &answer.body["status"]), (&json!("temporarily_unavailable"), &json!(503)));
    assert_eq!(layout.replicas[0].run(&["health"]).code, Some(4));
    layout.running[1] = Some(layout.replicas[1].serve());
    eventually(async || layout.token(&nginx).await.is_ok_and(|answer| answer.status.is_success()).then_some(())).await;
}

#[actix_web::test]
async fn a_slow_or_large_request_stops_at_nginx() {
    use std::io::{Read, Write};
    let layout = Layout::start(false);
    let address = layout.nginx.url.strip_prefix("http://").unwrap().to_owned();
    let head = "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let began = Instant::now();
    let slow = std::thread::spawn({
        let address = address.clone();
        move || {
            let mut slow = std::net::TcpStream::connect(address).unwrap();
            write!(slow, "{head}Content-Length: 29\r\n\r\ngrant_type=").unwrap();
            slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            slow.read_to_end(&mut Vec::new()).map_or_else(|error| error.kind().to_string(), |_| "closed".to_owned())
        }
    });
    let large = layout.http.post(format!("{}/oauth2/token", layout.nginx.url)).body("a".repeat(20_000));
    assert_eq!(large.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    let lines = eventually(async || {
        let log = layout.nginx.access_log();
        (log.len() == 2).then_some(log)
    })
    .await;
    assert!(["closed", "connection reset"].contains(&slow.join().unwrap().as_str()));
    assert!(began.elapsed() < Duration::from_secs(9), "it is held for {:?}", began.elapsed());
    for (line, status) in lines.iter().zip([413, 408]) {
        // No replica was asked.
        assert_eq!((&line["status"], &line["upstream"]), (&status.into(), &"".into()), "{line}");
    }
}

#[actix_web::test]
async fn with_the_drop_in_nginx_serves_the_issuer_over_tls() {
    let layout = Layout::start(true);
    let issuer = layout.nginx.url.clone();
    let answer = layout.token(&issuer).await.unwrap();
    assert!(answer.header("strict-transport-security").is_some());
    assert!(layout.verifies(&layout.jwks(&issuer).await, &token_of(&answer)));
    let metadata = layout.get(&issuer, "/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.body["token_endpoint"], format!("{issuer}/oauth2/token"));
}
