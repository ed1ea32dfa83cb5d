//! The integration tests: the whole program, over real stores.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, unreachable_pub)]

mod app;
mod house;
mod postgres;
mod token;
mod world;
