//! The master key: what private keys in the database are sealed under, and what codes are made with.
//!
//! Guarantees: what was sealed for one row opens for that row alone, and an altered byte is noticed; each purpose has a
//! subkey of its own. While the master key is replaced a process holds two: it opens with either, and seals with the one
//! that the database names.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use signet_verify::base64url;
use zeroize::Zeroizing;

use super::{SecretBytes, SecretError, SecretText, sha256};
use crate::ports::Entropy;

const MASTER_KEY_LEN: usize = 32;
pub(super) const MASTER_KEY_PREFIX: &str = "signet-master-1:";
const MASTER_KEY_ID_LABEL: &[u8] = b"signet master key id 1\0";
pub(super) const SEALING_SALT: &[u8] = b"signet sealing 1";
pub(super) const SEALING_LABEL: &[u8] = b"signet sealing key 1 for ";
const MAC_SALT: &[u8] = b"signet mac 1";
const MAC_LABEL: &[u8] = b"signet mac key 1 for ";

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
    pub(super) key: Zeroizing<[u8; MASTER_KEY_LEN]>,
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

    pub(super) fn new(key: Zeroizing<[u8; MASTER_KEY_LEN]>) -> Self {
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

/// The master keys at hand: one, or two while one takes the other's place.
#[derive(Debug)]
pub struct MasterKeys {
    own: MasterKey,
    next: Option<MasterKey>,
}

impl MasterKeys {
    /// One master key, and the one that is to take its place.
    #[must_use]
    pub fn new(own: MasterKey, next: Option<MasterKey>) -> Self {
        Self { own, next }
    }

    /// All of them, the own one first.
    pub fn all(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.own).chain(&self.next)
    }

    /// The one that is to take the other's place.
    #[must_use]
    pub const fn next(&self) -> Option<&MasterKey> {
        self.next.as_ref()
    }

    /// The one of that id.
    ///
    /// # Errors
    /// [`SecretError::WrongMasterKey`] when it is not at hand.
    pub fn named(&self, id: &str) -> Result<&MasterKey, SecretError> {
        self.all().find(|master| master.id() == id).ok_or_else(|| SecretError::WrongMasterKey {
            needed: id.to_owned(),
            have: self.all().map(MasterKey::id).collect::<Vec<_>>().join(" and "),
        })
    }

    /// The one to seal with: the one that the database names, or the own one where it names none.
    ///
    /// # Errors
    /// [`SecretError::WrongMasterKey`] when it is not at hand.
    pub fn sealing(&self, recorded: Option<&str>) -> Result<&MasterKey, SecretError> {
        recorded.map_or(Ok(&self.own), |id| self.named(id))
    }

    /// Opens what was sealed under any of them.
    ///
    /// # Errors
    /// As [`MasterKey::open`].
    pub fn open(&self, binding: &Binding<'_>, sealed: &Sealed) -> Result<SecretBytes, SecretError> {
        self.named(&sealed.master_key_id)?.open(binding, sealed)
    }

    /// Whether the key that opens `sealed` is at hand.
    ///
    /// # Errors
    /// [`SecretError::WrongMasterKey`] when another one is needed.
    pub fn check_opens(&self, sealed: &Sealed) -> Result<(), SecretError> {
        self.named(&sealed.master_key_id).map(drop)
    }
}

impl From<MasterKey> for MasterKeys {
    fn from(own: MasterKey) -> Self {
        Self::new(own, None)
    }
}

/// A key for codes that only its holder can make: HMAC-SHA256
/// ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
pub struct MacKey(hmac::Key);

impl MacKey {
    /// The key that these bytes are: at least 32 random ones
    /// ([RFC 2104 §3](https://www.rfc-editor.org/rfc/rfc2104#section-3)).
    #[must_use]
    pub fn new(key: &SecretBytes) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

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

pub(super) fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), SecretError> {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| SecretError::Cryptography)
}
