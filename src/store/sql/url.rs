//! Which database: a SQLite file, or a Postgres URL whose password nobody sees.
//!
//! Guarantees: a parameter that the driver would ignore, or refuse only when it connects, is refused here; the URL is neither shown nor repeated in a complaint but for the parts known to be no secret.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A Postgres database.
    Postgres(PostgresUrl),
}

/// The address of a Postgres database, with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: Zeroizing<String>,
    /// The same without what may be secret.
    shown: String,
}

impl PostgresUrl {
    /// The URL, password included.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// The URL with its password redacted.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

/// Parameters of a Postgres URL whose values tell nothing that is secret; others are shown as `***`.
const PLAIN_PARAMETERS: [&str; 8] =
    ["application_name", "dbname", "host", "hostaddr", "port", "sslmode", "statement-cache-capacity", "user"];

impl DatabaseUrl {
    /// Reads a URL; a relative path of SQLite begins at `cwd`. The error is a sentence without its subject, and repeats
    /// nothing that may be secret.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path, cwd);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text).map(Self::Postgres);
        }
        Err("must begin with `sqlite:`, `postgres://` or `postgresql://`".to_owned())
    }
}

fn sqlite(path: &str, cwd: &Path) -> Result<DatabaseUrl, String> {
    // Both `sqlite:PATH` and the form with slashes of other programs: three of them begin an absolute path.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err("must name a file: sqlite:PATH".to_owned());
    }
    if path.starts_with(":memory:") {
        return Err("must name a file: a database in memory would lose what was acknowledged".to_owned());
    }
    if path.contains(['?', '#', '\0']) {
        return Err("must be sqlite:PATH: it takes no parameters".to_owned());
    }
    Ok(DatabaseUrl::Sqlite(cwd.join(path)))
}

fn postgres(text: &str) -> Result<PostgresUrl, String> {
    let form = "is not a Postgres URL such as postgres://user:password@host:5432/database";
    let url = Url::parse(text).map_err(|e| format!("{form}: {e}"))?;
    // A password with a bare `/`, `?` or `#` ends the host early: what follows would be taken, and shown, as the name
    // of the database.
    let spilt =
        url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|query| query.contains('@'));
    if spilt {
        return Err(format!(
            "{form}: in a password, `@`, `/`, `?`, `#` and `%` are written as `%40`, `%2F`, `%3F`, `%23` and `%25`"
        ));
    }
    let has_host = url.host_str().is_some_and(|host| !host.is_empty())
        || url.query_pairs().any(|(name, _)| name == "host" || name == "hostaddr");
    if !has_host {
        return Err(format!("{form}: it names no host"));
    }
    checked_parameters(&url)?;
    Ok(PostgresUrl { text: Zeroizing::new(text.to_owned()), shown: redacted(&url) })
}

/// What may stand behind the `?` of a Postgres URL, besides `options[NAME]`: a name that is not known is ignored by the
/// driver, so a slip in `sslmode` would turn TLS off.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Repeats neither names nor values that are not known: a password may have spilt into them.
fn checked_parameters(url: &Url) -> Result<(), String> {
    let mut named = Vec::new();
    for (name, value) in url.query_pairs() {
        let known = PARAMETERS.into_iter().find(|known| *known == name);
        let Some(known) = known else {
            if name.strip_prefix("options[").is_some_and(|rest| rest.len() > 1 && rest.ends_with(']')) {
                continue;
            }
            let near = nearest(&name, &PARAMETERS).map(|near| format!(": did you mean `{near}`?"));
            let known = || format!("; known are {} and options[NAME]", PARAMETERS.join(", "));
            return Err(format!("has an unknown parameter behind the `?`{}", near.unwrap_or_else(known)));
        };
        // Of two, the last would count.
        if known != "options" && named.contains(&known) {
            return Err(format!("has the parameter `{known}` twice"));
        }
        named.push(known);
        let lower = value.to_ascii_lowercase();
        let problem = match known {
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&lower.as_str()) => {
                let near = nearest(&lower, &SSL_MODES).map(|near| format!(" (did you mean `{near}`?)"));
                Some(format!("one of {}{}", SSL_MODES.join(", "), near.unwrap_or_default()))
            }
            "port" if value.parse::<u16>().is_err() => Some("a port".to_owned()),
            "statement-cache-capacity" if value.parse::<usize>().is_err() => Some("a whole number".to_owned()),
            "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => Some("an IP address".to_owned()),
            _ if value.is_empty() => Some("given a value".to_owned()),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(format!("has a parameter `{known}`, which must be {problem}"));
        }
    }
    if named.contains(&"sslmode") && named.contains(&"ssl-mode") {
        return Err("has both `sslmode` and `ssl-mode`: keep one".to_owned());
    }
    Ok(())
}

fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = name.chars().count().div_ceil(4).clamp(1, 4);
    let near = known.iter().map(|candidate| (strsim::osa_distance(name, candidate), *candidate));
    near.filter(|(distance, _)| *distance <= slips).min().map(|(_, candidate)| candidate)
}

fn redacted(url: &Url) -> String {
    let mut shown = format!("{}://", url.scheme());
    if !url.username().is_empty() || url.password().is_some() {
        shown.push_str(url.username());
        shown.push_str(if url.password().is_some() { ":***@" } else { "@" });
    }
    shown.push_str(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        shown.push_str(&format!(":{port}"));
    }
    shown.push_str(url.path());
    let mut separator = '?';
    for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or(("", "***"));
        let value = if PLAIN_PARAMETERS.contains(&name) { value } else { "***" };
        shown.push_str(&format!("{separator}{name}={value}"));
        separator = '&';
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<DatabaseUrl, String> {
        DatabaseUrl::parse(text, Path::new(""))
    }

    #[test]
    fn a_sqlite_file_is_named_by_its_path() {
        for (text, path) in [
            ("sqlite:data/signet.db", "data/signet.db"),
            ("sqlite:/var/lib/signet.db", "/var/lib/signet.db"),
            ("sqlite://data/signet.db", "data/signet.db"),
            ("sqlite:///var/lib/signet.db", "/var/lib/signet.db"),
        ] {
            assert_eq!(read(text), Ok(DatabaseUrl::Sqlite(PathBuf::from(path))), "{text}");
        }
    }

    #[test]
    fn what_names_no_database_is_refused() {
        for text in [
            "",
            "data/signet.db",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:x.db?mode=ro",
            "mysql://u@h/d",
            "postgres:h/d",
            "postgres://",
            "postgres:///d",
            "postgres://h:port/d",
            "Postgres://h/d",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_password_of_a_database_is_kept_and_never_shown() {
        for (text, shown) in [
            ("postgres://u:hunter2@h/d", "postgres://u:***@h/d"),
            ("postgresql://u:hunter2@h:5433/d", "postgresql://u:***@h:5433/d"),
            ("postgres://:hunter2@h/d", "postgres://:***@h/d"),
            ("postgres://u@h/d?password=hunter2", "postgres://u@h/d?password=***"),
            ("postgres://u@h/d?sslmode=require&options=hunter2", "postgres://u@h/d?sslmode=require&options=***"),
            ("postgres:///d?host=/run/pg&user=u", "postgres:///d?host=/run/pg&user=u"),
            ("postgres://h", "postgres://h"),
        ] {
            let url = read(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hunter2"));
            let DatabaseUrl::Postgres(url) = url else { panic!("{text}") };
            assert_eq!(url.expose(), text);
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_slip_behind_the_question_mark_is_refused_and_not_repeated() {
        for (query, problem) in [
            ("sslmod=require", "did you mean `sslmode`?"),
            ("SSLMODE=require", "unknown parameter"),
            ("sslmode=foo", "must be one of disable, allow, prefer, require, verify-ca, verify-full"),
            ("sslmode=verify-ful", "did you mean `verify-full`?"),
            ("sslmode=", "must be one of"),
            ("sslmode", "must be one of"),
            ("sslmode=require&sslmode=disable", "`sslmode` twice"),
            ("sslmode=require&ssl-mode=disable", "keep one"),
            ("sslrootcrt=/ca.pem", "did you mean `sslrootcert`?"),
            ("sslrootcert=", "must be given a value"),
            ("port=many", "must be a port"),
            ("statement-cache-capacity=-1", "must be a whole number"),
            ("hostaddr=h", "must be an IP address"),
            ("options[]=x", "unknown parameter"),
            ("hunter2", "known are sslmode"),
            ("x=hunter2", "known are sslmode"),
            ("sslmode=hunter2", "must be one of"),
        ] {
            let refused = read(&format!("postgres://u:hunter2@h/d?{query}")).unwrap_err();
            assert!(refused.contains(problem) && !refused.contains("hunter2"), "{query}: {refused}");
        }
    }

    #[test]
    fn every_parameter_that_is_taken_is_known_to_the_driver() {
        for name in PARAMETERS {
            let value = match name {
                "sslmode" | "ssl-mode" => "Verify-Full",
                "port" | "statement-cache-capacity" => "5433",
                "hostaddr" => "127.0.0.1",
                _ => "x",
            };
            let text = format!("postgres://u@h/d?{name}={value}&options[search_path]=y");
            assert!(read(&text).is_ok(), "{text}");
            // What it knows changes what it would do.
            let options = |text: &str| format!("{:?}", text.parse::<sqlx::postgres::PgConnectOptions>().unwrap());
            assert_ne!(options(&text), options("postgres://u@h/d?options[search_path]=y"), "{name}");
        }
        let modes = SSL_MODES.map(|mode| mode.parse::<sqlx::postgres::PgSslMode>());
        assert!(modes.iter().all(Result::is_ok));
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_ever_shown(
            before in "[ -~]{0,6}", after in "[ -~]{0,6}", scheme in "postgres(ql)?|postgers|sqlite",
        ) {
            let text = format!("{scheme}://user:{before}CANARY{after}@host/db");
            match read(&text) {
                Ok(DatabaseUrl::Sqlite(_)) => {}
                Ok(url) => prop_assert!(!format!("{url}{url:?}").contains("CANARY"), "{}", text),
                Err(problem) => prop_assert!(!problem.contains("CANARY"), "{}", text),
            }
        }
    }
}
