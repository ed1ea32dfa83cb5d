//! What a resource asks for of the people whom its tokens speak for.
//!
//! Guarantees: only what is listed here can be asked for, so a token never tells more of somebody than its resource asked;
//! no name of an attribute becomes the name of a claim, so none can pass for a claim that verifiers go by.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

const ROLES: &str = "roles";
const USERNAME: &str = "username";
const EMAIL: &str = "email";
const ATTRIBUTE: &str = "attributes.";

/// The longest name of an attribute, in bytes.
const MAX_NAME: usize = 64;
const MAX_CLAIMS: usize = 32;

/// One thing that can be asked for of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonClaim {
    /// What the person may do: the claim `roles`, an array of strings
    /// ([RFC 9068 §2.2.3.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1)).
    Roles,
    /// What the person is called: the claim `preferred_username`
    /// ([OpenID Connect Core §5.1](https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims)).
    Username,
    /// Where the person gets mail, as far as it is known: the claim `email`. Nobody has proved that it is theirs.
    Email,
    /// The attribute of that name: a member of the claim `attributes`, which is an object.
    Attribute(Box<str>),
}

impl PersonClaim {
    /// Reads `roles`, `username`, `email` or `attributes.<name>`.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        match text {
            ROLES => Ok(Self::Roles),
            USERNAME => Ok(Self::Username),
            EMAIL => Ok(Self::Email),
            _ => match text.strip_prefix(ATTRIBUTE) {
                Some(name) if is_attribute_name(name) => Ok(Self::Attribute(name.into())),
                _ => Err(ClaimError::Unknown(text.chars().take(MAX_NAME).flat_map(char::escape_debug).collect())),
            },
        }
    }

    /// As it is read.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Roles => ROLES.into(),
            Self::Username => USERNAME.into(),
            Self::Email => EMAIL.into(),
            Self::Attribute(name) => format!("{ATTRIBUTE}{name}").into(),
        }
    }
}

impl fmt::Display for PersonClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_text())
    }
}

/// Whether an attribute can be called so: 1 to 64 of `A-Z a-z 0-9 - . _ : /`.
pub fn is_attribute_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte))
}

/// Everything that a resource asks for, each thing once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PersonClaims(BTreeSet<PersonClaim>);

impl PersonClaims {
    /// Takes a list of claims that may repeat each other.
    ///
    /// # Errors
    /// When one of them can't be asked for, or there are too many.
    pub fn of<'a>(claims: impl IntoIterator<Item = &'a str>) -> Result<Self, ClaimError> {
        let claims = claims.into_iter().map(PersonClaim::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if claims.len() > MAX_CLAIMS { Err(ClaimError::TooMany) } else { Ok(Self(claims)) }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Roles, username, e-mail address, then attributes by name.
    pub fn iter(&self) -> impl Iterator<Item = &PersonClaim> {
        self.0.iter()
    }

    /// The names of the attributes that are asked for, in ascending order.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|claim| match claim {
            PersonClaim::Attribute(name) => Some(&**name),
            PersonClaim::Roles | PersonClaim::Username | PersonClaim::Email => None,
        })
    }

    /// Each as it is read.
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

/// What can't be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not a thing that there is.
    #[error("`{0}` can't be asked for: one of roles, username, email, or attributes. and the name of an attribute")]
    Unknown(String),
    /// More than a token has room for.
    #[error("a resource asks for at most {MAX_CLAIMS} things of a person")]
    TooMany,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claims_are_kept_once_each_in_one_order_and_read_back_as_themselves() {
        let asked = ["attributes.b", "email", "roles", "attributes.a/1", "username", "roles"];
        let claims = PersonClaims::of(asked).unwrap();
        assert_eq!(claims.texts(), ["roles", "username", "email", "attributes.a/1", "attributes.b"]);
        assert_eq!(claims.attributes().collect::<Vec<_>>(), ["a/1", "b"]);
        let texts = claims.texts();
        assert_eq!(PersonClaims::of(texts.iter().map(String::as_str)).unwrap(), claims);
        assert!(PersonClaims::of([]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_claim_of_people_is_refused_and_told_in_printable_words() {
        let long = format!("attributes.{}", "a".repeat(65));
        for wrong in
            ["", "sub", "Roles", "role", "password", "attributes", "attributes.", "attributes.a b", "a\u{1b}[2J", &long]
        {
            let error = PersonClaims::of([wrong]).unwrap_err();
            assert!(matches!(&error, ClaimError::Unknown(_)), "{wrong}");
            assert!(!error.to_string().contains(char::is_control));
        }
        let many: Vec<_> = (0..33).map(|n| format!("attributes.a{n}")).collect();
        assert_eq!(PersonClaims::of(many.iter().map(String::as_str)), Err(ClaimError::TooMany));
        assert!(PersonClaims::of(many[1..].iter().map(String::as_str)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_as_it_was(text in "(roles|username|email|attributes\\.)?[ -~]{0,70}") {
            if let Ok(claim) = PersonClaim::parse(&text) {
                prop_assert_eq!(claim.as_text(), text);
            }
        }
    }
}
