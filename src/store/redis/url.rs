//! How to reach Redis: `redis://user:password@host:6379/0`, with TLS `rediss://…`, several hosts parted by commas.
//!
//! Guarantees: the password is neither shown nor repeated in a complaint.

use std::fmt;

use crate::secret::SecretText;

/// Where Redis listens when nobody says otherwise.
const DEFAULT_PORT: u16 = 6379;
const FORM: &str = "is not a Redis URL such as redis://user:password@host:6379/0 or, with TLS, rediss://…";

/// A server, by name or address and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Its name or address, an IPv6 address without brackets.
    pub host: String,
    /// Its port; `None` when the URL names none.
    pub port: Option<u16>,
}

impl Node {
    /// The port, which is Redis' own where none is named.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The address of Redis, with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// At least one.
    pub nodes: Vec<Node>,
    /// The user of its ACL; without one, the user `default`.
    pub user: Option<String>,
    /// Which of its databases.
    pub database: u8,
    password: Option<SecretText>,
}

impl RedisUrl {
    /// Reads a URL. The error is a sentence without its subject, and repeats nothing that may be secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err("must begin with `redis://` or, for TLS, `rediss://`".to_owned()),
        };
        // A password with a bare `/`, `?`, `#` or `@` would end the host early, and be shown as what it is not.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, _)) if credentials.contains(['/', '?', '#', '@']) => {
                return Err(format!(
                    "{FORM}: in a password, `@`, `/`, `?`, `#` and `%` are written as `%40`, `%2F`, `%3F`, `%23` and `%25`"
                ));
            }
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| format!("{FORM}: behind the host stands the number of a database"))?,
        };
        let nodes: Option<Vec<Node>> = hosts.split(',').map(node).collect();
        let nodes = nodes.ok_or_else(|| format!("{FORM}: a host is a name or an address, with a port or without"))?;
        let (user, password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, ""))) {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        Ok(Self { tls, nodes, user, database, password: password.map(SecretText::new) })
    }

    /// The password.
    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(SecretText::expose)
    }
}

fn node(text: &str) -> Option<Node> {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = if rest.is_empty() { None } else { Some(port(rest.strip_prefix(':')?)?) };
        return Some(Node { host: host.to_owned(), port });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, text)) => (host, Some(port(text)?)),
        None => (text, None),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (!host.is_empty() && host.bytes().all(named)).then(|| Node { host: host.to_owned(), port })
}

/// Text with `%XX` for bytes; nothing when it is empty.
fn decoded(text: &str) -> Result<Option<String>, String> {
    let wrong = || format!("{FORM}: `%` begins two hexadecimal digits, and all of it is UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or_else(wrong)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(digits[0]).ok_or_else(wrong)?, digit(digits[1]).ok_or_else(wrong)?);
        bytes.push(high * 16 + low);
        rest = behind;
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    Ok(if text.is_empty() { None } else { Some(text) })
}

/// The URL with its password redacted.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss://" } else { "redis://" })?;
        match (&self.user, &self.password) {
            (Some(user), Some(_)) => write!(f, "{user}:***@")?,
            (Some(user), None) => write!(f, "{user}@")?,
            (None, Some(_)) => f.write_str(":***@")?,
            (None, None) => {}
        }
        for (place, node) in self.nodes.iter().enumerate() {
            write!(f, "{}{node}", if place == 0 { "" } else { "," })?;
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_password_of_redis_is_kept_and_never_shown() {
        for (text, shown, password) in [
            ("redis://h", "redis://h", None),
            ("redis://h:1/", "redis://h:1", None),
            ("rediss://h/3", "rediss://h/3", None),
            ("redis://u@h", "redis://u@h", None),
            ("redis://u:hunter2@h:6380", "redis://u:***@h:6380", Some("hunter2")),
            ("redis://:hunter2@a,b:1,[::1]:2", "redis://:***@a,b:1,[::1]:2", Some("hunter2")),
            ("redis://u:hunter2%40%2f%25@h", "redis://u:***@h", Some("hunter2@/%")),
            ("redis://u:a:hunter2@h", "redis://u:***@h", Some("a:hunter2")),
        ] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(url.password(), password, "{text}");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_names_no_redis_is_refused() {
        for text in [
            "",
            "h:6379",
            "http://h",
            "redis://",
            "redis://h:",
            "redis://h:x",
            "redis://h:+1",
            "redis://h:65536",
            "redis://h,",
            "redis://h/x",
            "redis://h/0/1",
            "redis://h/256",
            "redis://h?db=1",
            "redis://[::1",
            "redis://[h]:1",
            "redis://u:p@",
            "redis://u:p%4@h",
            "redis://u:%ff@h",
            "redis+unix:///run/redis.sock",
        ] {
            assert!(RedisUrl::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_ever_shown(
            before in "[ -~]{0,6}", after in "[ -~]{0,6}", scheme in "rediss?|reddis|http",
        ) {
            let text = format!("{scheme}://user:{before}CANARY{after}@host/1");
            match RedisUrl::parse(&text) {
                Ok(url) => prop_assert!(!format!("{url}{url:?}").contains("CANARY"), "{}", text),
                Err(problem) => prop_assert!(!problem.contains("CANARY"), "{}", text),
            }
        }
    }
}
