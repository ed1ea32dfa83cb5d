//! Spans of time as people write them: `300s`, `15m`, `1h30m`, `30d`, or a plain number of seconds.
//!
//! Guarantees: what [`write()`] writes, [`parse`] reads back as the same span.

use std::time::Duration;

/// Units from the longest, each in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a span; each unit once, the longest first.
pub fn parse(text: &str) -> Option<Duration> {
    if let Some(secs) = digits(text) {
        return Some(Duration::from_secs(secs));
    }
    let (mut rest, mut units, mut millis) = (text, UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let (_, size) = units.get(place)?;
        millis = millis.checked_add(digits(number)?.checked_mul(*size)?)?;
        units = units.get(place + 1..)?;
        rest = after;
    }
    if text.is_empty() { None } else { Some(Duration::from_millis(millis)) }
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Writes a span in the fewest units; what is below a millisecond is left out.
pub fn write(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, size) in UNITS {
        let count = left / size;
        left %= size;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_in_every_form_that_is_documented() {
        for (text, millis) in [
            ("300s", 300_000),
            ("15m", 900_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("1d12h", 129_600_000),
            ("500ms", 500),
            ("1s250ms", 1250),
            ("90", 90_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            " 5s",
            "5 s",
            "s",
            "5x",
            "-5s",
            "+5",
            "1.5h",
            "1m1m",
            "1m1h",
            "5S",
            "٣s",
            "99999999999999999999",
            "99999999999999999d",
            "1h30",
            "5µs",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_span_reads_back_the_same(millis in 0..u64::MAX) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse(&write(span)), Some(span));
        }

        #[test]
        fn no_text_makes_the_reader_of_spans_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
