//! Redis and a Redis Cluster as stores under contract.

use std::sync::Arc;

use signet::store::redis::{Options, RedisStore};

use crate::app::HeldClock;
use crate::redis::{Cluster, Redis, connection};

/// A namespace of its own in a Redis that all tests share, that any number of stores may open.
pub struct InRedis {
    pub options: Options,
    /// Where it lies, all nodes of a Cluster.
    pub servers: Vec<&'static Redis>,
    /// Holds the store's time too.
    pub clock: HeldClock,
}

impl InRedis {
    pub fn single() -> Self {
        Self::with(connection::options(&Redis::shared().url()), vec![Redis::shared()])
    }

    pub fn cluster() -> Self {
        Self::with(connection::cluster(Cluster::shared()), Cluster::shared().nodes.iter().collect())
    }

    fn with(options: Options, servers: Vec<&'static Redis>) -> Self {
        Self { options, servers, clock: HeldClock::new() }
    }

    /// Opens it as a process of its own does.
    pub async fn open(&self) -> RedisStore {
        RedisStore::open(&self.options, Arc::new(self.clock.clone())).await.unwrap()
    }
}
