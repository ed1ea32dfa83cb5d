//! What every request gets: a request id, a line in the log, the common headers.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderValue;
use uuid::Uuid;

use super::Http;
use super::answer::Answer;
use super::body::RequestBody;
use super::meter::{self, METHODS, RouteMeter};
use super::table::Listener;
use super::trace::{self, RequestSpan, SpanContext};
use crate::ports::{ActRecord, Stopwatch, Timestamp, unique_id};

/// What a request leaves in the log.
#[derive(Debug, Clone, Copy)]
pub struct AccessLine<'a> {
    /// When the request came.
    pub at: Timestamp,
    /// As the answer's `X-Request-Id` has it: hexadecimal digits.
    pub request_id: &'a str,
    /// The method, one of [`METHODS`](super::METHODS).
    pub method: &'static str,
    /// The path of the route that answered, as the table has it: never what was sent, so nothing in it needs escaping;
    /// `-` for none.
    pub route: &'a str,
    /// The answer's status.
    pub status: u16,
    /// How long it took, microseconds.
    pub micros: u64,
    /// Who sent it: the other end of the connection, or whom a trusted proxy names.
    pub peer: Option<IpAddr>,
    /// The client, once it has authenticated.
    pub client: Option<&'a str>,
    /// The error's code.
    pub error: Option<&'a str>,
    /// What the caller did not get to know.
    pub detail: Option<&'a str>,
}

/// Takes a line for each request. On the path of every one of them: it neither waits nor allocates.
pub trait AccessLog: Send + Sync {
    /// Takes one.
    fn record(&self, line: &AccessLine<'_>);
}

/// Where a request landed.
pub(super) struct Landed<'a> {
    /// The path of the route as the table has it, or [`NO_ROUTE`](super::NO_ROUTE).
    pub(super) route: &'a str,
    /// What counts the requests to it.
    pub(super) meter: &'a dyn RouteMeter,
    /// At which listener.
    pub(super) listener: Listener,
    /// The span that it is recorded as, if it is, and what was done for it in a store.
    pub(super) traced: Option<(SpanContext, ActRecord)>,
}

/// Times a request, and turns its answer into a response.
pub(super) struct Envelope {
    /// When the request came, by this replica's clock.
    pub(super) now: Timestamp,
    started: Stopwatch,
    request_id: Uuid,
}

impl Envelope {
    pub(super) fn open(http: &Http) -> Self {
        let now = http.clock.now();
        Self { now, started: Stopwatch::start(), request_id: unique_id(now) }
    }

    /// What names the request in the log and in the answer.
    pub(super) fn request_id(&self) -> String {
        self.request_id.as_simple().to_string()
    }

    /// The span that the request is recorded as, if it is.
    pub(super) fn span(&self, http: &Http, head: &RequestHead) -> Option<SpanContext> {
        http.tracer.as_ref()?.begin(trace::parent(head.headers()), self.request_id)
    }

    pub(super) fn close(
        self,
        http: &Http,
        landed: Landed<'_>,
        head: &RequestHead,
        body: RequestBody,
        mut answer: Answer,
    ) -> HttpResponse {
        let note = std::mem::take(&mut answer.note);
        let (method, took) = (meter::place(&head.method), self.started.elapsed());
        landed.meter.answered(method, answer.status.as_u16(), took);
        let mut digits = [0; 32];
        let request_id: &str = self.request_id.as_simple().encode_lower(&mut digits);
        if let Some(log) = &http.access_log {
            log.record(&AccessLine {
                at: self.now,
                request_id,
                method: METHODS.get(method).copied().unwrap_or_default(),
                route: landed.route,
                status: answer.status.as_u16(),
                micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                peer: http.address(landed.listener, head),
                client: note.client.as_deref(),
                error: note.error,
                detail: note.detail.as_deref(),
            });
        }
        if let (Some(tracer), Some((context, record))) = (&http.tracer, landed.traced) {
            tracer.end(RequestSpan {
                context,
                at: self.now,
                took,
                request_id: self.request_id,
                listener: landed.listener,
                method: METHODS.get(method).copied().unwrap_or_default(),
                route: landed.route,
                status: answer.status.as_u16(),
                error: note.error,
                acts: record.into_acts(),
            });
        }
        // Hexadecimal digits: always a header's value.
        let id = HeaderValue::from_str(request_id).unwrap_or_else(|_| HeaderValue::from_static("-"));
        body.end_with(head, answer.respond(id, http.over_tls))
    }
}
