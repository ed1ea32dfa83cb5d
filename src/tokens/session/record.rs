//! A session: who is signed in at which client, to what, for how long, and where its refresh tokens stand.
//!
//! Guarantees: what a session was begun with never changes but for its [`Motion`]; its end is fixed at its beginning, and
//! no use of it comes later. Nothing here is secret.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use signet_verify::NumericDate;
use signet_verify::revocation::{Bearer, Id};
use uuid::Uuid;

use super::token::{Generation, MacKeyId, SessionId};
use crate::clients::{Client, ClientAuthentication, ClientId, ResourceId, ScopeSet};
use crate::ports::Timestamp;

/// How the client proved who it is when the session began, and must whenever it is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientBinding {
    /// It has nothing to prove it by.
    Public,
    /// By its secret or a key of its own.
    Confidential,
}

impl ClientBinding {
    /// How `client` proves who it is, once it was authenticated or, if it is public, said so.
    pub const fn of(client: &Client) -> Self {
        match client.authentication {
            ClientAuthentication::Secret { .. } | ClientAuthentication::PrivateKeyJwt { .. } => Self::Confidential,
            ClientAuthentication::Public => Self::Public,
        }
    }
}

/// Who presents a refresh token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presenter<'a> {
    /// Which client.
    pub client: &'a ClientId,
    /// How it proved that.
    pub binding: ClientBinding,
    /// How the token came.
    pub delivery: Delivery,
}

impl<'a> Presenter<'a> {
    /// The client itself, whose token `delivery` brought; it was authenticated or, if it is public, said who it is.
    pub const fn new(client: &'a Client, delivery: Delivery) -> Self {
        Self { client: &client.id, binding: ClientBinding::of(client), delivery }
    }

    /// Whoever may use `session`.
    pub const fn of(session: &'a Session) -> Self {
        Self { client: &session.client, binding: session.binding, delivery: session.delivery }
    }

    /// Whether the session is theirs to use.
    pub fn may_use(&self, session: &Session) -> bool {
        *self == Presenter::of(session)
    }
}

/// What a person let a client have. A narrower scope in one answer leaves it as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionGrant {
    /// At which resource.
    pub resource: ResourceId,
    /// Which of its scopes.
    pub scope: ScopeSet,
}

/// How the person was authenticated
/// ([RFC 8176 §2](https://www.rfc-editor.org/rfc/rfc8176#section-2)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Amr {
    /// By a password.
    Password,
}

impl Amr {
    /// Every way.
    pub const ALL: [Self; 1] = [Self::Password];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "pwd",
        }
    }
}

/// How the refresh token travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Delivery {
    /// In bodies.
    Body,
    /// In a cookie, and nowhere else.
    Cookie,
}

/// Whether a refresh token is replaced when it is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rotation {
    /// By its successor, as those of public clients always are
    /// ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
    Rotates,
    /// It serves as long as the session does.
    Stays,
}

/// What a person is to know a device by: at most 32 bytes of text without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DeviceLabel(Box<str>);

impl DeviceLabel {
    /// The most bytes of it.
    pub const MOST: usize = 32;

    /// What fits of `text`: control characters are left out, and it ends with a whole character.
    pub fn fitting(text: &str) -> Self {
        let mut label = String::with_capacity(Self::MOST);
        for c in text.trim_start().chars().filter(|c| !c.is_control()) {
            if label.len() + c.len_utf8() > Self::MOST {
                break;
            }
            label.push(c);
        }
        Self(label.trim().into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// From where, as far as it tells a person something and nobody else too much: the /24 of an IPv4 address, the /48 of an
/// IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressPrefix {
    /// Its first three bytes.
    V4([u8; 3]),
    /// Its first six bytes.
    V6([u8; 6]),
}

impl AddressPrefix {
    /// The prefix that `address` is in. An IPv4 address in the clothes of IPv6 is one of IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

/// `192.0.2.0/24`, `2001:db8:1::/48`.
impl fmt::Display for AddressPrefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(out, "{a}.{b}.{c}.0/24"),
            Self::V6(bytes) => {
                let mut whole = [0; 16];
                whole[..6].copy_from_slice(&bytes);
                write!(out, "{}/48", std::net::Ipv6Addr::from(whole))
            }
        }
    }
}

/// What moves in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Motion {
    /// Which of its refresh tokens is the current one.
    pub generation: Generation,
    /// The key that the current one was made with.
    pub mac_key: MacKeyId,
    /// When a rotation made the current one; `None` for the one that the session began with.
    pub rotated_at: Option<Timestamp>,
    /// When the session was last used, to the minute where its tokens stay.
    pub last_used_at: Timestamp,
}

/// A session, as stores keep it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Who is signed in.
    pub user: Uuid,
    /// At which client, and nowhere else.
    pub client: ClientId,
    /// How that client proves who it is.
    pub binding: ClientBinding,
    /// What for.
    pub grant: SessionGrant,
    /// Whether its refresh tokens are replaced by use.
    pub rotation: Rotation,
    /// How they travel.
    pub delivery: Delivery,
    /// When it began.
    pub created_at: Timestamp,
    /// When the person was authenticated.
    pub auth_time: Timestamp,
    /// How the person was authenticated.
    pub amr: Vec<Amr>,
    /// For how long it may lie unused, whole seconds.
    pub idle: Duration,
    /// When it ends, whatever happens.
    pub expires_at: Timestamp,
    /// On which device.
    pub device: DeviceLabel,
    /// From where it was begun, where that is known.
    pub address: Option<AddressPrefix>,
    /// What moves.
    pub motion: Motion,
}

impl Session {
    /// What it bears of what can be revoked.
    pub fn bearer(&self) -> Bearer<'_> {
        Bearer {
            sid: Some(Id::base64url(*self.id.as_bytes())),
            sub: Some(Id::uuid(self.user.into_bytes())),
            client_id: Some(Id::of(self.client.as_str())),
            auth_time: Some(NumericDate::from_secs(u64::try_from(self.auth_time.secs()).unwrap_or(0))),
            ..Bearer::default()
        }
    }

    /// When it ends if nobody uses it any more. The end that was fixed at its beginning is never passed.
    pub fn ends_at(&self) -> Timestamp {
        self.motion.last_used_at.plus(self.idle).min(self.expires_at)
    }

    /// Whether it has ended at `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.ends_at()
    }

    /// As it is once its token `to`, made with `mac_key`, took the place of the one before at `now`.
    pub fn rotated(self, to: Generation, mac_key: MacKeyId, now: Timestamp) -> Self {
        let motion = Motion { generation: to, mac_key, rotated_at: Some(now), last_used_at: now };
        Self { motion, ..self }
    }

    /// As it is once its last rotation was taken back: its tokens stand as they stood in `motion`.
    pub fn set_back(self, motion: &Motion) -> Self {
        let motion = Motion { last_used_at: self.motion.last_used_at, ..*motion };
        Self { motion, ..self }
    }

    /// As it is once it was used at `now` without a rotation.
    pub fn touched(self, now: Timestamp) -> Self {
        let motion = Motion { last_used_at: now.max(self.motion.last_used_at), ..self.motion };
        Self { motion, ..self }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixtures::{START, session};
    use super::*;

    #[test]
    fn a_label_is_what_fits_of_a_text() {
        for (text, label) in [
            ("", ""),
            ("  Firefox on Linux \n", "Firefox on Linux"),
            ("a\0b\u{7f}c\u{85}d", "abcd"),
            ("0123456789012345678901234567890123", "01234567890123456789012345678901"),
            ("012345678901234567890123456789äö", "012345678901234567890123456789ä"),
            ("0123456789012345678901234567890ä", "0123456789012345678901234567890"),
        ] {
            assert_eq!(DeviceLabel::fitting(text).as_str(), label);
        }
    }

    #[test]
    fn a_prefix_tells_no_whole_address() {
        for (address, prefix) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            assert_eq!(AddressPrefix::of(address.parse().unwrap()).to_string(), prefix);
        }
    }

    #[test]
    fn use_prolongs_a_session_and_never_past_its_end() {
        let session = session();
        let (idle, end) = (session.idle, session.expires_at);
        assert_eq!(session.ends_at(), START.plus(idle));
        let late = START.plus(idle / 2);
        let used = session.clone().touched(late);
        assert_eq!(used.ends_at(), late.plus(idle));
        assert_eq!(used.clone().touched(START), used, "a late word of an earlier use changes nothing");
        let last = end.minus(Duration::from_millis(1));
        let rotated = session.rotated(Generation(1), MacKeyId(2), last);
        assert_eq!(rotated.ends_at(), end);
        assert!(!rotated.has_expired(last) && rotated.has_expired(end));
    }
}
