//! What `/auth` reads and writes.
//!
//! Guarantees: exactly these members; a member that nobody knows is refused, and no secret has a telling `Debug`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::tokens::session::{Delivery, Session, SessionId};

/// How the refresh token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryName {
    /// In bodies.
    #[default]
    Body,
    /// In a cookie that no script reads, and in no body.
    Cookie,
}

impl From<DeliveryName> for Delivery {
    fn from(name: DeliveryName) -> Self {
        match name {
            DeliveryName::Body => Self::Body,
            DeliveryName::Cookie => Self::Cookie,
        }
    }
}

/// A text that someone typed and nobody is to see.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Typed(#[serde(deserialize_with = "secret")] SecretText);

impl Typed {
    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn into_secret(self) -> SecretText {
        self.0
    }
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(..)")
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SecretText, D::Error> {
    String::deserialize(from).map(SecretText::new)
}

/// Signs a person in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// A username, or an e-mail address that is an account's.
    pub username: String,
    /// The password.
    pub password: Typed,
    /// The client; when absent `login`, which the first start makes.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The resource that the access token is for; the only one that the client may get when absent.
    #[serde(default)]
    pub audience: Option<String>,
    /// What is asked for there, space-separated; all that the client may get when absent.
    #[serde(default)]
    pub scope: Option<String>,
    /// How the refresh token travels, and the device token.
    #[serde(default)]
    pub delivery: DeliveryName,
    /// What a former login on this device gave, unless it is in the cookie.
    #[serde(default)]
    pub device_token: Option<Typed>,
}

/// Prolongs a session.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token, unless it is in the cookie.
    #[serde(default)]
    pub refresh_token: Option<Typed>,
    /// The client; when absent `login`, which the first start makes.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The resource of the session, or nothing.
    #[serde(default)]
    pub audience: Option<String>,
    /// Less than the session was given, for this access token alone.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Ends a session, that of the access token, the refresh token or the cookie.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogOut {
    /// The refresh token, unless it is in the cookie or an access token is in the header.
    #[serde(default)]
    pub refresh_token: Option<Typed>,
    /// The client; when absent `login`, which the first start makes.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Whether every session of the person ends, at whatever client.
    #[serde(default)]
    pub everywhere: bool,
}

/// Sets another password: with the current one and an access token; with both names of it, for somebody who must change
/// it before anything else; or with a one-time link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The new password.
    pub new_password: Typed,
    /// The password there was so far.
    #[serde(default)]
    pub current_password: Option<Typed>,
    /// Whose password, where there is no access token since it must be changed first.
    #[serde(default)]
    pub username: Option<String>,
    /// The token of a one-time link, in the place of all that.
    #[serde(default)]
    pub link_token: Option<Typed>,
    /// The device token, unless it is in the cookie: no other device is known from then on.
    #[serde(default)]
    pub device_token: Option<Typed>,
}

/// Makes an account for whoever asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// What the account is to be called.
    pub username: String,
    /// Its password.
    pub password: Typed,
    /// The client; when absent `login`, which the first start makes.
    #[serde(default)]
    pub client_id: Option<String>,
}

/// A new account.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredUser {
    /// Its identifier, which is the subject of its tokens.
    pub sub: String,
    /// What it is called.
    pub username: String,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    /// The access token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// For how long the access token lives, seconds.
    pub expires_in: u64,
    /// The refresh token; absent where it travels in the cookie, and where the one presented goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// By which the account knows this device, to be kept and presented at its next login; absent where it travels in the
    /// cookie, and where no password was given. It lets nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// What the access token allows; absent where that is nothing by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The session.
    pub session_id: String,
}

/// A person, as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeView {
    /// The identifier, which is the subject of tokens.
    pub sub: String,
    /// What they are called.
    pub username: String,
    /// Their e-mail address, if they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// The session that asks.
    pub session_id: String,
    /// When they signed in to it.
    pub auth_time: String,
}

/// A session, as the person whose it is sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its name.
    pub session_id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// At which client.
    pub client_id: String,
    /// On which device, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// From where it began: the /24 of an IPv4 address, the /48 of an IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When it was last used.
    pub last_used_at: String,
    /// When it ends, whatever happens.
    pub expires_at: String,
}

impl SessionView {
    pub(super) fn of(session: &Session, asking: SessionId) -> Self {
        let device = session.device.as_str();
        Self {
            session_id: session.id.to_string(),
            current: session.id == asking,
            client_id: session.client.as_str().to_owned(),
            device: (!device.is_empty()).then(|| device.to_owned()),
            address: session.address.map(|address| address.to_string()),
            created_at: session.created_at.to_string(),
            last_used_at: session.motion.last_used_at.to_string(),
            expires_at: session.expires_at.to_string(),
        }
    }
}

/// Somebody's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// Those that live, at most 500.
    pub items: Vec<SessionView>,
}
