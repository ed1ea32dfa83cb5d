//! Logs: a `tracing` subscriber that writes to standard error, as text for people or JSON for collectors. Metrics: what
//! was counted and what holds, for Prometheus. Traces: spans, for a collector that speaks OTLP.
//!
//! Guarantees: logging never blocks a request (a stalled reader costs lines, which are counted and reported); a line
//! is one line, whatever its fields hold; warnings are written at once, the rest within 50 ms; what was logged before
//! the [`Guard`] is dropped is written then.

mod access;
mod layer;
mod line;
mod metrics;
mod sink;
mod traces;

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use self::layer::LineLayer;
pub use self::metrics::{Connections, HashMetrics, Metrics, Observation, Observed, StoreState};
use self::sink::Sink;
pub use self::sink::{Guard, Losses};
pub use self::traces::{OtlpEndpoint, Round, SampleRatio, SpanCounts, Traces, parse_headers};
use crate::ports::SystemClock;
use crate::secret::SecretText;

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// What is logged.
    pub level: Filter,
    /// In which form.
    pub format: Format,
    /// Whether each request is logged. It is for whoever answers requests to heed.
    pub access_log: bool,
    /// Where spans go; none are made when it is not set.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// The headers that the collector asks for, as [`parse_headers`] reads them.
    pub otlp_headers: Option<SecretText>,
    /// How many of the traces that begin here are recorded.
    pub otlp_sample_ratio: SampleRatio,
    /// What this service is called there.
    pub otlp_service_name: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// A JSON object a line.
    Json,
}

impl Format {
    /// Its name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Text, Self::Json].into_iter().find(|format| format.name() == name)
    }
}

/// Libraries that tell what we tell ourselves, and at `error` what any stranger can cause by bytes that are no request; an
/// operator's own word on them counts for more.
const QUIET: &str = "actix_server=warn,actix_http=off,";

/// What is logged, in the language of `tracing`'s `EnvFilter`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why logging can't begin or a filter can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A word alone that is no level: `EnvFilter` would take it for a module, and log nothing else.
    #[error("must be a level (off, error, warn, info, debug, trace) or such as signet=debug,info, not `{0}`")]
    Level(String),
    /// Not the language of filters.
    #[error("is not a filter of levels such as signet=debug,info: {0}")]
    Filter(String),
    /// This process logs already.
    #[error("logging was started twice")]
    AlreadyInstalled,
    /// Two metrics of one name, or one that Prometheus does not know.
    #[error("the metrics are wrong: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A header for the collector.
    #[error("`telemetry.otlp_headers` {0}")]
    Headers(&'static str),
    /// No client for the collector.
    #[error("no spans can be sent: {0}")]
    Collector(String),
    /// The system gave no thread.
    #[error("a thread for logs or traces can't be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When it is none, or when a word alone is no level.
    pub fn parse(directives: &str) -> Result<Self, TelemetryError> {
        // Commas and words within `[…]` belong to the names of spans and fields.
        let words = if directives.contains('[') { "" } else { directives };
        let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
        for word in words.split(',').map(str::trim) {
            let odd = match word.split_once('=') {
                Some((_, level)) => !is_level(level),
                None => !is_level(word) && !directives.contains('['),
            };
            if odd {
                return Err(TelemetryError::Level(word.to_owned()));
            }
        }
        let filter = Self(directives.to_owned());
        filter.compiled().map(|_| filter)
    }

    /// The filter as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn compiled(&self) -> Result<EnvFilter, TelemetryError> {
        let quiet = if self.0.trim().eq_ignore_ascii_case("off") { "" } else { QUIET };
        let read = EnvFilter::builder().parse(format!("{quiet}{}", self.0));
        read.map_err(|e| TelemetryError::Filter(e.to_string()))
    }
}

/// Begins to log to standard error, for the life of the process. Keep the guard until the end of it.
///
/// `is_terminal` tells whether standard error is one: then `auto` is text, and text has colours (unless the
/// environment sets `NO_COLOR`).
///
/// # Errors
/// When this process logs already, or the system gives no thread.
pub fn install(settings: &TelemetrySettings, is_terminal: bool) -> Result<Guard, TelemetryError> {
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = line::Style::of(settings.format, is_terminal, colour);
    let (subscriber, guard) = subscriber(settings, style, std::io::stderr())?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::AlreadyInstalled)?;
    Ok(guard)
}

fn subscriber(
    settings: &TelemetrySettings,
    style: line::Style,
    output: impl Write + Send + 'static,
) -> Result<(impl tracing::Subscriber + Send + Sync + 'static, Guard), TelemetryError> {
    let filter = settings.level.compiled()?;
    let (sink, guard) = Sink::start(output, style, SystemClock)?;
    let layer = LineLayer::new(sink, style, SystemClock);
    Ok((tracing_subscriber::registry().with(filter).with(layer), guard))
}

#[cfg(test)]
mod tests;
