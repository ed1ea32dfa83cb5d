//! Spans of time on the command line, written as in the settings: `300s`, `15m`, `1h30m`, `30d`.

use std::time::Duration;

/// Units from the longest, each in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a span for clap: numbers each with its unit, the longest unit first, or a plain number of seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let malformed = || "a span of time looks like 300s, 15m, 1h30m or 30d".to_owned();
    if let Some(seconds) = number(text) {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut rest, mut units, mut millis) = (text, UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit()).ok_or_else(malformed)?;
        let (count, after) = rest.split_at(digits);
        let letters = after.find(|sign: char| sign.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(malformed)?;
        let size = units.get(place).map_or(0, |(_, size)| *size);
        let part = number(count).and_then(|count| count.checked_mul(size)).ok_or_else(malformed)?;
        millis = millis.checked_add(part).ok_or_else(malformed)?;
        units = units.get(place + 1..).unwrap_or_default();
        rest = after;
    }
    if text.is_empty() { Err(malformed()) } else { Ok(Duration::from_millis(millis)) }
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Writes a span in the two longest units that it has, which is as exact as people want it.
pub(super) fn write(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
        let count = left / size;
        left %= size;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count}{unit}"));
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
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
