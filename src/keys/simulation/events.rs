//! What may happen in the simulation, and how often of each kind is drawn.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use signet_verify::Algorithm;

use super::REPLICAS;
use super::acts::{self, Hand};
use crate::keys::kind::{KeySpec, RsaBits};
use crate::keys::rotation::Policy;

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Time passes.
    Pass(Duration),
    /// Time passes until something is due.
    PassToDue,
    /// A replica sweeps.
    Sweep(usize),
    /// Two replicas plan from the same snapshot; one of them comes second.
    Race(usize, usize),
    /// A replica takes up the table.
    Poll(usize),
    /// A replica signs a token of the longest lifetime, if it may.
    Mint(usize, Index),
    /// A replica hears of nothing from a rotation on, and signs at the last moment of its lease.
    LastToken(usize, Index),
    /// The configuration changes: which algorithms, how often, how long tokens may live.
    Configure(u8, Duration, Duration),
    /// A replica starts anew and takes up the configuration.
    Restart(usize),
    /// A replica sees the store's clock set back.
    Backwards(Duration),
    /// The key that a replica signs with leaks: it is compromised while another replica has not heard, and both go on.
    Leak(usize, usize, Index),
    /// An operator acts, right after a sweep or when nobody has swept for long.
    Act(Hand, bool),
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let replica = || 0..REPLICAS;
    let pass = prop_oneof![
        4 => (0_u64..90_000).prop_map(Duration::from_millis),
        4 => seconds(60..3_600),
        1 => seconds(3_600..40 * 86_400),
    ];
    let every = prop_oneof![seconds(1..60), seconds(600..7_200), seconds(86_400..30 * 86_400)];
    let mint = (replica(), any::<Index>()).prop_map(|(at, index)| Event::Mint(at, index));
    let act = (acts::hand(), any::<bool>()).prop_map(|(hand, swept)| Event::Act(hand, swept));
    let configure =
        (1_u8..32, every, seconds(30..7_200)).prop_map(|(kept, every, longest)| Event::Configure(kept, every, longest));
    prop_oneof![
        6 => pass.prop_map(Event::Pass),
        3 => Just(Event::PassToDue),
        6 => replica().prop_map(Event::Sweep),
        2 => (replica(), replica()).prop_map(|(one, other)| Event::Race(one, other)),
        4 => replica().prop_map(Event::Poll),
        8 => mint,
        1 => (replica(), any::<Index>()).prop_map(|(at, index)| Event::LastToken(at, index)),
        1 => configure,
        1 => replica().prop_map(Event::Restart),
        1 => seconds(1..100_000).prop_map(Event::Backwards),
        4 => act,
        1 => (replica(), replica(), any::<Index>()).prop_map(|(at, other, index)| Event::Leak(at, other, index)),
    ]
}

pub(super) fn policies() -> impl Strategy<Value = Policy> {
    let waits = (seconds(60..1_800), seconds(10..900), seconds(1..60));
    (1_u8..32, waits, seconds(30..7_200)).prop_map(|(kept, waits, longest_lifetime)| {
        let (propagation, lease, skew) = waits;
        let spec = |algorithm| KeySpec::new(algorithm, RsaBits::B2048);
        let is_kept = |(bit, _): &(usize, Algorithm)| kept >> bit & 1 == 1;
        let kept = Algorithm::ALL.into_iter().enumerate().filter(is_kept);
        Policy {
            specs: kept.map(|(_, algorithm)| spec(algorithm)).collect(),
            rotate_every: Duration::from_secs(86_400),
            propagation,
            lease,
            skew,
            longest_lifetime,
        }
    })
}
