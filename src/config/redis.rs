//! The types of the settings for Redis, and what holds between them.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::setting::Reader;
use super::source::Raw;
use super::value::{SettingValue, found};
use crate::store::redis::{Namespace, RedisUrl};

impl SettingValue for Option<RedisUrl> {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Unset => Ok(None),
            Raw::Untyped(text) | Raw::Text(text) => RedisUrl::parse(text).map(Some),
            _ => Err("must be text: redis://… or rediss://…".to_owned()),
        }
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, |url| json!(url.to_string()))
    }
}

impl SettingValue for Namespace {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Untyped(text) | Raw::Text(text) => Self::parse(text).map_err(|why| format!("{why}{}", found(raw))),
            _ => Err(format!("must be a name, as text{}", found(raw))),
        }
    }

    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

/// What holds between the settings of Redis.
pub(super) fn check(reader: &mut Reader<'_>) {
    let url = reader.peek::<Option<RedisUrl>>("redis.url");
    let sentinels = reader.peek::<Option<RedisUrl>>("redis.sentinels");
    for key in ["redis.sentinels", "redis.ca_file", "redis.cluster"] {
        let is_set = reader.is_set(key) && reader.peek::<bool>(key) != Some(false);
        if is_set && matches!(url, Some(None)) {
            reader.fault(key, "needs `redis.url` beside it".to_owned());
        }
    }
    let (Some(Some(url)), Some(cluster)) = (url, reader.peek::<bool>("redis.cluster")) else { return };
    let sentinels = sentinels.flatten();
    if sentinels.is_some() && cluster {
        let problem = "excludes `redis.cluster`: a Cluster has no Sentinels, it fails over by itself";
        reader.fault("redis.sentinels", problem.to_owned());
    } else if sentinels.is_some() && (url.nodes.len() > 1 || url.nodes.iter().any(|node| node.port.is_some())) {
        let problem = "must name one host without a port, the name of the master, as `redis.sentinels` is set";
        reader.fault("redis.url", problem.to_owned());
    } else if url.nodes.len() > 1 && !cluster && sentinels.is_none() {
        let problem = "names several hosts, which only a Cluster has: set `redis.cluster`, or name one";
        reader.fault("redis.url", problem.to_owned());
    }
    if cluster && url.database != 0 {
        reader.fault("redis.url", "names a database, and a Cluster has only 0".to_owned());
    }
    if reader.is_set("redis.ca_file") && !url.tls && !sentinels.is_some_and(|url| url.tls) {
        reader.fault("redis.ca_file", "is of no use without TLS: `redis.url` begins with redis://".to_owned());
    }
}
