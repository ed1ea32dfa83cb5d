//! Sessions where they are kept, past the API, as an operator.

use async_trait::async_trait;

use super::{Owner, SignedIn};
use crate::app::Opened;
use crate::audit::By;
use crate::cli::Failure;
use crate::config::Settings;
use crate::ports::{StoreError, Timestamp};
use crate::tokens::revocation::EndReason;
use crate::tokens::session::{LiveSession, SessionId, SessionPage};
use crate::users::{LoginName, UserId, UserStore};

/// So many sessions are read at a time.
const PAGE: u32 = 500;

/// An installation with its database, and its Redis where the settings name one.
pub(super) struct Here<'a> {
    settings: &'a Settings,
    opened: &'a Opened,
    by: By,
    now: Timestamp,
}

impl<'a> Here<'a> {
    pub(super) const fn new(settings: &'a Settings, opened: &'a Opened, by: By, now: Timestamp) -> Self {
        Self { settings, opened, by, now }
    }

    async fn page(&self, owner: &Owner, after: Option<SessionId>) -> Result<SessionPage, StoreError> {
        let sessions = &self.opened.sessions;
        match owner {
            Owner::Person(id) => sessions.list_by_user(*id.as_uuid(), after, PAGE).await,
            Owner::Client(id) => sessions.list_by_client(id, after, PAGE).await,
        }
    }
}

#[async_trait(?Send)]
impl SignedIn for Here<'_> {
    async fn person(&self, name: &str) -> Result<Option<UserId>, Failure> {
        Ok(self.opened.store.find_user(&LoginName::parse(name)).await?.map(|user| user.id))
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<LiveSession>, Failure> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(owner, after).await?;
            all.extend(page.sessions.iter().map(|session| LiveSession::of(session, &self.settings.issuer)));
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    async fn load(&self, id: SessionId) -> Result<Option<LiveSession>, Failure> {
        let session = self.opened.sessions.load(id).await?;
        Ok(session.map(|session| LiveSession::of(&session, &self.settings.issuer)))
    }

    async fn end(&self, id: SessionId) -> Result<bool, Failure> {
        Ok(self.opened.sessions.end_named(id, self.now, EndReason::Admin, &self.by).await?)
    }

    async fn end_all(&self, owner: &Owner) -> Result<usize, Failure> {
        let sessions = &self.opened.sessions;
        Ok(match owner {
            Owner::Person(id) => sessions.end_all_of(*id.as_uuid(), None, EndReason::Admin, &self.by).await?,
            Owner::Client(id) => sessions.end_all_at(id, EndReason::Admin, &self.by).await?,
        })
    }
}
