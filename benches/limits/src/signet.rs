//! Signet itself: a data folder of its own with two resources and one client, and the requests it is asked.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::Result;
use crate::contender::{Contender, free_address};
use crate::limit_server::{Plan, Work};
use crate::load::{Answer, exchange};
use crate::talk::Talk;

/// The resources that tokens are asked for, one for each algorithm.
pub(crate) const ES256_RESOURCE: &str = "https://orders.example.com";
const RS256_RESOURCE: &str = "https://ledger.example.com";

/// Headers that actix-web writes by itself in every answer.
const OF_THE_SERVER: [&str; 2] = ["date", "content-length"];

/// Signet, ready to be started on existing data.
#[derive(Debug)]
pub(crate) struct Signet {
    pub(crate) contender: Contender,
    pub(crate) es256: Vec<u8>,
    pub(crate) rs256: Vec<u8>,
    pub(crate) jwks: Vec<u8>,
    admin: SocketAddr,
    data: PathBuf,
}

/// A client's identifier and secret, as `clients create --json` prints them.
#[derive(Debug, Deserialize)]
pub(crate) struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Signet {
    /// Lets `program` make a data folder below `scratch`, and registers the resources and the client. What `settings`
    /// does not say is as it is when nothing is set.
    pub(crate) fn prepare(
        program: &Path,
        scratch: &Path,
        core: usize,
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        let address = free_address()?;
        let jwks = format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let setting = |name, value: &str| (name, OsString::from(value));
        let data = scratch.join("data");
        let admin = free_address()?;
        let mut environment = vec![
            setting("SIGNET__ISSUER", &format!("http://{address}")),
            setting("SIGNET__PUBLIC__BIND", &address.to_string()),
            setting("SIGNET__ADMIN__BIND", &admin.to_string()),
            ("SIGNET__DATA_DIR", data.clone().into()),
            ("SIGNET__KEYS__MASTER_KEY_FILE", scratch.join("master.key").into()),
        ];
        environment.extend(settings.iter().map(|(name, value)| setting(name, value)));
        let contender = Contender {
            command: vec![program.into(), "serve".into()],
            environment,
            address,
            probe: jwks.clone().into_bytes(),
            log: scratch.join("signet.log"),
        };
        // The first start makes the database and the keys; what is measured is every later one.
        let (server, _) = contender.start(core)?;
        server.stop()?;

        let cli = Cli { contender: &contender };
        for (resource, algorithm) in [(ES256_RESOURCE, "ES256"), (RS256_RESOURCE, "RS256")] {
            cli.run(&["resources", "create", resource, "--scope", "read write", "--algorithm", algorithm])?;
        }
        let access = |resource| format!("{resource}=read write");
        let credentials = cli.client(&["--access", &access(ES256_RESOURCE), "--access", &access(RS256_RESOURCE)])?;
        let token = |resource| token_request(&contender, &credentials, resource);
        let (es256, rs256) = (token(ES256_RESOURCE), token(RS256_RESOURCE));
        Ok(Self { es256, rs256, jwks: jwks.into_bytes(), admin, data, contender })
    }

    /// What a bare server must do that sends the same as this running Signet answers in `talk`.
    pub(crate) fn plan(&self, talk: &mut Talk, work: Work) -> Result<Plan> {
        let answer = exchange(self.contender.address, talk.request())?;
        let body = String::from_utf8(answer.body)?;
        if answer.status != 200 {
            return Err(format!("Signet answers {}: {body}", answer.status).into());
        }
        let mut headers = answer.headers;
        headers.retain(|(name, _)| !OF_THE_SERVER.contains(&name.as_str()));
        talk.hear(body.as_bytes())?;
        let path = String::from_utf8_lossy(talk.request());
        let path = path.split(' ').nth(1).ok_or("the request names no path")?.to_owned();
        Ok(Plan { address: free_address()?, path, work, headers, body })
    }
}

/// The admin API of a running Signet, with a token for it.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    token: String,
}

/// The scopes that are asked for.
const ADMIN_SCOPE: &str = "clients:write keys:write";

impl Signet {
    /// Access to the admin API of this running Signet, for the lifetime of a token.
    pub(crate) fn admin(&self) -> Result<Admin> {
        #[derive(Deserialize)]
        struct Issued {
            access_token: String,
        }
        let credentials: Credentials = serde_json::from_slice(&fs::read(self.data.join("admin-credentials.json"))?)?;
        let form = format!("grant_type=client_credentials&scope={}", ADMIN_SCOPE.replace(':', "%3A").replace(' ', "+"));
        let answer = exchange(self.contender.address, &form_request(&self.contender, Some(&credentials), &form))?;
        let issued: Issued = serde_json::from_slice(&answer.body)
            .map_err(|e| format!("no token for the admin API, but {}: {e}", answer.status))?;
        Ok(Admin { address: self.admin, token: issued.access_token })
    }
}

impl Admin {
    /// A request to the admin API.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len(),
        )
        .into_bytes()
    }

    /// Sends a request to the admin API.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        exchange(self.address, &self.request(method, path, &[], body))
    }

    /// Registers so many clients, and gives requests that change them in turn: each really changes something.
    pub(crate) fn client_changes(&self, clients: usize) -> Result<Vec<Vec<u8>>> {
        const ROUTE: &str = "/admin/v1/clients";
        let described = |name| format!("\"client_name\":\"{name}\",\"access\":{{\"{ES256_RESOURCE}\":\"read\"}}");
        for client in 0..clients {
            let body = format!("{{\"client_id\":\"beside-{client}\",{}}}", described("new"));
            let answer = self.ask("POST", ROUTE, &body)?;
            if answer.status != 201 {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                return Err(format!("no client could be registered, but {}: {said}", answer.status).into());
            }
        }
        let change = |(name, client)| {
            let path = format!("{ROUTE}/beside-{client}");
            self.request("PUT", &path, &["If-Match: *"], &format!("{{{}}}", described(name)))
        };
        Ok(["one", "other"].into_iter().flat_map(|name| (0..clients).map(move |n| (name, n))).map(change).collect())
    }
}

/// The command line of Signet, on the data of a contender.
pub(crate) struct Cli<'a> {
    pub(crate) contender: &'a Contender,
}

impl Cli<'_> {
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let program = self.contender.command.first().ok_or("the server has no program")?;
        let environment = self.contender.environment.iter().map(|(name, value)| (name, value));
        let output = Command::new(program).args(arguments).envs(environment).output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("signet {} ended with {}:\n{said}", arguments.join(" "), output.status).into())
    }
}

impl Cli<'_> {
    /// Registers a client with a secret.
    pub(crate) fn client(&self, arguments: &[&str]) -> Result<Credentials> {
        let printed = self.run(&[&["clients", "create", "--json"], arguments].concat())?;
        let credentials = serde_json::from_slice(&printed);
        Ok(credentials.map_err(|e| format!("`clients create --json` printed no credentials: {e}"))?)
    }
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        // Both are made of unreserved characters: the form-encoding of RFC 6749, section 2.3.1, changes nothing.
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret)))
    }
}

/// A request for a token by a client that authenticates with `client_secret_basic`.
fn token_request(contender: &Contender, client: &Credentials, resource: &str) -> Vec<u8> {
    let resource = resource.replace(':', "%3A").replace('/', "%2F");
    form_request(contender, Some(client), &format!("grant_type=client_credentials&resource={resource}"))
}

/// The same with any `form`, by a client with a secret or without.
pub(crate) fn form_request(contender: &Contender, client: Option<&Credentials>, form: &str) -> Vec<u8> {
    let form_type = "application/x-www-form-urlencoded";
    request(contender, "/oauth2/token", client, form_type, form)
}

/// A `POST` of a `body`, by a client with a secret or without.
pub(crate) fn request(
    contender: &Contender,
    path: &str,
    client: Option<&Credentials>,
    content_type: &str,
    body: &str,
) -> Vec<u8> {
    let authorization = client.map(|client| format!("Authorization: {}\r\n", client.basic())).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        contender.address,
        body.len(),
    )
    .into_bytes()
}

/// A bare server that follows `plan`, its description kept below `scratch` under `name`.
pub(crate) fn bare_server(plan: &Plan, scratch: &Path, name: &str, probe: &[u8]) -> Result<Contender> {
    let file = scratch.join(format!("{name}.json"));
    fs::write(&file, serde_json::to_vec(plan)?)?;
    Ok(Contender {
        command: vec![std::env::current_exe()?.into(), "limit-server".into(), file.into()],
        environment: Vec::new(),
        address: plan.address,
        probe: probe.to_vec(),
        log: scratch.join(format!("{name}.log")),
    })
}

/// How long a server is left alone before its idle memory is read.
pub(crate) const SETTLING: Duration = Duration::from_secs(2);
