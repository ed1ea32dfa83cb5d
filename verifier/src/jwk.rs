//! Public keys as JSON ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)): [`PublicJwk`].
//!
//! The type has room for public members only, so nothing private can be serialised from it; a JWK that bears a
//! private or symmetric member is refused when read, not silently cut down. A key that was read is sound: RSA of
//! 2048 to 8192 bits, EC points on their curve, no Ed25519 point of small order.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{Algorithm, JwkError, PublicKey, algorithm::EDDSA, base64url};

/// Members that would give a private or symmetric key away
/// ([RFC 7518 §6](https://www.rfc-editor.org/rfc/rfc7518#section-6),
/// [RFC 8037 §2](https://www.rfc-editor.org/rfc/rfc8037#section-2),
/// [RFC 9964](https://www.rfc-editor.org/rfc/rfc9964)).
pub const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// The longest `kid` that is taken, in bytes.
const MAX_KID: usize = 512;

/// A public key for signatures, with its name and its one algorithm where the JWK states them.
///
/// ```
/// use signet_verify::PublicJwk;
///
/// let jwk = PublicJwk::parse(&serde_json::json!({
///     "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
/// }))?;
/// assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), signet_verify::JwkError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicJwk {
    /// The name of the key in its set.
    pub kid: Option<String>,
    /// The one algorithm that the key is for.
    pub algorithm: Option<Algorithm>,
    /// The key itself.
    pub key: PublicKey,
}

impl PublicJwk {
    /// Reads a JWK. Members that are not understood are
    /// [ignored](https://www.rfc-editor.org/rfc/rfc7517#section-4); `alg: EdDSA` on curve Ed25519 is read as
    /// [`Algorithm::Ed25519`].
    ///
    /// # Errors
    /// When it bears a private member, is of an unsupported kind, lacks a required member, is not for signatures, or
    /// holds values that make no sound key.
    pub fn parse(jwk: &Value) -> Result<Self, JwkError> {
        let members = jwk.as_object().ok_or(JwkError::NotAnObject)?;
        // https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata: never private or symmetric.
        if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|name| members.contains_key(*name)) {
            return Err(JwkError::PrivateMember(name));
        }
        let key = parse_key(members)?;
        check_purpose(members)?;
        let algorithm = match optional_text(members, "alg")? {
            None => None,
            Some(EDDSA) if matches!(key, PublicKey::Ed25519 { .. }) => Some(Algorithm::Ed25519),
            Some(name) => Some(Algorithm::from_name(name).ok_or(JwkError::UnsupportedAlgorithm)?),
        };
        if let Some(algorithm) = algorithm {
            key.check_algorithm(algorithm)?;
        }
        let kid = optional_text(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwkError::BadMember { member: "kid", problem: "is longer than 512 bytes" });
        }
        Ok(Self { kid: kid.map(str::to_owned), algorithm, key })
    }

    /// The SHA-256 thumbprint ([RFC 7638 §3](https://www.rfc-editor.org/rfc/rfc7638#section-3)): 43 characters of
    /// base64url. It depends on the key alone, not on `kid` or `alg`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url::encode(digest::digest(&digest::SHA256, canonical_json(&self.key).as_bytes()))
    }

    /// The JWK as JSON: the public values, `kid` and `alg` where they are set, and then also `use: "sig"`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let owned = |(name, value): (&str, Cow<'_, str>)| (name.to_owned(), Value::String(value.into_owned()));
        Value::Object(self.members().into_iter().map(owned).collect())
    }

    fn members(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let mut members = required_members(&self.key);
        if let Some(kid) = &self.kid {
            members.push(("kid", kid.into()));
        }
        if let Some(algorithm) = self.algorithm {
            members.push(("alg", algorithm.name().into()));
        }
        if self.kid.is_some() || self.algorithm.is_some() {
            members.push(("use", "sig".into()));
        }
        members
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.members();
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, value) in &members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn parse_key(members: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let key = match (required_text(members, "kty")?, optional_text(members, "crv")?) {
        ("RSA", _) => PublicKey::Rsa { n: integer(members, "n")?, e: integer(members, "e")? },
        ("EC", Some("P-256")) => PublicKey::P256 { x: octets(members, "x")?, y: octets(members, "y")? },
        ("EC", Some("P-384")) => PublicKey::P384 { x: octets(members, "x")?, y: octets(members, "y")? },
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519 { x: octets(members, "x")? },
        ("EC" | "OKP", Some(_)) => return Err(JwkError::UnsupportedCurve),
        ("EC" | "OKP", None) => return Err(JwkError::MissingMember("crv")),
        _ => return Err(JwkError::UnsupportedKeyType),
    };
    // Any of its algorithms will do: the point or the modulus is what is examined.
    key.parsed(key.algorithms()[0])?;
    Ok(key)
}

/// The members of [RFC 7638 §3.2](https://www.rfc-editor.org/rfc/rfc7638#section-3.2) with their values, in the
/// lexicographic order that a thumbprint needs.
fn required_members(key: &PublicKey) -> Vec<(&'static str, Cow<'static, str>)> {
    let text = |octets: &[u8]| Cow::Owned(base64url::encode(octets));
    let curve = |crv, kty| [("crv", Cow::Borrowed(crv)), ("kty", Cow::Borrowed(kty))];
    let ec = |crv, x, y| [&curve(crv, "EC")[..], &[("x", text(x)), ("y", text(y))]].concat();
    match key {
        PublicKey::Rsa { n, e } => vec![("e", text(e)), ("kty", "RSA".into()), ("n", text(n))],
        PublicKey::P256 { x, y } => ec("P-256", x, y),
        PublicKey::P384 { x, y } => ec("P-384", x, y),
        PublicKey::Ed25519 { x } => [&curve("Ed25519", "OKP")[..], &[("x", text(x))]].concat(),
    }
}

/// The text that a thumbprint digests. No value needs escaping: all are names of ours or base64url.
fn canonical_json(key: &PublicKey) -> String {
    let pair = |(name, value): (&str, Cow<'_, str>)| format!("\"{name}\":\"{value}\"");
    let pairs: Vec<String> = required_members(key).into_iter().map(pair).collect();
    format!("{{{}}}", pairs.join(","))
}

/// [RFC 7517 §4.2 and §4.3](https://www.rfc-editor.org/rfc/rfc7517#section-4.2): a key with a stated purpose is for
/// that purpose only.
fn check_purpose(members: &Map<String, Value>) -> Result<(), JwkError> {
    if optional_text(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::NotForSignatures("use"));
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err(JwkError::NotForSignatures("key_ops")),
    }
}

fn optional_text<'a>(members: &'a Map<String, Value>, member: &'static str) -> Result<Option<&'a str>, JwkError> {
    match members.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::BadMember { member, problem: "is not a string" }),
    }
}

fn required_text<'a>(members: &'a Map<String, Value>, member: &'static str) -> Result<&'a str, JwkError> {
    optional_text(members, member)?.ok_or(JwkError::MissingMember(member))
}

fn octets<const N: usize>(members: &Map<String, Value>, member: &'static str) -> Result<[u8; N], JwkError> {
    base64url::decode_array(required_text(members, member)?)
        .map_err(|_| JwkError::BadMember { member, problem: "is not base64url of the length that the curve asks for" })
}

/// [RFC 7518 §2](https://www.rfc-editor.org/rfc/rfc7518#section-2), `Base64urlUInt`: the fewest octets possible.
fn integer(members: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let octets = base64url::decode(required_text(members, member)?)
        .map_err(|_| JwkError::BadMember { member, problem: "is not base64url" })?;
    match octets.first() {
        None => Err(JwkError::BadMember { member, problem: "is empty" }),
        Some(0) => Err(JwkError::BadMember { member, problem: "begins with a zero octet" }),
        Some(_) => Ok(octets),
    }
}
