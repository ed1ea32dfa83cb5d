//! What is known to be revoked: [`Picture`].

use super::id::{Id, Names};
use super::{Bearer, By, Named, Reach};
use crate::NumericDate;

/// All revocations that are known and may still hit something, taken up in the order in which they were made.
///
/// ```
/// use signet_verify::NumericDate;
/// use signet_verify::revocation::{Bearer, By, Id, Named, Picture, Reach};
///
/// let (second, later) = (NumericDate::from_secs(1_700_000_000), NumericDate::from_secs(1_800_000_000));
/// let mut picture = Picture::default();
/// picture.take_up(Named::Sub(Id::of("ada"), Reach::CutOff(second)), later);
///
/// let of = |auth_time| Bearer { sub: Some(Id::of("ada")), auth_time: Some(auth_time), ..Bearer::default() };
/// assert_eq!(picture.judge(&of(second)), Some(By::Sub));
/// assert_eq!(picture.judge(&of(NumericDate::from_secs(1_700_000_001))), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Picture {
    tokens: Names<Until>,
    sessions: Names<Until>,
    keys: Names<Until>,
    people: Names<Standing>,
    clients: Names<Standing>,
    all: CutOff,
    /// The latest second of any cut-off.
    latest: u64,
}

/// Until which second there may be something that it hits.
type Until = u64;

/// Up to which second something is cut off, if it is, and until when there may be something that this hits.
type CutOff = Option<(u64, Until)>;

/// How a person or a client stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    marked: Option<Until>,
    cut_off: CutOff,
}

fn cut(known: &mut CutOff, second: u64, until: Until) {
    let longest = known.map_or(until, |(_, known)| until.max(known));
    *known = Some((known.map_or(second, |(known, _)| second.max(known)), longest));
}

fn is_cut(cut_off: CutOff, second: u64) -> bool {
    cut_off.is_some_and(|(cut, _)| second <= cut)
}

fn lasts(cut_off: &mut CutOff, now: u64) {
    *cut_off = cut_off.filter(|(_, until)| now < *until);
}

impl Standing {
    fn take_up(&mut self, reach: Reach, until: Until) {
        match reach {
            Reach::Mark => self.marked = Some(until),
            Reach::CutOff(second) => cut(&mut self.cut_off, second.secs(), until),
            Reach::Lift(second) => {
                self.marked = None;
                cut(&mut self.cut_off, second.secs(), until);
            }
        }
    }

    fn hits(&self, second: u64) -> bool {
        self.marked.is_some() || is_cut(self.cut_off, second)
    }
}

impl Picture {
    /// Takes up one revocation, of which nothing that it hits is valid any more at `until`, by no clock that is trusted.
    /// The last word on a mark of a person or a client holds; all else only adds, and may be told twice.
    pub fn take_up(&mut self, what: Named<'_>, until: NumericDate) {
        let until = until.secs();
        let longer = |known: &mut Until| *known = until.max(*known);
        match what {
            Named::Jti(id) => longer(self.tokens.entry(id)),
            Named::Sid(id) => longer(self.sessions.entry(id)),
            Named::Kid(id) => longer(self.keys.entry(id)),
            Named::Sub(id, reach) => self.people.entry(id).take_up(reach, until),
            Named::ClientId(id, reach) => self.clients.entry(id).take_up(reach, until),
            Named::All(second) => cut(&mut self.all, second.secs(), until),
        }
        let second = match what {
            Named::Sub(_, Reach::CutOff(second) | Reach::Lift(second))
            | Named::ClientId(_, Reach::CutOff(second) | Reach::Lift(second))
            | Named::All(second) => second.secs(),
            _ => 0,
        };
        self.latest = self.latest.max(second);
    }

    /// By what this is revoked; `None` where it is not.
    #[must_use]
    pub fn judge(&self, bearer: &Bearer<'_>) -> Option<By> {
        let second = bearer.second();
        let named = |names: &Names<Until>, id: Option<Id<'_>>| id.is_some_and(|id| names.get(id).is_some());
        let stands = |names: &Names<Standing>, id: Option<Id<'_>>| {
            id.and_then(|id| names.get(id)).is_some_and(|standing| standing.hits(second))
        };
        if named(&self.tokens, bearer.jti) {
            Some(By::Jti)
        } else if named(&self.sessions, bearer.sid) {
            Some(By::Sid)
        } else if named(&self.keys, bearer.kid) {
            Some(By::Kid)
        } else if stands(&self.people, bearer.sub) {
            Some(By::Sub)
        } else if stands(&self.clients, bearer.client_id) {
            Some(By::ClientId)
        } else {
            is_cut(self.all, second).then_some(By::All)
        }
    }

    /// The last second of all cut-offs that are to hit what this client gets at the time `now`: what is later than that is
    /// not hit. `None` where what it gets now is not hit by any.
    #[must_use]
    pub fn cut_off_of_client(&self, client_id: Id<'_>, now: NumericDate) -> Option<NumericDate> {
        if self.latest < now.secs() {
            return None;
        }
        let own = self.clients.get(client_id).and_then(|standing| standing.cut_off);
        let second = own.max(self.all).map(|(second, _)| second).filter(|second| now.secs() <= *second);
        second.map(NumericDate::from_secs)
    }

    /// Forgets that of which nothing is valid any more at `now`.
    pub fn forget_expired(&mut self, now: NumericDate) {
        let now = now.secs();
        for names in [&mut self.tokens, &mut self.sessions, &mut self.keys] {
            names.retain(|until| now < *until);
        }
        for names in [&mut self.people, &mut self.clients] {
            names.retain(|standing| {
                standing.marked = standing.marked.filter(|until| now < *until);
                lasts(&mut standing.cut_off, now);
                *standing != Standing::default()
            });
        }
        lasts(&mut self.all, now);
    }

    /// Forgets marks of people and clients, and nothing else: before what there is of them is read anew.
    pub fn forget_marks(&mut self) {
        for names in [&mut self.people, &mut self.clients] {
            names.retain(|standing| {
                standing.marked = None;
                *standing != Standing::default()
            });
        }
    }

    /// Whether this session is revoked by its own name.
    #[must_use]
    pub fn names_session(&self, sid: Id<'_>) -> bool {
        self.sessions.get(sid).is_some()
    }

    /// How many names of that kind it holds.
    #[must_use]
    pub fn count(&self, by: By) -> usize {
        match by {
            By::Jti => self.tokens.len(),
            By::Sid => self.sessions.len(),
            By::Kid => self.keys.len(),
            By::Sub => self.people.len(),
            By::ClientId => self.clients.len(),
            By::All => usize::from(self.all.is_some()),
        }
    }

    /// How many it holds in all.
    #[must_use]
    pub fn len(&self) -> usize {
        By::ALL.iter().map(|by| self.count(*by)).sum()
    }

    /// About how many bytes of memory its tables take.
    #[must_use]
    pub fn memory(&self) -> usize {
        let names = [&self.tokens, &self.sessions, &self.keys].map(Names::memory);
        let standings = [&self.people, &self.clients].map(Names::memory);
        names.iter().chain(&standings).sum()
    }

    /// Whether nothing is revoked that it knows of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
