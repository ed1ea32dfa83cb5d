//! HOW IT IS SPOKEN: the two listeners' routes, and nothing that decides.
//!
//! Guarantees: one table lists every route, and each says who may call it; every answer has a request id and the common
//! headers; what a caller reads of an error is fixed per code, and the detail goes to the log once.

mod address;
mod admin;
mod answer;
mod auth;
mod bearer;
mod bodiless;
mod body;
mod credentials;
mod discovery;
mod dispatch;
mod document;
mod envelope;
mod error;
mod health;
mod meter;
mod oauth;
mod openapi;
mod own_keys;
mod paths;
mod table;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;

use crate::clients::Authenticator;
use crate::grants::Services;
use crate::ports::Clock;

pub use address::{Network, TrustedProxies};
pub use admin::{
    ActionView, ActivateKey, Admin, Because, Callers, ClientPage, CompromiseKey, CreateKey, CreateResource, CreateUser,
    Cursors, EndedCount, Guard, ImportKey, ImportReport, ImportUsers, IssuedLink, KeyChangeView, KeyLife, KeyList,
    KeyView, Page, RegisterClient, ReplaceClient, ReplaceResource, ReplaceUser, RetireKey, RollSecret, RolledSecret,
    RotateKeys, RowReport, TransitionView, UserPage, path_segment,
};
pub use auth::{
    Auth, ChangePassword, LOGIN_OUTCOMES, LogIn, LogOut, LoggedIn, MeView, PersonGuard, Refresh, Register,
    RegisteredUser, SessionList, SessionView,
};
pub use discovery::{Metadata, PublishedKeys};
pub use dispatch::routes;
pub use envelope::{AccessLine, AccessLog};
pub use error::OAUTH_ERRORS;
pub use health::{Check, Readiness};
pub use meter::{METHODS, Meter, NO_ROUTE, RouteMeter};
pub use openapi::{Credential, Description};
pub use table::{Access, Listener, Route, table};
pub use trace::{RequestSpan, SpanContext, TraceParent, Tracer};

/// What the routes work with.
pub struct Http {
    /// What the grants work with.
    pub services: Services,
    /// Knows clients.
    pub authenticator: Authenticator,
    /// What the admin API works with.
    pub admin: Admin,
    /// What the sign-in of people works with.
    pub auth: Auth,
    /// The keys to publish.
    pub keys: PublishedKeys,
    /// The metadata documents.
    pub metadata: Metadata,
    /// The described API.
    pub description: Description,
    /// Whether this replica can do its work.
    pub readiness: Arc<dyn Readiness>,
    /// This replica's time.
    pub clock: Arc<dyn Clock>,
    /// What a request may take.
    pub limits: Limits,
    /// For how long anyone may keep the metadata.
    pub metadata_max_age: Duration,
    /// Where each request leaves a line, if anywhere.
    pub access_log: Option<Arc<dyn AccessLog>>,
    /// Collects spans, if anyone does.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// Counts what happens.
    pub meter: Arc<dyn Meter>,
    /// Whether clients reach this issuer by https only.
    pub over_tls: bool,
    /// Whose word on the public listener is taken for where a request comes from.
    pub proxies: TrustedProxies,
}

impl Http {
    /// From where a request comes. Nobody stands before the admin listener.
    fn address(&self, listener: Listener, head: &RequestHead) -> Option<IpAddr> {
        match listener {
            Listener::Public => self.proxies.client(head),
            Listener::Admin => head.peer_addr.map(|address| address.ip()),
        }
    }
}

/// Against slow and oversize clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
}
