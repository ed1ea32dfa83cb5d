//! Accounts through the admin API of a server, as the client whose token it is.

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;

use super::{Accounts, Change, DamagedUser, Sink, Taken, Users};
use crate::cli::Failure;
use crate::cli::acting::{Acting, Outcome, Versioned, unless};
use crate::cli::remote::{Api, Page, Version};
use crate::http::{ImportReport, IssuedLink, RowReport};
use crate::users::{LoginName, Password, UserId, UserMetadata, UserRecord, UserView};

const USERS: &str = "users";
const ABSENT: &str = "no_such_user";
/// What a row is answered with that was not tried, or not to the end.
const AWAY: &str = "temporarily_unavailable";
/// So many rows of an import go into a call: far fewer bytes than the API takes, and soon done.
const ROWS: usize = 100;

/// An admin API.
pub(super) struct There<'a>(Acting<'a>);

impl<'a> There<'a> {
    /// Calls that carry many rows take their time.
    pub(super) fn new(api: Api, reason: &'a str) -> Self {
        Self(Acting::new(api.patient(), reason))
    }
}

impl Versioned for UserView {
    fn version(&self) -> i64 {
        self.version
    }
}

fn user(id: &str) -> String {
    format!("{USERS}/{id}")
}

/// An account as it is listed, as a record: without its hash.
fn record(listed: UserView) -> UserRecord {
    let UserView { id, metadata, enabled, password, .. } = listed;
    UserRecord {
        id: Some(id),
        username: Some(metadata.username),
        email: metadata.email,
        roles: metadata.roles,
        attributes: metadata.attributes,
        enabled,
        password_hash: None,
        must_change_password: password.is_some_and(|password| password.must_change),
    }
}

#[async_trait(?Send)]
impl Accounts for There<'_> {
    async fn users(&self) -> Result<Users, Failure> {
        let listed = self.0.api.pages(USERS, &[], usize::MAX).await?;
        Ok(Users { readable: listed.items, damaged: listed.damaged.into_iter().map(unreadable).collect() })
    }

    async fn find(&self, name: &str) -> Result<Option<UserView>, Failure> {
        if let Ok(id) = name.parse::<UserId>() {
            return unless(ABSENT, self.0.api.get(&user(&id.to_string()), &[]).await);
        }
        let filter = match LoginName::parse(name) {
            LoginName::Username(_) => "username",
            LoginName::Email(_) => "email",
            LoginName::Nobody(_) => return Ok(None),
        };
        Ok(self.0.api.pages(USERS, &[(filter, name)], 1).await?.items.pop())
    }

    async fn create(&self, metadata: &UserMetadata, password: Option<Password>) -> Result<UserView, Failure> {
        let mut body = self.0.because(json!(metadata));
        if let Some(password) = password {
            body["password"] = password.expose().into();
        }
        self.0.api.post(USERS, &body).await
    }

    async fn change(&self, seen: &UserView, change: &Change<'_>) -> Result<Outcome<UserView>, Failure> {
        let body = |seen: &UserView| {
            let mut metadata = seen.metadata.clone();
            change(&mut metadata);
            json!(metadata)
        };
        self.0.change(Method::PUT, (&user(&seen.id), ""), seen, body).await
    }

    async fn set_enabled(&self, seen: &UserView, enabled: bool) -> Result<Outcome<UserView>, Failure> {
        let act = if enabled { "/enable" } else { "/disable" };
        self.0.change(Method::POST, (&user(&seen.id), act), seen, |_| json!({})).await
    }

    async fn issue_link(&self, seen: &UserView) -> Result<IssuedLink, Failure> {
        let path = format!("{}/password-link", user(&seen.id));
        self.0.api.change(Method::POST, &path, Version::Any, &self.0.because(json!({}))).await
    }

    async fn delete(&self, id: &str) -> Result<(), Failure> {
        // What can't be an identifier would be another path.
        let id: UserId = id.parse().map_err(Failure::refused)?;
        self.0.delete(&user(&id.to_string()), ABSENT).await
    }

    fn rows_at_once(&self) -> usize {
        ROWS
    }

    async fn import(&self, records: Vec<UserRecord>, must_change: bool) -> Result<Taken, Failure> {
        let body = self.0.because(json!({ "users": records, "must_change_password": must_change }));
        let report: ImportReport = match self.0.api.post("users/import", &body).await {
            Ok(report) => report,
            Err(Failure::Unavailable(why)) => return Ok(Taken { rows: Vec::new(), ended: Some(why) }),
            Err(other) => return Err(other),
        };
        let mut taken = Taken { rows: Vec::with_capacity(report.rows.len()), ended: None };
        for RowReport { id, code, why } in report.rows {
            if code.as_deref() == Some(AWAY) {
                taken.ended = why;
                break;
            }
            taken.rows.push(match id {
                Some(_) => Ok(()),
                None => Err(why.or(code).unwrap_or_default()),
            });
        }
        Ok(taken)
    }

    async fn export(&self, with_hashes: bool, take: &mut Sink<'_>) -> Result<Vec<DamagedUser>, Failure> {
        let (mut damaged, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (items, unread, next) = if with_hashes {
                let reason = self.0.query(&[]);
                let page: Page<UserRecord> =
                    self.0.api.page("users/export", &reason, cursor.as_deref(), usize::MAX).await?;
                (page.items, page.damaged, page.next_cursor)
            } else {
                let page: Page<UserView> = self.0.api.page(USERS, &[], cursor.as_deref(), usize::MAX).await?;
                (page.items.into_iter().map(record).collect(), page.damaged, page.next_cursor)
            };
            damaged.extend(unread.into_iter().map(unreadable));
            for record in &items {
                if !take(record)? {
                    return Ok(damaged);
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(damaged);
            }
        }
    }
}

const fn unreadable(id: String) -> DamagedUser {
    DamagedUser { id, why: None }
}
