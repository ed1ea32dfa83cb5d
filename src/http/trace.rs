//! What requests leave in traces: the facade that the request path goes through, whoever collects the spans.
//!
//! Guarantees: a caller's `traceparent` is read strictly or not at all, and nothing else that a caller sent reaches a
//! span: no path, no query, no header.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use uuid::Uuid;

use super::table::Listener;
use crate::ports::{Act, Timestamp};

/// The span of a caller
/// ([Trace Context, `traceparent`](https://www.w3.org/TR/trace-context/#traceparent-header)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// The caller's span within it.
    pub span_id: [u8; 8],
    /// Whether the caller records its own part.
    pub sampled: bool,
}

/// A span that is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// This span within it.
    pub span_id: [u8; 8],
    /// The caller's span.
    pub parent: Option<[u8; 8]>,
}

/// A request that was answered.
#[derive(Debug)]
pub struct RequestSpan<'a> {
    /// What [`Tracer::begin`] gave it.
    pub context: SpanContext,
    /// When it came.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// As the answer's `X-Request-Id` has it.
    pub request_id: Uuid,
    /// Which listener it came to.
    pub listener: Listener,
    /// One of [`METHODS`](super::METHODS).
    pub method: &'static str,
    /// The path of the route as the table has it, or [`NO_ROUTE`](super::NO_ROUTE).
    pub route: &'a str,
    /// The answer's status.
    pub status: u16,
    /// The error's code.
    pub error: Option<&'static str>,
    /// What was done in a store for it.
    pub acts: Vec<Act>,
}

/// Collects spans. On the path of every request: it never waits.
pub trait Tracer: Send + Sync {
    /// Whether the request `request_id` is recorded, and as which span.
    fn begin(&self, parent: Option<TraceParent>, request_id: Uuid) -> Option<SpanContext>;

    /// Takes a request that was recorded.
    fn end(&self, span: RequestSpan<'_>);
}

const HEADER: &str = "traceparent";

/// The caller's span, when the request names exactly one.
pub(super) fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(HEADER);
    let only = values.next()?;
    if values.next().is_some() {
        return None;
    }
    TraceParent::parse(only.as_bytes())
}

impl TraceParent {
    /// Reads `version-trace_id-parent_id-flags`: lower-case hexadecimal digits, no identifier all zeros. Of a version
    /// that is not known yet, what the known one has
    /// ([§3.2.4](https://www.w3.org/TR/trace-context/#versioning-of-traceparent)).
    fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(55)?;
        let [b'-', trace_id @ .., b'-', _, _] = &known[2..] else { return None };
        let (trace_id, span_id) = (trace_id.get(..32)?, trace_id.get(32..)?.strip_prefix(b"-")?);
        let [version]: [u8; 1] = bytes(&known[..2])?;
        let is_sound = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let [flags]: [u8; 1] = bytes(&known[53..])?;
        let (trace_id, span_id): ([u8; 16], [u8; 8]) = (bytes(trace_id)?, bytes(span_id)?);
        let is_named = trace_id != [0; 16] && span_id != [0; 8];
        (is_sound && is_named).then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Exactly so many bytes, written in lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut read = [0; N];
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in read.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(read)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_sound_parent_is_read() {
        let parent = TraceParent::parse(SOUND.as_bytes()).unwrap();
        assert_eq!(parent.trace_id[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!((parent.span_id[0], parent.span_id[7], parent.sampled), (0xb7, 0x31, true));
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let value = format!("{}{flags}", &SOUND[..53]);
            assert_eq!(TraceParent::parse(value.as_bytes()).unwrap().sampled, sampled, "{flags}");
        }
        for later in [format!("01{}", &SOUND[2..]), format!("cc{}-more", &SOUND[2..])] {
            assert_eq!(TraceParent::parse(later.as_bytes()), Some(parent), "{later}");
        }
    }

    #[test]
    fn whatever_is_not_sound_is_no_parent() {
        for value in [
            "",
            "00",
            &SOUND[..54],
            &format!("{SOUND}-"),
            &format!("{SOUND}0"),
            &format!(" {SOUND}"),
            &SOUND.to_ascii_uppercase(),
            &SOUND.replace("0af7", "0AF7"),
            &SOUND.replace("0af7", "0ag7"),
            &SOUND.replace('-', "_"),
            &format!("ff{}", &SOUND[2..]),
            &format!("0g{}", &SOUND[2..]),
            &format!("01{}x", &SOUND[2..]),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-101",
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_fail(value in prop::collection::vec(any::<u8>(), 0..80), at in 0..55_usize, byte: u8) {
            let _ = TraceParent::parse(&value);
            let mut value = SOUND.as_bytes().to_vec();
            value[at] = byte;
            let _ = TraceParent::parse(&value);
        }
    }
}
