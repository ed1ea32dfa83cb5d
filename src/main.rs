//! The `signet` program: parses the verb and calls the application; no logic.
#![forbid(unsafe_code)]
fn main() {}
