//! A session as those see it who look after an installation, on the command line and through the admin API.
//!
//! Guarantees: nothing in it opens anything: neither a token nor what one is made of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::{Delivery, Session};
use crate::issuer::Issuer;

/// A session that lives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LiveSession {
    /// Its name, the `sid` of its tokens.
    pub session_id: String,
    /// Who is signed in: the account's identifier, the `sub` of its tokens.
    pub user: String,
    /// At which client.
    pub client_id: String,
    /// For which resource.
    pub resource: String,
    /// With which of its scopes, space-separated; absent where that is nothing by name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// On which device, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// From where it began: the /24 of an IPv4 address, the /48 of an IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When the person was authenticated.
    pub auth_time: String,
    /// When it was last used.
    pub last_used_at: String,
    /// When it ends, whatever happens.
    pub expires_at: String,
    /// How its refresh tokens travel: `body` or `cookie`.
    pub delivery: String,
}

impl LiveSession {
    /// The view of `session`, which `issuer` began.
    pub fn of(session: &Session, issuer: &Issuer) -> Self {
        let device = session.device.as_str();
        let delivery = match session.delivery {
            Delivery::Body => "body",
            Delivery::Cookie => "cookie",
        };
        Self {
            session_id: session.id.to_string(),
            user: session.user.as_hyphenated().to_string(),
            client_id: session.client.as_str().to_owned(),
            resource: session.grant.resource.audience(issuer).into_owned(),
            scope: session.grant.scope.as_str().to_owned(),
            device: (!device.is_empty()).then(|| device.to_owned()),
            address: session.address.map(|address| address.to_string()),
            created_at: session.created_at.to_string(),
            auth_time: session.auth_time.to_string(),
            last_used_at: session.motion.last_used_at.to_string(),
            expires_at: session.expires_at.to_string(),
            delivery: delivery.to_owned(),
        }
    }
}
