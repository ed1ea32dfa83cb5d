//! Answers that come at the same moments whatever it took to find them.
//!
//! Guarantees: an answer that is held back comes a whole number of steps after the question, and no thread waits for it.

use std::time::Duration;

use crate::ports::Stopwatch;

/// Returns once a whole number of `step`s, and one at least, has gone by since `asked`; at once where a step is nothing.
pub(super) async fn hold_back(asked: Stopwatch, step: Duration) {
    let left = left(asked.elapsed(), step);
    if !left.is_zero() {
        tokio::time::sleep(left).await;
    }
}

/// What is left of the step that is under way.
fn left(taken: Duration, step: Duration) -> Duration {
    let over = taken.as_nanos().checked_rem(step.as_nanos()).unwrap_or_default();
    step.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_comes_at_the_end_of_its_step() {
        let millis = Duration::from_millis;
        for (taken, step, expected) in [
            (millis(0), millis(500), millis(500)),
            (millis(1), millis(500), millis(499)),
            (millis(499), millis(500), millis(1)),
            (millis(500), millis(500), millis(500)),
            (millis(1_730), millis(500), millis(270)),
            (millis(1_730), Duration::ZERO, Duration::ZERO),
            (Duration::from_nanos(7), millis(20), Duration::from_nanos(19_999_993)),
        ] {
            assert_eq!(left(taken, step), expected, "{taken:?} of {step:?}");
        }
    }
}
