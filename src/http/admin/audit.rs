//! `GET /admin/v1/audit`: the audit log, newest first.

use super::paging::{PARAMETERS, Wanted, json};
use super::query::Query;
use super::{Admin, Call};
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::http::answer::Answer;
use crate::http::error::Problem;

const ROUTE: &str = "/admin/v1/audit";
const FILTERS: [&str; 5] = ["act", "subject", "actor", "since", "until"];
const MOMENT: &str = "a moment in UTC, such as 2026-11-22T00:29:54Z";

pub(super) async fn page(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &[&PARAMETERS[..], &FILTERS].concat())?;
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    let filter = AuditFilter {
        act: query.typed("act", "the name of an act, such as clients.create", Act::from_name)?,
        subject: query.typed("subject", "a text that is not empty", text)?,
        actor: query.typed("actor", "a text that is not empty", text)?,
        since: query.typed("since", MOMENT, |value| value.parse().ok())?,
        until: query.typed("until", MOMENT, |value| value.parse().ok())?,
    };
    let wanted = Wanted::read(admin, ROUTE, &query, &FILTERS)?;
    // What the code vouches for is a number.
    let before = wanted.after.as_deref().map(|after| after.parse().map_err(|_| Problem::InvalidCursor)).transpose()?;
    let rows = admin.audit.audit_page(&filter, before, wanted.limit()).await?;
    let entries = rows.into_iter().map(|row| (row.number.to_string(), AuditEntry::from(row)));
    Ok(json(&wanted.page(admin, entries.collect())))
}
