//! Claims of any kind of token, and the checks that kinds have in common.
//!
//! A claim is read with its type or refused; nothing is converted, so a date in a string is no date. Dates are
//! checked against the caller's clock: this crate has none.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    VerifyError,
    json::{self, JsonError},
};

/// The claims that every access token is asked for, kept apart so that reading them needs no search.
const KNOWN: [&str; 14] =
    ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "sid", "auth_time", "acr", "amr", "cnf"];

/// The place of a claim in [`KNOWN`].
fn known(name: &str) -> Option<usize> {
    KNOWN.iter().position(|known| *known == name)
}

/// A set of claims, with readers that insist on types.
///
/// ```
/// use std::time::Duration;
/// use signet_verify::{Claims, VerifyError};
///
/// let claims = Claims::parse(br#"{"iss":"https://id.example","exp":1000,"aud":["a","b"]}"#)?;
/// claims.check_issuer("https://id.example")?;
/// claims.check_audience("b")?;
/// claims.check_times(Duration::from_secs(999), Duration::ZERO)?;
/// assert_eq!(claims.required_text("sub"), Err(VerifyError::MissingClaim("sub")));
/// # Ok::<(), VerifyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    known: [Option<Value>; KNOWN.len()],
    others: Map<String, Value>,
}

impl Claims {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is not one JSON object with distinct names
    /// ([RFC 7519 §4](https://www.rfc-editor.org/rfc/rfc7519#section-4)).
    pub fn parse(payload: &[u8]) -> Result<Self, VerifyError> {
        let mut claims = Self::default();
        json::read_members(payload, |name, value| {
            let before = match known(&name) {
                Some(place) => claims.known[place].replace(value),
                None => claims.others.insert(name.into_owned(), value),
            };
            if before.is_some() { Err(JsonError::DuplicateMember) } else { Ok(()) }
        })
        .map_err(|error| {
            VerifyError::Malformed(match error {
                JsonError::NotUtf8 => "the claims are not UTF-8",
                JsonError::DuplicateMember => "a claim occurs twice",
                JsonError::TooDeep => "the claims nest too deeply",
                _ => "the claims are not one JSON object",
            })
        })?;
        Ok(claims)
    }

    /// A claim as it stands.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match known(name) {
            Some(place) => self.known[place].as_ref(),
            None => self.others.get(name),
        }
    }

    /// Takes a claim of [`KNOWN`] out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        known(name).and_then(|place| self.known[place].take())
    }

    /// The claims that are not of [`KNOWN`].
    pub(crate) fn into_others(self) -> Map<String, Value> {
        self.others
    }

    /// A claim that is a string, if it is there.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is no string.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, VerifyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(VerifyError::BadClaim(name)),
        }
    }

    /// A claim that must be there as a string.
    ///
    /// # Errors
    /// [`MissingClaim`](VerifyError::MissingClaim) or [`BadClaim`](VerifyError::BadClaim).
    pub fn required_text(&self, name: &'static str) -> Result<&str, VerifyError> {
        self.text(name)?.ok_or(VerifyError::MissingClaim(name))
    }

    /// A claim that is a date, if it is there.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is no [`NumericDate`].
    pub fn date(&self, name: &'static str) -> Result<Option<NumericDate>, VerifyError> {
        let date = |value| NumericDate::of(value).ok_or(VerifyError::BadClaim(name));
        self.get(name).map(date).transpose()
    }

    /// A claim that must be there as a date.
    ///
    /// # Errors
    /// [`MissingClaim`](VerifyError::MissingClaim) or [`BadClaim`](VerifyError::BadClaim).
    pub fn required_date(&self, name: &'static str) -> Result<NumericDate, VerifyError> {
        self.date(name)?.ok_or(VerifyError::MissingClaim(name))
    }

    /// The claim `aud`, if it is there.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is neither a string nor an array of strings.
    pub fn audience(&self) -> Result<Option<Audience>, VerifyError> {
        self.get("aud").cloned().map(Audience::of).transpose()
    }

    /// `iss` is exactly `issuer`
    /// ([RFC 9068 §4](https://www.rfc-editor.org/rfc/rfc9068#section-4)): no slash or case is overlooked.
    ///
    /// # Errors
    /// [`WrongIssuer`](VerifyError::WrongIssuer), or the claim is missing or bad.
    pub fn check_issuer(&self, issuer: &str) -> Result<(), VerifyError> {
        if self.required_text("iss")? == issuer { Ok(()) } else { Err(VerifyError::WrongIssuer) }
    }

    /// `aud` is `audience` or contains it
    /// ([RFC 7519 §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)); others may stand beside it.
    ///
    /// # Errors
    /// [`WrongAudience`](VerifyError::WrongAudience), or the claim is missing or bad.
    pub fn check_audience(&self, audience: &str) -> Result<(), VerifyError> {
        let meant = match self.get("aud").ok_or(VerifyError::MissingClaim("aud"))? {
            Value::String(only) => only == audience,
            Value::Array(all) if all.iter().all(Value::is_string) => all.iter().any(|one| one == audience),
            _ => return Err(VerifyError::BadClaim("aud")),
        };
        if meant { Ok(()) } else { Err(VerifyError::WrongAudience) }
    }

    /// The token is valid at `now` (time since the Unix epoch): `exp`, which must be there, lies ahead
    /// ([RFC 7519 §4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)), `nbf` and `iat`, where they are,
    /// do not. `leeway` is how far the two clocks may differ.
    ///
    /// # Errors
    /// [`Expired`](VerifyError::Expired), [`NotYetValid`](VerifyError::NotYetValid),
    /// [`IssuedInTheFuture`](VerifyError::IssuedInTheFuture), or a claim is missing or bad.
    pub fn check_times(&self, now: Duration, leeway: Duration) -> Result<(), VerifyError> {
        let latest = now.saturating_add(leeway);
        if now >= self.required_date("exp")?.since_epoch().saturating_add(leeway) {
            return Err(VerifyError::Expired);
        }
        if self.date("nbf")?.is_some_and(|nbf| nbf.since_epoch() > latest) {
            return Err(VerifyError::NotYetValid);
        }
        if self.date("iat")?.is_some_and(|iat| iat.since_epoch() > latest) {
            return Err(VerifyError::IssuedInTheFuture);
        }
        Ok(())
    }
}

/// Claims that nobody has vouched for: good for finding out which key to verify with, and for nothing else.
///
/// ```
/// use signet_verify::Compact;
///
/// let claims = Compact::parse("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.AA")?.unverified_claims()?;
/// assert_eq!(claims.unverified_text("iss")?, Some("a"));
/// # Ok::<(), signet_verify::VerifyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct UnverifiedClaims(Claims);

impl UnverifiedClaims {
    pub(crate) const fn new(claims: Claims) -> Self {
        Self(claims)
    }

    /// A claim that is a string, if it is there.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is no string.
    pub fn unverified_text(&self, name: &'static str) -> Result<Option<&str>, VerifyError> {
        self.0.text(name)
    }
}

/// A date of a claim ([RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)): seconds since the Unix epoch,
/// maybe fractional, not negative, at most 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericDate(Duration);

impl NumericDate {
    /// Above it, not every whole second is a JSON number that everybody reads alike.
    const MAX: u64 = 1 << 53;

    /// The date that a claim holds; `None` when it is no number or out of range.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else {
            return None;
        };
        let since_epoch = match number.as_u64() {
            Some(seconds) => Duration::from_secs(seconds),
            None => Duration::try_from_secs_f64(number.as_f64()?).ok()?,
        };
        (since_epoch <= Duration::from_secs(Self::MAX)).then_some(Self(since_epoch))
    }

    /// So many whole seconds since the Unix epoch; above 2^53, that.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(if seconds < Self::MAX { seconds } else { Self::MAX }))
    }

    /// The time since the Unix epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Whole seconds since the Unix epoch, the fraction cut off.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0.as_secs()
    }
}

/// For whom a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// `aud` is a string.
    One(String),
    /// `aud` is an array of strings, maybe empty.
    Many(Vec<String>),
}

impl Audience {
    pub(crate) fn of(value: Value) -> Result<Self, VerifyError> {
        match value {
            Value::String(only) => Ok(Self::One(only)),
            Value::Array(all) => texts(all, "aud").map(Self::Many),
            _ => Err(VerifyError::BadClaim("aud")),
        }
    }

    /// Everybody it names.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    /// Whether it names `audience`.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.as_slice().iter().any(|one| one == audience)
    }

    /// The one it names, if it names exactly one, be it in an array or not.
    #[must_use]
    pub fn sole(&self) -> Option<&str> {
        match self.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// An array of which each element is a string.
pub(crate) fn texts(values: Vec<Value>, name: &'static str) -> Result<Vec<String>, VerifyError> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(VerifyError::BadClaim(name)),
    };
    values.into_iter().map(text).collect()
}
