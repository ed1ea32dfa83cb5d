//! What a verified access token says: [`AccessToken`].
//!
//! The shape is that of [RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2): each claim has its type,
//! and the required ones are there.

use serde_json::{Map, Value};

use crate::{Audience, Claims, NumericDate, VerifyError, claims::texts};

/// The claims of a verified access token. Only [`verify`](crate::verify) makes one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AccessToken {
    /// Who issued it.
    pub iss: String,
    /// On whose behalf it is used: a person, or the client itself.
    pub sub: String,
    /// For whom it is.
    pub aud: Audience,
    /// When it ends.
    pub exp: NumericDate,
    /// When it was issued.
    pub iat: NumericDate,
    /// When it begins, where that is not at once.
    pub nbf: Option<NumericDate>,
    /// Its own identifier.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: String,
    /// What it is good for.
    pub scope: Scope,
    /// The session it belongs to, for people.
    pub sid: Option<String>,
    /// When the person signed in.
    pub auth_time: Option<NumericDate>,
    /// How strongly the person signed in.
    pub acr: Option<String>,
    /// By which means the person signed in.
    pub amr: Vec<String>,
    /// The key that whoever presents the token must prove to hold
    /// ([RFC 7800 §3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)). Where it is there, the token alone is
    /// not enough.
    pub cnf: Option<Map<String, Value>>,
    /// All other claims.
    pub others: Map<String, Value>,
}

impl AccessToken {
    pub(crate) fn of(mut claims: Claims) -> Result<Self, VerifyError> {
        Ok(Self {
            iss: required("iss", text(&mut claims, "iss")?)?,
            sub: required("sub", text(&mut claims, "sub")?)?,
            aud: required("aud", claims.take("aud").map(Audience::of).transpose()?)?,
            exp: required("exp", date(&mut claims, "exp")?)?,
            iat: required("iat", date(&mut claims, "iat")?)?,
            nbf: date(&mut claims, "nbf")?,
            jti: required("jti", text(&mut claims, "jti")?)?,
            client_id: required("client_id", text(&mut claims, "client_id")?)?,
            scope: Scope(text(&mut claims, "scope")?.unwrap_or_default()),
            sid: text(&mut claims, "sid")?,
            auth_time: date(&mut claims, "auth_time")?,
            acr: text(&mut claims, "acr")?,
            amr: match claims.take("amr") {
                None => Vec::new(),
                Some(Value::Array(methods)) => texts(methods, "amr")?,
                Some(_) => return Err(VerifyError::BadClaim("amr")),
            },
            cnf: match claims.take("cnf") {
                None => None,
                Some(Value::Object(members)) => Some(members),
                Some(_) => return Err(VerifyError::BadClaim("cnf")),
            },
            others: claims.into_others(),
        })
    }
}

fn required<T>(name: &'static str, claim: Option<T>) -> Result<T, VerifyError> {
    claim.ok_or(VerifyError::MissingClaim(name))
}

fn text(claims: &mut Claims, name: &'static str) -> Result<Option<String>, VerifyError> {
    match claims.take(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(VerifyError::BadClaim(name)),
    }
}

fn date(claims: &mut Claims, name: &'static str) -> Result<Option<NumericDate>, VerifyError> {
    let date = |value: Value| NumericDate::of(&value).ok_or(VerifyError::BadClaim(name));
    claims.take(name).map(date).transpose()
}

/// What a token is good for: [scope tokens](https://www.rfc-editor.org/rfc/rfc6749#section-3.3), separated by spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// The scope tokens, in the order of the claim.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    /// Whether this scope token, exactly so written, is one of them.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.iter().any(|one| one == token)
    }

    /// The claim as it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
