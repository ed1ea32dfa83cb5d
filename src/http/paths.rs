//! Which of a listener's paths a request names.
//!
//! Guarantees: a path is compared byte by byte and never rewritten, so whatever stands before this server and reads the
//! path agrees on what it names; what a parameter holds is decoded exactly once, or the path names nothing.

use std::borrow::Cow;

/// The paths of a listener.
#[derive(Debug)]
pub(super) struct Paths {
    /// Without parameters.
    exact: Vec<(Box<str>, usize)>,
    /// With parameters, the more exact ones first.
    open: Vec<(Vec<Segment>, usize)>,
}

/// What stands between two slashes of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// This very text.
    Exact(Box<str>),
    /// Anything. Stands after the text in order.
    Parameter,
}

/// The path that a request named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its place among the templates.
    pub(super) place: usize,
    /// What its parameters hold, decoded, in their order.
    pub(super) parameters: Vec<String>,
}

impl Paths {
    /// The paths of `templates`, in which a segment in braces is a parameter.
    pub(super) fn new<'a>(templates: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut exact, mut open) = (Vec::new(), Vec::new());
        for (place, template) in templates.into_iter().enumerate() {
            let segments: Vec<Segment> = template.split('/').map(Segment::of).collect();
            if segments.contains(&Segment::Parameter) {
                open.push((segments, place));
            } else {
                exact.push((template.into(), place));
            }
        }
        open.sort();
        Self { exact, open }
    }

    /// The template that `path` fits, as it was sent, without the query. Text goes before a parameter, whatever the
    /// methods: where one template has `rotate` and another `{kid}`, `rotate` names the first.
    pub(super) fn find(&self, path: &str) -> Option<Found> {
        if let Some((_, place)) = self.exact.iter().find(|(exact, _)| **exact == *path) {
            return Some(Found { place: *place, parameters: Vec::new() });
        }
        self.open
            .iter()
            .find_map(|(segments, place)| Some(Found { place: *place, parameters: parameters(segments, path)? }))
    }
}

impl Segment {
    fn of(text: &str) -> Self {
        let is_parameter = text.starts_with('{') && text.ends_with('}');
        if is_parameter { Self::Parameter } else { Self::Exact(text.into()) }
    }
}

/// What the parameters hold when `path` fits.
fn parameters(template: &[Segment], path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut sent = path.split('/');
    for segment in template {
        let sent = sent.next()?;
        match segment {
            Segment::Exact(text) if **text == *sent => {}
            Segment::Exact(_) => return None,
            Segment::Parameter => parameters.push(decoded(sent)?),
        }
    }
    sent.next().is_none().then_some(parameters)
}

/// A segment decoded once ([RFC 3986 §2.1](https://www.rfc-editor.org/rfc/rfc3986#section-2.1)); `None` for one that no
/// sound client writes: empty, with a broken escape, with control characters, not UTF-8. A slash may stand in it
/// encoded: identifiers of resources are addresses. Dots may not stand alone, because others take them for a step
/// ([§5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)), encoded too.
fn decoded(segment: &str) -> Option<String> {
    let text = match segment.contains('%') {
        false => Cow::Borrowed(segment),
        true => Cow::Owned(String::from_utf8(unescaped(segment.as_bytes())?).ok()?),
    };
    let names_something = !matches!(&*text, "" | "." | "..") && !text.chars().any(char::is_control);
    names_something.then(|| text.into_owned())
}

fn unescaped(segment: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut sent = segment.iter();
    while let Some(byte) = sent.next() {
        bytes.push(match byte {
            b'%' => hex(*sent.next()?)? << 4 | hex(*sent.next()?)?,
            byte => *byte,
        });
    }
    Some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEMPLATES: [&str; 8] = [
        "/keys",
        "/keys/{kid}",
        "/keys/rotate",
        "/keys/{kid}/activate",
        "/keys/rotate/{step}",
        "/{kind}/rotate/now",
        "/{kind}/{id}/{part}",
        "/",
    ];

    fn found(path: &str) -> Option<(&'static str, Vec<String>)> {
        Paths::new(TEMPLATES).find(path).map(|found| (TEMPLATES[found.place], found.parameters))
    }

    #[test]
    fn text_goes_before_a_parameter() {
        for (path, template, parameters) in [
            ("/", "/", &[][..]),
            ("/keys", "/keys", &[]),
            ("/keys/a", "/keys/{kid}", &["a"]),
            ("/keys/rotate", "/keys/rotate", &[]),
            ("/keys/Rotate", "/keys/{kid}", &["Rotate"]),
            ("/keys/%72otate", "/keys/{kid}", &["rotate"]),
            ("/keys/a/activate", "/keys/{kid}/activate", &["a"]),
            ("/keys/rotate/now", "/keys/rotate/{step}", &["now"]),
            ("/keys/rotate/activate", "/keys/rotate/{step}", &["activate"]),
            ("/x/rotate/now", "/{kind}/rotate/now", &["x"]),
            ("/x/rotate/then", "/{kind}/{id}/{part}", &["x", "rotate", "then"]),
        ] {
            let parameters = parameters.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(found(path), Some((template, parameters)), "{path}");
        }
    }

    #[test]
    fn a_path_written_in_another_way_is_another_path() {
        for path in [
            "",
            "*",
            "keys",
            "/Keys",
            "//keys",
            "/keys/",
            "/%6beys",
            "/keys%2fa",
            "/./keys",
            "/x/../keys",
            "/keys/a/",
            "//a/activate",
            "/keys//activate",
            "/keys/a//activate",
            "/keys/a/activate/",
            "/keys/a/b/c",
            "/x",
            "/x/y",
            "/keys/.",
            "/keys/..",
            "/keys/%2e%2E",
            "/keys/./activate",
            "/keys/%2e/activate",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_parameter_is_decoded_once_or_names_nothing() {
        for (sent, holds) in [
            ("a", "a"),
            ("a+b", "a+b"),
            ("a%20b", "a b"),
            ("%61", "a"),
            ("%2561", "%61"),
            ("%252F", "%2F"),
            ("https:%2F%2Fapi.example.com%2fv1", "https://api.example.com/v1"),
            ("%c3%A9", "é"),
            ("é", "é"),
            ("...", "..."),
            (".a", ".a"),
            ("{kid}", "{kid}"),
            ("%7Bkid%7D", "{kid}"),
            ("a;b=c", "a;b=c"),
            ("%3f%23", "?#"),
        ] {
            assert_eq!(decoded(sent).as_deref(), Some(holds), "{sent}");
        }
        for sent in [
            "",
            "%",
            "%6",
            "%zz",
            "%6g",
            "a%",
            "%+6",
            "%é",
            "%00",
            "a%00b",
            "%0d%0a",
            "%1f",
            "%7F",
            "%C2%85",
            "\0",
            "%ff",
            "%c3",
            "%c3a9",
            "%ed%a0%80",
            "%c0%af",
            "%f8%88%80%80%80",
        ] {
            assert_eq!(decoded(sent), None, "{sent}");
        }
    }

    /// The same, said as plainly as can be: of all templates that fit, the one with the earliest text.
    fn naive(templates: &[String], path: &str) -> Option<usize> {
        let sent: Vec<&str> = path.split('/').collect();
        let fits = |template: &&(usize, Vec<&str>)| {
            let is_parameter = |text: &str| text.starts_with('{');
            template.1.len() == sent.len()
                && template
                    .1
                    .iter()
                    .zip(&sent)
                    .all(|(text, sent)| if is_parameter(text) { decoded(sent).is_some() } else { text == sent })
        };
        let split: Vec<_> = templates.iter().map(|template| template.split('/').collect()).enumerate().collect();
        let fitting = split.iter().filter(fits);
        let rank = |template: &&(usize, Vec<&str>)| -> Vec<bool> {
            template.1.iter().map(|text| text.starts_with('{')).collect()
        };
        fitting.min_by_key(rank).map(|(place, _)| *place)
    }

    fn percent_encoded(text: &str, which: &[bool]) -> String {
        let mut which = which.iter().copied().cycle();
        text.bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() && !which.next().unwrap_or(false) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02x}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_path_found_is_the_one_that_a_naive_search_finds(
            templates in prop::collection::hash_set("(/(a|b|\\{x\\})){1,4}", 0..12),
            path in "(/(a|b|c|%61|%2f|%|\\.|)){0,4}",
        ) {
            let templates: Vec<String> = templates.into_iter().collect();
            let found = Paths::new(templates.iter().map(String::as_str)).find(&path);
            prop_assert_eq!(found.as_ref().map(|found| found.place), naive(&templates, &path));
            if let Some(Found { place, parameters }) = found {
                prop_assert_eq!(parameters.len(), templates[place].matches('{').count());
            }
        }

        #[test]
        fn whatever_is_encoded_comes_back_as_it_was(
            text in "[^\\p{Cc}]{1,20}",
            which in prop::collection::vec(any::<bool>(), 1..10),
        ) {
            // These mean another thing.
            prop_assume!(text != "." && text != ".." && text != "rotate");
            let path = format!("/keys/{}", percent_encoded(&text, &which));
            prop_assert_eq!(found(&path), Some(("/keys/{kid}", vec![text])));
        }

        #[test]
        fn no_path_makes_it_fail(path in ".*|[/%.a-f0-9]{0,20}") {
            let _ = found(&path);
        }
    }
}
