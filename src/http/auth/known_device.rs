//! The token by which an account knows a device.
//!
//! Guarantees: it is in the body or in the cookie, never in both; a cookie counts only in a request that no foreign page
//! can make; one that is unknown or forgotten is simply not known. It lets nobody in.

use super::bodies::Typed;
use super::{Call, cookie};
use crate::http::error::{Denied, Problem};
use crate::tokens::session::Delivery;
use crate::users::attempts::DeviceToken;

/// The one device token of a request whose tokens travel by `delivery`. Where that is a cookie, no foreign page made it:
/// that is up to the caller.
pub(super) fn presented(
    call: &Call<'_>,
    delivery: Delivery,
    member: Option<Typed>,
) -> Result<Option<DeviceToken>, Problem> {
    let cookie = match delivery {
        Delivery::Cookie => cookie::read_device(&call.head.headers)?,
        Delivery::Body => None,
    };
    match (member, cookie) {
        (Some(_), Some(_)) => Err(Denied::SeveralDeviceTokens.into()),
        // No script can replace it, so one that can't be read must not stand in the way: a success does.
        (None, Some(text)) => Ok(DeviceToken::parse(text)),
        (member, None) => in_member(member),
    }
}

/// The device token in a body.
pub(super) fn in_member(member: Option<Typed>) -> Result<Option<DeviceToken>, Problem> {
    let refused = || Problem::InvalidMember {
        name: Some("device_token".to_owned()),
        why: "not what a device token looks like".to_owned(),
    };
    member.map(|text| DeviceToken::parse(text.expose()).ok_or_else(refused)).transpose()
}
