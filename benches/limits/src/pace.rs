//! Requests at a fixed pace, and what each of them waited for.
//!
//! Latency counts from the moment at which a request was due, not from when it could be sent: a server that stands still
//! is charged with all that it keeps waiting. One thread looks after everything without ever sleeping, so that no timer
//! and no other thread of the load is in what is measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::Connection;
use crate::talk::Talk;

/// How long after its end a run may still wait for answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that are due one after the other, at equal distances, whatever became of those before.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) address: SocketAddr,
    /// Said in turn; those that follow their answers stay with their connection.
    pub(crate) talks: Vec<Talk>,
    pub(crate) per_second: u32,
    /// How many may be in flight; the others wait, and their wait counts.
    pub(crate) connections: usize,
    /// Whether answers may turn away for now (429 or 503, with `Retry-After`): they are counted apart.
    pub(crate) may_turn_away: bool,
}

/// A connection, and when what is in flight on it was due.
#[derive(Debug)]
struct Lane {
    connection: Connection,
    /// What is said here and nowhere else.
    own: Option<Talk>,
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
    /// The same of those that were turned away.
    pub(crate) turned_away: Vec<Duration>,
    due: u32,
}

impl Pace {
    /// Opens the connections.
    pub(crate) fn open(&self) -> Result<Running<'_>> {
        let lane = |n: usize| {
            let own = self.talks.get(n).filter(|talk| talk.follows()).cloned();
            if own.is_none() && self.talks.iter().any(Talk::follows) {
                return Err("there are more connections than tokens to follow".into());
            }
            Ok(Lane { connection: Connection::open_to_poll(self.address)?, own, due: None })
        };
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
                let Some(shape) = lane.connection.poll()? else {
                    in_flight = true;
                    continue;
                };
                let latency = begun.elapsed().saturating_sub(due);
                if self.pace.may_turn_away && lane.connection.turns_away(shape) {
                    kept.turned_away.push(latency);
                } else {
                    let body = lane.connection.expect_ok(shape)?;
                    lane.own.as_mut().map_or(Ok(()), |own| own.hear(body))?;
                    kept.latencies.push(latency);
                }
                lane.due = None;
            }
            let (now, due) = (begun.elapsed(), self.pace.due(kept.due));
            if due <= now && due < lasting && (now < lasting || backlog == Backlog::Sent) {
                let turn = self.sent % self.pace.talks.len().max(1);
                let talk = lane.own.as_ref().or_else(|| self.pace.talks.get(turn)).ok_or("a pace without requests")?;
                lane.connection.send(talk.request())?;
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
        let talks = vec![Talk::always(b"a".to_vec())];
        Pace { address, talks, per_second: 100, connections: 1, may_turn_away: false }
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

    /// The pace at a server that gives this one answer to all requests.
    fn answered_with(answer: &'static [u8]) -> Pace {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pace = pace(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.read(&mut [0; 64]).unwrap_or(0) > 0 {
                stream.write_all(answer).unwrap();
            }
        });
        pace
    }

    #[test]
    fn an_answer_that_is_no_success_ends_the_run() {
        let pace = answered_with(b"HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 2\r\n\r\nno");
        let error = pace.open().unwrap().run(None, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }

    #[test]
    fn who_may_be_turned_away_is_counted_apart_and_must_be_told_until_when() {
        let told = answered_with(b"HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 2\r\n\r\nno");
        let told = Pace { may_turn_away: true, ..told };
        let (kept, _) = told.open().unwrap().run(None, Duration::from_millis(50)).unwrap();
        assert_eq!((kept.latencies.len(), kept.turned_away.len()), (0, 5));
        let untold = answered_with(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno");
        let untold = Pace { may_turn_away: true, ..untold };
        assert!(untold.open().unwrap().run(None, Duration::from_millis(50)).is_err());
    }
}
