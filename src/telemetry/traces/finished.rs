//! A finished span as it waits in the queue, and how it becomes what goes over the wire.
//!
//! Guarantees: attributes bear the names of the
//! [semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server), and their values are
//! this program's own words and identifiers, never what a caller sent.

use std::time::Duration;

use uuid::Uuid;

use super::wire::{ExportRequest, KeyValue, Kind, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status};
use crate::http::{Listener, NO_ROUTE, SpanContext};
use crate::ports::{Act, Timestamp, unique_id};

/// A span that ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) context: SpanContext,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) work: Work,
    pub(super) acts: Vec<Act>,
}

/// What was done in it.
#[derive(Debug)]
pub(super) enum Work {
    Request {
        request_id: Uuid,
        listener: Listener,
        method: &'static str,
        route: Box<str>,
        status: u16,
        error: Option<&'static str>,
    },
    /// This replica's own work.
    Round { name: &'static str, failed: bool },
}

/// Who speaks: the same for all spans.
pub(super) struct Source {
    pub(super) service_name: String,
    pub(super) instance: Uuid,
    /// `sqlite` or `postgresql`.
    pub(super) database: &'static str,
    /// The issuer's own address: never what a request says.
    pub(super) server: Server,
}

/// The issuer's address.
pub(super) struct Server {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Source {
    /// A request that brings `spans`.
    pub(super) fn request(&self, spans: &[Finished]) -> ExportRequest {
        let resource = Resource {
            attributes: vec![
                KeyValue::text("service.name", &self.service_name),
                KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::text("service.instance.id", self.instance.to_string()),
                KeyValue::text("telemetry.sdk.name", "signet"),
                KeyValue::text("telemetry.sdk.language", "rust"),
                KeyValue::text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
            ],
        };
        let scope = Scope { name: "signet".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let spans = spans.iter().flat_map(|span| self.spans(span)).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        ExportRequest { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
    }

    /// The span, and one for each act in a store.
    fn spans(&self, finished: &Finished) -> Vec<Span> {
        let SpanContext { trace_id, span_id, parent } = finished.context;
        let base = Span { trace_id: trace_id.to_vec(), flags: LOCAL_PARENT, ..Span::default() };
        let begun = nanos(finished.at);
        let acts = finished.acts.iter().map(|act| {
            let start = begun.saturating_add(whole(act.after));
            Span {
                span_id: new_span_id(finished.at).to_vec(),
                parent_span_id: span_id.to_vec(),
                name: act.name.to_owned(),
                kind: Kind::Client.into(),
                start_time_unix_nano: start,
                end_time_unix_nano: start.saturating_add(whole(act.took)),
                attributes: vec![
                    KeyValue::text("db.system.name", self.database),
                    KeyValue::text("db.operation.name", act.name),
                ],
                status: act.failed.then_some(Status::ERROR),
                ..base.clone()
            }
        });
        let (name, kind, attributes, failed) = self.described(&finished.work);
        let whole_span = Span {
            span_id: span_id.to_vec(),
            parent_span_id: parent.map(Vec::from).unwrap_or_default(),
            name,
            kind: kind.into(),
            start_time_unix_nano: begun,
            end_time_unix_nano: begun.saturating_add(whole(finished.took)),
            attributes,
            status: failed.then_some(Status::ERROR),
            flags: if parent.is_some() { REMOTE_PARENT } else { LOCAL_PARENT },
            ..base.clone()
        };
        std::iter::once(whole_span).chain(acts).collect()
    }

    fn described(&self, work: &Work) -> (String, Kind, Vec<KeyValue>, bool) {
        let (request_id, listener, method, route, status, error) = match work {
            Work::Request { request_id, listener, method, route, status, error } => {
                (request_id, listener, *method, &**route, *status, *error)
            }
            Work::Round { name, failed } => return ((*name).to_owned(), Kind::Internal, Vec::new(), *failed),
        };
        let is_known = method != "other";
        let mut attributes = vec![
            KeyValue::text("http.request.method", if is_known { method } else { "_OTHER" }),
            KeyValue::number("http.response.status_code", status),
            KeyValue::text("url.scheme", &self.server.scheme),
            KeyValue::text("server.address", &self.server.host),
            KeyValue::text("signet.listener", listener.name()),
            KeyValue::text("signet.request_id", request_id.as_simple().to_string()),
        ];
        attributes.extend(self.server.port.map(|port| KeyValue::number("server.port", port)));
        let named = if is_known { method } else { "HTTP" };
        let name = if route == NO_ROUTE { named.to_owned() } else { format!("{named} {route}") };
        if route != NO_ROUTE {
            attributes.push(KeyValue::text("http.route", route));
        }
        // A client's mistake is no failure of the server: only from 500 on a span has failed.
        let failed = status >= 500;
        if failed {
            attributes.push(KeyValue::text("error.type", error.map_or_else(|| status.to_string(), str::to_owned)));
        }
        attributes.extend(error.map(|code| KeyValue::text("signet.error", code)));
        (name, Kind::Server, attributes, failed)
    }
}

/// The sampled flag, and that it is known whether the parent is on another machine: here it is not.
const LOCAL_PARENT: u32 = 0x101;
/// Here it is.
const REMOTE_PARENT: u32 = 0x301;

/// Eight bytes of a fresh identifier: 62 random bits after two fixed ones, so never all zero.
pub(super) fn new_span_id(now: Timestamp) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = unique_id(now).into_bytes();
    [a, b, c, d, e, f, g, h]
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.millis()).unwrap_or(0).saturating_mul(1_000_000)
}

fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
