//! How people and programs see and describe an account: what the admin API and the command line take and give.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::account::check_room;
use super::{Attributes, Email, Roles, User, UserError, Username};

/// What describes an account, without its identifier and password. Unknown members are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserMetadata {
    /// What its owner logs in with: letters, digits and `.`, `_`, `-`, at most 64.
    pub username: String,
    /// What its owner may log in with, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What its owner may do, as resources understand it; `signet:` and a scope of the admin API allows that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What else resources may ask for, by name: 1024 bytes at most as JSON, together with the roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, Value>,
}

impl UserMetadata {
    /// What describes `user`.
    pub fn of(user: &User) -> Self {
        Self {
            username: user.username.as_str().to_owned(),
            email: user.email.as_ref().map(|email| email.as_str().to_owned()),
            roles: user.roles.iter().map(str::to_owned).collect(),
            attributes: user.attributes.as_map().clone(),
        }
    }

    /// Puts the description in the place of `user`'s.
    ///
    /// # Errors
    /// When a member is not acceptable; nothing is changed then.
    pub fn apply(&self, user: &mut User) -> Result<(), UserError> {
        let username = Username::parse(&self.username)?;
        let email = self.email.as_deref().map(Email::parse).transpose()?;
        let roles = Roles::of(self.roles.iter().cloned())?;
        let attributes = Attributes::of(self.attributes.clone())?;
        check_room(&roles, &attributes)?;
        user.username = username;
        user.email = email;
        user.roles = roles;
        user.attributes = attributes;
        Ok(())
    }
}

/// An account, without anything of its password.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// Its identifier, the `sub` of its tokens.
    pub id: String,
    /// What describes it.
    #[serde(flatten)]
    pub metadata: UserMetadata,
    /// Whether anybody may log in.
    pub enabled: bool,
    /// Its password; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordView>,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Counts its changes, from 1.
    pub version: i64,
}

/// What there is to know of a password that is no secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PasswordView {
    /// How it is hashed: argon2id, or what it was imported as until its owner logs in.
    pub hash: String,
    /// When it was chosen or imported.
    pub changed_at: String,
    /// Whether its owner is to choose another before anything else.
    pub must_change: bool,
}

impl UserView {
    /// The view of `user`.
    pub fn of(user: &User) -> Self {
        let password = user.password.as_ref().map(|password| PasswordView {
            hash: password.stored.kind().to_owned(),
            changed_at: password.changed_at.to_string(),
            must_change: password.must_change,
        });
        Self {
            id: user.id.to_string(),
            metadata: UserMetadata::of(user),
            enabled: user.enabled,
            password,
            created_at: user.created_at.to_string(),
            updated_at: user.updated_at.to_string(),
            version: user.version,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ports::Timestamp;

    fn metadata(value: Value) -> UserMetadata {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_description_survives_the_way_through_an_account() {
        let described = metadata(json!({
            "username": "Ann", "email": "Ann@example.com", "roles": ["billing"], "attributes": {"department": "books"},
        }));
        let mut user = User::new(Username::parse("x").unwrap(), None, Timestamp::from_secs(1));
        described.apply(&mut user).unwrap();
        assert_eq!(UserMetadata::of(&user), described);
        let largest = metadata(json!({"username": "ann", "roles": ["r"], "attributes": {"a": "x".repeat(1011)}}));
        largest.apply(&mut user).unwrap();
        assert_eq!(UserMetadata::of(&user), largest);
        let plain = metadata(json!({"username": "ann"}));
        plain.apply(&mut user).unwrap();
        assert_eq!(UserMetadata::of(&user), plain);
    }

    #[test]
    fn what_is_not_acceptable_changes_nothing() {
        let before = User::new(Username::parse("ann").unwrap(), None, Timestamp::from_secs(1));
        for wrong in [
            json!({"username": "a b"}),
            json!({"username": "bob", "email": "bob"}),
            json!({"username": "bob", "roles": ["a b"]}),
            json!({"username": "bob", "attributes": {"sub": "x"}}),
            // `["r"]`, and `{"a":"…"}` of one byte more than is left of 1024.
            json!({"username": "bob", "roles": ["r"], "attributes": {"a": "x".repeat(1012)}}),
        ] {
            let mut user = before.clone();
            assert!(metadata(wrong.clone()).apply(&mut user).is_err(), "{wrong}");
            assert_eq!(user, before);
        }
        for unknown in [json!({"username": "a", "id": "x"}), json!({"username": "a", "enabled": true}), json!({})] {
            assert!(serde_json::from_value::<UserMetadata>(unknown).is_err());
        }
    }
}
