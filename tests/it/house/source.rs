//! Source files of the workspace: where they are and which module each is.

use std::fs;
use std::path::{Path, PathBuf};

/// A module by its path below the crate's root; the root itself is empty.
pub(super) type Module = Vec<String>;

/// The crates whose sources the table governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Krate {
    /// `src/`: the library, and `main.rs` as one room more.
    Signet,
    /// `verifier/src/`.
    Verifier,
}

/// One file, parsed.
pub(super) struct Source {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    pub(super) krate: Krate,
    pub(super) module: Module,
    /// Where `crate::` begins: `main.rs` is a crate of its own, here a room named `main`.
    pub(super) root: Module,
    pub(super) text: String,
    pub(super) file: syn::File,
}

impl Source {
    /// Panics when `path` is no source file or `text` is not Rust: both make the test worthless.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (krate, inner) = match (path.strip_prefix("src/"), path.strip_prefix("verifier/src/")) {
            (Some(inner), _) => (Krate::Signet, inner),
            (_, Some(inner)) => (Krate::Verifier, inner),
            _ => panic!("{path} is not under src/ or verifier/src/"),
        };
        let inner = inner.strip_suffix(".rs").expect("a Rust file");
        let mut module: Module = inner.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || inner == "lib" {
            module.pop();
        }
        let root = if inner == "main" { module.clone() } else { Module::new() };
        let file = syn::parse_file(text).unwrap_or_else(|error| {
            panic!("{path}:{}: {error}", error.span().start().line);
        });
        Self { path: path.to_owned(), krate, module, root, text: text.to_owned(), file }
    }

    /// Whether this file is a crate's root: `lib.rs` or `main.rs`.
    pub(super) fn is_root(&self) -> bool {
        self.module == self.root
    }
}

/// The workspace's folder.
pub(super) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src/` and `verifier/src/`, in order of path.
pub(super) fn tree() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "verifier/src"] {
        collect(&workspace(), folder, &mut paths);
    }
    paths.sort();
    let read = |path: &String| {
        let text = fs::read_to_string(workspace().join(path)).expect("a readable source file");
        Source::new(path, &text)
    };
    paths.iter().map(read).collect()
}

/// The names in a folder, sorted; none when there is no such folder.
pub(super) fn listing(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a readable folder").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn collect(workspace: &Path, folder: &str, paths: &mut Vec<String>) {
    for name in listing(&workspace.join(folder)) {
        let path = format!("{folder}/{name}");
        if workspace.join(&path).is_dir() {
            collect(workspace, &path, paths);
        } else if name.ends_with(".rs") {
            paths.push(path);
        }
    }
}
