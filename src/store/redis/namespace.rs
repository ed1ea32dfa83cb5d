//! What every key of an installation begins with, so that several share one Redis.

use std::fmt;

/// 1 to 32 small letters, digits, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// Reads one. The error is a sentence without its subject.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 32 small letters, digits, `-`, `_` and `.`".to_owned())
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_no_sign_that_means_something_in_a_key() {
        for text in ["signet", "a", "prod-1.eu_2"] {
            assert_eq!(Namespace::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "a:b", "{a}", "Signet", "ä", "a*", &"a".repeat(33)] {
            assert!(Namespace::parse(text).is_err(), "{text}");
        }
    }
}
