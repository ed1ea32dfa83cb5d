//! The program with Redis: how it starts, and what it tells of it.

use reqwest::StatusCode;
use signet::app::StartError;

use super::{Redis, namespace};
use crate::app::Installation;
use crate::metrics::scrape;
use crate::world::eventually;

#[actix_web::test]
async fn a_server_serves_while_redis_is_away_and_says_so() {
    let redis = Redis::start(&[]);
    let installation = Installation::new().with("REDIS__URL", &redis.url()).with("REDIS__NAMESPACE", &namespace());
    redis.kill();
    let signet = installation.start().await;
    let ready = signet.ready().await;
    assert_eq!(ready.status, StatusCode::OK);
    assert!(ready.body["checks"]["redis"].as_str().unwrap().contains("refused"), "{}", ready.text);
    assert_eq!(scrape(&signet).await.value("signet_redis_reachable", &[]), Some(0.0));
    signet.admin_token().await;
    redis.start_again();
    eventually(async || (signet.ready().await.body["checks"]["redis"] == "ok").then_some(())).await;
    assert_eq!(scrape(&signet).await.value("signet_redis_reachable", &[]), Some(1.0));
    signet.stop().await;
}

#[actix_web::test]
async fn a_redis_that_must_not_be_used_is_no_start_and_leaves_nothing_behind() {
    let redis = Redis::start(&["maxmemory-policy volatile-ttl", "user signet on >hunter2 ~* &* +@all"]);
    let url = redis.url().replace("redis://", "redis://signet:hunter2@");
    let installation = Installation::new().with("REDIS__URL", &url);
    let Err(error) = installation.try_start().await else { panic!("it started") };
    let StartError::Redis { .. } = error else { panic!("{error}") };
    let text = format!("{error} {error:?}");
    assert!(text.contains("maxmemory-policy is volatile-ttl") && text.contains(&redis.address), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!installation.folder.path().join("data/signet.db").exists());
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let signet = installation.start().await;
    signet.stop().await;
}
