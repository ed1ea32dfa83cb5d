//! base64url without padding, as JOSE writes it
//! ([RFC 7515 §2](https://www.rfc-editor.org/rfc/rfc7515#section-2)).
//!
//! Decoding is strict, so every byte string has exactly one text: no padding, no white space, no character of the
//! other alphabet, no trailing bits that are not zero.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The text is not strict base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64url without padding")]
pub struct NotBase64Url;

/// The one text of `bytes`.
///
/// ```
/// assert_eq!(signet_verify::base64url::encode([0xfb, 0xff]), "-_8");
/// ```
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the one text of `bytes` to `text`.
pub fn encode_into(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// How many characters `bytes` bytes become.
#[must_use]
pub const fn encoded_len(bytes: usize) -> usize {
    bytes / 3 * 4 + [0, 2, 3][bytes % 3]
}

/// The bytes of a text.
///
/// ```
/// use signet_verify::base64url;
///
/// assert_eq!(base64url::decode("-_8")?, [0xfb, 0xff]);
/// assert!(base64url::decode("-_8=").is_err()); // padding
/// assert!(base64url::decode("-_9").is_err()); // trailing bits
/// # Ok::<(), base64url::NotBase64Url>(())
/// ```
///
/// # Errors
/// When the text is not strict base64url.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64Url)
}

/// The bytes of a text that stands for exactly `N` of them.
///
/// # Errors
/// When the text is not strict base64url, or stands for another number of bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], NotBase64Url> {
    decode(text)?.try_into().map_err(|_| NotBase64Url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_the_one_text_of_its_bytes_is_refused() {
        for text in ["A", "AA==", "AA=", "AB", "AAB", "A A", " AA", "AA ", "AA\n", "+/8", "AAAA=", "=", "é", "AAAAA"] {
            assert_eq!(decode(text), Err(NotBase64Url), "{text:?}");
        }
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode_array::<2>("AAA"), Ok([0, 0]));
        assert_eq!(decode_array::<3>("AAA"), Err(NotBase64Url));
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn a_text_that_decodes_is_the_one_text_of_its_bytes(text in "[A-Za-z0-9_=+/-]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(bytes), text);
            }
        }
    }
}
