//! Clients that ask and never take their answers.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::app::Installation;
use crate::raw::{connect, request, say};

const JWKS: &str = "/.well-known/jwks.json";
/// The shortest that may be set.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How much later a connection may be seen to be closed: the systems of both sides probe at growing intervals.
const LATER: Duration = Duration::from_secs(9);
/// Longer than any of these tests.
const LONG: &str = "60s";

/// How it ended for a client that asks without end and reads nothing.
#[derive(Debug, PartialEq)]
enum End {
    /// The server closed.
    Closed,
    /// The server took no more for this long.
    Stalled(Duration),
    /// It took all that was to be sent.
    Taken,
}

/// Sends `line` again and again, `most` bytes of it, until `patience` passes without any being taken; and for how long
/// that was.
fn ask_without_reading(mut socket: TcpStream, line: &str, most: usize, patience: Duration) -> (End, Duration) {
    let asked = format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(1_000);
    // Once neither side takes anything, a write ends after this and is tried again.
    socket.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let (started, mut moved, mut sent) = (Instant::now(), Instant::now(), 0);
    while sent < most {
        match socket.write(&asked.as_bytes()[sent % asked.len()..]) {
            Ok(more) => (sent, moved) = (sent + more, Instant::now()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if moved.elapsed() >= patience {
                    println!("{line}: stalled after {sent} bytes");
                    return (End::Stalled(patience), started.elapsed());
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                return (End::Closed, started.elapsed());
            }
            Err(error) => panic!("{error}"),
        }
    }
    (End::Taken, started.elapsed())
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn a_client_that_never_takes_its_answers_is_cut_off_and_others_are_answered_meanwhile() {
    // None of the other time-outs may be what closes it.
    let installation = Installation::new()
        .with("PUBLIC__WRITE_TIMEOUT", "1s")
        .with("PUBLIC__KEEP_ALIVE", LONG)
        .with("PUBLIC__HEADER_TIMEOUT", LONG);
    let signet = installation.start().await;
    let mut deaf = Vec::new();
    for (base, path) in [(&signet.public, JWKS), (&signet.public, JWKS), (&signet.admin, "/healthz")] {
        let address = base.strip_prefix("http://").unwrap().to_owned();
        let line = format!("GET {path}");
        let asking = move || ask_without_reading(connect(&address), &line, usize::MAX, WRITE_TIMEOUT + LATER);
        deaf.push(spawn_blocking(asking));
    }
    let mut answered = 0;
    while !deaf.iter().all(JoinHandle::is_finished) {
        let started = Instant::now();
        assert_eq!(say(&signet.public, request("GET", JWKS, &[])).await.only().status, 200);
        assert!(started.elapsed() < Duration::from_secs(3), "an answer took {:?}", started.elapsed());
        answered += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(answered > 0);
    for client in deaf {
        let (end, after) = client.await.unwrap();
        println!("{end:?} after {after:?}");
        assert!(end == End::Closed && after >= WRITE_TIMEOUT, "{end:?} after {after:?}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn nothing_more_is_taken_from_a_client_that_does_not_take_its_answers() {
    // Far more than the buffers of both systems and of the server hold: some 5 MB.
    const MOST: usize = 20_000_000;
    const PATIENCE: Duration = Duration::from_secs(1);
    let installation = Installation::new().with("PUBLIC__WRITE_TIMEOUT", LONG).with("PUBLIC__HEADER_TIMEOUT", LONG);
    let signet = installation.start().await;
    // With a body, without one, with one that is not sent.
    for method in ["GET", "OPTIONS", "HEAD"] {
        let address = signet.public.strip_prefix("http://").unwrap().to_owned();
        let line = format!("{method} {JWKS}");
        let (end, _) =
            spawn_blocking(move || ask_without_reading(connect(&address), &line, MOST, PATIENCE)).await.unwrap();
        assert_eq!(end, End::Stalled(PATIENCE), "{method}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn an_answer_without_a_body_ends_with_its_head() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let first = say(&signet.public, request("GET", JWKS, &[])).await.only();
    let tag = first.header("etag").unwrap();
    let mut bytes = Vec::new();
    let known = format!("If-None-Match: {tag}\r\n");
    for (method, line) in [("OPTIONS", ""), ("GET", &known), ("OPTIONS", ""), ("GET", &known)] {
        let asked = format!("{method} {JWKS} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n");
        bytes.extend_from_slice(asked.as_bytes());
    }
    bytes.extend_from_slice(&request("GET", JWKS, &[]));
    let answers = say(&signet.public, bytes).await.answers(&[]);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [204, 304, 204, 304, 200]);
    for answer in &answers[..4] {
        assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (None, None), "{answer:?}");
    }
    assert_eq!(answers[4].body, first.body);
    signet.stop().await;
}
