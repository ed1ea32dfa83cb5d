//! The store's own condition, held to [`decide`]: whatever is presented by whomever and whenever, the store moves a
//! session where `decide` on its record says so, and leaves it alone otherwise.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use signet::tokens::session::{Decision, decide};

use super::*;

/// So many sessions are used, each so often or until it has expired.
const SESSIONS: usize = 120;
const STEPS: usize = 60;

#[derive(Debug, Clone)]
struct Step {
    pause: Duration,
    /// From the record's generation.
    presented: i64,
    other_client: bool,
    other_binding: bool,
    other_delivery: bool,
    grace: Duration,
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = Duration::from_secs;
    let pause = prop_oneof![
        4 => Just(Duration::ZERO),
        4 => (1..10_500_u64).prop_map(Duration::from_millis),
        3 => Just(GRACE),
        2 => Just(GRACE - Duration::from_millis(1)),
        2 => (10..400_u64).prop_map(seconds),
        1 => (86_000..90_000_u64).prop_map(seconds),
    ];
    let presented = prop_oneof![6 => Just(0_i64), 4 => Just(-1), 2 => Just(1), 1 => -4..=4_i64];
    let rarely = || prop::bool::weighted(0.06);
    let grace = prop_oneof![6 => Just(GRACE), 1 => Just(Duration::ZERO), 1 => Just(seconds(120))];
    let others = (rarely(), rarely(), rarely());
    (pause, presented, others, grace).prop_map(
        |(pause, presented, (other_client, other_binding, other_delivery), grace)| Step {
            pause,
            presented,
            other_client,
            other_binding,
            other_delivery,
            grace,
        },
    )
}

pub(super) async fn whatever_is_presented_the_store_does_what_is_decided(backend: &dyn Backends) {
    let store = backend.open().await;
    let (mut runner, mut met) = (TestRunner::deterministic(), BTreeMap::<&str, usize>::new());
    let other = ClientId::parse("other").unwrap();
    for place in 0..SESSIONS {
        let now = backend.clock().now();
        let begun = Session {
            rotation: if place % 3 == 0 { Rotation::Stays } else { Rotation::Rotates },
            binding: if place % 2 == 0 { ClientBinding::Public } else { ClientBinding::Confidential },
            delivery: if place % 5 < 2 { Delivery::Cookie } else { Delivery::Body },
            idle: DAY,
            expires_at: now.plus(DAY * 3),
            ..session(now)
        };
        let mut record = Some(stored(&*store, begun.clone()).await);
        for number in 0..STEPS {
            let step = step().new_tree(&mut runner).unwrap().current();
            backend.clock().advance(step.pause);
            let now = backend.clock().now();
            let current = record.as_ref().map_or(0, |record| i64::from(record.motion.generation.0));
            let generation = Generation(u32::try_from((current + step.presented).max(0)).unwrap());
            let flipped = match begun.binding {
                ClientBinding::Public => ClientBinding::Confidential,
                ClientBinding::Confidential => ClientBinding::Public,
            };
            let carried = match begun.delivery {
                Delivery::Body => Delivery::Cookie,
                Delivery::Cookie => Delivery::Body,
            };
            let presenter = Presenter {
                client: if step.other_client { &other } else { &begun.client },
                binding: if step.other_binding { flipped } else { begun.binding },
                delivery: if step.other_delivery { carried } else { begun.delivery },
            };
            let policy = RefreshPolicy { grace: step.grace };
            let decision = decide(record.as_ref(), generation, &presenter, now, &policy);
            *met.entry(decision.name()).or_default() += 1;
            let key = MacKeyId(u32::try_from(number).unwrap() + 10);
            let presented = Presented { session: begun.id, generation, presenter };
            let swapped = store.swap(&presented, key, &policy).await.unwrap();
            let moved = decision.moves_to().is_some();
            if decision == Decision::Expired {
                // A store may have forgotten it.
                let told = swapped.before.is_none() || swapped.before == record;
                assert_eq!((told, swapped.now, swapped.moved), (true, now, false), "{step:?}");
                assert_eq!(store.load(begun.id).await.unwrap(), None);
                break;
            }
            assert_eq!(swapped, Swapped { before: record.clone(), now, moved }, "{step:?} {decision:?}");
            record = record.map(|record| match decision {
                Decision::Rotate { to } | Decision::Adopt { to } => record.rotated(to, key, now),
                Decision::Stay { touch: true } => record.touched(now),
                _ => record,
            });
            assert_eq!(store.load(begun.id).await.unwrap(), record, "{step:?} {decision:?}");
        }
    }
    println!("presented {} tokens of {SESSIONS} sessions: {met:?}", met.values().sum::<usize>());
    for name in Decision::NAMES.iter().filter(|name| **name != "absent") {
        assert!(met.contains_key(name), "{name} was never met: {met:?}");
    }
}
