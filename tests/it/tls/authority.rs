//! A certificate authority of the test, and a client that trusts it alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tokio::task::spawn_blocking;

use crate::raw::{Heard, RawAnswer, connect};

/// Issues certificates for this machine.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for 127.0.0.1, which bears `name` too so that it can be told from others.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_to(&["127.0.0.1", name])
    }

    /// A certificate for these names alone.
    pub fn issue_to(&self, names: &[&str]) -> Issued {
        let mut parameters =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, names[names.len() - 1]);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Puts both files in place, one after the other, each whole.
    pub fn store(&self, folder: &Path) {
        self.store_certificate(folder);
        put(&folder.join("tls.key"), &self.key);
    }

    pub fn store_certificate(&self, folder: &Path) {
        put(&folder.join("tls.crt"), &self.certificate);
    }
}

fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Connects as verifiers do, and shows what they don't.
pub struct TlsClient {
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: Vec<Vec<u8>>,
}

impl TlsClient {
    pub fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let protocols = [&b"h2"[..], b"http/1.1"].map(<[u8]>::to_vec).to_vec();
        Self { roots, versions: rustls::ALL_VERSIONS.to_vec(), protocols }
    }

    pub fn speaking(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    pub fn insisting_on(self, protocol: &str) -> Self {
        Self { protocols: vec![protocol.as_bytes().to_vec()], ..self }
    }

    /// Connects to a base address and finishes the handshake.
    pub async fn connect(&self, base: &str) -> Result<TlsConnection, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions).unwrap();
        let mut config = config.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols.clone_from(&self.protocols);
        // Each connection is to see the certificate anew.
        config.resumption = rustls::client::Resumption::disabled();
        let address = base.strip_prefix("https://").unwrap().to_owned();
        let name = ServerName::try_from(address.split(':').next().unwrap().to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        spawn_blocking(move || {
            let mut socket = connect(&address);
            while session.is_handshaking() {
                session.complete_io(&mut socket).map_err(|error| error.to_string())?;
            }
            Ok(TlsConnection(Some(StreamOwned::new(session, socket))))
        })
        .await
        .unwrap()
    }
}

/// A connection that stays open.
pub struct TlsConnection(Option<StreamOwned<ClientConnection, TcpStream>>);

impl TlsConnection {
    fn session(&self) -> &ClientConnection {
        &self.0.as_ref().unwrap().conn
    }

    /// The name by which the test knows the certificate: it is the last one in it.
    pub fn certificate_name(&self) -> String {
        let certificates: &[CertificateDer<'_>] = self.session().peer_certificates().unwrap();
        let text = String::from_utf8_lossy(&certificates[0]).into_owned();
        let known = ["first", "second", "localhost"];
        known.into_iter().find(|name| text.contains(name)).unwrap_or_default().to_owned()
    }

    /// What was agreed on to speak.
    pub fn protocol(&self) -> Option<&str> {
        self.session().alpn_protocol().map(|name| std::str::from_utf8(name).unwrap())
    }

    /// Asks, and leaves the connection open.
    pub async fn get(&mut self, path: &str) -> Result<RawAnswer, String> {
        let mut stream = self.0.take().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (stream, heard) = spawn_blocking(move || {
            let heard = ask(&mut stream, &request);
            (stream, heard)
        })
        .await
        .unwrap();
        self.0 = Some(stream);
        heard.map(|heard| heard.only()).map_err(|error| error.to_string())
    }
}

/// Reads one answer with a `Content-Length`.
fn ask(stream: &mut (impl Read + Write), request: &str) -> std::io::Result<Heard> {
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse::<usize>().unwrap()).then_some(())
    };
    while whole(&bytes).is_none() {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    Ok(Heard { bytes, closed: false, took: Duration::ZERO })
}
