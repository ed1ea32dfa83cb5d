//! JSON as JOSE needs it: one reading per text.
//!
//! Two parsers that read one text differently are an attack
//! ([RFC 7515 §10.12](https://www.rfc-editor.org/rfc/rfc7515#section-10.12)), so what could be read twice is refused:
//! duplicate member names at every level, bytes that are not UTF-8, a byte order mark, anything after the object.
//! Nesting is bounded by [`MAX_DEPTH`].

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest, the outermost object included.
pub const MAX_DEPTH: usize = 16;

/// Why a text is not one JSON object. No message repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The bytes are not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The text begins with a byte order mark.
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    /// The text is not JSON, or goes on after its end.
    #[error("it is not JSON")]
    Syntax,
    /// The text is JSON, but no object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A member name stands twice in one object.
    #[error("a member name occurs twice")]
    DuplicateMember,
    /// Arrays and objects nest deeper than [`MAX_DEPTH`].
    #[error("it nests too deeply")]
    TooDeep,
}

/// Reads one JSON object.
///
/// ```
/// use signet_verify::json::{self, JsonError};
///
/// assert_eq!(json::parse_object(br#"{"sub":"a"}"#)?["sub"], "a");
/// assert_eq!(json::parse_object(br#"{"sub":"a","sub":"b"}"#), Err(JsonError::DuplicateMember));
/// assert_eq!(json::parse_object(br#"["sub"]"#), Err(JsonError::NotAnObject));
/// # Ok::<(), JsonError>(())
/// ```
///
/// # Errors
/// When the bytes are not exactly one JSON object with one reading.
pub fn parse_object(json: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut members = Map::new();
    read_members(json, |name, value| match members.insert(name.into_owned(), value) {
        None => Ok(()),
        Some(_) => Err(JsonError::DuplicateMember),
    })?;
    Ok(members)
}

/// Reads one JSON object and hands each of its members to `member`, which must refuse a name that it had before.
pub(crate) fn read_members<'j>(
    json: &'j [u8],
    member: impl FnMut(Cow<'j, str>, Value) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let text = std::str::from_utf8(json).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    // serde's errors carry text only, and text of the input at that: what is wrong is noted beside them.
    let fault = Cell::new(JsonError::Syntax);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_any(Members { member, fault: &fault })
        .and_then(|()| deserializer.end())
        .map_err(|_| fault.get())
}

/// Notes what is wrong and stops serde.
fn stop<E: de::Error>(fault: &Cell<JsonError>, error: JsonError) -> E {
    fault.set(error);
    E::custom(error)
}

/// The outermost object.
struct Members<'f, F> {
    member: F,
    fault: &'f Cell<JsonError>,
}

impl<'j, F: FnMut(Cow<'j, str>, Value) -> Result<(), JsonError>> Visitor<'j> for Members<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // serde comes here only to say that it met something else.
        self.fault.set(JsonError::NotAnObject);
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(mut self, mut map: A) -> Result<(), A::Error> {
        let fault = self.fault;
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value_seed(Strict { depth: 1, fault })?;
            (self.member)(name, value).map_err(|error| stop(fault, error))?;
        }
        Ok(())
    }
}

/// A member name, borrowed from the text unless it is written with escapes.
struct Name;

impl<'j> DeserializeSeed<'j> for Name {
    type Value = Cow<'j, str>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'j> Visitor<'j> for Name {
    type Value = Cow<'j, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'j str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Any value inside `depth` arrays and objects.
#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    fault: &'f Cell<JsonError>,
}

impl Strict<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(stop(self.fault, JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'j> DeserializeSeed<'j> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'j> Visitor<'j> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| stop(self.fault, JsonError::Syntax));
        number.map(Value::Number)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value_seed(inner)?;
            if members.insert(name.into_owned(), value).is_some() {
                return Err(stop(self.fault, JsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        let inner = depth - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    }

    #[test]
    fn a_text_with_two_readings_is_refused() {
        let cases: [(&[u8], JsonError); 14] = [
            (br#"{"a":1,"a":1}"#, JsonError::DuplicateMember),
            (br#"{"a":1,"\u0061":2}"#, JsonError::DuplicateMember),
            (br#"{"a":{"b":1,"b":2}}"#, JsonError::DuplicateMember),
            (br#"{"a":[{"b":1,"b":2}]}"#, JsonError::DuplicateMember),
            (b"\xef\xbb\xbf{}", JsonError::ByteOrderMark),
            (b"{\"a\":\"\xff\"}", JsonError::NotUtf8),
            (br#"{"a":"\ud800"}"#, JsonError::Syntax),
            (br#"{"a":1e400}"#, JsonError::Syntax),
            (br#"{"a":NaN}"#, JsonError::Syntax),
            (br#"{"a":1,}"#, JsonError::Syntax),
            (br"{}{}", JsonError::Syntax),
            (b"{}\0", JsonError::Syntax),
            (b"", JsonError::Syntax),
            (br#"{"a":1"#, JsonError::Syntax),
        ];
        for (json, error) in cases {
            let shown = String::from_utf8_lossy(json);
            assert_eq!(parse_object(json), Err(error), "{shown}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["null", "[]", "1", "-1", "1.5", "\"a\"", "true"] {
            assert_eq!(parse_object(json.as_bytes()), Err(JsonError::NotAnObject), "{json}");
        }
    }

    #[test]
    fn nesting_ends_at_its_bound() {
        assert!(parse_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(parse_object(nested(100_000).as_bytes()), Err(JsonError::TooDeep));
        let objects = format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17));
        assert_eq!(parse_object(objects.as_bytes()), Err(JsonError::TooDeep));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse_object(&bytes);
        }

        #[test]
        fn it_reads_what_serde_json_reads(text in r#"\{("[ab]":([0-9]|"x"|null|\[1\]|\{"c":-1\.5\})(,"[cd]":(true|2))?)?\}"#) {
            let read = parse_object(text.as_bytes()).unwrap();
            prop_assert_eq!(Value::Object(read), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
