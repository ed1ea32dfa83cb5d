//! What each module declares and imports, so that a path can be followed through re-exports to where it ends.

use std::collections::{BTreeMap, BTreeSet};

use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Item, Meta, Token, UseTree};

use super::source::{Krate, Module, Source};

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A module or an item of the same package, from the library's root.
    Own(Module),
    /// Another crate, by its name.
    Foreign(String),
}

/// One leaf of a `use` declaration.
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// Written with `::` in front: surely another crate.
    pub(super) foreign: bool,
    /// The name it gets here; `None` for a glob.
    pub(super) name: Option<String>,
    pub(super) line: usize,
}

/// Names that a `use` (or a declared child) gives to a scope.
pub(super) type Bindings = BTreeMap<String, Target>;

#[derive(Default)]
struct Contents {
    bindings: Bindings,
    globs: Vec<Module>,
    items: BTreeSet<String>,
}

/// Every module of one crate.
#[derive(Default)]
pub(super) struct Modules {
    contents: BTreeMap<Module, Contents>,
    declared: BTreeSet<Module>,
    test_only: BTreeSet<Module>,
}

/// More re-exports in a row than this are a circle.
const HOPS: usize = 16;

impl Modules {
    /// Reads all files of one crate.
    pub(super) fn of(sources: &[&Source]) -> Self {
        let mut modules = Self::default();
        for source in sources {
            for depth in 0..=source.module.len() {
                modules.contents.entry(source.module[..depth].to_vec()).or_default();
            }
        }
        for source in sources {
            modules.declare(&source.module, &source.file.items);
        }
        for source in sources {
            modules.bind(source, &source.module, &source.file.items);
        }
        modules
    }

    pub(super) fn exists(&self, module: &[String]) -> bool {
        self.contents.contains_key(module)
    }

    /// Whether some module says `mod` of this one.
    pub(super) fn is_declared(&self, module: &[String]) -> bool {
        self.declared.contains(module)
    }

    /// Whether the module is compiled for tests alone.
    pub(super) fn is_test_only(&self, module: &[String]) -> bool {
        (1..=module.len()).any(|depth| self.test_only.contains(&module[..depth]))
    }

    /// The longest part of the path that is a module.
    pub(super) fn module_of<'a>(&self, path: &'a [String]) -> &'a [String] {
        let depth = (0..=path.len()).rev().find(|depth| self.exists(&path[..*depth]));
        &path[..depth.unwrap_or(0)]
    }

    /// Where a path leads that is written in `module` of `source` within the given inner scopes (innermost last).
    /// `None` when its first name is neither a keyword nor imported nor declared: a crate, or a name of the language.
    pub(super) fn resolve(
        &self,
        source: &Source,
        module: &[String],
        scopes: &[Bindings],
        path: &[String],
    ) -> Option<Target> {
        let first = path.first()?.as_str();
        let mut at = match first {
            "crate" => source.root.clone(),
            "signet" if source.krate == Krate::Signet => Module::new(),
            "self" | "super" => module.to_vec(),
            name => {
                return self.bound(module, scopes, name).map(|target| extend(target, &path[1..]));
            }
        };
        let skip = usize::from(first != "super");
        let climbs = path[skip..].iter().take_while(|name| *name == "super").count();
        at.truncate(at.len().saturating_sub(climbs));
        at.extend_from_slice(&path[skip + climbs..]);
        Some(Target::Own(at))
    }

    /// The end of a path after all re-exports on its way.
    pub(super) fn follow(&self, path: &[String]) -> Target {
        let mut path = path.to_vec();
        for _ in 0..HOPS {
            match self.hop(&path) {
                Some(Target::Own(next)) if next != path => path = next,
                Some(Target::Foreign(name)) => return Target::Foreign(name),
                _ => break,
            }
        }
        Target::Own(path)
    }

    fn hop(&self, path: &[String]) -> Option<Target> {
        let module = self.module_of(path);
        let (name, rest) = path[module.len()..].split_first()?;
        let contents = self.contents.get(module)?;
        if let Some(target) = contents.bindings.get(name) {
            return Some(extend(target.clone(), rest));
        }
        if contents.items.contains(name) {
            return None;
        }
        let glob = contents.globs.iter().find(|glob| *glob != module && self.holds(glob, name))?;
        Some(Target::Own([glob.as_slice(), &path[module.len()..]].concat()))
    }

    fn holds(&self, module: &[String], name: &str) -> bool {
        self.contents
            .get(module)
            .is_some_and(|contents| contents.items.contains(name) || contents.bindings.contains_key(name))
    }

    fn bound(&self, module: &[String], scopes: &[Bindings], name: &str) -> Option<Target> {
        let inner = scopes.iter().rev().find_map(|scope| scope.get(name));
        inner.or_else(|| self.contents.get(module)?.bindings.get(name)).cloned()
    }

    /// First pass: the modules there are, with those written inline, and the items of each.
    fn declare(&mut self, module: &Module, items: &[Item]) {
        for item in items {
            if let Item::Mod(child) = item {
                let path = child_of(module, &child.ident.unraw().to_string());
                self.declared.insert(path.clone());
                if is_test_only(&child.attrs) {
                    self.test_only.insert(path.clone());
                }
                if let Some((_, items)) = &child.content {
                    self.contents.entry(path.clone()).or_default();
                    self.declare(&path, items);
                }
            } else if let Some(name) = item_name(item) {
                self.contents.entry(module.clone()).or_default().items.insert(name);
            }
        }
    }

    /// Second pass: what each module imports. Children come first, since an import may begin at one.
    fn bind(&mut self, source: &Source, module: &Module, items: &[Item]) {
        for item in items {
            if let Item::Mod(child) = item {
                let name = child.ident.unraw().to_string();
                let path = child_of(module, &name);
                let contents = self.contents.entry(module.clone()).or_default();
                contents.bindings.insert(name, Target::Own(path.clone()));
                if let Some((_, items)) = &child.content {
                    self.bind(source, &path, items);
                }
            }
        }
        for import in imports(items.iter()) {
            let target = self.import_target(source, module, &[], &import);
            let contents = self.contents.entry(module.clone()).or_default();
            match (import.name, target) {
                (Some(name), target) => {
                    contents.bindings.entry(name).or_insert(target);
                }
                (None, Target::Own(glob)) => contents.globs.push(glob),
                (None, Target::Foreign(_)) => {}
            }
        }
    }

    /// What an import leads to: what its first name is bound to, or else a crate.
    pub(super) fn import_target(
        &self,
        source: &Source,
        module: &[String],
        scopes: &[Bindings],
        import: &Import,
    ) -> Target {
        let own = if import.foreign && import.path[0] != "signet" {
            None
        } else {
            self.resolve(source, module, scopes, &import.path)
        };
        own.unwrap_or_else(|| Target::Foreign(import.path[0].clone()))
    }
}

fn extend(target: Target, rest: &[String]) -> Target {
    match target {
        Target::Own(path) => Target::Own([path.as_slice(), rest].concat()),
        foreign => foreign,
    }
}

/// The module `name` in `module`.
pub(super) fn child_of(module: &[String], name: &str) -> Module {
    [module, &[name.to_owned()]].concat()
}

/// The imports among these items, flattened; those for tests alone left out.
pub(super) fn imports<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<Import> {
    let mut found = Vec::new();
    for item in items {
        match item {
            Item::Use(item) if !is_test_only(&item.attrs) => found.extend(used(item)),
            Item::ExternCrate(item) if !is_test_only(&item.attrs) => found.push(linked(item)),
            _ => {}
        }
    }
    found
}

/// What one `use` imports.
pub(super) fn used(item: &syn::ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    flatten(&item.tree, &[], item.leading_colon.is_some(), &mut found);
    found
}

/// What one `extern crate` imports; `extern crate self` is the crate's root.
pub(super) fn linked(item: &syn::ItemExternCrate) -> Import {
    let krate = item.ident.unraw().to_string();
    let foreign = krate != "self";
    Import {
        path: vec![if foreign { krate.clone() } else { "crate".to_owned() }],
        foreign,
        name: Some(item.rename.as_ref().map_or(krate, |(_, name)| name.unraw().to_string())),
        line: item.span().start().line,
    }
}

/// The leaves of one tree, each with `prefix` in front.
pub(super) fn flatten(tree: &UseTree, prefix: &[String], foreign: bool, found: &mut Vec<Import>) {
    let line = tree.span().start().line;
    let mut leaf = |ident: &syn::Ident, rename: Option<&syn::Ident>| {
        let mut path = prefix.to_vec();
        let ident = ident.unraw().to_string();
        // `a::{self}` is `a`; a lone `self` is this module.
        if ident != "self" || path.is_empty() {
            path.push(ident);
        }
        let name = rename.map_or_else(|| path.last().cloned(), |name| Some(name.unraw().to_string()));
        found.push(Import { path, foreign, name, line });
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, None),
        UseTree::Rename(rename) => leaf(&rename.ident, Some(&rename.rename)),
        UseTree::Path(path) => {
            flatten(&path.tree, &child_of(prefix, &path.ident.unraw().to_string()), foreign, found);
        }
        UseTree::Glob(_) if prefix.is_empty() => {}
        UseTree::Glob(_) => {
            found.push(Import { path: prefix.to_vec(), foreign, name: None, line });
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, prefix, foreign, found));
        }
    }
}

/// Whether an item exists only when tests are compiled.
pub(super) fn is_test_only(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("cfg") && attr.parse_args::<Meta>().is_ok_and(|meta| asks_test(&meta)))
}

/// Whether a `cfg` condition can't hold without `test`.
fn asks_test(meta: &Meta) -> bool {
    let Meta::List(list) = meta else { return meta.path().is_ident("test") };
    let conditions = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let Ok(conditions) = conditions else { return false };
    if list.path.is_ident("all") {
        conditions.iter().any(asks_test)
    } else {
        list.path.is_ident("any") && !conditions.is_empty() && conditions.iter().all(asks_test)
    }
}

fn item_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.unraw().to_string())
}
