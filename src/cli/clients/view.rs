//! A client as people see it in a terminal.

use crate::cli::output::{fields, plain};
use crate::clients::ClientView;

impl ClientView {
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
        if self.metadata.first_party {
            rows.push(("first party", "yes: people sign in at it by /auth".to_owned()));
        }
        rows.extend(self.metadata.web_origins.iter().map(|origin| ("web origin", plain(origin))));
        rows.extend(
            self.metadata.rotate_refresh_tokens.map(|rotates| ("refresh tokens", rotation(rotates).to_owned())),
        );
        rows.push(("created", self.created_at.clone()));
        rows.push(("updated", self.updated_at.clone()));
        fields(&rows)
    }
}

const fn rotation(rotates: bool) -> &'static str {
    if rotates { "replaced by use" } else { "not replaced" }
}
