//! Signet.
#![forbid(unsafe_code)]
pub mod ports;
