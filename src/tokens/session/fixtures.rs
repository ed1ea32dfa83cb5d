//! What the tests of this room share.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use uuid::Uuid;

use super::record::{
    AddressPrefix, Amr, ClientBinding, Delivery, DeviceLabel, Motion, Rotation, Session, SessionGrant,
};
use super::token::{Generation, MacKeyId, SessionId};
use crate::clients::{ClientId, ResourceId, ScopeSet};
use crate::ports::Timestamp;

/// When everything begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A session of a public client that has just begun.
pub(crate) fn session() -> Session {
    let resource = ResourceId::from_stored("https://api.example");
    Session {
        id: SessionId::from_bytes(*b"0123456789abcdef"),
        user: Uuid::from_bytes([7; 16]),
        client: ClientId::parse("web").unwrap(),
        binding: ClientBinding::Public,
        grant: SessionGrant { resource, scope: ScopeSet::parse("read write").unwrap() },
        rotation: Rotation::Rotates,
        delivery: Delivery::Body,
        created_at: START,
        auth_time: START,
        amr: vec![Amr::Password],
        idle: Duration::from_secs(14 * 86_400),
        expires_at: START.plus(Duration::from_secs(90 * 86_400)),
        device: DeviceLabel::fitting("Firefox on Linux"),
        address: Some(AddressPrefix::V4([192, 0, 2])),
        motion: Motion { generation: Generation::FIRST, mac_key: MacKeyId(1), rotated_at: None, last_used_at: START },
    }
}
