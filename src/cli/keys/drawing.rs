//! The lives of keys as people read them: past, now, and what comes.

use crate::cli::output::plain;
use crate::cli::span;
use crate::http::{ActionView, KeyChangeView, KeyLife, KeyList, KeyView, TransitionView};
use crate::ports::Timestamp;

/// How wide a line may be, in characters.
const WIDTH: usize = 100;
/// How far the life of a key stands in from the left.
const INDENT: usize = 14;

/// All keys, by algorithm.
pub(super) fn list(keys: &KeyList) -> String {
    let mut algorithms: Vec<&str> = keys.items.iter().map(|key| key.algorithm.as_str()).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let mut text = String::new();
    for algorithm in algorithms {
        text.push_str(&plain(algorithm));
        if let Some(at) = keys.next_rotation.get(algorithm) {
            text.push_str(&format!(": the next key signs from {} on{}", plain(at), distance(&keys.at, at)));
        }
        text.push('\n');
        for key in keys.items.iter().filter(|key| key.algorithm == algorithm) {
            text.push_str(&one(key));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// One key with its life.
pub(super) fn one(key: &KeyView) -> String {
    let told = format!("{}, {}", plain(&key.origin), plain(&key.reason));
    let head = format!("  {:11} {}\n", plain(&key.state), plain(&key.kid));
    format!("{head}{:INDENT$}{told}\n{}", "", life(&key.past, &key.coming))
}

/// What was, or would be, done.
pub(super) fn change(change: &KeyChangeView) -> String {
    let mut text = match (change.dry_run, change.actions.is_empty()) {
        (_, true) => "Nothing to do: it is so already.\n".to_owned(),
        (true, false) => "This would be done; nothing was changed.\n".to_owned(),
        (false, false) => "Done.\n".to_owned(),
    };
    for action in &change.actions {
        text.push_str(&step(action));
    }
    if let Some(until) = &change.may_fail_until {
        let tense = if change.dry_run { "would fail" } else { "may fail" };
        text.push_str(&format!(
            "\nUntil {} tokens {tense} at verifiers that do not have the key yet{}.\n",
            plain(until),
            distance(&change.at, until)
        ));
    }
    text.push('\n');
    for key in &change.timeline {
        text.push_str(&one_life(key));
    }
    text.truncate(text.trim_end().len());
    text
}

fn step(action: &ActionView) -> String {
    let what = action.kid.as_ref().or(action.algorithm.as_ref()).map(|what| plain(what)).unwrap_or_default();
    let until = action.until.as_ref().map(|until| format!(", published until {}", plain(until))).unwrap_or_default();
    let name = plain(&action.action.replace('_', " "));
    format!("  {name:15} {what} ({}{until})\n", plain(&action.reason))
}

fn one_life(key: &KeyLife) -> String {
    let kid = key.kid.as_deref().map_or_else(|| "a key to be made".to_owned(), plain);
    format!("  {:11} {kid}\n{}", plain(&key.algorithm), life(&key.past, &key.coming))
}

/// `past → now → coming`, in as many lines as it takes.
fn life(past: &[TransitionView], coming: &[TransitionView]) -> String {
    let told = |transition: &TransitionView| format!("{} {}", plain(&transition.milestone), plain(&transition.at));
    let parts = past.iter().map(told).chain(["now".to_owned()]).chain(coming.iter().map(told));
    let (mut lines, mut line) = (String::new(), String::new());
    for part in parts {
        if !line.is_empty() {
            line.push_str(" → ");
        }
        if !line.is_empty() && INDENT + line.chars().count() + part.chars().count() + 2 > WIDTH {
            lines.push_str(&format!("{:INDENT$}{}\n", "", line.trim_end()));
            line.clear();
        }
        line.push_str(&part);
    }
    format!("{lines}{:INDENT$}{line}\n", "")
}

/// How far `moment` lies ahead of `now`, in brackets; nothing where either is no moment or it is past.
fn distance(now: &str, moment: &str) -> String {
    match (now.parse::<Timestamp>(), moment.parse::<Timestamp>()) {
        (Ok(now), Ok(moment)) if moment > now => format!(" (in {})", span::write(moment.since(now))),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milestone: &str, second: u8) -> TransitionView {
        TransitionView { milestone: milestone.to_owned(), at: format!("2027-01-15T08:00:{second:02}Z") }
    }

    #[test]
    fn a_life_is_past_now_and_coming_in_lines_that_fit() {
        let text = life(&[at("published", 0), at("active", 1)], &[at("retiring", 2), at("retired", 3)]);
        assert_eq!(
            text,
            "              published 2027-01-15T08:00:00Z → active 2027-01-15T08:00:01Z → now →\n\
             \x20             retiring 2027-01-15T08:00:02Z → retired 2027-01-15T08:00:03Z\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(life(&[at("compromised", 0)], &[]), "              compromised 2027-01-15T08:00:00Z → now\n");
    }

    #[test]
    fn a_distance_is_told_of_what_lies_ahead_alone() {
        assert_eq!(distance("2027-01-15T08:00:00Z", "2027-01-15T09:30:00Z"), " (in 1h30m)");
        assert_eq!(distance("2027-01-15T08:00:00Z", "2027-01-15T07:30:00Z"), "");
        assert_eq!(distance("", "soon"), "");
    }
}
