//! Every state that can be reached, breadth first: the first that breaks a promise is reached by the fewest steps.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

/// What may happen next, and to what it leads.
pub(crate) type Followers<W> = Vec<(<W as World>::Step, <W as World>::State)>;

/// What can be explored.
pub(crate) trait World: Sized {
    type State: Clone + Eq + Hash + fmt::Debug;
    type Step: Copy + fmt::Debug;

    /// What may happen next; an error where that breaks a promise.
    fn next(&self, state: &Self::State) -> Result<Followers<Self>, String>;
    /// The promise that does not hold in it, if one does not.
    fn broken(&self, state: &Self::State) -> Option<String>;
}

/// What was seen.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// How many steps lead to the farthest.
    pub(crate) depth: usize,
    /// Whether that was all.
    pub(crate) complete: bool,
    /// The way to the first state that breaks a promise, and which one.
    pub(crate) broken: Option<String>,
}

struct Seen<W: World> {
    states: Vec<Rc<W::State>>,
    from: Vec<Option<(usize, W::Step)>>,
    depth: Vec<usize>,
    known: HashMap<Rc<W::State>, usize>,
}

impl<W: World> Seen<W> {
    fn add(&mut self, state: W::State, from: Option<(usize, W::Step)>) -> Option<usize> {
        if self.known.contains_key(&state) {
            return None;
        }
        let (state, place) = (Rc::new(state), self.states.len());
        self.known.insert(Rc::clone(&state), place);
        self.states.push(state);
        self.depth.push(from.as_ref().map_or(0, |(parent, _)| self.depth[*parent] + 1));
        self.from.push(from);
        Some(place)
    }

    fn way_to(&self, place: usize) -> String {
        let mut lines = vec![format!("    {:?}", self.states[place])];
        let mut at = place;
        while let Some((parent, step)) = self.from[at] {
            lines.push(format!("{step:?}"));
            at = parent;
        }
        lines.reverse();
        lines.join("\n")
    }
}

/// Explores from `start` until all is seen, a promise is broken, or `most` states are.
pub(crate) fn explore<W: World>(world: &W, start: W::State, most: usize) -> Explored {
    let mut seen = Seen::<W> { states: vec![], from: vec![], depth: vec![], known: HashMap::new() };
    let (mut steps, mut next) = (0, 0);
    let mut broken = world.broken(&start);
    seen.add(start, None);
    while broken.is_none() && next < seen.states.len() && seen.states.len() < most {
        let state = Rc::clone(&seen.states[next]);
        match world.next(&state) {
            Ok(followers) => {
                for (step, follower) in followers {
                    steps += 1;
                    if let Some(place) = seen.add(follower, Some((next, step))) {
                        broken = world.broken(&seen.states[place]).map(|why| format!("{why}:\n{}", seen.way_to(place)));
                        if broken.is_some() {
                            break;
                        }
                    }
                }
            }
            Err(why) => broken = Some(format!("{why}:\n{}", seen.way_to(next))),
        }
        next += 1;
    }
    let depth = seen.depth.last().copied().unwrap_or(0);
    let complete = broken.is_none() && next == seen.states.len();
    Explored { states: seen.states.len(), steps, depth, complete, broken }
}
