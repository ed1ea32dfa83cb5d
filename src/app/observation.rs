//! What this replica tells in its metrics besides what was counted.

use std::sync::Arc;

use super::follower::Follower;
use super::readiness::Needs;
use super::tls::End;
use crate::http::Readiness;
use crate::keys::{KeyKeeper, next_rotation};
use crate::ports::Clock;
use crate::store::redis::RedisStore;
use crate::telemetry::{Losses, Observation, Observed, Traces};
use crate::tokens::session::{REFRESH_OUTCOMES, Sessions};

/// A running replica, seen from inside.
pub(super) struct Replica {
    pub(super) needs: Arc<Needs>,
    pub(super) follower: Arc<Follower>,
    pub(super) redis: Option<RedisStore>,
    pub(super) keeper: Arc<KeyKeeper>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Option<Losses>,
    pub(super) certificates: Vec<End>,
    pub(super) traces: Option<Arc<Traces>>,
}

impl Observed for Replica {
    fn observe(&self) -> Observation {
        let (keys, policy) = (self.keeper.ring(), self.keeper.policy());
        // In this order the ring is at least as new as its confirmation.
        let (confirmed_at, ring) = (keys.confirmed_at(), keys.current());
        let algorithms = policy.specs.iter().map(|spec| spec.algorithm());
        let next_rotations =
            algorithms.filter_map(|algorithm| Some((algorithm, next_rotation(ring.table(), policy, algorithm)?)));
        Observation {
            now: self.clock.now(),
            kept: policy.specs.iter().map(|spec| spec.algorithm()).collect(),
            next_rotations: next_rotations.collect(),
            confirmed_at,
            lease: keys.lease(),
            checks: self.needs.checks(),
            store: self.follower.store_state(),
            redis: self.redis.as_ref().map(RedisStore::health),
            certificate_ends: self.certificates.iter().map(|end| (end.listener, end.at())).collect(),
            refreshes: REFRESH_OUTCOMES.into_iter().zip(self.sessions.counts()).collect(),
            spans: self.traces.as_ref().map(|traces| traces.counts()),
            log_lines_dropped: self.log.as_ref().map_or(0, Losses::lines),
            ring,
        }
    }
}
