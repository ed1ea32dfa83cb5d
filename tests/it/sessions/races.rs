//! Refresh races over two replicas on one Redis, by HTTP: callers at once and one after another, whose answers are lost,
//! late and in the wrong order, at replicas of which one is slow, stands still or is overtaken; and strangers among them.

use std::time::Duration;

use super::{Asker, GRACE};
use super::{Endpoint, Front, Given, LOGIN, OTHER, Said, Tokens, generation_in, told};
use crate::app::{Backend, Installation};
use crate::proxy::{Proxy, Way};
use crate::redis::Redis;
use crate::rotation::load::Random;
use crate::store::at_once;

/// So many races, each of 2 to 50 callers; so many rounds of five tabs; and after how many races a caller is overtaken.
fn rounds() -> (usize, usize, usize) {
    let full = std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full");
    if full { (10_000, 2_000, 100) } else { (120, 60, 40) }
}

/// What happens between the first replica and Redis during a race.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Fair,
    /// Each answer comes so much later.
    Slow(Duration),
    /// Nothing passes for so long, and then all of it.
    Paused(Way, Duration),
}

impl Weather {
    fn any(random: &mut Random) -> Self {
        let millis = |number: usize| Duration::from_millis(u64::try_from(number).unwrap());
        match random.below(20) {
            0..4 => Self::Slow(millis(1 + random.below(40))),
            // The longer ones outlast `redis.timeout`.
            4 => {
                Self::Paused(if random.below(2) == 0 { Way::There } else { Way::Back }, millis(20 + random.below(230)))
            }
            _ => Self::Fair,
        }
    }

    async fn passes(self, way: &Proxy) {
        match self {
            Self::Fair => {}
            Self::Slow(by) => way.delay(by),
            Self::Paused(to, span) => {
                way.hold(to);
                tokio::time::sleep(span).await;
                way.release();
            }
        }
    }
}

/// What was done and seen.
#[derive(Debug, Default)]
struct Counts {
    races: usize,
    callers: usize,
    asked: usize,
    dropped: usize,
    unavailable: usize,
    strangers: usize,
    slow: usize,
    paused: usize,
    overtaken: usize,
    signed_out: usize,
}

/// What one caller has in mind.
#[derive(Debug, Clone, Copy)]
struct Caller {
    replica: usize,
    endpoint: Endpoint,
    jitter: Duration,
    /// It hangs up after so long, whatever comes of it, and asks again.
    drops: Option<Duration>,
    stranger: bool,
}

/// What a caller got.
#[derive(Debug, Default)]
struct Heard {
    given: Vec<String>,
    asked: usize,
    dropped: usize,
    unavailable: usize,
    signed_out: bool,
}

impl Caller {
    fn any(random: &mut Random) -> Self {
        let micros = |number: usize| Duration::from_micros(u64::try_from(number).unwrap());
        Self {
            replica: random.below(2),
            endpoint: if random.below(3) == 0 { Endpoint::Token } else { Endpoint::Auth },
            jitter: micros(random.below(4_000)),
            drops: (random.below(5) == 0).then(|| micros(random.below(12_000))),
            stranger: random.below(12) == 0,
        }
    }

    async fn call(self, ask: Asker, token: String) -> Heard {
        let mut heard = Heard::default();
        tokio::time::sleep(self.jitter).await;
        if self.stranger {
            heard.asked += 1;
            match ask.present(self.replica, self.endpoint, OTHER, &token).await {
                Said::Refused => {}
                Said::Unavailable => heard.unavailable += 1,
                said => panic!("a stranger got {said:?}"),
            }
            return heard;
        }
        if let Some(after) = self.drops {
            heard.asked += 1;
            heard.dropped += 1;
            let asked = ask.present(self.replica, self.endpoint, LOGIN, &token);
            if let Ok(Said::Next(lost)) = tokio::time::timeout(after, asked).await {
                heard.given.push(lost);
            }
        }
        for turn in usize::from(self.drops.is_some()).. {
            heard.asked += 1;
            match ask.present((self.replica + turn) % 2, self.endpoint, LOGIN, &token).await {
                Said::Next(next) => heard.given.push(next),
                Said::GoesOn => panic!("a token that was due was not replaced"),
                Said::Refused => heard.signed_out = true,
                Said::Unavailable => {
                    heard.unavailable += 1;
                    assert!(turn < 2_000, "nobody could answer");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            }
            return heard;
        }
        heard
    }
}

/// Two replicas on one Redis, the first of them by a way that can be held up.
struct Pair {
    front: Front,
    way: Proxy,
    redis: Redis,
    random: Random,
    counts: Counts,
    given: Given,
}

impl Pair {
    async fn open(seed: u64) -> Self {
        let redis = Redis::start(&["appendonly yes"]);
        let way = Proxy::before(&redis.url());
        let installation = Installation::new().on(Backend::Postgres);
        let url = redis.url();
        let settings = [[("REDIS__URL", way.url.as_str())], [("REDIS__URL", url.as_str())]];
        let front = Front::open(installation, &[&settings[0], &settings[1]]).await;
        Self { front, way, redis, random: Random::new(seed), counts: Counts::default(), given: Given::default() }
    }

    /// What an honest caller gets in the end.
    async fn honest(&mut self, token: &str) -> Option<String> {
        let first = self.random.below(2);
        self.counts.asked += 1;
        match self.front.ask.insist(first, token).await {
            Said::Next(next) => {
                self.given.note(&next);
                Some(next)
            }
            Said::GoesOn => None,
            Said::Refused | Said::Unavailable => {
                self.counts.signed_out += 1;
                None
            }
        }
    }

    /// Callers at once: the token that all of them end up with.
    async fn race(&mut self, token: &str, callers: usize) -> String {
        let mut callers: Vec<_> = (0..callers).map(|_| Caller::any(&mut self.random)).collect();
        // So that something moves.
        callers[0].stranger = false;
        let weather = Weather::any(&mut self.random);
        match weather {
            Weather::Fair => {}
            Weather::Slow(_) => self.counts.slow += 1,
            Weather::Paused(..) => self.counts.paused += 1,
        }
        let calls: Vec<_> =
            callers.iter().map(|caller| caller.call(self.front.ask.clone(), token.to_owned())).collect();
        let (heard, ()) = tokio::join!(at_once(calls), weather.passes(&self.way));
        self.way.delay(Duration::ZERO);
        self.counts.races += 1;
        self.counts.callers += callers.len();
        self.counts.strangers += callers.iter().filter(|caller| caller.stranger).count();
        let mut next = None;
        for heard in heard {
            self.counts.asked += heard.asked;
            self.counts.dropped += heard.dropped;
            self.counts.unavailable += heard.unavailable;
            self.counts.signed_out += usize::from(heard.signed_out);
            for token in heard.given {
                self.given.note(&token);
                next = Some(token);
            }
        }
        next.expect("somebody got a token")
    }

    /// A race, and what honest callers do after it within the grace: one was on its way for long; one that has the new
    /// token is overtaken by an older answer, and presents the old one once more.
    async fn generation(&mut self, token: &mut String, callers: usize) {
        let next = self.race(token, callers).await;
        let clock = self.front.installation.clock.clone();
        clock.advance(GRACE - Duration::from_millis(u64::try_from(self.random.below(9_999)).unwrap() + 1));
        assert_eq!(self.honest(token).await.as_ref(), Some(&next), "the late one gets the same");
        assert_eq!(self.honest(&next).await, None, "the new one is not replaced so soon");
        assert_eq!(self.honest(token).await.as_ref(), Some(&next), "answers in the other order change nothing");
        clock.advance(GRACE);
        *token = next;
    }

    /// A call is held up on the way to Redis, or its answer is, until two rotations have come and gone. Whoever made it is
    /// told that it can't be answered now, and goes on with what the browser has by then.
    async fn overtaken(&mut self, token: &mut String, held: Way) {
        let clock = self.front.installation.clock.clone();
        self.way.hold(held);
        let delayed = tokio::spawn({
            let (ask, token) = (self.front.ask.clone(), token.clone());
            async move { ask.present(0, Endpoint::Auth, LOGIN, &token).await }
        });
        crate::world::eventually(async || self.way.holds_something().then_some(())).await;
        for _ in 0..2 {
            let said = self.front.ask.insist_at(1, Endpoint::Auth, token).await;
            let Said::Next(next) = said else { panic!("{said:?}") };
            self.given.note(&next);
            *token = next;
            clock.advance(GRACE);
        }
        assert_eq!(delayed.await.unwrap(), Said::Unavailable);
        self.way.release();
        crate::world::eventually(async || (!self.way.holds_something()).then_some(())).await;
        *token = self.honest(token).await.expect("it goes on");
        clock.advance(GRACE);
        self.counts.asked += 3;
        self.counts.overtaken += 1;
    }

    /// That the session is where it should be.
    fn assert_moved(&self, session: &Tokens, generations: usize) {
        let found = generation_in(&self.redis, &self.front.key(&session.session));
        assert_eq!(usize::try_from(found).unwrap(), generations);
    }
}

#[actix_web::test]
async fn races_over_two_replicas_fork_nothing_and_sign_nobody_out() {
    let mut pair = Pair::open(11).await;
    let (races, rounds, every) = rounds();
    let (session, tabbed) = (pair.front.ask.tokens(0).await, pair.front.ask.tokens(1).await);
    let (mut token, mut tabs) = (session.refresh.clone(), tabbed.refresh.clone());
    let mut generations = 0;
    for race in 1..=races {
        let callers = 2 + pair.random.below(49);
        pair.generation(&mut token, callers).await;
        generations += 1;
        if race % every == 0 {
            pair.overtaken(&mut token, if race / every % 2 == 0 { Way::Back } else { Way::There }).await;
            generations += 3;
        }
    }
    pair.assert_moved(&session, generations);
    for _ in 0..rounds {
        pair.generation(&mut tabs, 5).await;
    }
    pair.assert_moved(&tabbed, rounds);
    let ((given, widest), counts) = (pair.given.widest(), &pair.counts);
    println!(
        "{races} races of 2 to 50 and {rounds} rounds of five tabs over two replicas on Redis: {counts:?}; {given} \
         generations, distinct successors of each: {widest}, honest callers logged out: {}",
        counts.signed_out
    );
    assert_eq!((given, widest), (generations + rounds, 1));
    assert_eq!(counts.signed_out, 0);
    assert!(counts.strangers > 0 && counts.dropped > 0 && counts.slow > 0 && counts.overtaken > 0);
    pair.front.stop().await;
}

#[actix_web::test]
async fn a_replay_after_the_window_ends_that_session_at_every_replica_and_no_other() {
    let pair = Pair::open(13).await;
    let (front, ask) = (&pair.front, &pair.front.ask);
    let (stolen, kept) = (ask.tokens(0).await, ask.tokens(1).await);
    let Said::Next(second) = ask.insist_at(0, Endpoint::Auth, &stolen.refresh).await else { panic!() };
    front.installation.clock.advance(GRACE);
    assert_eq!(ask.insist_at(1, Endpoint::Token, &stolen.refresh).await, Said::Refused);
    for replica in [0, 1] {
        for endpoint in [Endpoint::Auth, Endpoint::Token] {
            for token in [&stolen.refresh, &second] {
                assert_eq!(ask.insist_at(replica, endpoint, token).await, Said::Refused);
            }
        }
        for (session, status) in [(&stolen, 401), (&kept, 200)] {
            assert_eq!(told(async || ask.me(replica, &session.access).await).await.status, status);
        }
    }
    assert!(matches!(ask.insist_at(0, Endpoint::Auth, &kept.refresh).await, Said::Next(_)));
    assert_eq!(pair.redis.ask(&["EXISTS", &front.key(&stolen.session)]), "0");
    pair.front.stop().await;
}
