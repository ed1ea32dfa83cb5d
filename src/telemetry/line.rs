//! How one line of the log is written: JSON or text, into a buffer that the thread keeps.
//!
//! Guarantees: nothing is allocated for a JSON line once the buffer has grown; a field can neither end its line nor its
//! quotes, steer a terminal or turn the direction of text; no field is longer than [`FIELD_LIMIT`].

use std::fmt::{self, Debug, Write};

use tracing::Level;
use tracing::field::{Field, Visit};

use super::Format;
use crate::ports::Timestamp;

/// The most bytes of one field; the rest is cut and marked by `…`.
pub(super) const FIELD_LIMIT: usize = 4096;

/// The form of a line, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A JSON object.
    Json,
    /// Text for people.
    Text {
        /// With the colours of a terminal.
        colour: bool,
    },
}

impl Style {
    pub(super) fn of(format: Format, is_terminal: bool, colour: bool) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Auto if !is_terminal => Self::Json,
            Format::Auto | Format::Text => Self::Text { colour },
        }
    }
}

/// The rendered second of the last line: a date is worked out once a second, not once a line.
#[derive(Debug, Default)]
pub(super) struct Dated {
    secs: Option<i64>,
    /// `{"time":"2026-11-22T00:29:54`, as a JSON line begins.
    text: String,
}

/// What stands before the date in [`Dated`].
const TIME: &str = "{\"time\":\"";

impl Dated {
    fn second(&mut self, now: Timestamp) -> &str {
        if self.secs != Some(now.secs()) {
            self.secs = Some(now.secs());
            self.text.clear();
            // Writing to a string can't fail.
            let _ = write!(self.text, "{TIME}{now}");
            // The milliseconds come before the `Z`.
            self.text.pop();
        }
        &self.text
    }
}

/// Writes what stands before the fields of a line.
pub(super) fn begin(out: &mut String, style: Style, dated: &mut Dated, now: Timestamp, level: Level, target: &str) {
    match style {
        Style::Json => {
            push_time(out, dated, now);
            out.push_str("\",\"level\":\"");
            out.push_str(level.as_str());
            out.push_str("\",\"target\":\"");
            escape(out, target, Escape::Json);
            out.push('"');
        }
        Style::Text { colour } => {
            let (dim, paint, plain) = if colour { ("\u{1b}[2m", paint(level), "\u{1b}[0m") } else { ("", "", "") };
            let second = dated.second(now);
            let time = second.rsplit_once('T').map_or(second, |(_, time)| time);
            let _ = write!(out, "{dim}{time}Z{plain} {paint}{:<5}{plain}", level.as_str());
            if target != "signet" && !target.starts_with("signet::") {
                let _ = write!(out, " {dim}{target}:{plain}");
            }
        }
    }
}

/// Begins a JSON line with its time, up to the quote that ends it.
pub(super) fn push_time(out: &mut String, dated: &mut Dated, now: Timestamp) {
    out.push_str(dated.second(now));
    let millis = now.millis().rem_euclid(1000).unsigned_abs();
    out.push('.');
    for place in [100, 10, 1] {
        out.push(digit(millis / place));
    }
    out.push('Z');
}

fn paint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[1;31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

/// Ends a line.
pub(super) fn end(out: &mut String, style: Style) {
    out.push_str(match style {
        Style::Json => "}\n",
        Style::Text { .. } => "\n",
    });
}

/// The line that says how many were lost.
pub(super) fn dropped(style: Style, now: Timestamp, lines: u64) -> String {
    let mut out = String::new();
    begin(&mut out, style, &mut Dated::default(), now, Level::WARN, "signet::telemetry");
    let message = "log lines were dropped: what reads the log is too slow";
    match style {
        Style::Json => {
            let _ = write!(out, ",\"message\":\"{message}\",\"dropped\":{lines}");
        }
        Style::Text { .. } => {
            let _ = write!(out, " {message} dropped={lines}");
        }
    }
    end(&mut out, style);
    out
}

/// Writes the fields of an event or a span.
pub(super) struct Fields<'a> {
    pub(super) out: &'a mut String,
    pub(super) style: Style,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        match self.style {
            Style::Json => {
                self.out.push_str(",\"");
                escape(self.out, name, Escape::Json);
                if matches!(name, "time" | "level" | "target" | "dropped") {
                    self.out.push('_');
                }
                self.out.push_str("\":");
            }
            Style::Text { .. } if name == "message" => self.out.push(' '),
            Style::Text { colour } => {
                let (dim, plain) = if colour { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
                self.out.push(' ');
                self.out.push_str(dim);
                escape(self.out, name, Escape::Bare);
                self.out.push('=');
                self.out.push_str(plain);
            }
        }
    }

    fn plain(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.name(field);
        let _ = self.out.write_fmt(value);
    }

    fn text(&mut self, field: &Field, value: &str) {
        self.name(field);
        let (kept, cut) = clip(value, FIELD_LIMIT);
        let how = match self.style {
            Style::Json => Escape::Json,
            Style::Text { .. } if field.name() == "message" => Escape::Bare,
            Style::Text { .. } if cut || needs_quotes(kept) => Escape::Quoted,
            Style::Text { .. } => Escape::Bare,
        };
        let quote = if how == Escape::Bare { "" } else { "\"" };
        self.out.push_str(quote);
        escape(self.out, kept, how);
        self.out.push_str(if cut { "…" } else { "" });
        self.out.push_str(quote);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.plain(field, format_args!("{value}")),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        push_number(self.out, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.text(field, &value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.text(field, &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers.
        if value.is_finite() {
            self.plain(field, format_args!("{value:?}"));
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.style == Style::Json {
            self.name(field);
            self.out.push('"');
            let mut escaped = Escaped { out: self.out, left: FIELD_LIMIT };
            // A value that fails to format itself keeps what it wrote: the line stays whole.
            let _ = write!(escaped, "{value:?}");
            self.out.push('"');
        } else {
            let mut text = String::new();
            let _ = write!(text, "{value:?}");
            // The text of `?value` brings its own quotes.
            match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inner) if text.len() < FIELD_LIMIT && is_quoted_whole(inner) => {
                    self.name(field);
                    escape(self.out, &text, Escape::Bare);
                }
                _ => self.text(field, &text),
            }
        }
    }
}

fn digit(number: u64) -> char {
    char::from(b'0' + u8::try_from(number % 10).unwrap_or(0))
}

/// Appends a number.
pub(super) fn push_number(out: &mut String, number: u64) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(digit(number));
}

/// `text` up to `limit` bytes, and whether some was cut.
fn clip(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    (text.get(..end).unwrap_or(""), true)
}

/// Whether the text between two quotes holds no bare one.
fn is_quoted_whole(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '"' || (c == '\\' && chars.next().is_none()) {
            return false;
        }
    }
    true
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.chars().any(|c| matches!(c, ' ' | '=') || !is_plain(c))
}

/// Whether a character may stand in a line as it is.
fn is_plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '"' | '\\' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// Within the quotes of JSON.
    Json,
    /// Within the quotes of text.
    Quoted,
    /// Without quotes.
    Bare,
}

/// By first byte: characters that are plain without a closer look.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut b = 0x20;
    while b < 256 {
        // U+0080 to U+00BF begin with C2, U+2000 to U+2FFF with E2.
        plain[b] = !matches!(b, 0x22 | 0x5c | 0x7f | 0xc2 | 0xe2);
        b += 1;
    }
    plain
};

/// Whether all of `text` is ASCII that is plain in every form, as nearly every text is. Eight bytes at a time: a line
/// has some twenty texts, and logging is on the path of every request.
fn is_all_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| odd | odd_bytes(u64::from_le_bytes(*word)));
    // The last bytes once more as a whole word, or a short text filled up.
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(u64::from_le_bytes([b' '; 8]), |word, b| word << 8 | u64::from(*b)),
    };
    odd | odd_bytes(last) == 0
}

/// Not zero when one of eight bytes is a control character, a quote, a backslash or not ASCII.
fn odd_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    // The high bit of a byte is set by the subtraction when that byte is below `bound` (a borrow may set it above one
    // that is, which is as odd as the word).
    let any_below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let any_is = |b: u8| any_below(word ^ (ONES * u64::from(b)), 1);
    (word | any_below(word, 0x20) | any_is(b'"') | any_is(b'\\') | any_is(0x7f)) & (ONES << 7)
}

fn escape(out: &mut String, text: &str, how: Escape) {
    if is_all_plain(text) {
        return out.push_str(text);
    }
    let mut from = 0;
    for (at, b) in text.bytes().enumerate() {
        if PLAIN.get(usize::from(b)).copied().unwrap_or(false) {
            continue;
        }
        // Only first bytes are not plain, so `at` is the beginning of a character.
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { continue };
        if is_plain(c) || (how == Escape::Bare && matches!(c, '"' | '\\')) {
            continue;
        }
        out.push_str(text.get(from..at).unwrap_or(""));
        from = at + c.len_utf8();
        match (c, how) {
            ('\n', _) => out.push_str("\\n"),
            ('\r', _) => out.push_str("\\r"),
            ('\t', _) => out.push_str("\\t"),
            ('"', _) => out.push_str("\\\""),
            ('\\', _) => out.push_str("\\\\"),
            (c, Escape::Json) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            (c, _) => out.extend(c.escape_unicode()),
        }
    }
    out.push_str(text.get(from..).unwrap_or(""));
}

/// Appends text that stands between quotes, in either form.
pub(super) fn push_text(out: &mut String, text: &str) {
    let (kept, cut) = clip(text, FIELD_LIMIT);
    escape(out, kept, Escape::Json);
    out.push_str(if cut { "…" } else { "" });
}

/// Takes what a value writes of itself, escaped for JSON, up to a limit.
struct Escaped<'a> {
    out: &'a mut String,
    left: usize,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (kept, cut) = clip(text, self.left);
        escape(self.out, kept, Escape::Json);
        if cut {
            self.out.push('…');
            self.left = 0;
            // Nothing that follows would be kept.
            return Err(fmt::Error);
        }
        self.left -= kept.len();
        Ok(())
    }
}
