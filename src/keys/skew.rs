//! How far this machine's clock is from the store's, as one question and its answer show it.
//!
//! Guarantees: a pure judgement; the time that the answer took is never taken for a wrong clock.

use std::fmt;
use std::time::Duration;

use crate::ports::Timestamp;

/// What one comparison of the clocks came to.
///
/// The store read its clock at some moment between question and answer. So it is compared with the middle of that span,
/// and half the span is what the comparison can't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSkew {
    /// Twice the milliseconds by which this machine is ahead: the middle of a span may lie between two.
    doubled: i64,
    /// The span, in milliseconds.
    span: i64,
}

impl ClockSkew {
    /// Of the store's time `theirs`, which was asked for at `asked_at` and answered by `answered_at` by this machine's
    /// clock.
    #[must_use]
    pub fn measure(asked_at: Timestamp, theirs: Timestamp, answered_at: Timestamp) -> Self {
        let [asked, theirs, answered] = [asked_at, theirs, answered_at].map(Timestamp::millis);
        let [before, after] = [asked, answered].map(|ours| ours.saturating_sub(theirs));
        if answered < asked {
            // A clock that was set back meanwhile gives no span, and so no excuse: it is as wrong as it was at its worst.
            let worst = if before.saturating_abs() < after.saturating_abs() { after } else { before };
            return Self { doubled: worst.saturating_mul(2), span: 0 };
        }
        Self { doubled: before.saturating_add(after), span: answered.saturating_sub(asked) }
    }

    /// By how many milliseconds this machine's clock is ahead of the store's; negative when it is behind.
    #[must_use]
    pub const fn ahead_millis(self) -> i64 {
        self.doubled / 2
    }

    /// By how much the measurement may be wrong, either way.
    #[must_use]
    pub fn uncertainty(self) -> Duration {
        Duration::from_millis(self.span.unsigned_abs()) / 2
    }

    /// Whether the clocks are certainly further apart than `most`.
    #[must_use]
    pub fn is_beyond(self, most: Duration) -> bool {
        let most = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
        self.doubled.saturating_abs().saturating_sub(self.span) > most.saturating_mul(2)
    }
}

/// `2.500 s ahead`, `0.030 s behind`.
impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ahead = self.ahead_millis();
        let (millis, side) = (ahead.unsigned_abs(), if ahead < 0 { "behind" } else { "ahead" });
        write!(f, "{}.{:03} s {side}", millis / 1000, millis % 1000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    /// A machine `ahead` milliseconds ahead of a store that reads its clock `there` after the question, and whose answer
    /// takes `back`.
    fn measured(ahead: i64, there: i64, back: i64) -> ClockSkew {
        let [asked, theirs, answered] =
            [NOW + ahead, NOW + there, NOW + ahead + there + back].map(Timestamp::from_millis);
        ClockSkew::measure(asked, theirs, answered)
    }

    proptest! {
        #[test]
        fn a_slow_database_is_not_a_wrong_clock(
            most in 0i64..10_000, share in -1.0..=1.0f64, there in 0i64..60_000, back in 0i64..60_000,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let ahead = (most as f64 * share) as i64;
            let allowed = Duration::from_millis(most.unsigned_abs());
            prop_assert!(!measured(ahead, there, back).is_beyond(allowed));
        }

        #[test]
        fn a_clock_that_is_further_off_than_the_answer_took_is_found_out(
            most in 0i64..10_000, further in 1i64..1_000_000, there in 0i64..5_000, back in 0i64..5_000, behind: bool,
        ) {
            let ahead = most + there + back + further;
            let skew = measured(if behind { -ahead } else { ahead }, there, back);
            prop_assert!(skew.is_beyond(Duration::from_millis(most.unsigned_abs())));
            prop_assert_eq!(skew.ahead_millis() < 0, behind);
        }

        #[test]
        fn the_truth_lies_within_the_uncertainty(
            ahead in -10_000_000i64..10_000_000, there in 0i64..60_000, back in 0i64..60_000,
        ) {
            let skew = measured(ahead, there, back);
            let off = Duration::from_millis(skew.ahead_millis().abs_diff(ahead));
            prop_assert!(off <= skew.uncertainty() + Duration::from_millis(1), "{skew}: {off:?}");
        }

        #[test]
        fn no_time_is_too_wild_to_be_judged(asked: i64, theirs: i64, answered: i64, most: u64) {
            let [asked, theirs, answered] = [asked, theirs, answered].map(Timestamp::from_millis);
            let skew = ClockSkew::measure(asked, theirs, answered);
            let _ = (skew.is_beyond(Duration::from_millis(most)), skew.to_string(), skew.uncertainty());
        }
    }

    #[test]
    fn an_answer_at_once_leaves_no_doubt() {
        let second = Duration::from_secs(1);
        for (ahead, beyond) in [(0, false), (1_000, false), (-1_000, false), (1_001, true), (-1_001, true)] {
            assert_eq!(measured(ahead, 0, 0).is_beyond(second), beyond, "{ahead}");
        }
        // One that takes a second leaves half of one, whichever way was the slow one.
        for (there, back) in [(0, 1_000), (1_000, 0), (500, 500)] {
            let skew = measured(2_001, there, back);
            assert_eq!((skew.uncertainty(), skew.is_beyond(second)), (second / 2, true));
        }
        assert!(!measured(1_500, 500, 500).is_beyond(second));
        assert!(measured(1_501, 500, 500).is_beyond(second));
    }

    #[test]
    fn a_clock_set_back_between_question_and_answer_has_no_excuse() {
        let [asked, theirs, answered] = [NOW, NOW, NOW - 3_600_000].map(Timestamp::from_millis);
        let skew = ClockSkew::measure(asked, theirs, answered);
        assert!(skew.is_beyond(Duration::from_secs(1)));
        assert_eq!(skew.uncertainty(), Duration::ZERO);
        // Put right meanwhile, or wrong: the middle of the two would be within bounds.
        for (asked, answered, ahead) in [(2_000, 0, 2_000), (0, -2_000, -2_000), (1_500, -500, 1_500)] {
            let [asked, answered] = [NOW + asked, NOW + answered].map(Timestamp::from_millis);
            let skew = ClockSkew::measure(asked, theirs, answered);
            assert_eq!((skew.ahead_millis(), skew.is_beyond(Duration::from_secs(1))), (ahead, true));
        }
    }

    #[test]
    fn a_skew_is_told_in_seconds_and_its_direction() {
        assert_eq!(measured(2_500, 0, 0).to_string(), "2.500 s ahead");
        assert_eq!(measured(-30, 10, 10).to_string(), "0.030 s behind");
    }
}
