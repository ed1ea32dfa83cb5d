//! Starting, being killed and stopping: the built program as a process of its own.

mod first;
mod killed;
mod postgres;
pub mod program;
mod secrets;
mod stopping;
mod undone;
