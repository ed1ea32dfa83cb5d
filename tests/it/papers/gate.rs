//! The Rust sample of `docs/verify.md`, word for word below this line: compiled here, and tried on a running issuer.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signet_verify::{AccessToken, Jwks, Policy, VerifyError, verify};

pub struct Gate {
    policy: Policy,
    jwks_uri: String,
    jwks: RwLock<Arc<Jwks>>,
}

impl Gate {
    /// For the tokens of `issuer` that are for `audience`; knows no key until `refresh` was called.
    pub fn new(issuer: &str, audience: &str) -> Self {
        let jwks_uri = format!("{issuer}/.well-known/jwks.json");
        Self { policy: Policy::new(issuer, audience), jwks_uri, jwks: RwLock::default() }
    }

    /// Call it at the start, every five minutes, and when `check` says `UnknownKey`, then at most every 30 s.
    /// When it fails, the keys at hand stay.
    pub async fn refresh(&self, http: &reqwest::Client) -> Result<(), Box<dyn Error>> {
        let request = http.get(&self.jwks_uri).timeout(Duration::from_secs(5));
        let body = request.send().await?.error_for_status()?.bytes().await?;
        let fresh = Arc::new(Jwks::parse(&body)?);
        *self.jwks.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub fn check(&self, token: &str) -> Result<AccessToken, VerifyError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let jwks = Arc::clone(&self.jwks.read().unwrap_or_else(PoisonError::into_inner));
        let token = verify(&jwks, &self.policy, token, now)?;
        // Bound to a key: whoever does not check the proof must refuse it.
        if token.cnf.is_some() { Err(VerifyError::BadClaim("cnf")) } else { Ok(token) }
    }
}
