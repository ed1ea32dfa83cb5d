//! Which passwords may be chosen.
//!
//! Guarantees, of [NIST SP 800-63B-4 §3.1.1.2](https://pages.nist.gov/800-63-4/sp800-63b.html): a least length, and no
//! rule of composition; what is common, expected or built from the account's own names is refused, and the refusal says
//! why and what would help. Nothing of the password is in what it says. Only choosing is judged, never logging in.

use unicode_normalization::char::is_public_assigned;

use super::Password;
use super::phrases::is_well_known;

/// The least that may be set: with fewer characters, what is refused is a matter of luck.
pub const SHORTEST_MIN_LENGTH: usize = 8;
/// [NIST SP 800-63B-4](https://pages.nist.gov/800-63-4/sp800-63b.html): for a password that is the only factor.
pub const DEFAULT_MIN_LENGTH: usize = 15;

/// In fewer guesses than this, as a power of ten, an attacker who knows what is common gets at a password that is refused:
/// one common thing with a number and a sign behind it takes a hundred million.
const LEAST_GUESSES: f64 = 9.0;
/// For one that is shorter than [`DEFAULT_MIN_LENGTH`], which is taken only where it is not the only factor: eight characters
/// at random are a hundred million.
const LEAST_GUESSES_OF_SHORT: f64 = 7.0;
/// So much of a password is to be left without the account's own names.
const LEAST_OWN: usize = 8;
/// A shorter part of a name is in too many words.
const LEAST_WORD: usize = 4;

/// Why a password may not be chosen. The texts are for whoever chose it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// Too short.
    #[error("a password has at least {least} characters, and this one has {length}")]
    TooShort {
        /// How many it needs.
        least: usize,
        /// How many it has.
        length: usize,
    },
    /// It has a character that not every keyboard and program treats alike.
    #[error("a password has no control characters, and none that Unicode does not know")]
    Character,
    /// Common, or easily guessed.
    #[error("this password is easy to guess{}", told(.hints))]
    Guessable {
        /// What is wrong, and what would help: sentences.
        hints: Vec<String>,
    },
    /// Built from what everybody knows of the account.
    #[error("this password is built from the account's own names{}", told(.hints))]
    Personal {
        /// What would help: sentences.
        hints: Vec<String>,
    },
}

impl PasswordRefused {
    /// Every reason, in short.
    pub const REASONS: [&str; 4] = ["too_short", "character", "guessable", "personal"];

    /// The reason in short, one of [`Self::REASONS`].
    pub const fn reason(&self) -> &'static str {
        let [too_short, character, guessable, personal] = Self::REASONS;
        match self {
            Self::TooShort { .. } => too_short,
            Self::Character => character,
            Self::Guessable { .. } => guessable,
            Self::Personal { .. } => personal,
        }
    }

    /// What would help: sentences for whoever chooses.
    pub fn hints(&self) -> &[String] {
        match self {
            Self::Guessable { hints } | Self::Personal { hints } => hints,
            Self::TooShort { .. } | Self::Character => &[],
        }
    }
}

fn told(hints: &[String]) -> String {
    if hints.is_empty() { String::new() } else { format!(": {}", hints.join(" ")) }
}

/// The rules.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    min_length: usize,
    /// Of the service: words that nobody builds a password from.
    context: Vec<String>,
}

impl PasswordPolicy {
    /// Passwords of at least `min_length` characters (never fewer than [`SHORTEST_MIN_LENGTH`]), for a service that is
    /// called by the words `context`.
    pub fn new(min_length: usize, context: impl IntoIterator<Item = String>) -> Self {
        let context = context.into_iter().map(|word| word.to_lowercase()).filter(|word| is_telling(word)).collect();
        Self { min_length: min_length.max(SHORTEST_MIN_LENGTH), context }
    }

    /// The fewest characters.
    pub const fn min_length(&self) -> usize {
        self.min_length
    }

    /// Whether `password` is long enough, and readable by every program. Takes no time.
    pub fn check_shape(&self, password: &Password) -> Result<(), PasswordRefused> {
        let length = password.length();
        if length < self.min_length {
            return Err(PasswordRefused::TooShort { least: self.min_length, length });
        }
        // A text without unassigned code points stays in its normal form in every version of Unicode.
        let fits = |sign: char| !sign.is_control() && is_public_assigned(sign);
        if password.expose().chars().all(fits) { Ok(()) } else { Err(PasswordRefused::Character) }
    }

    /// Whether `password` may be that of an account with these names, in lower case. Takes milliseconds: run it on the
    /// pool.
    pub fn check(&self, password: &Password, names: &[String]) -> Result<(), PasswordRefused> {
        self.check_shape(password)?;
        let mut words = self.context.clone();
        words.extend(words_of(names));
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let judged = zxcvbn::zxcvbn(password.expose(), &inputs);
        let is_personal = own_part(password.expose(), &words) < LEAST_OWN;
        let is_short = password.length() < DEFAULT_MIN_LENGTH;
        let least = if is_short { LEAST_GUESSES_OF_SHORT } else { LEAST_GUESSES };
        let is_known = is_well_known(password.expose());
        if judged.guesses_log10() >= least && !is_personal && !is_known {
            return Ok(());
        }
        let mut hints = Vec::new();
        if is_known {
            hints.push("This is a phrase that everybody knows.".to_owned());
        }
        if let Some(feedback) = judged.feedback() {
            hints.extend(feedback.warning().map(|warning| warning.to_string()));
            hints.extend(feedback.suggestions().iter().map(ToString::to_string));
        }
        if hints.is_empty() || is_known {
            hints.push("Use several words that do not belong together.".to_owned());
        }
        Err(if is_personal { PasswordRefused::Personal { hints } } else { PasswordRefused::Guessable { hints } })
    }
}

/// How many characters of `password` are left without `words`.
fn own_part(password: &str, words: &[String]) -> usize {
    // The longest first: they hold others.
    let mut words: Vec<&String> = words.iter().collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    let own = words.iter().fold(password.to_lowercase(), |rest, word| rest.replace(word.as_str(), ""));
    own.chars().count()
}

/// The names, and what they are made of.
fn words_of(names: &[String]) -> impl Iterator<Item = String> + '_ {
    let part = |name: &'_ String| name.split(['.', '_', '-', '+', '@']).map(str::to_owned).collect::<Vec<_>>();
    let local = names.iter().filter_map(|name| name.split_once('@')).map(|(local, _)| local.to_owned());
    let all = names.iter().cloned().chain(local).chain(names.iter().flat_map(part));
    all.filter(|word| is_telling(word))
}

fn is_telling(word: &str) -> bool {
    word.chars().count() >= LEAST_WORD
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(least: usize, typed: &str) -> Result<(), PasswordRefused> {
        let names = ["annthornton", "ann.thornton@bookshop.example"].map(str::to_owned);
        PasswordPolicy::new(least, ["signet-login".to_owned()]).check(&Password::parse(typed).unwrap(), &names)
    }

    #[test]
    fn the_fewest_characters_are_as_set_and_never_below_eight() {
        let long = "vT9 mossy kettle orbit";
        let cut = |length| long.chars().take(length).collect::<String>();
        assert_eq!(check(15, &cut(14)), Err(PasswordRefused::TooShort { least: 15, length: 14 }));
        assert_eq!(check(15, &cut(15)), Ok(()));
        assert_eq!(check(3, "kQ7!xZ."), Err(PasswordRefused::TooShort { least: 8, length: 7 }));
        assert_eq!(check(8, "kQ7!xZ.p"), Ok(()));
        // Fifteen code points, whatever they are written with.
        assert_eq!(check(15, "Größe Äpfel über 😀"), Ok(()));
        let decomposed = "e\u{301}".repeat(14);
        assert!(matches!(check(15, &decomposed), Err(PasswordRefused::TooShort { length: 14, .. })));
    }

    #[test]
    fn there_is_no_rule_of_composition_and_long_ones_are_welcome() {
        for fine in [
            "mossy kettle orbit plank",
            "8471 0938 2214 6650",
            "всегда один и тот же чайник",
            "庭の三毛猫は毎朝六時に起きて散歩する",
            " leading and trailing spaces ",
            &"unrelated words ".repeat(4),
            &"a long tale of a fox and thirty two geese, told by the river; ".repeat(4)[..200],
        ] {
            assert_eq!(check(15, fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn what_everybody_tries_is_refused_with_reasons_and_hints() {
        for common in [
            "passwordpassword",
            "Password12345678",
            "P@ssw0rdP@ssw0rd",
            "123456789012345",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "qwertyuiopasdfghjkl",
            "iloveyouiloveyou",
            "abcdefghijklmnopqrstuvwxyz",
            "Password123456!",
            "Summer2026Summer2026",
            "correct horse battery staple",
            "correcthorsebatterystaple",
            "thequickbrownfox",
            "iloveyousomuch1",
            "maythe4thbewithyou",
            "!QAZ@WSX#EDC$RFV",
            "to be or not to be",
        ] {
            let refused = check(15, common).unwrap_err();
            assert_eq!(refused.reason(), "guessable", "{common}");
            assert!(!refused.hints().is_empty(), "{common}");
            assert!(!refused.to_string().contains(common));
        }
    }

    #[test]
    fn what_is_built_from_the_names_of_account_and_service_is_refused() {
        for personal in
            ["annthorntonannthornton", "AnnThornton2026!", "bookshop.example", "signet-login2026", "thornton-thornton"]
        {
            let refused = check(15, personal).unwrap_err();
            assert_eq!(refused.reason(), "personal", "{personal}: {refused}");
        }
    }

    #[test]
    fn judging_takes_bounded_time_whatever_it_is_given() {
        let long = |pattern: &str| pattern.repeat(1024 / pattern.len());
        for typed in [
            long("a"),
            long("1"),
            long("4@8({[<369!1|70$5+%2z"),
            long("p@55w0rd1|l!7"),
            long("abcabd"),
            long("1.1.2011"),
            long("qwertzuiop0987654321"),
            (0..256_u32).filter_map(|at| char::from_u32(0x4e00 + at * 7)).collect(),
        ] {
            // The quickest of three: other programs take their time too.
            let took = (0..3).map(|_| {
                let begun = crate::ports::Stopwatch::start();
                let _ = check(15, &typed);
                begun.elapsed()
            });
            let took = took.min().unwrap();
            assert!(
                took < std::time::Duration::from_secs(2),
                "{took:?} for {}",
                &typed.chars().take(20).collect::<String>()
            );
        }
    }

    #[test]
    fn what_could_be_typed_otherwise_elsewhere_is_refused() {
        for wrong in [
            "mossy kettle\torbit plank",
            "mossy kettle\u{7}orbit plank",
            "mossy kettle orbit plank\u{378}",
            "mossy kettle orbit\u{e000}",
        ] {
            assert_eq!(check(15, wrong), Err(PasswordRefused::Character), "{wrong:?}");
        }
    }
}
