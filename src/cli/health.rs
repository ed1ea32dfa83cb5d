//! `signet health`: what container runtimes and load balancers ask, asked by the program itself, so that an image needs
//! no shell and no curl.
//!
//! Guarantees: 0 is the server's own yes; anything else exits otherwise. No store is opened and nothing is changed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::Args;
use serde_json::{Map, Value, json};
use url::Url;

use super::output::plain;
use super::{Context, Failure, fetch};
use crate::config::AdminSettings;

pub(super) const HELP: &str = "\
Examples:
  signet health                                    of the server with these settings, on this machine
  signet health --live                             whether its process answers, whatever it lacks
  signet health --url http://10.0.0.7:8081 --json  of another one

Asks GET /readyz of the admin listener, or GET /healthz with --live. Without --url that is the listener of `admin.bind`,
by way of the loopback interface where it listens on all of them; its TLS certificate bears the name that others know it
by, and is not checked then. That of --url is.
Exits with 0 when the answer is yes, and with 4 when it is no or there is none within 5 s.";

/// More than any answer has, in bytes.
const MOST: usize = 64 * 1024;

#[derive(Args)]
pub(super) struct Arguments {
    /// The root of an admin listener, in place of the one in the settings.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask only whether the process answers.
    #[arg(long)]
    live: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let root = match &arguments.url {
        // No settings are read: they may be another machine's.
        Some(text) => root(text).map_err(|why| Failure::Refused(format!("--url {}: {why}", plain(text))))?,
        None => own(&context.settings()?.settings.admin)?,
    };
    let path = if arguments.live { "/healthz" } else { "/readyz" };
    let url = root.join(path).map_err(Failure::refused)?;
    let client = match &arguments.url {
        Some(_) => fetch::client(&url)?,
        None => fetch::client_of_unverified_server()?,
    };
    let answer = fetch::send(&url, client.get(url.clone()), MOST).await?;
    let told = serde_json::from_slice::<Map<String, Value>>(&answer.body).unwrap_or_default();
    match (answer.status, told.get("status").and_then(Value::as_str)) {
        (200, Some(status @ ("ready" | "ok"))) => {
            let mut result = json!({ "url": url.as_str(), "status": status });
            if let Some(checks) = told.get("checks") {
                result["checks"] = checks.clone();
            }
            let lacks = failed(&told);
            context.output.result(&result, |_| match lacks.is_empty() {
                true => status.to_owned(),
                false => format!("{status}, but {}", lacks.join("; ")),
            })?;
            Ok(())
        }
        (503, Some(_)) => Err(Failure::Unavailable(format!("{url} is not ready: {}", problems(&told)))),
        (status @ (429 | 500..), _) => Err(Failure::Unavailable(format!("{url} answers with status {status}"))),
        (status, _) => Err(Failure::Refused(format!(
            "{url} answers with status {status}, and not as Signet's admin listener does: is the address right?"
        ))),
    }
}

/// The root of a server: a path behind it would be dropped silently.
fn root(text: &str) -> Result<Url, String> {
    let url = fetch::parse(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("it is to end after the port: the path is added here".to_owned());
    }
    Ok(url)
}

/// The admin listener of these settings, as this machine reaches it.
fn own(admin: &AdminSettings) -> Result<Url, Failure> {
    let bind = &admin.bind;
    if bind.port() == 0 {
        return Err(Failure::Refused(
            "`admin.bind` lets the system choose a port: name the address with --url".to_owned(),
        ));
    }
    let host = match bind.host().parse() {
        // Listening on all of them is an address to listen on, not one to ask.
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V4(_)) | Err(_) => bind.host().to_owned(),
    };
    let scheme = if admin.tls_certificate_file.is_some() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{host}:{}", bind.port()))
        .map_err(|why| Failure::Refused(format!("`admin.bind`: {why}")))
}

/// Why it is not ready.
fn problems(told: &Map<String, Value>) -> String {
    let failed = failed(told);
    if failed.is_empty() { "it does not say why".to_owned() } else { failed.join("; ") }
}

/// Which checks failed, and why.
fn failed(told: &Map<String, Value>) -> Vec<String> {
    let checks = told.get("checks").and_then(Value::as_object);
    let failed = checks.into_iter().flatten().filter_map(|(name, state)| {
        let state = state.as_str().unwrap_or("unknown");
        (state != "ok").then(|| format!("{}: {}", plain(name), plain(state)))
    });
    failed.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(bind: &str) -> String {
        let environment = [("SIGNET__ADMIN__BIND", bind)].into_iter();
        let loaded = crate::config::Settings::load(None, environment, std::path::Path::new("/nonexistent")).unwrap();
        own(&loaded.settings.admin).unwrap().to_string()
    }

    #[test]
    fn a_listener_on_every_interface_is_asked_by_the_loopback_one() {
        for (bind, url) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/"),
            ("0.0.0.0:8081", "http://127.0.0.1:8081/"),
            ("[::]:9", "http://[::1]:9/"),
            ("[::1]:9", "http://[::1]:9/"),
            ("10.1.2.3:8081", "http://10.1.2.3:8081/"),
            ("localhost:8081", "http://localhost:8081/"),
        ] {
            assert_eq!(asked(bind), url, "{bind}");
        }
    }

    #[test]
    fn an_address_with_a_path_is_refused() {
        for text in ["http://a:1/readyz", "http://a:1/?x", "http://a:1/#x", "ftp://a", "a:1"] {
            assert!(root(text).is_err(), "{text}");
        }
        assert!(root("http://a:1").is_ok() && root("https://a/").is_ok());
    }
}
