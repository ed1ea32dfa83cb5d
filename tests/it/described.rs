//! The described API, as programs and people get it.

use std::collections::BTreeSet;

use signet::http::table;
use signet::issuer::Issuer;

use crate::app::Installation;

#[actix_web::test]
async fn the_description_names_every_route_of_both_listeners_and_who_may_call_it() {
    let signet = Installation::new().start().await;
    let answer = signet.get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.body["openapi"], "3.1.0");
    assert_eq!(answer.body["servers"][0]["url"], signet.issuer.as_str());
    let mut described = BTreeSet::new();
    for (path, item) in answer.body["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(security) = operation["security"].as_array() {
                let scope = security.iter().find_map(|scheme| scheme["admin_token"][0].as_str());
                assert_eq!(scope, operation["x-required-scope"].as_str(), "{method} {path}");
                described.insert((method.to_uppercase(), path.clone(), scope.map(str::to_owned)));
            }
        }
    }
    let rows: BTreeSet<_> = table(&Issuer::parse(&signet.issuer, false).unwrap())
        .into_iter()
        .map(|route| {
            let scope = match route.access {
                signet::http::Access::Scope(scope) => Some(scope.to_owned()),
                _ => None,
            };
            (route.method.to_owned(), route.path, scope)
        })
        .collect();
    assert_eq!(described, rows);
    signet.stop().await;
}

#[actix_web::test]
async fn the_page_of_the_description_may_do_nothing_but_show_itself() {
    let signet = Installation::new().start().await;
    let answer = signet.get("/docs").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert!(answer.text.starts_with("<!doctype html>") && answer.text.contains("/admin/v1/clients/{client_id}/secret"));
    signet.stop().await;
}
