//! Signet: an issuer that signs tokens with rotating keys, and publishes what verifies them.
//!
//! The rooms, from the left to the right; the left never names the right:
//!
//! - [`ports`]: the outside world as the domain sees it
//! - [`secret`]: secrets, digests, sealing
//! - [`issuer`]: who we are
//! - [`audit`]: what was done
//! - [`keys`]: which key signs
//! - [`clients`]: who asks, and for what
//! - [`users`]: for whom
//! - [`tokens`]: what we issue
//! - [`grants`]: by what right
//! - [`store`]: where it is kept
//! - [`http`]: how it is spoken
//! - [`telemetry`]: what is told about it
//! - [`config`]: what operators set
//! - [`app`]: puts it all together
//! - [`cli`]: how operators call it
#![forbid(unsafe_code)]

pub mod app;
pub mod audit;
pub mod cli;
pub mod clients;
pub mod config;
pub mod grants;
pub mod http;
pub mod issuer;
pub mod keys;
pub mod ports;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod users;
