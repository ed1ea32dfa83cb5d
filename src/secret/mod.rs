//! Secrets: the types that hold them, their digests, and sealing under the master key.
//!
//! Guarantees: what is held here is wiped when dropped and never shows in `Debug`; secrets are compared in constant
//! time; what was sealed for one row opens for that row alone, and an altered byte is noticed. No file is read or
//! written here.

mod master_key;

use std::fmt;

use aws_lc_rs::digest;
use signet_verify::base64url;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ports::Entropy;

pub use master_key::{Binding, MacKey, MasterKey, MasterKeys, Sealed};

const CLIENT_SECRET_PREFIX: &str = "scs_";

/// Why a secret can't be read, sealed or opened. No message holds any part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is not that of a master key.
    #[error("this is not a master key: {0}")]
    NotAMasterKey(&'static str),
    /// It was sealed under another master key than the one at hand.
    #[error("it is sealed under the master key {needed}, but the master key at hand is {have}")]
    WrongMasterKey {
        /// The id of the master key that would open it.
        needed: String,
        /// The id of the master key at hand.
        have: String,
    },
    /// It was sealed under this master key, but it was altered since, or it belongs to another row.
    #[error("what is sealed was altered, or was moved here from another row")]
    Tampered,
    /// The cryptographic library refused to work, which no input explains.
    #[error("the cryptographic library failed")]
    Cryptography,
}

/// SHA-256 of `data` ([RFC 6234](https://www.rfc-editor.org/rfc/rfc6234)).
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    sum
}

/// A secret text: a client secret, a master key written down.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself: for the one who is to have it, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// In the same time wherever the two differ.
impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Secret bytes: a private key in PKCS#8.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// The SHA-256 of a secret of at least 128 random bits, which is all that a store keeps of it. Such a secret needs no
/// slow hash: there is no dictionary of it. `==` takes the same time wherever the two differ.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(sha256(secret))
    }

    /// A digest that was stored.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, to be stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// A new client secret: `scs_` and 256 random bits in base64url. The prefix lets scanners of public code find a leaked
/// one.
#[must_use]
pub fn generate_client_secret(entropy: &dyn Entropy) -> SecretText {
    let mut random = Zeroizing::new([0; 32]);
    entropy.fill(random.as_mut());
    // Sized at once: a text that grows would leave copies of its beginning behind.
    let length = CLIENT_SECRET_PREFIX.len() + base64url::encoded_len(random.len());
    let mut text = String::with_capacity(length);
    text.push_str(CLIENT_SECRET_PREFIX);
    base64url::encode_into(random.as_ref(), &mut text);
    SecretText::new(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::master_key::{MASTER_KEY_PREFIX, SEALING_LABEL, SEALING_SALT, derive};
    use super::*;
    use crate::ports::SystemEntropy;

    const ROW: Binding<'static> = Binding { purpose: "signing", kid: "a", algorithm: "ES256" };

    fn master(byte: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([byte; 32]))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sha_256_of_abc_is_that_of_rfc_6234() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
    }

    #[test]
    fn derivation_gives_the_first_test_case_of_rfc_5869() {
        let salt: Vec<u8> = (0x00..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut okm = [0; 42];
        derive(&[0x0b; 22], &salt, &[&info], &mut okm).unwrap();
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(hex(&okm), expected);
    }

    #[test]
    fn a_code_is_of_its_message_its_purpose_and_its_master_key() {
        let key = master(1).mac_key("a").unwrap();
        let code = key.mac(b"message");
        assert!(key.verifies(b"message", &code));
        assert!(!key.verifies(b"messagf", &code));
        assert!(!key.verifies(b"message", &code[..31]));
        for other in [master(1).mac_key("b").unwrap(), master(2).mac_key("a").unwrap()] {
            assert!(!other.verifies(b"message", &code));
        }
    }

    #[test]
    fn what_was_sealed_opens_for_its_row() {
        let master = MasterKey::generate(&SystemEntropy);
        let sealed = master.seal(&ROW, b"private", &SystemEntropy).unwrap();
        assert_eq!(sealed.bytes.len(), 12 + 7 + 16);
        assert_eq!(sealed.master_key_id, master.id());
        assert!(!sealed.bytes.windows(7).any(|window| window == b"private"));
        assert_eq!(master.open(&ROW, &sealed).unwrap().expose(), b"private");
        let again = master.seal(&ROW, b"private", &SystemEntropy).unwrap();
        assert_ne!(again.bytes, sealed.bytes, "a nonce of its own each time");
    }

    #[test]
    fn what_was_sealed_for_another_row_purpose_or_algorithm_does_not_open() {
        let master = master(1);
        let sealed = master.seal(&ROW, b"private", &SystemEntropy).unwrap();
        for other in [
            Binding { kid: "b", ..ROW },
            Binding { purpose: "session", ..ROW },
            Binding { algorithm: "ES384", ..ROW },
            Binding { kid: "aE", algorithm: "S256", ..ROW },
        ] {
            let opened = master.open(&other, &sealed).map(|_| ());
            assert_eq!(opened, Err(SecretError::Tampered), "{other:?}");
        }
    }

    #[test]
    fn another_purpose_has_another_subkey() {
        let master = master(1);
        let mut subkeys = Vec::new();
        for purpose in ["signing", "session"] {
            let mut subkey = [0; 32];
            let info = [SEALING_LABEL, purpose.as_bytes()];
            derive(master.key.as_ref(), SEALING_SALT, &info, &mut subkey).unwrap();
            subkeys.push(subkey);
        }
        assert_ne!(subkeys[0], subkeys[1]);
    }

    #[test]
    fn another_master_key_is_told_apart_from_an_altered_secret() {
        let (ours, theirs) = (master(1), master(2));
        let sealed = theirs.seal(&ROW, b"private", &SystemEntropy).unwrap();
        let needed = theirs.id().to_owned();
        let have = ours.id().to_owned();
        assert_eq!(ours.open(&ROW, &sealed).map(|_| ()), Err(SecretError::WrongMasterKey { needed, have }));
        // Who rewrites the name of the master key as well gets no further.
        let renamed = Sealed { master_key_id: ours.id().to_owned(), ..sealed };
        assert_eq!(ours.open(&ROW, &renamed).map(|_| ()), Err(SecretError::Tampered));
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let master = master(1);
        let sealed = master.seal(&ROW, b"private", &SystemEntropy).unwrap();
        for bit in 0..sealed.bytes.len() * 8 {
            let mut altered = sealed.clone();
            altered.bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(master.open(&ROW, &altered).map(|_| ()), Err(SecretError::Tampered));
        }
        for length in 0..sealed.bytes.len() {
            let mut cut = sealed.clone();
            cut.bytes.truncate(length);
            assert_eq!(master.open(&ROW, &cut).map(|_| ()), Err(SecretError::Tampered));
        }
    }

    #[test]
    fn of_two_master_keys_each_opens_its_own_and_the_named_one_seals() {
        let masters = MasterKeys::new(master(1), Some(master(2)));
        for own in [master(1), master(2)] {
            let sealed = own.seal(&ROW, b"private", &SystemEntropy).unwrap();
            assert_eq!(masters.open(&ROW, &sealed).unwrap().expose(), b"private");
            assert_eq!(masters.sealing(Some(own.id())).unwrap().id(), own.id());
        }
        assert_eq!(masters.sealing(None).unwrap().id(), master(1).id());
        let stranger = master(3).seal(&ROW, b"private", &SystemEntropy).unwrap();
        let wrong = SecretError::WrongMasterKey {
            needed: master(3).id().to_owned(),
            have: format!("{} and {}", master(1).id(), master(2).id()),
        };
        assert_eq!(masters.open(&ROW, &stranger).unwrap_err(), wrong);
        assert_eq!(masters.sealing(Some(master(3).id())).unwrap_err(), wrong);
    }

    #[test]
    fn a_master_key_comes_back_from_its_one_line() {
        let master = MasterKey::generate(&SystemEntropy);
        let text = master.to_text();
        assert_eq!(text.expose().len(), "signet-master-1:".len() + 43);
        assert!(!text.expose().contains('\n'));
        let read = MasterKey::parse(&format!("{}\r\n", text.expose())).unwrap();
        assert_eq!(read.id(), master.id());
        assert_eq!(read.key, master.key);
        assert_eq!(master.id().len(), 11);
    }

    #[test]
    fn a_malformed_master_key_is_refused_in_a_sentence_without_its_text() {
        let good = master(7).to_text().expose().to_owned();
        let body = good.strip_prefix(MASTER_KEY_PREFIX).unwrap();
        for bad in [
            String::new(),
            "\n".to_owned(),
            body.to_owned(),
            format!("signet-master-2:{body}"),
            format!("{good}="),
            format!("{MASTER_KEY_PREFIX}{}", &body[1..]),
            format!("{good}\n{good}"),
            format!("{good}AAAA"),
            format!("{MASTER_KEY_PREFIX} {body}"),
        ] {
            let refusal = MasterKey::parse(&bad).map(|_| ()).unwrap_err();
            assert!(matches!(refusal, SecretError::NotAMasterKey(_)), "{bad:?}");
            assert!(!refusal.to_string().contains(&body[2..20]));
        }
    }

    #[test]
    fn secrets_have_a_dull_debug() {
        let master = master(7);
        let text = master.to_text();
        let shown = format!("{master:?} {text:?} {:?} {:?}", SecretDigest::of(b"x"), SecretBytes::new(vec![7, 7, 7]),);
        let expected =
            format!("MasterKey {{ id: {:?}, .. }} SecretText(..) SecretDigest(..) SecretBytes(..)", master.id());
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_client_secret_holds_256_random_bits_behind_its_prefix() {
        let secrets = [(); 2].map(|()| generate_client_secret(&SystemEntropy));
        assert_ne!(secrets[0].expose(), secrets[1].expose());
        let random = secrets[0].expose().strip_prefix("scs_").unwrap();
        assert_eq!(base64url::decode(random).unwrap().len(), 32);
        let digest = SecretDigest::of(secrets[0].expose().as_bytes());
        assert_eq!(digest, SecretDigest::from_bytes(*digest.as_bytes()));
        assert_ne!(digest, SecretDigest::of(secrets[1].expose().as_bytes()));
    }

    proptest! {
        #[test]
        fn anything_sealed_opens_again(key: [u8; 32], secret: Vec<u8>, purpose: String, kid: String) {
            let master = MasterKey::new(Zeroizing::new(key));
            let row = Binding { purpose: &purpose, kid: &kid, algorithm: "RS256" };
            let sealed = master.seal(&row, &secret, &SystemEntropy).unwrap();
            let opened = master.open(&row, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &secret[..]);
        }

        #[test]
        fn no_text_makes_the_reader_of_master_keys_stumble(text: String) {
            let _ = MasterKey::parse(&text);
            let _ = MasterKey::parse(&format!("{MASTER_KEY_PREFIX}{text}"));
        }
    }
}
