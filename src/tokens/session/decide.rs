//! What a presented refresh token is answered with: a pure decision on the session's record, by the store's clock.
//!
//! Guarantees: a session moves at most one generation a grace window; whatever an honest client's tabs, retries and lost,
//! late or inverted answers present, it is never taken for a theft (a model of them, explored whole, is among the tests);
//! a client that is not the session's own moves nothing, and neither does a token that came in another way than the
//! session has them travel.
//!
//! The rows, in this order:
//!
//! | record and presented token | [`Decision`] |
//! |---|---|
//! | absent, or expired | `Absent`, `Expired` |
//! | client, its authentication or the delivery differ | `Foreign`: nothing changes |
//! | current, and made by a rotation less than the grace window ago | `Settling`: an access token alone |
//! | current, of a session whose tokens stay | `Stay`: an access token alone |
//! | current | `Rotate` |
//! | current − 1, within the grace window of its rotation | `Replay`: the current token again |
//! | current + 1 | `Adopt`: we made it, so the store lost a write |
//! | anything else | `Reuse`: the session is to end |

use std::time::Duration;

use super::record::{Presenter, Rotation, Session};
use super::token::Generation;
use crate::ports::Timestamp;

/// The last use of a session whose tokens stay is noted as often as this, so that using it costs no write each time.
pub const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// What decides besides the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshPolicy {
    /// For how long after a rotation the token before is answered with the successor again, and the successor is not
    /// rotated. Zero: never.
    pub grace: Duration,
}

/// What a presented token is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// There is no such session: `invalid_grant`.
    Absent,
    /// The session has expired: `invalid_grant`.
    Expired,
    /// The session is another client's, or its client was known in another way then, or its tokens travel in another
    /// way: `invalid_grant`, and nothing changes.
    Foreign,
    /// It is current, and so new that whoever has it may not be alone: an access token, and no refresh token.
    Settling,
    /// It is current and stays so: an access token, and no refresh token.
    Stay {
        /// Whether the use is to be noted.
        touch: bool,
    },
    /// It is current: its successor takes its place.
    Rotate {
        /// The successor's generation.
        to: Generation,
    },
    /// It was replaced a moment ago: the current token again, and no new branch.
    Replay,
    /// It is the current token's successor, which only we make: the store lost a write. It counts as current and is
    /// rotated.
    Adopt {
        /// The generation of its successor.
        to: Generation,
    },
    /// It was replaced before: stolen, or the store was set back. The session is to end, and it is `invalid_grant`.
    Reuse,
}

impl Decision {
    /// Every decision in short: for counting.
    pub const NAMES: [&str; 9] =
        ["absent", "expired", "foreign", "settling", "stay", "rotate", "replay", "adopt", "reuse"];

    /// In short, one of [`Self::NAMES`].
    pub const fn name(self) -> &'static str {
        let [absent, expired, foreign, settling, stay, rotate, replay, adopt, reuse] = Self::NAMES;
        match self {
            Self::Absent => absent,
            Self::Expired => expired,
            Self::Foreign => foreign,
            Self::Settling => settling,
            Self::Stay { .. } => stay,
            Self::Rotate { .. } => rotate,
            Self::Replay => replay,
            Self::Adopt { .. } => adopt,
            Self::Reuse => reuse,
        }
    }

    /// The generation that the session moves to, if it moves.
    pub const fn moves_to(self) -> Option<Generation> {
        match self {
            Self::Rotate { to } | Self::Adopt { to } => Some(to),
            _ => None,
        }
    }
}

/// Decides on the token of generation `presented` of the session `record`, at `now` by the store's clock.
pub fn decide(
    record: Option<&Session>,
    presented: Generation,
    presenter: &Presenter<'_>,
    now: Timestamp,
    policy: &RefreshPolicy,
) -> Decision {
    let Some(session) = record else { return Decision::Absent };
    if session.has_expired(now) {
        return Decision::Expired;
    }
    if !presenter.may_use(session) {
        return Decision::Foreign;
    }
    let motion = &session.motion;
    // A clock that was set back counts as no time at all: that errs towards the window, where nothing is lost.
    let settling = motion.rotated_at.is_some_and(|at| now.since(at) < policy.grace);
    if presented == motion.generation {
        return match session.rotation {
            _ if settling => Decision::Settling,
            Rotation::Stays => Decision::Stay { touch: now >= motion.last_used_at.plus(TOUCH_EVERY) },
            Rotation::Rotates => Decision::Rotate { to: presented.next() },
        };
    }
    if presented.precedes(motion.generation) && settling {
        return Decision::Replay;
    }
    if motion.generation.precedes(presented) {
        return Decision::Adopt { to: presented.next() };
    }
    Decision::Reuse
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixtures::{START, session};
    use super::super::record::{ClientBinding, Delivery};
    use super::super::token::MacKeyId;
    use super::*;
    use crate::clients::ClientId;

    const GRACE: Duration = Duration::from_secs(10);
    const POLICY: RefreshPolicy = RefreshPolicy { grace: GRACE };
    const MILLI: Duration = Duration::from_millis(1);

    fn at(session: &Session, presented: u32, now: Timestamp) -> Decision {
        decide(Some(session), Generation(presented), &Presenter::of(session), now, &POLICY)
    }

    /// One that was rotated to its fifth generation at `START`.
    fn fifth() -> Session {
        session().rotated(Generation(5), MacKeyId(1), START)
    }

    #[test]
    fn the_first_token_rotates_at_once() {
        assert_eq!(at(&session(), 0, START), Decision::Rotate { to: Generation(1) });
    }

    #[test]
    fn within_the_window_of_a_rotation_the_session_does_not_move() {
        for now in [START, START.plus(GRACE - MILLI), START.minus(GRACE)] {
            assert_eq!(at(&fifth(), 5, now), Decision::Settling);
            assert_eq!(at(&fifth(), 4, now), Decision::Replay);
        }
    }

    #[test]
    fn after_the_window_the_current_token_rotates_and_the_one_before_ends_the_session() {
        for now in [START.plus(GRACE), START.plus(GRACE * 100)] {
            assert_eq!(at(&fifth(), 5, now), Decision::Rotate { to: Generation(6) });
            assert_eq!(at(&fifth(), 4, now), Decision::Reuse);
        }
    }

    #[test]
    fn a_successor_that_the_store_lost_is_adopted_at_any_time() {
        for now in [START, START.plus(GRACE * 100)] {
            assert_eq!(at(&fifth(), 6, now), Decision::Adopt { to: Generation(7) });
        }
    }

    #[test]
    fn all_other_generations_end_the_session_at_any_time() {
        for now in [START, START.plus(GRACE * 100)] {
            for presented in [0, 1, 3, 7, 8, u32::MAX] {
                assert_eq!(at(&fifth(), presented, now), Decision::Reuse, "{presented}");
            }
        }
    }

    #[test]
    fn without_a_window_nothing_is_replayed() {
        let (session, none) = (fifth(), RefreshPolicy { grace: Duration::ZERO });
        let presenter = Presenter::of(&session);
        let at = |presented| decide(Some(&session), Generation(presented), &presenter, START, &none);
        assert_eq!([at(4), at(5)], [Decision::Reuse, Decision::Rotate { to: Generation(6) }]);
    }

    #[test]
    fn another_client_another_authentication_or_another_delivery_moves_nothing_whatever_it_presents() {
        let (session, other) = (fifth(), ClientId::parse("other").unwrap());
        for presented in [0, 4, 5, 6] {
            for presenter in [
                Presenter { client: &other, ..Presenter::of(&session) },
                Presenter { binding: ClientBinding::Confidential, ..Presenter::of(&session) },
                Presenter { delivery: Delivery::Cookie, ..Presenter::of(&session) },
            ] {
                let decision = decide(Some(&session), Generation(presented), &presenter, START, &POLICY);
                assert_eq!(decision, Decision::Foreign);
            }
        }
    }

    #[test]
    fn an_expired_session_is_expired_before_all_else() {
        let session = session();
        let presenter = Presenter { client: &ClientId::parse("other").unwrap(), ..Presenter::of(&session) };
        let idle = session.ends_at();
        assert_eq!(at(&session, 0, idle.minus(MILLI)), Decision::Rotate { to: Generation(1) });
        for presented in [0, 9] {
            assert_eq!(decide(Some(&session), Generation(presented), &presenter, idle, &POLICY), Decision::Expired);
        }
        assert_eq!(decide(None, Generation::FIRST, &presenter, START, &POLICY), Decision::Absent);
    }

    #[test]
    fn tokens_that_stay_are_never_replaced_and_their_use_is_noted_by_the_minute() {
        let session = Session { rotation: Rotation::Stays, ..session() };
        assert_eq!(at(&session, 0, START.plus(TOUCH_EVERY - MILLI)), Decision::Stay { touch: false });
        assert_eq!(at(&session, 0, START.plus(TOUCH_EVERY)), Decision::Stay { touch: true });
    }

    #[test]
    fn each_decision_has_a_name_of_its_own() {
        let to = Generation(1);
        let all = [
            Decision::Absent,
            Decision::Expired,
            Decision::Foreign,
            Decision::Settling,
            Decision::Stay { touch: true },
            Decision::Rotate { to },
            Decision::Replay,
            Decision::Adopt { to },
            Decision::Reuse,
        ];
        assert_eq!(all.map(Decision::name), Decision::NAMES);
    }
}
