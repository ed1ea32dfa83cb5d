//! A client's metadata as people and programs write it, and the checks that make a client of it.
//!
//! The members are those of [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2), and some of Signet's own:
//! `access` and `serves`, and for the sign-in of people `first_party`, `web_origins` and `rotate_refresh_tokens`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use signet_verify::{Algorithm, PublicJwk, VerifyingKey};

use super::{
    Client, ClientAuthentication, ClientError, ClientId, ClientKeys, GrantType, ResourceId, ScopeSet, SecretMethod,
    WebOrigin,
};
use utoipa::ToSchema;

use super::version::first_version;
use crate::issuer::Issuer;
use crate::ports::Timestamp;

/// How many keys a client may register.
pub const MAX_CLIENT_KEYS: usize = 10;
const MAX_NAME: usize = 200;
const MAX_RESOURCES: usize = 100;
const MAX_ORIGINS: usize = 50;

/// What describes a client, without its identifier and secrets. Unknown members are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadata {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// `client_secret_basic` (when absent), `client_secret_post`, `private_key_jwt`, or `none` for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// With `private_key_jwt`: the only algorithm its assertions may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The grants it may use; when absent `["client_credentials"]`, and `["refresh_token"]` for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// With `private_key_jwt`: its public keys, `{"keys":[…]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// Resource identifier to the scopes it may get there, space-separated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub access: BTreeMap<String, String>,
    /// The identifiers of the resources whose service this client is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// Whether it is the operator's own, to which people give their passwords: only such a client may use `/auth`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_party: bool,
    /// With `first_party`: the origins (`https://app.example`) of the pages that may use `/auth` for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub web_origins: Vec<String>,
    /// Whether its refresh tokens are replaced when they are used. When absent: those of a public client are, always;
    /// those of others are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_refresh_tokens: Option<bool>,
}

fn fault(member: &'static str, why: impl ToString) -> ClientError {
    ClientError::Metadata { member, why: why.to_string() }
}

impl ClientMetadata {
    /// Makes a new client of it, still without a secret. Whether the resources exist is the store's to say.
    pub fn register(&self, id: ClientId, issuer: &Issuer, now: Timestamp) -> Result<Client, ClientError> {
        Ok(Client {
            id,
            name: self.name()?,
            authentication: self.authentication()?,
            grants: self.grants()?,
            access: self.access(issuer)?,
            serves: self.serves(issuer)?,
            first_party: self.first_party,
            web_origins: self.web_origins()?,
            rotation: self.rotation()?,
            enabled: true,
            created_at: now,
            updated_at: now,
            version: first_version(now),
        })
    }

    /// Makes the next version of `client` from it: everything it describes is replaced, and secrets stay where the
    /// client still authenticates with one. What is so already stays the version that it is.
    pub fn replace(&self, client: Client, issuer: &Issuer, now: Timestamp) -> Result<Client, ClientError> {
        let mut authentication = self.authentication()?;
        if let (ClientAuthentication::Secret { secrets, .. }, ClientAuthentication::Secret { secrets: kept, .. }) =
            (&mut authentication, &client.authentication)
        {
            secrets.clone_from(kept);
        }
        let next = Client {
            name: self.name()?,
            authentication,
            grants: self.grants()?,
            access: self.access(issuer)?,
            serves: self.serves(issuer)?,
            first_party: self.first_party,
            web_origins: self.web_origins()?,
            rotation: self.rotation()?,
            ..client.clone()
        };
        Ok(if next == client { client } else { next.changed(now) })
    }

    /// What describes `client`.
    pub fn of(client: &Client, issuer: &Issuer) -> Self {
        let (jwks, algorithm) = match &client.authentication {
            ClientAuthentication::Secret { .. } | ClientAuthentication::Public => (None, None),
            ClientAuthentication::PrivateKeyJwt { keys, algorithm } => {
                (Some(keys.to_json()), algorithm.map(|known| known.name().to_owned()))
            }
        };
        Self {
            client_name: client.name.clone(),
            token_endpoint_auth_method: Some(client.authentication.name().to_owned()),
            token_endpoint_auth_signing_alg: algorithm,
            grant_types: Some(client.grants.iter().map(|grant| grant.name().to_owned()).collect()),
            jwks,
            access: client
                .access
                .iter()
                .map(|(id, scopes)| (id.audience(issuer).into_owned(), scopes.to_string()))
                .collect(),
            serves: client.serves.iter().map(|id| id.audience(issuer).into_owned()).collect(),
            first_party: client.first_party,
            web_origins: client.web_origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
            rotate_refresh_tokens: client.rotation,
        }
    }

    fn name(&self) -> Result<String, ClientError> {
        if self.client_name.chars().count() > MAX_NAME || self.client_name.contains(char::is_control) {
            return Err(fault("client_name", "at most 200 characters and no control characters"));
        }
        Ok(self.client_name.clone())
    }

    fn grants(&self) -> Result<BTreeSet<GrantType>, ClientError> {
        let Some(names) = &self.grant_types else {
            let default = if self.is_public() { GrantType::RefreshToken } else { GrantType::ClientCredentials };
            return Ok(BTreeSet::from([default]));
        };
        // https://www.rfc-editor.org/rfc/rfc6749#section-4.4: "MUST only be used by confidential clients".
        if self.is_public() && names.iter().any(|name| name == GrantType::ClientCredentials.name()) {
            return Err(fault("grant_types", "a public client can't use `client_credentials`"));
        }
        let known = || GrantType::ALL.map(GrantType::name).join(", ");
        names
            .iter()
            .map(|name| {
                GrantType::from_name(name)
                    .ok_or_else(|| fault("grant_types", format!("`{name}` is not a grant; known: {}", known())))
            })
            .collect()
    }

    fn access(&self, issuer: &Issuer) -> Result<BTreeMap<ResourceId, ScopeSet>, ClientError> {
        if self.access.len() > MAX_RESOURCES {
            return Err(fault("access", "at most 100 resources"));
        }
        let entry = |(identifier, scopes): (&String, &String)| {
            let id = ResourceId::parse(identifier, issuer).map_err(|error| fault("access", error))?;
            let scopes = ScopeSet::parse(scopes).map_err(|error| fault("access", format!("{identifier}: {error}")))?;
            Ok((id, scopes))
        };
        self.access.iter().map(entry).collect()
    }

    fn serves(&self, issuer: &Issuer) -> Result<BTreeSet<ResourceId>, ClientError> {
        if self.serves.len() > MAX_RESOURCES {
            return Err(fault("serves", "at most 100 resources"));
        }
        let entry = |identifier: &String| ResourceId::parse(identifier, issuer).map_err(|error| fault("serves", error));
        self.serves.iter().map(entry).collect()
    }

    fn web_origins(&self) -> Result<BTreeSet<WebOrigin>, ClientError> {
        if self.web_origins.len() > MAX_ORIGINS {
            return Err(fault("web_origins", "at most 50 origins"));
        }
        if !self.first_party && !self.web_origins.is_empty() {
            return Err(fault("web_origins", "only a client of `first_party` has pages that use `/auth`"));
        }
        let entry = |origin: &String| WebOrigin::parse(origin).map_err(|error| fault("web_origins", error));
        self.web_origins.iter().map(entry).collect()
    }

    /// [RFC 9700 §2.2.2](https://www.rfc-editor.org/rfc/rfc9700#section-2.2.2): refresh tokens of public clients must be
    /// replaced by use, since nothing else binds them.
    fn rotation(&self) -> Result<Option<bool>, ClientError> {
        if self.is_public() && self.rotate_refresh_tokens == Some(false) {
            return Err(fault("rotate_refresh_tokens", "those of a public client are always replaced"));
        }
        Ok(self.rotate_refresh_tokens)
    }

    fn is_public(&self) -> bool {
        self.token_endpoint_auth_method.as_deref() == Some("none")
    }

    fn authentication(&self) -> Result<ClientAuthentication, ClientError> {
        let without_keys = || {
            if self.jwks.is_some() {
                return Err(fault("jwks", "only a client of `private_key_jwt` has keys"));
            }
            if self.token_endpoint_auth_signing_alg.is_some() {
                return Err(fault("token_endpoint_auth_signing_alg", "only for `private_key_jwt`"));
            }
            Ok(())
        };
        let secret = |method| {
            without_keys()?;
            Ok(ClientAuthentication::Secret { method, secrets: Vec::new() })
        };
        match self.token_endpoint_auth_method.as_deref().unwrap_or("client_secret_basic") {
            "client_secret_basic" => secret(SecretMethod::Basic),
            "client_secret_post" => secret(SecretMethod::Post),
            "private_key_jwt" => self.private_key_jwt(),
            "none" => without_keys().map(|()| ClientAuthentication::Public),
            other => Err(fault(
                "token_endpoint_auth_method",
                format!("`{other}` is not one of {}", ClientAuthentication::METHODS.join(", ")),
            )),
        }
    }

    fn private_key_jwt(&self) -> Result<ClientAuthentication, ClientError> {
        let algorithm = match &self.token_endpoint_auth_signing_alg {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| {
                let known = Algorithm::ALL.map(Algorithm::name).join(", ");
                fault("token_endpoint_auth_signing_alg", format!("`{name}` is not one of {known}"))
            })?),
        };
        let keys = ClientKeys::parse(self.jwks.as_ref().unwrap_or(&Value::Null), algorithm)?;
        Ok(ClientAuthentication::PrivateKeyJwt { keys, algorithm })
    }
}

impl ClientKeys {
    /// Reads `{"keys":[…]}` with 1 to 10 public keys that serve `registered`, or any algorithm where that is `None`.
    pub fn parse(jwks: &Value, registered: Option<Algorithm>) -> Result<Self, ClientError> {
        let entries = jwks.get("keys").and_then(Value::as_array);
        let entries =
            entries.ok_or_else(|| fault("jwks", "`private_key_jwt` needs `{\"keys\":[…]}` with public keys"))?;
        if entries.is_empty() || entries.len() > MAX_CLIENT_KEYS {
            return Err(fault("jwks", format!("1 to {MAX_CLIENT_KEYS} keys")));
        }
        let mut keys = Vec::with_capacity(entries.len());
        let mut kids = BTreeSet::new();
        for (place, entry) in entries.iter().enumerate() {
            let wrong = |why: String| fault("jwks", format!("key {}: {why}", place + 1));
            let jwk = PublicJwk::parse(entry).map_err(|error| wrong(error.to_string()))?;
            if let Some(kid) = &jwk.kid
                && !kids.insert(kid.clone())
            {
                return Err(wrong(format!("`kid` {kid:?} stands twice")));
            }
            let verifiers = verifiers(&jwk, registered);
            if verifiers.is_empty() {
                return Err(wrong("it serves none of the algorithms that its assertions may use".to_owned()));
            }
            keys.push((jwk, verifiers));
        }
        Ok(Self::new(keys))
    }

    /// `{"keys":[…]}`.
    pub fn to_json(&self) -> Value {
        let keys: Vec<Value> = self.jwks().map(PublicJwk::to_json).collect();
        serde_json::json!({ "keys": keys })
    }
}

/// The key, parsed for each algorithm it may be used with: its own `alg`, or all that fit its type.
fn verifiers(jwk: &PublicJwk, registered: Option<Algorithm>) -> Vec<VerifyingKey> {
    Algorithm::ALL
        .into_iter()
        .filter(|algorithm| registered.is_none_or(|only| only == *algorithm))
        .filter(|algorithm| jwk.algorithm.is_none_or(|own| own == *algorithm))
        .filter_map(|algorithm| VerifyingKey::new(jwk, algorithm).ok())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn issuer() -> Issuer {
        Issuer::parse("https://as.example", false).unwrap()
    }

    fn register(metadata: Value) -> Result<Client, String> {
        let metadata: ClientMetadata = serde_json::from_value(metadata).map_err(|error| error.to_string())?;
        metadata.register(ClientId::parse("x").unwrap(), &issuer(), NOW).map_err(|error| error.to_string())
    }

    fn ed25519() -> Value {
        json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"k1","use":"sig"})
    }

    #[test]
    fn metadata_survives_the_way_through_a_client() {
        let metadata: ClientMetadata = serde_json::from_value(json!({
            "client_name": "Orders", "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "Ed25519", "grant_types": ["client_credentials"],
            "jwks": {"keys": [ed25519()]},
            "access": {"https://api.example": "a b", "https://as.example/admin": "keys:read"},
            "serves": ["https://api.example"], "first_party": true, "rotate_refresh_tokens": true,
            "web_origins": ["http://localhost:5173", "https://app.example"],
        }))
        .unwrap();
        let client = metadata.register(ClientId::parse("x").unwrap(), &issuer(), NOW).unwrap();
        assert_eq!(ClientMetadata::of(&client, &issuer()), metadata);
        assert!(client.access.contains_key(&ResourceId::admin()));
    }

    #[test]
    fn what_can_not_be_registered_is_refused_by_member() {
        for (metadata, part) in [
            (json!({"token_endpoint_auth_method": "none", "jwks": {"keys": [ed25519()]}}), "jwks: only"),
            (json!({"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]}), "grant_types: "),
            (json!({"token_endpoint_auth_method": "none", "rotate_refresh_tokens": false}), "rotate_refresh_tokens: "),
            (json!({"web_origins": ["https://app.example"]}), "web_origins: only"),
            (json!({"first_party": true, "web_origins": ["null"]}), "web_origins: "),
            (json!({"first_party": true, "web_origins": ["https://*.example"]}), "web_origins: "),
            (json!({"first_party": true, "web_origins": ["http://app.example"]}), "web_origins: "),
            (json!({"first_party": "yes"}), "expected a boolean"),
            (json!({"token_endpoint_auth_method": "client_secret_jwt"}), "token_endpoint_auth_method"),
            (json!({"grant_types": ["password"]}), "grant_types: `password`"),
            (json!({"jwks": {"keys": [ed25519()]}}), "jwks: only"),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), "jwks: "),
            (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}), "jwks: 1 to 10"),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [ed25519(), ed25519()]}}),
                "twice",
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
                    "jwks": {"keys": [ed25519()]}}),
                "serves none",
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "HS256",
                    "jwks": {"keys": [ed25519()]}}),
                "`HS256`",
            ),
            (json!({"access": {"orders": "a"}}), "access: "),
            (json!({"access": {"https://a.example": "a  b"}}), "access: "),
            (json!({"client_name": "a\nb"}), "client_name: "),
            (json!({"enabled": false}), "unknown field"),
            (json!({"client_secret": "x"}), "unknown field"),
        ] {
            let error = register(metadata.clone()).unwrap_err();
            assert!(error.contains(part), "{metadata}: {error}");
        }
    }

    #[test]
    fn a_public_client_may_refresh_unless_told_otherwise_and_always_rotates() {
        let client = register(json!({"token_endpoint_auth_method": "none"})).unwrap();
        assert_eq!(client.grants, BTreeSet::from([GrantType::RefreshToken]));
        assert!(client.rotates_refresh_tokens());
        let confidential = register(json!({})).unwrap();
        assert!(!confidential.rotates_refresh_tokens());
        assert!(register(json!({"rotate_refresh_tokens": true})).unwrap().rotates_refresh_tokens());
    }

    #[test]
    fn a_private_key_is_never_taken() {
        let mut key = ed25519();
        key["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let error =
            register(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}})).unwrap_err();
        assert!(error.contains("private"), "{error}");
        assert!(!error.contains("nWGxne"));
    }

    #[test]
    fn replacing_metadata_keeps_the_secrets_of_a_client_that_still_has_one() {
        let client = register(json!({})).unwrap();
        let (client, _) = client
            .roll_secret(
                super::super::SecretOrigin::Issued,
                std::time::Duration::ZERO,
                &crate::ports::SystemEntropy,
                NOW,
            )
            .unwrap();
        let post: ClientMetadata =
            serde_json::from_value(json!({"token_endpoint_auth_method": "client_secret_post"})).unwrap();
        let next = post.replace(client.clone(), &issuer(), NOW).unwrap();
        let ClientAuthentication::Secret { method: SecretMethod::Post, secrets } = &next.authentication else {
            unreachable!()
        };
        assert_eq!((secrets.len(), next.version), (1, client.version + 1));
    }
}
