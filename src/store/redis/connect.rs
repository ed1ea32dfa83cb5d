//! Making a connection: to a named server, or to the one that the Sentinels call the master.
//!
//! Guarantees: a connection is only ever handed out to a master that passed the checks of `checks`; every step together
//! takes at most `connect_timeout`.

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
    from_redis_value,
};

use super::checks::{Facts, check};
use super::error::Failure;
use super::url::{Node, RedisUrl};
use super::{Options, Topology};

/// Commands that may wait to be written to one connection. More than these wait, within their time, for room.
const WRITE_AHEAD: usize = 1_024;
/// Where Sentinels listen when nobody says otherwise.
const SENTINEL_PORT: u16 = 26_379;

/// Where a connection leads.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// That server.
    Node(Node),
    /// Whichever the Sentinels call the master of that name.
    Master(String),
}

/// A new connection.
pub(super) struct Made {
    pub(super) connection: MultiplexedConnection,
    pub(super) node: Node,
    pub(super) facts: Facts,
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) options: Options,
    /// Which Sentinel is asked first: the one that knew last time.
    first_sentinel: AtomicUsize,
}

impl Connector {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, first_sentinel: AtomicUsize::new(0) }
    }

    /// Connects, and checks the server.
    pub(super) async fn connect(&self, target: &Target) -> Result<Made, Failure> {
        let node = match target {
            Target::Node(node) => node.clone(),
            Target::Master(name) => self.master(name).await?,
        };
        let work = async {
            let mut connection = self.open(&self.options.url, &node).await?;
            let facts = check(&mut connection).await?;
            Ok(Made { connection, node, facts })
        };
        self.within(work).await
    }

    /// Asks a server one thing, over a connection that ends with the answer. It need not be a master.
    pub(super) async fn ask<T: redis::FromRedisValue>(
        &self,
        url: &RedisUrl,
        node: &Node,
        command: &Cmd,
    ) -> Result<T, Failure> {
        let work = async {
            let mut connection = self.open(url, node).await?;
            let value = connection.send_packed_command(command).await.and_then(redis::Value::extract_error)?;
            from_redis_value(value).map_err(|error| Failure::Refused(format!("its answer is not understood: {error}")))
        };
        self.within(work).await
    }

    /// What the Sentinels say: each is asked until one knows.
    pub(super) async fn master(&self, name: &str) -> Result<Node, Failure> {
        let Topology::Sentinel { sentinels } = &self.options.topology else {
            return Err(Failure::Refused("no Sentinels are named".to_owned()));
        };
        let first = self.first_sentinel.load(Ordering::Relaxed);
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let mut last = Failure::NotSent("no Sentinel was asked".to_owned());
        for place in (0..sentinels.nodes.len()).map(|n| (first + n) % sentinels.nodes.len()) {
            let sentinel = &sentinels.nodes[place];
            let node = Node { host: sentinel.host.clone(), port: Some(sentinel.port.unwrap_or(SENTINEL_PORT)) };
            match self.ask::<Option<(String, u16)>>(sentinels, &node, &command).await {
                Ok(Some((host, port))) => {
                    self.first_sentinel.store(place, Ordering::Relaxed);
                    return Ok(Node { host, port: Some(port) });
                }
                Ok(None) => last = Failure::Refused(format!("the Sentinel {node} knows no master called {name:?}")),
                Err(Failure::Refused(why)) => last = Failure::Refused(format!("the Sentinel {node}: {why}")),
                // What one refuses is more to the point than that another is away.
                Err(failure) if matches!(last, Failure::NotSent(_)) => last = failure,
                Err(_) => {}
            }
        }
        Err(last)
    }

    async fn open(&self, url: &RedisUrl, node: &Node) -> Result<MultiplexedConnection, Failure> {
        let (host, port) = (node.host.clone(), node.port());
        let address = if url.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(i64::from(url.database));
        if let Some(user) = &url.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = url.password() {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info()?.set_redis_settings(settings);
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = match (&self.options.ca_file, url.tls) {
            (Some(path), true) => {
                let authority = std::fs::read(path);
                let authority = authority
                    .map_err(|error| Failure::Refused(format!("{} can't be read: {error}", path.display())))?;
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(authority) })?
            }
            _ => Client::open(info)?,
        };
        // The time-outs are ours, around whole acts.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let config = config.set_pipeline_buffer_size(WRITE_AHEAD);
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = self.options.connect_timeout;
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Late(limit)))
    }
}
