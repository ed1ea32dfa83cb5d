//! Replicas whose `keys.algorithms` differ.

use serde_json::json;

use super::initialised;
use super::replicas::on_postgres;
use crate::app::Signet;
use crate::world::eventually;

/// Whether the metrics of a replica have that line.
async fn shows(replica: &Signet, line: &str) -> bool {
    let page = replica.http.get(format!("{}/metrics", replica.admin)).send().await.unwrap();
    page.text().await.unwrap().lines().any(|one| one == line)
}

#[actix_web::test]
async fn an_algorithm_that_another_replica_took_out_of_service_is_told_by_who_keeps_it() {
    const ES256: &str = "signet_algorithm_signs{algorithm=\"ES256\"} 1";
    let installation = on_postgres().with("KEYS__ALGORITHMS", "ES256,ES384");
    initialised(&installation).await;
    let right = installation.start().await;
    assert_eq!(right.ready().await.body["checks"], json!({"algorithms": "ok", "keys": "ok", "store": "ok"}));
    assert!(shows(&right, ES256).await && shows(&right, "signet_algorithm_signs{algorithm=\"ES384\"} 1").await);

    let wrong = installation.with("KEYS__ALGORITHMS", "ES256").start().await;
    let ready = eventually(async || {
        let ready = right.ready().await;
        (ready.body["checks"]["algorithms"] != "ok").then_some(ready)
    })
    .await;
    assert_eq!(ready.body["checks"]["algorithms"], "no key signs with ES384");
    // Nobody is sent away who wants the other algorithm.
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (200, &json!("ready")));
    let gone = "signet_algorithm_signs{algorithm=\"ES384\"} 0";
    assert!(shows(&right, ES256).await && shows(&right, gone).await);
    assert!(shows(&right, "signet_keys{algorithm=\"ES384\",state=\"retiring\"} 1").await, "the alert asks for it");
    assert!(!shows(&wrong, gone).await, "it does not keep the algorithm");
    wrong.stop().await;
    assert_eq!(right.ready().await.body["checks"]["algorithms"], "no key signs with ES384", "that comes back later");
    right.stop().await;
}
