//! Sessions through the admin API of a server, as the client whose token it is.

use async_trait::async_trait;

use super::{Owner, SignedIn};
use crate::cli::Failure;
use crate::cli::acting::{Acting, unless};
use crate::cli::remote::Api;
use crate::http::EndedCount;
use crate::tokens::session::{LiveSession, SessionId};
use crate::users::{LoginName, UserId, UserView};

const SESSIONS: &str = "sessions";
const ABSENT: &str = "no_such_session";

/// An admin API.
pub(super) struct There<'a>(Acting<'a>);

impl<'a> There<'a> {
    /// Ending all sessions at a client may take its time.
    pub(super) fn new(api: Api, reason: &'a str) -> Self {
        Self(Acting::new(api.patient(), reason))
    }
}

impl Owner {
    /// The filter that names it.
    fn filter(&self) -> (&'static str, String) {
        match self {
            Self::Person(id) => ("user", id.to_string()),
            Self::Client(id) => ("client", id.as_str().to_owned()),
        }
    }
}

fn session(id: SessionId) -> String {
    format!("{SESSIONS}/{id}")
}

#[async_trait(?Send)]
impl SignedIn for There<'_> {
    async fn person(&self, name: &str) -> Result<Option<UserId>, Failure> {
        let filter = match LoginName::parse(name) {
            LoginName::Username(_) => "username",
            LoginName::Email(_) => "email",
            LoginName::Nobody(_) => return Ok(None),
        };
        let found: Option<UserView> = self.0.api.pages("users", &[(filter, name)], 1).await?.items.pop();
        found.map(|user| user.id.parse().map_err(Failure::refused)).transpose()
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<LiveSession>, Failure> {
        let (name, value) = owner.filter();
        Ok(self.0.api.pages(SESSIONS, &[(name, &value)], usize::MAX).await?.items)
    }

    async fn load(&self, id: SessionId) -> Result<Option<LiveSession>, Failure> {
        unless(ABSENT, self.0.api.get(&session(id), &[]).await)
    }

    async fn end(&self, id: SessionId) -> Result<bool, Failure> {
        let ended = self.0.api.end::<EndedCount>(&session(id), &self.0.query(&[])).await;
        Ok(unless(ABSENT, ended)?.is_some())
    }

    async fn end_all(&self, owner: &Owner) -> Result<usize, Failure> {
        let (name, value) = owner.filter();
        let ended = self.0.api.end::<EndedCount>(SESSIONS, &self.0.query(&[(name, &value)])).await?;
        Ok(ended.map(|count| count.ended).unwrap_or_default())
    }
}
