//! What people are called: usernames and e-mail addresses, as shown and as compared.
//!
//! Guarantees: a [`Username`] or an [`Email`] exists only in a form that can be shown; spellings that differ in case,
//! width or normalisation have one [`LoginName`]; usernames that look alike share an entry of [`Username::looks`], so
//! that whoever stores those as unique never lets two accounts pass for one. A username never has an `@` and an e-mail
//! address always has one, so no text names two accounts.

mod email;
mod login;
mod username;

pub use email::Email;
pub use login::LoginName;
pub use username::{USERNAME_LIMIT, Username};

/// What is wrong with a name. No message repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not of 1 to [`USERNAME_LIMIT`] characters.
    #[error("a username has 1 to {USERNAME_LIMIT} characters")]
    UsernameLength,
    /// A character that no name has: spaces, control characters, invisible ones, signs.
    #[error("a username has letters and digits, and `.`, `_` or `-` between them")]
    UsernameCharacter,
    /// Letters of scripts that are not written together, or of one that reads as another.
    #[error("a username is written in one script, or in scripts that are written together")]
    UsernameScripts,
    /// It reads from the right and from the left.
    #[error("a username does not change its direction")]
    UsernameDirection,
    /// It could be taken for the identifier of an account.
    #[error("a username is not a UUID")]
    UsernameIsId,
    /// Not an address.
    #[error("an e-mail address is written as `name@example.com`, with ASCII before the @ and no quotes")]
    Email,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_readers_stumble_and_what_they_take_stays_as_it_is(text in "\\PC{0,40}|.{0,40}") {
            let _ = LoginName::parse(&text);
            if let Ok(name) = Username::parse(&text) {
                let again = Username::parse(name.as_str()).unwrap();
                prop_assert_eq!(&again, &name);
                prop_assert_eq!(&Username::from_stored(name.as_str(), name.key()).unwrap(), &name);
                let key = Username::parse(name.key()).unwrap();
                prop_assert_eq!(key.key(), name.key());
                let decomposed: String = name.as_str().nfd().collect();
                prop_assert_eq!(Username::parse(&decomposed).unwrap(), name);
            }
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(&Email::from_stored(email.as_str(), email.key()).unwrap(), &email);
                prop_assert_eq!(Email::parse(email.as_str()).unwrap(), email);
            }
        }
    }
}
