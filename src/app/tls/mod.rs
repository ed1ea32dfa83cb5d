//! TLS on the listeners: certificates from files, and taken up anew when these change.
//!
//! Guarantees: a listener with certificate files speaks nothing but TLS; replacing the files needs no restart and ends
//! no connection.

mod certificate;
mod pair;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::ports::{Clock, Timestamp};

pub(super) use certificate::{Certificate, End};
pub use pair::PairError;
use pair::PairFiles;

/// The certificate of the listener whose settings are in `section`; none when it speaks plain HTTP.
///
/// # Errors
/// When its files hold no usable pair.
pub(super) fn certificate(
    section: &'static str,
    files: (&Option<PathBuf>, &Option<PathBuf>),
    now: Timestamp,
) -> Result<Option<Certificate>, PairError> {
    // The settings are refused when one stands alone.
    let (Some(certificate), Some(key)) = files else { return Ok(None) };
    let files = PairFiles { section, certificate: certificate.clone(), key: key.clone() };
    Certificate::read(files, now).map(Some)
}

/// Looks after the certificates until it is dropped.
pub(super) async fn watch(mut certificates: Vec<Certificate>, clock: Arc<dyn Clock>, every: Duration) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !certificates.is_empty() {
        tick.tick().await;
        let clock = Arc::clone(&clock);
        // A file may lie on a disk that does not answer.
        let looked = tokio::task::spawn_blocking(move || {
            for certificate in &mut certificates {
                certificate.look(clock.now());
            }
            certificates
        });
        match looked.await {
            Ok(back) => certificates = back,
            Err(error) => {
                tracing::error!(%error, "TLS certificates are no longer looked after: restart to take up new ones");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
