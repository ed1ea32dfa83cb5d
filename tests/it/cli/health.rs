//! `signet health`: 0 is the server's own yes, and nothing else is.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::home::{Home, eventually};

/// A server that gives `answer` to one request, and where it listens.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(answer.as_bytes());
    });
    url
}

#[test]
fn a_running_server_is_ready_and_one_that_is_not_there_is_not() {
    let home = Home::initialised();
    let address = format!("http://127.0.0.1:{}", home.admin);
    home.run(&["health"]).refused(4, &[&format!("{address}/readyz"), "can't be reached"]);
    let server = home.serve();
    eventually(|| (home.run(&["health"]).code == 0).then_some(()));
    assert_eq!(home.run(&["health"]).ok().out, "ready\n");
    assert_eq!(home.run(&["health", "--live"]).ok().out, "ok\n");
    let told = home.json(&["health"]);
    assert_eq!((&told["status"], &told["url"]), (&"ready".into(), &format!("{address}/readyz").into()));
    assert!(told["checks"].as_object().unwrap().values().all(|state| state == "ok"), "{told}");
    // Listening on all interfaces is asked on this machine.
    let everywhere = [("SIGNET__ADMIN__BIND", format!("0.0.0.0:{}", home.admin))];
    let everywhere = everywhere.each_ref().map(|(name, value)| (*name, value.as_str()));
    home.run_with(&["health"], &everywhere, "").ok();
    // Of another listener than the admin one, the same answer is no yes.
    home.run(&["health", "--url", &home.issuer()]).refused(1, &["404", "is the address right?"]);
    drop(server);
    home.run(&["health", "--live"]).refused(4, &["can't be reached"]);
}

#[test]
fn another_servers_health_needs_no_settings_of_this_one() {
    let home = Home::initialised();
    let _server = home.serve();
    let elsewhere = Home::empty();
    elsewhere.write("signet.toml", "[public]\nbindd = 1\n");
    let url = format!("http://127.0.0.1:{}", home.admin);
    eventually(|| (elsewhere.run(&["health", "--url", &url]).code == 0).then_some(()));
    elsewhere.run(&["health"]).refused(3, &["public.bindd"]);
    elsewhere.run(&["health", "--url", &format!("{url}/readyz")]).refused(1, &["--url", "the path is added"]);
    elsewhere.run(&["health", "--url", "ftp://a.example"]).refused(1, &["only http and https"]);
}

#[test]
fn what_is_missing_is_told() {
    let body = r#"{"checks":{"keys":"no key may sign","store":"ok"},"status":"not ready"}"#;
    let answer = format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak();
    let home = Home::empty();
    home.run(&["health", "--url", &answering(answer)]).refused(4, &["is not ready: keys: no key may sign"]);
    let failed = home.run(&["health", "--json", "--url", &answering(answer)]);
    let told: serde_json::Value = serde_json::from_str(&failed.err).unwrap();
    assert_eq!((failed.code, failed.out.as_str(), &told["exit_code"]), (4, "", &4.into()));
}

#[test]
fn an_answer_of_something_else_is_no_yes() {
    let home = Home::empty();
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"status\":\"not ready\"}", 1),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", 4),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno", 4),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 1),
    ] {
        let url = answering(answer);
        home.run(&["health", "--url", &url]).refused(code, &[&url]);
    }
}

#[test]
fn a_port_that_the_system_chooses_has_to_be_named() {
    let home = Home::empty();
    let ran = home.run_with(&["health"], &[("SIGNET__ADMIN__BIND", "127.0.0.1:0")], "");
    ran.refused(1, &["admin.bind", "--url"]);
}
