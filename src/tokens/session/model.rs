//! A model of an honest browser, explored whole: several tabs over one stored refresh token, reloads, and requests and
//! answers that are late, lost and overtake each other. What decides is the real [`decide`].
//!
//! A second is a tick. Every tab may present what is stored, at any time and as often as it likes, while others do; a
//! request reaches the issuer at any time of its life, its answer the browser at any time after that, and an answer
//! that comes late puts its older token in the place of a newer one. A reload is a request whose answer is lost. Time
//! passes without end: the user may come back after a second or a year. These are held in every state that can be
//! reached:
//!
//! - no token that the browser presents ends the session;
//! - a generation has one successor: whatever token is given is the one that the record then stands at.
//!
//! What is assumed of the browser is what [`Bounds`] says. Generations are counted from the record's own, and what is
//! so long past that no rule tells the difference is forgotten: the states are finitely many, and *all* of them are seen.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use super::decide::{Decision, RefreshPolicy, decide};
use super::fixtures::{START, session};
use super::record::{Motion, Presenter};
use super::token::Generation;
use crate::keys::model::check::{Followers, World, explore};

/// What the world allows.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The grace window.
    window: u8,
    /// How long a request and its answer may take together: then the browser has it, or takes it for lost.
    flight: u8,
    /// How many answers in a row may be lost.
    losses: u8,
    /// How long until one that was lost is asked for again.
    retry: u8,
    /// How many requests may be on their way at once.
    tabs: usize,
}

const BOUNDS: Bounds = Bounds { window: 10, flight: 2, losses: 2, retry: 0, tabs: 3 };
/// Where the model begins.
const BASE: i64 = 100;
/// A generation so far behind is as far behind as any.
const FARTHEST: i8 = -4;

/// Where a request is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Way {
    /// On its way to the issuer.
    There,
    /// Answered without a refresh token.
    BackWithout,
    /// Answered with one, of that generation.
    BackWith(i8),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Flight {
    presented: i8,
    age: u8,
    way: Way,
}

/// Generations are counted from the record's: 0 is current, -1 the one before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// Since the rotation that made the current generation; `None` before any.
    rotated: Option<u8>,
    stored: i8,
    /// In order: which tab sent one does not matter.
    flights: Vec<Flight>,
    losses: u8,
    /// In how many ticks at the latest what was lost is asked for again.
    retry_in: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "told in a way that breaks a promise")]
enum Step {
    Tick,
    Send,
    Reach(usize),
    Answer(usize),
    Lose(usize),
}

/// With a row of the table taken out, where that is to be seen.
struct Browser {
    bounds: Bounds,
    without_settling: bool,
}

impl Browser {
    fn decide(&self, state: &State, presented: i8) -> Decision {
        let session = session();
        let now = START.plus(Duration::from_secs(3600));
        let rotated_at = state.rotated.map(|ago| now.minus(Duration::from_secs(ago.into())));
        let generation = |relative: i64| Generation(u32::try_from(BASE + relative).unwrap());
        let motion = Motion { generation: generation(0), rotated_at, last_used_at: START, ..session.motion };
        let record = super::record::Session { motion, ..session };
        let presenter = Presenter::of(&record);
        let policy = RefreshPolicy { grace: Duration::from_secs(self.bounds.window.into()) };
        match decide(Some(&record), generation(presented.into()), &presenter, now, &policy) {
            Decision::Settling if self.without_settling => Decision::Rotate { to: generation(1) },
            decision => decision,
        }
    }

    /// What comes of the request at `place` when it reaches the issuer.
    fn reach(&self, state: &State, place: usize) -> Result<State, String> {
        let mut next = state.clone();
        let presented = state.flights[place].presented;
        let decision = self.decide(state, presented);
        next.flights[place].way = match decision {
            Decision::Settling => Way::BackWithout,
            Decision::Replay => Way::BackWith(0),
            Decision::Rotate { to } => {
                if i64::from(to.0) != BASE + 1 || presented != 0 {
                    return Err(format!("generation {presented} got the successor {to:?}"));
                }
                let older = |generation: i8| (generation - 1).max(FARTHEST);
                next.stored = older(next.stored);
                for flight in &mut next.flights {
                    flight.presented = older(flight.presented);
                    if let Way::BackWith(given) = &mut flight.way {
                        *given = older(*given);
                    }
                }
                next.rotated = Some(0);
                Way::BackWith(0)
            }
            _ => return Err(format!("an honest user is signed out: {}", decision.name())),
        };
        Ok(next)
    }

    fn tick(&self, state: &State) -> Option<State> {
        let due = state.retry_in == Some(0) || state.flights.iter().any(|flight| flight.age >= self.bounds.flight);
        if due {
            return None;
        }
        let mut next = state.clone();
        next.rotated = next.rotated.map(|ago| (ago + 1).min(self.bounds.window));
        next.retry_in = next.retry_in.map(|ticks| ticks - 1);
        next.flights.iter_mut().for_each(|flight| flight.age += 1);
        Some(next)
    }
}

impl World for Browser {
    type State = State;
    type Step = Step;

    fn next(&self, state: &State) -> Result<Followers<Self>, String> {
        let mut followers: Vec<_> = self.tick(state).map(|next| (Step::Tick, next)).into_iter().collect();
        if state.flights.len() < self.bounds.tabs {
            let mut next = state.clone();
            next.flights.push(Flight { presented: state.stored, age: 0, way: Way::There });
            next.retry_in = None;
            followers.push((Step::Send, next));
        }
        for (place, flight) in state.flights.iter().enumerate() {
            if flight.way == Way::There {
                followers.push((Step::Reach(place), self.reach(state, place)?));
            } else {
                let mut next = state.clone();
                next.flights.remove(place);
                if let Way::BackWith(given) = flight.way {
                    next.stored = given;
                }
                next.losses = 0;
                followers.push((Step::Answer(place), next));
            }
            if state.losses < self.bounds.losses {
                let mut next = state.clone();
                next.flights.remove(place);
                next.losses += 1;
                next.retry_in = Some(self.bounds.retry);
                followers.push((Step::Lose(place), next));
            }
        }
        followers.iter_mut().for_each(|(_, next)| next.flights.sort_unstable());
        Ok(followers)
    }

    fn broken(&self, _: &State) -> Option<String> {
        None
    }
}

fn start() -> State {
    State { rotated: None, stored: 0, flights: Vec::new(), losses: 0, retry_in: None }
}

#[test]
fn no_honest_browser_is_signed_out_and_no_generation_has_two_successors() {
    for tabs in 1..=BOUNDS.tabs {
        let browser = Browser { bounds: Bounds { tabs, ..BOUNDS }, without_settling: false };
        let explored = explore(&browser, start(), usize::MAX);
        println!(
            "honest browser, {:?}: all {} states over {} steps, the farthest {} steps away",
            browser.bounds, explored.states, explored.steps, explored.depth
        );
        assert!(explored.complete, "{}", explored.broken.unwrap_or_default());
        assert!(explored.states > 100);
    }
}

#[test]
fn without_the_row_of_the_settling_token_the_model_finds_a_sign_out() {
    let browser = Browser { bounds: BOUNDS, without_settling: true };
    let explored = explore(&browser, start(), usize::MAX);
    let broken = explored.broken.unwrap();
    println!("without the third row, after {} states: {broken}", explored.states);
    assert!(broken.contains("an honest user is signed out: reuse"));
}

/// How long a request may take, for as many lost answers in a row.
#[test]
fn the_fewer_answers_are_lost_the_later_they_may_come() {
    let holds = |losses, flight| {
        let bounds = Bounds { losses, flight, ..BOUNDS };
        explore(&Browser { bounds, without_settling: false }, start(), usize::MAX).complete
    };
    let longest = [0, 1, 2, 3].map(|losses| (0..=5).take_while(|flight| holds(losses, *flight)).last());
    println!("with 0, 1, 2 and 3 lost answers in a row, a request may take so many seconds: {longest:?}");
    assert!(longest.is_sorted_by(|fewer, more| fewer >= more) && longest[2] >= Some(2));
}

#[test]
fn beyond_the_bounds_the_model_finds_a_sign_out() {
    for bounds in [Bounds { flight: 9, ..BOUNDS }, Bounds { losses: 9, ..BOUNDS }, Bounds { retry: 11, ..BOUNDS }] {
        let explored = explore(&Browser { bounds, without_settling: false }, start(), usize::MAX);
        assert!(explored.broken.is_some_and(|broken| broken.contains("signed out")), "{bounds:?}");
    }
}
