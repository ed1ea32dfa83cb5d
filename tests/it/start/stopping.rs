//! Stopping gracefully.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::program::Program;

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[actix_web::test]
async fn a_server_told_to_stop_answers_what_is_in_flight_and_exits_with_0() {
    for name in ["TERM", "INT"] {
        let program = Program::new();
        let mut running = program.serve();
        let credentials = program.credentials();
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            credentials.client_id, credentials.client_secret
        );
        // The admin authenticates by Basic: what matters is that an answer comes, whatever it says.
        let mut in_flight = connect(&running.public);
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        in_flight.write_all(head.as_bytes()).unwrap();
        in_flight.write_all(&body.as_bytes()[..20]).unwrap();
        // Idle connections must not hold it up.
        let idle = connect(&running.public);
        let mut kept = connect(&running.public);
        kept.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut first = [0; 12];
        kept.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        std::thread::sleep(Duration::from_millis(100));

        let stopping = Instant::now();
        running.signal(name);
        while !running.log().contains("stopping") {
            assert!(stopping.elapsed() < Duration::from_secs(10), "{}", running.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(200));
        in_flight.write_all(&body.as_bytes()[20..]).unwrap();
        let mut answer = String::new();
        in_flight.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("invalid_client"), "{name}: {answer:?}");
        let ended = running.wait();
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
        assert!(stopping.elapsed() < Duration::from_secs(5), "{name}: {:?}", stopping.elapsed());
        assert!(TcpStream::connect(running.public.strip_prefix("http://").unwrap()).is_err());
        drop(idle);
        // The last connection closes the database: nothing of the log is left over.
        assert!(!program.contents().contains_key("data/signet.db-wal"));
    }
}
