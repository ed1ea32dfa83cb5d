//! An account as it is carried from one installation, or from another program, into this one: what `import` takes and
//! `export` gives.
//!
//! Guarantees: unknown members are refused, since they would be lost; nothing of a password hash, or of any other value,
//! is in what is said of a record that can't be read, and none shows in `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Import, StoredPassword, StoredPasswordError, User, UserError, UserMetadata};

/// An account with what its password is checked against. All members but one of the names may be left out.
#[derive(Default, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// The identifier that it had in another Signet, the `sub` of its tokens; a new one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What its owner logs in with; one made from the identifier when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// What its owner may log in with, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What its owner may do, as resources understand it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What else resources may ask for, by the name of the claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, Value>,
    /// Whether anybody may log in.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// The hash of its password: argon2, bcrypt, scrypt or PBKDF2, as PHC strings and the programs that made it write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether its owner is to choose another password before anything else.
    #[serde(default)]
    pub must_change_password: bool,
}

const fn enabled() -> bool {
    true
}

/// Why a record is none of an account.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// It has no name.
    #[error("it has neither a username nor an e-mail address")]
    Nameless,
    /// Its identifier is none.
    #[error(transparent)]
    User(#[from] UserError),
    /// Its hash is not understood.
    #[error("password_hash: {0}")]
    Password(#[from] StoredPasswordError),
}

impl UserRecord {
    /// The record of `user`, with what its password is checked against where that was asked for.
    pub fn of(user: &User, with_hash: bool) -> Self {
        let metadata = UserMetadata::of(user);
        let password = user.password.as_ref();
        Self {
            id: Some(user.id.to_string()),
            username: Some(metadata.username),
            email: metadata.email,
            roles: metadata.roles,
            attributes: metadata.attributes,
            enabled: user.enabled,
            password_hash: password.filter(|_| with_hash).map(|password| password.stored.expose().to_owned()),
            must_change_password: password.is_some_and(|password| password.must_change),
        }
    }

    /// What is to be imported. With `must_change`, whatever it says itself, its owner is to choose another password.
    ///
    /// # Errors
    /// When it has no name, or its identifier or hash is none.
    pub fn import(self, must_change: bool) -> Result<Import, RecordError> {
        let id = self.id.as_deref().map(str::parse).transpose()?;
        let password = self.password_hash.as_deref().map(StoredPassword::parse).transpose()?;
        if self.username.is_none() && self.email.is_none() {
            return Err(RecordError::Nameless);
        }
        let metadata = UserMetadata {
            username: self.username.unwrap_or_default(),
            email: self.email,
            roles: self.roles,
            attributes: self.attributes,
        };
        let must_change = must_change || self.must_change_password;
        Ok(Import { metadata, password, must_change, enabled: self.enabled, id })
    }

    /// What `error`, with which reading a record failed, says without any of its values: they may be of a hash. The names
    /// of members are told.
    pub fn what_is_wrong(error: &serde_json::Error) -> String {
        let message = error.to_string();
        // Behind it stands where in the text; within the text nobody has lines.
        match message.split(" at line ").next().unwrap_or_default() {
            told if ["unknown field", "missing field", "duplicate field"]
                .iter()
                .any(|known| told.starts_with(known)) =>
            {
                told.chars().flat_map(char::escape_debug).collect()
            }
            told if told.starts_with("invalid type") => "a member is of another type than it should be".to_owned(),
            _ if error.is_eof() => "it ends too early".to_owned(),
            _ => "it is malformed".to_owned(),
        }
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("UserRecord");
        shown.field("id", &self.id).field("username", &self.username).field("enabled", &self.enabled);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ports::Timestamp;
    use crate::users::Username;

    const HASH: &str = "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e";

    #[test]
    fn an_account_survives_the_way_through_a_record_and_its_hash_only_where_it_was_asked_for() {
        let now = Timestamp::from_secs(1);
        let mut user = User::new(Username::parse("ann").unwrap(), None, now);
        user.enabled = false;
        let user = user.with_password(StoredPassword::parse(HASH).unwrap(), true, now);
        let whole = UserRecord::of(&user, true);
        let import = whole.clone().import(false).unwrap();
        assert_eq!((import.id, import.enabled, import.must_change), (Some(user.id), false, true));
        assert_eq!(import.password.as_ref().map(StoredPassword::expose), Some(HASH));
        assert_eq!(import.metadata, UserMetadata::of(&user));
        assert_eq!(UserRecord { password_hash: None, ..whole.clone() }, UserRecord::of(&user, false));
        assert!(!format!("{whole:?}").contains("$2b$"));
    }

    #[test]
    fn what_is_said_of_a_record_that_is_none_holds_none_of_its_values() {
        for wrong in [
            json!({"username": "ann", "password_hash": ["canary"]}),
            json!({"username": "ann", "enabled": "canary"}),
            json!("canary"),
            json!([["canary"]]),
        ] {
            let error = serde_json::from_value::<UserRecord>(wrong).unwrap_err();
            let why = UserRecord::what_is_wrong(&error);
            assert!(!why.contains("canary"), "{why}");
        }
        let error = serde_json::from_str::<UserRecord>(r#"{"username": "ann", "pass\u001bwort": 1}"#).unwrap_err();
        let why = UserRecord::what_is_wrong(&error);
        assert!(why.starts_with("unknown field `pass\\u{1b}wort`"), "{why}");
        for record in [
            UserRecord { password_hash: Some("$9$canary".to_owned()), ..UserRecord::default() },
            UserRecord { id: Some("canary".to_owned()), ..UserRecord::default() },
            UserRecord::default(),
        ] {
            let why = record.import(false).unwrap_err().to_string();
            assert!(!why.contains("canary"), "{why}");
        }
    }
}
