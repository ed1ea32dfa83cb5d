//! Scopes: ordered sets of scope tokens.

use std::fmt;

/// A set of scope tokens in the order in which they were written, each once
/// ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). Kept as the text that goes over the wire: sets
/// are small, and the token path reads more of them than it makes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ScopeSet {
    text: Box<str>,
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
        if text.is_empty() { Ok(Self::default()) } else { Self::of(text.split(' ')) }
    }

    /// Takes a list of tokens that may repeat each other.
    pub fn of<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut text = String::new();
        for token in tokens {
            if token.is_empty() || !token.bytes().all(is_scope_byte) {
                return Err(ScopeError::Malformed);
            }
            push_new(&mut text, token);
        }
        Ok(Self { text: text.into_boxed_str() })
    }

    /// Whether `token` is in the set.
    pub fn contains(&self, token: &str) -> bool {
        self.iter().any(|own| own == token)
    }

    /// The first of this set's tokens that `other` lacks.
    pub fn first_outside<'a>(&'a self, other: &Self) -> Option<&'a str> {
        self.iter().find(|token| !other.contains(token))
    }

    /// What is in both, in this set's order.
    pub fn meet(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let mut text = String::with_capacity(self.text.len());
        self.iter().filter(|token| other.contains(token)).for_each(|token| push_new(&mut text, token));
        Self { text: text.into_boxed_str() }
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|token| !token.is_empty())
    }

    /// The tokens, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Appends a token that is not there yet.
fn push_new(text: &mut String, token: &str) {
    if text.split(' ').any(|known| known == token) {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(token);
}

const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// The tokens, separated by single spaces.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ScopeSet> for String {
    fn from(set: ScopeSet) -> Self {
        set.text.into_string()
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
