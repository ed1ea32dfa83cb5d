//! Requests at a fixed pace, and what each of them waited for.
//!
//! Latency counts from the moment at which a request was due, not from when it could be sent: a server that stands still
//! is charged with all that it keeps waiting. One thread looks after everything without ever sleeping, so that no timer
//! and no other thread of the load is in what is measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::Connection;

/// How long after its end a run may still wait for answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that are due one after the other, at equal distances, whatever became of those before.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) address: SocketAddr,
    /// Sent in turn.
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) per_second: u32,
    /// How many may be in flight; the others wait, and their wait counts.
    pub(crate) connections: usize,
}

/// A connection, and when what is in flight on it was due.
#[derive(Debug)]
struct Lane {
    connection: Connection,
    due: Option<Duration>,
}

/// A pace that is being kept.
#[derive(Debug)]
pub(crate) struct Running<'p> {
    pace: &'p Pace,
    lanes: Vec<Lane>,
    /// Requests sent since it was opened, for the turns.
    sent: usize,
}

/// How much of what was due is still sent when the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// All: each of them counts.
    Sent,
    /// Nothing: it was to disturb, and that is over.
    Dropped,
}

/// What one pace has come to within a run.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// From when each request was due until its answer was whole.
    pub(crate) latencies: Vec<Duration>,
    due: u32,
}

impl Pace {
    /// Opens the connections.
    pub(crate) fn open(&self) -> Result<Running<'_>> {
        let lane = |_| Ok(Lane { connection: Connection::open_to_poll(self.address)?, due: None });
        let lanes = (0..self.connections.max(1)).map(lane).collect::<Result<_>>()?;
        Ok(Running { pace: self, lanes, sent: 0 })
    }

    /// When the request number `n` is due.
    fn due(&self, n: u32) -> Duration {
        Duration::from_secs(1) * n / self.per_second.max(1)
    }
}

impl Running<'_> {
    /// Keeps the pace for `lasting` and waits for the last answer, while `beside` keeps its own.
    pub(crate) fn run(&mut self, mut beside: Option<&mut Running<'_>>, lasting: Duration) -> Result<(Kept, Kept)> {
        let (mut kept, mut kept_beside) = (Kept::default(), Kept::default());
        let begun = Instant::now();
        loop {
            let mut goes_on = self.step(begun, lasting, Backlog::Sent, &mut kept)?;
            if let Some(beside) = beside.as_deref_mut() {
                goes_on |= beside.step(begun, lasting, Backlog::Dropped, &mut kept_beside)?;
            }
            if !goes_on {
                return Ok((kept, kept_beside));
            }
            if begun.elapsed() > lasting + PATIENCE {
                return Err("the server does not keep up with the pace".into());
            }
        }
    }

    /// Takes the answers that are there, and sends what is due. Whether there is more to come.
    fn step(&mut self, begun: Instant, lasting: Duration, backlog: Backlog, kept: &mut Kept) -> Result<bool> {
        let mut in_flight = false;
        for lane in &mut self.lanes {
            if let Some(due) = lane.due {
                if !lane.connection.has_received_ok()? {
                    in_flight = true;
                    continue;
                }
                kept.latencies.push(begun.elapsed().saturating_sub(due));
                lane.due = None;
            }
            let (now, due) = (begun.elapsed(), self.pace.due(kept.due));
            if due <= now && due < lasting && (now < lasting || backlog == Backlog::Sent) {
                let turn = self.sent % self.pace.requests.len().max(1);
                let request = self.pace.requests.get(turn).ok_or("a pace without requests")?;
                lane.connection.send(request)?;
                lane.due = Some(due);
                self.sent += 1;
                kept.due += 1;
                in_flight = true;
            }
        }
        let left = self.pace.due(kept.due) < lasting;
        Ok(in_flight || left && (backlog == Backlog::Sent || begun.elapsed() < lasting))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server of one connection that stands still for `stall` before its third answer.
    fn server(stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 64];
            for answer in 0.. {
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    return;
                }
                if answer == 2 {
                    std::thread::sleep(stall);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        });
        address
    }

    fn pace(address: SocketAddr) -> Pace {
        Pace { address, requests: vec![b"a".to_vec()], per_second: 100, connections: 1 }
    }

    #[test]
    fn what_waits_behind_a_stall_is_charged_with_it_and_nothing_is_left_out() {
        let stall = Duration::from_millis(200);
        let pace = pace(server(stall));
        let (kept, _) = pace.open().unwrap().run(None, Duration::from_millis(300)).unwrap();
        assert_eq!(kept.latencies.len(), 30);
        // Due 10 ms apart: the tenth after the stalled one still waits for half of the stall.
        assert!(kept.latencies[2] >= stall, "{:?}", kept.latencies);
        assert!(kept.latencies[12] >= stall / 2 - Duration::from_millis(10), "{:?}", kept.latencies);
        assert!(kept.latencies[1] < stall, "{:?}", kept.latencies);
    }

    #[test]
    fn what_only_disturbs_ends_with_the_time_and_does_not_catch_up() {
        let stall = Duration::from_millis(200);
        let (quick, slow) = (pace(server(Duration::ZERO)), pace(server(stall)));
        let mut beside = slow.open().unwrap();
        let (kept, disturbed) = quick.open().unwrap().run(Some(&mut beside), Duration::from_millis(100)).unwrap();
        assert_eq!((kept.latencies.len(), disturbed.latencies.len()), (10, 3));
    }

    #[test]
    fn an_answer_that_is_no_success_ends_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pace = pace(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 64]).unwrap();
            stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno").unwrap();
            let _ = stream.read(&mut [0; 64]);
        });
        let error = pace.open().unwrap().run(None, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }
}
