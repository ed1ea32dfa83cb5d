//! Writing small JSON objects without a tree, for the token path.

/// Appends `"name":` after a comma where one is due. The name is one of ours, and needs no escaping.
pub(super) fn name(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a JSON string ([RFC 8259 §7](https://www.rfc-editor.org/rfc/rfc8259#section-7)).
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    // Looked through to the end, without leaving early: so it takes many bytes at a time.
    let plain = value.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'));
    if plain {
        out.extend_from_slice(value.as_bytes());
    } else {
        escaped(out, value);
    }
    out.push(b'"');
}

#[cold]
fn escaped(out: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

/// Appends a whole number.
pub(super) fn number(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut place = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        place -= 1;
        digits[place] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[place..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_and_number_reads_back_as_itself(value in any::<String>(), count in any::<i64>()) {
            let mut out = b"{".to_vec();
            name(&mut out, "t");
            text(&mut out, &value);
            name(&mut out, "n");
            number(&mut out, count);
            out.push(b'}');
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(&read["t"], &serde_json::json!(value));
            prop_assert_eq!(&read["n"], &serde_json::json!(count));
        }
    }
}
