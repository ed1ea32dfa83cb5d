//! What was revoked: the kinds of it, the journal that it is written to before anybody is told that it is done, and what a
//! replica knows of that journal.
//!
//! Guarantees: what is acknowledged is in the journal; whether it hits something is judged by the function with which every
//! other service judges ([`signet_verify::revocation::Picture`]).

mod journal;
mod live;

use std::time::Duration;

use signet_verify::revocation::{self as judged, Id, Named};
use signet_verify::{NumericDate, base64url};
use uuid::Uuid;

use super::sid::SessionId;
use crate::clients::ClientId;
use crate::ports::Timestamp;

pub use journal::{JournalHead, JournalPage, Revocation, RevocationJournal, Revoking};
pub use live::LiveRevocations;

/// The longest that a session may be set to live: what is written down outlasts every one that there can be.
pub const LONGEST_SESSION: Duration = Duration::from_secs(400 * 86_400);
/// By how much a verifier's clock may differ: what the end of a session hits may pass for alive for so long.
pub const VERIFIER_SKEW: Duration = Duration::from_secs(60);
/// Until it is lifted.
const FOREVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// By how much a cut-off lies ahead where what it is to hit may be made without a look at the database: a replica follows the
/// journal within [`FOLLOW_BOUND`](crate::config::FOLLOW_BOUND), clocks differ by `clock.max_skew`, and `iat` is in whole
/// seconds.
pub const AHEAD: Duration = Duration::from_secs(3);

/// What is dead from now on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Revoked {
    /// One token.
    Token(Uuid),
    /// Every token that one key signed, by its RFC 7638 thumbprint.
    Key(String),
    /// Whatever is not later than that.
    All(Timestamp),
    /// A session, and every token that bears its name.
    Session(SessionId),
    /// What bears that person.
    Person(Uuid, Reach),
    /// What bears that client.
    Client(ClientId, Reach),
}

/// How far back a revocation of a person or a client reaches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// Whatever bears it is dead, whatever its age, until that is lifted.
    Marked,
    /// Dead is what was authenticated in the second of that moment or before. A mark stays.
    CutOff(Timestamp),
    /// There is no mark any more; dead is what was authenticated in the second of that moment or before.
    Lifted(Timestamp),
}

impl Reach {
    /// The stable name of its shape.
    pub const fn shape(self) -> &'static str {
        match self {
            Self::Marked => "mark",
            Self::CutOff(_) => "cut_off",
            Self::Lifted(_) => "lift",
        }
    }

    /// Up to which moment it cuts off.
    pub const fn moment(self) -> Option<Timestamp> {
        match self {
            Self::Marked => None,
            Self::CutOff(moment) | Self::Lifted(moment) => Some(moment),
        }
    }

    fn judged(self) -> judged::Reach {
        match self {
            Self::Marked => judged::Reach::Mark,
            Self::CutOff(moment) => judged::Reach::CutOff(date(moment)),
            Self::Lifted(moment) => judged::Reach::Lift(date(moment)),
        }
    }

    fn parse(shape: &str, moment: Option<Timestamp>) -> Option<Self> {
        match shape {
            "mark" => Some(Self::Marked),
            "cut_off" => moment.map(Self::CutOff),
            "lift" => moment.map(Self::Lifted),
            _ => None,
        }
    }
}

impl Revoked {
    /// The stable name of its kind: the claim by which a token is hit.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "jti",
            Self::Key(_) => "kid",
            Self::All(_) => "all",
            Self::Session(_) => "sid",
            Self::Person(..) => "sub",
            Self::Client(..) => "client_id",
        }
    }

    /// The value of that claim; empty for all.
    pub fn value(&self) -> String {
        match self {
            Self::Token(id) => id.as_hyphenated().to_string(),
            Self::Key(kid) => kid.clone(),
            Self::All(_) => String::new(),
            Self::Session(id) => id.to_string(),
            Self::Person(id, _) => id.as_hyphenated().to_string(),
            Self::Client(id, _) => id.as_str().to_owned(),
        }
    }

    /// How far back it reaches: a token, a key and a session are dead whatever their age.
    pub const fn reach(&self) -> Reach {
        match self {
            Self::Token(_) | Self::Key(_) | Self::Session(_) => Reach::Marked,
            Self::All(moment) => Reach::CutOff(*moment),
            Self::Person(_, reach) | Self::Client(_, reach) => *reach,
        }
    }

    /// The revocation of that kind, value, shape and moment; `None` where a newer Signet knows it, and this one does not.
    pub fn parse(kind: &str, value: &str, shape: &str, moment: Option<Timestamp>) -> Option<Self> {
        let reach = Reach::parse(shape, moment)?;
        match kind {
            "jti" => Uuid::try_parse(value).ok().map(Self::Token),
            "kid" => base64url::decode_array::<32>(value).ok().map(|_| Self::Key(value.to_owned())),
            "all" => reach.moment().map(Self::All),
            "sid" => SessionId::parse(value).map(Self::Session),
            "sub" => Uuid::try_parse(value).ok().map(|id| Self::Person(id, reach)),
            "client_id" => ClientId::parse(value).ok().map(|id| Self::Client(id, reach)),
            _ => None,
        }
    }

    /// The same, as it is judged.
    pub fn named(&self) -> Named<'_> {
        match self {
            Self::Token(id) => Named::Jti(Id::uuid(id.into_bytes())),
            Self::Key(kid) => Named::Kid(Id::of(kid)),
            Self::All(moment) => Named::All(date(*moment)),
            Self::Session(id) => Named::Sid(Id::base64url(*id.as_bytes())),
            Self::Person(id, reach) => Named::Sub(Id::uuid(id.into_bytes()), reach.judged()),
            Self::Client(id, reach) => Named::ClientId(Id::of(id.as_str()), reach.judged()),
        }
    }
}

/// In whole seconds, as claims have it.
pub(super) fn date(at: Timestamp) -> NumericDate {
    NumericDate::from_secs(u64::try_from(at.secs()).unwrap_or(0))
}

/// A change of an account or a client that ends sessions. Its entry in the journal is written in the transaction that
/// makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// The account can't be used any more.
    UserDisabled(Uuid),
    /// It can again, or there is one of that identifier again. What was there before stays dead.
    UserEnabled(Uuid),
    /// It is gone.
    UserDeleted(Uuid),
    /// It has another password.
    NewPassword(Uuid),
    /// The client can't be used any more.
    ClientDisabled(ClientId),
    /// It can again, or there is one of that identifier again. What was there before stays dead.
    ClientEnabled(ClientId),
    /// It is gone.
    ClientDeleted(ClientId),
}

impl Turn {
    /// What is written of it, where it happened at `moment`. Kept until no session can bear it any more; a mark, until it
    /// is lifted or the account or client is gone.
    pub fn at(self, moment: Timestamp) -> Revocation {
        let kept = moment.plus(LONGEST_SESSION).plus(VERIFIER_SKEW);
        let (what, until, why) = match self {
            Self::UserDisabled(id) => (Revoked::Person(id, Reach::Marked), FOREVER, EndReason::UserDisabled),
            Self::UserEnabled(id) => (Revoked::Person(id, Reach::Lifted(moment)), kept, EndReason::UserEnabled),
            Self::UserDeleted(id) => (Revoked::Person(id, Reach::Marked), kept, EndReason::UserDeleted),
            Self::NewPassword(id) => (Revoked::Person(id, Reach::CutOff(moment)), kept, EndReason::Password),
            Self::ClientDisabled(id) => (Revoked::Client(id, Reach::Marked), FOREVER, EndReason::ClientDisabled),
            Self::ClientEnabled(id) => (Revoked::Client(id, Reach::Lifted(moment)), kept, EndReason::ClientEnabled),
            Self::ClientDeleted(id) => (Revoked::Client(id, Reach::Marked), kept, EndReason::ClientDeleted),
        };
        Revocation { what, until, why }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// The person signed out.
    Logout,
    /// A refresh token that was replaced before was presented.
    Reuse,
    /// The person's password was changed.
    Password,
    /// The person was disabled.
    UserDisabled,
    /// The person was enabled again: what was there before stays dead.
    UserEnabled,
    /// The person was removed.
    UserDeleted,
    /// The client was disabled.
    ClientDisabled,
    /// The client was enabled again: what was there before stays dead.
    ClientEnabled,
    /// The client was removed.
    ClientDeleted,
    /// An administrator ended it.
    Admin,
}

impl EndReason {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Password => "password",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserDeleted => "user_deleted",
            Self::ClientDisabled => "client_disabled",
            Self::ClientEnabled => "client_enabled",
            Self::ClientDeleted => "client_deleted",
            Self::Admin => "admin",
        }
    }

    /// Whether it is a change of an account or a client ([`Turn`]): its entry in the journal was written with that change,
    /// and hits all the sessions concerned.
    pub const fn is_a_turn(self) -> bool {
        match self {
            Self::Logout | Self::Reuse | Self::Admin => false,
            Self::Password
            | Self::UserDisabled
            | Self::UserEnabled
            | Self::UserDeleted
            | Self::ClientDisabled
            | Self::ClientEnabled
            | Self::ClientDeleted => true,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn turns() -> Vec<Turn> {
        let (user, client) = (Uuid::from_bytes([7; 16]), ClientId::parse("web").unwrap());
        vec![
            Turn::UserDisabled(user),
            Turn::UserEnabled(user),
            Turn::UserDeleted(user),
            Turn::NewPassword(user),
            Turn::ClientDisabled(client.clone()),
            Turn::ClientEnabled(client.clone()),
            Turn::ClientDeleted(client),
        ]
    }

    #[test]
    fn what_is_written_of_a_turn_reads_back_as_itself_and_an_unknown_shape_is_passed_over() {
        let moment = Timestamp::from_secs(1_800_000_000);
        for turn in turns() {
            let Revocation { what, why, .. } = turn.at(moment);
            let (kind, value, reach) = (what.kind(), what.value(), what.reach());
            assert_eq!(Revoked::parse(kind, &value, reach.shape(), reach.moment()).as_ref(), Some(&what));
            assert!(why.is_a_turn());
            assert_eq!(Revoked::parse(kind, &value, "newer", Some(moment)), None);
            assert_eq!(Revoked::parse("newer", &value, reach.shape(), reach.moment()), None);
        }
        assert_eq!(Revoked::parse("sub", "7", "mark", None), None);
        assert_eq!(Revoked::parse("client_id", "web", "cut_off", None), None);
    }

    #[test]
    fn an_entry_outlasts_every_session_and_the_mark_of_who_may_come_back_lasts() {
        let moment = Timestamp::from_secs(1_800_000_000);
        for turn in turns() {
            let disables = matches!(turn, Turn::UserDisabled(_) | Turn::ClientDisabled(_));
            let until = turn.at(moment).until;
            assert_eq!(until == FOREVER, disables);
            assert!(until >= moment.plus(LONGEST_SESSION));
        }
    }
}
