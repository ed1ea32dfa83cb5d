//! A certificate chain and its private key, as two PEM files hold them.
//!
//! Guarantees: a key that other users can read is not used; chain and key belong together; what is wrong is told with
//! the setting and the file, and never with what the key's file holds.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::asn1::{GeneralizedTime, UtcTime};
use der::{Decode, Header, Reader, SliceReader, Tag, TagNumber};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::super::files::is_open_to_others;
use crate::ports::Timestamp;
use crate::secret::sha256;

/// More than any chain or key has, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// Why two files make no usable pair. Each is a sentence that begins with the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// One of the files is of no use.
    #[error("`{setting}`: {} {why}", path.display())]
    File {
        /// The setting that names it.
        setting: String,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Each is sound, and they do not belong together.
    #[error(
        "`{setting}`: the private key in {} is not that of the first certificate in {}",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The setting that names the key.
        setting: String,
        /// The file of the key.
        key: PathBuf,
        /// The file of the chain.
        certificate: PathBuf,
    },
}

/// Where a pair is.
#[derive(Debug, Clone)]
pub(super) struct PairFiles {
    /// Of which listener: `public` or `admin`.
    pub(super) section: &'static str,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What the two files held when they were looked at.
pub(super) struct PairBytes {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// A pair that a listener can present.
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// From when on the first certificate counts.
    pub(super) valid_from: Timestamp,
    /// The last moment at which it does.
    pub(super) valid_until: Timestamp,
}

impl PairFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// When one is missing, no regular file, too large, or the key's is readable for other users.
    pub(super) fn read(&self) -> Result<PairBytes, PairError> {
        let certificate = read(&self.certificate).map_err(|why| self.certificate_is(why))?;
        let is_open = is_open_to_others(&self.key).map_err(|error| self.key_is(unreadable(&error)))?;
        if is_open {
            return Err(self.key_is(
                "can be read by other users: set its mode to 0600 or 0640, and take the key for compromised if they are \
                 not trusted"
                    .to_owned(),
            ));
        }
        let key = read(&self.key).map_err(|why| self.key_is(why))?;
        Ok(PairBytes { certificate, key: key.into() })
    }

    /// Makes a pair of what the files held.
    ///
    /// # Errors
    /// When one holds no PEM, not what it should, or they do not belong together.
    pub(super) fn pair(&self, bytes: &PairBytes, provider: &CryptoProvider) -> Result<Pair, PairError> {
        let chain: Result<Vec<CertificateDer<'static>>, pem::Error> =
            CertificateDer::pem_slice_iter(&bytes.certificate).collect();
        let chain = chain.map_err(|_| self.certificate_is("is cut short or no PEM".to_owned()))?;
        let first = chain.first().ok_or_else(|| self.certificate_is("holds no certificate".to_owned()))?;
        let validity = validity(first).map_err(|_| self.certificate_is("begins with a broken certificate".to_owned()));
        let (valid_from, valid_until) = validity?;
        let key = PrivateKeyDer::from_pem_slice(&bytes.key).map_err(|error| self.key_is(no_key(&error, &bytes.key)))?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => PairError::Mismatch {
                setting: self.key_setting(),
                key: self.key.clone(),
                certificate: self.certificate.clone(),
            },
            rustls::Error::InvalidCertificate(_) => {
                self.certificate_is("begins with a certificate that can't be used".to_owned())
            }
            _ => self.key_is("holds a key of a kind that TLS can't use".to_owned()),
        })?;
        Ok(Pair { certified: Arc::new(certified), valid_from, valid_until })
    }

    fn key_setting(&self) -> String {
        format!("{}.tls_key_file", self.section)
    }

    fn key_is(&self, why: String) -> PairError {
        PairError::File { setting: self.key_setting(), path: self.key.clone(), why }
    }

    fn certificate_is(&self, why: String) -> PairError {
        let setting = format!("{}.tls_certificate_file", self.section);
        PairError::File { setting, path: self.certificate.clone(), why }
    }
}

impl PairBytes {
    /// Equal exactly when both files held the same.
    pub(super) fn digest(&self) -> [u8; 64] {
        let mut digest = [0; 64];
        digest[..32].copy_from_slice(&sha256(&self.certificate));
        digest[32..].copy_from_slice(&sha256(&self.key));
        digest
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("can't be read: {error}")
}

/// What the file holds; symbolic links are followed.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    // Before it is opened: a pipe would be waited for.
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes));
    match read.map_err(|error| unreadable(&error))? as u64 {
        0 => Err("is empty".to_owned()),
        1..=LONGEST_FILE => Ok(bytes),
        _ => Err("is too large".to_owned()),
    }
}

/// The parser's own words may repeat a line of the file.
fn no_key(error: &pem::Error, text: &[u8]) -> String {
    let says = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    match error {
        _ if says(b"ENCRYPTED") => {
            "holds an encrypted private key, and nobody is there to type its passphrase: store it \
                                    decrypted, readable for this user alone"
        }
        pem::Error::NoItemsFound => "holds no private key (PKCS#8, SEC 1 or PKCS#1, as PEM)",
        _ => "is cut short or no PEM",
    }
    .to_owned()
}

/// From when until when a certificate counts.
///
/// [RFC 5280 §4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1): what comes before `validity` is skipped.
fn validity(certificate: &[u8]) -> der::Result<(Timestamp, Timestamp)> {
    let mut outer = SliceReader::new(certificate)?;
    Header::decode(&mut outer)?.tag.assert_eq(Tag::Sequence)?;
    let to_be_signed = Header::decode(&mut outer)?;
    to_be_signed.tag.assert_eq(Tag::Sequence)?;
    let mut fields = SliceReader::new(outer.read_slice(to_be_signed.length)?)?;
    let version = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    if fields.peek_tag()? == version {
        fields.tlv_bytes()?;
    }
    for field in [Tag::Integer, Tag::Sequence, Tag::Sequence] {
        fields.peek_tag()?.assert_eq(field)?;
        fields.tlv_bytes()?;
    }
    fields.sequence(|validity| Ok((moment(validity)?, moment(validity)?)))
}

fn moment<'a>(reader: &mut impl Reader<'a>) -> der::Result<Timestamp> {
    let since = match reader.peek_header()?.tag {
        Tag::UtcTime => UtcTime::decode(reader)?.to_unix_duration(),
        _ => GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    Ok(Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
}
