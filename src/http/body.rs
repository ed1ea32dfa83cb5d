//! The body of a request: read within bounds, or left unread without harm.
//!
//! Guarantees: no more than the limit is held, and it is waited for no longer than the limit says; a request that is
//! answered before its body has ended costs its connection, and never a wait for that end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::dev::{self, RequestHead};
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::{Bytes, BytesMut};

use super::Limits;
use super::error::Refused;

/// A body that may still be on its way.
pub(super) struct RequestBody {
    stream: BodyStream<dev::Payload>,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(payload: dev::Payload) -> Self {
        // Most requests for documents have none.
        let ended = matches!(payload, dev::Payload::None);
        Self { stream: BodyStream::new(payload), ended }
    }

    /// Reads it to its end, or says why not.
    pub(super) async fn read(&mut self, head: &RequestHead, limits: Limits) -> Result<Bytes, Refused> {
        // A body that says how long it is, and is too long, is refused before any of it is read.
        let announced = head.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limits.body as u64) {
            return Err(Refused::BodyTooLarge);
        }
        let mut reading = pin!(self.whole(limits.body));
        // A small body comes with its head: then no timer is needed.
        match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
            Poll::Ready(read) => read,
            Poll::Pending => tokio::time::timeout(limits.body_time, reading).await.map_err(|_| Refused::BodyTooSlow)?,
        }
    }

    async fn whole(&mut self, most: usize) -> Result<Bytes, Refused> {
        let first = self.chunk().await?.unwrap_or_default();
        if first.len() > most {
            return Err(Refused::BodyTooLarge);
        }
        // Nearly always there is one chunk, which is the body.
        let Some(mut chunk) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(&*first);
        loop {
            if chunk.len() > most - whole.len() {
                return Err(Refused::BodyTooLarge);
            }
            whole.extend_from_slice(&chunk);
            match self.chunk().await? {
                Some(next) => chunk = next,
                None => return Ok(whole.freeze()),
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Refused> {
        let chunk = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context)).await;
        self.ended |= chunk.is_none();
        chunk.transpose().map_err(|_| Refused::BodyBroken)
    }

    /// Has what is unread of it end with the response.
    ///
    /// The server reads a chunked body that nobody holds any more to its end, and waits for that end without limit. One
    /// that is still held when the answer has been sent makes it close the connection instead.
    pub(super) fn end_with(self, head: &RequestHead, response: HttpResponse) -> HttpResponse {
        if self.ended || !head.headers().contains_key(TRANSFER_ENCODING) {
            return response;
        }
        response.map_body(|_, body| BoxBody::new(Holding { body, _unread: self }))
    }
}

/// The body of a response, holding that of its request.
struct Holding {
    body: BoxBody,
    _unread: RequestBody,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
