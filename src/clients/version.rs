//! Versions of clients and resources: each change counts one up.
//!
//! Guarantees: a version that somebody saw is never that of another client or resource registered later under the same
//! name, so that what is to be changed at that version is not changed in its place.

use crate::ports::Timestamp;

/// The version of what is registered at `now`: its milliseconds, so that it is above any that another of the same name had
/// before it was removed, and a change meant for that one is not made to this.
pub(super) const fn first_version(now: Timestamp) -> i64 {
    now.millis()
}
