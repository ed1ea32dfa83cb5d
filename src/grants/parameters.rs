//! The parameters of a request, read strictly.
//!
//! Guarantees ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)): a parameter stands once, or the
//! request is refused; one without a value counts as absent; text is UTF-8 without NUL.

use std::borrow::Cow;

/// The most parameters a request may have.
const MOST: usize = 64;

/// Decoded names and values, in the order in which they came.
#[derive(Default)]
pub struct Parameters<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// What is wrong with a form. The texts go to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// A percent sign without two hexadecimal digits, a text that is not UTF-8, or a NUL.
    #[error("the form is not well-formed")]
    Malformed,
    /// A parameter stands more than once.
    #[error("a parameter stands more than once")]
    Repeated,
    /// More parameters than any request needs.
    #[error("the form has too many parameters")]
    TooMany,
}

impl<'a> Parameters<'a> {
    /// Reads `application/x-www-form-urlencoded`; only `repeatable` names may stand more than once.
    pub fn parse(body: &'a [u8], repeatable: impl Fn(&str) -> bool) -> Result<Self, ParameterError> {
        let mut parameters = Self { pairs: Vec::with_capacity(8) };
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.pairs.len() == MOST {
                return Err(ParameterError::TooMany);
            }
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.pairs.iter().any(|(known, _)| *known == name) && !repeatable(&name) {
                return Err(ParameterError::Repeated);
            }
            parameters.pairs.push((name, value));
        }
        Ok(parameters)
    }

    /// The value of `name`; `None` when it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a parameter that may repeat, without empty ones.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// Only those of the declared names.
    pub fn only(mut self, declared: &[&str]) -> Self {
        self.pairs.retain(|(name, _)| declared.contains(&&**name));
        self
    }
}

/// Decodes `+` and `%XX`; text that needs no decoding is borrowed.
pub fn decode(text: &[u8]) -> Result<Cow<'_, str>, ParameterError> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%' | 0)) {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| ParameterError::Malformed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or(ParameterError::Malformed)?;
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
                let (high, low) = (digit(digits[0]), digit(digits[1]));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or(ParameterError::Malformed)?
            }
            byte => *byte,
        });
    }
    if decoded.contains(&0) {
        return Err(ParameterError::Malformed);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| ParameterError::Malformed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(body: &[u8]) -> Result<Parameters<'_>, ParameterError> {
        Parameters::parse(body, |name| name == "resource")
    }

    #[test]
    fn the_example_of_the_form_encoding_decodes() {
        // RFC 6749 appendix B.
        assert_eq!(decode(b"+%25%26%2B%C2%A3%E2%82%AC").unwrap(), " %&+£€");
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_when_one_of_them_is_empty_or_encoded() {
        for body in ["a=1&a=2", "a=1&a=", "a&a", "a=1&%61=2", "x=1&y=2&x=1"] {
            assert_eq!(parse(body.as_bytes()).err(), Some(ParameterError::Repeated), "{body}");
        }
        assert_eq!(parse(b"resource=1&resource=2&resource=").unwrap().all("resource").count(), 2);
    }

    #[test]
    fn a_parameter_without_a_value_is_absent() {
        assert_eq!(parse(b"a=&b&c=1").unwrap().get("a"), None);
        assert_eq!(parse(b"a=&b&c=1").unwrap().get("b"), None);
        assert_eq!(parse(b"a=&b&c=1").unwrap().get("c"), Some("1"));
        assert_eq!(parse(b"").unwrap().get(""), None);
    }

    #[test]
    fn what_is_not_a_form_is_refused() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=\xff", b"a=%00", b"a=\0", b"%=1", b"a=%+1"] {
            assert_eq!(parse(body).err(), Some(ParameterError::Malformed), "{body:?}");
        }
        let many = (0..65).map(|place| format!("p{place}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(parse(many.as_bytes()).err(), Some(ParameterError::TooMany));
    }

    #[test]
    fn undeclared_parameters_are_dropped() {
        let parameters = parse(b"scope=a&password=b").unwrap().only(&["scope"]);
        assert_eq!((parameters.get("scope"), parameters.get("password")), (Some("a"), None));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_fail_otherwise(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(text in "[^\\x00]{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap(), text);
        }
    }
}
