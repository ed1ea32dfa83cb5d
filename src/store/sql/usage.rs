//! How the connections to the database are used.

use super::{SqlStore, on_pool};

/// The connections of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Open, and at work.
    pub busy: u32,
    /// Open, and waiting for work.
    pub idle: u32,
    /// How many there may be.
    pub most: u32,
}

impl SqlStore {
    /// How the connections are used at this moment. Asks no database.
    #[must_use]
    pub fn connections(&self) -> Usage {
        on_pool!(self, |pool| {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            // The two are read one after the other, so idle ones may seem to be more than all.
            Usage { busy: pool.size().saturating_sub(idle), idle, most: pool.options().get_max_connections() }
        })
    }
}
