//! When the next key takes over by itself.

use signet_verify::Algorithm;

use super::rotation::Policy;
use super::table::KeyTable;
use crate::ports::Timestamp;

/// When another key takes over for `algorithm` by itself: once the active key has signed for long enough and its
/// successor has propagated, whichever comes later. What is overdue lies in the past; `None` without a successor.
#[must_use]
pub fn next_rotation(table: &KeyTable, policy: &Policy, algorithm: Algorithm) -> Option<Timestamp> {
    let (_, usable_from) = table.successor(algorithm)?;
    let since = table.active(algorithm).and_then(|active| active.state.since());
    Some(since.map_or(usable_from, |since| since.plus(policy.rotate_every).max(usable_from)))
}
