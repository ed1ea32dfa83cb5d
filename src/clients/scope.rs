//! Scopes: ordered sets of scope tokens.

use std::fmt;

/// A set of scope tokens in the order in which they were written, each once
/// ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ScopeSet {
    tokens: Vec<Box<str>>,
}

/// What is wrong with a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not `scope-token *( SP scope-token )`.
    #[error("a scope is a list of tokens of printable ASCII without quotes or backslashes, separated by single spaces")]
    Malformed,
}

impl ScopeSet {
    /// Reads a space-separated list. The empty text is the empty set; a doubled space or any character outside
    /// `%x21 / %x23-5B / %x5D-7E` is refused.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into()
    }

    /// Whether `token` is in the set.
    pub fn contains(&self, token: &str) -> bool {
        self.tokens.iter().any(|own| &**own == token)
    }

    /// The first of this set's tokens that `other` lacks.
    pub fn first_outside<'a>(&'a self, other: &Self) -> Option<&'a str> {
        self.tokens.iter().find(|token| !other.contains(token)).map(|token| &**token)
    }

    /// What is in both, in this set's order.
    pub fn meet(&self, other: &Self) -> Self {
        Self { tokens: self.tokens.iter().filter(|token| other.contains(token)).cloned().collect() }
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| &**token)
    }
}

/// A list of tokens that may repeat each other.
impl TryFrom<Vec<String>> for ScopeSet {
    type Error = ScopeError;

    fn try_from(list: Vec<String>) -> Result<Self, ScopeError> {
        let mut set = Self::default();
        for token in list {
            if token.is_empty() || !token.bytes().all(is_scope_byte) {
                return Err(ScopeError::Malformed);
            }
            if !set.contains(&token) {
                set.tokens.push(token.into_boxed_str());
            }
        }
        Ok(set)
    }
}

const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// The tokens, separated by single spaces.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, token) in self.tokens.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeSet({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_keeps_its_order_and_drops_repeats() {
        assert_eq!(ScopeSet::parse("b a b").unwrap().to_string(), "b a");
        assert!(ScopeSet::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_malformed_scope_is_refused() {
        for text in [" ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "é", "a\nb", "\u{7f}"] {
            assert_eq!(ScopeSet::parse(text), Err(ScopeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_meet_holds_only_what_both_hold() {
        let (asked, offered) = (ScopeSet::parse("c a x").unwrap(), ScopeSet::parse("a b c").unwrap());
        assert_eq!(asked.meet(&offered).to_string(), "c a");
        assert_eq!(asked.first_outside(&offered), Some("x"));
    }
}
