//! The refresh token: derived from its session's secret, and never stored.
//!
//! Guarantees: a token that no key of this issuer made is told without any store; the same session, generation and key
//! give the same token each time; neither what a store knows (the [`SessionId`]) nor a MAC key alone makes a token, and
//! neither secret nor token shows in `Debug`.

use std::fmt;

use signet_verify::base64url;
use zeroize::Zeroizing;

use crate::issuer::Issuer;
use crate::ports::Entropy;
use crate::secret::{MacKey, SecretText, sha256};

pub use crate::tokens::sid::SessionId;

/// What every refresh token begins with, so that scanners of public code find a leaked one.
pub const REFRESH_TOKEN_PREFIX: &str = "srt_";

const SECRET_LEN: usize = 16;
const CODE_LEN: usize = 32;
/// The version, the id of the key, the session's secret, the generation.
const SAID_LEN: usize = 1 + 4 + SECRET_LEN + 4;
const TOKEN_LEN: usize = SAID_LEN + CODE_LEN;
const VERSION: u8 = 1;
const CODE_LABEL: &[u8] = b"signet refresh token 1\0";
const ID_LABEL: &[u8] = b"signet session id 1\0";

/// The secret of a session: 128 random bits, which only its refresh tokens carry. No store ever sees it.
#[derive(Clone)]
pub struct SessionSecret(Zeroizing<[u8; SECRET_LEN]>);

impl SessionSecret {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        entropy.fill(secret.as_mut());
        Self(secret)
    }

    /// The name of its session.
    pub fn id(&self) -> SessionId {
        let labelled = Zeroizing::new([ID_LABEL, self.0.as_ref()].concat());
        let sum = sha256(&labelled);
        let mut id = [0; SessionId::LEN];
        id.copy_from_slice(&sum[..SessionId::LEN]);
        SessionId::from_bytes(id)
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(..)")
    }
}

/// How many rotations made a refresh token: 0 for the one that a session begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// The one that every session begins with.
    pub const FIRST: Self = Self(0);

    /// The next. One rotation a second takes 136 years to the last, which stays.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether it comes right before `other`.
    pub const fn precedes(self, other: Self) -> bool {
        matches!(self.0.checked_add(1), Some(next) if next == other.0)
    }
}

/// The name of a key that makes refresh tokens: 32 random bits, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacKeyId(pub u32);

/// 8 hexadecimal digits.
impl fmt::Display for MacKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for MacKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKeyId({self})")
    }
}

/// Why a text is no refresh token of this issuer. For the log: callers learn `invalid_grant` and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not the shape of one: another prefix, another length, not strict base64url, another version.
    #[error("it is not of the shape of a refresh token")]
    Malformed,
    /// No key at hand has that name: it was made elsewhere, or so long ago that its key is gone.
    #[error("it names the key {0}, which is not at hand")]
    UnknownKey(MacKeyId),
    /// The key did not make it for this issuer.
    #[error("its code does not fit")]
    Forged,
}

/// What a refresh token says, once its code was checked or before one is made.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The key that makes its code.
    pub key: MacKeyId,
    /// The session's secret.
    pub secret: SessionSecret,
    /// Which of the session's tokens it is.
    pub generation: Generation,
}

impl RefreshToken {
    /// The token of this content, for `issuer`. `key` is the one that [`Self::key`] names. The same each time.
    pub fn write(&self, key: &MacKey, issuer: &Issuer) -> SecretText {
        let mut bytes = Zeroizing::new([0; TOKEN_LEN]);
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.key.0.to_be_bytes());
        bytes[5..21].copy_from_slice(self.secret.0.as_ref());
        bytes[21..25].copy_from_slice(&self.generation.0.to_be_bytes());
        let code = key.mac(&message(issuer, &bytes[..SAID_LEN]));
        bytes[SAID_LEN..].copy_from_slice(&code);
        // Sized at once: a text that grows would leave copies of its beginning behind.
        let mut text = String::with_capacity(REFRESH_TOKEN_PREFIX.len() + base64url::encoded_len(TOKEN_LEN));
        text.push_str(REFRESH_TOKEN_PREFIX);
        base64url::encode_into(bytes.as_ref(), &mut text);
        SecretText::new(text)
    }

    /// Reads a token of `issuer` and checks its code, in the same time wherever it differs. `find` gives the key of a
    /// name.
    ///
    /// # Errors
    /// When it is not a token that one of the keys made for this issuer.
    pub fn read<'k>(
        text: &str,
        issuer: &Issuer,
        find: impl FnOnce(MacKeyId) -> Option<&'k MacKey>,
    ) -> Result<Self, TokenFault> {
        let encoded = text.strip_prefix(REFRESH_TOKEN_PREFIX).ok_or(TokenFault::Malformed)?;
        // Before anything of it is decoded: a long text costs nothing.
        if encoded.len() != base64url::encoded_len(TOKEN_LEN) {
            return Err(TokenFault::Malformed);
        }
        let bytes: Zeroizing<[u8; TOKEN_LEN]> =
            base64url::decode_array(encoded).map(Zeroizing::new).map_err(|_| TokenFault::Malformed)?;
        let (said, code) = bytes.split_at(SAID_LEN);
        let [VERSION, key @ .., _, _, _, _] = said else { return Err(TokenFault::Malformed) };
        let (key, secret) = key.split_at(4);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let key = MacKeyId(number(key));
        if !find(key).ok_or(TokenFault::UnknownKey(key))?.verifies(&message(issuer, said), code) {
            return Err(TokenFault::Forged);
        }
        let mut own = Zeroizing::new([0; SECRET_LEN]);
        own.copy_from_slice(secret);
        Ok(Self { key, secret: SessionSecret(own), generation: Generation(number(&said[SAID_LEN - 4..])) })
    }

    /// The token of that generation of the same session, as `key` makes it.
    pub fn of_generation(&self, generation: Generation, key: MacKeyId) -> Self {
        Self { key, secret: self.secret.clone(), generation }
    }
}

/// What the code is over: a label, the issuer with its length before it, and all that the token says.
fn message(issuer: &Issuer, said: &[u8]) -> Zeroizing<Vec<u8>> {
    let issuer = issuer.as_str().as_bytes();
    let mut message = Zeroizing::new(Vec::with_capacity(CODE_LABEL.len() + 8 + issuer.len() + said.len()));
    message.extend_from_slice(CODE_LABEL);
    message.extend_from_slice(&(issuer.len() as u64).to_be_bytes());
    message.extend_from_slice(issuer);
    message.extend_from_slice(said);
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::SystemEntropy;
    use crate::secret::SecretBytes;

    const KEY: MacKeyId = MacKeyId(0x0102_0304);

    fn mac(byte: u8) -> MacKey {
        MacKey::new(&SecretBytes::new(vec![byte; 32]))
    }

    fn issuer() -> Issuer {
        Issuer::parse("https://as.example", false).unwrap()
    }

    fn token() -> RefreshToken {
        let secret = SessionSecret::generate(&SystemEntropy);
        RefreshToken { key: KEY, secret, generation: Generation(7) }
    }

    fn read(text: &str) -> Result<RefreshToken, TokenFault> {
        let key = mac(1);
        RefreshToken::read(text, &issuer(), |id| (id == KEY).then_some(&key))
    }

    #[test]
    fn a_token_reads_back_as_what_was_written_and_is_the_same_each_time() {
        let token = token();
        let text = token.write(&mac(1), &issuer());
        assert_eq!(text.expose().len(), 80);
        let back = read(text.expose()).unwrap();
        assert_eq!((back.key, back.generation, back.secret.id()), (KEY, Generation(7), token.secret.id()));
        assert_eq!(back.write(&mac(1), &issuer()), text);
        assert_ne!(back.of_generation(Generation(8), KEY).write(&mac(1), &issuer()), text);
    }

    #[test]
    fn a_token_of_another_key_or_another_issuer_is_forged() {
        let forged = token().write(&mac(2), &issuer());
        assert_eq!(read(forged.expose()).unwrap_err(), TokenFault::Forged);
        for other in ["https://as.example.evil", "https://as.example:444"] {
            let other = token().write(&mac(1), &Issuer::parse(other, false).unwrap());
            assert_eq!(read(other.expose()).unwrap_err(), TokenFault::Forged);
        }
        let unknown = RefreshToken { key: MacKeyId(9), ..token() }.write(&mac(1), &issuer());
        assert_eq!(read(unknown.expose()).unwrap_err(), TokenFault::UnknownKey(MacKeyId(9)));
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_other_spelling_is_refused() {
        let text = token().write(&mac(1), &issuer());
        let text = text.expose();
        let bytes = base64url::decode(text.strip_prefix(REFRESH_TOKEN_PREFIX).unwrap()).unwrap();
        let flips = bytes.len() * 8;
        for bit in 0..flips {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let altered = format!("{REFRESH_TOKEN_PREFIX}{}", base64url::encode(altered));
            assert!(read(&altered).is_err(), "bit {bit}");
        }
        for length in 0..text.len() {
            assert_eq!(read(&text[..length]).unwrap_err(), TokenFault::Malformed);
        }
        let long = "A".repeat(1 << 20);
        let others = [
            format!("{text}="),
            format!("{text}A"),
            format!(" {text}"),
            text.to_uppercase(),
            text.replacen("srt_", "SRT_", 1),
            text.replacen("srt_", "scs_", 1),
            format!("srt_{long}"),
            String::new(),
        ];
        for other in others {
            assert_eq!(read(&other).unwrap_err(), TokenFault::Malformed);
        }
    }

    #[test]
    fn the_name_of_a_session_is_told_as_22_characters_and_does_not_hold_the_secret() {
        let secret = SessionSecret::generate(&SystemEntropy);
        let id = secret.id();
        assert_eq!((id.to_string().len(), SessionId::parse(&id.to_string())), (22, Some(id)));
        assert_ne!(id.as_bytes(), &*secret.0);
        assert_ne!(SessionSecret::generate(&SystemEntropy).id(), id);
        for text in ["", "AAAA", &format!("{id}A"), "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAB"] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_secret_shows() {
        let token = token();
        let shown = format!("{token:?} {:?}", token.write(&mac(1), &issuer()));
        assert!(shown.contains("SessionSecret(..)") && shown.contains("SecretText(..)"), "{shown}");
    }

    #[test]
    fn generations_follow_each_other() {
        assert!(Generation(3).precedes(Generation(4)) && !Generation(4).precedes(Generation(3)));
        assert!(!Generation(u32::MAX).precedes(Generation(0)));
        assert_eq!(Generation(u32::MAX).next(), Generation(u32::MAX));
    }
}
