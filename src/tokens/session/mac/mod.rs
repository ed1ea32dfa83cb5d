//! The keys that make refresh tokens: random, sealed in the store, replaced by time without anyone's noticing.
//!
//! Guarantees: a key makes tokens only once every replica that may serve knows it; it checks them for as long as a
//! session may live whose token it made, and then its secret is destroyed; of any number of replicas that see that
//! something is due, one does it.

mod keeper;
mod ring;
mod store;
mod sweep;

pub use keeper::{MacKeeper, MacKeeperError};
pub use ring::{MacKeys, MacRing};
pub use store::{MacKeyChange, MacKeyStore, StoredMacKeys};
pub use sweep::{MacKeyRow, MacKeyState, MacKeyStep, MacPolicy, next_due, sweep};
