//! Something between Signet and Postgres that lets no announcements through, as connection poolers do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What becomes of announcements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcements {
    /// `LISTEN` is refused.
    Refused,
    /// `LISTEN` is answered, and nothing ever comes of it: pooling by transaction.
    Swallowed,
}

/// A pooler on a port of its own, for as long as the test runs.
pub struct Pooler {
    address: String,
    asked: Arc<AtomicU32>,
}

/// The request for encryption that comes before all else
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

impl Pooler {
    /// In front of the cluster of `url`.
    pub fn before(url: &str, announcements: Announcements) -> Self {
        let upstream = address_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&upstream).unwrap());
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || serve(client, server, announcements, &counter));
            }
        });
        Self { address, asked }
    }

    /// The URL of the same database by way of this pooler.
    pub fn url(&self, url: &str) -> String {
        url.replace(address_of(url), &self.address)
    }

    /// How often somebody asked to listen.
    pub fn asked_to_listen(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn address_of(url: &str) -> &str {
    url.split('@').nth(1).unwrap().split('/').next().unwrap()
}

fn serve(mut client: TcpStream, mut server: TcpStream, announcements: Announcements, asked: &AtomicU32) {
    let Some(mut first) = message(&mut client, false) else { return };
    if first == SSL_REQUEST {
        client.write_all(b"N").unwrap();
        let Some(startup) = message(&mut client, false) else { return };
        first = startup;
    }
    server.write_all(&first).unwrap();
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        while let Some(answer) = message(&mut answers, true) {
            if answer[0] != b'A' && back.write_all(&answer).is_err() {
                break;
            }
        }
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    while let Some(request) = message(&mut client, true) {
        let listens = request[0] == b'Q' && request[5..].starts_with(b"LISTEN");
        asked.fetch_add(u32::from(listens), Ordering::SeqCst);
        let outcome = if listens && announcements == Announcements::Refused {
            client.write_all(&refusal())
        } else {
            server.write_all(&request)
        };
        if outcome.is_err() {
            break;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
}

/// An `ErrorResponse` and a `ReadyForQuery`.
fn refusal() -> Vec<u8> {
    let fields = b"SERROR\0VERROR\0C0A000\0MLISTEN is not supported by this pooler\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap();
    [&b"E"[..], &length.to_be_bytes(), fields, b"Z", &5_u32.to_be_bytes(), b"I"].concat()
}

/// The next message, whole; the very first ones have no type.
fn message(from: &mut TcpStream, typed: bool) -> Option<Vec<u8>> {
    let head = if typed { 5 } else { 4 };
    let mut bytes = vec![0; head];
    from.read_exact(&mut bytes).ok()?;
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().unwrap());
    bytes.resize(head + length as usize - 4, 0);
    from.read_exact(&mut bytes[head..]).ok()?;
    Some(bytes)
}
