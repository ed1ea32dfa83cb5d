//! The types that settings have: how each is read from text or TOML and how it is shown.
//!
//! Guarantees: a type that holds secrets neither shows them nor repeats them in a complaint.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use signet_verify::Algorithm;

use super::fault::{line_of, nearest, one_line};
use super::source::Raw;
use crate::http::Network;
use crate::keys::{Ed25519Name, RsaBits};
use crate::secret::SecretText;
use crate::store::sql::DatabaseUrl;
use crate::telemetry::{Filter, Format};

/// A type that a setting can have.
pub(super) trait SettingValue: Sized {
    /// Reads a value; the error is a sentence without its subject (`must be …`). Relative paths begin at `cwd`.
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String>;

    /// The value as an operator may see it, in the form of TOML and JSON.
    fn show(&self) -> Json;

    /// Whether it is not above `bound`; true for types without an order.
    fn is_at_most(&self, _bound: &Self) -> bool {
        true
    }
}

fn text<'a>(raw: &'a Raw, what: &str) -> Result<&'a str, String> {
    match raw {
        Raw::Untyped(text) | Raw::Text(text) => Ok(text),
        _ => Err(format!("must be {what}, as text{}", found(raw))),
    }
}

pub(super) fn found(raw: &Raw) -> String {
    let what = match raw {
        Raw::Untyped(text) | Raw::Text(text) => return format!(", not `{}`", one_line(text)),
        Raw::Integer(number) => return format!(", not {number}"),
        Raw::Boolean(yes) => return format!(", not {yes}"),
        Raw::Fraction(number) => return format!(", not {number}"),
        Raw::List(_) => "a list",
        Raw::Unset => "nothing",
        Raw::Other(what) => what,
    };
    format!(", not {what}")
}

impl SettingValue for bool {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Boolean(yes) => Ok(*yes),
            Raw::Untyped(text) if text == "true" => Ok(true),
            Raw::Untyped(text) if text == "false" => Ok(false),
            Raw::Text(_) => Err("must be true or false, without quotes".to_owned()),
            _ => Err(format!("must be true or false{}", found(raw))),
        }
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

impl SettingValue for u32 {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let number = match raw {
            Raw::Integer(number) => Self::try_from(*number).ok(),
            Raw::Untyped(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Raw::Text(_) => return Err("must be a whole number, without quotes".to_owned()),
            _ => None,
        };
        number.ok_or_else(|| format!("must be a whole number{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self)
    }

    fn is_at_most(&self, bound: &Self) -> bool {
        self <= bound
    }
}

impl SettingValue for usize {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        let number = u32::from_raw(raw, cwd)?;
        Self::try_from(number).map_err(|_| format!("must be a smaller number{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self)
    }

    fn is_at_most(&self, bound: &Self) -> bool {
        self <= bound
    }
}

impl SettingValue for Duration {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let span = match raw {
            Raw::Integer(secs) => u64::try_from(*secs).ok().map(Self::from_secs),
            Raw::Untyped(text) | Raw::Text(text) => super::duration::parse(text),
            _ => None,
        };
        let form = "must be a span of time such as 300s, 15m, 1h30m or 30d";
        span.ok_or_else(|| format!("{form}{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(super::duration::write(*self))
    }

    fn is_at_most(&self, bound: &Self) -> bool {
        self <= bound
    }
}

impl SettingValue for PathBuf {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        match text(raw, "a path")? {
            "" => Err("must be a path: it is empty".to_owned()),
            path if path.contains('\0') => Err("must be a path: it holds a NUL".to_owned()),
            path => Ok(cwd.join(path)),
        }
    }

    fn show(&self) -> Json {
        json!(self.to_string_lossy())
    }
}

impl SettingValue for Option<PathBuf> {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        match raw {
            Raw::Unset => Ok(None),
            raw => PathBuf::from_raw(raw, cwd).map(Some),
        }
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, SettingValue::show)
    }
}

/// Text that is checked elsewhere.
impl SettingValue for String {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        text(raw, "one value").map(str::to_owned)
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

/// Where a listener listens: an address or a host name, and a port; port 0 lets the system choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    host: String,
    port: u16,
}

impl BindAddress {
    /// The address or name, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, in which 0 stands for any.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn ip(&self) -> Option<std::net::IpAddr> {
        self.host.parse().ok()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']')?;
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                inner
            }
            None => host,
        };
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let is_name = !host.is_empty() && host.bytes().all(named);
        let in_brackets = text.starts_with('[');
        (in_brackets || is_name).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl SettingValue for BindAddress {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let form = "must be host:port, such as 127.0.0.1:8080 or [::1]:8080";
        let read = match raw {
            Raw::Untyped(text) | Raw::Text(text) => Self::parse(text),
            _ => None,
        };
        read.ok_or_else(|| format!("{form}{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

impl SettingValue for Algorithm {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let name = text(raw, "the name of an algorithm")?;
        if let Some(algorithm) = Self::from_name(name) {
            return Ok(algorithm);
        }
        if name == "EdDSA" {
            return Err("says `EdDSA`, which is called `Ed25519` here (RFC 9864); what tokens call it is \
                        keys.eddsa_name"
                .to_owned());
        }
        let names = Self::ALL.map(Self::name);
        let upper = name.to_ascii_uppercase();
        let hint = nearest(&upper, " ", names.into_iter())
            .map(|near| format!(" (did you mean `{near}`?)"))
            .unwrap_or_default();
        let known = names.join(", ");
        Err(format!("must be of {known}, not `{}`{hint}", one_line(name)))
    }

    fn show(&self) -> Json {
        json!(self.name())
    }
}

impl SettingValue for Vec<Algorithm> {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        let items: Vec<Raw> = match raw {
            Raw::List(items) => items.clone(),
            Raw::Untyped(text) if text.trim().is_empty() => Vec::new(),
            Raw::Untyped(text) => text.split(',').map(|item| Raw::Untyped(item.trim().to_owned())).collect(),
            Raw::Text(_) => return Err("must be a list, such as [\"ES256\"]".to_owned()),
            _ => return Err(format!("must be a list of algorithms{}", found(raw))),
        };
        let mut algorithms = Self::new();
        for item in &items {
            let algorithm = Algorithm::from_raw(item, cwd)?;
            if algorithms.contains(&algorithm) {
                return Err(format!("names {algorithm} twice"));
            }
            algorithms.push(algorithm);
        }
        if algorithms.is_empty() {
            return Err("must name at least one algorithm".to_owned());
        }
        Ok(algorithms)
    }

    fn show(&self) -> Json {
        self.iter().map(|algorithm| algorithm.name()).collect()
    }
}

impl SettingValue for Vec<Network> {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        const WHAT: &str = "must be a list of networks, such as [\"10.0.0.0/8\", \"192.0.2.7\"]";
        let items: Vec<String> = match raw {
            Raw::List(items) => {
                let items = items.iter().map(|item| text(item, "a network such as `10.0.0.0/8`").map(str::to_owned));
                items.collect::<Result<_, _>>()?
            }
            Raw::Untyped(text) if text.trim().is_empty() => Vec::new(),
            Raw::Untyped(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            _ => return Err(format!("{WHAT}{}", found(raw))),
        };
        let network = |item: &String| {
            Network::parse(item)
                .ok_or_else(|| format!("{WHAT}, with no bit set behind the prefix, not `{}`", one_line(item)))
        };
        items.iter().map(network).collect()
    }

    fn show(&self) -> Json {
        self.iter().map(ToString::to_string).collect()
    }
}

impl SettingValue for RsaBits {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        let bits = usize::from_raw(raw, cwd).ok().and_then(Self::from_bits);
        bits.ok_or_else(|| format!("must be 2048, 3072 or 4096{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self.bits())
    }
}

impl SettingValue for Ed25519Name {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Untyped(name) | Raw::Text(name) if name == "Ed25519" => Ok(Self::Ed25519),
            Raw::Untyped(name) | Raw::Text(name) if name == "EdDSA" => Ok(Self::EdDsa),
            _ => Err(format!("must be \"Ed25519\" or \"EdDSA\"{}", found(raw))),
        }
    }

    fn show(&self) -> Json {
        json!(self.of(Algorithm::Ed25519))
    }
}

impl SettingValue for Format {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Untyped(name) | Raw::Text(name) => Self::from_name(name),
            _ => None,
        }
        .ok_or_else(|| format!("must be \"auto\", \"text\" or \"json\"{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self.name())
    }
}

impl SettingValue for Filter {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let directives = text(raw, "a level such as info, or signet=debug,info")?;
        Self::parse(directives).map_err(|e| line_of(&e.to_string(), 200))
    }

    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

impl SettingValue for Option<SecretText> {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Unset => Ok(None),
            Raw::Untyped(text) | Raw::Text(text) if text.is_empty() => Err("is empty".to_owned()),
            Raw::Untyped(text) | Raw::Text(text) => Ok(Some(SecretText::new(text.clone()))),
            _ => Err("must be text".to_owned()),
        }
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, |_| json!("***"))
    }
}

impl SettingValue for DatabaseUrl {
    fn from_raw(raw: &Raw, cwd: &Path) -> Result<Self, String> {
        match raw {
            Raw::Untyped(text) | Raw::Text(text) => Self::parse(text, cwd),
            _ => Err("must be text: sqlite:PATH or postgres://…".to_owned()),
        }
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}
