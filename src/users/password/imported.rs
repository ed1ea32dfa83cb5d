//! The checks of hashes that other programs made. None is ever made here: the first login replaces it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use subtle::ConstantTimeEq;

use super::stored::Pbkdf2Digest;

/// bcrypt takes no more of a password, wherever it is used.
const BCRYPT_LIMIT: usize = 72;

pub(super) fn bcrypt(password: &str, cost: u32, salt: [u8; 16], hash: &[u8]) -> bool {
    // As in C: the NUL at the end of a shorter password counts.
    let mut key = zeroize::Zeroizing::new(Vec::with_capacity(password.len() + 1));
    key.extend_from_slice(password.as_bytes());
    key.push(0);
    key.truncate(BCRYPT_LIMIT);
    let made = bcrypt::bcrypt(cost, salt, &key);
    // Of the 24 bytes that come out every program keeps 23.
    made[..made.len() - 1].ct_eq(hash).into()
}

pub(super) fn scrypt(password: &str, (log_n, r, p): (u8, u32, u32), salt: &[u8], hash: &[u8]) -> bool {
    let Ok(parameters) = scrypt::Params::new(log_n, r, p) else { return false };
    let mut made = vec![0; hash.len()];
    scrypt::scrypt(password.as_bytes(), salt, &parameters, &mut made).is_ok() && made.ct_eq(hash).into()
}

pub(super) fn pbkdf2(password: &str, digest: Pbkdf2Digest, rounds: NonZeroU32, salt: &[u8], hash: &[u8]) -> bool {
    let algorithm = match digest {
        Pbkdf2Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    };
    pbkdf2::verify(algorithm, rounds, salt, password.as_bytes(), hash).is_ok()
}
