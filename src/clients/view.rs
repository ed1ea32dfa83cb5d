//! Clients and resources as people and programs see them, on the command line and through the API: all but the secrets.
//!
//! Guarantees: a secret can be in [`RegisteredClient`] alone, which is made where one was just generated.

use serde::{Deserialize, Serialize};
use signet_verify::Algorithm;

use super::{Client, ClientAuthentication, ClientMetadata, Resource, ResourceMetadata, SecretOrigin};
use utoipa::ToSchema;

use crate::issuer::Issuer;
use crate::ports::Timestamp;
use crate::secret::SecretText;

/// A client: the members of [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2), and its state.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientView {
    /// Its identifier.
    pub client_id: String,
    /// What describes it.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// What is known of its secrets; absent where it has keys instead, or is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretView>>,
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Counts its changes, from 1.
    pub version: i64,
}

/// A secret as far as it may be known.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// When it was made.
    pub created_at: String,
    /// When it stops to be valid; absent on the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whether it is the one that the first start wrote to a file.
    pub first_start: bool,
}

impl ClientView {
    /// The view of `client` at `now`; secrets that have ended are left out.
    pub fn of(client: &Client, issuer: &Issuer, now: Timestamp) -> Self {
        let secrets = match &client.authentication {
            ClientAuthentication::PrivateKeyJwt { .. } | ClientAuthentication::Public => None,
            ClientAuthentication::Secret { secrets, .. } => Some(
                secrets
                    .iter()
                    .filter(|secret| secret.is_valid(now))
                    .map(|secret| SecretView {
                        created_at: secret.created_at.to_string(),
                        expires_at: secret.expires_at.map(|end| end.to_string()),
                        first_start: secret.origin == SecretOrigin::FirstStart,
                    })
                    .collect(),
            ),
        };
        Self {
            client_id: client.id.as_str().to_owned(),
            metadata: ClientMetadata::of(client, issuer),
            enabled: client.enabled,
            secrets,
            created_at: client.created_at.to_string(),
            updated_at: client.updated_at.to_string(),
            version: client.version,
        }
    }
}

/// What a client gets to know of its registration
/// ([RFC 7591 §3.2.1](https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1)).
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RegisteredClient {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// When it was registered, seconds since the Unix epoch.
    pub client_id_issued_at: i64,
    /// Its secret, where it has one: here and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Zero: the secret does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<u8>,
    /// Where it gets tokens.
    pub token_endpoint: String,
}

impl RegisteredClient {
    /// What the client that was just registered with `secret` gets to know.
    pub fn of(client: &Client, secret: Option<&SecretText>, issuer: &Issuer) -> Self {
        Self {
            client: ClientView::of(client, issuer, client.created_at),
            client_id_issued_at: client.created_at.secs(),
            client_secret: secret.map(|secret| secret.expose().to_owned()),
            client_secret_expires_at: secret.map(|_| 0),
            token_endpoint: issuer.token_endpoint(),
        }
    }
}

/// A resource.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    /// Its identifier, which is the audience of its tokens.
    pub resource: String,
    /// For people.
    pub name: String,
    /// What can be asked of it.
    pub scopes: Vec<String>,
    /// How long its tokens live, seconds; absent where the issuer's default counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<u64>,
    /// How its tokens are signed; absent where the issuer's default counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub algorithm: Option<Algorithm>,
    /// What its tokens tell of the people whom they speak for; absent where that is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Whether it is Signet's own, which nobody edits.
    pub reserved: bool,
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Counts its changes, from 1.
    pub version: i64,
}

impl ResourceView {
    /// The view of `resource`.
    pub fn of(resource: &Resource, issuer: &Issuer) -> Self {
        Self {
            resource: resource.id.audience(issuer).into_owned(),
            name: resource.name.clone(),
            scopes: resource.scopes.iter().map(str::to_owned).collect(),
            token_lifetime: resource.token_lifetime.map(|lifetime| lifetime.as_secs()),
            algorithm: resource.algorithm,
            claims: resource.claims.texts(),
            reserved: resource.id.is_admin(),
            created_at: resource.created_at.to_string(),
            updated_at: resource.updated_at.to_string(),
            version: resource.version,
        }
    }

    /// What describes the resource.
    pub fn metadata(&self) -> ResourceMetadata {
        ResourceMetadata {
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            token_lifetime: self.token_lifetime,
            algorithm: self.algorithm.map(|algorithm| algorithm.name().to_owned()),
            claims: self.claims.clone(),
        }
    }
}
