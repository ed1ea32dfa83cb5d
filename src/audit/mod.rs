//! WHAT WAS DONE: the audit log, one row an act, chained so that none can be changed unnoticed.
//!
//! - [`entry`]: who did what to which, why, and from where
//! - [`chain`]: the hashes and keyed codes that hold the rows together
//! - [`log`]: where the rows are read
//! - [`view`]: a row as people and programs see it
//! - [`verification`]: reads the rows again and finds what does not fit
//!
//! Guarantees: a row is written in the transaction of the change that it tells of, so there is neither without the
//! other; each row's hash covers the row before it, and its code can't be made without the master key. Nothing in a row
//! is a secret.

pub mod chain;
pub mod entry;
pub mod log;
pub mod verification;
pub mod view;

pub use chain::{Chain, Head, HeadError, NotAtHand, Row};
pub use entry::{Act, Actor, By, Entry, REASON_LIMIT, ReasonError, check_reason};
pub use log::{AuditFilter, AuditLog};
pub use verification::{Finding, Verdict, Verification, Wrong};
pub use view::AuditEntry;
