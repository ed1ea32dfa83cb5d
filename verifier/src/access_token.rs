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
    /// The key that signed it, as the header names it.
    pub kid: Option<String>,
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
    /// All other claims, as they stand: those that a resource asks for of people are among them. No claim that has a member
    /// of its own above is ever here.
    pub others: Map<String, Value>,
}

impl AccessToken {
    /// What the person may do: the claim `roles`
    /// ([RFC 9068 §2.2.3.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1)). Empty where the token has none.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is not an array of strings: such a token allows nothing.
    pub fn roles(&self) -> Result<Vec<&str>, VerifyError> {
        let bad = || VerifyError::BadClaim("roles");
        match self.others.get("roles") {
            None => Ok(Vec::new()),
            Some(Value::Array(roles)) => roles.iter().map(|role| role.as_str().ok_or_else(bad)).collect(),
            Some(_) => Err(bad()),
        }
    }

    /// Whether the person has this role, exactly so written; false where [`roles`](Self::roles) is an error.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().is_ok_and(|roles| roles.contains(&role))
    }

    /// What the person is called, for people to read: the claim `preferred_username`. It may change hands: who somebody is
    /// says [`sub`](Self::sub) alone.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is no string.
    pub fn preferred_username(&self) -> Result<Option<&str>, VerifyError> {
        self.other_text("preferred_username")
    }

    /// Where the person gets mail: the claim `email`. Nobody has proved that it is theirs.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when it is no string.
    pub fn email(&self) -> Result<Option<&str>, VerifyError> {
        self.other_text("email")
    }

    /// An attribute of the person as it stands, from the claim `attributes`.
    ///
    /// # Errors
    /// [`BadClaim`](VerifyError::BadClaim) when that claim is no object.
    pub fn attribute(&self, name: &str) -> Result<Option<&Value>, VerifyError> {
        match self.others.get("attributes") {
            None => Ok(None),
            Some(Value::Object(attributes)) => Ok(attributes.get(name)),
            Some(_) => Err(VerifyError::BadClaim("attributes")),
        }
    }

    fn other_text(&self, name: &'static str) -> Result<Option<&str>, VerifyError> {
        match self.others.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(VerifyError::BadClaim(name)),
        }
    }

    pub(crate) fn of(mut claims: Claims, kid: Option<String>) -> Result<Self, VerifyError> {
        Ok(Self {
            kid,
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
