//! `/auth`: the JSON API that login frontends sign people in with.
//!
//! Guarantees: only first-party clients are served; a page is served only when its origin is registered for the client
//! concerned, and reads an answer only when some such client has it; a cookie counts only in a request that no foreign
//! page can make; whose session it is stands in a refresh token or in an access token that the verifier library has
//! checked, and in nothing else; every body is read strictly.

mod account;
mod bodies;
mod client;
mod cookie;
mod device;
mod known_device;
mod login;
mod origin;
mod person;
mod refresh;
mod registration;
mod sessions;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::RequestHead;
use serde::de::DeserializeOwned;

use self::origin::Pages;
use super::Http;
use super::answer::Answer;
use super::body::RequestBody;
use super::document;
use super::error::Problem;
use crate::audit::{AuditLog, By};
use crate::ports::{Entropy, Timestamp};
use crate::users::Accounts;
use crate::users::attempts::{Caller, DeviceToken};

pub use bodies::{
    ChangePassword, LogIn, LogOut, LoggedIn, MeView, Refresh, Register, RegisteredUser, SessionList, SessionView,
};
pub(super) use origin::preflight;
pub use person::PersonGuard;

/// How logins come out, in short: for counting. The reasons why credentials are refused come after these.
pub const LOGIN_OUTCOMES: [&str; 5] = ["success", "too_many", "busy", "must_change_password", "error"];

/// What the routes of `/auth` work with.
pub struct Auth {
    /// People's accounts.
    pub accounts: Accounts,
    /// Knows people by their access tokens.
    pub person: PersonGuard,
    /// Whether anybody may make an account.
    pub registration: bool,
    /// Where the beginnings of sessions are entered.
    pub audit: Arc<dyn AuditLog>,
    /// What device tokens are made of.
    pub entropy: Arc<dyn Entropy>,
}

impl Auth {
    /// The largest body, in bytes: a password of the longest kind, each character escaped, and room for the rest.
    pub const BODY: usize = 16 * 1024;

    /// A token for a device that presented none.
    fn new_device(&self) -> DeviceToken {
        DeviceToken::issue(&*self.entropy)
    }
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthOperation {
    Register,
    LogIn,
    Refresh,
    LogOut,
    Me,
    Password,
    ListSessions,
    EndOtherSessions,
    EndSession,
}

/// A request, as operations see it.
pub(super) struct Call<'a> {
    pub(super) http: &'a Http,
    pub(super) auth: &'a Auth,
    pub(super) head: &'a RequestHead,
    pub(super) body: &'a mut RequestBody,
    pub(super) parameters: &'a [String],
    pub(super) request_id: String,
    pub(super) address: Option<IpAddr>,
}

impl Call<'_> {
    /// The moment. A body may have taken its time: ask after it was read.
    fn now(&self) -> Timestamp {
        self.http.clock.now()
    }

    async fn read<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        document::read(self.head, self.body, self.http.limits_of_auth()).await
    }

    /// Where limits on attempts count it. A connection without an address is of this machine.
    fn counted_address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
    }

    /// Who calls, on `device`.
    fn caller(&self, device: Option<&DeviceToken>) -> Caller {
        Caller { address: self.counted_address(), device: device.map(DeviceToken::tag) }
    }

    /// For the audit log: the person `user`, by this request.
    fn by(&self, user: &str) -> By {
        By::user(user, self.told_address(), self.request_id.as_str())
    }

    /// For the audit log: Signet itself, which saw somebody fail to show who they are in this request.
    fn seen(&self) -> By {
        By { request_id: Some(self.request_id.clone()), ..By::signet(self.told_address()) }
    }

    /// For the audit log: the client `id`, for somebody who has no account yet.
    fn by_client(&self, id: &str) -> By {
        By::client(id, self.told_address(), self.request_id.as_str())
    }

    fn told_address(&self) -> String {
        self.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }
}

impl AuthOperation {
    /// Answers a request; an error is an answer too.
    pub(super) async fn answer(self, mut call: Call<'_>) -> Answer {
        let pages = Pages::of(call.http, call.head);
        let answer = match pages.check() {
            Err(problem) => problem.into(),
            Ok(()) => match self.run(&mut call).await {
                Ok(answer) => answer,
                Err(problem) => problem.into(),
            },
        };
        pages.mark(answer)
    }

    async fn run(self, call: &mut Call<'_>) -> Result<Answer, Problem> {
        match self {
            Self::Register => registration::register(call).await,
            Self::LogIn => login::log_in(call).await,
            Self::Refresh => refresh::refresh(call).await,
            Self::LogOut => sessions::log_out(call).await,
            Self::Me => account::me(call).await,
            Self::Password => account::password(call).await,
            Self::ListSessions => sessions::list(call).await,
            Self::EndOtherSessions => sessions::end_others(call).await,
            Self::EndSession => sessions::end(call).await,
        }
    }
}

impl Http {
    fn limits_of_auth(&self) -> super::Limits {
        super::Limits { body: Auth::BODY.min(self.limits.body), ..self.limits }
    }
}
