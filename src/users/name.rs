//! What people are called: usernames and e-mail addresses, as shown and as compared.
//!
//! Guarantees: a [`Username`] or an [`Email`] exists only in a form that can be shown; spellings that differ in case,
//! width or normalisation have one [`LoginName`]; usernames that look alike share an entry of [`Username::looks`], so
//! that whoever stores those as unique never lets two accounts pass for one. A username never has an `@` and an e-mail
//! address always has one, so no text names two accounts.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection};
use uuid::Uuid;

use crate::secret::sha256;

/// The most code points of a username.
pub const USERNAME_LIMIT: usize = 64;
const USERNAME_BYTES: usize = 255;
/// [RFC 5321 §4.5.3.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1): a path of 256 with its brackets.
const EMAIL_LIMIT: usize = 254;
const LOCAL_PART_LIMIT: usize = 64;
/// Nobody types more than this: what is longer is no name, and is not worth normalising.
const TYPED_LIMIT: usize = 1024;
/// A label of the keys of [`LoginName::digest`].
const DIGEST_LABEL: &[u8] = b"signet login name 1\0";

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

/// The name of an account: shown as it was chosen (in NFC), compared without regard to case, width and normalisation.
///
/// It is a `UserPart` of the profile UsernameCaseMapped
/// ([RFC 8265 §3.3](https://www.rfc-editor.org/rfc/rfc8265#section-3.3)), narrowed to what
/// [UTS #39](https://www.unicode.org/reports/tr39/) allows in identifiers, at most at its level "highly restrictive".
#[derive(Clone, PartialEq, Eq)]
pub struct Username {
    shown: Box<str>,
    key: Box<str>,
}

impl Username {
    /// Reads a username that someone chose.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > USERNAME_BYTES {
            return Err(NameError::UsernameLength);
        }
        let shown: String = text.nfc().collect();
        if !(1..=USERNAME_LIMIT).contains(&shown.chars().count()) {
            return Err(NameError::UsernameLength);
        }
        let fits = |sign: char| if sign.is_ascii() { is_plain(sign) } else { !sign.is_control() };
        if !shown.chars().all(fits) || !is_outer(shown.chars().next()) || !is_outer(shown.chars().next_back()) {
            return Err(NameError::UsernameCharacter);
        }
        if Uuid::try_parse(&shown).is_ok() {
            return Err(NameError::UsernameIsId);
        }
        let key = username_key(&shown)?;
        // Of what is shown, too: a wide letter is no other letter for all that it is compared as the plain one.
        for form in [shown.as_str(), &key] {
            match form.detect_restriction_level() {
                RestrictionLevel::ASCIIOnly | RestrictionLevel::SingleScript | RestrictionLevel::HighlyRestrictive => {}
                RestrictionLevel::Unrestricted => return Err(NameError::UsernameCharacter),
                _ => return Err(NameError::UsernameScripts),
            }
        }
        Ok(Self { shown: shown.into(), key: key.into() })
    }

    /// What was stored of a username. It is not judged again, so that reading an account takes no longer than asking for
    /// one that is not there, and so that what a newer Unicode knows better takes nobody's name away.
    pub fn from_stored(shown: &str, key: &str) -> Result<Self, NameError> {
        let is_name = |text: &str| !text.is_empty() && !text.contains(|sign: char| sign.is_control() || sign == '@');
        let fits = is_name(shown) && is_name(key) && shown.len() <= USERNAME_BYTES;
        if fits { Ok(Self { shown: shown.into(), key: key.into() }) } else { Err(NameError::UsernameCharacter) }
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// As it is compared, and stored as unique.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it may be seen, as shown and in lower case: skeletons
    /// ([UTS #39 §4](https://www.unicode.org/reports/tr39/#Confusable_Detection)) without regard to case, ascending, each
    /// once. Two usernames with a common one look alike.
    pub fn looks(&self) -> Vec<String> {
        // A skeleton has characters of either case: that of `I` is that of `l`.
        let look = |text: &str| {
            let lower = skeleton(text).collect::<String>().to_lowercase();
            skeleton(&lower).collect::<String>()
        };
        let mut looks = vec![look(&self.shown), look(&self.key)];
        looks.sort_unstable();
        looks.dedup();
        looks
    }

    /// As someone logs in by it.
    pub fn login(&self) -> LoginName {
        LoginName::Username(self.key.clone())
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({:?})", self.shown)
    }
}

/// The ASCII characters of usernames.
const fn is_plain(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '.' | '_' | '-')
}

/// Whether a username may begin or end with it: a `-` in front would be an option on a command line, a dot behind the end
/// of a sentence.
fn is_outer(sign: Option<char>) -> bool {
    sign.is_some_and(|sign| !matches!(sign, '.' | '-'))
}

/// The form that is compared: in lower case as upper case would have it, so that ß is ss and each σ is one, and then as
/// the profile has it. Applied until it stays, as [RFC 8264 §7](https://www.rfc-editor.org/rfc/rfc8264#section-7) asks.
fn username_key(text: &str) -> Result<String, NameError> {
    use precis_profiles::precis_core::Error;
    let profile = UsernameCaseMapped::new();
    let mut key = text.to_owned();
    for _ in 0..4 {
        // By character, for whose case no other counts.
        let folded: String = key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect();
        let next = match profile.enforce(folded) {
            Ok(next) => next.into_owned(),
            Err(Error::Invalid) => return Err(NameError::UsernameDirection),
            Err(_) => return Err(NameError::UsernameCharacter),
        };
        if next == key {
            return Ok(key);
        }
        key = next;
    }
    Err(NameError::UsernameCharacter)
}

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

    /// What was stored of an address; as [`Username::from_stored`].
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

    /// As someone logs in by it.
    pub fn login(&self) -> LoginName {
        LoginName::Email(self.key.clone())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|text| Username::parse(text).unwrap().looks());
        one.iter().any(|look| other.contains(look))
    }

    #[test]
    fn a_username_is_shown_as_chosen_and_compared_without_case_width_and_normalisation() {
        let name = Username::parse("Zo\u{65}\u{308}.Müller-3").unwrap();
        assert_eq!(name.as_str(), "Zoë.Müller-3");
        for other in ["zoë.müller-3", "ZOË.MÜLLER-3", "zoe\u{308}.mu\u{308}ller-3"] {
            assert_eq!(Username::parse(other).unwrap().key(), name.key(), "{other}");
            assert_eq!(LoginName::parse(other), name.login());
        }
        for (one, other) in
            [("ΣΊΣΥΦΟΣ", "σίσυφος"), ("STRASSE", "straße"), ("DİLEK", "di\u{307}lek"), ("ΜΑΪΟΣ", "μαϊος")]
        {
            let [one, other] = [one, other].map(|text| Username::parse(text).map(|name| name.key().to_owned()));
            assert!(one.is_ok());
            assert_eq!(one, other);
        }
    }

    #[test]
    fn what_could_deceive_is_no_username() {
        use NameError::*;
        for (text, refusal) in [
            ("", UsernameLength),
            (&*"a".repeat(65), UsernameLength),
            (&*"a".repeat(1 << 20), UsernameLength),
            ("a b", UsernameCharacter),
            ("a\u{a0}b", UsernameCharacter),
            ("a\0b", UsernameCharacter),
            ("a\nb", UsernameCharacter),
            ("\u{feff}ab", UsernameCharacter),
            ("a\u{200b}b", UsernameCharacter),
            ("a\u{202e}b", UsernameCharacter),
            ("a\u{2066}b", UsernameCharacter),
            ("a\u{ad}b", UsernameCharacter),
            ("a\u{fe0f}", UsernameCharacter),
            ("a\u{e0061}", UsernameCharacter),
            ("😀", UsernameCharacter),
            ("a@b", UsernameCharacter),
            ("a:b", UsernameCharacter),
            ("a/b", UsernameCharacter),
            ("-rf", UsernameCharacter),
            (".", UsernameCharacter),
            ("..", UsernameCharacter),
            ("ａdmin", UsernameCharacter),
            ("pаypal", UsernameScripts),
            ("αdmin", UsernameScripts),
            ("אa", UsernameDirection),
            ("0192b3a4-5c6d-7e8f-9a0b-1c2d3e4f5a6b", UsernameIsId),
            ("0192b3a45c6d7e8f9a0b1c2d3e4f5a6b", UsernameIsId),
        ] {
            let short: String = text.chars().take(40).collect();
            assert_eq!(Username::parse(text), Err(refusal), "{short:?}");
        }
        for fine in ["a", "_", "user_1", "o.brien-2", "José", "山田太郎", "やまだ太郎", "מרים", "Пётр", "김철수", "राम"]
        {
            assert!(Username::parse(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn names_that_look_alike_share_a_skeleton_and_others_do_not() {
        for (one, other) in [
            ("paypal", "раураl".replace('l', "ӏ").as_str()),
            ("COCA", "СОСА"),
            ("paul1", "paull"),
            ("Ivan", "lvan"),
            ("Zoe.Ivan", "zoe.1van"),
            ("room0", "roomO"),
            ("modern", "modem"),
            ("José", "Jose\u{301}"),
        ] {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [("ali", "all"), ("ivan", "lvan"), ("jose", "josé"), ("a.b", "ab"), ("anna", "hanna")] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }

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
