//! Slow, oversize, malformed and ambiguous requests, byte by byte.

use std::time::{Duration, Instant};

use signet::app::Credentials;

use crate::app::{Installation, Signet};
use crate::raw::{Parts, connect, request, say, say_slowly};

const JWKS: &str = "/.well-known/jwks.json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const BODY: &str = "grant_type=client_credentials";

/// Short waits, so that the tests need none of their own.
async fn impatient() -> (Installation, Signet) {
    let installation = Installation::new().with("PUBLIC__HEADER_TIMEOUT", "300ms").with("PUBLIC__KEEP_ALIVE", "1s");
    let signet = installation.start().await;
    (installation, signet)
}

/// `first` at once, then a byte of `drip` every 50 ms, for 4 s at most.
fn dripping(first: impl Into<Vec<u8>>, drip: u8) -> Parts {
    let mut parts = vec![(Duration::ZERO, first.into())];
    parts.extend((0..80).map(|_| (Duration::from_millis(50), vec![drip])));
    parts
}

fn basic(credentials: &Credentials) -> String {
    use base64::Engine;
    let pair = format!("{}:{}", credentials.client_id, credentials.client_secret);
    format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// A token request that would succeed, its connection staying open, with these lines in place of `Content-Length`.
fn token_request(signet: &Signet, lines: &[&str], body: &str) -> Vec<u8> {
    let mut text =
        format!("POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\n{FORM}\r\n{}\r\n", basic(signet.admin_client()));
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[actix_web::test]
async fn a_head_that_does_not_come_to_its_end_is_cut_off() {
    let (_installation, signet) = impatient().await;
    let begun = format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    for (what, parts) in [
        ("nothing at all", vec![]),
        ("one byte", vec![(Duration::ZERO, b"G".to_vec())]),
        ("dripping", dripping(begun, b'a')),
        ("dripping lines", dripping(format!("GET {JWKS} HTTP/1.1\r\n"), b'\n')),
    ] {
        let heard = say_slowly(&signet.public, parts).await;
        assert!(heard.closed && heard.took < Duration::from_secs(3), "{what}: {heard:?}");
        let text = String::from_utf8(heard.bytes.clone()).unwrap();
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 408") || text.starts_with("HTTP/1.1 400"),
            "{what}: {text}"
        );
    }
    // The second request of a connection has no more time than the first.
    let mut first = format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    first.extend_from_slice(format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").as_bytes());
    let heard = say_slowly(&signet.public, dripping(first, b'a')).await;
    assert!(heard.closed && heard.took < Duration::from_secs(3), "the second: {:?}", heard.took);
    signet.stop().await;
}

#[actix_web::test]
async fn a_body_that_does_not_come_to_its_end_is_answered_408_and_cut_off() {
    let (_installation, signet) = impatient().await;
    let by_length = token_request(&signet, &["Content-Length: 1000"], "grant_type=");
    let chunked = token_request(&signet, &["Transfer-Encoding: chunked"], "200\r\ngrant_type=");
    for (what, parts) in [
        ("dripping", dripping(by_length.clone(), b'a')),
        ("dripping chunks", dripping(chunked.clone(), b'a')),
        ("no more", vec![(Duration::ZERO, by_length)]),
        ("no more chunks", vec![(Duration::ZERO, chunked)]),
    ] {
        let heard = say_slowly(&signet.public, parts).await;
        assert!(heard.closed && heard.took < Duration::from_secs(3), "{what}: {heard:?}");
        let answer = heard.only();
        assert_eq!((answer.status, answer.header("cache-control")), (408, Some("no-store")), "{what}");
        assert!(answer.body.contains("invalid_request"), "{what}: {}", answer.body);
    }
    signet.stop().await;
}

#[actix_web::test]
async fn a_body_that_nobody_reads_keeps_no_connection_open() {
    let (_installation, signet) = impatient().await;
    for (method, path, status) in
        [("GET", JWKS, 200), ("OPTIONS", JWKS, 204), ("PUT", JWKS, 405), ("POST", "/nowhere", 404), ("HEAD", JWKS, 200)]
    {
        for line in ["Transfer-Encoding: chunked", "Content-Length: 1000"] {
            let first = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n200\r\n");
            let heard = say_slowly(&signet.public, dripping(first, b'a')).await;
            assert!(heard.closed && heard.took < Duration::from_secs(3), "{method} {path} {line}: {heard:?}");
            let answers = heard.answers(&[method]);
            assert_eq!(
                answers.iter().map(|answer| answer.status).collect::<Vec<_>>(),
                [status],
                "{method} {path} {line}"
            );
        }
    }
    signet.stop().await;
}

#[actix_web::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let (_installation, signet) = impatient().await;
    let kept = format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let heard = say(&signet.public, kept).await;
    assert_eq!(heard.only().status, 200);
    assert!(
        heard.closed && (Duration::from_millis(500)..Duration::from_secs(4)).contains(&heard.took),
        "{:?}",
        heard.took
    );
    let heard = say(&signet.public, request("GET", JWKS, &[])).await;
    assert_eq!((heard.only().status, heard.closed), (200, true));
    assert!(heard.took < Duration::from_millis(800), "asked to close: {:?}", heard.took);
    signet.stop().await;
}

#[actix_web::test]
async fn an_oversize_head_is_refused() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let long = "a".repeat(200_000);
    let many: String = (0..200).map(|place| format!("X-{place}: a\r\n")).collect();
    for (what, bytes) in [
        ("a long value", request("GET", JWKS, &[&format!("X-Long: {long}")])),
        ("a long name", request("GET", JWKS, &[&format!("{long}: x")])),
        ("a long path", request("GET", &format!("/{long}"), &[])),
        ("a long query", request("GET", &format!("{JWKS}?{long}"), &[])),
        ("a long method", request(&long, JWKS, &[])),
        ("many lines", format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").into_bytes()),
        ("no line at all", long.clone().into_bytes()),
    ] {
        let heard = say(&signet.public, bytes).await;
        assert!(heard.closed, "{what}");
        // Closed with input unread, the answer itself may be lost.
        let text = String::from_utf8(heard.bytes).unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{what}: {text}");
    }
    assert_eq!(say(&signet.public, request("GET", JWKS, &[])).await.only().status, 200);
    signet.stop().await;
}

#[actix_web::test]
async fn an_oversize_body_is_refused_whether_or_not_it_says_so() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let chunks = format!("1000\r\n{}\r\n", "a".repeat(0x1000)).repeat(40);
    let endless = token_request(&signet, &["Transfer-Encoding: chunked"], &chunks);
    let announced = token_request(&signet, &["Content-Length: 17000"], "");
    let huge = token_request(&signet, &["Content-Length: 18446744073709551615"], "");
    let sent = token_request(&signet, &["Content-Length: 17000"], &"a".repeat(17_000));
    for (what, bytes) in [("endless", endless), ("announced", announced), ("huge", huge), ("sent", sent)] {
        let heard = say(&signet.public, bytes).await;
        let answers = heard.answers(&[]);
        assert_eq!(answers.len(), 1, "{what}: nothing of the body was taken for a request");
        assert_eq!(answers[0].status, 413, "{what}");
        assert!(heard.closed, "{what}: what follows can't be told from the body");
    }
    // The largest that is admitted.
    let body = format!("{BODY}&padding={}", "a".repeat(16_384 - BODY.len() - 9));
    for lines in
        [vec!["Content-Length: 16384", "Connection: close"], vec!["Transfer-Encoding: chunked", "Connection: close"]]
    {
        let body = if lines[0].starts_with('T') { format!("4000\r\n{body}\r\n0\r\n\r\n") } else { body.clone() };
        assert_eq!(say(&signet.public, token_request(&signet, &lines, &body)).await.only().status, 200);
    }
    signet.stop().await;
}

#[actix_web::test]
async fn what_is_not_http_is_answered_400_and_cut_off() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let host = "Host: localhost\r\n";
    for bytes in [
        "GARBAGE\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".into(),
        format!("GET\r\n{host}\r\n"),
        format!("GET {JWKS}\r\n{host}\r\n"),
        format!("GET {JWKS} HTTP/0.9\r\n{host}\r\n"),
        format!("GET {JWKS} HTTP/2.0\r\n{host}\r\n"),
        format!("GET {JWKS} HTTP/1.1x\r\n{host}\r\n"),
        format!("GET {JWKS} http/1.1\r\n{host}\r\n"),
        format!("GET {JWKS} x HTTP/1.1\r\n{host}\r\n"),
        format!("G T {JWKS} HTTP/1.1\r\n{host}\r\n"),
        format!("GET .well-known/jwks.json HTTP/1.1\r\n{host}\r\n"),
        format!("GET /\u{7f} HTTP/1.1\r\n{host}\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}{host}\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}No-Colon\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}Space : x\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}X: a\r\n folded\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}X: a\rb\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}X: a\0b\r\n\r\n"),
        format!("GET {JWKS} HTTP/1.1\r\n{host}: empty\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
    ] {
        let heard = say(&signet.public, bytes.clone()).await;
        assert!(heard.closed, "{bytes:?}");
        let answer = heard.only();
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{bytes:?}");
        for missing in ["server", "x-request-id"] {
            assert_eq!(answer.header(missing), None, "{bytes:?}");
        }
    }
    assert_eq!(say(&signet.public, request("GET", JWKS, &[])).await.only().status, 200);
    signet.stop().await;
}

#[actix_web::test]
async fn a_request_whose_length_is_ambiguous_is_refused_and_nothing_is_smuggled() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let (length, chunked) = (format!("Content-Length: {}", BODY.len()), "Transfer-Encoding: chunked");
    let smuggled = format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let as_chunk = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    for (lines, body) in [
        (vec![length.as_str(), chunked], as_chunk.as_str()),
        (vec![chunked, length.as_str()], &as_chunk),
        (vec![length.as_str(), length.as_str()], BODY),
        (vec![length.as_str(), "Content-Length: 0"], BODY),
        (vec![chunked, chunked], &as_chunk),
        (vec!["Transfer-Encoding: identity"], BODY),
        (vec!["Transfer-Encoding: chunked, identity"], &as_chunk),
        (vec!["Transfer-Encoding: identity, chunked"], &as_chunk),
        (vec!["Transfer-Encoding: gzip, chunked"], &as_chunk),
        (vec!["Transfer-Encoding: xchunked"], &as_chunk),
        (vec!["Transfer-Encoding: chunked;x"], &as_chunk),
        (vec!["Transfer-Encoding: \"chunked\""], &as_chunk),
        (vec!["Transfer-Encoding:\u{b}chunked"], &as_chunk),
        (vec!["Transfer-Encoding : chunked"], &as_chunk),
        (vec!["Content-Length: +29"], BODY),
        (vec!["Content-Length: -1"], BODY),
        (vec!["Content-Length: 29, 29"], BODY),
        (vec!["Content-Length: 0x1d"], BODY),
        (vec!["Content-Length: 2 9"], BODY),
        (vec!["Content-Length: 29a"], BODY),
        (vec!["Content-Length:"], BODY),
        (vec!["Content-Length: 99999999999999999999"], BODY),
        (vec!["Content-Length : 29"], BODY),
        (vec![chunked], "1g\r\nx\r\n0\r\n\r\n"),
        (vec![chunked], "-1\r\nx\r\n0\r\n\r\n"),
        (vec![chunked], "0x1\r\nx\r\n0\r\n\r\n"),
        (vec![chunked], "11111111111111111\r\nx\r\n0\r\n\r\n"),
        (vec![chunked], "1\r\nxx\r\n0\r\n\r\n"),
        (vec![chunked], "\r\n0\r\n\r\n"),
    ] {
        let mut bytes = token_request(&signet, &lines, body);
        bytes.extend_from_slice(smuggled.as_bytes());
        let heard = say(&signet.public, bytes).await;
        let answers = heard.answers(&[]);
        assert_eq!(answers.len(), 1, "{lines:?} {body:?}: {answers:?}");
        assert_eq!(answers[0].status, 400, "{lines:?} {body:?}");
        assert!(heard.closed, "{lines:?} {body:?}");
    }
    // HTTP/1.0 knows no chunks.
    let old = String::from_utf8(token_request(&signet, &[chunked], &as_chunk)).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(say(&signet.public, old).await.only().status, 400);
    signet.stop().await;
}

#[actix_web::test]
async fn a_body_that_no_one_asked_for_is_not_taken_for_a_request() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let hidden =
        format!("GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\nGET {JWKS} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (method, path, status) in [
        ("GET", JWKS, 200),
        ("HEAD", JWKS, 200),
        ("OPTIONS", JWKS, 204),
        ("DELETE", JWKS, 405),
        ("PUT", "/oauth2/token", 405),
        ("POST", "/nowhere", 404),
        ("POST", "/oauth2/token", 415),
    ] {
        for chunked in [false, true] {
            let (line, body) = if chunked {
                ("Transfer-Encoding: chunked".to_owned(), format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()))
            } else {
                (format!("Content-Length: {}", hidden.len()), hidden.clone())
            };
            let first = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n{body}");
            let last = String::from_utf8(request("GET", "/oauth2/token", &[])).unwrap();
            let heard = say(&signet.public, first + &last).await;
            let statuses: Vec<u16> = heard.answers(&[method]).iter().map(|answer| answer.status).collect();
            // The connection is closed, or goes on with what stands after the body.
            assert!(statuses == [status] || statuses == [status, 405], "{method} {path}: {statuses:?}");
            assert!(heard.closed, "{method} {path}");
        }
    }
    signet.stop().await;
}

#[actix_web::test]
async fn idle_connections_do_not_stop_others() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let address = signet.public.strip_prefix("http://").unwrap();
    let address = address.to_owned();
    let connected = tokio::task::spawn_blocking(move || (0..200).map(|_| connect(&address)).collect::<Vec<_>>());
    let mut idle = connected.await.unwrap();
    for socket in idle.iter_mut().skip(100) {
        std::io::Write::write_all(socket, b"GET / HT").unwrap();
    }
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(say(&signet.public, request("GET", JWKS, &[])).await.only().status, 200);
    }
    let took = started.elapsed();
    println!("20 requests beside 200 idle connections took {took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    drop(idle);
    signet.stop().await;
}

#[actix_web::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend_from_slice(format!("GET {JWKS} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&token_request(&signet, &[&format!("Content-Length: {}", BODY.len())], BODY));
        bytes.extend_from_slice(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    bytes.extend_from_slice(&request("GET", JWKS, &[]));
    let answers = say(&signet.public, bytes).await.answers(&[]);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 200, 404, 200, 200, 404, 200]);
    let tokens: std::collections::HashSet<_> = [1, 4, 7].map(|place| &answers[place].body).into();
    assert!(tokens.len() == 3 && tokens.iter().all(|body| body.contains("access_token")));
    assert!(answers[9].body.contains("\"keys\""));
    signet.stop().await;
}

#[actix_web::test]
async fn an_old_client_is_answered_and_the_connection_closed() {
    let installation = Installation::new();
    let signet = installation.start().await;
    for head in ["", "Host: localhost\r\n"] {
        let heard = say(&signet.public, format!("GET {JWKS} HTTP/1.0\r\n{head}\r\n")).await;
        let answer = heard.only();
        assert_eq!((answer.status, heard.closed), (200, true));
        assert!(answer.body.contains("\"keys\"") && answer.header("transfer-encoding").is_none());
    }
    signet.stop().await;
}

#[actix_web::test]
async fn a_client_that_asks_before_it_sends_its_body_is_told_to_go_on() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let length = format!("Content-Length: {}", BODY.len());
    let lines = ["Expect: 100-continue", "Connection: close", &length];
    let parts = vec![
        (Duration::ZERO, token_request(&signet, &lines, "")),
        (Duration::from_millis(100), BODY.as_bytes().to_vec()),
    ];
    let statuses: Vec<u16> = say_slowly(&signet.public, parts).await.answers(&[]).iter().map(|a| a.status).collect();
    assert_eq!(statuses, [100, 200]);
    let lines = ["Expect: 100-continue", "Content-Length: 100000"];
    let heard = say(&signet.public, token_request(&signet, &lines, "")).await;
    assert_eq!((heard.answers(&[]).last().unwrap().status, heard.closed), (413, true));
    signet.stop().await;
}

#[actix_web::test]
async fn an_upgrade_or_a_tunnel_is_not_given() {
    let installation = Installation::new();
    let signet = installation.start().await;
    for lines in
        [["Connection: Upgrade", "Upgrade: websocket"], ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]]
    {
        let bytes = String::from_utf8(request("GET", JWKS, &lines)).unwrap().replacen("Connection: close\r\n", "", 1);
        let heard = say_slowly(&signet.public, vec![(Duration::ZERO, bytes.into_bytes())]);
        let heard = tokio::time::timeout(Duration::from_secs(1), heard).await;
        if let Ok(heard) = heard {
            assert_eq!(heard.only().status, 200, "{lines:?}");
        }
    }
    for target in ["localhost:443", JWKS, "example.com:80"] {
        let answers = say(&signet.public, request("CONNECT", target, &[])).await.answers(&[]);
        assert!(answers.iter().all(|answer| matches!(answer.status, 400 | 404 | 405)), "{target}: {answers:?}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn no_line_can_be_added_to_an_answer() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let injected = "x\r\nX-Injected: 1\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let encoded: String = injected.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut asked = vec![
        request("GET", &format!("/{encoded}"), &[]),
        request("GET", &format!("{JWKS}?{encoded}"), &[]),
        request("OPTIONS", JWKS, &[&format!("Access-Control-Request-Method: {encoded}")]),
    ];
    for name in ["client_id", "grant_type", "scope", "resource", "client_assertion", "client_assertion_type"] {
        let body = format!("{name}={encoded}");
        let (length, close) = (format!("Content-Length: {}", body.len()), "Connection: close");
        asked.push(token_request(&signet, &[close, &length], &body));
    }
    for bytes in asked {
        let heard = say(&signet.public, bytes).await;
        let answer = heard.only();
        assert_eq!((answer.header("x-injected"), answer.header("set-cookie")), (None, None), "{answer:?}");
    }
    signet.stop().await;
}
