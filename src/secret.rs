//! Secrets: the types that hold them, their digests, and sealing under the master key.
//!
//! Guarantees: what is held here is wiped when dropped and never shows in `Debug`; secrets are compared in constant
//! time; what was sealed for one row opens for that row alone, and an altered byte is noticed. No file is read or
//! written here.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use signet_verify::base64url;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ports::Entropy;

const MASTER_KEY_LEN: usize = 32;
const MASTER_KEY_PREFIX: &str = "signet-master-1:";
const MASTER_KEY_ID_LABEL: &[u8] = b"signet master key id 1\0";
const SEALING_SALT: &[u8] = b"signet sealing 1";
const SEALING_LABEL: &[u8] = b"signet sealing key 1 for ";
const MAC_SALT: &[u8] = b"signet mac 1";
const MAC_LABEL: &[u8] = b"signet mac key 1 for ";
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

/// What was sealed, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the master key that opens it.
    pub master_key_id: String,
    /// The nonce (12 bytes), the ciphertext, the tag (16 bytes).
    pub bytes: Vec<u8>,
}

/// The row that a sealed secret belongs to. It opens under exactly the binding it was sealed under.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// What the secret is for. Each purpose has a subkey of its own.
    pub purpose: &'a str,
    /// The name of the key.
    pub kid: &'a str,
    /// The algorithm it is for.
    pub algorithm: &'a str,
}

impl Binding<'_> {
    /// Each field with its length before it, so that no two bindings have the same bytes.
    fn to_bytes(self, master_key_id: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        for field in ["signet sealed 1", self.purpose, self.kid, self.algorithm, master_key_id] {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        bytes
    }
}

/// The key that all private keys in the database are sealed under.
pub struct MasterKey {
    key: Zeroizing<[u8; MASTER_KEY_LEN]>,
    id: String,
}

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Zeroizing::new([0; MASTER_KEY_LEN]);
        entropy.fill(key.as_mut());
        Self::new(key)
    }

    fn new(key: Zeroizing<[u8; MASTER_KEY_LEN]>) -> Self {
        let labelled = Zeroizing::new([MASTER_KEY_ID_LABEL, key.as_ref()].concat());
        let id = base64url::encode(&sha256(&labelled)[..8]);
        Self { key, id }
    }

    /// Reads the one line `signet-master-1:` and 43 characters of base64url. White space around it is passed over.
    ///
    /// # Errors
    /// [`SecretError::NotAMasterKey`] with what is wrong, without any of the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::NotAMasterKey("it is empty"));
        }
        let Some(encoded) = text.strip_prefix(MASTER_KEY_PREFIX) else {
            return Err(SecretError::NotAMasterKey("it does not begin with \"signet-master-1:\""));
        };
        if encoded.contains(char::is_whitespace) {
            return Err(SecretError::NotAMasterKey("it is more than one line or has spaces in it"));
        }
        let decoded = base64url::decode(encoded)
            .map(Zeroizing::new)
            .map_err(|_| SecretError::NotAMasterKey("what follows \"signet-master-1:\" is not base64url"))?;
        let mut key = Zeroizing::new([0; MASTER_KEY_LEN]);
        if decoded.len() != key.len() {
            return Err(SecretError::NotAMasterKey("it does not hold exactly 32 bytes"));
        }
        key.copy_from_slice(&decoded);
        Ok(Self::new(key))
    }

    /// The key as one line of text, without a line break: what [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let length = MASTER_KEY_PREFIX.len() + base64url::encoded_len(self.key.len());
        let mut text = String::with_capacity(length);
        text.push_str(MASTER_KEY_PREFIX);
        base64url::encode_into(self.key.as_ref(), &mut text);
        SecretText::new(text)
    }

    /// Names the key and tells nothing of it: the first 8 bytes of a labelled SHA-256, in base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether this is the key that opens `sealed`.
    ///
    /// # Errors
    /// [`SecretError::WrongMasterKey`] when another one is needed.
    pub fn check_opens(&self, sealed: &Sealed) -> Result<(), SecretError> {
        if sealed.master_key_id == self.id {
            return Ok(());
        }
        Err(SecretError::WrongMasterKey { needed: sealed.master_key_id.clone(), have: self.id.clone() })
    }

    /// Seals `secret` for the row that `binding` names: AES-256-GCM under the purpose's subkey, with a random nonce
    /// ([NIST SP 800-38D §8.2.2](https://doi.org/10.6028/NIST.SP.800-38D)). Far fewer than the 2³² messages that
    /// random nonces bear are ever sealed.
    ///
    /// # Errors
    /// [`SecretError::Cryptography`] only.
    pub fn seal(&self, binding: &Binding<'_>, secret: &[u8], entropy: &dyn Entropy) -> Result<Sealed, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut bytes = Vec::with_capacity(NONCE_LEN + secret.len() + AES_256_GCM.tag_len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(secret);
        let aad = Aad::from(binding.to_bytes(&self.id));
        let tag = self
            .subkey(binding.purpose)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes[NONCE_LEN..])
            .map_err(|_| SecretError::Cryptography)?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(Sealed { master_key_id: self.id.clone(), bytes })
    }

    /// Opens what was sealed for the row that `binding` names.
    ///
    /// # Errors
    /// [`SecretError::WrongMasterKey`] when it names another master key, [`SecretError::Tampered`] when it is not what
    /// was sealed for this row.
    pub fn open(&self, binding: &Binding<'_>, sealed: &Sealed) -> Result<SecretBytes, SecretError> {
        self.check_opens(sealed)?;
        let Some((nonce, ciphertext)) = sealed.bytes.split_first_chunk::<NONCE_LEN>() else {
            return Err(SecretError::Tampered);
        };
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from(binding.to_bytes(&self.id));
        let length = self
            .subkey(binding.purpose)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut buffer)
            .map_err(|_| SecretError::Tampered)?
            .len();
        buffer.truncate(length);
        Ok(SecretBytes(buffer))
    }

    /// The subkey that makes and checks codes for `purpose`: HKDF-SHA256 with one label a purpose, apart from those that
    /// seal.
    ///
    /// # Errors
    /// [`SecretError::Cryptography`] only.
    pub fn mac_key(&self, purpose: &str) -> Result<MacKey, SecretError> {
        let mut subkey = Zeroizing::new([0u8; 32]);
        derive(self.key.as_ref(), MAC_SALT, &[MAC_LABEL, purpose.as_bytes()], subkey.as_mut())?;
        Ok(MacKey(hmac::Key::new(hmac::HMAC_SHA256, subkey.as_ref())))
    }

    /// HKDF-SHA256 ([RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)) with one label a purpose.
    fn subkey(&self, purpose: &str) -> Result<LessSafeKey, SecretError> {
        let mut subkey = Zeroizing::new([0u8; 32]);
        derive(self.key.as_ref(), SEALING_SALT, &[SEALING_LABEL, purpose.as_bytes()], subkey.as_mut())?;
        UnboundKey::new(&AES_256_GCM, subkey.as_ref()).map(LessSafeKey::new).map_err(|_| SecretError::Cryptography)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key for codes that only its holder can make: HMAC-SHA256
/// ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
pub struct MacKey(hmac::Key);

impl MacKey {
    /// The code of `message`.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut code = [0; 32];
        code.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        code
    }

    /// Whether `code` is that of `message`, in the same time wherever the two differ.
    #[must_use]
    pub fn verifies(&self, message: &[u8], code: &[u8]) -> bool {
        hmac::verify(&self.0, message, code).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), SecretError> {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| SecretError::Cryptography)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

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
