//! Lists by page.

use serde::Serialize;

use super::Admin;
use super::cursor::Listing;
use super::query::Query;
use crate::http::answer::Answer;
use crate::http::error::Problem;

/// How many items a page has where nobody says.
const DEFAULT: u32 = 50;
/// How many it may have.
const MOST: u32 = 200;

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to send as `cursor` for the page after it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What every list knows, besides its filters.
pub(super) const PARAMETERS: [&str; 2] = ["page_size", "cursor"];

/// The page that a request asks for.
pub(super) struct Wanted<'q> {
    listing: Listing<'q>,
    size: u32,
    /// Where it begins: after this position, or at the beginning.
    pub(super) after: Option<String>,
}

impl<'q> Wanted<'q> {
    /// Reads which page of the list at `route` is wanted; `filters` are those that it knows.
    pub(super) fn read(
        admin: &Admin,
        route: &'static str,
        query: &'q Query,
        filters: &[&'static str],
    ) -> Result<Self, Problem> {
        let filters = filters.iter().filter_map(|name| query.get(name).map(|value| (*name, value)));
        let listing = Listing { route, filters: filters.collect() };
        let size = query.typed("page_size", "a whole number from 1 to 200", page_size)?.unwrap_or(DEFAULT);
        let after = query.get("cursor").map(|cursor| admin.cursors.open(&listing, cursor)).transpose()?;
        Ok(Self { listing, size, after })
    }

    /// How many items to read: one more than wanted, which tells whether another page follows.
    pub(super) const fn limit(&self) -> u32 {
        self.size + 1
    }

    /// The page of what was read, each with its position in the list.
    pub(super) fn page<T>(&self, admin: &Admin, read: Vec<(String, T)>) -> Page<T> {
        let size = self.size as usize;
        let is_last = read.len() <= size;
        let (mut items, mut last) = (Vec::with_capacity(size.min(read.len())), None);
        for (position, item) in read.into_iter().take(size) {
            items.push(item);
            last = Some(position);
        }
        let next = last.filter(|_| !is_last);
        Page { items, next_cursor: next.map(|position| self.cursor(admin, &position)) }
    }

    /// The cursor for what comes after `position`.
    pub(super) fn cursor(&self, admin: &Admin, position: &str) -> String {
        admin.cursors.seal(&self.listing, position)
    }
}

/// Digits alone: what other notations a parser takes is not for a caller to find out.
fn page_size(text: &str) -> Option<u32> {
    let size = text.parse().ok().filter(|size: &u32| (1..=MOST).contains(size))?;
    (size.to_string() == text).then_some(size)
}

/// The answer with `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    // Views are made of texts, numbers and lists: none of them fails.
    Answer::json(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_digits_within_bounds() {
        for (text, size) in [("1", 1), ("50", 50), ("200", 200)] {
            assert_eq!(page_size(text), Some(size));
        }
        for text in [
            "",
            "0",
            "-1",
            "201",
            "4294967296",
            "18446744073709551617",
            "1e2",
            "1.0",
            "+5",
            "05",
            " 5",
            "5 ",
            "٥",
            "ten",
            "0x10",
        ] {
            assert_eq!(page_size(text), None, "{text:?}");
        }
    }
}
