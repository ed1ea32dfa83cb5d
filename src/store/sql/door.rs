//! Whether Postgres lets anybody in: a pool asks a server that refuses connections again and again until its time is over,
//! and who waits for it would wait as long for what is known at once.
//!
//! Guarantees: only a connection that was refused counts, so a server that is slow, full or starting is waited for as
//! before; however many acts wait, one of them looks, and not more often than every so often.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::ports::Stopwatch;

/// An act that takes no longer is not looked at.
const PATIENCE: Duration = Duration::from_millis(50);
/// For so long a look tells all who wait.
const A_LOOK_HOLDS: Duration = Duration::from_millis(100);

/// The way in to a server.
#[derive(Debug)]
pub(super) struct Door {
    host: String,
    port: u16,
    /// When somebody looked last, and whether it was shut.
    looked: Mutex<Option<(Stopwatch, bool)>>,
}

impl Door {
    /// That of the server of these options; none where it is a socket in the file system.
    pub(super) fn of(options: &PgConnectOptions) -> Option<Self> {
        let host = options.get_host();
        let is_socket = options.get_socket().is_some() || host.starts_with('/');
        (!is_socket).then(|| Self { host: host.to_owned(), port: options.get_port(), looked: Mutex::default() })
    }

    /// Ends once the server refuses connections. What is under way then has no connection, and gets none.
    pub(super) async fn is_shut(&self) {
        tokio::time::sleep(PATIENCE).await;
        while !self.look().await {
            tokio::time::sleep(A_LOOK_HOLDS).await;
        }
    }

    async fn look(&self) -> bool {
        let mut looked = self.looked.lock().await;
        if let Some((at, is_shut)) = *looked
            && at.elapsed() < A_LOOK_HOLDS
        {
            return is_shut;
        }
        // Closed without a byte, which Postgres takes no note of.
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        let is_shut = connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        *looked = Some((Stopwatch::start(), is_shut));
        is_shut
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    fn door(port: u16) -> Door {
        Door::of(&PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port)).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_listens_is_waited_for_and_one_that_refuses_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = door(listener.local_addr().unwrap().port());
        assert!(timeout(A_LOOK_HOLDS * 3, door.is_shut()).await.is_err());
        drop(listener);
        timeout(Duration::from_secs(10), door.is_shut()).await.unwrap();
    }

    #[tokio::test]
    async fn of_many_that_wait_one_looks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = door(listener.local_addr().unwrap().port());
        let looks = (0..100).map(|_| door.look());
        for look in looks {
            assert!(!look.await);
        }
        let (mut seen, mut more) = (0, true);
        while more {
            more = timeout(Duration::from_millis(50), listener.accept()).await.is_ok();
            seen += u32::from(more);
        }
        assert!((1..10).contains(&seen), "{seen}");
    }

    #[test]
    fn a_socket_in_the_file_system_has_no_door() {
        assert!(Door::of(&PgConnectOptions::new_without_pgpass().socket("/run/postgresql")).is_none());
        assert!(Door::of(&PgConnectOptions::new_without_pgpass().host("/run/postgresql")).is_none());
    }
}
