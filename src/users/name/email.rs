//! E-mail addresses: which are taken, and how they are compared.

use std::fmt;

use super::NameError;

/// [RFC 5321 §4.5.3.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1): a path of 256 with its brackets.
const EMAIL_LIMIT: usize = 254;
const LOCAL_PART_LIMIT: usize = 64;
/// Nobody types more than this: what is longer is no name, and is not worth normalising.
const TYPED_LIMIT: usize = 1024;

/// An e-mail address: shown as it was written, compared without regard to case. Only the addresses that everyone writes:
/// no quotes, comments or address literals, ASCII before the `@`.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    shown: Box<str>,
    key: Box<str>,
}

impl Email {
    /// Reads an address. The domain is shown as it is resolved (in lower case, an international one as `xn--…`), so that
    /// no domain passes for another.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > TYPED_LIMIT {
            return Err(NameError::Email);
        }
        let (local, domain) = text.split_once('@').ok_or(NameError::Email)?;
        let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atom_byte);
        if local.len() > LOCAL_PART_LIMIT || !local.split('.').all(is_atom) {
            return Err(NameError::Email);
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| NameError::Email)?;
        let last = domain.rsplit('.').next().unwrap_or_default();
        // One label is a host of this network, digits alone are an address.
        if !domain.contains('.') || last.is_empty() || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NameError::Email);
        }
        let shown = format!("{local}@{domain}");
        if shown.len() > EMAIL_LIMIT {
            return Err(NameError::Email);
        }
        Ok(Self { key: shown.to_ascii_lowercase().into(), shown: shown.into() })
    }

    /// What was stored of an address; as [`Username::from_stored`](super::Username::from_stored).
    pub fn from_stored(shown: &str, key: &str) -> Result<Self, NameError> {
        let is_address = |text: &str| text.contains('@') && text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = is_address(shown) && is_address(key) && shown.len() <= EMAIL_LIMIT;
        if fits { Ok(Self { shown: shown.into(), key: key.into() }) } else { Err(NameError::Email) }
    }

    /// As it is shown, and written to.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// As it is compared, and stored as unique.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email({:?})", self.shown)
    }
}

/// `atext` of [RFC 5322 §3.2.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3).
const fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::users::LoginName;

    #[test]
    fn an_address_keeps_its_spelling_and_is_compared_without_case() {
        let email = Email::parse("Jane.Doe+x@EXAMPLE.com").unwrap();
        assert_eq!((email.as_str(), email.key()), ("Jane.Doe+x@example.com", "jane.doe+x@example.com"));
        assert_eq!(Email::parse("a@Bücher.example").unwrap().as_str(), "a@xn--bcher-kva.example");
        assert_eq!(LoginName::parse("JANE.doe+X@example.COM"), email.login());
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b",
            "a@@example.com",
            "a b@example.com",
            "a@exa mple.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "\"a\"@example.com",
            "a(x)@example.com",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@example.com.",
            "a@-example.com",
            "a@example..com",
            "é@example.com",
            "a\0@example.com",
            "a@example.com\n",
            "a@exam\u{200b}ple.com\u{202e}",
            "<a@example.com>",
            "a,b@example.com",
            &format!("{}@example.com", "a".repeat(65)),
            &format!("a@{}.com", "a".repeat(64)),
            &format!("a@{}com", "aaaaaaaaa.".repeat(26)),
            &"a".repeat(1 << 20),
        ] {
            let short: String = text.chars().take(40).collect();
            assert_eq!(Email::parse(text), Err(NameError::Email), "{short:?}");
        }
    }
}
