//! Both listeners: bound first, so that a port in use or a bad certificate stops the start before anything is created.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::{Server, ServerHandle};

use super::tls::{self, Certificate, End};
use super::{StartError, name};
use crate::config::{BindAddress, Settings};
use crate::http::{self, Http, Listener};
use crate::ports::Timestamp;

/// How many connections the system holds that are not accepted yet; `std` asks for 128, which a burst of new
/// connections to a busy server fills. The system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;

/// Bound sockets that nobody serves yet.
pub(super) struct Bound {
    pub(super) public: BoundListener,
    pub(super) admin: BoundListener,
}

/// One of them.
pub(super) struct BoundListener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    /// None for plain HTTP.
    certificate: Option<Certificate>,
}

/// Both servers.
pub(super) struct Servers {
    public: Server,
    admin: Server,
}

impl Bound {
    pub(super) fn bind(settings: &Settings, now: Timestamp) -> Result<Self, StartError> {
        let (public, admin) = (&settings.public, &settings.admin);
        let public_files = (&public.tls_certificate_file, &public.tls_key_file);
        let admin_files = (&admin.tls_certificate_file, &admin.tls_key_file);
        let [public_certificate, admin_certificate] =
            [tls::certificate("public", public_files, now)?, tls::certificate("admin", admin_files, now)?];
        let patience = public.write_timeout;
        Ok(Self {
            public: bind(Listener::Public, &public.bind, patience, public_certificate)?,
            admin: bind(Listener::Admin, &admin.bind, patience, admin_certificate)?,
        })
    }

    /// When their certificates end.
    pub(super) fn certificate_ends(&self) -> Vec<End> {
        [&self.public, &self.admin].into_iter().filter_map(|bound| Some(bound.certificate.as_ref()?.end())).collect()
    }

    /// Serves the routes on the sockets. Also answers the certificates, which are to be looked after.
    pub(super) fn serve(
        self,
        settings: &Settings,
        http: &Arc<Http>,
    ) -> Result<(Servers, Vec<Certificate>), StartError> {
        let (public, public_certificate) =
            server(settings, http, Listener::Public, self.public, settings.public.workers)?;
        let (admin, admin_certificate) = server(settings, http, Listener::Admin, self.admin, 1)?;
        let certificates = public_certificate.into_iter().chain(admin_certificate).collect();
        Ok((Servers { public, admin }, certificates))
    }
}

impl BoundListener {
    /// Where it listens, with the scheme that it speaks.
    pub(super) fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl Servers {
    pub(super) fn handles(&self) -> [ServerHandle; 2] {
        [self.public.handle(), self.admin.handle()]
    }

    pub(super) async fn run(self) -> Result<(), StartError> {
        let (public, admin) = tokio::join!(self.public, self.admin);
        for (listener, ended) in [(Listener::Public, public), (Listener::Admin, admin)] {
            ended.map_err(|why| StartError::Listen { listener: name(listener), address: String::new(), why })?;
        }
        Ok(())
    }
}

fn failed(listener: Listener, address: impl ToString, why: std::io::Error) -> StartError {
    StartError::Listen { listener: name(listener), address: address.to_string(), why }
}

fn bind(
    listener: Listener,
    address: &BindAddress,
    patience: Duration,
    certificate: Option<Certificate>,
) -> Result<BoundListener, StartError> {
    let wrong = |why| failed(listener, address, why);
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for candidate in (address.host(), address.port()).to_socket_addrs().map_err(wrong)? {
        match listen(candidate, patience) {
            Ok((socket, address)) => return Ok(BoundListener { socket, address, certificate }),
            Err(error) => last = error,
        }
    }
    Err(wrong(last))
}

fn listen(address: SocketAddr, patience: Duration) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address)?;
    // Listening again changes nothing but the length of the queue.
    socket2::SockRef::from(&socket).listen(BACKLOG)?;
    close_unread(&socket, patience)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Has the system close each connection that `socket` accepts whose peer takes nothing of what was sent for
/// `patience`: actix-web waits for such a peer without limit, its answers in memory.
///
/// [RFC 5482](https://www.rfc-editor.org/rfc/rfc5482): on Linux accepted connections inherit the option, and it holds
/// for a peer that is alive and keeps its window shut, too. Other systems lack it, and nothing is closed there.
fn close_unread(socket: &TcpListener, patience: Duration) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(patience))?;
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, patience);
    Ok(())
}

fn server(
    settings: &Settings,
    http: &Arc<Http>,
    listener: Listener,
    bound: BoundListener,
    workers: usize,
) -> Result<(Server, Option<Certificate>), StartError> {
    let BoundListener { socket, address, certificate } = bound;
    let routes = Arc::clone(http);
    let server = HttpServer::new(move || http::routes(Arc::clone(&routes), listener))
        .workers(workers)
        .max_connections(settings.public.max_connections)
        // Handshakes in progress have no limit of their own: a few hundred silent clients would fill it, and hold up
        // everyone else until they are cut off.
        .max_connection_rate(settings.public.max_connections)
        .tls_handshake_timeout(settings.public.tls_handshake_timeout)
        .client_request_timeout(settings.public.header_timeout)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(settings.public.keep_alive)
        .shutdown_timeout(settings.public.shutdown_grace.as_secs())
        .disable_signals();
    let listening = match &certificate {
        None => server.listen(socket),
        Some(certificate) => {
            let config =
                certificate.server_config().map_err(|why| failed(listener, address, std::io::Error::other(why)))?;
            server.listen_rustls_0_23(socket, config)
        }
    };
    let server = listening.map_err(|why| failed(listener, address, why))?;
    Ok((server.run(), certificate))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_burst_of_connections_waits_in_line_and_is_not_turned_away() {
        let (_socket, address) = listen("127.0.0.1:0".parse().unwrap(), Duration::from_secs(30)).unwrap();
        // Nobody accepts. Past the length of the line, the system lets a client wait for its answer.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(5));
        let waiting: Result<Vec<_>, _> = (0..400).map(|_| connect()).collect();
        assert_eq!(waiting.unwrap().len(), 400);
    }
}
