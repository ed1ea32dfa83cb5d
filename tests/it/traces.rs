//! Traces: what reaches a collector, what does not, and that nobody waits for it.

mod collector;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use collector::{Collector, Mood, attribute};
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::StatusCode;

use crate::app::{Answer, Installation, Signet};
use crate::metrics::{Page, scrape};
use crate::start::program::{Program, Running};
use crate::world::{ORDERS, World, eventually, shop};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const JWKS: &str = "/.well-known/jwks.json";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const FAILED: i32 = 2;

fn traced_to(collector: &Collector, ratio: &str) -> Installation {
    Installation::new()
        .with("TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .with("TELEMETRY__OTLP_SAMPLE_RATIO", ratio)
        .with("TELEMETRY__OTLP_SERVICE_NAME", "issuer-1")
        .with("TELEMETRY__OTLP_HEADERS", "authorization=Bearer collectors-own,x-tenant=a")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn ask(signet: &Signet, path: &str, traceparent: &[&str]) -> Answer {
    let mut request = signet.http.get(format!("{}{path}", signet.public));
    for value in traceparent {
        request = request.header("traceparent", *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

fn requests(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == SERVER).collect()
}

fn dropped(page: &Page, reason: &str) -> f64 {
    page.value("signet_spans_dropped_total", &[("reason", reason)]).unwrap()
}

#[actix_web::test]
async fn a_callers_trace_is_gone_on_with_as_the_caller_decided() {
    let collector = Collector::start(Mood::Takes);
    let signet = traced_to(&collector, "0").start().await;
    let port = signet.issuer.rsplit_once(':').unwrap().1.to_owned();
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    ask(&signet, JWKS, &[&format!("00-{TRACE}-{PARENT}-00")]).await;
    ask(&signet, JWKS, &[]).await;
    for broken in
        [sampled.replace("0af7", "0AF7"), format!("{sampled}-x"), sampled.replace("00-", "ff-"), String::new()]
    {
        ask(&signet, JWKS, &[&broken]).await;
    }
    ask(&signet, JWKS, &[&sampled, &sampled]).await;
    let answer = ask(&signet, &format!("{JWKS}?token=hidden"), &[&sampled]).await;
    assert_eq!(answer.status, StatusCode::OK);
    signet.stop().await;
    let spans = eventually(async || Some(collector.spans()).filter(|spans| !spans.is_empty())).await;
    assert_eq!(spans.len(), 1, "{spans:#?}");
    let span = &spans[0];
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert!(span.span_id.len() == 8 && hex(&span.span_id) != PARENT);
    assert_eq!((span.kind, &*span.name, &span.status), (SERVER, "GET /.well-known/jwks.json", &None));
    assert_eq!(span.flags, 0x301, "sampled, and its parent is known to be elsewhere");
    let start = span.start_time_unix_nano;
    assert!(start == 1_800_000_000_000_000_000 && span.end_time_unix_nano > start, "{span:?}");
    let told: BTreeMap<&str, String> =
        span.attributes.iter().map(|one| (one.key.as_str(), attribute(&span.attributes, &one.key).unwrap())).collect();
    let expected = BTreeMap::from([
        ("http.request.method", "GET".to_owned()),
        ("http.route", JWKS.to_owned()),
        ("http.response.status_code", "200".to_owned()),
        ("url.scheme", "http".to_owned()),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", port),
        ("signet.listener", "public".to_owned()),
        ("signet.request_id", answer.header("x-request-id").unwrap().to_owned()),
    ]);
    assert_eq!(told, expected);
    let received = &collector.received()[0];
    assert_eq!(received.head[0], "POST /v1/traces HTTP/1.1");
    for header in ["content-type: application/x-protobuf", "authorization: Bearer collectors-own", "x-tenant: a"] {
        assert!(received.head.iter().any(|line| line == header), "{header}: {:?}", received.head);
    }
    let resource = received.message.resource_spans[0].resource.as_ref().unwrap();
    let of_resource = |key: &str| attribute(&resource.attributes, key);
    assert_eq!(of_resource("service.name").as_deref(), Some("issuer-1"));
    assert_eq!(of_resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(of_resource("service.instance.id").unwrap().len(), 36);
}

#[actix_web::test]
async fn a_trace_that_begins_here_bears_its_requests_id_and_tells_of_acts_in_the_store() {
    let collector = Collector::start(Mood::Takes);
    let installation = traced_to(&collector, "1");
    let (signet, _world, secret) = shop(&installation).await;
    let grant = ("grant_type", "client_credentials");
    let stranger = signet.token(Some(("intruder", "intruder")), &[grant, ("scope", "intruder")]).await;
    let known = signet.token(Some(("shop", &secret)), &[grant, ("resource", ORDERS)]).await;
    let nowhere = ask(&signet, "/intruder?intruder=1", &[]).await;
    let odd =
        signet.http.request(reqwest::Method::from_bytes(b"INTRUDER").unwrap(), format!("{}{JWKS}", signet.public));
    let odd = Answer::of(odd.send().await.unwrap()).await;
    let id = |answer: &Answer| answer.header("x-request-id").unwrap().to_owned();
    signet.stop().await;
    let spans = eventually(async || {
        let spans = collector.spans();
        [&stranger, &known, &nowhere, &odd]
            .iter()
            .all(|answer| spans.iter().any(|span| hex(&span.trace_id) == id(answer)))
            .then_some(spans)
    })
    .await;
    let of = |answer: &Answer| {
        let wanted = id(answer);
        let (own, acts): (Vec<&Span>, Vec<&Span>) =
            spans.iter().filter(|span| hex(&span.trace_id) == wanted).partition(|span| span.kind == SERVER);
        assert_eq!(own.len(), 1);
        assert!(own[0].parent_span_id.is_empty());
        (own[0].clone(), acts.into_iter().cloned().collect::<Vec<_>>())
    };
    let (own, acts) = of(&stranger);
    assert_eq!(own.name, "POST /oauth2/token");
    assert_eq!(attribute(&own.attributes, "signet.error").as_deref(), Some("invalid_client"));
    assert_eq!((attribute(&own.attributes, "error.type"), own.status), (None, None), "the client's mistake, not ours");
    let [act] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!((act.kind, &*act.name, &act.parent_span_id), (CLIENT, "load_client", &own.span_id));
    assert_eq!(attribute(&act.attributes, "db.system.name").as_deref(), Some("sqlite"));
    assert_eq!(attribute(&act.attributes, "db.operation.name").as_deref(), Some("load_client"));
    assert!(act.start_time_unix_nano >= own.start_time_unix_nano && act.end_time_unix_nano <= own.end_time_unix_nano);
    assert!(of(&known).1.is_empty(), "a client that is known costs no act");
    let (own, _) = of(&nowhere);
    assert_eq!((&*own.name, attribute(&own.attributes, "http.route")), ("GET", None));
    let (own, _) = of(&odd);
    assert_eq!(own.name, "HTTP /.well-known/jwks.json");
    assert_eq!(attribute(&own.attributes, "http.request.method").as_deref(), Some("_OTHER"));
    let identifiers: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(identifiers.len(), spans.len());
    let token = known.body["access_token"].as_str().unwrap();
    for received in collector.received() {
        let bytes = String::from_utf8_lossy(&received.body).to_ascii_lowercase();
        for word in ["intruder", "shop", &secret.to_ascii_lowercase(), &token.to_ascii_lowercase(), "orders"] {
            assert!(!bytes.contains(word), "a span tells {word}");
        }
    }
}

#[actix_web::test]
async fn following_leaves_a_span_when_there_was_something_to_do() {
    let collector = Collector::start(Mood::Takes);
    let installation = traced_to(&collector, "1");
    let signet = installation.start().await;
    let world = World::of(&installation).await;
    world.resource(ORDERS, "orders:read").await;
    let arrived = async || {
        eventually(async || {
            let spans = collector.spans();
            let act = spans.iter().find(|span| span.name == "load_each_resource")?;
            let round = spans.iter().find(|span| span.span_id == act.parent_span_id)?.clone();
            Some((round, spans))
        })
        .await
    };
    arrived().await;
    // What belongs to one round may come in two messages; at the end it has all come.
    signet.stop().await;
    let (round, spans) = arrived().await;
    assert_eq!((&*round.name, round.kind, round.parent_span_id.is_empty()), ("follow", 1, true));
    for follow in spans.iter().filter(|span| span.name == "follow") {
        let acts = spans.iter().filter(|span| span.parent_span_id == follow.span_id).count();
        assert!(acts > 1, "a look that found nothing leaves no span");
    }
}

#[actix_web::test]
async fn without_a_collector_there_is_nothing_of_it() {
    let home = Program::new();
    let threads = |mut running: Running| {
        assert!(running.listens());
        let tasks = std::fs::read_dir(format!("/proc/{}/task", running.child.id())).unwrap().flatten();
        let names: String = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap()).collect();
        running.stop();
        names
    };
    assert!(!threads(home.spawn()).contains("signet-traces"));
    let traced = home.with("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9");
    assert!(threads(traced.spawn()).contains("signet-traces"));
    let signet = Installation::new().start().await;
    assert!(scrape(&signet).await.0.keys().all(|name| !name.contains("spans")));
    signet.stop().await;
}

#[actix_web::test]
async fn what_was_recorded_just_before_the_end_still_arrives() {
    let collector = Collector::start(Mood::Takes);
    let signet = traced_to(&collector, "1").start().await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..700 {
            ids.push(signet.get(JWKS).await.header("x-request-id").unwrap().to_owned());
        }
        ids
    };
    signet.stop().await;
    eventually(async || {
        let arrived: BTreeSet<String> = requests(&collector.spans()).iter().map(|span| hex(&span.trace_id)).collect();
        ids.iter().all(|id| arrived.contains(id)).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let collector = Collector::start(Mood::BusyFor(2));
    let signet = traced_to(&collector, "0").start().await;
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    let exported = async |wanted: f64| {
        eventually(async || {
            let page = scrape(&signet).await;
            (page.value("signet_spans_exported_total", &[]) == Some(wanted)).then_some(page)
        })
        .await
    };
    ask(&signet, JWKS, &[&sampled]).await;
    let page = exported(1.0).await;
    assert_eq!(["queue_full", "refused", "unreachable"].map(|reason| dropped(&page, reason)), [0.0; 3]);
    collector.set(Mood::Answers(400));
    ask(&signet, JWKS, &[&sampled]).await;
    eventually(async || (dropped(&scrape(&signet).await, "refused") == 1.0).then_some(())).await;
    collector.set(Mood::Rejects(1));
    for _ in 0..2 {
        ask(&signet, JWKS, &[&sampled]).await;
    }
    let page = exported(2.0).await;
    assert_eq!(["queue_full", "refused", "unreachable"].map(|reason| dropped(&page, reason)), [0.0, 2.0, 0.0]);
    collector.set(Mood::Answers(503));
    ask(&signet, JWKS, &[&sampled]).await;
    eventually(async || (dropped(&scrape(&signet).await, "unreachable") == 1.0).then_some(())).await;
    signet.stop().await;
}

#[actix_web::test]
async fn nobody_waits_for_a_collector_that_does_not_answer() {
    let silent = Collector::start(Mood::Silent);
    // Its port is free again at once.
    let dead = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    for url in [silent.url, dead] {
        let installation = Installation::new().with("TELEMETRY__OTLP_ENDPOINT", &url);
        let signet = installation.with("TELEMETRY__OTLP_SAMPLE_RATIO", "1").start().await;
        let (mut slowest, began) = (Duration::ZERO, Instant::now());
        for _ in 0..4_000 {
            let asked = Instant::now();
            assert_eq!(signet.get(JWKS).await.status, StatusCode::OK);
            slowest = slowest.max(asked.elapsed());
        }
        let took = began.elapsed();
        // A request that waited for the collector would have waited for five seconds.
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        let page = eventually(async || {
            let page = scrape(&signet).await;
            (dropped(&page, "queue_full") + dropped(&page, "unreachable") > 0.0).then_some(page)
        })
        .await;
        assert_eq!(page.value("signet_spans_exported_total", &[]), Some(0.0));
        let (full, unreachable) = (dropped(&page, "queue_full"), dropped(&page, "unreachable"));
        println!("traces: 4000 requests in {took:?}, slowest {slowest:?}; dropped {full} + {unreachable}");
        let stopping = Instant::now();
        signet.stop().await;
        assert!(stopping.elapsed() < Duration::from_secs(5));
    }
}

#[actix_web::test]
async fn an_answer_that_is_our_fault_is_a_span_that_failed() {
    let collector = Collector::start(Mood::Takes);
    let installation = traced_to(&collector, "1").with("KEYS__ALGORITHMS", "ES256");
    let signet = installation.start().await;
    // Only who has read the clock before can see that it went back.
    eventually(async || scrape(&signet).await.value("signet_store_clock_skew_seconds", &[])).await;
    installation.clock.set_back(Duration::from_secs(3600));
    let answer = eventually(async || {
        let answer = signet
            .token(
                Some((&signet.admin_client().client_id, &signet.admin_client().client_secret)),
                &[("grant_type", "client_credentials")],
            )
            .await;
        (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    let span = eventually(async || collector.spans().into_iter().find(|span| hex(&span.trace_id) == id)).await;
    assert_eq!(span.status.map(|status| status.code), Some(FAILED));
    assert_eq!(attribute(&span.attributes, "error.type").as_deref(), Some("temporarily_unavailable"));
    signet.stop().await;
}
