//! The table of settings: what one is, and how a section of them is declared once and read.
//!
//! Guarantees: a section's struct, its rows of the table and its reader come from one declaration (`section!`), so
//! that no setting can be read without being documented, or documented without being read.

use std::path::Path;

use serde_json::Value as Json;

use super::entry::Entry;
use super::fault::{Fault, Source};
use super::source::{FAULTED, Given, Layers, Raw};
use super::value::SettingValue;

/// What a setting is when nobody sets it, in the form of the environment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fallback {
    /// Always this.
    Fixed(&'static str),
    /// Found at start.
    Computed {
        /// Finds it; `None` when what it derives from is faulty.
        text: fn(&Reader<'_>) -> Option<String>,
        /// What it might be.
        example: &'static str,
    },
    /// Nothing.
    Unset {
        /// What it might be set to.
        example: &'static str,
    },
}

/// What holds for a setting besides its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) fallback: Fallback,
    pub(super) bounds: Option<(&'static str, &'static str)>,
    pub(super) secret: bool,
}

/// A setting with a fixed default.
pub(super) const fn fixed(text: &'static str) -> Rule {
    Rule { fallback: Fallback::Fixed(text), bounds: None, secret: false }
}

/// A setting whose default is found at start.
pub(super) const fn computed(text: fn(&Reader<'_>) -> Option<String>, example: &'static str) -> Rule {
    Rule { fallback: Fallback::Computed { text, example }, bounds: None, secret: false }
}

/// A setting that may be left out.
pub(super) const fn unset(example: &'static str) -> Rule {
    Rule { fallback: Fallback::Unset { example }, bounds: None, secret: false }
}

impl Rule {
    /// Both ends belong to what is allowed.
    pub(super) const fn within(self, least: &'static str, most: &'static str) -> Self {
        Self { bounds: Some((least, most)), ..self }
    }

    /// Never shown; may also come from a file.
    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The dotted name.
    pub(super) key: &'static str,
    /// What it does, line by line.
    pub(super) doc: &'static [&'static str],
    pub(super) rule: Rule,
    /// A value, given in the form of the environment, in the form of TOML (and JSON).
    pub(super) example: fn(&str) -> Option<Json>,
}

impl Setting {
    /// The name of the setting that may name a file instead. A secret that already has a setting of that name, with
    /// a meaning of its own, has none.
    pub(super) fn file_key(&self) -> Option<String> {
        let file_key = format!("{}_file", self.key);
        let taken = || super::table().any(|other| other.key == file_key);
        (self.rule.secret && !taken()).then_some(file_key)
    }
}

/// A group of settings below one name.
pub(super) trait Section: Sized {
    /// What the group is about, line by line.
    const DOC: &'static [&'static str];
    /// Its rows.
    const TABLE: &'static [Setting];

    /// Reads them all, so that every fault is found; `None` when there was one.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Declares a section: `pub struct Name at "prefix." { field: Type = rule; … }` also makes the struct, `use Name at …`
/// takes one that exists.
macro_rules! section {
    ($(#[doc = $about:literal])+ pub struct $name:ident at $prefix:literal {
        $($(#[doc = $doc:literal])+ $field:ident : $kind:ty = $rule:expr;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }
        section! { $(#[doc = $about])+ use $name at $prefix { $($(#[doc = $doc])+ $field: $kind = $rule;)+ } }
    };
    ($(#[doc = $about:literal])+ use $name:ident at $prefix:literal {
        $($(#[doc = $doc:literal])+ $field:ident : $kind:ty = $rule:expr;)+
    }) => {
        impl $crate::config::setting::Section for $name {
            const DOC: &'static [&'static str] = &[$($about),+];
            const TABLE: &'static [$crate::config::setting::Setting] = &[$(
                $crate::config::setting::Setting {
                    key: concat!($prefix, stringify!($field)),
                    doc: &[$($doc),+],
                    rule: $rule,
                    example: $crate::config::setting::example::<$kind>,
                }
            ),+];

            fn read(reader: &mut $crate::config::setting::Reader<'_>) -> Option<Self> {
                $(let $field = reader.read::<$kind>(concat!($prefix, stringify!($field)));)+
                Some(Self { $($field: $field?),+ })
            }
        }
    };
}
pub(super) use section;

/// How a value of the type `T` is written in TOML.
pub(super) fn example<T: SettingValue>(text: &str) -> Option<Json> {
    T::from_raw(&Raw::Untyped(text.to_owned()), Path::new("")).ok().map(|value| value.show())
}

/// Types what the layers hold, and gathers faults and the report.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) cwd: &'a Path,
    pub(super) faults: Vec<Fault>,
    pub(super) report: Vec<Entry>,
}

impl Reader<'_> {
    /// The value of `key`; `None` after a fault, which is recorded here or was before.
    pub(super) fn read<T: SettingValue>(&mut self, key: &'static str) -> Option<T> {
        let setting = super::table().find(|setting| setting.key == key)?;
        let given = match self.layers.get(key) {
            Some(given) => given.clone(),
            None => Given { raw: self.fallback(setting)?, source: Source::Default },
        };
        match typed::<T>(setting, &given.raw, self.cwd) {
            Ok(value) => {
                self.report.push(Entry { key: setting.key, value: value.show(), source: given.source });
                Some(value)
            }
            Err(problem) => {
                if !matches!(given.raw, Raw::Other(FAULTED)) {
                    self.fault(key, problem);
                }
                None
            }
        }
    }

    /// The value of `key` where it is sound; records nothing.
    pub(super) fn peek<T: SettingValue>(&self, key: &str) -> Option<T> {
        let setting = super::table().find(|setting| setting.key == key)?;
        let raw = match self.layers.get(key) {
            Some(given) => given.raw.clone(),
            None => self.fallback(setting)?,
        };
        typed(setting, &raw, self.cwd).ok()
    }

    /// Whether somebody set `key`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.layers.contains_key(key)
    }

    /// Where the value of `key` comes from.
    pub(super) fn source_of(&self, key: &str) -> Source {
        self.layers.get(key).map_or(Source::Default, |given| given.source.clone())
    }

    /// Records that the value of `key` has a problem.
    pub(super) fn fault(&mut self, key: &str, problem: String) {
        let source_of = self.source_of(key);
        self.faults.push(Fault::Value { key: key.to_owned(), source_of, problem });
    }

    fn fallback(&self, setting: &Setting) -> Option<Raw> {
        match setting.rule.fallback {
            Fallback::Fixed(text) => Some(Raw::Untyped(text.to_owned())),
            Fallback::Computed { text, .. } => text(self).map(Raw::Untyped),
            Fallback::Unset { .. } => Some(Raw::Unset),
        }
    }
}

fn typed<T: SettingValue>(setting: &Setting, raw: &Raw, cwd: &Path) -> Result<T, String> {
    let value = T::from_raw(raw, cwd)?;
    let Some((least, most)) = setting.rule.bounds else { return Ok(value) };
    let bound = |text: &str| T::from_raw(&Raw::Untyped(text.to_owned()), cwd);
    if bound(least)?.is_at_most(&value) && value.is_at_most(&bound(most)?) {
        Ok(value)
    } else {
        Err(format!("must be between {least} and {most}"))
    }
}
