//! A Redis that is set back to an older copy of itself: what has ended since stays ended, at every replica and after every
//! start, and who refreshed since goes on.

use std::path::Path;
use std::process::Command;

use super::{Endpoint, Front, GRACE, Said, generation_in, told};
use crate::app::{Backend, Installation};
use crate::redis::{Redis, eventually};

/// How Redis keeps what it has.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Log,
    Snapshot,
}

impl Kept {
    const fn lines(self) -> &'static [&'static str] {
        match self {
            Self::Log => &["appendonly yes", "appendfsync always"],
            Self::Snapshot => &[],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "appendonlydir",
            Self::Snapshot => "dump.rdb",
        }
    }

    /// Puts a copy of what is on its disk aside, or back. It must not run.
    fn copy(from: &Path, to: &Path) {
        let _ = std::fs::remove_dir_all(to);
        let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
        assert!(copied.success());
    }
}

async fn what_has_ended_stays_ended(kept: Kept) {
    let redis = Redis::start(kept.lines());
    let url = redis.url();
    let settings = [("REDIS__URL", url.as_str())];
    let mut front = Front::open(Installation::new().on(Backend::Postgres), &[&settings, &settings]).await;
    let ask = front.ask.clone();
    let (gone, stolen, lives) = (ask.tokens(0).await, ask.tokens(0).await, ask.tokens(1).await);
    let Said::Next(second) = ask.insist(0, &stolen.refresh).await else { panic!() };
    front.installation.clock.advance(GRACE);

    if matches!(kept, Kept::Snapshot) {
        redis.tell(&["SAVE"]);
    }
    let (files, aside) = (redis.folder.join(kept.name()), redis.folder.join("aside"));
    redis.kill();
    Kept::copy(&files, &aside);
    redis.start_again();
    // By refresh, as one who signed in anew would be no proof.
    let Said::Next(after) = ask.insist(1, &lives.refresh).await else { panic!() };
    for replica in [0, 1] {
        crate::world::eventually(async || (ask.me(replica, &lives.access).await.status == 200).then_some(())).await;
    }
    assert_eq!(told(async || ask.log_out(0, &gone.refresh).await).await.status, 204);
    assert_eq!(ask.insist_at(1, Endpoint::Auth, &stolen.refresh).await, Said::Refused);
    let [gone_key, stolen_key, lives_key] = [&gone, &stolen, &lives].map(|tokens| front.key(&tokens.session));
    let there = || [&gone_key, &stolen_key].map(|key| redis.ask(&["EXISTS", key]));
    assert_eq!(there(), ["0", "0"]);

    redis.kill();
    Kept::copy(&aside, &files);
    redis.start_again();
    eventually("it has loaded", || redis.ask(&["PING"]) == "PONG");
    assert_eq!(there(), ["1", "1"], "Redis has them back");
    assert_eq!(generation_in(&redis, &lives_key), 0);
    // A replica that starts only now knows it too.
    front.signets.push(front.installation.start().await);
    let mut ask = ask;
    ask.publics.push(front.signets[2].public.clone());
    for replica in [2, 0, 1] {
        for token in [&gone.refresh, &stolen.refresh, &second] {
            assert_eq!(ask.insist_at(replica, Endpoint::Auth, token).await, Said::Refused, "{kept:?} {replica}");
        }
        for access in [&gone.access, &stolen.access] {
            assert_eq!(told(async || ask.me(replica, access).await).await.status, 401, "{kept:?} {replica}");
        }
    }
    eventually("Redis was told again", || there() == ["0", "0"]);
    // Redis has lost the rotation, and takes the token that it never saw.
    let Said::Next(next) = ask.insist(0, &after).await else { panic!() };
    assert_eq!((super::generation_of(&next), generation_in(&redis, &lives_key)), (2, 2));
    println!("Redis set back to an older {}: 2 sessions revived by it, refused at 3 replicas", kept.name());
    front.stop().await;
}

#[actix_web::test]
async fn what_has_ended_stays_ended_when_redis_is_set_back_to_an_older_log() {
    what_has_ended_stays_ended(Kept::Log).await;
}

#[actix_web::test]
async fn what_has_ended_stays_ended_when_redis_is_set_back_to_an_older_snapshot() {
    what_has_ended_stays_ended(Kept::Snapshot).await;
}
