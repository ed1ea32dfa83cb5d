//! Whom a file names: every path in it, wherever it stands, with the line.

use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, Stmt};

use super::modules::{Bindings, Import, Modules, Target, child_of, imports, is_test_only, linked, used};
use super::source::{Module, Source};
use super::tokens;

/// One finding in a file.
pub(super) struct Sight {
    /// The module that names, inline modules included.
    pub(super) from: Module,
    pub(super) line: usize,
    pub(super) what: What,
}

/// What was found.
pub(super) enum What {
    /// A path, and where it leads as written.
    Names(Target),
    /// Something that would hide names from this test.
    Hides(&'static str),
}

/// Everything that `source` names outside test-only code.
pub(super) fn sights(modules: &Modules, source: &Source) -> Vec<Sight> {
    let mut walker = Walker { modules, source, module: source.module.clone(), scopes: Vec::new(), found: Vec::new() };
    if !modules.is_test_only(&source.module) && !is_test_only(&source.file.attrs) {
        walker.visit_file(&source.file);
    }
    walker.found
}

struct Walker<'a> {
    modules: &'a Modules,
    source: &'a Source,
    module: Module,
    scopes: Vec<Bindings>,
    found: Vec<Sight>,
}

impl Walker<'_> {
    fn note(&mut self, line: usize, what: What) {
        self.found.push(Sight { from: self.module.clone(), line, what });
    }

    fn name(&mut self, named: &Import) {
        let target = self.modules.import_target(self.source, &self.module, &self.scopes, named);
        self.note(named.line, What::Names(target));
    }

    fn tokens(&mut self, tokens: &proc_macro2::TokenStream, strings: bool) {
        for named in tokens::paths(tokens.clone(), strings) {
            self.name(&named);
        }
    }
}

impl<'ast> Visit<'ast> for Walker<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attrs: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_test_only(attrs) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.attrs.iter().any(|attr| attr.path().is_ident("path")) {
            self.note(item.span().start().line, What::Hides("`#[path]` hides where a module lives"));
        }
        let inner = child_of(&self.module, &item.ident.unraw().to_string());
        let outer = std::mem::replace(&mut self.module, inner);
        let scopes = std::mem::take(&mut self.scopes);
        visit::visit_item_mod(self, item);
        self.module = outer;
        self.scopes = scopes;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        item.attrs.iter().for_each(|attr| self.visit_attribute(attr));
        for import in used(item) {
            let target = self.modules.import_target(self.source, &self.module, &self.scopes, &import);
            if target == Target::Own(Module::new()) {
                self.note(import.line, What::Hides("importing the crate's root hides what is used of it"));
            } else {
                self.note(import.line, What::Names(target));
            }
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let import = linked(item);
        if import.foreign {
            self.name(&import);
        } else {
            self.note(import.line, What::Hides("`extern crate self` gives the library a second name"));
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let items =
            || block.stmts.iter().filter_map(|stmt| if let Stmt::Item(item) = stmt { Some(item) } else { None });
        let mut scope = Bindings::new();
        for import in imports(items()) {
            let target = self.modules.import_target(self.source, &self.module, &self.scopes, &import);
            if let Some(name) = import.name {
                scope.insert(name, target);
            }
        }
        self.scopes.push(scope);
        visit::visit_block(self, block);
        self.scopes.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let foreign = path.leading_colon.is_some();
        if foreign || path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            self.name(&tokens::inline(names, foreign, path.span().start().line));
        }
        visit::visit_path(self, path);
    }

    /// `pub(in crate::x)` names no one.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        if mac.path.segments.last().is_some_and(|last| last.ident == "include") {
            self.note(mac.span().start().line, What::Hides("`include!` brings in sources unseen"));
        }
        self.visit_path(&mac.path);
        self.tokens(&mac.tokens, false);
    }

    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        if attr.path().is_ident("macro_export") {
            self.note(attr.span().start().line, What::Hides("`#[macro_export]` puts a macro at the crate's root"));
        }
        self.visit_path(attr.path());
        match &attr.meta {
            Meta::List(list) => self.tokens(&list.tokens, true),
            Meta::NameValue(pair) if !pair.path.is_ident("doc") => {
                if let Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = &pair.value
                    && let Some(named) = tokens::spelled(text)
                {
                    self.name(&named);
                }
            }
            _ => {}
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
