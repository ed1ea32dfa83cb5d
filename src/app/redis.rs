//! Opening Redis, where the settings name one.

use std::sync::Arc;

use tracing::warn;

use super::{Parts, StartError};
use crate::config::Settings;
use crate::ports::StoreError;
use crate::store::redis::{Options, RedisStore, Topology};

/// Opens it to serve. One that is away is no reason not to start: all that does not need it works, and it is taken up when
/// it is there.
///
/// # Errors
/// When it is there and must not be used.
pub(super) async fn open(settings: &Settings, parts: &Parts) -> Result<Option<RedisStore>, StartError> {
    let Some(options) = options(settings) else { return Ok(None) };
    let opened = RedisStore::open(&options, Arc::clone(&parts.clock)).await;
    opened.map(|store| Some(noted(store, &options))).map_err(|why| refused(&options, why))
}

/// Opens it for a command, which may not need it after all: what must not be used is as good as away.
///
/// # Errors
/// When this machine has no room for one more thread.
pub(super) async fn reach(settings: &Settings, parts: &Parts) -> Result<Option<RedisStore>, StartError> {
    let Some(options) = options(settings) else { return Ok(None) };
    let opened = RedisStore::reach(&options, Arc::clone(&parts.clock)).await;
    opened.map(|store| Some(noted(store, &options))).map_err(|why| refused(&options, why))
}

fn refused(options: &Options, why: StoreError) -> StartError {
    StartError::Redis { redis: options.url.to_string(), why }
}

fn noted(store: RedisStore, options: &Options) -> RedisStore {
    if let Some(problem) = store.health().problem {
        warn!(redis = %options.url, problem, "going on without Redis: what needs it is refused until it can be used");
    }
    store
}

fn options(settings: &Settings) -> Option<Options> {
    let redis = &settings.redis;
    let topology = match redis.sentinels.clone() {
        Some(sentinels) => Topology::Sentinel { sentinels },
        None if redis.cluster => Topology::Cluster,
        None => Topology::Single,
    };
    Some(Options {
        url: redis.url.clone()?,
        topology,
        ca_file: redis.ca_file.clone(),
        namespace: redis.namespace.clone(),
        connect_timeout: redis.connect_timeout,
        timeout: redis.timeout,
        wait_replicas: redis.wait_replicas,
    })
}
