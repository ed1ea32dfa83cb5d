//! Accounts on the database itself, past the API and its powers, as an operator.

use async_trait::async_trait;
use serde_json::json;

use super::{Accounts, Change, DamagedUser, Sink, Taken, Users};
use crate::audit::{Act, By};
use crate::cli::Failure;
use crate::cli::acting::Outcome;
use crate::clients::{Power, Request};
use crate::http::IssuedLink;
use crate::ports::StoreError;
use crate::store::sql::SqlStore;
use crate::users::{
    Password, User, UserAdministration, UserAdministrationError, UserId, UserMetadata, UserRecord, UserView,
};

/// So many accounts are read at a time.
const PAGE: u32 = 500;

/// The database of an installation.
pub(super) struct Here<'a> {
    administration: UserAdministration,
    store: &'a SqlStore,
    by: By,
}

impl<'a> Here<'a> {
    pub(super) const fn new(administration: UserAdministration, store: &'a SqlStore, by: By) -> Self {
        Self { administration, store, by }
    }

    /// Whoever has the stores in their hands may change whatever there is.
    const fn request(&self) -> Request<'_> {
        Request { by: &self.by, power: &Power::Everything, expected: None }
    }

    /// Hands each account to `take`, the oldest first, for as long as it wants more.
    async fn each(
        &self,
        mut take: impl FnMut(UserId, Result<User, StoreError>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let page = self.administration.users(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for (id, user) in page {
                after = Some(id);
                if !take(id, user)? {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

fn damaged(id: UserId, why: &StoreError) -> DamagedUser {
    DamagedUser { id: id.to_string(), why: Some(why.to_string()) }
}

fn id_of(seen: &UserView) -> Result<UserId, Failure> {
    seen.id.parse().map_err(Failure::refused)
}

fn outcome(seen: &UserView, user: &User) -> Outcome<UserView> {
    Outcome { changed: user.version != seen.version, now: UserView::of(user) }
}

#[async_trait(?Send)]
impl Accounts for Here<'_> {
    async fn users(&self) -> Result<Users, Failure> {
        let mut users = Users::default();
        self.each(|id, user| {
            match user {
                Ok(user) => users.readable.push(UserView::of(&user)),
                Err(why) => users.damaged.push(damaged(id, &why)),
            }
            Ok(true)
        })
        .await?;
        Ok(users)
    }

    async fn find(&self, name: &str) -> Result<Option<UserView>, Failure> {
        match self.administration.find(name).await {
            Err(UserAdministrationError::Absent) => Ok(None),
            found => Ok(Some(UserView::of(&found?))),
        }
    }

    async fn create(&self, metadata: &UserMetadata, password: Option<Password>) -> Result<UserView, Failure> {
        Ok(UserView::of(&self.administration.create(self.request(), metadata, password).await?))
    }

    async fn change(&self, seen: &UserView, change: &Change<'_>) -> Result<Outcome<UserView>, Failure> {
        let apply = |user: &mut User, _| {
            let mut metadata = UserMetadata::of(user);
            change(&mut metadata);
            Ok(metadata.apply(user)?)
        };
        let user = self.administration.change(self.request(), Act::UsersUpdate, &id_of(seen)?, apply).await?;
        Ok(outcome(seen, &user))
    }

    async fn set_enabled(&self, seen: &UserView, enabled: bool) -> Result<Outcome<UserView>, Failure> {
        let user = self.administration.set_enabled(self.request(), &id_of(seen)?, enabled).await?;
        Ok(outcome(seen, &user))
    }

    async fn issue_link(&self, seen: &UserView) -> Result<IssuedLink, Failure> {
        let (link, token) = self.administration.issue_link(self.request(), &id_of(seen)?).await?;
        Ok(IssuedLink {
            id: seen.id.clone(),
            link_token: token.expose().to_owned(),
            expires_at: link.expires_at.to_string(),
        })
    }

    async fn delete(&self, id: &str) -> Result<(), Failure> {
        let id = id.parse().map_err(Failure::refused)?;
        match self.administration.delete(self.request(), &id).await {
            Ok(()) | Err(UserAdministrationError::Absent) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    fn rows_at_once(&self) -> usize {
        1
    }

    async fn import(&self, records: Vec<UserRecord>, must_change: bool) -> Result<Taken, Failure> {
        let mut taken = Taken { rows: Vec::with_capacity(records.len()), ended: None };
        for record in records {
            let row = match record.import(must_change) {
                Err(why) => Err(why.to_string()),
                Ok(import) => match self.administration.import(self.request(), &import).await {
                    Ok(_) => Ok(()),
                    // The next row would fare no better.
                    Err(UserAdministrationError::Store(error @ StoreError::Unavailable(_))) => {
                        taken.ended = Some(error.to_string());
                        return Ok(taken);
                    }
                    Err(error) => Err(error.to_string()),
                },
            };
            taken.rows.push(row);
        }
        Ok(taken)
    }

    async fn export(&self, with_hashes: bool, take: &mut Sink<'_>) -> Result<Vec<DamagedUser>, Failure> {
        if with_hashes {
            // Before any of them leaves.
            self.store.append(&self.by.entry(Act::UsersExport, "", json!({}))).await?;
        }
        let mut unreadable = Vec::new();
        self.each(|id, user| match user {
            Ok(user) => take(&UserRecord::of(&user, with_hashes)),
            Err(why) => {
                unreadable.push(damaged(id, &why));
                Ok(true)
            }
        })
        .await?;
        Ok(unreadable)
    }
}
