//! Passwords: what one is, how it is judged, and what is kept of it.
//!
//! - [`policy`]: which passwords may be chosen ([NIST SP 800-63B-4 §3.1.1](https://pages.nist.gov/800-63-4/sp800-63b.html))
//! - [`stored`]: what is kept, in every form that is understood
//! - [`hasher`]: makes and checks that
//! - [`pool`]: where that is done, so that nothing else waits for it
//!
//! Guarantees: a password is wiped when dropped and never shows in `Debug`; spellings of one text that look the same
//! (NFC, NFD, another space) are one password, all else of it counts; nothing of unbounded size is hashed.

mod cost;
pub mod hasher;
mod imported;
mod phrases;
pub mod policy;
pub mod pool;
pub mod stored;

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::secret::SecretText;

pub use cost::Argon2Cost;
pub use hasher::{Hasher, Pepper, PepperError, Peppers, Verdict};
pub use policy::{PasswordPolicy, PasswordRefused};
pub use pool::{HashMeter, HashPool, NotHashed, PoolLimits, TurnedAway};
pub use stored::{StoredPassword, StoredPasswordError};

/// The most bytes of a password, normalised and encoded as UTF-8.
pub const PASSWORD_LIMIT: usize = 1024;
/// What is longer than this as it was typed is not worth normalising.
const TYPED_LIMIT: usize = 4 * PASSWORD_LIMIT;

/// A text that no password can be. Nobody's password is it, so it says nothing about anyone's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Longer than [`PASSWORD_LIMIT`].
    #[error("a password has at most {PASSWORD_LIMIT} bytes")]
    TooLong,
    /// It has the character NUL in it, at which some programs would end it.
    #[error("a password can't have the character NUL in it")]
    Nul,
}

/// A password as somebody typed it, ready to be checked.
///
/// Normalised as [RFC 8265 §4.2](https://www.rfc-editor.org/rfc/rfc8265#section-4.2) has it: every space is the one that
/// a space bar makes, and the text is in NFC. Case, width and spaces at either end count.
#[derive(Clone)]
pub struct Password {
    text: SecretText,
    /// As it was typed, where that differs: another program may have hashed that.
    typed: Option<SecretText>,
}

impl Password {
    /// Takes what was typed.
    pub fn parse(typed: &str) -> Result<Self, PasswordError> {
        if typed.len() > TYPED_LIMIT {
            return Err(PasswordError::TooLong);
        }
        if typed.contains('\0') {
            return Err(PasswordError::Nul);
        }
        // Room for the most that NFC makes of a text, so that no copy of it is left behind by growing.
        let mut text = String::with_capacity(typed.len() * 3);
        text.extend(typed.chars().map(|sign| if is_space(sign) { ' ' } else { sign }).nfc());
        let text = SecretText::new(text);
        if text.expose().len() > PASSWORD_LIMIT {
            return Err(PasswordError::TooLong);
        }
        let typed = (text.expose() != typed).then(|| SecretText::new(typed.to_owned()));
        Ok(Self { text, typed })
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// What was typed, where that differs.
    fn typed(&self) -> Option<&str> {
        self.typed.as_ref().map(SecretText::expose)
    }

    /// What another program may have hashed: the password, and what was typed.
    fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.expose()).chain(self.typed())
    }

    /// Its length: each code point counts as one character.
    pub fn length(&self) -> usize {
        self.expose().chars().count()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The other space separators (`Zs`).
const fn is_space(sign: char) -> bool {
    matches!(sign, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_look_the_same_are_one_password_and_all_else_counts() {
        let text = |typed: &str| Password::parse(typed).unwrap().expose().to_owned();
        assert_eq!(text("Zo\u{65}\u{308} \u{212b}"), text("Zo\u{eb}\u{a0}\u{c5}"));
        assert_eq!(text("한글"), text("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"));
        for (one, other) in [("a", "A"), ("a", "a "), ("a", " a"), ("a", "ａ"), ("²", "2"), ("a", "а")] {
            assert_ne!(text(one), text(other));
        }
    }

    #[test]
    fn length_is_counted_in_code_points_of_the_normalised_text() {
        for (typed, length) in [("", 0), ("e\u{301}", 1), ("😀😀", 2), ("👨‍👩‍👧", 5), ("a b ", 4)] {
            assert_eq!(Password::parse(typed).unwrap().length(), length, "{typed}");
        }
    }

    #[test]
    fn a_password_of_a_kilobyte_is_taken_and_a_longer_one_is_refused_at_once() {
        assert!(Password::parse(&"x".repeat(PASSWORD_LIMIT)).is_ok());
        assert!(Password::parse(&"e\u{301}".repeat(PASSWORD_LIMIT / 2)).is_ok(), "1536 bytes typed, 1024 composed");
        assert_eq!(Password::parse(&"x".repeat(PASSWORD_LIMIT + 1)).map(drop), Err(PasswordError::TooLong));
        assert_eq!(Password::parse(&"é".repeat(PASSWORD_LIMIT / 2 + 1)).map(drop), Err(PasswordError::TooLong));
        // Composed to three times its length: U+1D160 is excluded from composition.
        assert_eq!(Password::parse(&"\u{1d160}".repeat(200)).map(drop), Err(PasswordError::TooLong));
        assert_eq!(Password::parse(&"x".repeat(1 << 20)).map(drop), Err(PasswordError::TooLong));
        assert_eq!(Password::parse("correct\0horse").map(drop), Err(PasswordError::Nul));
    }

    #[test]
    fn a_password_has_a_dull_debug() {
        assert_eq!(format!("{:?}", Password::parse("hunter2").unwrap()), "Password(..)");
    }
}
