//! What has ended, as the journal tells: sessions by their names, and those of persons and clients that are marked or cut
//! off. So no session store that was set back, and none that nobody could tell, revives any of them.
//!
//! Guarantees: whether a session is hit depends on the journal alone, taken up in the order of its numbers: a mark lasts
//! until it is lifted, and nothing that was cut off comes back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

use super::record::Session;
use super::token::SessionId;
use crate::clients::ClientId;
use crate::ports::Timestamp;
use crate::tokens::revocation::{Reach, Revoked};

/// What this replica knows of the journal, as far as something that it hits may still be about.
#[derive(Debug, Default)]
pub(super) struct EndedSessions(RwLock<Ended>);

/// What hits sessions.
#[derive(Debug, Default)]
struct Ended {
    /// Until when each may still be about.
    sessions: HashMap<SessionId, Timestamp>,
    people: HashMap<Uuid, Standing>,
    clients: HashMap<ClientId, Standing>,
}

/// How a person or a client stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// Marked, and until when there may be something that this hits.
    marked: Option<Timestamp>,
    /// Cut off up to the first moment; until the second there may be something that this hits.
    cut_off: Option<(Timestamp, Timestamp)>,
}

impl Standing {
    fn take_up(&mut self, reach: Reach, until: Timestamp) {
        match reach {
            Reach::Marked => self.marked = Some(until),
            Reach::CutOff(moment) => self.cut_off(moment, until),
            Reach::Lifted(moment) => {
                self.marked = None;
                self.cut_off(moment, until);
            }
        }
    }

    fn cut_off(&mut self, moment: Timestamp, until: Timestamp) {
        self.cut_off = self.cut_off.max(Some((moment, until)));
    }

    fn hits(&self, auth_time: Timestamp) -> bool {
        self.marked.is_some() || self.cut_off.is_some_and(|(moment, _)| auth_time <= moment)
    }

    fn outlasts(&mut self, now: Timestamp) -> bool {
        self.marked = self.marked.filter(|until| now < *until);
        self.cut_off = self.cut_off.filter(|(_, until)| now < *until);
        *self != Self::default()
    }
}

impl Ended {
    /// Whether the session `id` of `user` at `client`, who was authenticated at `auth_time`, has ended.
    fn hits(&self, id: SessionId, user: Uuid, client: &ClientId, auth_time: Timestamp) -> bool {
        self.sessions.contains_key(&id)
            || self.people.get(&user).is_some_and(|standing| standing.hits(auth_time))
            || self.clients.get(client).is_some_and(|standing| standing.hits(auth_time))
    }

    fn take_up(&mut self, what: Revoked, until: Timestamp) {
        match what {
            Revoked::Session(id) => {
                let known = self.sessions.entry(id).or_insert(until);
                *known = until.max(*known);
            }
            Revoked::Person(id, reach) => self.people.entry(id).or_default().take_up(reach, until),
            Revoked::Client(id, reach) => self.clients.entry(id).or_default().take_up(reach, until),
        }
    }

    /// Forgets marks, and nothing else: whether they are still in the journal is to be read anew.
    fn forget_marks(&mut self) {
        fn forget<K: Eq + Hash>(standings: &mut HashMap<K, Standing>) {
            standings.values_mut().for_each(|standing| standing.marked = None);
        }
        forget(&mut self.people);
        forget(&mut self.clients);
    }
}

impl EndedSessions {
    /// Whether the journal names that session.
    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.read().sessions.contains_key(&id)
    }

    /// Whether that session has ended, for any reason.
    pub(super) fn hits(&self, session: &Session) -> bool {
        self.read().hits(session.id, session.user, &session.client, session.auth_time)
    }

    /// Takes note that a session has ended: `true` where that was not known.
    pub(super) fn note(&self, id: SessionId, until: Timestamp) -> bool {
        let mut ended = self.write();
        let new = !ended.sessions.contains_key(&id);
        ended.take_up(Revoked::Session(id), until);
        new
    }

    /// Takes up entries in the order of their numbers, at once: nobody sees a mark whose lifting is among them. `anew`
    /// says that these are all that the journal has: what it marks no more is not marked.
    pub(super) fn take_up(&self, entries: Vec<(Revoked, Timestamp)>, anew: bool) {
        let mut ended = self.write();
        if anew {
            ended.forget_marks();
        }
        for (what, until) in entries {
            ended.take_up(what, until);
        }
    }

    /// Forgets that of which nothing is about any more at `now`.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        let mut ended = self.write();
        ended.sessions.retain(|_, until| now < *until);
        ended.people.retain(|_, standing| standing.outlasts(now));
        ended.clients.retain(|_, standing| standing.outlasts(now));
    }

    fn read(&self) -> RwLockReadGuard<'_, Ended> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ended> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::fixtures::{START, session};
    use super::*;

    const LATER: Timestamp = Timestamp::from_secs(1_900_000_000);
    const MILLI: Duration = Duration::from_millis(1);

    fn known(entries: &[Revoked]) -> EndedSessions {
        let ended = EndedSessions::default();
        ended.take_up(entries.iter().map(|entry| (entry.clone(), LATER)).collect(), false);
        ended
    }

    fn of_both(reach: Reach) -> [Revoked; 2] {
        let session = session();
        [Revoked::Person(session.user, reach), Revoked::Client(session.client, reach)]
    }

    #[test]
    fn a_mark_hits_whatever_its_age_and_a_cut_off_what_is_not_later() {
        let at = |auth_time| Session { auth_time, ..session() };
        for marked in of_both(Reach::Marked) {
            assert!(known(&[marked]).hits(&at(LATER)));
        }
        for cut_off in of_both(Reach::CutOff(START)) {
            let ended = known(&[cut_off]);
            assert_eq!([START, START.plus(MILLI)].map(|auth_time| ended.hits(&at(auth_time))), [true, false]);
        }
        let other = Session { user: Uuid::from_bytes([8; 16]), client: ClientId::parse("other").unwrap(), ..session() };
        for reach in [Reach::Marked, Reach::CutOff(LATER)] {
            assert!(!known(&of_both(reach)).hits(&other));
        }
    }

    #[test]
    fn the_last_word_on_a_mark_holds_and_a_cut_off_lifts_none() {
        let late = Session { auth_time: LATER, ..session() };
        let [marked, lifted, cut_off] =
            [Reach::Marked, Reach::Lifted(START), Reach::CutOff(START)].map(|reach| of_both(reach)[0].clone());
        for (entries, hit) in [
            (vec![&marked, &lifted], false),
            (vec![&marked, &lifted, &marked], true),
            (vec![&marked, &cut_off], true),
            (vec![&lifted, &cut_off], false),
        ] {
            let entries: Vec<_> = entries.into_iter().cloned().collect();
            assert_eq!(known(&entries).hits(&late), hit, "{entries:?}");
            assert!(known(&entries).hits(&session()), "what was there before stays dead");
        }
    }

    #[test]
    fn a_journal_that_is_read_anew_marks_what_it_says_and_revives_nothing_that_was_cut_off() {
        let ended = known(&[of_both(Reach::CutOff(START))[0].clone(), of_both(Reach::Marked)[1].clone()]);
        ended.note(SessionId::from_bytes([1; 16]), LATER);
        ended.take_up(Vec::new(), true);
        assert!(ended.hits(&session()) && ended.contains(SessionId::from_bytes([1; 16])));
        assert!(!ended.hits(&Session { auth_time: LATER, ..session() }));
    }

    #[test]
    fn what_can_hit_nothing_any_more_is_forgotten() {
        let ended = known(&[of_both(Reach::Marked), of_both(Reach::CutOff(START))].concat());
        ended.forget_expired(LATER.minus(MILLI));
        assert!(ended.hits(&session()));
        ended.forget_expired(LATER);
        let left = ended.read();
        assert_eq!((left.people.len(), left.clients.len(), left.sessions.len()), (0, 0, 0));
    }

    /// Few of each, so that they meet.
    fn entry() -> impl Strategy<Value = Revoked> {
        let reach = prop_oneof![
            Just(Reach::Marked),
            (0..20_i64).prop_map(|moment| Reach::CutOff(Timestamp::from_millis(moment))),
            (0..20_i64).prop_map(|moment| Reach::Lifted(Timestamp::from_millis(moment))),
        ];
        (0..3_u8, 0..3_u8, reach).prop_map(|(kind, name, reach)| match kind {
            0 => Revoked::Session(SessionId::from_bytes([name; 16])),
            1 => Revoked::Person(Uuid::from_bytes([name; 16]), reach),
            _ => Revoked::Client(ClientId::parse(&format!("c{name}")).unwrap(), reach),
        })
    }

    /// The journal read from its beginning for each question.
    fn naive(journal: &[Revoked], session: &Session) -> bool {
        let of = |entry: &Revoked| match entry {
            Revoked::Session(_) => None,
            Revoked::Person(id, reach) => (*id == session.user).then_some(*reach),
            Revoked::Client(id, reach) => (*id == session.client).then_some(*reach),
        };
        let of_one =
            |is: fn(&Revoked) -> bool| -> Vec<_> { journal.iter().filter(|entry| is(entry)).filter_map(of).collect() };
        let named = journal.iter().any(|entry| matches!(entry, Revoked::Session(id) if *id == session.id));
        let hit = |reaches: Vec<Reach>| {
            let last = reaches.iter().rev().find(|reach| !matches!(reach, Reach::CutOff(_)));
            last == Some(&Reach::Marked)
                || reaches.iter().filter_map(|reach| reach.moment()).any(|moment| session.auth_time <= moment)
        };
        named
            || hit(of_one(|entry| matches!(entry, Revoked::Person(..))))
            || hit(of_one(|entry| matches!(entry, Revoked::Client(..))))
    }

    proptest! {
        #[test]
        fn a_session_is_hit_exactly_where_the_journal_read_from_its_beginning_says_so(
            journal in prop::collection::vec(entry(), 0..12),
            cut in 0..12_usize,
            (id, user, client, auth_time) in (0..3_u8, 0..3_u8, 0..3_u8, 0..20_i64),
        ) {
            let session = Session {
                id: SessionId::from_bytes([id; 16]),
                user: Uuid::from_bytes([user; 16]),
                client: ClientId::parse(&format!("c{client}")).unwrap(),
                auth_time: Timestamp::from_millis(auth_time),
                ..session()
            };
            let expected = naive(&journal, &session);
            let ended = EndedSessions::default();
            let entries: Vec<_> = journal.iter().map(|entry| (entry.clone(), LATER)).collect();
            // However many pages it comes in, and once more from the beginning.
            let (first, second) = entries.split_at(cut.min(entries.len()));
            ended.take_up(first.to_vec(), true);
            ended.take_up(second.to_vec(), false);
            prop_assert_eq!(ended.hits(&session), expected);
            ended.take_up(entries, true);
            prop_assert_eq!(ended.hits(&session), expected);
        }
    }
}
