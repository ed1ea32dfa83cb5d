//! A client as people and programs see it: all but its secrets.

use serde::Serialize;

use crate::cli::output::{fields, plain};
use crate::clients::{Client, ClientAuthentication, ClientMetadata, SecretOrigin};
use crate::issuer::Issuer;
use crate::ports::Timestamp;

/// The members of RFC 7591, and the state of the client.
#[derive(Serialize)]
pub(super) struct ClientView {
    pub(super) client_id: String,
    #[serde(flatten)]
    metadata: ClientMetadata,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<SecretView>>,
    created_at: String,
    updated_at: String,
}

/// A secret as far as it may be known.
#[derive(Serialize)]
struct SecretView {
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    first_start: bool,
}

impl ClientView {
    /// The view of `client` at `now`; secrets that have ended are left out.
    pub(super) fn of(client: &Client, issuer: &Issuer, now: Timestamp) -> Self {
        let secrets = match &client.authentication {
            ClientAuthentication::PrivateKeyJwt { .. } => None,
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
        }
    }

    const fn state(&self) -> &'static str {
        if self.enabled { "enabled" } else { "disabled" }
    }

    fn method(&self) -> String {
        self.metadata.token_endpoint_auth_method.clone().unwrap_or_default()
    }

    /// Its line in the list.
    pub(super) fn row(&self) -> [String; 5] {
        let access: Vec<_> = self.metadata.access.keys().map(|resource| plain(resource)).collect();
        [
            self.client_id.clone(),
            plain(&self.metadata.client_name),
            self.state().to_owned(),
            self.method(),
            if access.is_empty() { "none".to_owned() } else { access.join(", ") },
        ]
    }

    /// Everything, a line each.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![
            ("client_id", self.client_id.clone()),
            ("name", plain(&self.metadata.client_name)),
            ("state", self.state().to_owned()),
            ("authentication", self.method()),
        ];
        for secret in self.secrets.iter().flatten() {
            let end = secret.expires_at.as_ref().map(|end| format!(", valid until {end}")).unwrap_or_default();
            let origin = if secret.first_start { ", from the first start: roll it" } else { "" };
            rows.push(("secret", format!("made {}{end}{origin}", secret.created_at)));
        }
        if self.secrets.as_ref().is_some_and(Vec::is_empty) {
            rows.push(("secret", format!("none: `signet clients roll-secret {}` makes one", self.client_id)));
        }
        let keys = self.metadata.jwks.as_ref().and_then(|jwks| jwks.get("keys")).and_then(|keys| keys.as_array());
        for key in keys.into_iter().flatten() {
            let text = |name: &str| key.get(name).and_then(|value| value.as_str()).map(plain);
            let kid = text("kid").unwrap_or_else(|| "without kid".to_owned());
            rows.push(("key", format!("{} {kid}", text("kty").unwrap_or_default())));
        }
        rows.extend(self.metadata.token_endpoint_auth_signing_alg.iter().map(|name| ("algorithm", name.clone())));
        rows.push(("grants", self.metadata.grant_types.as_deref().unwrap_or_default().join(" ")));
        for (resource, scopes) in &self.metadata.access {
            let scopes = if scopes.is_empty() { "no scopes" } else { scopes };
            rows.push(("access", format!("{}: {scopes}", plain(resource))));
        }
        rows.extend(self.metadata.serves.iter().map(|resource| ("serves", plain(resource))));
        rows.push(("created", self.created_at.clone()));
        rows.push(("updated", self.updated_at.clone()));
        fields(&rows)
    }
}
