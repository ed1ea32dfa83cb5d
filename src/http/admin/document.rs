//! The body of a request to the admin API, which some routes can do without.

use actix_web::dev::RequestHead;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use serde::de::DeserializeOwned;

use super::{Admin, Call};
use crate::http::document;
use crate::http::error::Problem;

/// The body as a `T`.
pub(super) async fn read<T: DeserializeOwned>(admin: &Admin, call: &mut Call<'_>) -> Result<T, Problem> {
    document::read(call.head, call.body, admin.limits).await
}

/// The body as a `T`, or what a `T` is where there is none.
pub(super) async fn read_any<T: DeserializeOwned + Default>(admin: &Admin, call: &mut Call<'_>) -> Result<T, Problem> {
    if is_announced(call.head) { read(admin, call).await } else { Ok(T::default()) }
}

/// Whether a body comes with the request ([RFC 9112 §6](https://www.rfc-editor.org/rfc/rfc9112#section-6)).
pub(super) fn is_announced(head: &RequestHead) -> bool {
    let headers = &head.headers;
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}
