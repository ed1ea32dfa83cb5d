//! The keys and algorithms of assertions.

use super::*;

#[actix_web::test]
async fn an_assertion_of_every_algorithm_gets_a_token() {
    // Y1.
    let scene = Scene::new().await;
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm);
        for (id, registered) in [("any", None), ("one", Some(algorithm))] {
            let id = format!("{id}-{}", algorithm.name());
            scene.client(&id, &[&signer], registered).await;
            let answer = scene.ask(&signer.sign(&scene.claims_of(&id))).await;
            assert_eq!(answer.status, StatusCode::OK, "{id}: {}", answer.text);
            let payload = answer.body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
            let payload: Value = serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap();
            assert_eq!((&payload["client_id"], &payload["aud"]), (&json!(id), &json!(ORDERS)));
            assert_eq!(payload["sub"], format!("client:{id}"));
        }
    }
    scene.signet.stop().await;
}

#[actix_web::test]
async fn only_the_registered_algorithm_counts() {
    // Y7, L2 to L5: the header can't choose.
    let scene = Scene::new().await;
    let rsa = Signer::new(Algorithm::Rs256);
    // A key that says nothing of algorithms itself.
    let mut registered = metadata(&[&rsa], Some(Algorithm::Rs256));
    registered["jwks"]["keys"][0].as_object_mut().unwrap().remove("alg").unwrap();
    scene.world.client("rs256-only", registered).await;
    let claims = || scene.claims_of("rs256-only");
    let header = |alg: &str| json!({"alg": alg, "kid": rsa.kid()});
    scene.refuses("PS256", &rsa.sign_as(Algorithm::Ps256, &header("PS256"), &claims())).await;
    scene.refuses("says RS256, is PS256", &rsa.sign_as(Algorithm::Ps256, &header("RS256"), &claims())).await;
    scene.refuses("RS256 where ES256 is registered", &rsa.sign(&scene.claims())).await;
    let named_alike = json!({"alg": "RS256", "kid": scene.signer.kid()});
    scene.refuses("the same with its kid", &rsa.sign_with(&named_alike, &scene.claims())).await;
    let p384 = Signer::new(Algorithm::Es384);
    let named_alike = json!({"alg": "ES256", "kid": scene.signer.kid()});
    scene.refuses("ES256 by a P-384 key", &p384.sign_with(&named_alike, &scene.claims())).await;
    for alg in ["es256", "ES256 ", "ES512", "ES256K", "EdDSA", "none", "None", "nOnE", "HS256", ""] {
        let header = json!({"alg": alg, "kid": scene.signer.kid()});
        scene.refuses(&format!("alg {alg:?}"), &scene.signer.sign_with(&header, &scene.claims())).await;
    }
    assert_eq!(scene.ask(&rsa.sign(&claims())).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn an_assertion_without_a_signature_or_under_the_public_key_as_a_secret_is_refused() {
    let scene = Scene::new().await;
    let unsigned = |header: &Value, claims: &Value| {
        format!("{}.{}.", base64url::encode(header.to_string()), base64url::encode(claims.to_string()))
    };
    for alg in ["none", "None", "ES256"] {
        let header = json!({"alg": alg, "kid": scene.signer.kid()});
        scene.refuses(alg, &unsigned(&header, &scene.claims())).await;
    }
    let rsa = Signer::new(Algorithm::Rs256);
    scene.client("rsa", &[&rsa], None).await;
    let jwk = rsa.jwk();
    let modulus = base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    for (what, secret) in [("jwk", jwk.to_string().into_bytes()), ("modulus", modulus), ("kid", b"rsa".to_vec())] {
        let header = base64url::encode(json!({"alg": "HS256", "kid": rsa.kid()}).to_string());
        let claims = scene.claims_of("rsa").to_string();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let sign = |input: &[u8]| Ok::<_, ()>(aws_lc_rs::hmac::sign(&key, input).as_ref().to_vec());
        scene.refuses(what, &jws::encode(&header, claims.as_bytes(), sign).unwrap()).await;
    }
    // One bit of signature, claims or header.
    let good = scene.signer.sign(&scene.claims());
    for place in [good.len() - 20, good.find('.').unwrap() + 20] {
        let mut bad = good.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        scene.refuses("a changed character", &String::from_utf8(bad).unwrap()).await;
    }
    for bad in [good.replacen('.', "..", 1), format!("{good}."), format!("{good}="), format!(" {good}"), "a.b.c".into()]
    {
        scene.refuses(&bad, &bad).await;
    }
    assert_eq!(scene.ask(&good).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn nothing_in_the_header_brings_a_key_along() {
    // Y8, and the header's other ways to name a key.
    let scene = Scene::new().await;
    let thief = Signer::new(Algorithm::Es256).called(scene.signer.kid());
    scene.refuses("another key under the same kid", &thief.sign(&scene.claims())).await;
    scene.client("thief", &[&thief], None).await;
    scene.refuses("the same, registered elsewhere", &thief.sign(&scene.claims())).await;
    for (name, value) in [
        ("jwk", thief.jwk()),
        ("jku", json!("https://thief.example/jwks.json")),
        ("x5u", json!("https://thief.example/x5u")),
        ("x5c", json!(["MIIB"])),
    ] {
        scene.refuses(name, &thief.sign_with(&with(thief.header(), name, value), &scene.claims())).await;
    }
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false)), ("kid", json!(1))] {
        scene.refuses(name, &scene.signer.sign_with(&with(scene.signer.header(), name, value), &scene.claims())).await;
    }
    let unknown = with(scene.signer.header(), "kid", json!("unknown"));
    scene.refuses("a kid that is not the key's", &scene.signer.sign_with(&unknown, &scene.claims())).await;
    // Without a kid, the only key is meant.
    let nameless = json!({"alg": "ES256"});
    assert_eq!(scene.ask(&scene.signer.sign_with(&nameless, &scene.claims())).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_of_several_keys_says_which_one_signed() {
    let scene = Scene::new().await;
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let ed25519 = Signer::new(Algorithm::Ed25519);
    scene.client("several", &[&one, &two, &ed25519], None).await;
    let claims = || scene.claims_of("several");
    for signer in [&one, &two, &ed25519] {
        assert_eq!(scene.ask(&signer.sign(&claims())).await.status, StatusCode::OK);
    }
    assert_eq!(scene.ask(&ed25519.sign_with(&json!({"alg": "Ed25519"}), &claims())).await.status, StatusCode::OK);
    scene.refuses("two would fit", &one.sign_with(&json!({"alg": "ES256"}), &claims())).await;
    scene.refuses("the wrong one", &one.sign_with(&two.header(), &claims())).await;
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_that_rolls_its_key_is_followed() {
    // Y13, for inline keys.
    let scene = Scene::new().await;
    let next = Signer::new(Algorithm::Ed25519);
    scene.refuses("not yet registered", &next.sign(&scene.claims())).await;
    let id = ClientId::parse("robot").unwrap();
    for keys in [vec![&scene.signer, &next], vec![&next]] {
        let client = scene.world.opened.store.load_client(&id).await.unwrap().unwrap();
        let metadata: ClientMetadata = serde_json::from_value(metadata(&keys, None)).unwrap();
        let changed = metadata.replace(client, &scene.world.opened.issuer, scene.installation.clock.now()).unwrap();
        assert_eq!(
            scene.world.opened.store.update_client(&changed, &crate::world::entry()).await.unwrap(),
            Swap::Swapped
        );
        let old = if keys.len() == 2 { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        eventually(async || {
            let new = scene.ask(&next.sign(&scene.claims())).await.status;
            let before = scene.ask(&scene.signer.sign(&scene.claims())).await.status;
            (new == StatusCode::OK && before == old).then_some(())
        })
        .await;
    }
    scene.refuses("the key that was replaced", &scene.signer.sign(&scene.claims())).await;
    scene.signet.stop().await;
}
