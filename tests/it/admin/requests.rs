//! How requests are read: paths, bodies and their kinds. What is refused changes nothing.

use serde_json::json;

use super::{Api, answer, assert_problem, change, done, with_json};
use crate::raw::{request, say};

const CLIENTS: &str = "/admin/v1/clients";

#[actix_web::test]
async fn a_path_written_in_another_way_is_another_path() {
    let api = Api::start().await;
    let token = api.token_for("clients:read clients:write").await;
    let bearer = format!("Authorization: Bearer {token}");
    let sent = async |target: &str| say(&api.signet.admin, request("GET", target, &[&bearer])).await.only();
    assert_eq!(sent("/admin/v1/clients/shop").await.status, 200);
    assert_eq!(sent("/admin/v1/clients/sho%70").await.status, 200, "a parameter is decoded once");
    let aliases = [
        "/admin/v1/clients/",
        "/admin/v1//clients",
        "//admin/v1/clients",
        "/admin//v1/clients",
        "/admin/v1/./clients",
        "/admin/./v1/clients",
        "/admin/v1/x/../clients",
        "/admin/v1/clients/.",
        "/admin/v1/clients/..",
        "/admin/v1/clients/%2e%2e",
        "/admin/v1/clients/%2E",
        "/Admin/v1/clients",
        "/admin/V1/clients",
        "/ADMIN/V1/CLIENTS",
        "/admin/v1/%63lients",
        "/%61dmin/v1/clients",
        "/admin%2Fv1%2Fclients",
        "/admin/v1/clients%2Fshop",
        "/admin/v1/clients%20",
        "/admin/v1/clients;x=1",
        "/admin/v1/clients%3Fpage_size=1",
        "/admin/v1/clients%00",
        "/admin/v1/clients/shop/",
        "/admin/v1/clients/shop/secret/",
        "/admin/v1/clients//secret",
        "/admin/v1/clients/shop%00",
        "/admin/v1/clients/%ff",
        "/admin/v1/clients/%",
        "/admin/v1",
        "/admin",
        "/v1/clients",
        "/admin/v2/clients",
    ];
    for target in aliases {
        let answer = sent(target).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.body);
        let nobody = say(&api.signet.admin, request("GET", target, &[])).await.only();
        assert!(nobody.status == 404 || nobody.status == 401, "{target} without a token: {}", nobody.status);
        // Nothing comes of it by another method either.
        for method in ["POST", "PUT", "DELETE"] {
            let lines = [bearer.as_str(), "Content-Length: 0", "If-Match: *"];
            let answer = say(&api.signet.admin, request(method, target, &lines)).await.only();
            assert!([404, 405].contains(&answer.status), "{method} {target}: {}", answer.status);
        }
    }
    // A whole address names the same path, with the same guard before it: the authority in it chooses nothing.
    let absolute = "http://elsewhere.example/admin/v1/clients/shop";
    assert_eq!(say(&api.signet.admin, request("GET", absolute, &[])).await.only().status, 401);
    let answer = sent(absolute).await;
    assert!([200, 400, 404].contains(&answer.status), "{}", answer.status);
    let unknown = sent("/admin/v1/clients/Shop").await;
    assert!((unknown.status, unknown.body.contains("no_such_client")) == (404, true), "identifiers have a case");
    println!("aliases refused: {}", aliases.len());
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_body_is_one_json_object_that_everybody_reads_alike() {
    let api = Api::start().await;
    let rows = api.rows().await.len();
    let send = async |kind: &str, body: Vec<u8>| {
        answer(api.request("POST", CLIENTS).header("content-type", kind).body(body)).await
    };
    let json_kind = "application/json";
    let deep = |depth: usize| format!("{}{}", "{\"jwks\":".repeat(depth), "1".to_owned() + &"}".repeat(depth));
    for (body, why) in [
        (b"".to_vec(), "empty"),
        (b"null".to_vec(), "null"),
        (b"[]".to_vec(), "an array"),
        (b"\"x\"".to_vec(), "a string"),
        (b"{".to_vec(), "cut off"),
        (b"{}{}".to_vec(), "two"),
        (b"{},".to_vec(), "a comma"),
        (b"{}\0".to_vec(), "a NUL after it"),
        (b"\xef\xbb\xbf{}".to_vec(), "a byte order mark"),
        (b"{\"client_name\":\"\xff\"}".to_vec(), "not UTF-8"),
        (b"{\"client_name\":\"\\ud800\"}".to_vec(), "half a surrogate pair"),
        (b"{\"client_name\":\"a\x01b\"}".to_vec(), "a raw control character"),
        (br#"{"client_id":"a","client_id":"a"}"#.to_vec(), "twice"),
        (br#"{"client_id":"a","client\u005fid":"b"}"#.to_vec(), "twice, once escaped"),
        (br#"{"access":{"urn:a":"","urn:a":"x"}}"#.to_vec(), "twice within"),
        (b"{'client_id':'a'}".to_vec(), "single quotes"),
        (b"{\"client_id\":NaN}".to_vec(), "not a number"),
        (b"{/**/}".to_vec(), "a comment"),
        (deep(17).into_bytes(), "deep"),
        (deep(20_000).into_bytes(), "very deep"),
        ("[".repeat(200_000).into_bytes(), "arrays without an end"),
        ("{\"a\":".repeat(50_000).into_bytes(), "objects without an end"),
    ] {
        let answer = send(json_kind, body).await;
        assert_eq!(answer.body["code"], "invalid_json", "{why}: {}", answer.text);
        assert_problem(&answer, 400, "invalid_json");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "*/*",
        "json",
    ] {
        assert_problem(&send(kind, b"{}".to_vec()).await, 415, "unsupported_media_type");
    }
    assert_problem(&answer(api.request("POST", CLIENTS).body("{}")).await, 415, "unsupported_media_type");
    let coded = with_json(api.request("POST", CLIENTS).header("content-encoding", "gzip"), &json!({}));
    assert_problem(&answer(coded).await, 415, "unsupported_media_type");
    let large = format!("{{\"client_name\":\"{}\"}}", "a".repeat(256 * 1024));
    assert_problem(&send(json_kind, large.into_bytes()).await, 413, "body_too_large");
    let kind = "application/JSON;charset=UTF-8";
    let fine = send(kind, br#"{"client_id":"fine","client_name":"caf\u00e9 \u202e"}"#.to_vec()).await;
    assert_eq!(fine.status, 201, "{}", fine.text);
    assert_eq!(api.rows().await.len(), rows + 1);
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_member_with_a_value_that_it_can_not_have_is_named() {
    let api = Api::start().await;
    let audience = api.audience();
    let key =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "d": "secret-part"});
    for (document, member) in [
        (json!({"client_id": "a b"}), "client_id"),
        (json!({"client_id": ""}), "client_id"),
        (json!({"client_id": "a".repeat(65)}), "client_id"),
        (json!({"client_id": 5}), "client_id"),
        (json!({"client_id": "a\u{0}"}), "client_id"),
        (json!({"client_name": "a\u{0}b"}), "client_name"),
        (json!({"client_name": "a\nb"}), "client_name"),
        (json!({"client_name": "a".repeat(201)}), "client_name"),
        (json!({"client_name": ["a"]}), "client_name"),
        (json!({"token_endpoint_auth_method": "tls_client_auth"}), "token_endpoint_auth_method"),
        (json!({"token_endpoint_auth_method": "none", "rotate_refresh_tokens": false}), "rotate_refresh_tokens"),
        (json!({"web_origins": ["https://app.example"]}), "web_origins"),
        (json!({"first_party": true, "web_origins": ["null"]}), "web_origins"),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "jwks"),
        (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}}), "jwks"),
        (
            json!({"token_endpoint_auth_signing_alg": "none", "token_endpoint_auth_method": "private_key_jwt"}),
            "token_endpoint_auth_signing_alg",
        ),
        (json!({"grant_types": ["password"]}), "grant_types"),
        (json!({"grant_types": "client_credentials"}), "grant_types"),
        (json!({"access": {"not a uri": ""}}), "access"),
        (json!({"access": {&audience: "a  b"}}), "access"),
        (json!({"access": []}), "access"),
        (json!({"serves": ["x"]}), "serves"),
        (json!({"serves": [5]}), "serves"),
    ] {
        let answer = api.change("POST", CLIENTS, None, document.clone()).await;
        assert_eq!(answer.body["code"], "invalid_member", "{document}: {}", answer.text);
        assert_problem(&answer, 400, "invalid_member");
        assert_eq!(answer.body["member"], member, "{document}: {}", answer.text);
        assert!(!answer.text.contains("secret-part"), "{}", answer.text);
    }
    let nowhere = api.change("POST", CLIENTS, None, json!({"access": {"urn:nowhere": ""}})).await;
    assert_problem(&nowhere, 400, "invalid_member");
    for (document, member) in [
        (json!({"resource": "urn:x", "token_lifetime": 0}), "token_lifetime"),
        (json!({"resource": "urn:x", "token_lifetime": -1}), "token_lifetime"),
        (json!({"resource": "urn:x", "token_lifetime": 1.5}), "token_lifetime"),
        (json!({"resource": "urn:x", "token_lifetime": 4_294_967_296_u64}), "token_lifetime"),
        (json!({"resource": "urn:x", "token_lifetime": "60"}), "token_lifetime"),
        (json!({"resource": "urn:x", "algorithm": "none"}), "algorithm"),
        (json!({"resource": "urn:x", "algorithm": "RS256"}), "algorithm"),
        (json!({"resource": "urn:x", "scopes": ["a b"]}), "scopes"),
        (json!({"resource": "urn:x", "scopes": "a"}), "scopes"),
        (json!({"resource": "urn:x", "name": "a\u{0}"}), "name"),
        (json!({"resource": 5}), "resource"),
    ] {
        let answer = api.change("POST", "/admin/v1/resources", None, document.clone()).await;
        assert_eq!(answer.body["member"], member, "{document}: {}", answer.text);
        assert_problem(&answer, 400, "invalid_member");
    }
    let missing = api.change("POST", "/admin/v1/resources", None, json!({})).await;
    assert_problem(&missing, 400, "missing_member");
    assert_eq!(missing.body["member"], "resource");
    for overlap in [json!(-1), json!(7_776_001), json!(u64::MAX), json!(1.5), json!("1h")] {
        let body = json!({"overlap_seconds": overlap});
        let answer = api.change("POST", "/admin/v1/clients/shop/secret", Some("*"), body).await;
        assert_problem(&answer, 400, "invalid_member");
        assert_eq!(answer.body["member"], "overlap_seconds");
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_reason_is_one_line_of_bounded_length_wherever_it_stands() {
    let api = Api::start().await;
    let rows = api.rows().await.len();
    for wrong in ["a\nb", "a\u{0}b", "\u{1b}[2J", &"é".repeat(501)] {
        for (method, path, body) in [
            ("POST", CLIENTS, json!({"client_id": "x", "reason": wrong})),
            ("PUT", "/admin/v1/clients/shop", json!({"reason": wrong})),
            ("POST", "/admin/v1/clients/shop/secret", json!({"reason": wrong})),
            ("POST", "/admin/v1/clients/shop/disable", json!({"reason": wrong})),
            ("POST", "/admin/v1/resources", json!({"resource": "urn:x", "reason": wrong})),
        ] {
            let answer = api.change(method, path, Some("*"), body).await;
            assert_problem(&answer, 400, "invalid_reason");
        }
    }
    let long = format!("/admin/v1/clients/shop?reason={}", "a".repeat(501));
    assert_problem(&api.change("DELETE", &long, Some("*"), json!(null)).await, 400, "invalid_reason");
    for broken in ["%00", "%0a", "%ff", "%"] {
        let path = format!("/admin/v1/clients/shop?reason={broken}");
        assert_problem(&api.change("DELETE", &path, Some("*"), json!(null)).await, 400, "invalid_query");
    }
    assert_eq!(api.rows().await.len(), rows);
    let fine = format!("/admin/v1/clients/shop?reason={}", "%C3%A9".repeat(500));
    assert_eq!(api.change("DELETE", &fine, Some("*"), json!(null)).await.status, 204);
    assert_eq!(api.rows().await[0].reason, "é".repeat(500));
    api.signet.stop().await;
}

#[actix_web::test]
async fn what_a_route_does_not_read_may_not_be_sent() {
    let api = Api::start().await;
    for (method, path) in [
        ("GET", CLIENTS),
        ("GET", "/admin/v1/clients/shop"),
        ("DELETE", "/admin/v1/clients/shop"),
        ("GET", "/admin/v1/resources"),
        ("GET", "/admin/v1/audit"),
    ] {
        let answer = change(api.request(method, path), Some("*"), json!({"reason": "x"})).await;
        assert_problem(&answer, 400, "unexpected_body");
    }
    for (method, path) in [
        ("GET", "/admin/v1/clients/shop?x=1"),
        ("POST", "/admin/v1/clients?reason=x"),
        ("PUT", "/admin/v1/clients/shop?reason=x"),
        ("POST", "/admin/v1/clients/shop/enable?reason=x"),
        ("DELETE", "/admin/v1/clients/shop?reasons=x"),
        ("GET", "/admin/v1/resources/urn%3Ax?x"),
    ] {
        let body = if method == "POST" || method == "PUT" { json!({}) } else { json!(null) };
        assert_problem(&api.change(method, path, Some("*"), body).await, 400, "unknown_parameter");
    }
    done(&api.get("/admin/v1/clients/shop?").await);
    api.signet.stop().await;
}
