//! What `/metrics` tells: read strictly, held against what was asked of the issuer, and against the papers.

mod dashboard;
mod text;

use std::time::Duration;

use reqwest::StatusCode;
use text::Family;
pub use text::Page;

use crate::app::{Answer, Backend, Installation, Signet};
use crate::postgres::Postgres;
use crate::raw;
use crate::redis::Redis;
use crate::rotation::initialised;
use crate::stopped::Stopped;
use crate::tls::authority::Authority;
use crate::world::{ORDERS, eventually, shop};

const REQUESTS: &str = "signet_http_requests_total";

pub async fn scrape(signet: &Signet) -> Page {
    let answer = Answer::of(signet.http.get(format!("{}/metrics", signet.admin)).send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    Page::parse(&answer.text)
}

fn requests(page: &Page, listener: &str, route: &str, method: &str, status: &str) -> f64 {
    let labels = [("listener", listener), ("route", route), ("method", method), ("status", status)];
    page.value(REQUESTS, &labels).unwrap_or(0.0)
}

#[actix_web::test]
async fn metrics_are_for_the_admin_listener_alone() {
    let signet = Installation::new().start().await;
    assert_eq!(signet.get("/metrics").await.status, StatusCode::NOT_FOUND);
    assert!(scrape(&signet).await.0.len() > 20);
    signet.stop().await;
}

#[actix_web::test]
async fn what_was_asked_is_counted_exactly() {
    let installation = Installation::new();
    let (signet, _world, secret) = shop(&installation).await;
    let before = scrape(&signet).await;
    let grant = ("grant_type", "client_credentials");
    for _ in 0..3 {
        let form = [grant, ("resource", ORDERS)];
        assert_eq!(signet.token(Some(("shop", &secret)), &form).await.status, StatusCode::OK);
    }
    signet.token(Some(("shop", "wrong")), &[grant]).await;
    signet.token(Some(("nobody", "wrong")), &[grant]).await;
    signet.token(None, &[grant]).await;
    signet.token(Some(("shop", &secret)), &[grant, ("resource", "https://else.example")]).await;
    signet.token(Some(("shop", &secret)), &[grant, ("resource", ORDERS), ("scope", "more")]).await;
    signet.token(Some(("shop", &secret)), &[("grant_type", "password")]).await;
    signet.token(Some(("shop", &secret)), &[]).await;
    signet.token_request().body("x".repeat(20_000)).send().await.unwrap();
    for _ in 0..2 {
        assert_eq!(signet.get("/.well-known/jwks.json").await.status, StatusCode::OK);
    }
    let delete = signet.http.delete(format!("{}/.well-known/jwks.json", signet.public));
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let after = scrape(&signet).await;
    let grew = |name: &str, labels: &[(&str, &str)]| {
        after.value(name, labels).unwrap_or(0.0) - before.value(name, labels).unwrap_or(0.0)
    };
    let token = "/oauth2/token";
    for (route, method, status, count) in [
        (token, "POST", "200", 3.0),
        (token, "POST", "400", 4.0),
        (token, "POST", "401", 3.0),
        (token, "POST", "413", 1.0),
        ("/.well-known/jwks.json", "GET", "200", 2.0),
        ("/.well-known/jwks.json", "DELETE", "405", 1.0),
    ] {
        let labels = [("listener", "public"), ("route", route), ("method", method), ("status", status)];
        assert_eq!(grew(REQUESTS, &labels), count, "{method} {route} {status}");
    }
    let token_route = [("listener", "public"), ("route", token)];
    assert_eq!(grew("signet_http_request_duration_seconds_count", &token_route), 11.0);
    let issued = |algorithm| grew("signet_tokens_issued_total", &[grant_label(), ("algorithm", algorithm)]);
    assert_eq!(["ES256", "RS256", "Ed25519"].map(issued), [3.0, 0.0, 0.0]);
    for (grant, error, count) in [
        ("client_credentials", "invalid_client", 3.0),
        ("client_credentials", "invalid_target", 1.0),
        ("client_credentials", "invalid_scope", 1.0),
        ("client_credentials", "invalid_request", 0.0),
        ("-", "unsupported_grant_type", 1.0),
        ("-", "invalid_request", 2.0),
        ("-", "server_error", 0.0),
    ] {
        assert_eq!(grew("signet_token_errors_total", &[("grant", grant), ("error", error)]), count, "{grant} {error}");
    }
    for (reason, count) in [("wrong_secret", 1.0), ("unknown_client", 1.0), ("missing", 1.0), ("disabled", 0.0)] {
        assert_eq!(grew("signet_client_authentication_failures_total", &[("reason", reason)]), count, "{reason}");
    }
    signet.stop().await;
}

fn grant_label() -> (&'static str, &'static str) {
    ("grant", "client_credentials")
}

/// Whatever a stranger may choose, a different one each time; all of it holds the word `intruder`.
async fn intrude(signet: &Signet, round: usize) {
    let word = format!("intruder{round}");
    for base in [&signet.public, &signet.admin] {
        let address = base.strip_prefix("http://").unwrap();
        for (method, path) in [
            (format!("X{word}"), "/".to_owned()),
            ("GET".to_owned(), format!("/{word}")),
            ("GET".to_owned(), format!("/.well-known/jwks.json?{word}")),
            ("GET".to_owned(), format!("/.well-known/jwks.json/{word}")),
            ("GET".to_owned(), format!("http://{word}/readyz")),
            ("POST".to_owned(), format!("/%22{word}%0a")),
            (word.clone(), "/oauth2/token".to_owned()),
            ("OPTIONS".to_owned(), "*".to_owned()),
        ] {
            let lines = [format!("X-Request-Id: {word}"), format!("traceparent: {word}"), format!("X-Host: {address}")];
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            raw::say(base, raw::request(&method, &path, &lines)).await;
        }
    }
    let form = [("grant_type", word.as_str()), ("scope", &word), ("resource", &word), (&word, &word)];
    signet.token(Some((&word, &word)), &form).await;
    signet.token(None, &[("client_id", &word), ("client_secret", &word), ("grant_type", "client_credentials")]).await;
    signet.token_request().header("content-type", &word).body(word.clone()).send().await.unwrap();
}

#[actix_web::test]
async fn nothing_that_was_sent_becomes_a_label_and_no_number_of_strangers_makes_more_series() {
    let installation = Installation::new();
    let (signet, _world, secret) = shop(&installation).await;
    let form = [grant_label_form(), ("resource", ORDERS)];
    assert_eq!(signet.token(Some(("shop", &secret)), &form).await.status, StatusCode::OK);
    intrude(&signet, 0).await;
    scrape(&signet).await;
    let first = scrape(&signet).await;
    for round in 1..20 {
        intrude(&signet, round).await;
    }
    let last = scrape(&signet).await;
    let allowed: Vec<&str> = last
        .0
        .values()
        .flat_map(|family| &family.samples)
        .flat_map(|sample| sample.labels.values().map(String::as_str))
        .collect();
    for label in &allowed {
        assert!(!label.contains("intruder") && !label.contains("shop") && !label.contains(&secret), "{label}");
    }
    assert_eq!(first.series(), last.series());
    println!("metrics: {} series after 20 rounds of strangers, as after one", last.series().len());
    for listener in ["public", "admin"] {
        assert!(requests(&last, listener, "-", "GET", "404") > requests(&first, listener, "-", "GET", "404"));
        assert!(requests(&last, listener, "-", "other", "404") >= 20.0);
    }
    assert!(requests(&last, "public", "/oauth2/token", "other", "405") >= 20.0);
    signet.stop().await;
}

fn grant_label_form() -> (&'static str, &'static str) {
    ("grant_type", "client_credentials")
}

#[actix_web::test]
async fn keys_and_lease_are_told_as_they_stand_at_the_moment_of_the_scrape() {
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256");
    let signet = installation.start().await;
    let page = scrape(&signet).await;
    let of = |page: &Page, name: &str| page.value(name, &[("algorithm", "ES256")]);
    let keys = |page: &Page, state: &str| page.value("signet_keys", &[("algorithm", "ES256"), ("state", state)]);
    assert_eq!(of(&page, "signet_active_key_age_seconds"), Some(0.0));
    assert_eq!(of(&page, "signet_next_rotation_seconds"), Some(30.0 * 86_400.0));
    assert_eq!(["pending", "active", "retiring"].map(|state| keys(&page, state)), [Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(page.value("signet_key_lease_seconds", &[]), Some(600.0));
    let version = page.value("signet_key_ring_version", &[]).unwrap();
    installation.clock.advance(Duration::from_secs(60));
    let page = eventually(async || {
        let page = scrape(&signet).await;
        (page.value("signet_key_ring_confirmed_age_seconds", &[]) == Some(0.0)).then_some(page)
    })
    .await;
    assert_eq!(of(&page, "signet_active_key_age_seconds"), Some(60.0));
    assert_eq!(of(&page, "signet_next_rotation_seconds"), Some(30.0 * 86_400.0 - 60.0));
    assert_eq!(page.value("signet_key_lease_remaining_seconds", &[]), Some(600.0));
    installation.clock.advance(Duration::from_secs(30 * 86_400));
    let page = eventually(async || {
        let page = scrape(&signet).await;
        (keys(&page, "retiring") == Some(1.0)).then_some(page)
    })
    .await;
    assert_eq!(["pending", "active"].map(|state| keys(&page, state)), [Some(1.0), Some(1.0)]);
    assert_eq!(of(&page, "signet_active_key_age_seconds"), Some(0.0));
    assert!(page.value("signet_key_ring_version", &[]).unwrap() > version);
    for check in ["keys", "store"] {
        assert_eq!(page.value("signet_ready", &[("check", check)]), Some(1.0), "{check}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn the_store_is_told_as_it_was_last_seen() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let installation = Installation::new().on(backend);
        if backend == Backend::Postgres {
            initialised(&installation).await;
        }
        let signet = installation.start().await;
        let world = crate::world::World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        let page = eventually(async || {
            let page = scrape(&signet).await;
            let [last, followed, audited] =
                ["signet_store_last_change", "signet_store_followed_change", "signet_audit_head"]
                    .map(|name| page.value(name, &[]));
            // The resource has a row of its own in each: its making was a change, and was audited.
            (followed? >= 1.0 && followed == last && audited? >= 1.0).then_some(page)
        })
        .await;
        let heads = &page.0["signet_audit_head_info"].samples;
        let head: signet::audit::Head = heads[0].labels["head"].parse().unwrap();
        assert_eq!((heads.len(), Some(head.number as f64)), (1, page.value("signet_audit_head", &[])));
        assert_eq!(page.value("signet_store_reachable", &[]), Some(1.0));
        assert_eq!(page.value("signet_store_clock_skew_seconds", &[]), Some(0.0));
        let connections = |state| page.value("signet_store_connections", &[("state", state)]).unwrap();
        let most = page.value("signet_store_connections_max", &[]).unwrap();
        assert!(connections("busy") + connections("idle") >= 1.0 && connections("busy") <= most, "{backend:?}");
        if backend == Backend::Postgres {
            installation.clock.skew_from_the_store(Duration::from_millis(700), true);
            eventually(async || {
                let page = scrape(&signet).await;
                (page.value("signet_store_clock_skew_seconds", &[]) == Some(-0.7)).then_some(())
            })
            .await;
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn the_process_is_told_under_the_names_that_every_dashboard_knows() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let page = scrape(&signet).await;
    let of = |name: &str| page.value(name, &[]).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(of("process_start_time_seconds"), 1_800_000_000.0);
    assert!(of("process_resident_memory_bytes") > 1e6 && of("process_cpu_seconds_total") > 0.0);
    assert!(of("process_open_fds") > 3.0 && of("process_open_fds") < of("process_max_fds"));
    assert_eq!(page.value("signet_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(of("signet_log_lines_dropped_total"), 0.0);
    signet.stop().await;
}

#[actix_web::test]
async fn an_outage_of_the_store_and_the_end_of_the_lease_are_seen() {
    let cluster = Postgres::start();
    let url = cluster.database();
    let installation = Installation::new()
        .with("DATABASE__URL", &url)
        .with("DATABASE__TIMEOUT", "400ms")
        .with("KEYS__ALGORITHMS", "ES256");
    initialised(&installation).await;
    let signet = installation.start().await;
    let shows = async |wanted: &[(&str, f64)], ready: [f64; 2]| {
        eventually(async || {
            let page = scrape(&signet).await;
            let is = ["keys", "store"].map(|check| page.value("signet_ready", &[("check", check)]).unwrap());
            let fits = wanted.iter().all(|(name, value)| page.value(name, &[]) == Some(*value));
            (fits && is == ready).then_some(())
        })
        .await;
    };
    let (reachable, left) = ("signet_store_reachable", "signet_key_lease_remaining_seconds");
    shows(&[(reachable, 1.0), (left, 600.0)], [1.0, 1.0]).await;
    {
        let _stopped = Stopped::cluster(&cluster, &url);
        installation.clock.advance(Duration::from_secs(540));
        shows(&[(reachable, 0.0), (left, 60.0)], [1.0, 1.0]).await;
        installation.clock.advance(Duration::from_secs(61));
        shows(&[(reachable, 0.0), (left, 0.0)], [0.0, 0.0]).await;
    }
    shows(&[(reachable, 1.0), (left, 600.0)], [1.0, 1.0]).await;
    signet.stop().await;
}

/// A row of the table in docs/operations/metrics.md: the name, the type, its labels and what it tells.
type Row = [String; 4];

fn row(name: &str, family: &Family) -> Row {
    let labels = family.samples[0].labels.keys().filter(|label| *label != "le").map(|label| format!("`{label}`"));
    let labels = labels.collect::<Vec<_>>().join(" ");
    [format!("`{name}`"), family.kind.clone(), labels, family.help.clone()]
}

/// Scrapes an issuer of which every metric has a sample.
async fn scrape_of_everything() -> Page {
    let authority = Authority::new();
    let installation = Installation::new();
    let folder = installation.folder.path().to_owned();
    authority.issue("first").store(&folder);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let installation =
        installation.with("PUBLIC__TLS_CERTIFICATE_FILE", &certificate).with("PUBLIC__TLS_KEY_FILE", &key);
    // A collector that is not there: its counters are.
    let installation = installation.with("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9");
    let installation = installation.with("REDIS__URL", &Redis::shared().url());
    let signet = installation.start().await;
    let page = eventually(async || {
        let page = scrape(&signet).await;
        let latest = ["signet_audit_head", "signet_store_clock_skew_seconds", "signet_http_requests_total"];
        latest.iter().all(|name| page.0.contains_key(*name)).then_some(page)
    })
    .await;
    signet.stop().await;
    page
}

#[actix_web::test]
async fn the_table_of_metrics_on_paper_is_what_a_scrape_shows() {
    let page = scrape_of_everything().await;
    let paper = include_str!("../../docs/operations/metrics.md");
    let mut told: Vec<Row> = paper
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            cells.try_into().unwrap_or_else(|_| panic!("not four cells: {line}"))
        })
        .collect();
    let mut shown: Vec<Row> = page.0.iter().map(|(name, family)| row(name, family)).collect();
    let as_lines =
        |rows: &[Row]| rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect::<Vec<_>>().join("\n");
    told.sort();
    shown.sort();
    assert_eq!(as_lines(&told), as_lines(&shown), "the table should be:\n{}", as_lines(&shown));
}
