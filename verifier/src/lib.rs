//! `signet-verify`.
#![forbid(unsafe_code)]
