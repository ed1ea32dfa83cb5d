//! Which parameters take something secret, and of which kind: what the description marks by `x-credential`.
//!
//! Guarantees: whatever is presented to prove something is marked, so that programs that test a server against its
//! description know what belongs where; what is only chosen, such as a new password, is marked as written and never read.

use serde_json::{Map, Value, json};

/// What can be presented, by its kind: whatever is of one kind is good nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// An access token for the admin API.
    AdminToken,
    /// An access token of a person's session.
    PersonToken,
    /// An access token of a client for a service: that service takes it, and nothing here does.
    ClientToken,
    /// A refresh token of a session whose tokens travel in bodies.
    RefreshToken,
    /// One of a session whose tokens travel in a cookie.
    RefreshCookie,
    /// A client's secret.
    ClientSecret,
    /// What a client has signed to say who it is.
    ClientAssertion,
    /// A person's password.
    Password,
    /// The token of a one-time link.
    LinkToken,
    /// What a device is known by, which lets nobody in.
    DeviceToken,
    /// Where a list goes on.
    Cursor,
}

impl Credential {
    /// Each of them.
    pub const ALL: [Self; 11] = [
        Self::AdminToken,
        Self::PersonToken,
        Self::ClientToken,
        Self::RefreshToken,
        Self::RefreshCookie,
        Self::ClientSecret,
        Self::ClientAssertion,
        Self::Password,
        Self::LinkToken,
        Self::DeviceToken,
        Self::Cursor,
    ];

    /// Its kind, as `x-credential` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminToken => "admin_token",
            Self::PersonToken => "person_token",
            Self::ClientToken => "client_token",
            Self::RefreshToken => "refresh_token",
            Self::RefreshCookie => "refresh_cookie",
            Self::ClientSecret => "client_secret",
            Self::ClientAssertion => "client_assertion",
            Self::Password => "password",
            Self::LinkToken => "link_token",
            Self::DeviceToken => "device_token",
            Self::Cursor => "cursor",
        }
    }
}

/// The members of bodies that take one.
const TAKEN: [(&str, &str, Credential); 10] = [
    ("TokenRequest", "refresh_token", Credential::RefreshToken),
    ("TokenRequest", "client_secret", Credential::ClientSecret),
    ("TokenRequest", "client_assertion", Credential::ClientAssertion),
    ("LogIn", "password", Credential::Password),
    ("Refresh", "refresh_token", Credential::RefreshToken),
    ("LogOut", "refresh_token", Credential::RefreshToken),
    ("ChangePassword", "current_password", Credential::Password),
    ("ChangePassword", "link_token", Credential::LinkToken),
    ("LogIn", "device_token", Credential::DeviceToken),
    ("ChangePassword", "device_token", Credential::DeviceToken),
];
/// Those that bring a secret into being: it is compared with nothing.
const CHOSEN: [(&str, &str); 3] =
    [("ChangePassword", "new_password"), ("Register", "password"), ("CreateUser", "password")];

/// Marks them.
pub(super) fn mark(schemas: &mut Map<String, Value>) {
    let mut member = |schema: &str, name: &str, marks: Value| {
        let found = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(name));
        if let (Some(Value::Object(member)), Value::Object(marks)) = (found, marks) {
            member.extend(marks);
        }
    };
    for (schema, name, credential) in TAKEN {
        member(schema, name, json!({ "format": "password", "writeOnly": true, "x-credential": credential.name() }));
    }
    for (schema, name) in CHOSEN {
        member(schema, name, json!({ "format": "password", "writeOnly": true }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::described;
    use super::*;

    #[test]
    fn what_is_called_like_a_secret_is_marked_in_every_body_that_is_read() {
        let document = described();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut read = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                for content in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                    read.push(content.1["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap());
                }
            }
        }
        assert!(read.len() > 10, "{read:?}");
        for name in read {
            for (member, schema) in schemas[name]["properties"].as_object().unwrap() {
                let secret = ["password", "secret", "assertion", "cookie", "cursor", "token"]
                    .iter()
                    .any(|word| member.split('_').any(|part| part == *word));
                // These say how, and hold nothing.
                let told = ["client_assertion_type", "rotate_refresh_tokens"].contains(&member.as_str())
                    || member.starts_with("token_endpoint_auth")
                    || schema["type"] != "string" && schema["type"] != json!(["string", "null"]);
                assert!(!secret || told || schema["writeOnly"] == true, "{name}.{member}: {schema}");
            }
        }
        for (schema, member, credential) in TAKEN {
            assert_eq!(schemas[schema]["properties"][member]["x-credential"], credential.name(), "{schema}.{member}");
        }
        for (schema, member) in CHOSEN {
            assert_eq!(schemas[schema]["properties"][member]["writeOnly"], true, "{schema}.{member}");
        }
    }
}
