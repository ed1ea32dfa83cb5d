//! A service that verifies tokens and keeps the JWKS as HTTP tells it: never asking for a key that it does not know,
//! only once what it has may no longer be used, and with the tag of what it has.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use signet::ports::{Clock, Timestamp};
use signet_verify::{Jwks, Policy, verify};

use super::load::{Random, Token};
use crate::app::{Answer, Signet};

const PATH: &str = "/.well-known/jwks.json";
/// In how long a load balancer sees that a replica is no longer ready.
const LOOK: Duration = Duration::from_secs(60);

/// A JWKS, and for how long it may be used.
struct Kept {
    jwks: Jwks,
    etag: String,
    /// From the moment of the request on, not of the answer.
    fresh_until: Timestamp,
    stale_until: Timestamp,
}

/// What verifiers did.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub checked: u64,
    /// Of those, with a JWKS that was served while another was asked for.
    pub while_stale: u64,
    pub fetched: u64,
    pub not_modified: u64,
    /// Living tokens that were refused, and why.
    pub failed: Vec<String>,
    /// The same, of keys that were compromised: nobody is to take them.
    pub compromised: u64,
    /// Tokens of such keys that passed when nobody was to take them any more.
    pub overdue: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.checked += other.checked;
        self.while_stale += other.while_stale;
        self.fetched += other.fetched;
        self.not_modified += other.not_modified;
        self.failed.extend_from_slice(&other.failed);
        self.compromised += other.compromised;
        self.overdue += other.overdue;
    }
}

/// One such service.
pub struct Verifier {
    clock: Arc<dyn Clock>,
    /// How far its own clock is ahead, in milliseconds.
    offset: i64,
    policy: Policy,
    kept: Option<Kept>,
    random: Random,
    pub seen: Seen,
}

impl Verifier {
    pub fn new(clock: Arc<dyn Clock>, offset: i64, policy: Policy, seed: u64) -> Self {
        Self { clock, offset, policy, kept: None, random: Random::new(seed), seen: Seen::default() }
    }

    /// Judges a token as a service does for a request; a token that expired before that counts for nothing. Where it
    /// needs a JWKS, one of `replicas` that are ready gives it, as a load balancer would see to.
    pub async fn check(&mut self, token: &Token, replicas: &[Signet], compromised: impl Fn(&str) -> Option<Timestamp>) {
        while self.kept.as_ref().is_none_or(|kept| kept.stale_until < self.clock.now()) {
            self.fetch(replicas).await;
        }
        let Some(kept) = &self.kept else { return };
        let now = self.clock.now();
        if token.expires <= now || kept.stale_until < now {
            return;
        }
        let own = Duration::from_millis((now.millis() + self.offset).unsigned_abs());
        self.seen.checked += 1;
        let is_stale = kept.fresh_until < now;
        self.seen.while_stale += u64::from(is_stale);
        // By when nobody is to take it any more.
        let deadline = compromised(&token.kid);
        if let Err(why) = verify(&kept.jwks, &self.policy, &token.text, own) {
            if deadline.is_some() {
                self.seen.compromised += 1;
            } else {
                let Token { kid, expires, .. } = token;
                let until = (kept.fresh_until, kept.stale_until);
                self.seen
                    .failed
                    .push(format!("at {now}: {why}: {kid}, alive until {expires}; has {} until {until:?}", kept.etag));
            }
        } else if deadline.is_some_and(|deadline| deadline < now) {
            self.seen.overdue += 1;
        }
        // It asks anew beside its work, sooner or later.
        if is_stale && self.random.below(3) == 0 {
            self.fetch(replicas).await;
        }
    }

    async fn fetch(&mut self, replicas: &[Signet]) {
        let replica = &replicas[self.random.below(replicas.len())];
        let began_at = self.clock.now();
        if !replica.ready().await.status.is_success() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            return;
        }
        let asked_at = self.clock.now();
        let mut request = replica.http.get(format!("{}{PATH}", replica.public));
        if let Some(kept) = &self.kept {
            request = request.header("if-none-match", &kept.etag);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        if self.clock.now().since(began_at) > LOOK {
            // The held clock leapt in between: the replica may have passed its lease unseen.
            return;
        }
        let (max_age, stale) = freshness(&answer);
        let (fresh_until, etag) = (asked_at.plus(max_age), answer.header("etag").unwrap().to_owned());
        self.seen.fetched += 1;
        let jwks = match (answer.status, self.kept.take()) {
            (StatusCode::NOT_MODIFIED, Some(kept)) => {
                assert_eq!(kept.etag, etag);
                self.seen.not_modified += 1;
                kept.jwks
            }
            (StatusCode::OK, _) => Jwks::parse(answer.text.as_bytes()).unwrap(),
            (status, _) => panic!("{status}: {}", answer.text),
        };
        self.kept = Some(Kept { jwks, etag, fresh_until, stale_until: fresh_until.plus(stale) });
    }
}

/// `max-age` and `stale-while-revalidate`.
fn freshness(answer: &Answer) -> (Duration, Duration) {
    let value = answer.header("cache-control").unwrap();
    let span = |name: &str| {
        let directive = value.split(", ").find_map(|directive| directive.strip_prefix(name));
        Duration::from_secs(directive.unwrap_or_else(|| panic!("{value}")).parse().unwrap())
    };
    (span("max-age="), span("stale-while-revalidate="))
}
