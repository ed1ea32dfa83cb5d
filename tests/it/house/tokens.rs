//! Paths in token streams that nobody has parsed: the bodies of macros and the arguments of attributes.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;

use super::modules::{Import, flatten};

/// Words that end before a path begins, so that `use ::sqlx` is not one path.
const NO_PATH: &[&str] = &[
    "as", "async", "await", "break", "const", "dyn", "else", "extern", "for", "if", "impl", "in", "let", "loop",
    "match", "mod", "move", "mut", "pub", "ref", "return", "static", "type", "unsafe", "use", "where", "while",
];

/// Every path of two names or more, and every `extern crate`, however deep in groups. With `strings`, also what
/// stands in string literals, as attributes name functions so: `#[serde(with = "crate::x")]`.
pub(super) fn paths(tokens: TokenStream, strings: bool) -> Vec<Import> {
    let mut reader = Reader { found: Vec::new(), strings };
    reader.read(tokens);
    reader.found
}

/// The path that a literal spells, if it is one.
pub(super) fn spelled(literal: &syn::LitStr) -> Option<Import> {
    let path = literal.parse_with(syn::Path::parse_mod_style).ok()?;
    let foreign = path.leading_colon.is_some();
    let names = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect::<Vec<_>>();
    (foreign || names.len() > 1).then(|| inline(names, foreign, literal.span().start().line))
}

/// A path that stands where it is used and gives no name to its scope.
pub(super) fn inline(path: Vec<String>, foreign: bool, line: usize) -> Import {
    Import { path, foreign, name: None, line }
}

struct Reader {
    found: Vec<Import>,
    strings: bool,
}

impl Reader {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Group(group) => {
                    self.read(group.stream());
                    at + 1
                }
                TokenTree::Literal(literal) if self.strings => {
                    let literal = syn::parse_str::<syn::LitStr>(&literal.to_string()).ok();
                    self.found.extend(literal.and_then(|text| {
                        spelled(&text).map(|found| Import { line: tokens[at].span().start().line, ..found })
                    }));
                    at + 1
                }
                TokenTree::Ident(_) => self.read_path(&tokens, at),
                TokenTree::Punct(_) if separates(&tokens, at) => self.read_path(&tokens, at),
                _ => at + 1,
            };
        }
    }

    /// Reads the path that begins at `start`; answers where to go on.
    fn read_path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let leading = separates(tokens, start);
        let mut at = start + if leading { 2 } else { 0 };
        let mut names = Vec::new();
        while let Some(name) = name_at(tokens, at) {
            if names.is_empty() && !leading && NO_PATH.contains(&name.as_str()) {
                if name == "extern" && name_at(tokens, at + 1).is_some_and(|word| word == "crate") {
                    let krate = name_at(tokens, at + 2).into_iter().collect::<Vec<_>>();
                    self.push(krate, true, tokens, start);
                }
                return at + 1;
            }
            names.push(name);
            at += 1;
            if !separates(tokens, at) {
                break;
            }
            at += 2;
        }
        if names.is_empty() {
            return at.max(start + 1);
        }
        let foreign = leading && begins(tokens, start);
        // What follows `>::` or stands behind `$name` belongs to something that can't be known here.
        let known = leading == foreign && !(after_dollar(tokens, start) && names[0] != "crate");
        if !known {
            return at;
        }
        if let Some(TokenTree::Group(group)) = tokens.get(at)
            && group.delimiter() == Delimiter::Brace
            && separates(tokens, at.saturating_sub(2))
            && let Ok(tree) = syn::parse2::<syn::UseTree>(TokenStream::from(tokens[at].clone()))
        {
            flatten(&tree, &names, foreign, &mut self.found);
            return at + 1;
        }
        if foreign || names.len() > 1 {
            self.push(names, foreign, tokens, start);
        }
        at
    }

    fn push(&mut self, path: Vec<String>, foreign: bool, tokens: &[TokenTree], at: usize) {
        if !path.is_empty() {
            self.found.push(inline(path, foreign, tokens[at].span().start().line));
        }
    }
}

fn name_at(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.unraw().to_string()),
        _ => None,
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Whether `::` stands at `at`.
fn separates(tokens: &[TokenTree], at: usize) -> bool {
    let joint = matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint);
    joint && is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')
}

/// Whether a `::` at `at` begins a path, rather than going on with a type (`Vec<u8>::new`) or a macro's variable.
fn begins(tokens: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return true };
    match &tokens[before] {
        TokenTree::Ident(ident) => NO_PATH.contains(&ident.to_string().as_str()),
        TokenTree::Group(_) => false,
        TokenTree::Punct(punct) if punct.as_char() == '>' => {
            before > 0 && (is_punct(tokens, before - 1, '-') || is_punct(tokens, before - 1, '='))
        }
        _ => true,
    }
}

fn after_dollar(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && is_punct(tokens, at - 1, '$')
}
