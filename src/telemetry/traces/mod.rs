//! Traces: spans of requests, and of what they did in stores, sent to a collector by OTLP over HTTP.
//!
//! Guarantees: without `telemetry.otlp_endpoint` nothing of this exists; with it, a request only puts its span into a
//! bounded queue, or counts it as dropped when there is no room: it never waits for the collector.

mod exporter;
mod finished;
mod settings;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;
use uuid::Uuid;

use self::exporter::Exporter;
use self::finished::{Finished, Server, Source, Work, new_span_id};
pub use self::settings::{OtlpEndpoint, SampleRatio, parse_headers};
use super::{TelemetryError, TelemetrySettings};
use crate::http::{RequestSpan, SpanContext, TraceParent, Tracer};
use crate::issuer::Issuer;
use crate::ports::{Act, Clock, Timestamp, unique_id};

/// So many spans wait at most; those beyond are dropped.
const QUEUE: usize = 2048;
/// How long the collector may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long [`Traces::close`] waits: the exporter's own farewell, and a little.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    exported: AtomicU64,
    no_room: AtomicU64,
    refused: AtomicU64,
    unreachable: AtomicU64,
}

/// What became of spans since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub exported: u64,
    /// Dropped because the queue was full.
    pub no_room: u64,
    /// Dropped because the collector refused them.
    pub refused: u64,
    /// Dropped because the collector could not be reached, or had no time.
    pub unreachable: u64,
}

/// Sends spans to a collector.
pub struct Traces {
    queue: Sender<Finished>,
    ratio: SampleRatio,
    counts: Arc<Counts>,
    closing: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

/// A span of this replica's own work.
#[derive(Debug)]
pub struct Round {
    /// What was done.
    pub name: &'static str,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// What was done in a store for it.
    pub acts: Vec<Act>,
}

impl Traces {
    /// Starts the thread that sends spans; none when no collector is set. `database` is what kind it is, in the words of
    /// the semantic conventions.
    ///
    /// # Errors
    /// When no thread or no client is to be had, or a header can't be read.
    pub fn start(
        settings: &TelemetrySettings,
        issuer: &Issuer,
        database: &'static str,
        clock: &dyn Clock,
    ) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let headers = settings.otlp_headers.as_ref().map(|text| parse_headers(text.expose())).transpose();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers.map_err(TelemetryError::Headers)?.unwrap_or_default());
        let source = Source {
            service_name: settings.otlp_service_name.clone(),
            instance: unique_id(clock.now()),
            database,
            server: server(issuer),
        };
        let counts = Arc::new(Counts::default());
        let exporter = Exporter {
            client: client.build().map_err(|error| TelemetryError::Collector(error.to_string()))?,
            url: endpoint.traces(),
            source,
            counts: Arc::clone(&counts),
            failing: false,
        };
        let (queue, received) = mpsc::channel(QUEUE);
        let ((close, closing), (finish, finished)) = (oneshot::channel(), oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("signet-traces".to_owned()).spawn(move || {
            runtime.block_on(exporter.run(received, closing));
            // Whoever waits for it may be gone.
            let _ = finish.send(());
        })?;
        let closing = Mutex::new(Some((close, finished)));
        Ok(Some(Self { queue, ratio: settings.otlp_sample_ratio, counts, closing }))
    }

    /// Takes a round of this replica's own work, if it is one of those that are recorded.
    pub fn round(&self, round: Round) {
        let trace_id = unique_id(round.at).into_bytes();
        if self.ratio.takes(trace_id) {
            let context = SpanContext { trace_id, span_id: new_span_id(round.at), parent: None };
            let work = Work::Round { name: round.name, failed: round.failed };
            self.put(Finished { context, at: round.at, took: round.took, work, acts: round.acts });
        }
    }

    /// What became of spans so far.
    pub fn counts(&self) -> SpanCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { exported, no_room, refused, unreachable } = &*self.counts;
        SpanCounts {
            exported: read(exported),
            no_room: read(no_room),
            refused: read(refused),
            unreachable: read(unreachable),
        }
    }

    /// Sends what is left, as far as the collector takes it in time; spans that come later are dropped.
    pub async fn close(&self) {
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((close, finished)) = closing {
            // A thread that has ended by itself needs no telling.
            let _ = close.send(());
            let _ = tokio::time::timeout(PATIENCE, finished).await;
        }
    }

    fn put(&self, span: Finished) {
        if self.queue.try_send(span).is_err() {
            self.counts.no_room.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tracer for Traces {
    /// As the caller decided, if it did; else by the ratio. A trace that begins here is named as its request is.
    fn begin(&self, parent: Option<TraceParent>, request_id: Uuid) -> Option<SpanContext> {
        let (trace_id, is_taken) = match parent {
            Some(parent) => (parent.trace_id, parent.sampled),
            None => (request_id.into_bytes(), self.ratio.takes(request_id.into_bytes())),
        };
        let span_id = || new_span_id(Timestamp::default());
        is_taken.then(|| SpanContext { trace_id, span_id: span_id(), parent: parent.map(|parent| parent.span_id) })
    }

    fn end(&self, span: RequestSpan<'_>) {
        let RequestSpan { context, at, took, request_id, listener, method, route, status, error, acts } = span;
        let work = Work::Request { request_id, listener, method, route: route.into(), status, error };
        self.put(Finished { context, at, took, work, acts });
    }
}

fn server(issuer: &Issuer) -> Server {
    let url = url::Url::parse(issuer.as_str()).ok();
    Server {
        scheme: url.as_ref().map_or_else(String::new, |url| url.scheme().to_owned()),
        host: url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().to_owned(),
        port: url.as_ref().and_then(url::Url::port_or_known_default),
    }
}
