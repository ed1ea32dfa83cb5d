//! A way to a store that can be slowed down, held up, swallowed whole, and cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

/// With this, every change that replicas follow begins: its row is their lock.
const FIRST: &[u8] = b"UPDATE change_counter";

/// Which of the two ways bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the store.
    There,
    /// From it.
    Back,
}

/// Passes on what goes to and from a store.
pub struct Proxy {
    /// The URL of the store by way of this.
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    is_black_hole: AtomicBool,
    /// What each answer of the store is held back, in milliseconds.
    delay: AtomicU64,
    /// Whether a change has begun: the statement that each begins with was sent.
    has_begun: AtomicBool,
    /// How many connections came.
    connections: AtomicU64,
    held: Mutex<Held>,
    released: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

/// What is held up.
#[derive(Default)]
struct Held {
    way: Option<Way>,
    /// How many pieces wait.
    waiting: u64,
}

impl Proxy {
    /// A way to the store of that URL.
    pub fn before(url: &str) -> Self {
        let rest = url.split_once("://").unwrap().1;
        let upstream = rest.split(['/', '?']).next().unwrap().rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url.replace(&upstream, &listener.local_addr().unwrap().to_string());
        let shared = Arc::new(Shared::default());
        std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for client in listener.incoming().flatten() {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    shared.pass(client, &upstream);
                }
            }
        });
        Self { url, shared }
    }

    /// Ends every connection, and lets none through until it is restored.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.break_connections();
    }

    /// From now on connections stay open and are taken in, and nothing passes either way, until it is restored.
    pub fn swallow(&self) {
        self.shared.is_black_hole.store(true, Ordering::SeqCst);
    }

    /// Lets new connections through, at once. Those that were swallowed have lost bytes: they end.
    pub fn restore(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
        if self.shared.is_black_hole.swap(false, Ordering::SeqCst) {
            self.break_connections();
        }
    }

    fn break_connections(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether a change has begun since this was last asked for.
    pub fn has_begun(&self) -> bool {
        self.shared.has_begun.load(Ordering::SeqCst)
    }

    /// Watches for the next change to begin.
    pub fn watch(&self) {
        self.shared.has_begun.store(false, Ordering::SeqCst);
    }

    /// Holds back each answer of the store for so long.
    pub fn delay(&self, by: Duration) {
        self.shared.delay.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Holds up what goes that way from now on. It is not lost: once released it arrives, also where whoever sent it has
    /// hung up meanwhile.
    pub fn hold(&self, way: Way) {
        self.shared.held.lock().unwrap().way = Some(way);
    }

    /// Lets go on what was held up.
    pub fn release(&self) {
        self.shared.held.lock().unwrap().way = None;
        self.shared.released.notify_all();
    }

    /// Whether something waits to be released.
    pub fn holds_something(&self) -> bool {
        self.shared.held.lock().unwrap().waiting > 0
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
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
            Duration::ZERO
        };
        self.carry(Way::There, there.0, there.1, watch);
        let shared = Arc::clone(self);
        let wait = move |_: &[u8]| Duration::from_millis(shared.delay.load(Ordering::SeqCst));
        self.carry(Way::Back, server, client, wait);
    }

    fn wait_while_held(&self, way: Way) {
        let mut held = self.held.lock().unwrap();
        if held.way == Some(way) {
            held.waiting += 1;
            held = self.released.wait_while(held, |held| held.way == Some(way)).unwrap();
            held.waiting -= 1;
        }
    }

    /// Carries bytes one way, each as long after it came as `wait` says: a delay holds answers back, but none behind
    /// another.
    fn carry(
        self: &Arc<Self>,
        way: Way,
        mut from: TcpStream,
        mut to: TcpStream,
        wait: impl Fn(&[u8]) -> Duration + Send + 'static,
    ) {
        let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            for (due, bytes) in receiver {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                shared.wait_while_held(way);
                if !shared.is_black_hole.load(Ordering::SeqCst) && to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let sent = &buffer[..read];
                let dropped = shared.is_black_hole.load(Ordering::SeqCst);
                if !dropped && sender.send((Instant::now() + wait(sent), sent.to_vec())).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}
