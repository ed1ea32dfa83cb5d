//! The admin API: its guard, how its requests are read and its lists paged, and its endpoints.
//!
//! An endpoint is a function from a [`Call`] to an [`Answer`] or a [`Problem`], an [`Operation`] that names it, and a row
//! in the table of routes. It takes typed requests (`serde`, unknown members refused) and answers with typed views.
//!
//! Guarantees: no endpoint runs without a [`Caller`], whom only the [`Guard`] makes; a request is read strictly, whatever
//! it names that is not known is refused; who acts, from where and by which request is the same in the audit log as in
//! the log of requests.

mod audit;
mod caller;
mod clients;
mod cursor;
mod document;
mod guard;
mod key_views;
mod keys;
mod paging;
mod precondition;
mod query;
mod records;
mod resources;
mod sessions;
mod users;

use std::sync::Arc;

use actix_web::dev::RequestHead;

use super::Limits;
use super::answer::Answer;
use super::body::RequestBody;
use super::error::Problem;
use crate::audit::AuditLog;
use crate::clients::{Administration, Directory};
use crate::keys::KeyKeeper;
use crate::ports::Timestamp;
use crate::tokens::session::Sessions;
use crate::users::UserAdministration;

pub use clients::{Because, ClientPage, RegisterClient, ReplaceClient, RollSecret, RolledSecret};
pub use cursor::Cursors;
pub use guard::{Callers, Guard};
pub use key_views::{ActionView, KeyChangeView, KeyLife, KeyList, KeyView, TransitionView};
pub use keys::{ActivateKey, CompromiseKey, CreateKey, ImportKey, RetireKey, RotateKeys};
pub use paging::Page;
pub use records::{ImportReport, ImportUsers, RowReport};
pub use resources::{CreateResource, ReplaceResource, path_segment};
pub use sessions::EndedCount;
pub use users::{CreateUser, IssuedLink, ReplaceUser, UserPage};

pub(super) use caller::Caller;

/// What the admin API works with.
pub struct Admin {
    /// Who may call.
    pub guard: Guard,
    /// Where the pages of a list go on.
    pub cursors: Arc<Cursors>,
    /// What a request may take.
    pub limits: Limits,
    /// Changes the signing keys.
    pub keeper: Arc<KeyKeeper>,
    /// Changes clients and resources.
    pub administration: Administration,
    /// What this replica knows of them.
    pub directory: Arc<Directory>,
    /// Changes people's accounts.
    pub users: UserAdministration,
    /// The sessions of people, which changes of clients and accounts end.
    pub sessions: Arc<Sessions>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
}

impl Admin {
    /// The largest body, in bytes: a client may have ten keys and a hundred resources.
    pub const BODY: usize = 256 * 1024;
    /// The same where accounts are imported: 500 of them have 4 kB each.
    pub const IMPORT_BODY: usize = 2 * 1024 * 1024;
}

/// What can be done through the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListKeys,
    CreateKey,
    ImportKey,
    RotateKeys,
    ShowKey,
    ActivateKey,
    RetireKey,
    CompromiseKey,
    ListClients,
    RegisterClient,
    ShowClient,
    ReplaceClient,
    DeleteClient,
    RollSecret,
    DisableClient,
    EnableClient,
    ListResources,
    CreateResource,
    ShowResource,
    ReplaceResource,
    DeleteResource,
    ListUsers,
    CreateUser,
    ImportUsers,
    ExportUsers,
    ShowUser,
    ReplaceUser,
    DeleteUser,
    IssueLink,
    DisableUser,
    EnableUser,
    ListSessions,
    EndSessions,
    ShowSession,
    EndSession,
    ReadAudit,
}

/// A request that passed the guard.
pub(super) struct Call<'a> {
    /// Who calls.
    pub(super) caller: &'a Caller,
    /// What the path's parameters hold, decoded, in their order.
    pub(super) parameters: &'a [String],
    pub(super) head: &'a RequestHead,
    pub(super) body: &'a mut RequestBody,
    /// When the request came.
    pub(super) now: Timestamp,
}

impl Call<'_> {
    /// What the path's only parameter holds.
    fn parameter(&self) -> &str {
        self.parameters.first().map(String::as_str).unwrap_or_default()
    }
}

impl Operation {
    /// Does it. An error is an answer too.
    pub(super) async fn answer(self, admin: &Admin, call: Call<'_>) -> Answer {
        let client = call.caller.client_id().to_owned();
        let mut answer = self.run(admin, call).await.unwrap_or_else(Answer::from);
        answer.note.client = Some(client);
        answer
    }

    async fn run(self, admin: &Admin, mut call: Call<'_>) -> Result<Answer, Problem> {
        // What is sent and not read may have been meant, such as a reason.
        if !self.reads_a_body() && document::is_announced(call.head) {
            return Err(Problem::UnexpectedBody);
        }
        let call = &mut call;
        match self {
            Self::ListKeys => keys::list(admin, call).await,
            Self::CreateKey => keys::create(admin, call).await,
            Self::ImportKey => keys::import(admin, call).await,
            Self::RotateKeys => keys::rotate(admin, call).await,
            Self::ShowKey => keys::show(admin, call).await,
            Self::ActivateKey => keys::activate(admin, call).await,
            Self::RetireKey => keys::retire(admin, call).await,
            Self::CompromiseKey => keys::compromise(admin, call).await,
            Self::ListClients => clients::list(admin, call).await,
            Self::RegisterClient => clients::register(admin, call).await,
            Self::ShowClient => clients::show(admin, call).await,
            Self::ReplaceClient => clients::replace(admin, call).await,
            Self::DeleteClient => clients::delete(admin, call).await,
            Self::RollSecret => clients::roll_secret(admin, call).await,
            Self::DisableClient => clients::set_enabled(admin, call, false).await,
            Self::EnableClient => clients::set_enabled(admin, call, true).await,
            Self::ListResources => resources::list(admin, call).await,
            Self::CreateResource => resources::create(admin, call).await,
            Self::ShowResource => resources::show(admin, call).await,
            Self::ReplaceResource => resources::replace(admin, call).await,
            Self::DeleteResource => resources::delete(admin, call).await,
            Self::ListUsers => users::list(admin, call).await,
            Self::CreateUser => users::create(admin, call).await,
            Self::ImportUsers => records::import(admin, call).await,
            Self::ExportUsers => records::export(admin, call).await,
            Self::ShowUser => users::show(admin, call).await,
            Self::ReplaceUser => users::replace(admin, call).await,
            Self::DeleteUser => users::delete(admin, call).await,
            Self::IssueLink => users::issue_link(admin, call).await,
            Self::DisableUser => users::set_enabled(admin, call, false).await,
            Self::EnableUser => users::set_enabled(admin, call, true).await,
            Self::ListSessions => sessions::list(admin, call).await,
            Self::EndSessions => sessions::end_all(admin, call).await,
            Self::ShowSession => sessions::show(admin, call).await,
            Self::EndSession => sessions::end(admin, call).await,
            Self::ReadAudit => audit::page(admin, call).await,
        }
    }

    const fn reads_a_body(self) -> bool {
        match self {
            Self::CreateKey
            | Self::ImportKey
            | Self::RotateKeys
            | Self::ActivateKey
            | Self::RetireKey
            | Self::CompromiseKey
            | Self::RegisterClient
            | Self::ReplaceClient
            | Self::RollSecret
            | Self::DisableClient
            | Self::EnableClient
            | Self::CreateResource
            | Self::ReplaceResource
            | Self::CreateUser
            | Self::ImportUsers
            | Self::ReplaceUser
            | Self::IssueLink
            | Self::DisableUser
            | Self::EnableUser => true,
            Self::ListKeys
            | Self::ShowKey
            | Self::ListClients
            | Self::ShowClient
            | Self::DeleteClient
            | Self::ListResources
            | Self::ShowResource
            | Self::DeleteResource
            | Self::ListUsers
            | Self::ExportUsers
            | Self::ShowUser
            | Self::DeleteUser
            | Self::ListSessions
            | Self::EndSessions
            | Self::ShowSession
            | Self::EndSession
            | Self::ReadAudit => false,
        }
    }
}
