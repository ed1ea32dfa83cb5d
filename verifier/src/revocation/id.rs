//! Names as they are compared: [`Id`], and maps by them.

use std::collections::HashMap;

use crate::base64url;

/// A value of a claim that names something. Equal are those that are written alike; those that Signet gives, which are
/// UUIDs and 128 bits in base64url, are kept in 17 bytes.
///
/// ```
/// use signet_verify::revocation::Id;
///
/// let text = "0190a6c0-1f5e-7cc3-98c9-4c5a1b2d3e4f";
/// assert_eq!(Id::of(text), Id::uuid([1, 0x90, 0xa6, 0xc0, 0x1f, 0x5e, 0x7c, 0xc3, 0x98, 0xc9, 0x4c, 0x5a, 0x1b, 0x2d, 0x3e, 0x4f]));
/// assert_ne!(Id::of(text), Id::of(&text.to_uppercase()), "they are not written alike");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id<'a>(Form<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form<'a> {
    Packed(Packed),
    Text(&'a str),
}

/// 128 bits, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Packed {
    Uuid([u8; 16]),
    Base64Url([u8; 16]),
}

impl<'a> Id<'a> {
    /// The one that is written so.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self(match text.len() {
            36 => uuid(text.as_bytes()).map_or(Form::Text(text), |bytes| Form::Packed(Packed::Uuid(bytes))),
            // Only the canonical text of these bytes is read as them.
            22 => base64url::decode_array(text)
                .map_or(Form::Text(text), |bytes| Form::Packed(Packed::Base64Url(bytes))),
            _ => Form::Text(text),
        })
    }
}

impl Id<'_> {
    /// The one that is written as this UUID, with hyphens and in lower case.
    #[must_use]
    pub const fn uuid(bytes: [u8; 16]) -> Self {
        Self(Form::Packed(Packed::Uuid(bytes)))
    }

    /// The one that is written as these bytes in base64url.
    #[must_use]
    pub const fn base64url(bytes: [u8; 16]) -> Self {
        Self(Form::Packed(Packed::Base64Url(bytes)))
    }
}

/// The bytes of a UUID in lower case and with hyphens; `None` for anything else.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (mut bytes, mut nibbles) = ([0; 16], 0_usize);
    for (place, byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let slot = bytes.get_mut(nibbles / 2)?;
        *slot = (*slot << 4) | nibble(*byte)?;
        nibbles += 1;
    }
    (nibbles == 32).then_some(bytes)
}

/// A map by names.
#[derive(Debug, Clone)]
pub(super) struct Names<V> {
    packed: HashMap<Packed, V>,
    texts: HashMap<Box<str>, V>,
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self { packed: HashMap::new(), texts: HashMap::new() }
    }
}

impl<V: Default> Names<V> {
    pub(super) fn get(&self, id: Id<'_>) -> Option<&V> {
        match id.0 {
            Form::Packed(packed) => self.packed.get(&packed),
            Form::Text(text) => self.texts.get(text),
        }
    }

    /// What is there, or a new one.
    pub(super) fn entry(&mut self, id: Id<'_>) -> &mut V {
        match id.0 {
            Form::Packed(packed) => self.packed.entry(packed).or_default(),
            Form::Text(text) => self.texts.entry(text.into()).or_default(),
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.packed.retain(|_, value| keep(value));
        self.texts.retain(|_, value| keep(value));
    }

    /// About how many bytes it takes: a table has a byte beside each place, and 8 places for every 7 that are taken at most.
    pub(super) fn memory(&self) -> usize {
        let (packed, texts) = (size_of::<(Packed, V)>() + 1, size_of::<(Box<str>, V)>() + 1);
        let letters: usize = self.texts.keys().map(|text| text.len()).sum();
        self.packed.capacity() * packed * 8 / 7 + self.texts.capacity() * texts * 8 / 7 + letters
    }

    pub(super) fn len(&self) -> usize {
        self.packed.len() + self.texts.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_canonically_is_packed() {
        let uuid = "0190a6c0-1f5e-7cc3-98c9-4c5a1b2d3e4f";
        let sid = base64url::encode([7; 16]);
        for packed in [uuid, &sid] {
            assert!(matches!(Id::of(packed).0, Form::Packed(_)), "{packed}");
        }
        assert_eq!(Id::of(&sid), Id::base64url([7; 16]));
        assert_ne!(Id::uuid([7; 16]), Id::base64url([7; 16]));
        let upper = uuid.to_uppercase();
        let moved = "0190a6c01-f5e-7cc3-98c9-4c5a1b2d3e4f";
        let long = "0190a6c0-1f5e-7cc3-98c9-4c5a1b2d3e4é";
        // The last character of 22 has four bits that say nothing.
        let loose = format!("{}x", &sid[..21]);
        for text in [upper.as_str(), moved, long, &loose, "", "web", "client:web"] {
            assert!(matches!(Id::of(text).0, Form::Text(_)), "{text}");
        }
    }
}
