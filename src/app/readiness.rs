//! What this replica needs to do its work, as `/readyz` tells it.

use std::sync::Arc;

use super::follower::Follower;
use crate::http::{Check, Readiness};
use crate::store::redis::RedisStore;

/// What it needs.
pub(super) struct Needs {
    pub(super) follower: Arc<Follower>,
    pub(super) redis: Option<RedisStore>,
}

impl Readiness for Needs {
    fn checks(&self) -> Vec<Check> {
        let mut checks = self.follower.checks();
        if let Some(redis) = &self.redis {
            // All replicas have the same Redis: to take them out of service one and all for it would end what needs none.
            checks.push(Check { name: "redis", problem: redis.health().problem, required: false });
        }
        checks
    }
}
