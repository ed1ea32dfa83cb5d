//! TLS on both listeners: what a client sees of it, certificates that change under running connections, and clients
//! that never finish a handshake.

pub mod authority;
mod handshakes;

use std::time::Duration;

use crate::app::Installation;
use crate::start::program::Program;
use crate::world::{eventually, shop};
use authority::{Authority, TlsClient};

const JWKS: &str = "/.well-known/jwks.json";

/// An installation with that certificate on both listeners.
fn installation_with(authority: &Authority) -> Installation {
    let installation = Installation::new();
    let folder = installation.folder.path().to_owned();
    authority.issue("first").store(&folder);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    installation
        .with("PUBLIC__TLS_CERTIFICATE_FILE", &certificate)
        .with("PUBLIC__TLS_KEY_FILE", &key)
        .with("ADMIN__TLS_CERTIFICATE_FILE", &certificate)
        .with("ADMIN__TLS_KEY_FILE", &key)
}

#[actix_web::test]
async fn both_listeners_speak_tls_and_nothing_else() {
    let authority = Authority::new();
    let signet = installation_with(&authority).start().await;
    assert_eq!(signet.issuer, signet.public);
    assert!(signet.public.starts_with("https://127.0.0.1:") && signet.admin.starts_with("https://127.0.0.1:"));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = TlsClient::trusting(&authority).speaking(version);
        for (base, path) in [(&signet.public, JWKS), (&signet.admin, "/healthz")] {
            let mut connection = client.connect(base).await.unwrap();
            assert_eq!(connection.certificate_name(), "first");
            assert_eq!(connection.protocol(), Some("http/1.1"));
            let answer = connection.get(path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
            assert!(answer.header("strict-transport-security").is_some(), "the issuer is https");
        }
    }
    for base in [&signet.public, &signet.admin] {
        // HTTP/2 is not offered, and whoever insists on it is told so in the handshake.
        let refused = TlsClient::trusting(&authority).insisting_on("h2").connect(base).await.err().unwrap();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
        let stranger = TlsClient::trusting(&Authority::new()).connect(base).await.err().unwrap();
        assert!(stranger.contains("UnknownIssuer") || stranger.contains("BadSignature"), "{stranger}");
        let plain = crate::raw::say(&base.replace("https:", "http:"), crate::raw::request("GET", JWKS, &[])).await;
        assert!(plain.closed && !plain.bytes.starts_with(b"HTTP"), "{plain:?}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn a_token_is_had_over_tls_and_verified_by_the_keys_had_over_tls() {
    let authority = Authority::new();
    let installation = installation_with(&authority).trusting(&authority.pem());
    let (signet, _, secret) = shop(&installation).await;
    let form = [("grant_type", "client_credentials"), ("resource", crate::world::ORDERS)];
    let token = signet.token(Some(("shop", &secret)), &form).await;
    let token = token.body["access_token"].as_str().unwrap().to_owned();
    let policy = signet_verify::Policy::new(&*signet.issuer, crate::world::ORDERS);
    let now = Duration::from_millis(signet::ports::Clock::now(&installation.clock).millis().unsigned_abs());
    signet_verify::verify(&signet.jwks().await, &policy, &token, now).unwrap();
    signet.stop().await;
}

#[actix_web::test]
async fn a_replaced_certificate_is_presented_to_new_connections_and_old_ones_work_on() {
    let authority = Authority::new();
    let installation = installation_with(&authority);
    let folder = installation.folder.path().to_owned();
    let signet = installation.start().await;
    let client = TlsClient::trusting(&authority);
    let name = async |base: &str| client.connect(base).await.unwrap().certificate_name();
    let mut old = client.connect(&signet.public).await.unwrap();
    assert_eq!(old.get(JWKS).await.unwrap().status, 200);

    // The certificate without its key, and a file cut short: what was there before stays.
    let second = authority.issue("second");
    second.store_certificate(&folder);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(name(&signet.public).await, "first");
    std::fs::write(folder.join("tls.crt"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(name(&signet.admin).await, "first");
    assert_eq!(old.get(JWKS).await.unwrap().status, 200);

    second.store(&folder);
    for base in [&signet.public, &signet.admin] {
        eventually(async || (name(base).await == "second").then_some(())).await;
    }
    assert_eq!(old.certificate_name(), "first");
    assert_eq!(old.get(JWKS).await.unwrap().status, 200, "an open connection is not touched");
    signet.stop().await;
}

#[actix_web::test]
async fn a_start_with_a_pair_that_is_none_says_so_and_makes_nothing() {
    let authority = Authority::new();
    let installation = installation_with(&authority);
    let folder = installation.folder.path().to_owned();
    authority.issue("other").store_certificate(&folder);
    let refused = installation.try_start().await.err().unwrap().to_string();
    assert!(refused.contains("`public.tls_key_file`") && refused.contains("is not that of"), "{refused}");
    assert!(!folder.join("data").exists());
}

#[actix_web::test]
async fn the_program_names_its_addresses_with_https_and_its_command_line_takes_a_private_authority() {
    let authority = Authority::new();
    let program = Program::new();
    authority.issue("localhost").store(program.folder.path());
    std::fs::write(program.path("authority.pem"), authority.pem()).unwrap();
    let program = program
        .with("PUBLIC__TLS_CERTIFICATE_FILE", "tls.crt")
        .with("PUBLIC__TLS_KEY_FILE", "tls.key")
        .with("ADMIN__TLS_CERTIFICATE_FILE", "tls.crt")
        .with("ADMIN__TLS_KEY_FILE", "tls.key");
    let running = program.serve();
    for url in [&running.public, &running.admin] {
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    }
    let program = program.with("ADMIN__BIND", running.admin.strip_prefix("https://").unwrap());
    let health = program.run(&["health"]);
    assert_eq!(health.code, Some(0), "of one's own listener the certificate is not checked: {health:?}");
    let health = program.run(&["health", "--url", &running.admin]);
    assert!(health.code == Some(4) && health.err.contains("SSL_CERT_FILE"), "of a named one it is: {health:?}");
    let endpoint = format!("{}/oauth2/token", running.public);
    let ask = ["token", "get", "--token-endpoint", &endpoint];
    let refused = program.run(&ask);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.err.contains("SSL_CERT_FILE"), "{}", refused.err);

    let file = program.path("authority.pem");
    let program = program.with_variable("SSL_CERT_FILE", file.to_str().unwrap());
    let token = program.run(&ask);
    assert_eq!(token.code, Some(0), "{token:?}");
    let jwks = format!("{}{JWKS}", running.public);
    let rules = ["--issuer", "https://as.example", "--audience", "https://as.example/admin"];
    let verified = program.run(&[&["token", "verify", "--jwks", &jwks], &rules[..], &[token.out.trim()]].concat());
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(program.run(&["health", "--url", &running.admin]).code, Some(0));
    running.stop();
}
