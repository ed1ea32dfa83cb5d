//! One-time links by which somebody chooses a password: what stands in one, and what is kept of it.
//!
//! Guarantees: a link is good once, for a bounded time and for the password that was there when it was made; what is kept
//! of it opens nothing.

use std::time::Duration;

use signet_verify::base64url;
use zeroize::Zeroizing;

use super::{User, UserId};
use crate::ports::{Entropy, Timestamp};
use crate::secret::{SecretDigest, SecretText};

/// Lets scanners of public code find a leaked one.
const PREFIX: &str = "spl_";
const RANDOM: usize = 32;

/// What is kept of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordLink {
    /// SHA-256 of its token, which is random enough (256 bits) to need no slow hash.
    pub digest: SecretDigest,
    /// Whose password it sets.
    pub user: UserId,
    /// The account's `password_version` for which it is good.
    pub password_version: i64,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl PasswordLink {
    /// A link for the password that `user` has now, and the token for its owner: here and never again.
    pub fn issue(user: &User, lifetime: Duration, entropy: &dyn Entropy, now: Timestamp) -> (Self, SecretText) {
        let mut random = Zeroizing::new([0; RANDOM]);
        entropy.fill(random.as_mut());
        // Sized at once: a text that grows would leave copies of its beginning behind.
        let mut token = String::with_capacity(PREFIX.len() + base64url::encoded_len(RANDOM));
        token.push_str(PREFIX);
        base64url::encode_into(random.as_ref(), &mut token);
        let digest = SecretDigest::of(token.as_bytes());
        let expires_at = now.plus(lifetime);
        (Self { digest, user: user.id, password_version: user.password_version, expires_at }, SecretText::new(token))
    }

    /// The digest under which the link of this token is kept; `None` for what no token can be.
    pub fn digest_of(token: &str) -> Option<SecretDigest> {
        let random = token.strip_prefix(PREFIX)?;
        (random.len() == base64url::encoded_len(RANDOM)).then(|| SecretDigest::of(token.as_bytes()))
    }

    /// Whether it is good for `user` at `now`.
    pub fn is_good(&self, user: &User, now: Timestamp) -> bool {
        self.user == user.id && self.password_version == user.password_version && now < self.expires_at
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::SystemEntropy;
    use crate::users::{StoredPassword, Username};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_link_is_good_for_its_time_its_account_and_the_password_that_was_there() {
        let user = User::new(Username::parse("ann").unwrap(), None, NOW);
        let (link, token) = PasswordLink::issue(&user, DAY, &SystemEntropy, NOW);
        assert_eq!(PasswordLink::digest_of(token.expose()), Some(link.digest));
        assert!(link.is_good(&user, NOW) && !link.is_good(&user, NOW.plus(DAY)));
        let other = User::new(Username::parse("bob").unwrap(), None, NOW);
        assert!(!link.is_good(&other, NOW));
        let stored = StoredPassword::parse("$2b$04$abcdefghijklmnopqrstuuOZOPQ0xwmZWdn8XWu1QEqNQcHLj5hUu").unwrap();
        assert!(!link.is_good(&user.with_password(stored, false, NOW), NOW));
    }

    #[test]
    fn what_no_token_can_be_is_looked_up_nowhere() {
        let user = User::new(Username::parse("ann").unwrap(), None, NOW);
        let (_, token) = PasswordLink::issue(&user, DAY, &SystemEntropy, NOW);
        let token = token.expose();
        for wrong in ["", "spl_", &token[4..], &token[..token.len() - 1], &format!("{token}A"), &token.to_uppercase()] {
            assert!(PasswordLink::digest_of(wrong).is_none_or(|digest| Some(digest) != PasswordLink::digest_of(token)));
        }
    }
}
