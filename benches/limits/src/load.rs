//! Load over keep-alive connections, and single exchanges, by plain blocking sockets.
//!
//! One request is in flight on every connection at all times: an answer is read and the next request sent on it
//! before the next connection is looked at. Two system calls a request and nothing else, so that one core of load
//! saturates one core of server. Every answer is checked to be a whole `200`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::Pinned;
use crate::talk::Talk;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest answer, head and body.
const MAX_ANSWER: usize = 64 * 1024;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order in which they came, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What one slice of load has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) wall: Duration,
    /// The server's processor time.
    pub(crate) cpu: Duration,
}

/// Requests to one address, over and over: one talk on each connection.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    address: SocketAddr,
    talks: Vec<Talk>,
}

impl Load {
    /// Of these talks.
    pub(crate) const fn new(address: SocketAddr, talks: Vec<Talk>) -> Self {
        Self { address, talks }
    }

    /// Loads `server` for `lasting`, after a warm-up that isn't counted.
    pub(crate) fn run(&mut self, server: &Pinned, lasting: Duration) -> Result<Sample> {
        let mut connections = Vec::with_capacity(self.talks.len());
        for talk in &self.talks {
            let mut connection = Connection::open(self.address)?;
            connection.send(talk.request())?;
            connections.push(connection);
        }
        self.turn(&mut connections, (lasting / 10).min(Duration::from_millis(100)))?;
        let before = server.cpu_time()?;
        let begun = Instant::now();
        let requests = self.turn(&mut connections, lasting)?;
        let wall = begun.elapsed();
        let cpu = server.cpu_time()?.saturating_sub(before);
        for (connection, talk) in connections.iter_mut().zip(&mut self.talks) {
            talk.hear(connection.receive_ok()?)?;
        }
        Ok(Sample { requests, wall, cpu })
    }

    /// Sends exactly `requests` of the first talk, one after the other on one connection.
    pub(crate) fn send_exactly(&mut self, requests: u64) -> Result<()> {
        let mut connection = Connection::open(self.address)?;
        let talk = self.talks.first_mut().ok_or("a load without requests")?;
        for _ in 0..requests {
            connection.send(talk.request())?;
            talk.hear(connection.receive_ok()?)?;
        }
        Ok(())
    }

    fn turn(&mut self, connections: &mut [Connection], lasting: Duration) -> Result<u64> {
        let begun = Instant::now();
        let mut requests = 0;
        if connections.is_empty() {
            return Err("a load without requests".into());
        }
        loop {
            for (connection, talk) in connections.iter_mut().zip(&mut self.talks) {
                talk.hear(connection.receive_ok()?)?;
                connection.send(talk.request())?;
                requests += 1;
                if begun.elapsed() >= lasting {
                    return Ok(requests);
                }
            }
        }
    }
}

/// Sends one request and gives its answer.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(address)?;
    connection.send(request)?;
    let shape = connection.receive()?;
    let received = &connection.buffer[..shape.total];
    let head = String::from_utf8_lossy(&received[..shape.head]);
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    Ok(Answer {
        status: shape.status,
        headers: headers.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect(),
        body: received[shape.head..].to_vec(),
    })
}

/// Where the parts of an answer end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) status: u16,
    /// The length of the head with its empty line.
    head: usize,
    total: usize,
}

/// A keep-alive connection with at most one request in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer the answer that is coming in has filled.
    filled: usize,
    /// The shape of the answer before: most often that of the next one too.
    last: Option<Shape>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; MAX_ANSWER], filled: 0, last: None })
    }

    /// One that is looked at, and never waited for.
    pub(crate) fn open_to_poll(address: SocketAddr) -> Result<Self> {
        let connection = Self::open(address)?;
        connection.stream.set_nonblocking(true)?;
        Ok(connection)
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// The body of the answer, which must be a `200`.
    fn receive_ok(&mut self) -> Result<&[u8]> {
        let shape = self.receive()?;
        self.expect_ok(shape)
    }

    /// Sends a request and gives the status of its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request)?;
        Ok(self.receive()?.status)
    }

    /// Whether the answer has come, and which; `None` while some of it is still to come.
    pub(crate) fn poll(&mut self) -> Result<Option<Shape>> {
        match self.read() {
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            read => read?,
        }
        self.whole()
    }

    /// The body of the answer of that shape, which came last and must be a `200`.
    pub(crate) fn expect_ok(&self, shape: Shape) -> Result<&[u8]> {
        if shape.status == 200 {
            return Ok(&self.buffer[shape.head..shape.total]);
        }
        let answer = String::from_utf8_lossy(&self.buffer[..shape.total]);
        Err(format!("the server answered {}:\n{answer}", shape.status).into())
    }

    /// Whether the answer of that shape, which came last, turns its caller away for now and says until when.
    pub(crate) fn turns_away(&self, shape: Shape) -> bool {
        let head = String::from_utf8_lossy(&self.buffer[..shape.head]).to_ascii_lowercase();
        matches!(shape.status, 429 | 503) && head.contains("\r\nretry-after: ")
    }

    fn receive(&mut self) -> Result<Shape> {
        loop {
            self.read()?;
            if let Some(shape) = self.whole()? {
                return Ok(shape);
            }
        }
    }

    fn read(&mut self) -> std::io::Result<()> {
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            let early = "the server closed the connection before its answer was whole";
            return Err(std::io::Error::new(ErrorKind::UnexpectedEof, early));
        }
        self.filled += read;
        Ok(())
    }

    /// The shape of the answer, once all of it has been read; what is read after that belongs to the next.
    fn whole(&mut self) -> Result<Option<Shape>> {
        let received = &self.buffer[..self.filled];
        let shape = match self.last.filter(|last| last.fits(received)) {
            Some(last) => last,
            None => match Shape::of(received)? {
                Some(shape) if shape.total < self.filled => return Err("the server sent more than one answer".into()),
                Some(shape) if shape.total == self.filled => shape,
                _ => return Ok(None),
            },
        };
        self.filled = 0;
        self.last = Some(shape);
        Ok(Some(shape))
    }
}

impl Shape {
    /// Whether `received` is a whole answer of this very shape: a shortcut past reading the head again.
    fn fits(&self, received: &[u8]) -> bool {
        received.len() == self.total
            && self.status == 200
            && received.starts_with(b"HTTP/1.1 200")
            && received[..self.head].ends_with(b"\r\n\r\n")
    }

    /// The shape that the head announces; `None` while the head isn't whole.
    fn of(received: &[u8]) -> Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        let status = head
            .strip_prefix("http/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or("the answer is not HTTP/1.1")?;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse().ok())
            .ok_or("the answer has no content-length")?;
        Ok(Some(Self { status, head: end + 4, total: end + 4 + length }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\nok";

    #[test]
    fn the_head_of_an_answer_tells_its_length() {
        let shape = Shape::of(ANSWER).unwrap().unwrap();
        assert_eq!((shape.status, shape.total), (200, ANSWER.len()));
        assert_eq!(&ANSWER[shape.head..], b"ok");
        assert!(Shape::of(b"HTTP/1.1 200 OK\r\nContent-Len").unwrap().is_none());
    }

    #[test]
    fn an_answer_without_a_length_or_of_another_protocol_is_refused() {
        assert!(Shape::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Shape::of(b"SSH-2.0 200\r\n\r\n").is_err());
    }

    #[test]
    fn the_shortcut_takes_only_whole_answers_of_the_same_shape() {
        let shape = Shape::of(ANSWER).unwrap().unwrap();
        assert!(shape.fits(ANSWER));
        assert!(!shape.fits(&ANSWER[..ANSWER.len() - 1]));
        let failed = String::from_utf8_lossy(ANSWER).replace("200", "500").into_bytes();
        assert!(!shape.fits(&failed));
    }
}
