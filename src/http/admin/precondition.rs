//! Entity tags, and `If-Match` against lost updates
//! ([RFC 9110 §13.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1)).
//!
//! Guarantees: a change that needs to know what it changes is refused without `If-Match`, and when it names another version
//! than the present one. Tags are compared strongly.

use actix_web::http::header::{HeaderMap, HeaderValue, IF_MATCH};

use crate::http::error::Problem;

/// What a request says of the version that it is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: whatever there is.
    Any,
    /// One of these; none where no tag was ever one of ours.
    OneOf(Vec<i64>),
}

/// The tag of a version.
pub(super) fn etag(version: i64) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{version}\"")).ok()
}

impl IfMatch {
    /// Refuses the header where it would not be heeded.
    pub(super) fn none(headers: &HeaderMap) -> Result<(), Problem> {
        if headers.contains_key(IF_MATCH) { Err(Problem::UnexpectedIfMatch) } else { Ok(()) }
    }

    /// Reads the header, which must be there.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines: Vec<&[u8]> = headers.get_all(IF_MATCH).map(|value| value.as_bytes()).collect();
        if lines.is_empty() {
            // https://www.rfc-editor.org/rfc/rfc6585#section-3
            return Err(Problem::PreconditionRequired);
        }
        Self::parse(&lines.join(&b','))
    }

    fn parse(value: &[u8]) -> Result<Self, Problem> {
        let mut rest = value.trim_ascii();
        if rest == b"*" {
            return Ok(Self::Any);
        }
        let (mut versions, mut tags) = (Vec::new(), 0);
        // Empty elements of a list are passed over: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
        while let Some(element) = next_element(&mut rest) {
            let weak = element.starts_with(b"W/");
            let quoted = element.strip_prefix(b"W/").unwrap_or(element);
            let tag =
                quoted.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).ok_or(Problem::InvalidIfMatch)?;
            if quoted.len() < 2 || !tag.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
                return Err(Problem::InvalidIfMatch);
            }
            tags += 1;
            // Strongly, a weak tag matches nothing: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
            versions.extend(version(tag).filter(|_| !weak));
        }
        if tags == 0 { Err(Problem::InvalidIfMatch) } else { Ok(Self::OneOf(versions)) }
    }

    /// The version that must still be there when the change is made, of an object that is of `version` now; `None` for
    /// any.
    pub(super) fn expected(&self, version: i64) -> Result<Option<i64>, Problem> {
        match self {
            Self::Any => Ok(None),
            Self::OneOf(versions) if versions.contains(&version) => Ok(Some(version)),
            Self::OneOf(_) => Err(Problem::Stale { version }),
        }
    }
}

/// Takes the next element of a list that is not empty. A comma within quotes belongs to the tag.
fn next_element<'v>(rest: &mut &'v [u8]) -> Option<&'v [u8]> {
    loop {
        *rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = rest.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let element = rest[..end.unwrap_or(rest.len())].trim_ascii();
        *rest = end.map_or(&[][..], |end| &rest[end + 1..]);
        if !element.is_empty() {
            return Some(element);
        }
    }
}

/// The version whose tag this is: any other text was never given out.
fn version(tag: &[u8]) -> Option<i64> {
    let text = str::from_utf8(tag).ok()?;
    text.parse().ok().filter(|version: &i64| version.to_string() == text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_read_from_a_list_and_compared_strongly() {
        for (value, versions) in [
            ("\"3\"", &[3][..]),
            ("\"3\", \"5\"", &[3, 5]),
            (" \"3\" ,, \"5\" ,", &[3, 5]),
            ("W/\"3\"", &[]),
            ("W/\"3\", \"4\"", &[4]),
            ("\"03\"", &[]),
            ("\"+3\"", &[]),
            ("\"\"", &[]),
            ("\"3,5\"", &[]),
            ("\"*\"", &[]),
            ("\"99999999999999999999\"", &[]),
        ] {
            assert_eq!(IfMatch::parse(value.as_bytes()).unwrap(), IfMatch::OneOf(versions.to_vec()), "{value}");
        }
        assert_eq!(IfMatch::parse(b" * ").unwrap(), IfMatch::Any);
        for value in [
            "",
            " ",
            ",",
            "3",
            "\"3",
            "3\"",
            "\"",
            "w/\"3\"",
            "W/3",
            "*, \"3\"",
            "\"3\" \"4\"",
            "\"a b\"",
            "''",
            "W/ \"3\"",
        ] {
            assert!(IfMatch::parse(value.as_bytes()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn only_the_present_version_matches() {
        assert_eq!(IfMatch::Any.expected(7).unwrap(), None);
        assert_eq!(IfMatch::OneOf(vec![3, 7]).expected(7).unwrap(), Some(7));
        assert!(matches!(IfMatch::OneOf(vec![6, 8]).expected(7), Err(Problem::Stale { version: 7 })));
        assert!(IfMatch::OneOf(Vec::new()).expected(7).is_err());
    }

    proptest! {
        #[test]
        fn no_value_makes_it_fail_otherwise(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = IfMatch::parse(&value);
        }

        #[test]
        fn the_tag_that_is_given_out_is_the_one_that_matches(version in any::<i64>()) {
            let tag = etag(version).unwrap();
            prop_assert_eq!(IfMatch::parse(tag.as_bytes()).unwrap(), IfMatch::OneOf(vec![version]));
        }
    }
}
