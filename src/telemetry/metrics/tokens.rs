//! Tokens by grant and algorithm, refusals by grant and error, clients that were not let in by the reason, and sign-ins.
//!
//! Guarantees: every combination exists from the start, at zero, and no other ever does. No client is a label: how many
//! there are is not ours to bound, and who asked for a token stands in the log.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use signet_verify::Algorithm;

use crate::clients::{GrantType, Refusal};
use crate::http::{LOGIN_OUTCOMES, NO_ROUTE, OAUTH_ERRORS};
use crate::users::LoginRefusal;

pub(super) struct Tokens {
    /// By grant, then algorithm.
    issued: Vec<Vec<IntCounter>>,
    /// By grant (none comes last), then error.
    refused: Vec<Vec<IntCounter>>,
    /// By reason.
    unauthenticated: Vec<IntCounter>,
    /// By outcome.
    logins: Vec<(&'static str, IntCounter)>,
}

impl Tokens {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let family = |name, help, labels| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        let grants = || GrantType::ALL.into_iter().map(GrantType::name);
        let issued = family(
            "signet_tokens_issued_total",
            "Access tokens issued, by grant and signature algorithm.",
            &["grant", "algorithm"],
        )?;
        let refused = family(
            "signet_token_errors_total",
            "Token requests refused, by grant (- when it was not understood so far) and OAuth error code.",
            &["grant", "error"],
        )?;
        let unauthenticated = family(
            "signet_client_authentication_failures_total",
            "Client credentials refused, by the reason, which the client does not learn.",
            &["reason"],
        )?;
        let logins = family(
            "signet_logins_total",
            "Sign-ins by password, by how they came out, which whoever tried does not learn.",
            &["outcome"],
        )?;
        let outcomes = LOGIN_OUTCOMES.into_iter().chain(LoginRefusal::REASONS);
        let algorithms = |grant| Algorithm::ALL.map(|known| issued.with_label_values(&[grant, known.name()])).into();
        let errors = |grant| OAUTH_ERRORS.map(|code| refused.with_label_values(&[grant, code])).into();
        Ok(Self {
            issued: grants().map(algorithms).collect(),
            refused: grants().chain([NO_ROUTE]).map(errors).collect(),
            unauthenticated: Refusal::REASONS.map(|reason| unauthenticated.with_label_values(&[reason])).into(),
            logins: outcomes.map(|outcome| (outcome, logins.with_label_values(&[outcome]))).collect(),
        })
    }

    pub(super) fn issued(&self, grant: GrantType, algorithm: Algorithm) {
        let algorithm = Algorithm::ALL.iter().position(|known| *known == algorithm);
        let counters = position(&GrantType::ALL, grant).and_then(|grant| self.issued.get(grant));
        count(counters, algorithm);
    }

    pub(super) fn refused(&self, grant: Option<GrantType>, code: &str) {
        let counters = match grant {
            Some(grant) => position(&GrantType::ALL, grant).and_then(|grant| self.refused.get(grant)),
            None => self.refused.last(),
        };
        count(counters, position(&OAUTH_ERRORS, code));
    }

    pub(super) fn logged_in(&self, outcome: &str) {
        if let Some((_, counter)) = self.logins.iter().find(|(known, _)| *known == outcome) {
            counter.inc();
        }
    }

    pub(super) fn unauthenticated(&self, reason: &str) {
        count(Some(&self.unauthenticated), position(&Refusal::REASONS, reason));
    }
}

fn position<T: PartialEq<U>, U>(known: &[T], wanted: U) -> Option<usize> {
    known.iter().position(|one| *one == wanted)
}

/// What has no counter is not counted: the tables that the counters are made of are tested to be complete.
fn count(counters: Option<&Vec<IntCounter>>, place: Option<usize>) {
    if let Some(counter) = counters.zip(place).and_then(|(counters, place)| counters.get(place)) {
        counter.inc();
    }
}
