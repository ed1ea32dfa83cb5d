//! Secrets never appear in the log, however much is logged and whatever fails.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::program::{Program, Running};
use crate::postgres::Postgres;

/// Sends bytes as they are, and waits for the answer or the end.
fn send(running: &Running, bytes: &[u8]) {
    let mut stream = TcpStream::connect(running.public.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.read(&mut [0; 1024]);
}

async fn provoke(running: &Running, id: &str, secret: &str) {
    let http = reqwest::Client::new();
    let token = format!("{}/oauth2/token", running.public);
    let grant = ("grant_type", "client_credentials");
    let form = [grant, ("client_id", id), ("client_secret", secret)];
    for request in [
        http.post(&token).basic_auth(id, Some(secret)).form(&[grant]),
        http.post(&token).basic_auth(secret, Some(secret)).form(&[grant]),
        http.post(&token).bearer_auth(secret),
        http.post(&token).form(&form),
        http.post(&token).form(&[("grant_type", secret), ("resource", secret), ("scope", secret)]),
        http.post(&token).basic_auth(id, Some(secret)).form(&[grant, ("resource", secret)]),
        http.post(&token).basic_auth(id, Some(secret)).form(&[grant, ("scope", secret)]),
        http.post(&token).basic_auth(id, Some(secret)).body(secret.to_owned()),
        http.post(&token).header("content-type", "application/x-www-form-urlencoded").body(format!("a=%zz{secret}")),
        http.post(format!("{token}?client_secret={secret}")).form(&form),
        http.get(format!("{}/{secret}", running.public)),
        http.get(format!("{}/.well-known/jwks.json?token={secret}", running.public)).header("if-none-match", secret),
        http.get(format!("{}/{secret}", running.admin)).header("cookie", secret),
    ] {
        let _ = request.send().await.unwrap().bytes().await.unwrap();
    }
    for raw in [
        format!("POST /oauth2/token HTTP/1.1\r\nAuthorization: Basic {secret}\r\nbroken {secret}\r\n\r\n"),
        format!("{secret} / HTTP/1.1\r\n\r\n"),
        format!("GET /{secret} HTTP/9.9\r\nHost: {secret}\r\n\r\n"),
        format!("POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nclient_secret={secret}"),
        format!("POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nclient_secret={secret}"),
        format!("POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n"),
    ] {
        send(running, raw.as_bytes());
    }
}

#[actix_web::test]
async fn no_secret_is_ever_logged() {
    use base64::Engine;
    for (format, url) in [("json", None), ("text", Some(Postgres::shared().database()))] {
        let mut program = Program::new().with("TELEMETRY__LEVEL", "trace,actix_http=trace");
        let password = "pass-word-of-the-database";
        if let Some(url) = &url {
            let with_password = url.replace("signet@", &format!("signet:{password}@"));
            assert_ne!(*url, with_password);
            program = program.with("DATABASE__URL", &with_password);
            let done = program.run(&["init"]);
            assert_eq!(done.code, Some(0), "{done:?}");
            assert!(!format!("{done:?}").contains(password));
        }
        // Two starts: the first makes the secrets, the second reads them.
        let mut logs = program.serve().stop().err;
        let credentials = program.credentials();
        let running = program.serve();
        provoke(&running, &credentials.client_id, &credentials.client_secret).await;
        let token = running.admin_token(&credentials).await;
        let rolled = program.run(&["clients", "roll-secret", &credentials.client_id, "--json"]);
        assert_eq!(rolled.code, Some(0), "{}", rolled.err);
        let rolled_secret: serde_json::Value = serde_json::from_str(&rolled.out).unwrap();
        logs += &rolled.err;
        logs += &running.stop().err;
        assert!(logs.lines().count() > 20 && logs.contains("TRACE"), "traced: {logs}");

        let master = std::fs::read_to_string(program.path("keys/master.key")).unwrap();
        let (_, master) = master.trim().split_once(':').unwrap();
        let secret = credentials.client_secret.as_str();
        let basic = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let mut canaries = vec![
            secret.to_owned(),
            secret.strip_prefix("scs_").unwrap()[..20].to_owned(),
            basic(&format!("{}:{secret}", credentials.client_id)),
            master.to_owned(),
            master[..20].to_owned(),
            token.rsplit('.').next().unwrap().to_owned(),
            password.to_owned(),
        ];
        if let Some(new) = rolled_secret["client_secret"].as_str() {
            canaries.push(new.to_owned());
        }
        for canary in canaries {
            let found: Vec<&str> = logs.lines().filter(|line| line.contains(&canary)).collect();
            assert!(found.is_empty(), "{format}: {canary} in {found:#?}");
        }
    }
}
