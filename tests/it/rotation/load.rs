//! Clients that get tokens without pause, and services that verify them without pause.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use signet::ports::{Clock, Timestamp};
use signet_verify::{Compact, Policy};

use super::caching::{Seen, Verifier};
use crate::app::Signet;
use crate::world::ORDERS;

/// Numbers that look random and are the same each time (xorshift).
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A token as its bearer knows it.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub kid: String,
    pub expires: Timestamp,
}

/// What clients, services and the test share.
struct Shared {
    replicas: Vec<Signet>,
    clock: Arc<dyn Clock>,
    secret: String,
    done: Cell<bool>,
    alive: RefCell<Vec<Token>>,
    minted: Cell<[u64; 2]>,
    /// The keys that signed, with the first moment of each.
    signers: RefCell<Vec<(String, Timestamp)>>,
    /// Keys that were compromised, and by when no verifier takes them.
    compromised: RefCell<BTreeMap<String, Timestamp>>,
    /// How long that takes at most.
    heard_within: Duration,
}

/// The load on two replicas, until it is ended.
pub struct Load {
    shared: Rc<Shared>,
    minting: Vec<tokio::task::JoinHandle<()>>,
    verifying: Vec<tokio::task::JoinHandle<Seen>>,
}

/// What came of it.
pub struct Outcome {
    pub replicas: Vec<Signet>,
    pub seen: Seen,
    /// How many tokens each replica gave.
    pub minted: [u64; 2],
    pub signers: Vec<(String, Timestamp)>,
}

impl Load {
    /// Two replicas under load: a client of each, and services whose clocks differ from theirs by `offsets`,
    /// milliseconds.
    /// A compromise is known to all of these within `heard_within`.
    pub fn on(
        replicas: [Signet; 2],
        clock: &Arc<dyn Clock>,
        secret: &str,
        offsets: &[i64],
        heard_within: Duration,
    ) -> Self {
        let leeway =
            offsets.iter().map(|offset| offset.unsigned_abs()).max().map_or(Duration::ZERO, Duration::from_millis);
        let policy = Policy::new(&*replicas[0].issuer, ORDERS).leeway(leeway + Duration::from_secs(5)).unwrap();
        let shared = Rc::new(Shared {
            replicas: replicas.into(),
            clock: Arc::clone(clock),
            secret: secret.to_owned(),
            done: Cell::default(),
            alive: RefCell::default(),
            minted: Cell::default(),
            signers: RefCell::default(),
            compromised: RefCell::default(),
            heard_within,
        });
        let mint = |at| actix_web::rt::spawn(minting(Rc::clone(&shared), at));
        let minting = (0..2).map(mint).collect();
        let verify = |(seed, offset): (u64, &i64)| {
            let verifier = Verifier::new(Arc::clone(clock), *offset, policy.clone(), seed);
            actix_web::rt::spawn(verifying(Rc::clone(&shared), verifier, Random::new(seed + 100)))
        };
        let verifying = (1..).zip(offsets).map(verify).collect();
        Self { shared, minting, verifying }
    }

    /// Waits until both replicas have given so many more tokens.
    pub async fn more(&self, tokens: u64) {
        let from = self.shared.minted.get();
        crate::world::eventually(async || {
            let now = self.shared.minted.get();
            (0..2).all(|at| now[at] >= from[at] + tokens).then_some(())
        })
        .await;
    }

    /// That key is compromised as of then: its tokens may be refused, and soon they must.
    pub fn is_compromised(&self, kid: &str, at: Timestamp) {
        let deadline = at.plus(self.shared.heard_within);
        self.shared.compromised.borrow_mut().insert(kid.to_owned(), deadline);
    }

    /// Ends it.
    pub async fn end(self) -> Outcome {
        self.shared.done.set(true);
        for task in self.minting {
            task.await.unwrap();
        }
        let mut seen = Seen::default();
        for task in self.verifying {
            seen.add(&task.await.unwrap());
        }
        let Ok(shared) = Rc::try_unwrap(self.shared) else { panic!("somebody still uses it") };
        let (minted, signers) = (shared.minted.get(), shared.signers.into_inner());
        Outcome { replicas: shared.replicas, seen, minted, signers }
    }
}

async fn minting(shared: Rc<Shared>, at: usize) {
    while !shared.done.get() {
        let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        let answer = shared.replicas[at].token(Some(("shop", &shared.secret)), &form).await;
        match answer.status {
            StatusCode::OK => {
                let token = shared.taken(answer.body["access_token"].as_str().unwrap());
                shared.alive.borrow_mut().push(token);
                let mut minted = shared.minted.get();
                minted[at] += 1;
                shared.minted.set(minted);
            }
            // Time has leapt past its lease, and it has not heard from its store since.
            StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(5)).await,
            status => panic!("{status}: {}", answer.text),
        }
        // No more than a service can look at.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Shared {
    fn taken(&self, text: &str) -> Token {
        let compact = Compact::parse(text).unwrap();
        let kid = compact.unverified_kid().unwrap().to_owned();
        let payload = signet_verify::base64url::decode(text.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let moment = |name: &str| Timestamp::from_secs(claims[name].as_i64().unwrap());
        let (minted, expires) = (moment("iat"), moment("exp"));
        let mut signers = self.signers.borrow_mut();
        if !signers.iter().any(|(known, _)| *known == kid) {
            signers.push((kid.clone(), minted));
        }
        Token { text: text.to_owned(), kid, expires }
    }
}

async fn verifying(shared: Rc<Shared>, mut verifier: Verifier, mut random: Random) -> Seen {
    while !shared.done.get() {
        let now = shared.clock.now();
        let token = {
            let mut alive = shared.alive.borrow_mut();
            alive.retain(|token| now < token.expires);
            let many = alive.len();
            // Any of those that live, and often the newest.
            let place = if random.below(3) == 0 { many.saturating_sub(1) } else { random.below(many.max(1)) };
            alive.get(place).cloned()
        };
        if let Some(token) = token {
            let deadline = |kid: &str| shared.compromised.borrow().get(kid).copied();
            verifier.check(&token, &shared.replicas, deadline).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    verifier.seen
}
