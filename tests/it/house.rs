//! The house, held to its table: who may name whom, read from the sources themselves, and the marks that every
//! file and crate must bear.
//!
//! Guarantees: an import against the order, a foreign crate away from its home and a circle of modules turn this
//! red, however they are written (see `examples`); code for tests alone is exempt.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod examples;
mod faults;
mod modules;
mod names;
mod source;
mod table;
mod tokens;

use std::collections::BTreeSet;
use std::fs;

use modules::Modules;
use source::{Krate, Source, listing, tree, workspace};

#[test]
fn every_import_keeps_to_the_table() {
    let faults = faults::faults(&tree());
    assert!(faults.is_empty(), "against the table of tests/it/house/table.rs:\n{}", faults.join("\n"));
}

#[test]
fn every_room_has_a_place_in_the_table() {
    let rooms = listing(&workspace().join("src"));
    let homeless: Vec<_> = rooms
        .iter()
        .map(|name| name.strip_suffix(".rs").unwrap_or(name))
        .filter(|room| *room != "lib" && table::level_of(room).is_none())
        .collect();
    assert!(homeless.is_empty(), "place them in tests/it/house/table.rs: {homeless:?}");
    assert!(rooms.len() > 2, "read only {rooms:?}");
}

#[test]
fn the_table_names_no_room_and_no_home_twice() {
    let rooms: Vec<_> = table::LEVELS.iter().flat_map(|level| level.rooms).collect();
    assert_eq!(rooms.iter().collect::<BTreeSet<_>>().len(), rooms.len(), "{rooms:?}");
    for (krate, homes) in table::HOMES {
        assert!(homes.iter().all(|home| table::level_of(home).is_some()), "{krate} lives in {homes:?}");
    }
}

#[test]
fn every_file_belongs_to_a_module() {
    let tree = tree();
    for krate in [Krate::Signet, Krate::Verifier] {
        let sources: Vec<&Source> = tree.iter().filter(|source| source.krate == krate).collect();
        let modules = Modules::of(&sources);
        let stray: Vec<_> = sources
            .iter()
            .filter(|source| !source.is_root() && !modules.is_declared(&source.module))
            .map(|source| &source.path)
            .collect();
        assert!(stray.is_empty(), "no module declares {stray:?}: they are never compiled");
    }
}

#[test]
fn every_crate_forbids_unsafe_code_and_silences_no_lint_as_a_whole() {
    let roots: Vec<Source> = tree().into_iter().filter(Source::is_root).collect();
    let paths: Vec<&str> = roots.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["src/lib.rs", "src/main.rs", "verifier/src/lib.rs"]);
    for Source { path, file, .. } in &roots {
        let inner: Vec<String> = file.attrs.iter().map(spelled).collect();
        let first = inner.iter().find(|attr| !attr.starts_with("doc"));
        assert_eq!(first.map(String::as_str), Some("forbid(unsafe_code)"), "{path}");
        let silences = |attr: &&String| ["allow", "expect", "warn"].iter().any(|level| attr.contains(level));
        let silenced: Vec<_> = inner.iter().filter(|attr| !attr.starts_with("doc")).filter(silences).collect();
        assert!(silenced.is_empty(), "{path} silences {silenced:?} for the whole crate");
    }
}

/// The attribute's inside, without spaces.
fn spelled(attr: &syn::Attribute) -> String {
    match &attr.meta {
        syn::Meta::Path(path) => path.get_ident().map(ToString::to_string).unwrap_or_default(),
        syn::Meta::List(list) => format!(
            "{}({})",
            list.path.get_ident().map(ToString::to_string).unwrap_or_default(),
            list.tokens.to_string().replace(' ', "")
        ),
        syn::Meta::NameValue(pair) => pair.path.get_ident().map(ToString::to_string).unwrap_or_default(),
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let silent: Vec<String> = tree()
        .into_iter()
        .filter(|source| {
            let text = &source.text;
            !text.starts_with("//! ") && !text.starts_with("#![doc = include_str!(")
        })
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let [sqlite, postgres] = ["sqlite", "postgres"].map(|kind| listing(&workspace().join("migrations").join(kind)));
    assert_eq!(sqlite, postgres, "migrations/sqlite and migrations/postgres differ");
}

/// The crates that the project's brief fixes; `docs/decisions/` gives a reason for each other one.
const FIXED: &[&str] = &["actix-web", "jsonwebtoken", "rsa", "p256", "serde", "redis", "sqlx", "uuid", "config"];

#[test]
fn every_dependency_has_a_reason_on_paper() {
    let folder = workspace().join("docs/decisions");
    let papers: String =
        listing(&folder).iter().map(|name| fs::read_to_string(folder.join(name)).expect("a readable paper")).collect();
    let mut unexplained = BTreeSet::new();
    for manifest in ["Cargo.toml", "verifier/Cargo.toml"] {
        let text = fs::read_to_string(workspace().join(manifest)).expect("a readable manifest");
        for name in dependencies(&text) {
            let explained = papers.lines().any(|line| line.starts_with(&format!("| `{name}` |")));
            if name != "signet-verify" && !FIXED.contains(&name) && !explained {
                unexplained.insert(name.to_owned());
            }
        }
    }
    assert!(unexplained.is_empty(), "no line in docs/decisions/ begins with | `NAME` | for {unexplained:?}");
}

/// The names under the headings of a manifest that end in `dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut within = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line.trim_end().ends_with("dependencies]");
        } else if within && let Some((name, _)) = line.split_once(['=', '.']) {
            let name = name.trim();
            if name.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign)) {
                names.push(name);
            }
        }
    }
    names
}
