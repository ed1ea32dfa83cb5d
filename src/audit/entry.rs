//! Who did what to which, why, and from where.

use std::fmt;

use serde_json::Value;

/// The most characters of a reason.
pub const REASON_LIMIT: usize = 500;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Signet itself: what the passing of time makes due.
    Signet,
    /// A client, by a token of the admin API.
    Client(String),
    /// A person, on their own account.
    User(String),
    /// A person or program with a shell on the machine of the stores: the break-glass way past the API.
    Operator(String),
}

impl Actor {
    /// The stable name of the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Signet => "signet",
            Self::Client(_) => "client",
            Self::User(_) => "user",
            Self::Operator(_) => "operator",
        }
    }

    /// The name within its kind; empty for Signet itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Signet => "",
            Self::Client(name) | Self::User(name) | Self::Operator(name) => name,
        }
    }
}

/// `signet`, `client:c_0190…` or `operator:root`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signet => f.write_str(self.kind()),
            Self::Client(name) | Self::User(name) | Self::Operator(name) => write!(f, "{}:{name}", self.kind()),
        }
    }
}

macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident = $name:literal,)*) => {
        /// What is done. Each act has a stable name, `what.how`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Act {
            $($(#[$doc])* $act,)*
        }

        impl Act {
            /// Every act.
            pub const ALL: &'static [Self] = &[$(Self::$act,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$act => $name,)* }
            }
        }
    };
}

acts! {
    /// An installation was set up, with its first admin client.
    InstallationInit = "installation.init",
    /// Signing keys were made, promoted or retired because it was time.
    KeysSweep = "keys.sweep",
    /// A signing key was made on request.
    KeysCreate = "keys.create",
    /// A private key was brought in.
    KeysImport = "keys.import",
    /// A successor took over on request.
    KeysRotate = "keys.rotate",
    /// A certain key was made to sign.
    KeysActivate = "keys.activate",
    /// A certain key was made to stop signing.
    KeysRetire = "keys.retire",
    /// A key was declared compromised.
    KeysCompromise = "keys.compromise",
    /// The stored keys were sealed under another master key.
    KeysReseal = "keys.reseal",
    /// A client was registered.
    ClientsCreate = "clients.create",
    /// A client's metadata were replaced.
    ClientsUpdate = "clients.update",
    /// A client got a new secret.
    ClientsRollSecret = "clients.roll_secret",
    /// A client was enabled.
    ClientsEnable = "clients.enable",
    /// A client was disabled.
    ClientsDisable = "clients.disable",
    /// A client was removed.
    ClientsDelete = "clients.delete",
    /// A resource was registered.
    ResourcesCreate = "resources.create",
    /// A resource was replaced.
    ResourcesUpdate = "resources.update",
    /// A resource was removed.
    ResourcesDelete = "resources.delete",
    /// Someone signed in by their password, and a session began.
    SessionsBegin = "sessions.begin",
    /// Sessions were ended.
    SessionsEnd = "sessions.end",
    /// A refresh token that was replaced before was presented, and its session ended.
    SessionsReuse = "sessions.reuse",
    /// An account was made.
    UsersCreate = "users.create",
    /// Someone made an account for themselves.
    UsersRegister = "users.register",
    /// An account was taken over from another program.
    UsersImport = "users.import",
    /// Accounts were given out with the hashes of their passwords.
    UsersExport = "users.export",
    /// What describes an account was replaced.
    UsersUpdate = "users.update",
    /// An account was enabled.
    UsersEnable = "users.enable",
    /// An account was disabled.
    UsersDisable = "users.disable",
    /// An account was removed.
    UsersDelete = "users.delete",
    /// An account got a password that its owner is to change.
    UsersSetPassword = "users.set_password",
    /// Someone changed their password.
    UsersChangePassword = "users.change_password",
    /// A one-time link to choose a password was made.
    UsersIssueLink = "users.issue_link",
    /// Someone chose a password by a one-time link.
    UsersRedeemLink = "users.redeem_link",
    /// Someone tried to sign in to an account and did not get in: the first in a row from that place.
    UsersLoginFailed = "users.login_failed",
    /// So many attempts to sign in to an account have failed that the next has to wait until time has forgiven one.
    UsersLoginLimited = "users.login_limited",
}

impl Act {
    /// The act of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|act| act.name() == name)
    }
}

/// Who acts, from where and why: made where a request or a command line comes in, and carried to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// From where: an address, or a machine's name.
    pub origin: String,
    /// The request's id, where it came over HTTP: the same as in the log.
    pub request_id: Option<String>,
    /// Why, in the actor's words; empty where nobody said.
    pub reason: String,
}

impl By {
    /// Signet itself, on the machine called `origin`.
    pub fn signet(origin: impl Into<String>) -> Self {
        Self { actor: Actor::Signet, origin: origin.into(), request_id: None, reason: String::new() }
    }

    /// Whoever runs the command line as `user` on the machine `origin`.
    pub fn operator(user: impl Into<String>, origin: impl Into<String>) -> Self {
        Self { actor: Actor::Operator(user.into()), ..Self::signet(origin) }
    }

    /// The client that calls the admin API from `origin` by the request `request_id`.
    pub fn client(id: impl Into<String>, origin: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self { actor: Actor::Client(id.into()), request_id: Some(request_id.into()), ..Self::signet(origin) }
    }

    /// The person whose account has the identifier `id`, who calls from `origin` by the request `request_id`.
    pub fn user(id: impl Into<String>, origin: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self { actor: Actor::User(id.into()), request_id: Some(request_id.into()), ..Self::signet(origin) }
    }

    /// The same with a reason, which [`check_reason`] has passed.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// What is to be written when `act` on `subject` is done. `detail` is a JSON object without secrets.
    pub fn entry(&self, act: Act, subject: impl Into<String>, detail: Value) -> Entry {
        Entry { by: self.clone(), act, subject: subject.into(), detail }
    }
}

/// One act, before it has a place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who, from where and why.
    pub by: By,
    /// What.
    pub act: Act,
    /// To which: a `kid`, a client's, resource's or account's identifier; empty for the whole installation.
    pub subject: String,
    /// What else there is to know, without secrets.
    pub detail: Value,
}

/// A reason that can't be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has at most {REASON_LIMIT} characters and no control characters")]
pub struct ReasonError;

/// Whether `reason` can be kept.
///
/// # Errors
/// When it is too long, or is more than one line of text.
pub fn check_reason(reason: &str) -> Result<(), ReasonError> {
    if reason.chars().count() > REASON_LIMIT || reason.contains(char::is_control) {
        return Err(ReasonError);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_found_by_its_name_and_no_two_share_one() {
        for act in Act::ALL {
            assert_eq!(Act::from_name(act.name()), Some(*act));
        }
        assert_eq!(Act::from_name("keys.Rotate"), None);
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(check_reason(""), Ok(()));
        assert_eq!(check_reason(&"é".repeat(REASON_LIMIT)), Ok(()));
        for wrong in ["a\nb", "\u{1b}[2J", "\0", &"a".repeat(REASON_LIMIT + 1)] {
            assert_eq!(check_reason(wrong), Err(ReasonError), "{wrong:?}");
        }
    }

    #[test]
    fn an_actor_is_told_with_its_kind() {
        for (by, text) in [
            (By::signet("host"), "signet"),
            (By::operator("root", "host"), "operator:root"),
            (By::client("c_1", "10.0.0.1", "0190"), "client:c_1"),
            (By::user("0190b3a4", "10.0.0.1", "0190"), "user:0190b3a4"),
        ] {
            assert_eq!(by.actor.to_string(), text);
        }
    }
}
