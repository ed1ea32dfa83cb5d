//! `/admin/v1/users/import` and `/admin/v1/users/export`: accounts with the hashes of their passwords.
//!
//! Guarantees: each row is taken or refused by itself, and each has its answer in its place; nothing of a hash is in an
//! answer to an import; hashes leave only after the audit log says to whom.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};
use tracing::error;
use utoipa::ToSchema;

use super::paging::{PARAMETERS, Wanted, json};
use super::precondition::IfMatch;
use super::query::Query;
use super::users::{after, page_of};
use super::{Admin, Call};
use crate::audit::Act;
use crate::clients::Request;
use crate::http::answer::Answer;
use crate::http::error::Problem;
use crate::http::{Limits, document};
use crate::ports::StoreError;
use crate::users::{UserAdministrationError, UserRecord};

const EXPORT: &str = "/admin/v1/users/export";
/// The most rows of one call.
const MOST_ROWS: usize = 500;

/// Takes accounts over from another program.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportUsers {
    /// The accounts, at most 500.
    #[schema(value_type = Vec<UserRecord>, min_items = 1, max_items = 500)]
    pub users: Vec<Value>,
    /// Whether everybody is to choose another password at the first login.
    #[serde(default)]
    pub must_change_password: bool,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What became of the rows of an import.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// How many are accounts now.
    pub imported: usize,
    /// What became of each, in the order in which they were sent.
    pub rows: Vec<RowReport>,
}

/// What became of a row.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RowReport {
    /// The identifier that the account has; absent where the row was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why it was refused, for programs; a problem's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl RowReport {
    fn refused(problem: Problem) -> Self {
        let (code, why) = problem.in_short();
        Self { id: None, code: Some(code.to_owned()), why: Some(why) }
    }
}

pub(super) async fn import(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let limits = Limits { body: Admin::IMPORT_BODY, ..admin.limits };
    let ImportUsers { users, must_change_password, reason } = document::read(call.head, call.body, limits).await?;
    if !(1..=MOST_ROWS).contains(&users.len()) {
        let why = format!("from 1 to {MOST_ROWS} accounts a call");
        return Err(Problem::InvalidMember { name: Some("users".to_owned()), why });
    }
    let by = call.caller.because(reason)?;
    let request = Request { by: &by, power: &call.caller.power, expected: None };
    let (mut rows, mut away) = (Vec::with_capacity(users.len()), None::<StoreError>);
    for row in users {
        if let Some(error) = &away {
            // No row after it would fare better, and whoever sent them learns which are in.
            rows.push(RowReport::refused(error.clone().into()));
            continue;
        }
        rows.push(match take(admin, request, row, must_change_password).await {
            Ok(id) => RowReport { id: Some(id), ..RowReport::default() },
            Err(Problem::Store(error @ StoreError::Unavailable(_))) => {
                away = Some(error.clone());
                RowReport::refused(error.into())
            }
            Err(problem) => RowReport::refused(problem),
        });
    }
    let imported = rows.iter().filter(|row| row.id.is_some()).count();
    match away {
        Some(error) if imported == 0 => Err(error.into()),
        _ => Ok(json(&ImportReport { imported, rows })),
    }
}

/// Takes one account over, and answers its identifier.
async fn take(admin: &Admin, request: Request<'_>, row: Value, must_change: bool) -> Result<String, Problem> {
    let record =
        UserRecord::deserialize(row).map_err(|error| Problem::InvalidRow(UserRecord::what_is_wrong(&error)))?;
    let import = record.import(must_change).map_err(|error| Problem::InvalidRow(error.to_string()))?;
    match admin.users.import(request, &import).await {
        Ok(user) => Ok(user.id.to_string()),
        Err(UserAdministrationError::Store(error)) => {
            error!(%error, "an account could not be taken over");
            Err(error.into())
        }
        Err(other) => Err(other.into()),
    }
}

pub(super) async fn export(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &[&PARAMETERS[..], &["reason"]].concat())?;
    let by = call.caller.because(query.get("reason").map(str::to_owned))?;
    let wanted = Wanted::read(admin, EXPORT, &query, &[])?;
    let users = admin.users.users(after(&wanted)?.as_ref(), wanted.limit()).await?;
    let page = page_of(admin, &wanted, users, |user| UserRecord::of(user, true));
    let detail = object!({ "accounts": page.page.items.len() });
    admin.audit.record(&by.entry(Act::UsersExport, "", detail)).await?;
    Ok(json(&page))
}
