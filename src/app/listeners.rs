//! Both listeners: bound first, so that a port in use stops the start before anything is created.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer};

use super::{StartError, name};
use crate::config::{BindAddress, Settings};
use crate::http::{self, Http, Listener};

/// Bound sockets that nobody serves yet.
pub(super) struct Bound {
    public: TcpListener,
    admin: TcpListener,
    pub(super) public_address: SocketAddr,
    pub(super) admin_address: SocketAddr,
}

/// Both servers.
pub(super) struct Servers {
    public: Server,
    admin: Server,
}

impl Bound {
    pub(super) fn bind(settings: &Settings) -> Result<Self, StartError> {
        let patience = settings.public.write_timeout;
        let (public, public_address) = bind(Listener::Public, &settings.public.bind, patience)?;
        let (admin, admin_address) = bind(Listener::Admin, &settings.admin.bind, patience)?;
        Ok(Self { public, admin, public_address, admin_address })
    }

    /// Serves the routes on the sockets.
    pub(super) fn serve(&self, settings: &Settings, http: &Arc<Http>) -> Result<Servers, StartError> {
        let public = self.public.try_clone().map_err(|why| failed(Listener::Public, self.public_address, why))?;
        let admin = self.admin.try_clone().map_err(|why| failed(Listener::Admin, self.admin_address, why))?;
        Ok(Servers {
            public: server(settings, http, Listener::Public, public, settings.public.workers)?,
            admin: server(settings, http, Listener::Admin, admin, 1)?,
        })
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
) -> Result<(TcpListener, SocketAddr), StartError> {
    let wrong = |why| failed(listener, address, why);
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for candidate in (address.host(), address.port()).to_socket_addrs().map_err(wrong)? {
        let bound = TcpListener::bind(candidate).and_then(|socket| {
            close_unread(&socket, patience)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        });
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(wrong(last))
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
    socket: TcpListener,
    workers: usize,
) -> Result<Server, StartError> {
    let address = socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let routes = Arc::clone(http);
    let server = HttpServer::new(move || App::new().configure(|config| http::configure(config, &routes, listener)))
        .workers(workers)
        .max_connections(settings.public.max_connections)
        .client_request_timeout(settings.public.header_timeout)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(settings.public.keep_alive)
        .shutdown_timeout(settings.public.shutdown_grace.as_secs())
        .disable_signals()
        .listen(socket)
        .map_err(|why| failed(listener, address, why))?;
    Ok(server.run())
}
