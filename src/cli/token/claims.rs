//! The members of a token as people read them: a line each, dates as dates.

use std::time::Duration;

use serde_json::{Map, Value};
use signet_verify::NumericDate;

use crate::cli::output::{fields, plain};
use crate::cli::span;
use crate::ports::Timestamp;

/// The claims that are dates ([RFC 7519 §4.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
const DATES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];

/// A line for each member.
pub(super) fn text(members: &Map<String, Value>, now: Timestamp) -> String {
    let shown: Vec<_> = members.iter().map(|(name, value)| (plain(name), value_text(name, value, now))).collect();
    fields(&shown.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>())
}

fn value_text(name: &str, value: &Value, now: Timestamp) -> String {
    match (moment(name, value), value) {
        (Some(moment), _) => {
            let distance = if moment > now {
                format!("in {}", whole(moment.since(now)))
            } else {
                format!("{} ago", whole(now.since(moment)))
            };
            format!("{moment} ({value}, {distance})")
        }
        (None, Value::String(text)) => plain(text),
        (None, other) => plain(&other.to_string()),
    }
}

/// A distance, to the second.
fn whole(span: Duration) -> String {
    span::write(Duration::from_secs(span.as_secs()))
}

/// The date that a claim is, if it is one.
fn moment(name: &str, value: &Value) -> Option<Timestamp> {
    let date = DATES.contains(&name).then(|| NumericDate::of(value)).flatten()?;
    let millis = i64::try_from(date.since_epoch().as_millis()).ok()?;
    // Beyond the year 9999 there is no RFC 3339, and nobody meant such a date.
    (millis < 253_402_300_800_000).then(|| Timestamp::from_millis(millis))
}

/// The dates among the members, in RFC 3339.
pub(super) fn dates(members: &Map<String, Value>) -> Map<String, Value> {
    let date = |(name, value): (&String, &Value)| Some((name.clone(), moment(name, value)?.to_string().into()));
    members.iter().filter_map(date).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dates_are_shown_as_dates_and_all_else_as_it_stands() {
        let Value::Object(members) = json!({"exp": 1_800_000_300, "iat": "soon", "sub": "a\u{1b}b", "nbf": 1e300})
        else {
            unreachable!()
        };
        let text = text(&members, Timestamp::from_secs(1_800_000_000));
        assert!(text.contains("2027-01-15T08:05:00Z (1800000300, in 5m)"), "{text}");
        assert!(text.contains("soon") && text.contains("a\\u{1b}b") && text.contains("1e+300"), "{text}");
        assert_eq!(dates(&members).len(), 1);
    }
}
