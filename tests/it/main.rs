//! The integration tests: the whole program, over real stores.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, unreachable_pub)]

mod admin;
mod announcements;
mod app;
mod assertion;
mod auth;
mod canary;
mod chromium;
mod claims;
mod cli;
mod deployment;
mod described;
mod discovery;
mod examples;
mod faults;
mod hostile;
mod house;
mod keeper;
mod lifecycle;
mod matrices;
mod metrics;
mod papers;
mod pooler;
mod postgres;
mod proxy;
mod raw;
mod redis;
mod refresh;
mod replay;
mod rotation;
mod sessions;
mod signer;
mod start;
mod stopped;
mod store;
mod tls;
mod token;
mod traces;
mod users;
mod world;
