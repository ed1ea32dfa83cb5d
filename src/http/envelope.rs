//! What every request gets: a body of bounded size and time, a request id, a line in the log.

use std::net::IpAddr;

use actix_web::http::header::HeaderValue;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::info;

use super::answer::{Answer, Note};
use super::error::Refused;
use super::{Http, Limits};
use crate::ports::{Stopwatch, unique_id};

/// Reads the whole body, or says why not.
pub(super) async fn body(request: &HttpRequest, payload: Payload, limits: Limits) -> Result<Bytes, Refused> {
    // A body that says how long it is, and is too long, is refused before any of it is read.
    let announced = request.headers().get(actix_web::http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body) {
        return Err(Refused::BodyTooLarge);
    }
    match tokio::time::timeout(limits.body_time, payload.to_bytes_limited(limits.body)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Refused::BodyBroken),
        Ok(Err(_)) => Err(Refused::BodyTooLarge),
        Err(_) => Err(Refused::BodyTooSlow),
    }
}

/// Times a request, and turns its answer into a response.
pub(super) struct Envelope {
    started: Stopwatch,
    request_id: [u8; 32],
}

impl Envelope {
    pub(super) fn open(http: &Http) -> Self {
        let mut request_id = [0; 32];
        unique_id(http.clock.now()).as_simple().encode_lower(&mut request_id);
        Self { started: Stopwatch::start(), request_id }
    }

    pub(super) fn close(self, http: &Http, route: &str, request: &HttpRequest, mut answer: Answer) -> HttpResponse {
        let note = std::mem::take(&mut answer.note);
        if http.access_log {
            self.log(route, request, answer.status.as_u16(), &note);
        }
        let id = HeaderValue::from_bytes(&self.request_id);
        let id = id.unwrap_or_else(|_| HeaderValue::from_static("-"));
        answer.respond(id, http.services.issuer.as_str().starts_with("https:"))
    }

    fn log(&self, route: &str, request: &HttpRequest, status: u16, note: &Note) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let peer = request.peer_addr().map(|address| address.ip());
        let request_id = str::from_utf8(&self.request_id).unwrap_or_default();
        let client = note.client.as_deref();
        let method = request.method().as_str();
        let peer = peer.as_ref().map(|ip: &IpAddr| ip as &dyn std::fmt::Display).map(tracing::field::display);
        if status >= 500 {
            tracing::error!(
                request_id,
                method,
                route,
                status,
                micros,
                peer,
                client,
                error = note.error,
                detail = note.detail.as_deref(),
                "request"
            );
        } else {
            info!(
                request_id,
                method,
                route,
                status,
                micros,
                peer,
                client,
                error = note.error,
                detail = note.detail.as_deref(),
                "request"
            );
        }
    }
}
