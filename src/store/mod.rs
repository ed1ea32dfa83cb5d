//! WHERE IT IS KEPT: the stores behind the domain's ports.
//!
//! Guarantees: each method of a port is one atomic act; a failed call leaves nothing half done; time-outs are explicit
//! everywhere. Knows the domain, and nothing of HTTP.

pub mod redis;
pub mod sql;
