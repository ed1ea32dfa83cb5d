//! The command line as people and scripts use it: the built program, run in folders of its own.
//!
//! Guarantees asked of every verb: its result alone on standard output, JSON with `--json`, one sentence on standard
//! error and the documented exit code when it fails, and then nothing changed.

mod audit;
mod backup;
mod bad_input;
mod clients;
mod config;
mod health;
mod help;
pub mod home;
pub mod keys;
mod people;
mod reseal;
mod resources;
mod through;
mod token;
mod users;
