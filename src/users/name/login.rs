//! What somebody types as their name, read as whichever name it is.

use std::fmt;

use super::{Email, Username};
use crate::secret::sha256;

/// A label of the keys of [`LoginName::digest`].
const DIGEST_LABEL: &[u8] = b"signet login name 1\0";

/// By what someone logs in: the compared form of a username or an e-mail address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LoginName {
    /// The key of a [`Username`].
    Username(Box<str>),
    /// The key of an [`Email`].
    Email(Box<str>),
    /// What was typed is neither: nobody is called so. Its SHA-256, so that attempts at it can be counted.
    Nobody([u8; 32]),
}

impl LoginName {
    /// Reads what someone typed as their name.
    pub fn parse(typed: &str) -> Self {
        let known = if typed.contains('@') {
            Email::parse(typed).ok().map(|email| email.login())
        } else {
            Username::parse(typed).ok().map(|name| name.login())
        };
        known.unwrap_or_else(|| Self::Nobody(sha256(typed.as_bytes())))
    }

    /// A digest under which attempts are counted, whether or not anybody is called so.
    pub fn digest(&self) -> [u8; 32] {
        let (kind, name): (u8, &[u8]) = match self {
            Self::Username(key) => (b'u', key.as_bytes()),
            Self::Email(key) => (b'e', key.as_bytes()),
            Self::Nobody(digest) => (b'n', digest),
        };
        sha256(&[DIGEST_LABEL, &[kind], name].concat())
    }
}

/// Without the name: what was typed into the field of a name may have been a password.
impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username(_) => "LoginName::Username(..)",
            Self::Email(_) => "LoginName::Email(..)",
            Self::Nobody(_) => "LoginName::Nobody(..)",
        })
    }
}

impl Username {
    /// As someone logs in by it.
    pub fn login(&self) -> LoginName {
        LoginName::Username(self.key().into())
    }
}

impl Email {
    /// As someone logs in by it.
    pub fn login(&self) -> LoginName {
        LoginName::Email(self.key().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_counted_without_being_kept() {
        let typed = "correct horse battery staple";
        let name = LoginName::parse(typed);
        assert!(matches!(name, LoginName::Nobody(_)));
        assert!(!format!("{name:?}").contains("horse"));
        assert_ne!(name.digest(), LoginName::parse("correct horse").digest());
        let digests = ["ann", "ann@example.com", "ann "].map(|typed| LoginName::parse(typed).digest());
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    }
}
