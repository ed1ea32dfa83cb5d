//! A setting in the report: its value, redacted where it is secret, and where it came from.

use serde_json::Value as Json;

use super::fault::{Source, one_line};

/// A setting as an operator may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The dotted name.
    pub key: &'static str,
    /// The value, redacted where it is secret; null when it is not set.
    pub value: Json,
    /// Where it came from.
    pub source: Source,
}

impl Entry {
    pub(super) fn text(&self) -> String {
        match &self.value {
            Json::Null => "(not set)".to_owned(),
            Json::String(text) => one_line(text),
            Json::Array(items) if items.is_empty() => "(none)".to_owned(),
            Json::Array(items) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or_default());
                items.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }
}
