//! The issuer that nobody set.

use super::*;

#[test]
fn with_tls_the_issuer_that_follows_the_listener_is_https() {
    let tls = [("SIGNET__PUBLIC__TLS_CERTIFICATE_FILE", "/c.pem"), ("SIGNET__PUBLIC__TLS_KEY_FILE", "/k.pem")];
    for (bind, issuer) in [("127.0.0.1:8443", "https://127.0.0.1:8443"), ("localhost:443", "https://localhost")] {
        let loaded = load("", &[tls[0], tls[1], ("SIGNET__PUBLIC__BIND", bind)]).unwrap();
        assert_eq!(loaded.settings.issuer.as_str(), issuer);
        assert_eq!(loaded.settings.public.tls_key_file.as_deref(), Some(Path::new("/k.pem")));
    }
    let any = load("", &[tls[0], tls[1], ("SIGNET__PUBLIC__BIND", "127.0.0.1:0")]).unwrap().settings;
    assert_eq!(any.issuer_bound_to(8444).as_str(), "https://127.0.0.1:8444");
    assert_eq!(any.issuer_bound_to(443).as_str(), "https://127.0.0.1");
}

#[test]
fn an_issuer_that_nobody_set_follows_the_public_listener() {
    for (bind, issuer) in [
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://127.0.0.1:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("localhost:9000", "http://localhost:9000"),
    ] {
        let settings = load("", &[("SIGNET__PUBLIC__BIND", bind)]).unwrap().settings;
        assert_eq!(settings.issuer.as_str(), issuer, "{bind}");
        assert_eq!(settings.issuer_bound_to(1234).as_str(), issuer, "{bind}");
    }
    let settings = load("", &[("SIGNET__PUBLIC__BIND", "127.0.0.1:0")]).unwrap().settings;
    assert_eq!(settings.issuer_bound_to(1234).as_str(), "http://127.0.0.1:1234");
    let named = [("SIGNET__PUBLIC__BIND", "127.0.0.1:0"), ("SIGNET__ISSUER", "https://a.example")];
    let settings = load("", &named).unwrap().settings;
    assert_eq!(settings.issuer_bound_to(1234).as_str(), "https://a.example");
}
