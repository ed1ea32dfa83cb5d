//! How many keys are published: by hand, by the sweep beside that, and when settings change in between.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use signet_verify::{Algorithm, MAX_KEYS};

use super::fixtures::candidate;
use super::kind::{KeySpec, Kid, RsaBits};
use super::plan::{generated_by, plan};
use super::rotation::{
    Action, KeyAct, MOST_BY_HAND, MOST_STEADY, Policy, Step, SweepRefused, add, next_due, steady, sweep,
};
use super::states::KeyState;
use super::table::KeyTable;
use crate::ports::Timestamp;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

struct Room {
    table: KeyTable,
    policy: Policy,
    now: Timestamp,
    made: u64,
    /// The most that were ever published.
    most: usize,
}

impl Room {
    /// All algorithms, each key signing for an hour, and tokens of `longest`.
    fn of(longest: Duration) -> Self {
        let specs = Algorithm::ALL.map(|algorithm| KeySpec::new(algorithm, RsaBits::B2048)).to_vec();
        let [lease, skew, propagation] = [10, 1, 15].map(|minutes| MINUTE * minutes);
        let policy = Policy { specs, rotate_every: HOUR, propagation, lease, skew, longest_lifetime: longest };
        let mut room = Self { table: KeyTable::default(), policy, now: START, made: 0, most: 0 };
        room.sweep();
        room
    }

    fn steady(&self) -> usize {
        let Policy { rotate_every, lease, skew, longest_lifetime, .. } = self.policy;
        steady(self.policy.specs.len(), rotate_every, lease + longest_lifetime + skew)
    }

    fn published(&self) -> usize {
        self.table.published().len()
    }

    fn apply(&mut self, actions: &[Action]) {
        let mut candidates = Vec::new();
        let added = actions.iter().filter_map(|action| match &action.step {
            Step::Add { .. } => Some(KeySpec::Es256),
            _ => None,
        });
        for spec in added.chain(generated_by(actions)) {
            candidates.push(candidate(self.made, spec.algorithm()));
            self.made += 1;
        }
        let (table, _) = plan(&self.table, &self.policy, actions, candidates, self.now).unwrap();
        self.table = KeyTable { version: self.table.version + 1, ..table };
        self.most = self.most.max(self.published());
        assert!(self.most < MAX_KEYS, "verifiers would read none of {} keys", self.most);
    }

    fn sweep(&mut self) {
        let actions = sweep(&self.table, &self.policy, self.now).unwrap();
        self.apply(&actions);
        assert_eq!(sweep(&self.table, &self.policy, self.now), Ok(vec![]));
    }

    /// Lets time pass from one due moment to the next. Says for how long the oldest active key ever signed.
    fn pass(&mut self, span: Duration) -> Duration {
        let (end, mut longest) = (self.now.plus(span), Duration::ZERO);
        while let Some(due) = next_due(&self.table, &self.policy, self.now).filter(|due| *due <= end) {
            self.now = due;
            let signed = self.table.keys.iter().filter_map(|key| match key.state {
                KeyState::Active { since } => Some(due.since(since)),
                _ => None,
            });
            longest = signed.fold(longest, Duration::max);
            self.sweep();
        }
        self.now = end;
        longest
    }

    fn act(&mut self, act: &KeyAct) -> Result<(), SweepRefused> {
        let actions = act.steps(&self.table, &self.policy, self.now)?;
        self.apply(&actions);
        Ok(())
    }

    fn add(&mut self) -> Result<(), SweepRefused> {
        let (kid, algorithm) = (candidate(self.made, Algorithm::Es256).kid, Algorithm::Es256);
        let actions = add(&self.table, &self.policy, &kid, algorithm, "made for an operator", self.now)?;
        self.apply(&actions);
        Ok(())
    }

    /// Acts by hand until no more is possible.
    fn fill(&mut self, act: impl Fn(&mut Self) -> Result<(), SweepRefused>) {
        let refused = (0..MAX_KEYS).find_map(|_| act(self).err());
        assert_eq!(refused, Some(SweepRefused::TooManyKeys { published: self.published(), most: MOST_BY_HAND }));
        assert!(self.published() <= MOST_BY_HAND);
    }

    fn active(&self) -> Vec<Kid> {
        Algorithm::ALL.iter().filter_map(|one| self.table.active(*one)).map(|key| key.kid.clone()).collect()
    }
}

fn rotate() -> KeyAct {
    KeyAct::Rotate { algorithm: None, if_active: None, force: true }
}

#[test]
fn as_many_keys_are_published_as_the_settings_let_foresee() {
    for longest in [MINUTE, HOUR, HOUR * 5 - MINUTE * 11, HOUR * 5 - MINUTE * 10] {
        let mut room = Room::of(longest);
        let foreseen = room.steady();
        room.pass(HOUR * 48);
        assert_eq!(room.most, foreseen, "{longest:?}");
    }
}

#[test]
fn by_hand_no_more_keys_are_published_than_may_be_whatever_the_act() {
    let mut room = Room::of(HOUR);
    room.fill(|room| room.act(&rotate()));
    room.fill(Room::add);
    assert_eq!(room.published(), MOST_BY_HAND);
    let actives = room.active();
    // What takes no key out is refused; what does is not, a pending key of several included.
    assert!(matches!(room.act(&rotate()), Err(SweepRefused::TooManyKeys { published: MOST_BY_HAND, .. })));
    let pending = room.table.pending(Algorithm::Es256).last().unwrap().0.kid.clone();
    assert_eq!(room.act(&KeyAct::Retire { kid: pending }), Ok(()));
    assert_eq!(room.add(), Ok(()));
    assert_eq!(room.active(), actives);
    // Once keys have left, there is room again.
    room.pass(HOUR * 24);
    assert_eq!(room.act(&rotate()), Ok(()));
}

#[test]
fn a_compromise_is_possible_however_many_keys_are_published() {
    let mut room = Room::of(HOUR);
    room.fill(Room::add);
    for round in 0..20 {
        for kid in room.active() {
            assert_eq!(room.act(&KeyAct::Compromise { kid, reason: format!("round {round}") }), Ok(()));
        }
    }
    assert!(room.published() <= MOST_BY_HAND, "each takes one out and puts at most one in");
}

#[test]
fn rotation_goes_on_at_its_time_when_by_hand_all_was_published_that_may_be() {
    let mut room = Room::of(HOUR * 5);
    assert_eq!(room.steady(), MOST_STEADY);
    room.fill(|room| room.act(&rotate()));
    room.fill(Room::add);
    assert_eq!(room.pass(HOUR * 48), HOUR, "a key signed for longer than the policy says");
    assert!(room.most > MOST_BY_HAND, "the sweep needed more room than acts by hand have");
    assert!(room.most <= MOST_BY_HAND + MOST_STEADY);
}

#[test]
fn when_settings_leave_more_than_verifiers_read_takeovers_wait_and_come() {
    // No settings pass that do this; they stand for all that changed one after the other.
    let mut room = Room::of(HOUR * 24);
    room.fill(|room| room.act(&rotate()));
    assert!(room.pass(HOUR * 48) > HOUR, "some key waited");
    assert!(room.most > MOST_BY_HAND && room.most <= MOST_BY_HAND + MOST_STEADY);
    room.policy.longest_lifetime = HOUR;
    room.pass(HOUR * 48);
    assert_eq!(room.pass(HOUR * 48), HOUR, "it rotates at its time again");
}
