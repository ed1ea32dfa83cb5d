//! Signed tokens in [compact form](https://www.rfc-editor.org/rfc/rfc7515#section-7.1), read in an order that types
//! enforce.
//!
//! [`Compact::parse`] takes the text apart and believes nothing. [`Compact::admit`] holds the header against the
//! caller's own rules. Only [`Admitted::verify`] gives a [`VerifiedJws`], and only that gives claims to rely on.
//! Nothing in the header chooses a key by itself: `jku`, `x5u`, `jwk` and `x5c` are never looked at.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    Algorithm, AllowedAlgorithms, Claims, UnverifiedClaims, VerifyError, VerifyingKey, base64url,
    json::{self, JsonError},
};

/// The longest token that is read, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The most members that a header may have: they are compared with one another before anything is verified.
const MAX_HEADER_MEMBERS: usize = 32;

/// Room for the signature of an RSA key of 2048 bits, in base64url; shorter ones fit, longer ones make it grow.
const SIGNATURE_ROOM: usize = base64url::encoded_len(256);

/// Which `typ` a token must have.
///
/// Values are compared without regard to case, and one without a slash is read
/// [as if `application/` stood before it](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypRule<'a> {
    /// Exactly this type ([RFC 8725 §3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)).
    Explicit(&'a str),
    /// None, `JWT`, or this type: for kinds that are older than explicit typing, such as client assertions.
    UntypedOr(&'a str),
    /// None or `JWT`: for kinds that have no type of their own, such as ID tokens.
    Untyped,
}

impl TypRule<'_> {
    /// Whether a token with this `typ` passes.
    ///
    /// ```
    /// use signet_verify::TypRule;
    ///
    /// assert!(TypRule::Explicit("at+jwt").admits(Some("application/AT+JWT")));
    /// assert!(!TypRule::Explicit("at+jwt").admits(Some("JWT")));
    /// assert!(TypRule::UntypedOr("client-authentication+jwt").admits(None));
    /// assert!(!TypRule::UntypedOr("client-authentication+jwt").admits(Some("dpop+jwt")));
    /// ```
    #[must_use]
    pub fn admits(self, typ: Option<&str>) -> bool {
        let is = |expected: &str| typ.is_some_and(|typ| same_type(typ, expected));
        let untyped = typ.is_none() || is("JWT");
        match self {
            Self::Explicit(expected) => is(expected),
            Self::UntypedOr(expected) => untyped || is(expected),
            Self::Untyped => untyped,
        }
    }
}

fn same_type(one: &str, other: &str) -> bool {
    short_type(one).eq_ignore_ascii_case(short_type(other))
}

/// The type without the `application/` that may be left out.
fn short_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// A token taken apart. Nothing in it is verified.
///
/// ```
/// use signet_verify::{AllowedAlgorithms, Compact, TypRule, VerifyError};
///
/// // {"alg":"none"} . {} . (nothing)
/// let compact = Compact::parse("eyJhbGciOiJub25lIn0.e30.")?;
/// let refused = compact.admit(AllowedAlgorithms::ALL, TypRule::Untyped);
/// assert_eq!(refused.err(), Some(VerifyError::AlgorithmNotAllowed));
/// assert!(Compact::parse("a.b").is_err());
/// # Ok::<(), VerifyError>(())
/// ```
#[derive(Debug)]
pub struct Compact<'a> {
    signing_input: &'a [u8],
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The members of the header that are understood.
#[derive(Debug, Default)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    /// Whether it has `crit`, or `b64`, which means nothing without `crit`.
    critical: bool,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TooLarge`](VerifyError::TooLarge) above [`MAX_TOKEN`], [`Malformed`](VerifyError::Malformed) when it is not
    /// three segments of strict base64url of which the first is a header.
    pub fn parse(token: &'a str) -> Result<Self, VerifyError> {
        if token.len() > MAX_TOKEN {
            return Err(VerifyError::TooLarge);
        }
        // The alphabet of base64url and the two dots leave no room for any other character, and so none for the JSON
        // serialisations: https://www.rfc-editor.org/rfc/rfc7515#section-7.2
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(VerifyError::Malformed("it does not have three segments"));
        };
        let not_base64url = |_| VerifyError::Malformed("a segment is not base64url");
        let header_json = base64url::decode(header).map_err(not_base64url)?;
        Ok(Self {
            signing_input: &token.as_bytes()[..header.len() + 1 + payload.len()],
            payload: base64url::decode(payload).map_err(not_base64url)?,
            signature: base64url::decode(signature).map_err(not_base64url)?,
            header: Header::parse(&header_json)?,
        })
    }

    /// The `kid` that the token names: the choice of whoever made it.
    #[must_use]
    pub fn unverified_kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The claims as they stand, to find out whose key to ask. Nobody has vouched for them.
    ///
    /// # Errors
    /// When the payload is not one JSON object.
    pub fn unverified_claims(&self) -> Result<UnverifiedClaims, VerifyError> {
        Claims::parse(&self.payload).map(UnverifiedClaims::new)
    }

    /// Holds the header against the caller's rules: algorithm, then critical extensions, then type.
    ///
    /// # Errors
    /// [`AlgorithmNotAllowed`](VerifyError::AlgorithmNotAllowed), [`CriticalHeader`](VerifyError::CriticalHeader) or
    /// [`WrongType`](VerifyError::WrongType).
    pub fn admit(self, allowed: AllowedAlgorithms, typ: TypRule<'_>) -> Result<Admitted<'a>, VerifyError> {
        // https://www.rfc-editor.org/rfc/rfc8725#section-3.1
        let algorithm = self.header.alg.as_deref().and_then(|name| allowed.named(name));
        let algorithm = algorithm.ok_or(VerifyError::AlgorithmNotAllowed)?;
        // https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11: we understand no extension; an empty list, or one
        // of standard names, is an error itself.
        if self.header.critical {
            return Err(VerifyError::CriticalHeader);
        }
        // https://www.rfc-editor.org/rfc/rfc8725#section-3.11
        if !typ.admits(self.header.typ.as_deref()) {
            return Err(VerifyError::WrongType);
        }
        Ok(Admitted { compact: self, algorithm })
    }
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, VerifyError> {
        let mut header = Self::default();
        let mut names: Vec<Cow<'_, str>> = Vec::with_capacity(4);
        let mut fault = "the header is not one JSON object with distinct names";
        json::read_members(json, |name, value| {
            // https://www.rfc-editor.org/rfc/rfc7515#section-4
            if names.len() == MAX_HEADER_MEMBERS || names.contains(&name) {
                return Err(JsonError::DuplicateMember);
            }
            if !header.take(&name, value) {
                fault = "a member of the header has the wrong type";
                return Err(JsonError::Syntax);
            }
            names.push(name);
            Ok(())
        })
        .map_err(|_| VerifyError::Malformed(fault))?;
        if header.alg.is_none() {
            return Err(VerifyError::Malformed("the header has no \"alg\""));
        }
        Ok(header)
    }

    /// Keeps a member that is understood; false when it is of the wrong type.
    fn take(&mut self, name: &str, value: Value) -> bool {
        let text = match name {
            "alg" => &mut self.alg,
            "kid" => &mut self.kid,
            "typ" => &mut self.typ,
            "crit" | "b64" => {
                self.critical = true;
                return true;
            }
            // A JWE where a JWS is expected: https://www.rfc-editor.org/rfc/rfc7516#section-9
            "enc" => return false,
            _ => return true,
        };
        let Value::String(value) = value else {
            return false;
        };
        *text = Some(value);
        true
    }
}

/// A token whose header is as the caller asks. Its signature is still to be verified.
#[derive(Debug)]
pub struct Admitted<'a> {
    compact: Compact<'a>,
    algorithm: Algorithm,
}

impl Admitted<'_> {
    /// The algorithm of the token: one of those allowed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// See [`Compact::unverified_kid`].
    #[must_use]
    pub fn unverified_kid(&self) -> Option<&str> {
        self.compact.unverified_kid()
    }

    /// See [`Compact::unverified_claims`].
    ///
    /// # Errors
    /// When the payload is not one JSON object.
    pub fn unverified_claims(&self) -> Result<UnverifiedClaims, VerifyError> {
        self.compact.unverified_claims()
    }

    /// Verifies the signature over the bytes as they were received.
    ///
    /// # Errors
    /// [`KeyMismatch`](VerifyError::KeyMismatch) when the key is for another algorithm,
    /// [`BadSignature`](VerifyError::BadSignature) when the signature does not verify.
    pub fn verify(self, key: &VerifyingKey) -> Result<VerifiedJws, VerifyError> {
        if key.algorithm() != self.algorithm {
            return Err(VerifyError::KeyMismatch);
        }
        key.verify(self.compact.signing_input, &self.compact.signature)?;
        let Compact { header, payload, .. } = self.compact;
        Ok(VerifiedJws { algorithm: self.algorithm, kid: header.kid, payload })
    }
}

/// A token whose signature has been verified. Whether its claims suit the occasion is for the caller to check.
#[derive(Debug)]
pub struct VerifiedJws {
    algorithm: Algorithm,
    kid: Option<String>,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// The algorithm that the signature was verified with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of the header.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) fn into_kid(self) -> Option<String> {
        self.kid
    }

    /// The bytes that were signed for.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The claims that were signed for.
    ///
    /// # Errors
    /// When the payload is not one JSON object with distinct names
    /// ([RFC 7519 §4](https://www.rfc-editor.org/rfc/rfc7519#section-4)).
    pub fn claims(&self) -> Result<Claims, VerifyError> {
        Claims::parse(&self.payload)
    }
}

/// Writes a token: `header_b64`, which is base64url already, then `payload`, then what `sign` makes of both.
///
/// ```
/// let token = signet_verify::jws::encode("eyJhbGciOiJFUzI1NiJ9", b"{}", |input| {
///     assert_eq!(input, b"eyJhbGciOiJFUzI1NiJ9.e30");
///     Ok::<_, ()>(vec![1, 2, 3])
/// });
/// assert_eq!(token.as_deref(), Ok("eyJhbGciOiJFUzI1NiJ9.e30.AQID"));
/// ```
///
/// # Errors
/// Those of `sign`.
pub fn encode<E>(
    header_b64: &str,
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let room = header_b64.len() + base64url::encoded_len(payload.len()) + SIGNATURE_ROOM + 2;
    let mut token = String::with_capacity(room);
    token.push_str(header_b64);
    token.push('.');
    base64url::encode_into(payload, &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    base64url::encode_into(&signature, &mut token);
    Ok(token)
}
