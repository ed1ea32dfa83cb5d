//! What is kept of a password: one text, in the forms that Signet writes and those that it takes over.
//!
//! Guarantees: a text that is read can be checked within bounded time and memory, whatever row it came from; only its
//! last part could make a wrong password pass, and that has at least 128 bits.
//!
//! Written: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`, with `,keyid=…` behind `p` where a pepper was used
//! ([PHC string format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md)). Read besides: argon2i and
//! argon2d, bcrypt (`$2a$`, `$2b$`, `$2y$`), scrypt (`$scrypt$ln=…` and `$7$`), PBKDF2 (`$pbkdf2-sha256$i=…`, passlib's
//! `$pbkdf2-sha256$29000$…`, Django's `pbkdf2_sha256$…`).

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine;
use base64::alphabet::{BCRYPT, CRYPT};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD, STANDARD_NO_PAD};

use super::cost::Argon2Cost;

/// The longest text that is read.
pub const STORED_LIMIT: usize = 512;
const LEAST_HASH: usize = 16;
const MOST_HASH: usize = 64;
const MOST_SALT: usize = 64;

/// bcrypt takes twice as long with each step; this one takes about a second.
const MOST_BCRYPT_COST: u32 = 14;
const MOST_PBKDF2_ROUNDS: u32 = 2_000_000;
/// In bytes: 128 N r.
const MOST_SCRYPT_MEMORY: u64 = 128 * 1024 * 1024;
const MOST_SCRYPT_LANES: u32 = 4;

/// Why a text is none that a password can be checked against. No message repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoredPasswordError {
    /// Of no known form.
    #[error("it is none of argon2, bcrypt, scrypt and PBKDF2 in a form that Signet knows")]
    Unknown,
    /// Of a known form, but malformed.
    #[error("it is a damaged {0} hash")]
    Damaged(&'static str),
    /// Checking it would take too long or too much memory.
    #[error("to check this {0} hash would cost too much: {1}")]
    TooDear(&'static str, &'static str),
    /// Its result or salt has an unusual length.
    #[error("this {0} hash has a result or salt of a length that is not taken")]
    Length(&'static str),
    /// `$2x$`: made by a program with a fault.
    #[error("hashes that begin with $2x$ were made by a faulty program, and are not taken")]
    Faulty,
}

/// Names a pepper and tells nothing of it.
pub(super) type PepperId = [u8; 8];

/// With which hash function PBKDF2 works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pbkdf2Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// How the check goes.
#[derive(Clone)]
pub(super) enum Scheme {
    Argon2 {
        algorithm: argon2::Algorithm,
        version: argon2::Version,
        cost: Argon2Cost,
        pepper: Option<PepperId>,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        hash: Vec<u8>,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Pbkdf2 {
        digest: Pbkdf2Digest,
        rounds: NonZeroU32,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

/// What a password is checked against.
#[derive(Clone)]
pub struct StoredPassword {
    text: Box<str>,
    pub(super) scheme: Scheme,
}

impl StoredPassword {
    /// Reads a text that is or was kept somewhere.
    pub fn parse(text: &str) -> Result<Self, StoredPasswordError> {
        if text.len() > STORED_LIMIT || !text.is_ascii() {
            return Err(StoredPasswordError::Unknown);
        }
        let fields: Vec<&str> = text.split('$').collect();
        let scheme = match fields.as_slice() {
            ["", name @ ("argon2id" | "argon2i" | "argon2d"), rest @ ..] => argon2(name, rest)?,
            ["", version @ ("2a" | "2b" | "2y"), cost, rest] if version.len() == 2 => bcrypt(cost, rest)?,
            ["", "2x", ..] => return Err(StoredPasswordError::Faulty),
            ["", "scrypt", parameters, salt, hash] => scrypt(parameters, salt, hash)?,
            ["", "7", setting, hash] => scrypt_crypt(setting, hash)?,
            ["", name, parameters, salt, hash] => pbkdf2(name, parameters, salt, hash)?,
            [name @ ("pbkdf2_sha256" | "pbkdf2_sha1"), rounds, salt, hash] => django(name, rounds, salt, hash)?,
            _ => return Err(StoredPasswordError::Unknown),
        };
        Ok(Self { text: text.into(), scheme })
    }

    /// What was just made.
    pub(super) fn argon2id(cost: Argon2Cost, pepper: Option<PepperId>, salt: &[u8], hash: &[u8]) -> Self {
        let Argon2Cost { memory, passes, lanes } = cost;
        let [shown_salt, shown_hash] = [salt, hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        let key = pepper.map(|id| format!(",keyid={}", STANDARD_NO_PAD.encode(id))).unwrap_or_default();
        let text = format!("$argon2id$v=19$m={memory},t={passes},p={lanes}{key}${shown_salt}${shown_hash}");
        let scheme = Scheme::Argon2 {
            algorithm: argon2::Algorithm::Argon2id,
            version: argon2::Version::V0x13,
            cost,
            pepper,
            salt: salt.to_vec(),
            hash: hash.to_vec(),
        };
        Self { text: text.into(), scheme }
    }

    /// The text, for whoever keeps it. It is to be kept as a secret: with it a password can be guessed.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What made it, for people.
    pub const fn kind(&self) -> &'static str {
        match &self.scheme {
            Scheme::Argon2 { algorithm: argon2::Algorithm::Argon2id, .. } => "argon2id",
            Scheme::Argon2 { algorithm: argon2::Algorithm::Argon2i, .. } => "argon2i",
            Scheme::Argon2 { algorithm: argon2::Algorithm::Argon2d, .. } => "argon2d",
            Scheme::Bcrypt { .. } => "bcrypt",
            Scheme::Scrypt { .. } => "scrypt",
            Scheme::Pbkdf2 { .. } => "pbkdf2",
        }
    }
}

impl PartialEq for StoredPassword {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StoredPassword {}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredPassword({}, ..)", self.kind())
    }
}

/// A decimal number without sign and without zeros in front.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The values of `parameters`, which must be of the names `names` in this order; those of `optional` may follow.
fn values<'t, const N: usize>(
    parameters: &'t str,
    names: [&str; N],
    optional: &str,
) -> Option<([u32; N], Option<&'t str>)> {
    let mut given = parameters.split(',').map(|pair| pair.split_once('='));
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        let (key, text) = given.next()??;
        *value = if key == name { number(text)? } else { return None };
    }
    let more = match given.next() {
        None => None,
        Some(Some((key, text))) if key == optional && !optional.is_empty() => Some(text),
        Some(_) => return None,
    };
    if given.next().is_some() { None } else { Some((values, more)) }
}

fn lengths(kind: &'static str, salt: &[u8], hash: &[u8]) -> Result<(), StoredPasswordError> {
    let fits = salt.len() <= MOST_SALT && (LEAST_HASH..=MOST_HASH).contains(&hash.len());
    if fits { Ok(()) } else { Err(StoredPasswordError::Length(kind)) }
}

fn argon2(name: &str, rest: &[&str]) -> Result<Scheme, StoredPasswordError> {
    const KIND: &str = "argon2";
    let damaged = || StoredPasswordError::Damaged(KIND);
    // Without a version it is of the first.
    let (version, fields) = match rest {
        [version, fields @ ..] if version.starts_with("v=") => (*version, fields),
        fields => ("v=16", fields),
    };
    let [parameters, salt, hash] = fields else { return Err(damaged()) };
    let version = match version {
        "v=19" => argon2::Version::V0x13,
        "v=16" => argon2::Version::V0x10,
        _ => return Err(damaged()),
    };
    let ([memory, passes, lanes], key) = values(parameters, ["m", "t", "p"], "keyid").ok_or_else(damaged)?;
    let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| damaged());
    let pepper = key.map(|key| decoded(key)?.try_into().map_err(|_| damaged())).transpose()?;
    let (salt, hash) = (decoded(salt)?, decoded(hash)?);
    let cost = Argon2Cost { memory, passes, lanes };
    lengths(KIND, &salt, &hash)?;
    if salt.len() < argon2::MIN_SALT_LEN {
        return Err(StoredPasswordError::Length(KIND));
    }
    cost.check().map_err(|why| StoredPasswordError::TooDear(KIND, why))?;
    let algorithm = match name {
        "argon2id" => argon2::Algorithm::Argon2id,
        "argon2i" => argon2::Algorithm::Argon2i,
        _ => argon2::Algorithm::Argon2d,
    };
    Ok(Scheme::Argon2 { algorithm, version, cost, pepper, salt, hash })
}

/// As many programs, with two bits of the last character of salt and hash unused and perhaps set.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

fn bcrypt(cost: &str, rest: &str) -> Result<Scheme, StoredPasswordError> {
    const KIND: &str = "bcrypt";
    let damaged = || StoredPasswordError::Damaged(KIND);
    let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = if digits { cost.parse().map_err(|_| damaged())? } else { return Err(damaged()) };
    let (salt, hash) = rest.split_at_checked(22).filter(|(_, hash)| hash.len() == 31).ok_or_else(damaged)?;
    let decoded = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| damaged());
    let salt = decoded(salt)?.try_into().map_err(|_| damaged())?;
    let hash = decoded(hash)?;
    match cost {
        0..4 => Err(damaged()),
        4..=MOST_BCRYPT_COST => Ok(Scheme::Bcrypt { cost, salt, hash }),
        _ => Err(StoredPasswordError::TooDear(KIND, "its cost is more than 14")),
    }
}

fn scrypt(parameters: &str, salt: &str, hash: &str) -> Result<Scheme, StoredPasswordError> {
    let damaged = || StoredPasswordError::Damaged("scrypt");
    let ([log_n, r, p], _) = values(parameters, ["ln", "r", "p"], "").ok_or_else(damaged)?;
    let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| damaged());
    checked_scrypt(log_n, r, p, decoded(salt)?, decoded(hash)?)
}

/// libxcrypt's `$7$`: one character for log2 N, five each for r and p, and the salt as it stands.
fn scrypt_crypt(setting: &str, hash: &str) -> Result<Scheme, StoredPasswordError> {
    let damaged = || StoredPasswordError::Damaged("scrypt");
    let digit = |byte: u8| CRYPT.as_str().bytes().position(|known| known == byte).and_then(|at| u32::try_from(at).ok());
    let value = |text: &str| {
        let digits = text.bytes().enumerate().map(|(at, byte)| Some(digit(byte)? << (6 * at)));
        digits.sum::<Option<u32>>().ok_or_else(damaged)
    };
    let (parameters, salt) = setting.split_at_checked(11).ok_or_else(damaged)?;
    let (log_n, r, p) = (value(&parameters[..1])?, value(&parameters[1..6])?, value(&parameters[6..])?);
    // The bytes lie in groups of three, each with its lowest bits first.
    let groups = hash.as_bytes().chunks(4).map(|group| {
        let bits = group.iter().enumerate().try_fold(0, |bits, (at, byte)| Some(bits | digit(*byte)? << (6 * at)))?;
        Some(bits.to_le_bytes().into_iter().take(group.len() * 6 / 8))
    });
    let groups: Vec<_> = groups.collect::<Option<_>>().ok_or_else(damaged)?;
    let hash: Vec<u8> = groups.into_iter().flatten().collect();
    if hash.len() != 32 {
        return Err(damaged());
    }
    checked_scrypt(log_n, r, p, salt.as_bytes().to_vec(), hash)
}

fn checked_scrypt(log_n: u32, r: u32, p: u32, salt: Vec<u8>, hash: Vec<u8>) -> Result<Scheme, StoredPasswordError> {
    const KIND: &str = "scrypt";
    lengths(KIND, &salt, &hash)?;
    if !(1..=24).contains(&log_n) || r == 0 || p == 0 {
        return Err(StoredPasswordError::Damaged(KIND));
    }
    if (u64::from(r) * 128) << log_n > MOST_SCRYPT_MEMORY {
        return Err(StoredPasswordError::TooDear(KIND, "it takes more than 128 MiB"));
    }
    if p > MOST_SCRYPT_LANES {
        return Err(StoredPasswordError::TooDear(KIND, "its p is more than 4"));
    }
    let log_n = u8::try_from(log_n).map_err(|_| StoredPasswordError::Damaged(KIND))?;
    Ok(Scheme::Scrypt { log_n, r, p, salt, hash })
}

fn pbkdf2(name: &str, parameters: &str, salt: &str, hash: &str) -> Result<Scheme, StoredPasswordError> {
    let damaged = || StoredPasswordError::Damaged("PBKDF2");
    let digest = match name {
        "pbkdf2" | "pbkdf2-sha1" => Pbkdf2Digest::Sha1,
        "pbkdf2-sha256" => Pbkdf2Digest::Sha256,
        "pbkdf2-sha512" => Pbkdf2Digest::Sha512,
        _ => return Err(StoredPasswordError::Unknown),
    };
    let (rounds, length) = match number(parameters) {
        Some(rounds) => (rounds, None),
        None => {
            let ([rounds], length) = values(parameters, ["i"], "l").ok_or_else(damaged)?;
            (rounds, length)
        }
    };
    // passlib writes a dot for the plus of base64.
    let decoded = |text: &str| STANDARD_NO_PAD.decode(text.replace('.', "+")).map_err(|_| damaged());
    let (salt, hash) = (decoded(salt)?, decoded(hash)?);
    if length.is_some_and(|length| number(length).is_none_or(|length| length as usize != hash.len())) {
        return Err(damaged());
    }
    checked_pbkdf2(digest, rounds, salt, hash)
}

fn django(name: &str, rounds: &str, salt: &str, hash: &str) -> Result<Scheme, StoredPasswordError> {
    let damaged = || StoredPasswordError::Damaged("PBKDF2");
    let digest = if name == "pbkdf2_sha1" { Pbkdf2Digest::Sha1 } else { Pbkdf2Digest::Sha256 };
    let hash = STANDARD.decode(hash).map_err(|_| damaged())?;
    checked_pbkdf2(digest, number(rounds).ok_or_else(damaged)?, salt.as_bytes().to_vec(), hash)
}

fn checked_pbkdf2(
    digest: Pbkdf2Digest,
    rounds: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
) -> Result<Scheme, StoredPasswordError> {
    const KIND: &str = "PBKDF2";
    lengths(KIND, &salt, &hash)?;
    let rounds = NonZeroU32::new(rounds).ok_or(StoredPasswordError::Damaged(KIND))?;
    if rounds.get() > MOST_PBKDF2_ROUNDS {
        return Err(StoredPasswordError::TooDear(KIND, "it takes more than two million rounds"));
    }
    Ok(Scheme::Pbkdf2 { digest, rounds, salt, hash })
}
