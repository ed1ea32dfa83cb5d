//! What a browser or an app is known by, once its owner has signed in with it.
//!
//! Guarantees: a token is 128 random bits and never shows in `Debug`; what is kept of it (a [`DeviceTag`]) makes no token.
//! **It is no credential**: it lets nobody in, it only has failures counted as the owner's in place of a stranger's. So the
//! tag is short: to meet one of the few that a name has takes 2^60 guesses, and wins no more than that.

use signet_verify::base64url;
use zeroize::Zeroizing;

use crate::ports::Entropy;
use crate::secret::{SecretText, sha256};

/// Lets scanners of public code find a leaked one.
const PREFIX: &str = "sdt_";
const RANDOM: usize = 16;
/// What only tags are made with.
const DOMAIN: &[u8] = b"signet device tag\0";

/// What is kept of a device token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DeviceTag(u64);

impl DeviceTag {
    /// What was kept as [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As a number, to be kept.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// What a device presents: one a browser, whoever signs in there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceToken(SecretText);

impl DeviceToken {
    /// A token that no device has yet.
    pub fn issue(entropy: &dyn Entropy) -> Self {
        let mut random = Zeroizing::new([0; RANDOM]);
        entropy.fill(random.as_mut());
        // Sized at once: a text that grows would leave copies of its beginning behind.
        let mut token = String::with_capacity(PREFIX.len() + base64url::encoded_len(RANDOM));
        token.push_str(PREFIX);
        base64url::encode_into(random.as_ref(), &mut token);
        Self(SecretText::new(token))
    }

    /// The token that `text` is; `None` for what no token can be.
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        if random.len() != base64url::encoded_len(RANDOM) {
            return None;
        }
        let bytes = Zeroizing::new(base64url::decode(random).ok()?);
        (bytes.len() == RANDOM).then(|| Self(SecretText::new(text.to_owned())))
    }

    /// The token itself: for the device that is to keep it, never for a log.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is kept of it.
    pub fn tag(&self) -> DeviceTag {
        let mut text = Zeroizing::new(Vec::with_capacity(DOMAIN.len() + self.expose().len()));
        text.extend_from_slice(DOMAIN);
        text.extend_from_slice(self.expose().as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = sha256(&text);
        DeviceTag(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::SystemEntropy;

    #[test]
    fn a_token_is_known_by_its_tag_and_by_nothing_that_it_shows() {
        let token = DeviceToken::issue(&SystemEntropy);
        assert!(token.expose().starts_with("sdt_") && token.expose().len() == 26);
        let again = DeviceToken::parse(token.expose()).unwrap();
        assert_eq!((again.tag(), again.expose()), (token.tag(), token.expose()));
        assert_ne!(DeviceToken::issue(&SystemEntropy).tag(), token.tag());
        assert!(!format!("{token:?}").contains(&token.expose()[4..]));
        assert_eq!(DeviceTag::from_bits(token.tag().to_bits()), token.tag());
        // Kept by stores: it must never change.
        let fixed = DeviceToken::parse("sdt_AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let expected = sha256(b"signet device tag\0sdt_AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(fixed.tag().to_bits().to_be_bytes(), expected[..8]);
    }

    #[test]
    fn what_no_token_can_be_is_none() {
        let token = DeviceToken::issue(&SystemEntropy);
        let text = token.expose();
        for wrong in [
            "",
            "sdt_",
            &text[4..],
            &text[..25],
            &format!("{text}A"),
            &format!(" {text}"),
            &text.replacen("sdt_", "SDT_", 1),
            "sdt_AAAAAAAAAAAAAAAAAAAAA=",
            "sdt_AAAAAAAAAAAAAAAAAAAA.A",
            // The last character has bits that are not the token's.
            "sdt_AAAAAAAAAAAAAAAAAAAAAB",
        ] {
            assert_eq!(DeviceToken::parse(wrong), None, "{wrong}");
        }
    }
}
