//! Spans of time on the command line, written as in the settings: `300s`, `15m`, `1h30m`, `30d`.

use std::time::Duration;

use crate::config::{parse_span, write_span};

/// Reads a span for clap: numbers each with its unit, the longest unit first, or a plain number of seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| "a span of time looks like 300s, 15m, 1h30m or 30d".to_owned())
}

/// Writes a span in the two longest units that it has, which is as exact as people want it.
pub(super) fn write(span: Duration) -> String {
    const UNITS: [u64; 4] = [86_400, 3_600, 60, 1];
    let seconds = span.as_secs();
    let longest = UNITS.iter().position(|unit| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let exactness = UNITS.get(longest + 1).copied().unwrap_or(1);
    write_span(Duration::from_secs(seconds - seconds % exactness))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_in_the_settings() {
        for (text, seconds) in [("300s", 300), ("15m", 900), ("1h30m", 5400), ("30d", 2_592_000), ("90", 90), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5x", "m", "1m1h", "-5s", "1.5h", "5 s", "99999999999999999999d", "1h30"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_is_written_in_its_two_longest_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (330, "5m30s"), (93_784, "1d2h"), (86_400, "1d")] {
            assert_eq!(write(Duration::from_secs(seconds)), text);
        }
    }
}
