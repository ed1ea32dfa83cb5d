//! Sessions: a person signed in at a client, and the refresh tokens that prolong it.
//!
//! Guarantees: a refresh token has exactly one successor, however often and wherever it is presented; a token that was
//! replaced before ends its session; no race of an honest client's own does.

mod decide;
mod encoding;
pub mod mac;
mod record;
mod service;
mod store;
mod token;
mod view;

pub use decide::{Decision, RefreshPolicy, TOUCH_EVERY, decide};
pub use encoding::{EncodingError, decode, encode};
pub use record::{
    AddressPrefix, Amr, ClientBinding, Delivery, DeviceLabel, Motion, Presenter, Rotation, Session, SessionGrant,
};
pub use service::{
    Beginning, REFRESH_OUTCOMES, RefreshError, RefreshRefusal, Refreshed, SessionError, SessionRules, Sessions,
};
pub use store::{Presented, SessionPage, SessionStore, Swapped};
pub use token::{Generation, MacKeyId, REFRESH_TOKEN_PREFIX, RefreshToken, SessionId, SessionSecret, TokenFault};
pub use view::LiveSession;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod model;
