//! The certificate that a listener presents, re-read when its files change.
//!
//! Guarantees: a handshake never waits for a file; a new pair is presented only once it was seen twice the same, is
//! whole and belongs together, and until then the old one is; what is wrong is logged once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tracing::{error, info, warn};

use super::pair::{Pair, PairError, PairFiles};
use crate::ports::Timestamp;

/// Within what time of its end a certificate should have been renewed, if it lives long; else within a fifth of its life.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// How often the same warning is repeated.
const REMIND_EVERY: Duration = Duration::from_secs(86_400);

/// What handshakes present at the moment.
#[derive(Debug)]
struct Presented(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What a look at the files found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Pair([u8; 64]),
    Nothing(PairError),
}

/// How a certificate stands in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Early,
    Good,
    EndsSoon,
    Ended,
}

/// When the certificate of a listener ends: whichever is presented, as long as it is looked after.
#[derive(Debug, Clone)]
pub(in crate::app) struct End {
    /// Of which listener: `public` or `admin`.
    pub(in crate::app) listener: &'static str,
    at: Arc<AtomicI64>,
}

impl End {
    pub(in crate::app) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at.load(Ordering::Relaxed))
    }
}

/// The certificate of one listener.
pub(in crate::app) struct Certificate {
    files: PairFiles,
    provider: Arc<CryptoProvider>,
    presented: Arc<Presented>,
    valid: (Timestamp, Timestamp),
    end: Arc<AtomicI64>,
    in_use: Seen,
    /// What the last look found, where it differs from what is in use and from what was refused.
    last: Option<Seen>,
    /// What was looked at, found wanting, and said to be so.
    refused: Option<Seen>,
    age: Age,
    reminded_at: Timestamp,
}

impl Certificate {
    /// Reads the pair for the first time.
    ///
    /// # Errors
    /// When there is no usable pair.
    pub(super) fn read(files: PairFiles, now: Timestamp) -> Result<Self, PairError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let bytes = files.read()?;
        let Pair { certified, valid_from, valid_until } = files.pair(&bytes, &provider)?;
        let mut certificate = Self {
            presented: Arc::new(Presented(ArcSwap::new(certified))),
            valid: (valid_from, valid_until),
            end: Arc::new(AtomicI64::new(valid_until.millis())),
            in_use: Seen::Pair(bytes.digest()),
            last: None,
            refused: None,
            age: Age::Good,
            reminded_at: now,
            files,
            provider,
        };
        certificate.judge_age(now);
        Ok(certificate)
    }

    /// When it ends.
    pub(in crate::app) fn end(&self) -> End {
        End { listener: self.files.section, at: Arc::clone(&self.end) }
    }

    /// How the listener speaks TLS: 1.2 and 1.3, without client certificates.
    ///
    /// # Errors
    /// When the cryptography that was built in offers neither.
    pub(in crate::app) fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.presented) as _))
    }

    /// Looks at the files and presents what they hold, once it has settled. Reads files: not for a thread that serves.
    pub(super) fn look(&mut self, now: Timestamp) {
        let read = self.files.read();
        let seen = match &read {
            Ok(bytes) => Seen::Pair(bytes.digest()),
            Err(error) => Seen::Nothing(error.clone()),
        };
        if seen == self.in_use {
            self.last = None;
            if self.refused.take().is_some() {
                info!(listener = self.files.section, "the TLS files hold the certificate in use again");
            }
        } else if self.refused.as_ref() == Some(&seen) {
            self.last = None;
        } else if self.last.as_ref() != Some(&seen) {
            // Whoever replaces the two may be at it: what is seen once may be half of it.
            self.last = Some(seen);
        } else {
            self.last = None;
            match read.and_then(|bytes| self.files.pair(&bytes, &self.provider)) {
                Ok(pair) => self.present(pair, seen),
                Err(error) => {
                    error!(
                        listener = self.files.section,
                        %error,
                        until = %self.valid.1,
                        "the new TLS certificate can't be used: the old one stays in use"
                    );
                    self.refused = Some(seen);
                }
            }
        }
        self.judge_age(now);
    }

    /// What handshakes present.
    #[cfg(test)]
    pub(super) fn presents(&self) -> Arc<CertifiedKey> {
        self.presented.0.load_full()
    }

    fn present(&mut self, pair: Pair, seen: Seen) {
        self.presented.0.store(pair.certified);
        self.valid = (pair.valid_from, pair.valid_until);
        self.end.store(pair.valid_until.millis(), Ordering::Relaxed);
        (self.in_use, self.refused, self.age) = (seen, None, Age::Good);
        info!(listener = self.files.section, until = %self.valid.1, "the TLS certificate was replaced");
    }

    /// Warns of a certificate that clients refuse or soon will: when it becomes one, and then once a day.
    fn judge_age(&mut self, now: Timestamp) {
        let age = age(self.valid, now);
        if age == self.age && now.since(self.reminded_at) < REMIND_EVERY {
            return;
        }
        (self.age, self.reminded_at) = (age, now);
        let (from, until) = self.valid;
        let (listener, file) = (self.files.section, self.files.certificate.display());
        match age {
            Age::Good => {}
            Age::Early => error!(listener, %file, %from, "the TLS certificate is not valid yet: clients refuse it"),
            Age::EndsSoon => warn!(listener, %file, %until, "the TLS certificate ends soon and was not renewed"),
            Age::Ended => error!(listener, %file, %until, "the TLS certificate has expired: clients refuse it"),
        }
    }
}

fn age((from, until): (Timestamp, Timestamp), now: Timestamp) -> Age {
    let soon = SOON.min(until.since(from) / 5);
    if now > until {
        Age::Ended
    } else if now < from {
        Age::Early
    } else if now.plus(soon) > until {
        Age::EndsSoon
    } else {
        Age::Good
    }
}
