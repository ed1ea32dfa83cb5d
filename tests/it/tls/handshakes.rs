//! Clients that connect and never finish a handshake.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::authority::{Authority, TlsClient};
use super::{JWKS, installation_with};
use crate::raw::connect;

/// The beginning of a `ClientHello`: a record of 512 bytes, of which nothing more comes.
const BEGINNING: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 252];

#[actix_web::test]
async fn a_handshake_that_does_not_end_is_cut_off_however_slowly_it_goes_on() {
    const LIMIT: Duration = Duration::from_secs(1);
    let authority = Authority::new();
    let installation = installation_with(&authority).with("PUBLIC__TLS_HANDSHAKE_TIMEOUT", "1s");
    let signet = installation.start().await;
    let mut clients = Vec::new();
    for base in [&signet.public, &signet.admin] {
        for pause in [None, Some(Duration::from_millis(100))] {
            let address = base.strip_prefix("https://").unwrap().to_owned();
            clients.push(spawn_blocking(move || {
                let started = Instant::now();
                let mut socket = connect(&address);
                let mut writing = socket.try_clone().unwrap();
                let writer = pause.map(|pause| {
                    std::thread::spawn(move || {
                        // A byte at a time, for far longer than the limit.
                        for byte in BEGINNING.into_iter().chain(std::iter::repeat_n(0, 91)) {
                            if writing.write_all(&[byte]).is_err() {
                                break;
                            }
                            std::thread::sleep(pause);
                        }
                    })
                });
                let mut buffer = [0; 64];
                // An end, or a reset where a byte of ours was still on the way.
                let end = socket.read(&mut buffer).ok();
                let took = started.elapsed();
                drop(socket);
                if let Some(writer) = writer {
                    writer.join().unwrap();
                }
                (end, took)
            }));
        }
    }
    for client in clients {
        let (end, took) = client.await.unwrap();
        assert!(matches!(end, Some(0) | None), "{end:?}");
        assert!(took >= LIMIT && took < LIMIT * 5 / 2, "{took:?}");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn hundreds_of_silent_clients_hold_up_nobody() {
    let authority = Authority::new();
    // One worker, which would count 256 handshakes at most if nobody told it otherwise.
    let installation = installation_with(&authority).with("PUBLIC__TLS_HANDSHAKE_TIMEOUT", "1m");
    let signet = installation.start().await;
    for base in [&signet.public, &signet.admin] {
        let address = base.strip_prefix("https://").unwrap().to_owned();
        let silent: Vec<_> = (0..400).map(|_| connect(&address)).collect();
        let started = Instant::now();
        let mut connection = TlsClient::trusting(&authority).connect(base).await.unwrap();
        let path = if *base == signet.public { JWKS } else { "/healthz" };
        assert_eq!(connection.get(path).await.unwrap().status, 200);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        drop(silent);
    }
    signet.stop().await;
}
