//! The metadata documents: where they stand, and that all they say is so.

use super::*;

/// Every document at the address that its specification derives from the issuer, on this server.
fn addresses(path: &str) -> [String; 3] {
    [format!("{OAUTH}{path}"), format!("{path}{OPENID}"), format!("{OPENID}{path}")]
}

fn assert_whole(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => {
            assert!(!items.is_empty(), "an empty array");
            items.iter().for_each(assert_whole);
        }
        Value::Object(members) => members.values().for_each(assert_whole),
        Value::String(text) => assert!(!text.is_empty()),
        Value::Bool(_) | Value::Number(_) => {}
    }
}

#[actix_web::test]
async fn the_metadata_stand_at_all_three_addresses_of_an_issuer() {
    // D1, D7, D8.
    for issuer in
        [None, Some("http://127.0.0.1:9/t1"), Some("https://login.example.com/a/b"), Some("https://login.example.com")]
    {
        let mut installation = Installation::new();
        if let Some(issuer) = issuer {
            installation = installation.with("ISSUER", issuer);
        }
        let signet = installation.start().await;
        let issuer = issuer.map_or(signet.public.clone(), str::to_owned);
        let path = Issuer::parse(&issuer, true).unwrap().path().to_owned();
        for address in addresses(&path) {
            let answer = signet.get(&address).await;
            assert_eq!(answer.status, StatusCode::OK, "{issuer}: {address}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let caching = answer.header("cache-control").unwrap();
            assert!(caching.starts_with("public, max-age="), "{caching}");
            assert_eq!(answer.body["issuer"], issuer.as_str(), "byte for byte");
            assert_eq!(answer.body["token_endpoint"], format!("{issuer}/oauth2/token"));
            assert_eq!(answer.body["jwks_uri"], format!("{issuer}{JWKS}"));
            assert_whole(&answer.body);
            let head = send(&signet, "HEAD", &address, &[]).await;
            assert_eq!((lasting(&head.headers), head.text.as_str()), (lasting(&answer.headers), ""));
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn every_address_in_the_metadata_answers() {
    // D3.
    for issuer in ["http://127.0.0.1:9", "http://127.0.0.1:9/t1"] {
        let installation = Installation::new().with("ISSUER", issuer);
        let signet = installation.start().await;
        for address in addresses(issuer.strip_prefix("http://127.0.0.1:9").unwrap()) {
            let document = signet.get(&address).await.body;
            for (name, value) in document.as_object().unwrap() {
                let Some(url) = value.as_str().filter(|url| url.starts_with("http")) else { continue };
                let path = url.strip_prefix("http://127.0.0.1:9").unwrap();
                let (method, status) = match name.as_str() {
                    "issuer" => continue,
                    "jwks_uri" => ("GET", StatusCode::OK),
                    "token_endpoint" => ("POST", StatusCode::UNSUPPORTED_MEDIA_TYPE),
                    other => panic!("{other}: say here how it answers"),
                };
                assert_eq!(send(&signet, method, path, &[]).await.status, status, "{name} {url}");
            }
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn every_method_algorithm_and_grant_in_the_metadata_works_and_no_other() {
    // D4.
    let installation = Installation::new();
    let (signet, world, _) = shop(&installation).await;
    let document = signet.get(OPENID).await.body;
    let listed = |name: &str| -> Vec<String> { serde_json::from_value(document[name].clone()).unwrap() };
    let access = |mut metadata: Value| {
        metadata["access"] = json!({ORDERS: "orders:read"});
        metadata
    };
    let registers = |metadata: Value| {
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let issuer = Issuer::parse(&signet.issuer, true).unwrap();
        metadata.register(ClientId::parse("x").unwrap(), &issuer, Timestamp::default()).is_ok()
    };

    let methods = listed("token_endpoint_auth_methods_supported");
    assert_eq!(methods.len(), 4);
    for method in &methods {
        let metadata = access(json!({"token_endpoint_auth_method": method}));
        let answer = match method.as_str() {
            "client_secret_basic" => {
                let secret = world.client(method, metadata).await;
                signet.token(Some((method, &secret)), &[GRANT]).await
            }
            "client_secret_post" => {
                let secret = world.client(method, metadata).await;
                signet.token(None, &[GRANT, ("client_id", method), ("client_secret", &secret)]).await
            }
            "private_key_jwt" => continue, // with every algorithm, below
            "none" => {
                let metadata = json!({"token_endpoint_auth_method": method});
                world.client("public", metadata).await;
                // It is let in, and may not have this.
                let answer = signet.token(None, &[GRANT, ("client_id", "public")]).await;
                assert_eq!(answer.body["error"], "unauthorized_client", "{}", answer.text);
                continue;
            }
            other => panic!("{other}: try it here"),
        };
        assert_eq!(answer.status, StatusCode::OK, "{method}: {}", answer.text);
    }
    for method in
        ["None", "client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth", "Client_Secret_Basic", ""]
    {
        assert!(!registers(json!({"token_endpoint_auth_method": method})), "{method}");
    }

    let algorithms = listed("token_endpoint_auth_signing_alg_values_supported");
    assert_eq!(algorithms.len(), Algorithm::ALL.len());
    let metadata = |signer: &Signer, alg: &str| {
        access(json!({"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": alg,
                      "jwks": {"keys": [signer.jwk()]}}))
    };
    for name in &algorithms {
        let signer = Signer::new(Algorithm::from_name(name).unwrap());
        world.client(name, metadata(&signer, name)).await;
        let exp = signet::ports::Clock::now(&installation.clock).secs() + 60;
        let claims = json!({"iss": name, "sub": name, "aud": signet.issuer, "jti": jti(), "exp": exp});
        let answer = ask(&signet, &signer.sign(&claims)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text);
    }
    let signer = Signer::new(Algorithm::Es256);
    for name in
        ["none", "HS256", "HS512", "RS384", "RS512", "PS384", "PS512", "ES512", "ES256K", "EdDSA", "Ed448", "es256", ""]
    {
        assert!(!registers(metadata(&signer, name)), "{name}");
    }

    let grants = listed("grant_types_supported");
    assert_eq!(grants, ["client_credentials", "refresh_token"]);
    let secret = world.client("granted", access(json!({}))).await;
    for grant in [
        "authorization_code",
        "implicit",
        "password",
        "Refresh_Token",
        "Client_Credentials",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        assert!(!registers(json!({"grant_types": [grant]})), "{grant}");
        let answer = signet.token(Some(("granted", &secret)), &[("grant_type", grant)]).await;
        assert_eq!(answer.body["error"], "unsupported_grant_type", "{grant}");
    }
    // Nothing is listed that comes with later endpoints, and what a reader would otherwise suppose is denied.
    let expected = [
        "grant_types_supported",
        "issuer",
        "jwks_uri",
        "request_uri_parameter_supported",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
    ];
    let members: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, expected);
    assert_eq!(document["request_uri_parameter_supported"], false);
    signet.stop().await;
}

#[actix_web::test]
async fn the_metadata_stay_the_same_while_keys_rotate() {
    // D9.
    let installation = Installation::new();
    let signet = installation.start().await;
    let (oauth, openid, keys) = (signet.get(OAUTH).await, signet.get(OPENID).await, signet.get(JWKS).await);
    installation.clock.advance(Duration::from_secs(31 * 86_400));
    eventually(async || (signet.get(JWKS).await.text != keys.text).then_some(())).await;
    for (path, before) in [(OAUTH, &oauth), (OPENID, &openid)] {
        let after = signet.get(path).await;
        assert_eq!((&after.text, lasting(&after.headers)), (&before.text, lasting(&before.headers)));
    }
    signet.stop().await;
    // Another start over the same store is the same issuer with the same keys.
    let installation = installation.with("ISSUER", &issuer_of(&openid));
    let signet = installation.start().await;
    assert_eq!(signet.get(OPENID).await.text, openid.text);
    signet.stop().await;
}

fn issuer_of(document: &Answer) -> String {
    document.body["issuer"].as_str().unwrap().to_owned()
}
