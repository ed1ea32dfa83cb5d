//! What can be wrong with the settings, and where each value came from.
//!
//! Guarantees: a fault names its key and its source, and never repeats the value of a secret.

use std::fmt;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A configuration file, named as it was found or given.
    File(String),
    /// An environment variable.
    Environment(String),
    /// The contents of a file which another setting names.
    NamedFile {
        /// The file.
        file: String,
        /// The setting that names it.
        named_by: String,
        /// Where that setting came from.
        within: Box<Source>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file) => f.write_str(&one_line(file)),
            Self::Environment(variable) => write!(f, "environment {}", one_line(variable)),
            Self::NamedFile { file, named_by, within } => {
                write!(f, "{} (named by {named_by} in {within})", one_line(file))
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A name that no setting has.
    #[error("unknown setting `{}` in {source_of}{}", one_line(.name), .hint)]
    Unknown {
        /// The name as written.
        name: String,
        /// What may have been meant.
        hint: Hint,
        /// Where it stands.
        source_of: Source,
    },
    /// An environment variable that begins like ours and names no setting.
    #[error("unknown environment variable `{}`{}", one_line(.name), .hint)]
    UnknownVariable {
        /// The variable's name.
        name: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A value that the setting can't have.
    #[error("`{key}` ({source_of}) {problem}")]
    Value {
        /// The setting.
        key: String,
        /// Where the value came from.
        source_of: Source,
        /// What is wrong: a sentence whose subject is the setting.
        problem: String,
    },
    /// A secret given both as itself and as a file.
    #[error("`{key}` ({source_of}) and `{file_key}` ({file_source}) exclude each other: keep one")]
    Both {
        /// The setting.
        key: String,
        /// Where it came from.
        source_of: Source,
        /// The setting that names a file for it.
        file_key: String,
        /// Where that one came from.
        file_source: Source,
    },
    /// A configuration file that can't be read.
    #[error("{} can't be read: {problem}", one_line(.file))]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// A configuration file that is not TOML.
    #[error("{}{} is not valid TOML: {problem}", one_line(.file), position(.at))]
    Syntax {
        /// The file.
        file: String,
        /// Line and column, from one, where known.
        at: Option<(usize, usize)>,
        /// What the parser says; it quotes nothing of the file.
        problem: String,
    },
}

/// What a person who wrote an unknown name may have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Nothing that is known.
    Nothing,
    /// The known name that it resembles most.
    Name(String),
    /// Something of the section that its own resembles most.
    Within(String),
    /// Its section is none of these.
    Sections(Vec<String>),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Name(name) => write!(f, ": did you mean `{name}`?"),
            Self::Within(section) => write!(f, ": no setting of `{section}` resembles it"),
            Self::Sections(known) => write!(f, ": there is no such section, known are {}", known.join(", ")),
        }
    }
}

fn position(at: &Option<(usize, usize)>) -> String {
    match at {
        Some((line, column)) => format!(", line {line}, column {column},"),
        None => String::new(),
    }
}

/// Everything that is wrong with the settings, found in one go. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// The faults, in the order of the sources and then of the settings.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

/// One fault is its sentence; several are a list below a line that counts them.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [fault] = self.0.as_slice() {
            return write!(f, "{fault}");
        }
        write!(f, "{} faults in the settings:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// `text` fit for one line of a message: control characters escaped, the rest of a long one left out.
pub(super) fn one_line(text: &str) -> String {
    line_of(text, 80)
}

/// The same with at most `length` characters.
pub(super) fn line_of(text: &str, length: usize) -> String {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == length {
            shown.push('…');
            break;
        }
        if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Which of `known` a person who wrote `name` may have meant: few slips apart, or the right last part elsewhere.
pub(super) fn nearest<'a>(
    name: &str,
    separator: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let slips = name.chars().count().div_ceil(4).clamp(1, 4);
    let close = known
        .clone()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, candidate)) = close {
        return Some(candidate);
    }
    // A slip in the section and another in the name, or the beginning of the name.
    if let Some(candidate) = nearest_by_parts(name, separator, known.clone()) {
        return Some(candidate);
    }
    let last = |whole: &str| whole.rsplit(separator).next().unwrap_or_default().to_owned();
    let mut elsewhere = known.filter(|candidate| last(candidate) == last(name));
    match (elsewhere.next(), elsewhere.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The known name whose parts, one by one, are those of `name` but for few slips in each, of which the last may be cut
/// short: `token.access` for `tokens.access_lifetime`.
fn nearest_by_parts<'a>(name: &str, separator: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written: Vec<&str> = name.split(separator).collect();
    let (last, sections) = written.split_last()?;
    let slips = |part: &str| part.chars().count().div_ceil(4).clamp(1, 4);
    let distance = |candidate: &str| {
        let parts: Vec<&str> = candidate.split(separator).collect();
        let (last_known, sections_known) = parts.split_last()?;
        if sections.len() != sections_known.len() {
            return None;
        }
        let mut sum = 0;
        for (part, right) in sections.iter().zip(sections_known) {
            sum += Some(strsim::osa_distance(part, right)).filter(|distance| *distance <= slips(part))?;
        }
        let is_begun = last.len() >= 3 && last_known.starts_with(last);
        let apart = strsim::osa_distance(last, last_known);
        (is_begun || apart <= slips(last)).then_some((sum, !is_begun, apart))
    };
    known.filter_map(|candidate| Some((distance(candidate)?, candidate))).min().map(|(_, candidate)| candidate)
}
