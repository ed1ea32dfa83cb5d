//! All settings together, and how they are loaded from their sources.
//!
//! Guarantees: [`Settings`] exist only whole and checked; where anything is wrong, all of it is told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::setting::{Reader, Section};
use super::{
    AdminSettings, AuthSettings, ClientsSettings, ClockSettings, DatabaseSettings, Entry, Faults, KeysSettings,
    PasswordsSettings, PublicSettings, RedisSettings, RootSettings, SessionsSettings, TokensSettings, rules, source,
};
use crate::issuer::Issuer;
use crate::telemetry::TelemetrySettings;

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
