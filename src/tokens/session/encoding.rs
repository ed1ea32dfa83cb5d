//! A session as a small string of bytes, which every store keeps under its name.
//!
//! Guarantees: what is decoded is what was encoded, and nothing else decodes; what moves stands at places that never
//! change within a version, so that a script in a store can read and write it without the rest.
//!
//! Version 1. Numbers are big-endian, moments are milliseconds since the epoch in 6 bytes:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | bit 0: its tokens rotate · bit 1: the client is confidential · bit 2: delivered in a cookie |
//! | 2 | 4 | generation |
//! | 6 | 4 | id of the key that the current token was made with |
//! | 10 | 6 | rotated at; 0: never |
//! | 16 | 6 | last used at |
//! | 22 | 6 | expires at, whatever happens |
//! | 28 | 4 | idle span, seconds |
//! | 32 | 6 | created at |
//! | 38 | 6 | time of authentication |
//! | 44 | 16 | user |
//! | 60 | 1 + n | client, its length before it |
//! | | 2 + n | resource |
//! | | 2 + n | scope |
//! | | 1 + n | how authenticated, one byte each: 1 password |
//! | | 1 + n | device label |
//! | | 1 + n | address prefix: 3 bytes of IPv4, 6 of IPv6, or none |

use std::time::Duration;

use uuid::Uuid;

use super::record::{
    AddressPrefix, Amr, ClientBinding, Delivery, DeviceLabel, Motion, Rotation, Session, SessionGrant,
};
use super::token::{Generation, MacKeyId, SessionId};
use crate::clients::{ClientId, ResourceId, ScopeSet};
use crate::ports::Timestamp;

const VERSION: u8 = 1;
const ROTATES: u8 = 1;
const CONFIDENTIAL: u8 = 2;
const COOKIE: u8 = 4;
const PASSWORD: u8 = 1;

/// The bytes are no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// A newer Signet wrote it.
    #[error("it is of version {0}, which this program does not know")]
    Version(u8),
    /// It is damaged.
    #[error("its {0} can't be read")]
    Damaged(&'static str),
    /// It has a member that no session may have, such as a scope of more than 65,535 bytes.
    #[error("its {0} is too long")]
    TooLong(&'static str),
}

/// The bytes of `session`, its name left out.
///
/// # Errors
/// [`EncodingError::TooLong`] only.
pub fn encode(session: &Session) -> Result<Vec<u8>, EncodingError> {
    let mut out = Vec::with_capacity(192);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(VERSION);
    out.push(
        flag(session.rotation == Rotation::Rotates, ROTATES)
            | flag(session.binding == ClientBinding::Confidential, CONFIDENTIAL)
            | flag(session.delivery == Delivery::Cookie, COOKIE),
    );
    let motion = &session.motion;
    out.extend_from_slice(&motion.generation.0.to_be_bytes());
    out.extend_from_slice(&motion.mac_key.0.to_be_bytes());
    put_moment(&mut out, motion.rotated_at.unwrap_or_default());
    put_moment(&mut out, motion.last_used_at);
    put_moment(&mut out, session.expires_at);
    let idle = u32::try_from(session.idle.as_secs()).map_err(|_| EncodingError::TooLong("idle span"))?;
    out.extend_from_slice(&idle.to_be_bytes());
    put_moment(&mut out, session.created_at);
    put_moment(&mut out, session.auth_time);
    out.extend_from_slice(session.user.as_bytes());
    put_short(&mut out, session.client.as_str().as_bytes(), "client")?;
    put_long(&mut out, session.grant.resource.as_stored().as_bytes(), "resource")?;
    put_long(&mut out, session.grant.scope.as_str().as_bytes(), "scope")?;
    let amr: Vec<u8> = session.amr.iter().map(|Amr::Password| PASSWORD).collect();
    put_short(&mut out, &amr, "authentication")?;
    put_short(&mut out, session.device.as_str().as_bytes(), "device label")?;
    match &session.address {
        None => put_short(&mut out, &[], "address"),
        Some(AddressPrefix::V4(prefix)) => put_short(&mut out, prefix, "address"),
        Some(AddressPrefix::V6(prefix)) => put_short(&mut out, prefix, "address"),
    }?;
    Ok(out)
}

/// The session called `id` from its bytes.
///
/// # Errors
/// When they are not what [`encode`] gives.
pub fn decode(id: SessionId, bytes: &[u8]) -> Result<Session, EncodingError> {
    let mut rest = Reader(bytes);
    let [version] = rest.take("version")?;
    if version != VERSION {
        return Err(EncodingError::Version(version));
    }
    let [flags] = rest.take("flags")?;
    if flags & !(ROTATES | CONFIDENTIAL | COOKIE) != 0 {
        return Err(EncodingError::Damaged("flags"));
    }
    let motion = Motion {
        generation: Generation(u32::from_be_bytes(rest.take("generation")?)),
        mac_key: MacKeyId(u32::from_be_bytes(rest.take("key")?)),
        rotated_at: Some(rest.moment("rotation")?).filter(|at| *at != Timestamp::default()),
        last_used_at: rest.moment("last use")?,
    };
    let expires_at = rest.moment("end")?;
    let idle = Duration::from_secs(u32::from_be_bytes(rest.take("idle span")?).into());
    let (created_at, auth_time) = (rest.moment("beginning")?, rest.moment("authentication")?);
    let user = Uuid::from_bytes(rest.take("user")?);
    let client = ClientId::parse(rest.short("client")?).map_err(|_| EncodingError::Damaged("client"))?;
    let resource = ResourceId::from_stored(rest.long("resource")?);
    let scope = ScopeSet::parse(rest.long("scope")?).map_err(|_| EncodingError::Damaged("scope"))?;
    let amr = rest.short_bytes("authentication")?.iter().map(|byte| match *byte {
        PASSWORD => Ok(Amr::Password),
        _ => Err(EncodingError::Damaged("authentication")),
    });
    let amr = amr.collect::<Result<_, _>>()?;
    let text = rest.short("device label")?;
    let device = DeviceLabel::fitting(text);
    if device.as_str() != text {
        return Err(EncodingError::Damaged("device label"));
    }
    let address = match rest.short_bytes("address")? {
        [] => None,
        [a, b, c] => Some(AddressPrefix::V4([*a, *b, *c])),
        [a, b, c, d, e, f] => Some(AddressPrefix::V6([*a, *b, *c, *d, *e, *f])),
        _ => return Err(EncodingError::Damaged("address")),
    };
    if !rest.0.is_empty() {
        return Err(EncodingError::Damaged("end"));
    }
    let either = |set: u8| flags & set != 0;
    Ok(Session {
        id,
        user,
        client,
        binding: if either(CONFIDENTIAL) { ClientBinding::Confidential } else { ClientBinding::Public },
        grant: SessionGrant { resource, scope },
        rotation: if either(ROTATES) { Rotation::Rotates } else { Rotation::Stays },
        delivery: if either(COOKIE) { Delivery::Cookie } else { Delivery::Body },
        created_at,
        auth_time,
        amr,
        idle,
        expires_at,
        device,
        address,
        motion,
    })
}

/// Six bytes of milliseconds reach to the year 10889.
fn put_moment(out: &mut Vec<u8>, moment: Timestamp) {
    let millis = u64::try_from(moment.millis()).unwrap_or(0).min((1 << 48) - 1);
    out.extend_from_slice(&millis.to_be_bytes()[2..]);
}

fn put_short(out: &mut Vec<u8>, bytes: &[u8], what: &'static str) -> Result<(), EncodingError> {
    out.push(u8::try_from(bytes.len()).map_err(|_| EncodingError::TooLong(what))?);
    out.extend_from_slice(bytes);
    Ok(())
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8], what: &'static str) -> Result<(), EncodingError> {
    let length = u16::try_from(bytes.len()).map_err(|_| EncodingError::TooLong(what))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], EncodingError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(EncodingError::Damaged(what))?;
        self.0 = rest;
        Ok(*head)
    }

    fn moment(&mut self, what: &'static str) -> Result<Timestamp, EncodingError> {
        let bytes: [u8; 6] = self.take(what)?;
        let millis = bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
        Ok(Timestamp::from_millis(millis))
    }

    fn bytes(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], EncodingError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(EncodingError::Damaged(what))?;
        self.0 = rest;
        Ok(head)
    }

    fn short_bytes(&mut self, what: &'static str) -> Result<&'a [u8], EncodingError> {
        let [length] = self.take(what)?;
        self.bytes(length.into(), what)
    }

    fn short(&mut self, what: &'static str) -> Result<&'a str, EncodingError> {
        str::from_utf8(self.short_bytes(what)?).map_err(|_| EncodingError::Damaged(what))
    }

    fn long(&mut self, what: &'static str) -> Result<&'a str, EncodingError> {
        let length = u16::from_be_bytes(self.take(what)?);
        str::from_utf8(self.bytes(length.into(), what)?).map_err(|_| EncodingError::Damaged(what))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::session;
    use super::*;

    #[test]
    fn a_session_takes_few_bytes_and_what_moves_stands_where_it_is_said_to() {
        let mut session = session();
        session.client = ClientId::parse(&format!("c_{}", "0".repeat(32))).unwrap();
        session.device = DeviceLabel::fitting(&"x".repeat(32));
        session.motion.generation = Generation(0x0102_0304);
        session.motion.mac_key = MacKeyId(0x0506_0708);
        let bytes = encode(&session).unwrap();
        assert!(bytes.len() < 180, "{}", bytes.len());
        assert_eq!(bytes[..16], [1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..22], bytes[32..38], "last used when it was made");
        assert_eq!(bytes[44..60], [7; 16]);
        assert_eq!(&bytes[60..63], b"\x22c_");
    }

    #[test]
    fn another_version_and_damaged_bytes_are_no_session() {
        let session = session();
        let bytes = encode(&session).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decode(session.id, &bytes[..length]), Err(EncodingError::Damaged(_))), "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode(session.id, &longer), Err(EncodingError::Damaged("end")));
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(decode(session.id, &newer), Err(EncodingError::Version(2)));
        let mut strange = bytes;
        strange[1] = 8;
        assert_eq!(decode(session.id, &strange), Err(EncodingError::Damaged("flags")));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let mut session = session();
        session.grant.scope = ScopeSet::parse(&"s".repeat(70_000)).unwrap();
        assert_eq!(encode(&session), Err(EncodingError::TooLong("scope")));
    }

    proptest! {
        #[test]
        fn any_session_reads_back_as_itself(
            (generation, mac_key, rotated, used, flags) in any::<(u32, u32, Option<u32>, u32, u8)>(),
            (user, label, scope) in (any::<[u8; 16]>(), any::<String>(), "([a-z]{1,9}( [a-z]{1,9}){0,9})?"),
            (idle, life, address) in (any::<u32>(), any::<u32>(), any::<Option<std::net::IpAddr>>()),
        ) {
            let mut session = session();
            let moment = |secs: u32| Timestamp::from_secs(i64::from(secs) + 1);
            session.motion = Motion {
                generation: Generation(generation),
                mac_key: MacKeyId(mac_key),
                rotated_at: rotated.map(moment),
                last_used_at: moment(used),
            };
            session.user = Uuid::from_bytes(user);
            session.device = DeviceLabel::fitting(&label);
            session.grant.scope = ScopeSet::parse(&scope).unwrap();
            session.idle = Duration::from_secs(idle.into());
            session.expires_at = moment(life);
            session.address = address.map(AddressPrefix::of);
            session.rotation = if flags & 1 == 0 { Rotation::Stays } else { Rotation::Rotates };
            session.binding = if flags & 2 == 0 { ClientBinding::Public } else { ClientBinding::Confidential };
            session.delivery = if flags & 4 == 0 { Delivery::Body } else { Delivery::Cookie };
            prop_assert_eq!(decode(session.id, &encode(&session).unwrap()), Ok(session));
        }

        #[test]
        fn no_bytes_make_it_stumble(bytes in any::<Vec<u8>>()) {
            let id = SessionId::from_bytes([0; 16]);
            if let Ok(session) = decode(id, &bytes) {
                prop_assert_eq!(encode(&session).unwrap(), bytes);
            }
        }
    }
}
