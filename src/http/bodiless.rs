//! Responses without a body (204, 304), which wait their turn as all others do.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// Makes of a response without a body (204, 304) one that waits until the answers before it are written, as all others
/// do.
///
/// actix-web stops answering a connection whose write buffer is full only where it would ask for a body. Whoever sent
/// `OPTIONS` on and on and read nothing grew that buffer without limit.
pub(super) fn in_turn(mut response: HttpResponse) -> HttpResponse {
    // Of a body of unknown length nothing is written beside these two: no header, and without chunks no end.
    response.head_mut().no_chunking(true);
    response.set_body(BoxBody::new(NoBody))
}

/// A body that is asked for and has nothing.
struct NoBody;

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
