//! Makes and checks what is kept of passwords: argon2id, with a pepper where one is set.
//!
//! Guarantees: what is made has a salt of its own; a check compares in constant time, and one against nothing costs as
//! much as one against a password of the current cost; a hash says which pepper it needs, so that peppers can be
//! introduced and replaced.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cost::Argon2Cost;
use super::stored::{PepperId, Scheme, StoredPassword};
use super::{Password, imported};
use crate::ports::Entropy;
use crate::secret::sha256;

const SALT: usize = 16;
const HASH: usize = 32;
const PEPPER_ID_LABEL: &[u8] = b"signet pepper id 1\0";
const LEAST_PEPPER: usize = 32;

/// A secret that every hash needs and no database has.
#[derive(Clone)]
pub struct Pepper {
    id: PepperId,
    key: Arc<hmac::Key>,
}

/// A text that is no pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pepper has at least {LEAST_PEPPER} characters: `openssl rand -base64 32` makes one")]
pub struct PepperError;

impl Pepper {
    /// Takes a text; white space around it is passed over.
    pub fn parse(text: &str) -> Result<Self, PepperError> {
        let text = text.trim().as_bytes();
        if text.len() < LEAST_PEPPER {
            return Err(PepperError);
        }
        let labelled = Zeroizing::new([PEPPER_ID_LABEL, text].concat());
        let mut id = PepperId::default();
        id.copy_from_slice(&sha256(&labelled)[..8]);
        Ok(Self { id, key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, text)) })
    }
}

impl PartialEq for Pepper {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// The peppers at hand.
#[derive(Clone, Debug, Default)]
pub struct Peppers {
    /// What new hashes are made with; none where no pepper is used, or no longer.
    pub current: Option<Pepper>,
    /// What older hashes may need.
    pub former: Vec<Pepper>,
}

impl Peppers {
    fn find(&self, id: PepperId) -> Option<&Pepper> {
        self.current.iter().chain(&self.former).find(|pepper| pepper.id == id)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password.
    Wrong,
    /// It is, and what is kept of it is as it would be made now.
    Right,
    /// It is, and this is to be kept of it from now on.
    RightAndHashedAnew(StoredPassword),
    /// It can't be checked: the pepper that it was made with is not at hand.
    PepperMissing,
}

/// A hash could not be made: there is no memory for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct HashError(&'static str);

/// Makes and checks hashes. Each call takes tens of milliseconds: run it on the pool.
#[derive(Debug)]
pub struct Hasher {
    cost: Argon2Cost,
    peppers: Peppers,
    entropy: Arc<dyn Entropy>,
}

impl Hasher {
    /// A hasher of that cost, which [`Argon2Cost::check`] has passed.
    pub fn new(cost: Argon2Cost, peppers: Peppers, entropy: Arc<dyn Entropy>) -> Self {
        Self { cost, peppers, entropy }
    }

    /// What is to be kept of `password`.
    pub fn hash(&self, password: &Password) -> Result<StoredPassword, HashError> {
        let mut salt = [0; SALT];
        self.entropy.fill(&mut salt);
        let pepper = self.peppers.current.as_ref();
        let mut hash = Zeroizing::new([0; HASH]);
        let input = peppered(password.expose(), pepper);
        argon2_into(Algorithm::Argon2id, Version::V0x13, self.cost, (&input, &salt), hash.as_mut())?;
        Ok(StoredPassword::argon2id(self.cost, pepper.map(|pepper| pepper.id), &salt, hash.as_ref()))
    }

    /// Checks `password` against what is kept; where nothing is, the answer is [`Verdict::Wrong`] and takes as long.
    pub fn verify(&self, password: &Password, stored: Option<&StoredPassword>) -> Result<Verdict, HashError> {
        let Some(stored) = stored else {
            let mut hash = Zeroizing::new([0; HASH]);
            let input = peppered(password.expose(), self.peppers.current.as_ref());
            argon2_into(Algorithm::Argon2id, Version::V0x13, self.cost, (&input, &[0; SALT]), hash.as_mut())?;
            return Ok(Verdict::Wrong);
        };
        let (right, is_current) = match &stored.scheme {
            Scheme::Argon2 { algorithm, version, cost, pepper, salt, hash } => {
                let pepper = match pepper.map(|id| self.peppers.find(id)) {
                    Some(None) => return Ok(Verdict::PepperMissing),
                    found => found.flatten(),
                };
                let shape = (*algorithm, *version, *cost);
                let is_ours = *algorithm == Algorithm::Argon2id && *version == Version::V0x13 && hash.len() == HASH;
                let is_current = is_ours && salt.len() >= SALT && !self.cost.exceeds(*cost);
                let as_made = argon2_matches(shape, &peppered(password.expose(), pepper), salt, hash)?;
                // Another program may have hashed what was typed.
                let typed = password.typed().filter(|_| !as_made && pepper.is_none());
                let as_typed = typed.map(|typed| argon2_matches(shape, typed.as_bytes(), salt, hash)).transpose()?;
                let is_current = is_current && as_made && pepper == self.peppers.current.as_ref();
                (as_made || as_typed.unwrap_or(false), is_current)
            }
            Scheme::Bcrypt { cost, salt, hash } => {
                (password.spellings().any(|spelling| imported::bcrypt(spelling, *cost, *salt, hash)), false)
            }
            Scheme::Scrypt { log_n, r, p, salt, hash } => {
                let cost = (*log_n, *r, *p);
                (password.spellings().any(|spelling| imported::scrypt(spelling, cost, salt, hash)), false)
            }
            Scheme::Pbkdf2 { digest, rounds, salt, hash } => {
                (password.spellings().any(|spelling| imported::pbkdf2(spelling, *digest, *rounds, salt, hash)), false)
            }
        };
        Ok(match (right, is_current) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightAndHashedAnew(self.hash(password)?),
        })
    }
}

/// What argon2 gets: the password, or its code under the pepper.
fn peppered(password: &str, pepper: Option<&Pepper>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match pepper {
        None => password.as_bytes().to_vec(),
        Some(pepper) => hmac::sign(&pepper.key, password.as_bytes()).as_ref().to_vec(),
    })
}

fn argon2_matches(
    (algorithm, version, cost): (Algorithm, Version, Argon2Cost),
    input: &[u8],
    salt: &[u8],
    hash: &[u8],
) -> Result<bool, HashError> {
    let mut made = Zeroizing::new(vec![0; hash.len()]);
    argon2_into(algorithm, version, cost, (input, salt), &mut made)?;
    Ok(made.ct_eq(hash).into())
}

fn argon2_into(
    algorithm: Algorithm,
    version: Version,
    cost: Argon2Cost,
    (input, salt): (&[u8], &[u8]),
    hash: &mut [u8],
) -> Result<(), HashError> {
    let parameters = Params::new(cost.memory, cost.passes, cost.lanes, Some(hash.len()));
    let parameters = parameters.map_err(|_| HashError("its cost is out of bounds"))?;
    let done = Argon2::new(algorithm, version, parameters).hash_password_into(input, salt, hash);
    done.map_err(|_| HashError("there is no memory for it"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::SystemEntropy;
    use crate::users::password::StoredPasswordError;

    const SMALL: Argon2Cost = Argon2Cost { memory: 64, passes: 1, lanes: 1 };
    /// What other programs made of [`TYPED`].
    const FOREIGN: [&str; 8] = [
        "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e",
        "$2y$05$abcdefghijklmnopqrstuuNKTrdYIyJepeBe0WMJS4ZyMwX4aEJLK",
        "$7$C6..../....SodiumChloride$Tu43DAAVBdUKIDVkIUyYX/BGj1GteW8YRGtFMzH3v2C",
        "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BgXswDBQAwNsps4yaptIChzC47BvN3aox/CCkCkSYi0",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$4XDspDRv/7n9wuJfaGpXw8XZEL0JUuwJpcZGQDTRGhM",
        "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$lMuq/dD69/JAImt7RaDYGM25rtD5Auvr3mm9jR3Ilk4Zw1CzcJn2.q42ann7KVfa1AKnrfJ5FjPq7lcdxlv8ZQ",
        "$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$luj/dfvocExw3xl.r2xiB4MgltY",
        "pbkdf2_sha256$1000$saltsaltsalt$HpSbrkBrDWDAB9HrNXHZggikF+GO3Q6ksWrO0IeZG4M=",
    ];
    const TYPED: &str = "correct horse é";
    /// What the reference program made of "password".
    const ARGON2: [&str; 3] = [
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
    ];

    fn hasher(cost: Argon2Cost, current: Option<&str>, former: &[&str]) -> Hasher {
        let pepper = |text: &str| Pepper::parse(text).unwrap();
        let peppers = Peppers { current: current.map(pepper), former: former.iter().copied().map(pepper).collect() };
        Hasher::new(cost, peppers, Arc::new(SystemEntropy))
    }

    fn password(typed: &str) -> Password {
        Password::parse(typed).unwrap()
    }

    #[test]
    fn what_is_made_bears_its_parameters_and_a_salt_of_its_own() {
        let hasher = hasher(Argon2Cost::DEFAULT, None, &[]);
        let [one, other] = [(); 2].map(|()| hasher.hash(&password(TYPED)).unwrap());
        assert!(one.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.expose());
        assert_ne!(one, other);
        let fields: Vec<_> = one.expose().split('$').collect();
        assert_eq!((fields[4].len(), fields[5].len()), (22, 43));
        let read = StoredPassword::parse(one.expose()).unwrap();
        assert_eq!(hasher.verify(&password(TYPED), Some(&read)), Ok(Verdict::Right));
        assert_eq!(format!("{read:?}"), "StoredPassword(argon2id, ..)");
    }

    #[test]
    fn nfc_and_nfd_check_alike_and_nothing_else_does() {
        let hasher = hasher(SMALL, None, &[]);
        let stored = hasher.hash(&password("Zo\u{eb} keeps a s\u{f8}nderly p\u{e2}ss ")).unwrap();
        let is_right = |typed: &str| hasher.verify(&password(typed), Some(&stored)).unwrap() != Verdict::Wrong;
        assert!(is_right("Zoe\u{308} keeps a s\u{f8}nderly pa\u{302}ss "));
        assert!(is_right("Zo\u{eb}\u{a0}keeps a s\u{f8}nderly p\u{e2}ss "));
        for wrong in ["Zo\u{eb} keeps a s\u{f8}nderly p\u{e2}ss", "zo\u{eb} keeps a s\u{f8}nderly p\u{e2}ss ", "", "Zo"]
        {
            assert!(!is_right(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_hash_of_another_program_is_checked_and_made_anew() {
        let hasher = hasher(SMALL, None, &[]);
        let of_others = FOREIGN.into_iter().map(|text| (text, TYPED)).chain(ARGON2.map(|text| (text, "password")));
        for (text, typed) in of_others {
            let stored = StoredPassword::parse(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
            assert_eq!(hasher.verify(&password("correct horse e"), Some(&stored)), Ok(Verdict::Wrong), "{text}");
            let verdict = hasher.verify(&password(typed), Some(&stored)).unwrap();
            // That of argon2id is dearer than is asked for, but has a shorter salt.
            let Verdict::RightAndHashedAnew(anew) = verdict else { unreachable!("{text}: {verdict:?}") };
            assert_eq!(anew.kind(), "argon2id");
            assert_eq!(hasher.verify(&password(typed), Some(&anew)), Ok(Verdict::Right), "{text}");
        }
    }

    #[test]
    fn another_program_may_have_hashed_what_was_typed_as_it_was() {
        let hasher = hasher(SMALL, None, &[]);
        // Of the same text in NFD.
        let typed = "correct horse e\u{301}";
        let key = [typed.as_bytes(), &[0]].concat();
        let made = bcrypt::bcrypt(4, *b"0123456789abcdef", &key);
        let encode = |bytes: &[u8]| {
            use base64::Engine;
            let alphabet = &base64::alphabet::BCRYPT;
            let engine = base64::engine::GeneralPurpose::new(alphabet, base64::engine::general_purpose::NO_PAD);
            engine.encode(bytes)
        };
        let text = format!("$2b$04${}{}", encode(b"0123456789abcdef"), encode(&made[..23]));
        let stored = StoredPassword::parse(&text).unwrap();
        assert!(matches!(hasher.verify(&password(typed), Some(&stored)), Ok(Verdict::RightAndHashedAnew(_))));
        assert_eq!(hasher.verify(&password(TYPED), Some(&stored)), Ok(Verdict::Wrong), "typed otherwise than hashed");
    }

    #[test]
    fn bcrypt_takes_72_bytes_as_it_does_everywhere() {
        let stored = StoredPassword::parse("$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i").unwrap();
        let hasher = hasher(SMALL, None, &[]);
        for (length, right) in [(71, false), (72, true), (80, true)] {
            let verdict = hasher.verify(&password(&"x".repeat(length)), Some(&stored)).unwrap();
            assert_eq!(verdict != Verdict::Wrong, right, "{length}");
        }
    }

    #[test]
    fn a_hash_is_made_anew_when_more_is_asked_for_and_not_when_less_is() {
        let more = [Argon2Cost { passes: 2, ..SMALL }, Argon2Cost { memory: 128, ..SMALL }];
        let stored = hasher(SMALL, None, &[]).hash(&password(TYPED)).unwrap();
        for cost in more {
            let verdict = hasher(cost, None, &[]).verify(&password(TYPED), Some(&stored)).unwrap();
            let Verdict::RightAndHashedAnew(anew) = verdict else { unreachable!("{verdict:?}") };
            assert_eq!(hasher(SMALL, None, &[]).verify(&password(TYPED), Some(&anew)), Ok(Verdict::Right));
        }
    }

    #[test]
    fn a_pepper_is_introduced_replaced_and_taken_out_by_logging_in() {
        let [one, two] = ["pepper one, of at least 32 characters", "pepper two, of at least 32 characters"];
        let check = |hasher: &Hasher, stored: &StoredPassword| hasher.verify(&password(TYPED), Some(stored)).unwrap();
        let anew =
            |verdict| if let Verdict::RightAndHashedAnew(anew) = verdict { anew } else { unreachable!("{verdict:?}") };
        let plain = hasher(SMALL, None, &[]).hash(&password(TYPED)).unwrap();
        let peppered = anew(check(&hasher(SMALL, Some(one), &[]), &plain));
        assert!(peppered.expose().contains(",keyid="));
        assert_eq!(StoredPassword::parse(peppered.expose()).unwrap(), peppered);
        assert_eq!(check(&hasher(SMALL, Some(one), &[]), &peppered), Verdict::Right);
        assert_eq!(check(&hasher(SMALL, None, &[]), &peppered), Verdict::PepperMissing);
        assert_eq!(check(&hasher(SMALL, Some(two), &[]), &peppered), Verdict::PepperMissing);
        let replaced = anew(check(&hasher(SMALL, Some(two), &[one]), &peppered));
        assert_eq!(check(&hasher(SMALL, Some(two), &[]), &replaced), Verdict::Right);
        let without = anew(check(&hasher(SMALL, None, &[two]), &replaced));
        assert_eq!(check(&hasher(SMALL, None, &[]), &without), Verdict::Right);
        // It does what it is for: who does not have it finds no password, however the row is edited.
        let (head, tail) = peppered.expose().split_once(",keyid=").unwrap();
        let stripped = format!("{head}${}", tail.split_once('$').unwrap().1);
        assert_eq!(check(&hasher(SMALL, None, &[]), &StoredPassword::parse(&stripped).unwrap()), Verdict::Wrong);
        assert_eq!(Pepper::parse("too short").map(drop), Err(PepperError));
    }

    #[test]
    fn a_check_against_nothing_takes_as_long_as_one_against_a_wrong_password() {
        let hasher = hasher(Argon2Cost { memory: 8 * 1024, ..Argon2Cost::DEFAULT }, None, &[]);
        let stored = hasher.hash(&password(TYPED)).unwrap();
        let median = |stored: Option<&StoredPassword>| {
            let mut times: Vec<_> = (0..15)
                .map(|_| {
                    let begun = crate::ports::Stopwatch::start();
                    assert_eq!(hasher.verify(&password("wrong"), stored), Ok(Verdict::Wrong));
                    begun.elapsed()
                })
                .collect();
            times.sort();
            times[times.len() / 2]
        };
        let (unknown, wrong) = (median(None), median(Some(&stored)));
        let ratio = unknown.as_secs_f64() / wrong.as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "unknown {unknown:?}, wrong {wrong:?}");
    }

    #[test]
    fn what_would_cost_too_much_or_proves_nothing_is_not_taken() {
        use StoredPasswordError::*;
        let hash = "MDEyMzQ1Njc4OWFiY2RlZg";
        for (text, refusal) in [
            (format!("$argon2id$v=19$m=1048576,t=2,p=1${hash}${hash}"), "dear"),
            (format!("$argon2id$v=19$m=65536,t=4000000000,p=1${hash}${hash}"), "dear"),
            (format!("$argon2id$v=19$m=4294967295,t=1,p=1${hash}${hash}"), "dear"),
            (format!("$argon2id$v=19$m=65536,t=1,p=17${hash}${hash}"), "dear"),
            (format!("$argon2id$v=19$m=65536,t=0,p=1${hash}${hash}"), "dear"),
            (format!("$argon2id$v=19$m=64,t=1,p=1${hash}$"), "length"),
            (format!("$argon2id$v=19$m=64,t=1,p=1${hash}$AAAA"), "length"),
            (format!("$argon2id$v=19$m=64,t=1,p=1$AAAA${hash}"), "length"),
            (format!("$argon2id$v=19$m=64,t=1,p=1,data=AAAA${hash}${hash}"), "damaged"),
            (format!("$argon2id$v=19$m=064,t=1,p=1${hash}${hash}"), "damaged"),
            (format!("$argon2id$v=19$m=+64,t=1,p=1${hash}${hash}"), "damaged"),
            (format!("$argon2id$v=19$t=1,m=64,p=1${hash}${hash}"), "damaged"),
            (format!("$argon2id$v=20$m=64,t=1,p=1${hash}${hash}"), "damaged"),
            (format!("$argon2id$v=19$m=64,t=1,p=1${hash}${hash}$x"), "damaged"),
            (FOREIGN[0].replace("$04$", "$15$"), "dear"),
            (FOREIGN[0].replace("$04$", "$31$"), "dear"),
            (FOREIGN[0].replace("$04$", "$03$"), "damaged"),
            (FOREIGN[0].replace("$04$", "$4$"), "damaged"),
            (FOREIGN[0].replace("$2b$", "$2x$"), "faulty"),
            (FOREIGN[0][..59].to_owned(), "damaged"),
            (FOREIGN[3].replace("ln=10", "ln=20"), "dear"),
            (FOREIGN[3].replace("ln=10", "ln=63"), "damaged"),
            (FOREIGN[3].replace("r=8", "r=4294967295"), "dear"),
            (FOREIGN[3].replace("p=1", "p=1000"), "dear"),
            (FOREIGN[3].replace("r=8", "r=0"), "damaged"),
            (FOREIGN[2].replace("$C6", "$zz"), "damaged"),
            (FOREIGN[4].replace("i=1000", "i=4000000000"), "dear"),
            (FOREIGN[4].replace("i=1000", "i=0"), "damaged"),
            (FOREIGN[4].replace("l=32", "l=31"), "damaged"),
            ("pbkdf2_sha256$1000$salt$".to_owned(), "length"),
            (String::new(), "unknown"),
            ("plain text".to_owned(), "unknown"),
            ("5f4dcc3b5aa765d61d8327deb882cf99".to_owned(), "unknown"),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0".to_owned(), "unknown"),
            ("$6$saltsalt$abc".to_owned(), "unknown"),
            (format!("$argon2id${}", "x".repeat(1 << 20)), "unknown"),
            ("$2b$04$é".to_owned(), "unknown"),
        ] {
            let refused = match StoredPassword::parse(&text).map(drop) {
                Ok(()) => "taken",
                Err(Unknown) => "unknown",
                Err(Damaged(_)) => "damaged",
                Err(TooDear(..)) => "dear",
                Err(Length(_)) => "length",
                Err(Faulty) => "faulty",
            };
            assert_eq!(refused, refusal, "{}", &text.chars().take(80).collect::<String>());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_stumble(text in "\\PC*|\\$(argon2id|2b|7|scrypt|pbkdf2-sha256)\\$[ -~]{0,80}", cut in 0_usize..100, which in 0_usize..8) {
            let _ = StoredPassword::parse(&text);
            let known = FOREIGN[which];
            let _ = StoredPassword::parse(&known[..cut.min(known.len())]);
        }
    }
}
