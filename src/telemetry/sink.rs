//! Where lines wait until they are written: a bounded buffer, emptied by a thread of its own.
//!
//! Guarantees: adding a line never waits for the output; lines are written in the order they were added, whole; lines
//! that find no room are counted, and the count is logged where they are missing.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::line::{self, Style};
use crate::ports::Clock;

/// How long a line may wait to be written together with others.
const GATHER: Duration = Duration::from_millis(50);
/// So many bytes are written without waiting for more.
const FLUSH_AT: usize = 64 * 1024;
/// So many bytes wait at most; lines beyond are dropped.
pub(super) const CAPACITY: usize = 1024 * 1024;
/// How long the end of the process waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the writer waits before it tries an output again that is not ready.
const RETRY: Duration = Duration::from_millis(5);

/// What the writer waits for, so that whoever adds a line knows whether to wake it: waking costs a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// It is at work.
    No,
    /// For a first line.
    ForALine,
    /// For more lines, or for the time to gather to pass.
    ForMore,
}

#[derive(Debug)]
struct State {
    buffer: Vec<u8>,
    dropped: u64,
    /// Something in the buffer is to be written at once.
    urgent: bool,
    waiting: Waiting,
    closing: bool,
    finished: bool,
}

impl State {
    fn is_due(&self) -> bool {
        self.urgent || self.closing || self.buffer.len() >= FLUSH_AT
    }
}

/// The buffer.
#[derive(Debug)]
pub(super) struct Sink {
    state: Mutex<State>,
    wake: Condvar,
    finished: Condvar,
    /// Lines that were ever lost, whatever the log was told of them.
    lost: AtomicU64,
}

/// Counts the lines that a log loses.
#[derive(Debug, Clone)]
pub struct Losses(Arc<Sink>);

impl Losses {
    /// How many lines were lost since the log was opened: because there was no room for them, or because they could
    /// not be written.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

/// Keeps the log open; on drop, what was logged is written, as far as the output takes it within a second.
#[derive(Debug)]
#[must_use = "the log closes when the guard is dropped"]
pub struct Guard {
    pub(super) sink: Arc<Sink>,
    pub(super) style: Style,
    writer: Option<JoinHandle<()>>,
}

impl Guard {
    /// Counts what this log loses.
    pub fn losses(&self) -> Losses {
        Losses(Arc::clone(&self.sink))
    }
}

impl Sink {
    /// A buffer that nobody empties yet.
    pub(super) fn new() -> Self {
        let state = State {
            buffer: Vec::with_capacity(FLUSH_AT),
            dropped: 0,
            urgent: false,
            waiting: Waiting::No,
            closing: false,
            finished: false,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), finished: Condvar::new(), lost: AtomicU64::new(0) }
    }

    /// Starts the thread that writes to `output`.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        style: Style,
        clock: impl Clock + 'static,
    ) -> std::io::Result<(Arc<Self>, Guard)> {
        let sink = Arc::new(Self::new());
        let of_thread = Arc::clone(&sink);
        let writer = std::thread::Builder::new()
            .name("signet-log".to_owned())
            .spawn(move || of_thread.write_to(output, style, &clock))?;
        Ok((Arc::clone(&sink), Guard { sink, style, writer: Some(writer) }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what waits is to be written at once.
    #[cfg(test)]
    pub(super) fn is_due(&self) -> bool {
        self.lock().is_due()
    }

    /// Adds a line, or counts it as dropped when there is no room.
    pub(super) fn append(&self, line: &str, urgent: bool) {
        let mut state = self.lock();
        if state.buffer.len() + line.len() > CAPACITY {
            state.dropped += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.buffer.extend_from_slice(line.as_bytes());
        state.urgent |= urgent;
        let wakes = match state.waiting {
            Waiting::No => false,
            Waiting::ForALine => true,
            Waiting::ForMore => state.is_due(),
        };
        if wakes {
            state.waiting = Waiting::No;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Waits for lines and takes them, with the number of those dropped since; the last ones with `true`.
    fn take(&self, batch: &mut Vec<u8>) -> (u64, bool) {
        let mut state = self.lock();
        while state.buffer.is_empty() && state.dropped == 0 && !state.closing {
            state.waiting = Waiting::ForALine;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_due() {
            state.waiting = Waiting::ForMore;
            let waited = self.wake.wait_timeout_while(state, GATHER, |state| !state.is_due());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting = Waiting::No;
        state.urgent = false;
        std::mem::swap(&mut state.buffer, batch);
        (std::mem::take(&mut state.dropped), state.closing)
    }

    fn write_to(&self, mut output: impl Write, style: Style, clock: &impl Clock) {
        let mut batch = Vec::with_capacity(FLUSH_AT);
        let mut lost = 0_u64;
        loop {
            let (dropped, last) = self.take(&mut batch);
            let unwritten = write_whole(&mut output, &batch);
            self.lost.fetch_add(unwritten, Ordering::Relaxed);
            lost += unwritten;
            lost += dropped;
            if lost > 0 {
                let notice = line::dropped(style, clock.now(), lost);
                if write_whole(&mut output, notice.as_bytes()) == 0 {
                    lost = 0;
                }
            }
            let _ = output.flush();
            batch.clear();
            // What a burst has grown is given back.
            batch.shrink_to(2 * FLUSH_AT);
            if last {
                break;
            }
        }
        self.lock().finished = true;
        self.finished.notify_all();
    }
}

/// Writes `bytes`; says how many lines could not be.
fn write_whole(output: &mut impl Write, mut bytes: &[u8]) -> u64 {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY),
            Err(_) => break,
        }
    }
    bytes.iter().filter(|b| **b == b'\n').fold(0, |lines, _| lines + 1)
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.sink.lock();
        state.closing = true;
        self.sink.wake.notify_one();
        let waited = self.sink.finished.wait_timeout_while(state, FAREWELL, |state| !state.finished);
        let finished = waited.unwrap_or_else(PoisonError::into_inner).0.finished;
        if let (true, Some(writer)) = (finished, self.writer.take()) {
            let _ = writer.join();
        }
    }
}
