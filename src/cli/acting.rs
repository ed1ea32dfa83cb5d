//! Changing what is there through the admin API, for a reason.
//!
//! Guarantees: a change that another came before is made anew to what is there by then; what someone else removed
//! meanwhile is gone as was asked.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;
use super::remote::{Api, STALE, Version};
use crate::clients::AdministrationError;

/// How often a change that another came before is made anew.
const ATTEMPTS: usize = 8;

/// What became of something.
pub(super) struct Outcome<T> {
    pub(super) now: T,
    /// Whether it is another than before.
    pub(super) changed: bool,
}

/// What counts its changes.
pub(super) trait Versioned: DeserializeOwned {
    fn version(&self) -> i64;
}

/// An admin API, and why it is asked to change things.
pub(super) struct Acting<'a> {
    pub(super) api: Api,
    reason: &'a str,
}

impl<'a> Acting<'a> {
    pub(super) const fn new(api: Api, reason: &'a str) -> Self {
        Self { api, reason }
    }

    /// `body` with the reason, where there is one.
    pub(super) fn because(&self, mut body: Value) -> Value {
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        body
    }

    /// The reason for a query, where there is one, behind `query`.
    pub(super) fn query<'q>(&'q self, query: &[(&'q str, &'q str)]) -> Vec<(&'q str, &'q str)> {
        let reason = Some(("reason", self.reason)).filter(|(_, reason)| !reason.is_empty());
        query.iter().copied().chain(reason).collect()
    }

    /// Sends what `body` makes of what was `seen` at `path`, and of what is there by now where another change came
    /// before. It goes to `act` below that path.
    pub(super) async fn change<T: Versioned>(
        &self,
        method: Method,
        (path, act): (&str, &str),
        seen: &T,
        body: impl Fn(&T) -> Value,
    ) -> Result<Outcome<T>, Failure> {
        let (to, mut newer) = (format!("{path}{act}"), None::<T>);
        for _ in 0..ATTEMPTS {
            let seen = newer.as_ref().unwrap_or(seen);
            let body = self.because(body(seen));
            match self.api.change::<T>(method.clone(), &to, Version::Exactly(seen.version()), &body).await {
                Ok(now) => return Ok(Outcome { changed: now.version() != seen.version(), now }),
                Err(Failure::Coded { code, .. }) if code == STALE => newer = Some(self.api.get(path, &[]).await?),
                Err(other) => return Err(other),
            }
        }
        Err(AdministrationError::Contended.into())
    }

    /// Removes what is at `path`, of whatever version; `absent` is what the API says where there is nothing.
    pub(super) async fn delete(&self, path: &str, absent: &str) -> Result<(), Failure> {
        unless(absent, self.api.delete(path, &self.query(&[])).await).map(Option::unwrap_or_default)
    }
}

/// `None` where the API refuses with `code`.
pub(super) fn unless<T>(code: &str, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(Failure::Coded { code: told, .. }) if told == code => Ok(None),
        answer => answer.map(Some),
    }
}
