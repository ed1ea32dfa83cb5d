//! The port through which sessions are kept.
//!
//! Guarantees asked of every store: each method is one atomic act on one session; a session moves exactly where
//! [`decide`](super::decide()) on its record says so, by the store's own clock, however many present its tokens at once;
//! what is answered with success is kept as safely as the store keeps anything.

use async_trait::async_trait;
use uuid::Uuid;

use super::decide::RefreshPolicy;
use super::record::{Motion, Presenter, Session};
use super::token::{Generation, MacKeyId, SessionId};
use crate::clients::{ClientId, Insert};
use crate::ports::{StoreError, Timestamp};

/// A refresh token was presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Of which session.
    pub session: SessionId,
    /// Which of its tokens.
    pub generation: Generation,
    /// By whom.
    pub presenter: Presenter<'a>,
}

/// What a [`SessionStore::swap`] found and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swapped {
    /// The record as it was before; `None` where there is none. It may have expired.
    pub before: Option<Session>,
    /// The store's time at which it was looked at, and changed if it was.
    pub now: Timestamp,
    /// Whether the session moved to its next generation.
    pub moved: bool,
}

/// Some sessions of a longer list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionPage {
    /// By ascending name.
    pub sessions: Vec<Session>,
    /// Where the list goes on: the name to go on after. `None` at its end. A page may have fewer sessions than were asked
    /// for, none even, and the list still go on.
    pub next: Option<SessionId>,
}

/// Where sessions are kept. Times are the store's own, passed through
/// [`Clock::of_store`](crate::ports::Clock::of_store); a store that reads its clock within a script or a statement takes
/// [`Clock::held`](crate::ports::Clock::held) in its place, where that is some.
#[async_trait]
pub trait SessionStore: Send + Sync + std::fmt::Debug {
    /// Whether it can be reached, as far as that is known without asking it: [`StoreError::Unavailable`] while nothing that
    /// is asked of it would be answered. A store that has to be asked to tell is taken to be there.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Stores a session that has just begun, so that it is found by its name, its user and its client. A name that is
    /// taken is [`Insert::Exists`], and nothing changed. One that has expired already is stored or left out: nothing
    /// finds it. After [`StoreError::Unavailable`] it may be stored or not; nobody has a token of it.
    async fn insert(&self, session: &Session) -> Result<Insert, StoreError>;

    /// The session of that name. `None` when there is none, or it has expired by the store's clock.
    async fn load(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Presents a token: looks at the record, and in the same act moves it where
    /// [`decide`](super::decide()) on that very record, by the store's clock, answers
    /// [`Decision::Rotate`](super::Decision::Rotate) or [`Decision::Adopt`](super::Decision::Adopt). It is then what
    /// [`Session::rotated`] gives, with `next_key` for its key. Where `decide` answers
    /// [`Decision::Stay`](super::Decision::Stay) with `touch`, it becomes what [`Session::touched`] gives. In every other
    /// case nothing changes. No session: [`Swapped::before`] is `None`. Raced by others: the record is the one that the
    /// last of them left. Repeated: decided anew, on the record as it is then. After [`StoreError::Unavailable`] it may
    /// have moved or not: presenting the same token again, within the grace window, gives the same successor.
    async fn swap(
        &self,
        presented: &Presented<'_>,
        next_key: MacKeyId,
        policy: &RefreshPolicy,
    ) -> Result<Swapped, StoreError>;

    /// Takes the rotation back that made `moved`, where it is the last one: the record is then what
    /// [`Session::set_back`] makes of it with `to`, and the answer `true`. Absent, or rotated since: `false`, and nothing
    /// changed. Repeated: `false`. Whoever has got the successor meanwhile has a token that the session does not know, and
    /// is heard all the same ([`Decision::Adopt`](super::Decision::Adopt)).
    async fn set_back(&self, moved: &Session, to: &Motion) -> Result<bool, StoreError>;

    /// Removes the session: `true` where it was there. Absent or repeated: `false`, and that is no error. A swap that
    /// comes after finds none.
    async fn end(&self, id: SessionId) -> Result<bool, StoreError>;

    /// Up to `limit` living sessions of the person `user`, those after `after`.
    async fn list_by_user(&self, user: Uuid, after: Option<SessionId>, limit: u32) -> Result<SessionPage, StoreError>;

    /// Up to `limit` living sessions at `client`, those after `after`.
    async fn list_by_client(
        &self,
        client: &ClientId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, StoreError>;
}
