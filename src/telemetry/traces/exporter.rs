//! Takes spans out of the queue and posts them to the collector, on a thread of its own.
//!
//! Guarantees: whatever the collector does, nobody else waits for it; a request to it ends within five seconds, and is
//! repeated at most twice; spans that it does not get are counted; the end of the process waits two seconds at most.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Counts;
use super::finished::{Finished, Source};
use super::wire::ExportResponse;

/// So many spans go in one request.
const BATCH: usize = 512;
/// How long a span may wait for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// How often one request is made at most.
const ATTEMPTS: u32 = 3;
/// How long to wait before the second; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest wait that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the end of the process waits for what is left to be sent.
const FAREWELL: Duration = Duration::from_secs(2);
/// More than this of an answer is not read.
const LONGEST_ANSWER: usize = 16 * 1024;

/// What becomes of a request.
enum Outcome {
    /// Taken, but for so many spans.
    Taken { rejected: u64 },
    /// Refused, and it would be again.
    Refused(String),
    /// Not now; perhaps after a while.
    Later { why: String, after: Duration },
}

pub(super) struct Exporter {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) source: Source,
    pub(super) counts: Arc<Counts>,
    /// Whether the last spans could not be delivered, which was said.
    pub(super) failing: bool,
}

impl Exporter {
    /// Works until it is told to close, or the queue is.
    pub(super) async fn run(mut self, mut queue: Receiver<Finished>, mut closing: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        let go_on = async {
            while gather(&mut queue, &mut batch).await {
                self.deliver(&batch).await;
                batch.clear();
            }
        };
        tokio::select! {
            _ = &mut closing => {}
            () = go_on => {}
        }
        queue.close();
        while let Ok(span) = queue.try_recv() {
            batch.push(span);
        }
        let mut left = batch.len();
        let farewell = async {
            for part in batch.chunks(BATCH) {
                let outcome = self.post(part).await;
                self.settle(part.len(), outcome);
                left -= part.len();
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        self.counts.unreachable.fetch_add(left as u64, Ordering::Relaxed);
    }

    /// Sends `batch`, again when the collector asks for patience.
    async fn deliver(&mut self, batch: &[Finished]) {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.post(batch).await {
                Outcome::Later { after, .. } => tokio::time::sleep(after.max(pause)).await,
                outcome => return self.settle(batch.len(), outcome),
            }
            pause *= 2;
        }
        let outcome = self.post(batch).await;
        self.settle(batch.len(), outcome);
    }

    async fn post(&self, batch: &[Finished]) -> Outcome {
        let body = self.source.request(batch).encode_to_vec();
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Later { why: cause(&error.without_url()), after: Duration::ZERO },
        };
        let status = answer.status();
        if status.is_success() {
            let mut read = Vec::new();
            while let Ok(Some(chunk)) = answer.chunk().await {
                if read.len() + chunk.len() > LONGEST_ANSWER {
                    break;
                }
                read.extend_from_slice(&chunk);
            }
            let told = ExportResponse::decode(&*read).ok().and_then(|answer| answer.partial_success);
            let rejected = told.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0));
            return Outcome::Taken { rejected: rejected.min(batch.len() as u64) };
        }
        let why = format!("it answers {status}");
        // https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Outcome::Later { why, after: wished(answer.headers().get(RETRY_AFTER)) },
            _ => Outcome::Refused(why),
        }
    }

    /// Counts what became of `spans` spans, and says once that they don't arrive, and once that they do again.
    fn settle(&mut self, spans: usize, outcome: Outcome) {
        let spans = spans as u64;
        let problem = match outcome {
            Outcome::Taken { rejected } => {
                self.counts.exported.fetch_add(spans - rejected, Ordering::Relaxed);
                self.counts.refused.fetch_add(rejected, Ordering::Relaxed);
                (rejected > 0).then(|| format!("it rejects {rejected} of {spans} spans"))
            }
            Outcome::Refused(why) => {
                self.counts.refused.fetch_add(spans, Ordering::Relaxed);
                Some(why)
            }
            Outcome::Later { why, .. } => {
                self.counts.unreachable.fetch_add(spans, Ordering::Relaxed);
                Some(why)
            }
        };
        let was_failing = std::mem::replace(&mut self.failing, problem.is_some());
        match problem {
            Some(why) if !was_failing => {
                warn!(collector = %self.url, why, "the collector of traces takes no spans: they are dropped");
            }
            None if was_failing => info!(collector = %self.url, "the collector of traces takes spans again"),
            _ => {}
        }
    }
}

/// Waits for spans, and then for a while for more; false when none will come.
async fn gather(queue: &mut Receiver<Finished>, batch: &mut Vec<Finished>) -> bool {
    if queue.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let more = async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    // Whether the time or the room ended first does not matter.
    let _ = tokio::time::timeout(GATHER, more).await;
    true
}

/// What a collector wishes, in seconds; a date is not read.
fn wished(retry_after: Option<&HeaderValue>) -> Duration {
    let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_PAUSE)
}

/// The innermost reason: those around it only say that a request failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
