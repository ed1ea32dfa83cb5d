//! Usernames: what may be one, how it is compared, and what looks like it.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection};
use uuid::Uuid;

use super::NameError;

/// The most code points of a username.
pub const USERNAME_LIMIT: usize = 64;
const USERNAME_BYTES: usize = 255;

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::users::LoginName;

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
}
