//! Where spans go, and how many: what operators set, checked.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The address of a collector that speaks OTLP over HTTP, without the path `/v1/traces` that is appended to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

impl OtlpEndpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong, as a sentence without its subject: it has no host, a scheme that is not spoken, or parts that
    /// don't belong there. A password is none of it: it would be shown.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be the address of a collector, such as http://127.0.0.1:4318";
        let url = Url::parse(text).map_err(|_| FORM)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(FORM);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user or a password: those belong into `telemetry.otlp_headers`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not have a query or a fragment");
        }
        Ok(Self(url))
    }

    /// The address as it was written, in its normal form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where traces are posted.
    pub(super) fn traces(&self) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

/// Which part of the traces that begin here is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleRatio {
    millionths: u32,
}

impl SampleRatio {
    const ALL: u32 = 1_000_000;

    /// A ratio from 0 to 1, to the millionth.
    pub fn new(ratio: f64) -> Option<Self> {
        let millionths = (ratio * f64::from(Self::ALL)).round();
        // In bounds, so nothing is cut off.
        (0.0..=f64::from(Self::ALL)).contains(&millionths).then_some(Self { millionths: millionths as u32 })
    }

    /// The ratio, from 0 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.millionths) / f64::from(Self::ALL)
    }

    /// Whether a trace is recorded, by the 56 bits of its identifier that are surely random
    /// ([consistent sampling](https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/)).
    pub(super) fn takes(self, trace_id: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g] = trace_id;
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        let refused = (1_u64 << 56) / u64::from(Self::ALL) * u64::from(Self::ALL - self.millionths);
        self.millionths == Self::ALL || self.millionths > 0 && random >= refused
    }
}

/// Headers that a collector asks for, of the form `name=value`, separated by commas or on lines of their own.
///
/// # Errors
/// What is wrong, as a sentence without its subject, and without repeating anything of it.
pub fn parse_headers(text: &str) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    for pair in text.split([',', '\n']).map(str::trim).filter(|pair| !pair.is_empty()) {
        const FORM: &str = "must be headers of the form name=value, separated by commas";
        let (name, value) = pair.split_once('=').ok_or(FORM)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| FORM)?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| FORM)?;
        value.set_sensitive(true);
        if headers.insert(name, value).is_some() {
            return Err("must not name a header twice");
        }
    }
    Ok(headers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_address_of_the_collector() {
        for (endpoint, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/", "https://otel.example/v1/traces"),
            ("https://otel.example/tenant/a", "https://otel.example/tenant/a/v1/traces"),
        ] {
            assert_eq!(OtlpEndpoint::parse(endpoint).unwrap().traces().as_str(), traces);
        }
        for wrong in
            ["", "127.0.0.1:4318", "grpc://a:4317", "http://", "http://u@a", "http://u:p@a", "http://a?b", "http://a#b"]
        {
            assert!(OtlpEndpoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn about_as_many_traces_are_taken_as_asked_for() {
        let ids = |n: u64| {
            let mut id = [0xff; 16];
            // A permutation that spreads the numbers evenly.
            id[8..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            id
        };
        for (ratio, expected) in [(0.0, 0), (0.01, 100), (0.25, 2_500), (1.0, 10_000)] {
            let sampler = SampleRatio::new(ratio).unwrap();
            let taken = (0..10_000).filter(|n| sampler.takes(ids(*n))).count();
            assert!(taken.abs_diff(expected) <= expected / 10, "{ratio}: {taken}");
        }
        assert!(!SampleRatio::new(0.0).unwrap().takes([0xff; 16]));
        assert!(SampleRatio::new(1.0).unwrap().takes([0; 16]));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(SampleRatio::new(wrong), None);
        }
    }

    #[test]
    fn headers_are_pairs_and_dull() {
        let headers = parse_headers("authorization=Basic YTpi==, x-tenant = a\nx-more=b=c\n").unwrap();
        assert_eq!(
            (headers["authorization"].as_bytes(), headers["x-more"].as_bytes()),
            (&b"Basic YTpi=="[..], &b"b=c"[..])
        );
        assert!(!format!("{headers:?}").contains("YTpi"));
        for wrong in ["a", "=b", "a b=c", "a=b\u{7f}", "a=b,A=c"] {
            assert!(parse_headers(wrong).is_err(), "{wrong}");
        }
    }
}
