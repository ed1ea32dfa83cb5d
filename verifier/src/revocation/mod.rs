//! What has been revoked, and whether that hits a token: [`Picture::judge`]. The issuer judges by it too, so nobody who has
//! the same entries judges otherwise.
//!
//! There are two shapes. A **mark** hits whatever bears the name, whatever its age: one token (`jti`), one session (`sid`), one
//! key (`kid`), a person or a client while disabled. A **cut-off** of a person (`sub`), of a client (`client_id`) or of all
//! hits what is not later than its second: by `auth_time` where a token has one, so that no refresh of an old sign-in
//! escapes, and by `iat` otherwise. Lifting a mark leaves a cut-off. All of that is said in claims of
//! [RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2) and [OpenID Connect](https://openid.net/specs/openid-connect-frontchannel-1_0.html#OPLogout).

mod id;
mod picture;

use crate::{AccessToken, NumericDate};

pub use id::Id;
pub use picture::Picture;

/// What a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named<'a> {
    /// One token.
    Jti(Id<'a>),
    /// One session, and every token that bears it.
    Sid(Id<'a>),
    /// Every token that one key signed.
    Kid(Id<'a>),
    /// A person.
    Sub(Id<'a>, Reach),
    /// A client, and all tokens that were issued to it.
    ClientId(Id<'a>, Reach),
    /// All there is: a cut-off.
    All(NumericDate),
}

impl Named<'_> {
    /// By what it hits.
    #[must_use]
    pub const fn by(&self) -> By {
        match self {
            Self::Jti(_) => By::Jti,
            Self::Sid(_) => By::Sid,
            Self::Kid(_) => By::Kid,
            Self::Sub(..) => By::Sub,
            Self::ClientId(..) => By::ClientId,
            Self::All(_) => By::All,
        }
    }
}

/// How far a revocation of a person or a client reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Whatever bears it is dead, until that is lifted.
    Mark,
    /// Dead is what is not later than this second. A mark stays.
    CutOff(NumericDate),
    /// There is no mark any more; dead is what is not later than this second.
    Lift(NumericDate),
}

/// By what a token was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Its own name.
    Jti,
    /// Its session.
    Sid,
    /// Its key.
    Kid,
    /// Its person.
    Sub,
    /// Its client.
    ClientId,
    /// Its age alone.
    All,
}

impl By {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Jti, Self::Sid, Self::Kid, Self::Sub, Self::ClientId, Self::All];

    /// The claim, the header's `kid`, or `all`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jti => "jti",
            Self::Sid => "sid",
            Self::Kid => "kid",
            Self::Sub => "sub",
            Self::ClientId => "client_id",
            Self::All => "all",
        }
    }
}

/// What a token, or a session, bears of what can be revoked. What it has not is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bearer<'a> {
    /// The token's own name.
    pub jti: Option<Id<'a>>,
    /// The session it is of.
    pub sid: Option<Id<'a>>,
    /// The key that signed it.
    pub kid: Option<Id<'a>>,
    /// On whose behalf it is used.
    pub sub: Option<Id<'a>>,
    /// To whom it was issued.
    pub client_id: Option<Id<'a>>,
    /// When the person was authenticated.
    pub auth_time: Option<NumericDate>,
    /// When it was issued.
    pub iat: Option<NumericDate>,
}

impl Bearer<'_> {
    /// The second by which a cut-off hits it; without any it is hit by every one.
    pub(crate) fn second(&self) -> u64 {
        self.auth_time.or(self.iat).map_or(0, NumericDate::secs)
    }
}

impl<'a> From<&'a AccessToken> for Bearer<'a> {
    fn from(token: &'a AccessToken) -> Self {
        Self {
            jti: Some(Id::of(&token.jti)),
            sid: token.sid.as_deref().map(Id::of),
            kid: token.kid.as_deref().map(Id::of),
            sub: Some(Id::of(&token.sub)),
            client_id: Some(Id::of(&token.client_id)),
            auth_time: token.auth_time,
            iat: Some(token.iat),
        }
    }
}
