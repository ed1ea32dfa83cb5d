//! Tokens that this issuer signed itself, checked by the keys that it publishes now.
//!
//! Guarantees: the check is that of the library which every other service uses; a replica that was cut off for longer than
//! the lease calls nothing good.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use signet_verify::{AccessToken, Policy, verify};

use super::error::Problem;
use crate::keys::{Jwks, KeyRing};
use crate::ports::Timestamp;

/// The published keys, parsed once a change.
pub(super) struct OwnKeys {
    ring: Arc<KeyRing>,
    parsed: ArcSwapOption<Parsed>,
}

struct Parsed {
    of: Arc<Jwks>,
    keys: signet_verify::Jwks,
}

impl OwnKeys {
    /// Those of `ring`.
    pub(super) fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring, parsed: ArcSwapOption::empty() }
    }

    /// The claims of `token`, if it is one that `policy` admits at `now`.
    pub(super) fn verify(&self, policy: &Policy, token: &str, now: Timestamp) -> Result<AccessToken, Problem> {
        // A replica that was cut off for longer than the lease does not know which keys and clients are good.
        if !self.ring.is_confirmed(now) {
            return Err(Problem::Unavailable("the keys were not confirmed for longer than the lease".into()));
        }
        let since_epoch = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
        verify(&self.keys()?.keys, policy, token, since_epoch)
            .map_err(|error| Problem::InvalidToken(error.to_string().into()))
    }

    /// What was parsed before, while the set of keys is the same.
    fn keys(&self) -> Result<Arc<Parsed>, Problem> {
        let of = self.ring.jwks();
        if let Some(known) = self.parsed.load().as_ref()
            && Arc::ptr_eq(&known.of, &of)
        {
            return Ok(Arc::clone(known));
        }
        let unreadable = |error| Problem::Unavailable(format!("the published keys can't be read: {error}").into());
        let keys = signet_verify::Jwks::parse(of.body()).map_err(unreadable)?;
        let parsed = Arc::new(Parsed { of, keys });
        self.parsed.store(Some(Arc::clone(&parsed)));
        Ok(parsed)
    }
}
