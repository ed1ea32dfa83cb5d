//! A way to Postgres that can be cut, and slowed down.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// With this, every change that replicas follow begins: its row is their lock.
const FIRST: &[u8] = b"UPDATE change_counter";

/// Passes on what goes to and from a database.
pub struct Proxy {
    /// The URL of the database by way of this.
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    /// What each answer of the database is held back, in milliseconds.
    delay: AtomicU64,
    /// Whether a change has begun: the statement that each begins with was sent.
    has_begun: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A way to the database of that URL.
    pub fn before(url: &str) -> Self {
        let (front, rest) = url.split_once('@').unwrap();
        let (upstream, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{front}@{}/{database}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        std::thread::spawn({
            let (shared, upstream) = (Arc::clone(&shared), upstream.to_owned());
            move || {
                for client in listener.incoming().flatten() {
                    shared.pass(client, &upstream);
                }
            }
        });
        Self { url, shared }
    }

    /// Ends every connection, and lets none through until it is restored.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn restore(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// Whether a change has begun since this was last asked for.
    pub fn has_begun(&self) -> bool {
        self.shared.has_begun.load(Ordering::SeqCst)
    }

    /// Watches for the next change to begin.
    pub fn watch(&self) {
        self.shared.has_begun.store(false, Ordering::SeqCst);
    }

    /// Holds back each answer of the database for so long.
    pub fn delay(&self, by: Duration) {
        self.shared.delay.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Shared {
    fn pass(self: &Arc<Self>, client: TcpStream, upstream: &str) {
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(upstream) else { return };
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        self.open.lock().unwrap().extend([clone(&client), clone(&server)]);
        let there = (clone(&client), clone(&server));
        let shared = Arc::clone(self);
        let watch = move |sent: &[u8]| {
            if sent.windows(FIRST.len()).any(|bytes| bytes == FIRST) {
                shared.has_begun.store(true, Ordering::SeqCst);
            }
        };
        std::thread::spawn(move || carry(there.0, there.1, watch));
        let shared = Arc::clone(self);
        let wait = move |_: &[u8]| std::thread::sleep(Duration::from_millis(shared.delay.load(Ordering::SeqCst)));
        std::thread::spawn(move || carry(server, client, wait));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8])) {
    let mut buffer = [0; 16_384];
    while let Ok(read) = from.read(&mut buffer) {
        before(&buffer[..read]);
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
