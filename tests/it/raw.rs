//! HTTP by hand: bytes over a socket, for what no well-behaved client sends.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The longest that any test waits for the other side.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back over one connection.
#[derive(Debug, Clone)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// Whether the server closed the connection, or our patience ended.
    pub closed: bool,
    /// From the first byte sent to the end.
    pub took: Duration,
}

/// One answer among those bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands twice");
        value
    }
}

impl Heard {
    /// All answers, in their order. `methods` are those of the requests, as a `HEAD` is answered without a body.
    pub fn answers(&self, methods: &[&str]) -> Vec<RawAnswer> {
        let (mut rest, mut answers) = (self.bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{self:?}"));
            let head = std::str::from_utf8(&rest[..end]).unwrap();
            rest = &rest[end + 4..];
            let mut lines = head.split("\r\n");
            let status_line = lines.next().unwrap();
            let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.unwrap_or_else(|| panic!("{status_line}"));
            assert!(status_line.starts_with("HTTP/1."), "{status_line}");
            let headers = lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line}")));
            let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            let mut answer = RawAnswer { status, headers, body: String::new() };
            if status == 100 {
                answers.push(answer);
                continue;
            }
            let place = answers.iter().filter(|answer: &&RawAnswer| answer.status != 100).count();
            let bodiless = matches!(status, 204 | 304) || methods.get(place) == Some(&"HEAD");
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            let length = if bodiless { 0 } else { length };
            assert!(rest.len() >= length, "cut short: {self:?}");
            answer.body = String::from_utf8(rest[..length].to_vec()).unwrap();
            rest = &rest[length..];
            answers.push(answer);
        }
        answers
    }

    /// The only answer.
    pub fn only(&self) -> RawAnswer {
        let mut answers = self.answers(&[]);
        assert_eq!(answers.len(), 1, "{self:?}");
        answers.remove(0)
    }
}

/// Parts of a request, and how long to wait before each.
pub type Parts = Vec<(Duration, Vec<u8>)>;

/// Sends bytes and reads until the server closes the connection.
pub async fn say(base: &str, bytes: impl Into<Vec<u8>>) -> Heard {
    say_slowly(base, vec![(Duration::ZERO, bytes.into())]).await
}

/// Sends each part after its pause, for as long as the server takes them, and reads until it closes.
pub async fn say_slowly(base: &str, parts: Parts) -> Heard {
    let address = base.strip_prefix("http://").unwrap().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut socket = connect(&address);
        let started = Instant::now();
        let mut writing = socket.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            for (pause, bytes) in parts {
                std::thread::sleep(pause);
                // The server may have closed by now: that is for the reader to see.
                if writing.write_all(&bytes).is_err() {
                    break;
                }
            }
        });
        let (bytes, closed) = read_to_end(&mut socket);
        let took = started.elapsed();
        drop(socket);
        writer.join().unwrap();
        Heard { bytes, closed, took }
    })
    .await
    .unwrap()
}

/// A connection to `HOST:PORT`.
pub fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn read_to_end(socket: &mut TcpStream) -> (Vec<u8>, bool) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return (bytes, true),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Closed with something of ours unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

/// A request that asks for the connection to be closed, with further header lines.
pub fn request(method: &str, path: &str, lines: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}
