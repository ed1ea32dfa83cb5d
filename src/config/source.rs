//! The layers that settings come from: a TOML file, then the environment; and the files that hold secrets.
//!
//! Guarantees: every name is known before it is taken in, and what can't be read becomes a fault, never a default.
//!
//! The `config` crate reads the file. Layering and typing are done here: the crate's own stop at the first fault,
//! quote the value (which may be a secret) and forgive much (`yes` for a boolean, 1.6 for an integer).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use ::config::{FileFormat, Format, Value, ValueKind};

use super::fault::{Fault, Hint, Source, nearest};

/// What every environment variable of ours begins with.
const PREFIX: &str = "SIGNET__";
/// The file in the working directory that is read when no other is named.
const LOCAL_FILE: &str = "signet.toml";
/// A secret is short; what is longer was named by mistake.
const SECRET_FILE_LIMIT: u64 = 64 * 1024;

/// A value as its source wrote it, not yet typed.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    /// Text whose type is the reader's to find: from the environment, a file of its own, or a default.
    Untyped(String),
    /// A string of TOML.
    Text(String),
    /// An integer of TOML.
    Integer(i64),
    /// A number of TOML that has a point.
    Fraction(f64),
    /// A boolean of TOML.
    Boolean(bool),
    /// An array of TOML.
    List(Vec<Raw>),
    /// Nobody set it, and it has no default.
    Unset,
    /// What no setting is: the name of its type.
    Other(&'static str),
}

/// A value and its source.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) raw: Raw,
    pub(super) source: Source,
}

/// What was set, by name; the later layer has won.
pub(super) type Layers = BTreeMap<String, Given>;

/// Takes in the configuration file: `file`, which must exist, or the local one if it does.
pub(super) fn add_file(layers: &mut Layers, file: Option<&Path>, cwd: &Path, faults: &mut Vec<Fault>) {
    let (path, name) = match file {
        Some(path) => (cwd.join(path), path.display().to_string()),
        None => (cwd.join(LOCAL_FILE), LOCAL_FILE.to_owned()),
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => return,
        Err(e) => return faults.push(Fault::Unreadable { file: name, problem: e.to_string() }),
    };
    match FileFormat::Toml.parse(None, text.trim_start_matches('\u{feff}')) {
        Ok(table) => {
            let mut taken = Taken { layers, faults, source: Source::File(name) };
            let mut entries: Vec<_> = table.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (key, value) in entries {
                taken.add(key, value);
            }
        }
        Err(error) => faults.push(syntax_fault(name, &error.to_string())),
    }
}

/// The parser's report is a headline with line and column, the offending line, and what is wrong. The line is left
/// out, as it may hold a secret.
fn syntax_fault(file: String, report: &str) -> Fault {
    let headline = report.lines().next().unwrap_or_default();
    let at = headline.strip_prefix("TOML parse error at line ").and_then(|rest| {
        let (line, column) = rest.split_once(", column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    let problem = match at {
        // Above the message stand the headline and three lines that show the place.
        Some(_) => report.lines().skip(4).collect::<Vec<_>>().join(" "),
        None => report.trim().replace('\n', " "),
    };
    Fault::Syntax { file, at, problem: problem.trim().to_owned() }
}

struct Taken<'a> {
    layers: &'a mut Layers,
    faults: &'a mut Vec<Fault>,
    source: Source,
}

impl Taken<'_> {
    /// Takes in what stands under the dotted name `key`: a setting, or a table of them.
    fn add(&mut self, key: String, value: Value) {
        // A quoted key of TOML may itself hold dots: `"public.bind" = …` reads as the setting it looks like.
        if known_names().any(|known| known == key) {
            let given = Given { raw: raw(value.kind), source: self.source.clone() };
            self.layers.insert(key, given);
            return;
        }
        let is_section =
            known_names().any(|known| known.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.')));
        match value.kind {
            ValueKind::Table(table) if is_section || !table.is_empty() => {
                let mut entries: Vec<_> = table.into_iter().collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (name, value) in entries {
                    self.add(format!("{key}.{name}"), value);
                }
            }
            _ if is_section => self.faults.push(Fault::Value {
                key,
                source_of: self.source.clone(),
                problem: "is a section, which holds settings: it has no value of its own".to_owned(),
            }),
            _ => {
                let names: Vec<String> = known_names().collect();
                let hint = match nearest(&key, ".", names.iter().map(String::as_str)) {
                    Some(name) => Hint::Name(name.to_owned()),
                    None => hint_of_section(&key),
                };
                let source_of = self.source.clone();
                self.faults.push(Fault::Unknown { name: key, hint, source_of });
            }
        }
    }
}

fn raw(kind: ValueKind) -> Raw {
    match kind {
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::I64(number) => Raw::Integer(number),
        ValueKind::Boolean(yes) => Raw::Boolean(yes),
        ValueKind::Array(items) => Raw::List(items.into_iter().map(|item| raw(item.kind)).collect()),
        ValueKind::Table(_) => Raw::Other("a table"),
        ValueKind::Float(ratio) => Raw::Fraction(ratio),
        _ => Raw::Other("a number out of range"),
    }
}

/// Every name that may be set: the settings, and for the secret ones the name of a file.
fn known_names() -> impl Iterator<Item = String> + Clone {
    super::table().flat_map(|setting| [Some(setting.key.to_owned()), setting.file_key()]).flatten()
}

/// The environment variable of a setting: two underscores a level.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Takes in the environment: variables that begin with `SIGNET__`, and those that would be a setting's but for the
/// number of underscores, which are faults. All others are not ours: Kubernetes sets `SIGNET_PORT` and more for a
/// service called signet.
pub(super) fn add_environment<K: Into<OsString>, V: Into<OsString>>(
    layers: &mut Layers,
    environment: impl Iterator<Item = (K, V)>,
    faults: &mut Vec<Fault>,
) {
    let known: BTreeMap<String, String> = known_names().map(|key| (variable(&key), key)).collect();
    let mut ours: Vec<(String, OsString)> = environment
        .map(|(name, value)| (name.into().to_string_lossy().into_owned(), value.into()))
        .filter(|(name, _)| begins_like_ours(name) || misspelt(name, &known).is_some())
        .collect();
    ours.sort();
    for (name, value) in ours {
        if let Some(right) = misspelt(&name, &known) {
            let hint = Hint::Name(right.to_owned());
            faults.push(Fault::UnknownVariable { name, hint });
            continue;
        }
        let Some(key) = known.get(&name) else {
            let upper = name.to_ascii_uppercase();
            let hint = match nearest(&upper, "__", known.keys().map(String::as_str)) {
                Some(variable) => Hint::Name(variable.to_owned()),
                None => hint_of_section(&upper.trim_start_matches(PREFIX).replace("__", ".").to_ascii_lowercase()),
            };
            faults.push(Fault::UnknownVariable { name, hint });
            continue;
        };
        let source = Source::Environment(name);
        match value.into_string() {
            Ok(text) => {
                layers.insert(key.clone(), Given { raw: Raw::Untyped(text), source });
            }
            Err(_) => faults.push(Fault::Value {
                key: key.clone(),
                source_of: source,
                problem: "is not UTF-8 text".to_owned(),
            }),
        }
    }
}

/// What to say of a name that resembles no setting: whether its section is one.
fn hint_of_section(key: &str) -> Hint {
    let Some((section, _)) = key.split_once('.') else { return Hint::Nothing };
    let names = super::table().filter_map(|setting| setting.key.split_once('.'));
    let sections: BTreeSet<&str> = names.map(|(section, _)| section).collect();
    match nearest(section, ".", sections.iter().copied()) {
        Some(section) => Hint::Within(section.to_owned()),
        None => Hint::Sections(sections.into_iter().map(str::to_owned).collect()),
    }
}

fn begins_like_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The variable of `known` that `name` is but for the length of a group of underscores: `SIGNET_PUBLIC_BIND`.
fn misspelt<'a>(name: &str, known: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let groups = |name: &str| name.split('_').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if known.contains_key(name) || !name.starts_with("SIGNET_") {
        return None;
    }
    let written = groups(name);
    known.keys().find(|right| groups(right) == written).map(String::as_str)
}

/// Puts the contents of named files in place of `…_file` settings; both at once is a fault.
pub(super) fn add_secret_files(layers: &mut Layers, cwd: &Path, faults: &mut Vec<Fault>) {
    for setting in super::table() {
        let Some((file_key, named)) = setting.file_key().and_then(|key| layers.remove_entry(&key)) else {
            continue;
        };
        if let Some(direct) = layers.get(setting.key) {
            faults.push(both(setting.key, &direct.source, &file_key, &named.source));
            continue;
        }
        let problem = match &named.raw {
            Raw::Untyped(path) | Raw::Text(path) if !path.is_empty() => {
                match secret_of_file(&cwd.join(path)) {
                    Ok(text) => {
                        let file = path.clone();
                        let within = Box::new(named.source);
                        let source = Source::NamedFile { file, named_by: file_key, within };
                        let given = Given { raw: Raw::Untyped(text), source };
                        layers.insert(setting.key.to_owned(), given);
                        continue;
                    }
                    // The name is not repeated: it may be the secret itself, put where its file belongs.
                    Err(problem) => format!("names a file that {problem}"),
                }
            }
            _ => "must be the path of a file".to_owned(),
        };
        faults.push(Fault::Value { key: file_key, source_of: named.source, problem });
        // So that the default does not take its place, and the setting itself is not blamed as well.
        layers.insert(setting.key.to_owned(), Given { raw: Raw::Other(FAULTED), source: Source::Default });
    }
}

/// Marks a value that could not be had and has been reported.
pub(super) const FAULTED: &str = "";

pub(super) fn both(key: &str, direct: &Source, file_key: &str, file: &Source) -> Fault {
    Fault::Both {
        key: key.to_owned(),
        source_of: direct.clone(),
        file_key: file_key.to_owned(),
        file_source: file.clone(),
    }
}

/// Reads a secret from a regular file that not everybody may read, without the newline that editors leave.
fn secret_of_file(path: &Path) -> Result<String, String> {
    let unreadable = |e: std::io::Error| format!("can't be read: {e}");
    // Before it is opened, as opening a named pipe waits for whoever writes to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o007 != 0 {
            return Err("everybody may read: take that away (chmod o-r)".to_owned());
        }
    }
    if metadata.len() > SECRET_FILE_LIMIT {
        return Err("is too large for a secret".to_owned());
    }
    let mut text = String::new();
    let mut limited = std::io::Read::take(file, SECRET_FILE_LIMIT);
    std::io::Read::read_to_string(&mut limited, &mut text).map_err(unreadable)?;
    let kept = text.trim_end_matches(['\r', '\n']).len();
    if kept == 0 {
        return Err("is empty".to_owned());
    }
    text.truncate(kept);
    Ok(text)
}
