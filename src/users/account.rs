//! An account: who someone is, what they may be asked for, and what they log in with.
//!
//! Guarantees: roles and attributes are of bounded size and of names that no other claim has; a password is here only as
//! what is left of it to be checked, and never shows in `Debug`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use uuid::Uuid;

use super::password::StoredPassword;
use super::{Email, LoginName, NameError, Username};
use crate::clients::{ADMIN_SCOPES, ScopeSet, is_attribute_name};
use crate::ports::{Timestamp, unique_id};

const MAX_ROLES: usize = 100;
const MAX_LABEL: usize = 64;
/// All attributes together as JSON, in bytes.
const MAX_ATTRIBUTES: usize = 4096;
/// Roles and attributes together as JSON, in bytes: so a token that bears every one of them stays below 4 kB.
const MAX_CLAIMS: usize = 1024;
const MAX_DEPTH: usize = 4;
/// What gives a person scopes of the admin API: this and the scope, or [`EVERY_ADMIN_SCOPE`].
const ADMIN_ROLE: &str = "signet:";
const EVERY_ADMIN_SCOPE: &str = "signet:admin";

/// Claims with a meaning of their own. Attributes stand apart from them in a token; none is called so all the same, so that
/// a service may lift them out.
const RESERVED_CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "scope",
    "scp",
    "sid",
    "auth_time",
    "acr",
    "amr",
    "cnf",
    "act",
    "may_act",
    "status",
    "events",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "typ",
    "roles",
    "groups",
    "entitlements",
    "authorization_details",
    "active",
    "token_type",
    "txn",
    "username",
    "preferred_username",
    "email",
    "email_verified",
];

/// The identifier of an account: a UUIDv7, and the `sub` of its tokens. It is never given again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    /// A new one.
    pub fn generate(now: Timestamp) -> Self {
        Self(unique_id(now))
    }

    /// The identifier that stands in a row.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// As a UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

/// With hyphens, in lower case.
impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

/// Reads exactly what [`Display`](fmt::Display) writes, so that an identifier has one text.
impl FromStr for UserId {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| UserError::Id)?;
        if id.to_string() == text { Ok(id) } else { Err(UserError::Id) }
    }
}

/// Roles, which a resource may ask for as the claim `roles`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Roles(BTreeSet<String>);

impl Roles {
    /// Takes a list of roles that may repeat each other.
    pub fn of(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, UserError> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if names.len() > MAX_ROLES {
            return Err(UserError::TooManyRoles);
        }
        let is_role = |name: &String| {
            (1..=MAX_LABEL).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte))
        };
        if let Some(wrong) = names.iter().find(|name| !is_role(name)) {
            return Err(UserError::Role(shortened(wrong)));
        }
        let admin = |name: &&String| name.starts_with(ADMIN_ROLE) && name.as_str() != EVERY_ADMIN_SCOPE;
        let offered = |name: &String| ADMIN_SCOPES.split(' ').any(|scope| name[ADMIN_ROLE.len()..] == *scope);
        if let Some(wrong) = names.iter().filter(admin).find(|name| !offered(name)) {
            return Err(UserError::AdminRole(shortened(wrong)));
        }
        Ok(Self(names))
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `role` is among them.
    pub fn contains(&self, role: &str) -> bool {
        self.0.contains(role)
    }

    /// What these roles allow of the admin API: `signet:keys:read` the scope `keys:read`, `signet:admin` every scope. A
    /// token of a person never has more of them.
    pub fn admin_scopes(&self) -> ScopeSet {
        let of_roles = || self.iter().filter_map(|role| role.strip_prefix(ADMIN_ROLE));
        let allowed = |scope: &&str| self.contains(EVERY_ADMIN_SCOPE) || of_roles().any(|role| role == *scope);
        ScopeSet::of(ADMIN_SCOPES.split(' ').filter(allowed)).unwrap_or_default()
    }
}

/// Attributes, each of which a resource may ask for: tokens bear it as a member of the claim `attributes`.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Attributes(BTreeMap<String, Value>);

impl Attributes {
    /// Takes attributes by name.
    pub fn of(attributes: BTreeMap<String, Value>) -> Result<Self, UserError> {
        for (name, value) in &attributes {
            if !is_attribute_name(name) {
                return Err(UserError::Attribute(shortened(name), "its name has 1 to 64 of A-Z a-z 0-9 - . _ : /"));
            }
            if RESERVED_CLAIMS.contains(&name.as_str()) {
                return Err(UserError::Attribute(shortened(name), "a claim of that name has a meaning of its own"));
            }
            if value.is_null() {
                return Err(UserError::Attribute(shortened(name), "leave it out instead of setting it to null"));
            }
            if !is_tame(value, MAX_DEPTH) {
                let why = "its value is nested more than four deep, or has the character NUL in it";
                return Err(UserError::Attribute(shortened(name), why));
            }
        }
        let size = serde_json::to_string(&attributes).map_or(usize::MAX, |text| text.len());
        if size > MAX_ATTRIBUTES { Err(UserError::AttributesTooLarge) } else { Ok(Self(attributes)) }
    }

    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// By name.
    pub const fn as_map(&self) -> &BTreeMap<String, Value> {
        &self.0
    }
}

/// Whether a token has room for these roles and attributes together. Asked where an account is described, and not where one
/// is read: what is stored counts.
pub(super) fn check_room(roles: &Roles, attributes: &Attributes) -> Result<(), UserError> {
    let roles = serde_json::to_string(&roles.0).map_or(usize::MAX, |text| text.len());
    let attributes = serde_json::to_string(&attributes.0).map_or(usize::MAX, |text| text.len());
    if roles.saturating_add(attributes) > MAX_CLAIMS { Err(UserError::ClaimsTooLarge) } else { Ok(()) }
}

fn is_tame(value: &Value, depth: usize) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_tame(item, depth - 1)),
        Value::Object(members) => {
            depth > 0 && members.iter().all(|(name, item)| !name.contains('\0') && is_tame(item, depth - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Of what somebody wrote, as much as a sentence about it needs.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_LABEL).flat_map(char::escape_debug).collect()
}

/// A password at rest, with what there is to know about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordState {
    /// What it is checked against.
    pub stored: StoredPassword,
    /// When it was chosen; of an imported one, when it was imported.
    pub changed_at: Timestamp,
    /// Whether its owner is to choose another before anything else.
    pub must_change: bool,
}

/// An account. Equal versions of one account are equal, but for a password that was hashed anew.
#[derive(Clone, PartialEq, Debug)]
pub struct User {
    /// Its identifier, the `sub` of its tokens.
    pub id: UserId,
    /// What its owner logs in with.
    pub username: Username,
    /// What its owner may log in with, too.
    pub email: Option<Email>,
    /// What its owner may do, as resources understand it.
    pub roles: Roles,
    /// What else resources may ask for.
    pub attributes: Attributes,
    /// Whether anybody may log in.
    pub enabled: bool,
    /// The password; with none nobody can log in by one.
    pub password: Option<PasswordState>,
    /// Counts the passwords, from 0 for none: a link is good for the password that was there when it was made.
    pub password_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1. Hashing a password anew is none.
    pub version: i64,
}

impl User {
    /// A new account without a password.
    pub fn new(username: Username, email: Option<Email>, now: Timestamp) -> Self {
        Self {
            id: UserId::generate(now),
            username,
            email,
            roles: Roles::default(),
            attributes: Attributes::default(),
            enabled: true,
            password: None,
            password_version: 0,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// The same with another password, which every link made before is void for.
    #[must_use]
    pub fn with_password(mut self, stored: StoredPassword, must_change: bool, now: Timestamp) -> Self {
        self.password = Some(PasswordState { stored, changed_at: now, must_change });
        self.password_version += 1;
        self
    }

    /// The same at the next version.
    #[must_use]
    pub fn changed(mut self, now: Timestamp) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }

    /// By what its owner may log in.
    pub fn login_names(&self) -> impl Iterator<Item = LoginName> + '_ {
        std::iter::once(self.username.login()).chain(self.email.as_ref().map(Email::login))
    }
}

/// What is wrong with an account's description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Not an identifier.
    #[error("an account's identifier is a UUID in lower case")]
    Id,
    /// A name is not acceptable.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too many roles.
    #[error("an account has at most {MAX_ROLES} roles")]
    TooManyRoles,
    /// A role is not acceptable.
    #[error("`{0}` is no role: a role has 1 to {MAX_LABEL} of A-Z a-z 0-9 - . _ : /")]
    Role(String),
    /// A role of the admin API that there is not.
    #[error("`{0}` is no role: `{ADMIN_ROLE}` is followed by a scope of the admin API, or by `admin` for all of them")]
    AdminRole(String),
    /// An attribute is not acceptable.
    #[error("the attribute `{0}`: {1}")]
    Attribute(String, &'static str),
    /// All attributes together are too large.
    #[error("the attributes of an account have at most {MAX_ATTRIBUTES} bytes as JSON")]
    AttributesTooLarge,
    /// Roles and attributes together are too large for a token.
    #[error(
        "the roles and attributes of an account have at most {MAX_CLAIMS} bytes together as JSON: tokens bear them"
    )]
    ClaimsTooLarge,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Result<Attributes, UserError> {
        Attributes::of(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn an_identifier_has_one_text() {
        let id = UserId::generate(Timestamp::from_secs(1_800_000_000));
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in
            [id.to_string().to_uppercase(), id.as_uuid().simple().to_string(), format!("{{{id}}}"), String::new()]
        {
            assert_eq!(other.parse::<UserId>(), Err(UserError::Id), "{other}");
        }
    }

    #[test]
    fn roles_are_words_and_those_of_signet_allow_scopes_of_the_admin_api() {
        let roles = Roles::of(["billing", "billing", "orders:read", "signet:keys:read", "signet:audit:read"]).unwrap();
        assert_eq!(roles.iter().count(), 4);
        assert_eq!(roles.admin_scopes().to_string(), "keys:read audit:read");
        assert_eq!(Roles::of(["signet:admin"]).unwrap().admin_scopes().to_string(), ADMIN_SCOPES);
        assert!(Roles::of(["admin", "keys:read", "Signet:admin"]).unwrap().admin_scopes().is_empty());
        for wrong in ["", "a b", "é", "a\0", &"a".repeat(65)] {
            assert!(matches!(Roles::of([wrong]), Err(UserError::Role(_))), "{wrong:?}");
        }
        for unknown in ["signet:", "signet:keys", "signet:keys:reads", "signet:everything"] {
            assert!(matches!(Roles::of([unknown]), Err(UserError::AdminRole(_))), "{unknown}");
        }
        assert_eq!(Roles::of((0..101).map(|n| n.to_string())), Err(UserError::TooManyRoles));
    }

    #[test]
    fn an_attribute_passes_for_no_other_claim_and_is_of_bounded_size() {
        assert!(
            attributes(json!({"department": "books", "levels": [1, 2], "https://a.example/x": {"a": true}})).is_ok()
        );
        for wrong in [
            json!({"sub": "x"}),
            json!({"roles": ["x"]}),
            json!({"": 1}),
            json!({"a b": 1}),
            json!({"a": null}),
            json!({"a": "\0"}),
            json!({"a": {"\0": 1}}),
            json!({"a": [[[[[1]]]]]}),
        ] {
            assert!(matches!(attributes(wrong.clone()), Err(UserError::Attribute(..))), "{wrong}");
        }
        assert_eq!(attributes(json!({"a": "x".repeat(4096)})), Err(UserError::AttributesTooLarge));
    }

    #[test]
    fn an_account_is_found_by_each_of_its_names() {
        let email = Email::parse("Ann@example.com").unwrap();
        let user = User::new(Username::parse("Ann").unwrap(), Some(email), Timestamp::from_secs(1));
        let names: Vec<_> = user.login_names().collect();
        assert_eq!(names, ["ann", "ann@EXAMPLE.com"].map(LoginName::parse));
    }
}
