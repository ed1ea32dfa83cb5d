//! The body of a request as JSON: one object, read strictly.
//!
//! Guarantees: nothing is parsed before its length and its kind are known to be in order; an object that two parsers could
//! read differently is refused (duplicate members, a byte order mark, text that is not UTF-8), and so is whatever a route
//! does not know.

use actix_web::dev::RequestHead;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use signet_verify::json::parse_object;

use super::Limits;
use super::body::RequestBody;
use super::error::Problem;

/// The body as a `T`.
pub(super) async fn read<T: DeserializeOwned>(
    head: &RequestHead,
    body: &mut RequestBody,
    limits: Limits,
) -> Result<T, Problem> {
    check_kind(head)?;
    let body = body.read(head, limits).await?;
    let members = parse_object(&body).map_err(Problem::InvalidJson)?;
    of_members(members)
}

/// [RFC 8259 §11](https://www.rfc-editor.org/rfc/rfc8259#section-11): JSON is UTF-8, and has no parameters; many clients
/// name that charset all the same.
fn check_kind(head: &RequestHead) -> Result<(), Problem> {
    let mut kinds = head.headers().get_all(CONTENT_TYPE);
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return Err(Problem::NotJson) };
    let mut parts = kind.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(b"application/json"));
    let is_utf8 =
        |part: &[u8]| part.eq_ignore_ascii_case(b"charset=utf-8") || part.eq_ignore_ascii_case(b"charset=\"utf-8\"");
    if is_json && parts.all(is_utf8) && !head.headers().contains_key(CONTENT_ENCODING) {
        Ok(())
    } else {
        Err(Problem::NotJson)
    }
}

fn of_members<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, Problem> {
    T::deserialize(Value::Object(members.clone())).map_err(|error| problem::<T>(members, &error.to_string()))
}

const MISSING: &str = "missing field `";
const MOST_TRIED: usize = 32;

/// Which member is at fault. serde tells of an unknown or a missing one by name; of a wrong one it does not, but without
/// it the error is another.
fn problem<T: DeserializeOwned>(members: Map<String, Value>, error: &str) -> Problem {
    if let Some(name) = error.strip_prefix(MISSING).and_then(|rest| rest.split('`').next()) {
        return Problem::MissingMember(name.to_owned());
    }
    if let Some(name) = members.keys().find(|name| error.starts_with(&format!("unknown field `{name}`"))) {
        return Problem::UnknownMember(name.to_owned());
    }
    // That takes the square of their number, and no route knows this many.
    if members.len() > MOST_TRIED {
        return Problem::InvalidMember { name: None, why: expected(error) };
    }
    let without = |name: &String| {
        let rest =
            members.iter().filter(|(other, _)| *other != name).map(|(name, value)| (name.clone(), value.clone()));
        T::deserialize(Value::Object(rest.collect())).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let errors: Vec<(&String, String)> = members.keys().map(|name| (name, without(name))).collect();
    let mut others = errors.iter().filter(|(_, other)| other != error);
    // Without a member that must be there the error is always another.
    let wrong = others.clone().find(|(_, other)| !other.starts_with(MISSING)).or_else(|| others.next());
    Problem::InvalidMember { name: wrong.map(|(name, _)| (*name).clone()), why: expected(error) }
}

/// What serde wanted, without what it got.
fn expected(error: &str) -> String {
    error
        .rsplit_once(", expected ")
        .map_or_else(|| "of another kind".to_owned(), |(_, what)| format!("expected {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::test::TestRequest;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(default)]
        lifetime: Option<u64>,
        #[serde(default)]
        scopes: Vec<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        #[serde(flatten)]
        inner: Inner,
    }

    fn fault(document: Value) -> (&'static str, Option<String>) {
        let Value::Object(members) = document else { return ("", None) };
        match of_members::<Outer>(members) {
            Ok(_) => ("", None),
            Err(Problem::UnknownMember(name)) => ("unknown", Some(name)),
            Err(Problem::MissingMember(name)) => ("missing", Some(name)),
            Err(Problem::InvalidMember { name, .. }) => ("invalid", name),
            Err(_) => ("other", None),
        }
    }

    #[test]
    fn the_member_at_fault_is_named_wherever_it_stands() {
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(fault(json!({"name": "a", "lifetime": 5, "scopes": ["b"]})), ("", None));
        assert_eq!(fault(json!({})), ("missing", named("name")));
        assert_eq!(fault(json!({"lifetime": 5})), ("missing", named("name")));
        for unknown in ["enabled", "version", "__proto__", "inner", "Name", "name ", ""] {
            assert_eq!(fault(json!({"name": "a", unknown: 1})), ("unknown", named(unknown)));
            assert_eq!(fault(json!({unknown: {"a": [null]}, "name": "a", "lifetime": 1})), ("unknown", named(unknown)));
        }
        for wrong in [json!(-1), json!(1.0), json!(1e3), json!("5"), json!([]), json!(18_446_744_073_709_551_616.0)] {
            assert_eq!(fault(json!({"name": "a", "lifetime": wrong})), ("invalid", named("lifetime")));
        }
        for wrong in [json!("a"), json!({"0": "a"}), json!([1]), json!(null)] {
            assert_eq!(fault(json!({"name": "a", "scopes": wrong})), ("invalid", named("scopes")));
        }
        assert_eq!(fault(json!({"name": null})), ("invalid", named("name")));
    }

    #[test]
    fn what_was_sent_does_not_come_back() {
        let Value::Object(members) = json!({"name": "a", "lifetime": "hunter2"}) else { return };
        let problem = of_members::<Outer>(members).unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }

    #[test]
    fn only_json_in_utf_8_is_read() {
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            let request = TestRequest::default().insert_header((CONTENT_TYPE, kind)).to_http_request();
            assert!(check_kind(request.head()).is_ok(), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/json2",
            "application/merge-patch+json",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/json; charset=latin1",
            "application/json; x=y",
            "application/json, text/plain",
        ] {
            let request = TestRequest::default().insert_header((CONTENT_TYPE, kind)).to_http_request();
            assert!(check_kind(request.head()).is_err(), "{kind}");
        }
        let twice = TestRequest::default()
            .append_header((CONTENT_TYPE, "application/json"))
            .append_header((CONTENT_TYPE, "application/json"));
        assert!(check_kind(twice.to_http_request().head()).is_err());
        let coded = TestRequest::default()
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((CONTENT_ENCODING, "gzip"));
        assert!(check_kind(coded.to_http_request().head()).is_err());
        assert!(check_kind(TestRequest::default().to_http_request().head()).is_err());
    }
}
