//! The judgement: what the sources name, held against the table.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use super::modules::{Modules, Target};
use super::names::{self, Sight, What};
use super::source::{Krate, Module, Source};
use super::table;

/// Every breach of the table, each with file and line, or, for a circle of modules, with the way round.
pub(super) fn faults(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for krate in [Krate::Signet, Krate::Verifier] {
        let of_krate: Vec<&Source> = sources.iter().filter(|source| source.krate == krate).collect();
        let modules = Modules::of(&of_krate);
        let mut siblings = Siblings::default();
        for source in of_krate {
            if krate == Krate::Signet && source.is_root() {
                found.extend(root_faults(source));
            }
            for sight in names::sights(&modules, source) {
                found.extend(breaches(&modules, source, &sight, &mut siblings));
            }
        }
        found.extend(siblings.circles());
    }
    found.dedup();
    found
}

/// `lib.rs` is the map of the crate and holds nothing else: a name that it handed on would reach every room past
/// the table. `main.rs` is a room of one file.
fn root_faults(source: &Source) -> Vec<String> {
    let is_main = !source.root.is_empty();
    let fault = |line: usize, why: &str| Some(format!("{}:{line}: {why}", source.path));
    let judge = |item: &Item| {
        let line = syn::spanned::Spanned::span(item).start().line;
        match item {
            Item::Mod(child) if is_main && child.content.is_none() => {
                fault(line, "`main` has no modules: the library has them")
            }
            Item::Mod(child) if child.attrs.iter().any(|attr| attr.path().is_ident("macro_use")) => {
                fault(line, "`#[macro_use]` hands macros to every room")
            }
            Item::Mod(_) => None,
            _ if is_main => None,
            _ => fault(line, "`lib.rs` declares the rooms and hands nothing on"),
        }
    };
    source.file.items.iter().filter_map(judge).collect()
}

fn breaches(modules: &Modules, source: &Source, sight: &Sight, siblings: &mut Siblings) -> Vec<String> {
    let at = format!("{}:{}", source.path, sight.line);
    let written = match &sight.what {
        What::Hides(why) => return vec![format!("{at}: {why}")],
        What::Names(target) => target.clone(),
    };
    let followed = match &written {
        Target::Own(path) => modules.follow(path),
        foreign => foreign.clone(),
    };
    let room = match source.krate {
        Krate::Verifier => table::VERIFIER,
        Krate::Signet => sight.from.first().map_or("lib", String::as_str),
    };
    let mut found = Vec::new();
    for target in [&written, &followed] {
        let refusal = match target {
            Target::Foreign(krate) => table::foreign_refusal(room, krate),
            Target::Own(path) => {
                siblings.add(modules, source.krate, &sight.from, path, &at);
                match (source.krate, path.first()) {
                    (Krate::Signet, Some(other)) if room != "lib" => table::refusal(room, other),
                    _ => None,
                }
            }
        };
        found.extend(refusal.map(|why| format!("{at}: {}: {why}", spelled(&sight.from, target))));
    }
    found.dedup();
    found
}

fn spelled(from: &Module, target: &Target) -> String {
    let target = match target {
        Target::Own(path) => format!("crate::{}", path.join("::")),
        Target::Foreign(krate) => krate.clone(),
    };
    format!("`{}` names `{target}`", from.join("::"))
}

/// Who names whom among the children of one module. A parent may hand on what its children declare, and they may
/// use what it declares: only siblings are held apart.
#[derive(Default)]
struct Siblings {
    /// By parent: child → sibling → where it says so first.
    edges: BTreeMap<Module, BTreeMap<String, BTreeMap<String, String>>>,
}

impl Siblings {
    fn add(&mut self, modules: &Modules, krate: Krate, from: &Module, target: &[String], at: &str) {
        let common = from.iter().zip(target).take_while(|(own, other)| own == other).count();
        let (Some(child), Some(sibling)) = (from.get(common), target.get(common)) else { return };
        let is_sibling = if common == 0 && krate == Krate::Signet {
            // Between levels the order forbids circles already.
            table::level_of(child) == table::level_of(sibling)
        } else {
            modules.exists(&target[..=common])
        };
        if is_sibling {
            let parent = self.edges.entry(from[..common].to_vec()).or_default();
            let said = parent.entry(child.clone()).or_default();
            said.entry(sibling.clone()).or_insert_with(|| at.to_owned());
        }
    }

    /// One fault for each circle found.
    fn circles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (parent, edges) in &self.edges {
            let mut done = BTreeSet::new();
            for start in edges.keys() {
                let mut way = Vec::new();
                if let Some(circle) = circle(edges, start, &mut way, &mut done) {
                    found.push(told(parent, edges, &circle));
                }
            }
        }
        found
    }
}

type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// Depth first: the first circle that can be reached from `node`, as the modules on it.
fn circle<'a>(
    edges: &'a Edges,
    node: &'a String,
    way: &mut Vec<&'a String>,
    done: &mut BTreeSet<&'a String>,
) -> Option<Vec<&'a String>> {
    if let Some(begin) = way.iter().position(|earlier| *earlier == node) {
        return Some(way[begin..].to_vec());
    }
    if !done.insert(node) {
        return None;
    }
    way.push(node);
    let found = edges.get(node).and_then(|nexts| nexts.keys().find_map(|next| circle(edges, next, way, done)));
    way.pop();
    found
}

fn told(parent: &Module, edges: &Edges, circle: &[&String]) -> String {
    let name = |child: &String| [parent.as_slice(), std::slice::from_ref(child)].concat().join("::");
    let mut told = String::from("a circle of modules: ");
    for (index, child) in circle.iter().enumerate() {
        let next = circle[(index + 1) % circle.len()];
        told.push_str(&format!("`{}` names `{}` ({}), ", name(child), name(next), edges[*child][next]));
    }
    told.trim_end_matches(", ").to_owned()
}
