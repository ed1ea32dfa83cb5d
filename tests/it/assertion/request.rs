//! Assertions in the request that brings them, and the client that they name.

use super::*;

#[actix_web::test]
async fn an_assertion_comes_with_its_type_and_nothing_else_that_authenticates() {
    // Y11.
    let scene = Scene::new().await;
    let assertion = scene.signer.sign(&scene.claims());
    let sent = ("client_assertion", assertion.as_str());
    for form in [
        vec![GRANT, sent],
        vec![GRANT, sent, ("client_assertion_type", "")],
        vec![GRANT, sent, ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")],
        vec![GRANT, sent, ("client_assertion_type", "jwt-bearer")],
        vec![GRANT, sent, ("client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")],
        vec![GRANT, TYPE],
        vec![GRANT, TYPE, ("client_assertion", "")],
        vec![GRANT, TYPE, sent, sent],
        vec![GRANT, TYPE, TYPE, sent],
        vec![GRANT, TYPE, sent, ("client_id", "robot"), ("client_secret", "x")],
    ] {
        let answer = scene.signet.token(None, &form).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]), (400, &json!("invalid_request")), "{form:?}");
    }
    let both = scene.signet.token(Some(("robot", "x")), &[GRANT, TYPE, sent]).await;
    assert_eq!((both.status.as_u16(), &both.body["error"]), (400, &json!("invalid_request")));
    assert_eq!(scene.ask(&assertion).await.status, StatusCode::OK, "none of these used it up");
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_authenticates_only_by_the_method_it_registered() {
    let scene = Scene::new().await;
    let secret = scene.world.client("secretive", json!({"access": {ORDERS: "orders:read"}})).await;
    scene.refuses("an assertion of a client with a secret", &scene.signer.sign(&scene.claims_of("secretive"))).await;
    assert_eq!(scene.signet.token(Some(("secretive", &secret)), &[GRANT]).await.status, StatusCode::OK);
    for secret in ["", "x", &secret] {
        assert_refused("a secret of a client with keys", &scene.signet.token(Some(("robot", secret)), &[GRANT]).await);
    }
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_disabled_client_is_refused_until_it_is_enabled() {
    let scene = Scene::new().await;
    let fresh = || scene.signer.sign(&scene.claims());
    scene.world.set_enabled("robot", false).await;
    let refused = async || (scene.ask(&fresh()).await.status == StatusCode::UNAUTHORIZED).then_some(());
    eventually(refused).await;
    let kept = fresh();
    scene.refuses("disabled", &kept).await;
    scene.world.set_enabled("robot", true).await;
    eventually(async || (scene.ask(&fresh()).await.status == StatusCode::OK).then_some(())).await;
    assert_eq!(scene.ask(&kept).await.status, StatusCode::OK, "it was not used up while the client was disabled");
    scene.signet.stop().await;
}
