//! Typed settings: built-in defaults, then `signet.toml` (or the file of `--config`), then the environment
//! (`SIGNET__PUBLIC__BIND=…`, two underscores a level).
//!
//! Guarantees: a name that no setting has is refused; every fault is reported at once, each with its key and its
//! source; each value's source is known; a secret is never shown. A secret may be given as a file by `…_file`.
//!
//! One declaration a section (`section!` below) makes the struct, its rows of the table and its reader; the
//! annotated `docs/configuration.toml` is written from the same table by [`reference()`].

mod duration;
mod entry;
mod fault;
mod otlp;
mod redis;
mod rules;
mod setting;
mod show;
mod source;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use signet_verify::Algorithm;

pub use self::duration::{parse as parse_span, write as write_span};
pub use self::entry::Entry;
pub use self::fault::{Fault, Faults, Hint, Source};
pub use self::rules::FOLLOW_BOUND;
pub use self::show::{reference, show, show_json};
pub use self::value::BindAddress;
use crate::http::Network;
use crate::issuer::Issuer;
use crate::keys::{Ed25519Name, RsaBits};
use crate::secret::SecretText;
use crate::store::redis::{Namespace, RedisUrl};
use crate::store::sql::DatabaseUrl;
use crate::telemetry::{Filter, Format, OtlpEndpoint, SampleRatio, TelemetrySettings};

use self::setting::{Reader, Section, Setting, computed, fixed, section, unset};

section! {
    /// Settings that belong to no section.
    pub struct RootSettings at "" {
        /// The issuer identifier: the `iss` of every token and the root of every address, exactly as written here.
        /// `https://`, with a path if need be, without query, fragment or trailing slash. When it is not set, it
        /// follows `public.bind`: `http://127.0.0.1:8080`, or `https://` with TLS.
        issuer: String = computed(rules::issuer_of_bind, "http://127.0.0.1:8080");
        /// Admit an issuer with plain `http` for a host that is not loopback. Tokens and secrets then cross the
        /// network readable.
        allow_insecure_issuer: bool = fixed("false");
        /// The folder for what Signet keeps on this machine: the SQLite file and the first credentials.
        data_dir: PathBuf = fixed("data");
    }
}

section! {
    /// The public listener: everything that applications and verifiers use.
    pub struct PublicSettings at "public." {
        /// Where it listens: host:port. Port 0 lets the system choose one.
        bind: BindAddress = fixed("127.0.0.1:8080");
        /// The certificate for TLS: a PEM file with it first and then those that lead to its root. When it is set the
        /// listener speaks TLS 1.2 and 1.3 and nothing else. A replaced file is taken up within seconds.
        tls_certificate_file: Option<PathBuf> = unset("/etc/signet/tls.crt");
        /// Its private key: a PEM file (PKCS#8, SEC 1 or PKCS#1, not encrypted) that other users can't read.
        tls_key_file: Option<PathBuf> = unset("/etc/signet/tls.key");
        /// How long a client may take for the TLS handshake, on either listener.
        tls_handshake_timeout: Duration = fixed("5s").within("100ms", "1m");
        /// How many threads answer requests. When it is not set: one per processor.
        workers: usize = computed(rules::processors, "4").within("1", "512");
        /// How many connections each of them holds at a time; further ones wait. One whose client sends requests
        /// and takes no answers may pin 50 MB: docs/protocol.md says how to prevent that.
        max_connections: usize = fixed("2000").within("1", "1000000");
        /// How long a client may take to send the head of a request.
        header_timeout: Duration = fixed("5s").within("100ms", "1m");
        /// How long a client may leave an answer unread: whoever takes nothing for so long is cut off, on either
        /// listener. Works on Linux only.
        write_timeout: Duration = fixed("30s").within("1s", "10m");
        /// How long an idle connection stays open for a next request; 0 closes it after each answer.
        keep_alive: Duration = fixed("75s").within("0s", "1h");
        /// The networks (`10.0.0.0/8`) or addresses of proxies that stand before this listener: from them, and from
        /// nobody else, `X-Forwarded-For` or `Forwarded` is believed. Each of them must add to it whom it was asked by.
        trusted_proxies: Vec<Network> = fixed("");
        /// The largest body of a request, in bytes.
        body_limit: usize = fixed("16384").within("1024", "1048576");
        /// How long requests in flight may take to finish when Signet is told to stop.
        shutdown_grace: Duration = fixed("10s").within("0s", "5m");
    }
}

section! {
    /// The admin listener: health, and what operators use. Keep it where only they reach it.
    pub struct AdminSettings at "admin." {
        /// Where it listens: host:port. Port 0 lets the system choose one.
        bind: BindAddress = fixed("127.0.0.1:8081");
        /// As `public.tls_certificate_file`, for this listener; both may name the same files.
        tls_certificate_file: Option<PathBuf> = unset("/etc/signet/tls.crt");
        /// As `public.tls_key_file`.
        tls_key_file: Option<PathBuf> = unset("/etc/signet/tls.key");
    }
}

section! {
    /// Where clients, resources and keys are kept.
    pub struct DatabaseSettings at "database." {
        /// `sqlite:PATH`, or `postgres://user:password@host:5432/database` (where `signet init` is run once). When it
        /// is not set: the SQLite file `signet.db` in `data_dir`.
        url: DatabaseUrl = computed(rules::sqlite_in_data_dir, "sqlite:data/signet.db").secret();
        /// Bring the schema up to date at start. With false, `signet migrate` does it.
        auto_migrate: bool = fixed("true");
        /// How many connections are held at most. On Postgres a server holds one more, to be told of changes.
        max_connections: u32 = fixed("10").within("1", "1000");
        /// The longest that one act on the database may take, waiting for a connection included. A migration has an hour.
        timeout: Duration = fixed("5s").within("100ms", "1m");
    }
}

section! {
    /// Redis, where sessions are kept when it is set, and in the database otherwise: see docs/redis.md.
    pub struct RedisSettings at "redis." {
        /// `redis://user:password@host:6379/0`, or with TLS `rediss://…`. Several hosts of a Cluster are separated by
        /// commas. With `redis.sentinels` the host is the name by which they know the master.
        url: Option<RedisUrl> = unset("redis://signet:password@127.0.0.1:6379").secret();
        /// It is a Cluster; the hosts of `redis.url` are some of its nodes.
        cluster: bool = fixed("false");
        /// Sentinels, which tell where the master is: a URL of the same form, with their own user and password if they
        /// want one.
        sentinels: Option<RedisUrl> = unset("redis://10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379").secret();
        /// For `rediss://`: a PEM file with the certificates of the authorities that are trusted instead of the system's.
        ca_file: Option<PathBuf> = unset("/etc/signet/redis-ca.crt");
        /// What every key begins with. Installations that share a Redis need different ones.
        namespace: Namespace = fixed("signet");
        /// How long connecting may take, the checks of the server included. No request waits for it.
        connect_timeout: Duration = fixed("1s").within("50ms", "1m");
        /// The longest that one command may take. Whoever waits for a Redis that hangs waits for as long.
        timeout: Duration = fixed("200ms").within("10ms", "10s");
        /// How many replicas must have taken a change before it is answered, for at most half of `redis.timeout`: a
        /// failover then loses it less likely. With 0 the master alone answers.
        wait_replicas: u32 = fixed("0").within("0", "10");
    }
}

section! {
    /// This machine's clock.
    pub struct ClockSettings at "clock." {
        /// How far it may be from the database's, or be set back. Beyond it this server is not ready, signs nothing and
        /// changes no key until the clock is right. Counts against `keys.skew`, by which verifiers forgive.
        max_skew: Duration = fixed("1s").within("100ms", "5s");
    }
}

section! {
    /// The keys that sign.
    pub struct KeysSettings at "keys." {
        /// For which algorithms keys are kept ready: of ES256, ES384, RS256, PS256, Ed25519. In the environment the
        /// list is separated by commas.
        algorithms: Vec<Algorithm> = fixed("ES256,RS256");
        /// The size of new RSA keys in bits: 2048, 3072 or 4096.
        rsa_bits: RsaBits = fixed("2048");
        /// How long a key signs before its successor takes over.
        rotate_every: Duration = fixed("30d").within("1h", "400d");
        /// How long a key is published before it may sign. At least `keys.jwks_max_age` + as long again but no more than
        /// a minute (in which caches may serve a stale answer) + `keys.skew` + 2 s (in which replicas follow).
        propagation: Duration = fixed("15m").within("1s", "7d");
        /// How long a replica that can't reach the database goes on signing with the keys it knows. At most
        /// `keys.propagation` - `keys.skew` - 67 s: verifiers keep the JWKS it gives them for a while.
        lease: Duration = fixed("10m").within("3s", "1d");
        /// How long verifiers may cache the JWKS.
        jwks_max_age: Duration = fixed("5m").within("1s", "1d");
        /// By how much the clocks of verifiers may differ from ours. Of it, twice `clock.max_skew` is for our own clocks,
        /// and 2 s in which a change is stored.
        skew: Duration = fixed("1m").within("2s", "5m");
        /// The file that holds the master key, which seals the private keys: mode 0600. On SQLite it is created at
        /// first start.
        master_key_file: PathBuf = fixed("keys/master.key");
        /// The master key itself, in place of the file; better in the environment than in a file that is backed up.
        master_key: Option<SecretText> = unset("(the text of a master key file)").secret();
        /// The file of the master key that is to take the other's place, while `signet keys reseal` does that.
        next_master_key_file: Option<PathBuf> = unset("keys/next-master.key");
        /// What the `alg` of Ed25519 signatures says: "Ed25519" (RFC 9864), or "EdDSA" for verifiers that know no
        /// other name.
        eddsa_name: Ed25519Name = fixed("Ed25519");
    }
}

section! {
    /// Access tokens.
    pub struct TokensSettings at "tokens." {
        /// How long an access token lives where its resource sets nothing.
        access_lifetime: Duration = fixed("5m").within("1s", "1d");
        /// The longest life that a resource may set. A key stays published for at least as long after it has signed.
        max_access_lifetime: Duration = fixed("1h").within("1s", "1d");
        /// The algorithm where a resource sets none; one of `keys.algorithms`.
        default_algorithm: Algorithm = fixed("ES256");
    }
}

section! {
    /// Sessions of people, and the refresh tokens that prolong them.
    pub struct SessionsSettings at "sessions." {
        /// For how long a session may lie unused.
        idle: Duration = fixed("14d").within("1m", "400d");
        /// For how long a session may live, however much it is used. Changing it concerns sessions that begin later.
        lifetime: Duration = fixed("90d").within("1m", "400d");
        /// For how long after a refresh token was replaced it is answered with its successor again, so that lost answers
        /// and several tabs sign nobody out; for so long its successor is not replaced. 0 switches that off.
        grace: Duration = fixed("10s").within("0s", "2m");
    }
}

section! {
    /// How clients prove who they are.
    pub struct ClientsSettings at "clients." {
        /// The longest life of an assertion (`private_key_jwt`) that is accepted.
        assertion_max_lifetime: Duration = fixed("5m").within("10s", "60m");
        /// How long the old secret of a client stays valid after `signet clients roll-secret`.
        secret_overlap: Duration = fixed("1d").within("0s", "90d");
    }
}

section! {
    /// The sign-in of people, at `/auth`.
    pub struct AuthSettings at "auth." {
        /// Whether anybody may make an account for themselves, at `/auth/register`.
        registration: bool = fixed("false");
        /// How many accounts may be asked for from one address (one /56 of IPv6) before it waits; one is forgiven each
        /// ten minutes.
        registrations_per_address: u32 = fixed("10").within("1", "100000");
        /// How many accounts may be asked for in an hour, from all addresses together.
        registrations_an_hour: u32 = fixed("300").within("1", "100000");
    }
}

section! {
    /// People's passwords.
    pub struct PasswordsSettings at "passwords." {
        /// The fewest characters of a password that somebody chooses. Fewer than 15 only where it is not the only factor.
        min_length: usize = fixed("15").within("8", "128");
        /// What hashing one costs (argon2id): memory in KiB. Passwords that were hashed with less are hashed anew when
        /// their owners log in.
        hash_memory: u32 = fixed("19456").within("7168", "131072");
        /// How often that memory is gone over. Memory times passes is at least 35840.
        hash_passes: u32 = fixed("2").within("1", "16");
        /// How many lanes that memory has. They are gone over one after the other.
        hash_lanes: u32 = fixed("1").within("1", "16");
        /// How many passwords are hashed at a time. When it is not set: half as many as there are processors, so that the
        /// other half is there for tokens.
        hash_threads: usize = computed(rules::half_the_processors, "2").within("1", "256");
        /// How many wait for that; who comes when so many wait is told to come again.
        hash_queue: usize = fixed("64").within("1", "100000");
        /// For how long one waits.
        hash_deadline: Duration = fixed("2s").within("100ms", "30s");
        /// A login that fails is answered at the end of a span of this length, so that the time does not tell whose name is
        /// an account. Longer than the slowest hash that was imported; "0s" answers at once.
        failure_time: Duration = fixed("500ms").within("0s", "5s");
        /// A secret of at least 32 characters that every hash needs and no database has: who steals the database can't
        /// guess passwords without it. Who loses it must give everybody a new password.
        pepper: Option<SecretText> = unset("(of `openssl rand -base64 32`)").secret();
        /// The pepper before that, for passwords of people who have not logged in since.
        former_pepper: Option<SecretText> = unset("(of `openssl rand -base64 32`)").secret();
        /// For how long a one-time link to choose a password is good.
        link_lifetime: Duration = fixed("1d").within("5m", "30d");
        /// How many logins may fail from one address (one /56 of IPv6) before it waits; one is forgiven a minute. Not
        /// counted are attempts on a device that the owner of the account logged in with before.
        failures_per_address: u32 = fixed("20").within("3", "100000");
        /// How many logins of strangers may fail a minute, from all addresses together, before all strangers wait.
        failures_a_minute: u32 = fixed("600").within("10", "60000");
    }
}

section! {
    /// Logs, which go to standard error, and traces.
    use TelemetrySettings at "telemetry." {
        /// What is logged: off, error, warn, info, debug or trace; or by module, such as "signet=debug,info".
        level: Filter = fixed("info");
        /// "text" for people, "json" for collectors (one object a line), "auto" for text on a terminal only.
        format: Format = fixed("auto");
        /// Log one line for each request.
        access_log: bool = fixed("true");
        /// A collector of traces that speaks OTLP over HTTP; `/v1/traces` is appended. Without it no spans are made.
        otlp_endpoint: Option<OtlpEndpoint> = unset("http://127.0.0.1:4318");
        /// Headers that the collector asks for: name=value, separated by commas.
        otlp_headers: Option<SecretText> = unset("(authorization=Bearer …)").secret();
        /// Which part of the traces that begin here is recorded, from 0 to 1. Of those that a caller began
        /// (`traceparent`), the part that the caller records.
        otlp_sample_ratio: SampleRatio = fixed("0.01");
        /// What this service is called in traces.
        otlp_service_name: String = fixed("signet");
    }
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The issuer identifier. When `issuer_follows_bind`, its port is that of `public.bind`, perhaps 0: see
    /// [`Settings::issuer_bound_to`].
    pub issuer: Issuer,
    /// Nobody set the issuer.
    pub issuer_follows_bind: bool,
    /// Plain `http` was admitted for any host.
    pub allow_insecure_issuer: bool,
    /// The folder for what is kept on this machine.
    pub data_dir: PathBuf,
    /// `public.*`
    pub public: PublicSettings,
    /// `admin.*`
    pub admin: AdminSettings,
    /// `database.*`
    pub database: DatabaseSettings,
    /// `redis.*`
    pub redis: RedisSettings,
    /// `clock.*`
    pub clock: ClockSettings,
    /// `keys.*`
    pub keys: KeysSettings,
    /// `tokens.*`
    pub tokens: TokensSettings,
    /// `sessions.*`
    pub sessions: SessionsSettings,
    /// `clients.*`
    pub clients: ClientsSettings,
    /// `auth.*`
    pub auth: AuthSettings,
    /// `passwords.*`
    pub passwords: PasswordsSettings,
    /// `telemetry.*`
    pub telemetry: TelemetrySettings,
}

/// A group of rows for the reference: what it is about, and the rows.
type Group = (&'static [&'static str], &'static [Setting]);

/// The table of settings, by section.
const SECTIONS: [Group; 13] = [
    (RootSettings::DOC, RootSettings::TABLE),
    (PublicSettings::DOC, PublicSettings::TABLE),
    (AdminSettings::DOC, AdminSettings::TABLE),
    (DatabaseSettings::DOC, DatabaseSettings::TABLE),
    (RedisSettings::DOC, RedisSettings::TABLE),
    (ClockSettings::DOC, ClockSettings::TABLE),
    (KeysSettings::DOC, KeysSettings::TABLE),
    (TokensSettings::DOC, TokensSettings::TABLE),
    (SessionsSettings::DOC, SessionsSettings::TABLE),
    (ClientsSettings::DOC, ClientsSettings::TABLE),
    (AuthSettings::DOC, AuthSettings::TABLE),
    (PasswordsSettings::DOC, PasswordsSettings::TABLE),
    (TelemetrySettings::DOC, TelemetrySettings::TABLE),
];

fn table() -> impl Iterator<Item = &'static Setting> + Clone {
    SECTIONS.iter().flat_map(|(_, rows)| rows.iter())
}

/// Settings, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Each of them as an operator may see it, in the order of the reference.
    pub report: Vec<Entry>,
}

impl Settings {
    /// Loads the settings: the defaults, then `file` (which must exist) or `signet.toml` in `cwd` (which need not),
    /// then those of `environment` that begin with `SIGNET__`.
    ///
    /// Relative paths begin at `cwd`; an empty one leaves them as they are, relative to the working directory.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn load<K: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        environment: impl Iterator<Item = (K, V)>,
        cwd: &Path,
    ) -> Result<Loaded, Faults> {
        let (mut layers, mut faults) = (source::Layers::new(), Vec::new());
        source::add_file(&mut layers, file, cwd, &mut faults);
        source::add_environment(&mut layers, environment, &mut faults);
        source::add_secret_files(&mut layers, cwd, &mut faults);
        let mut reader = Reader { layers: &layers, cwd, faults, report: Vec::new() };
        let settings = Self::read(&mut reader);
        rules::check(&mut reader);
        match settings {
            Some(settings) if reader.faults.is_empty() => Ok(Loaded { settings, report: reader.report }),
            _ => Err(Faults(reader.faults)),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let root = RootSettings::read(reader);
        let public = PublicSettings::read(reader);
        let admin = AdminSettings::read(reader);
        let database = DatabaseSettings::read(reader);
        let redis = RedisSettings::read(reader);
        let clock = ClockSettings::read(reader);
        let keys = KeysSettings::read(reader);
        let tokens = TokensSettings::read(reader);
        let sessions = SessionsSettings::read(reader);
        let clients = ClientsSettings::read(reader);
        let auth = AuthSettings::read(reader);
        let passwords = PasswordsSettings::read(reader);
        let telemetry = TelemetrySettings::read(reader);
        let issuer = rules::issuer(reader);
        let root = root?;
        Some(Self {
            issuer: issuer?,
            issuer_follows_bind: !reader.is_set("issuer"),
            allow_insecure_issuer: root.allow_insecure_issuer,
            data_dir: root.data_dir,
            public: public?,
            admin: admin?,
            database: database?,
            redis: redis?,
            clock: clock?,
            keys: keys?,
            tokens: tokens?,
            sessions: sessions?,
            clients: clients?,
            auth: auth?,
            passwords: passwords?,
            telemetry: telemetry?,
        })
    }

    /// The issuer, once the public listener has got the port `port`: it differs from `issuer` only when that follows
    /// a `public.bind` with port 0.
    pub fn issuer_bound_to(&self, port: u16) -> Issuer {
        if !self.issuer_follows_bind || self.public.bind.port() != 0 {
            return self.issuer.clone();
        }
        let text = rules::followed(&self.public.bind, port, self.public.tls_certificate_file.is_some());
        text.and_then(|text| Issuer::parse(&text, self.allow_insecure_issuer).ok())
            .unwrap_or_else(|| self.issuer.clone())
    }
}

#[cfg(test)]
mod tests;
