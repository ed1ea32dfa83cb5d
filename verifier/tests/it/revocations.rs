//! What is judged dead, held against the entries read from their beginning for each question.

use proptest::prelude::*;
use signet_verify::NumericDate;
use signet_verify::revocation::{Bearer, By, Id, Named, Picture, Reach};

const LATER: NumericDate = NumericDate::from_secs(1_900_000_000);

/// An entry as it is generated: few of each, so that they meet.
#[derive(Debug, Clone)]
struct Made {
    by: By,
    name: String,
    reach: Reach,
}

impl Made {
    fn named(&self) -> Named<'_> {
        let id = Id::of(&self.name);
        match self.by {
            By::Jti => Named::Jti(id),
            By::Sid => Named::Sid(id),
            By::Kid => Named::Kid(id),
            By::Sub => Named::Sub(id, self.reach),
            By::ClientId => Named::ClientId(id, self.reach),
            By::All => Named::All(self.second().unwrap_or(NumericDate::from_secs(0))),
        }
    }

    fn second(&self) -> Option<NumericDate> {
        match self.reach {
            Reach::Mark => None,
            Reach::CutOff(second) | Reach::Lift(second) => Some(second),
        }
    }
}

/// Names of all forms.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a".to_owned(),
        "b".to_owned(),
        "0190a6c0-1f5e-7cc3-98c9-4c5a1b2d3e4f".to_owned(),
        "0190A6C0-1F5E-7CC3-98C9-4C5A1B2D3E4F".to_owned(),
        "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "AAAAAAAAAAAAAAAAAAAAAB".to_owned(),
    ])
}

fn made() -> impl Strategy<Value = Made> {
    let second = (0..8_u64).prop_map(NumericDate::from_secs);
    let reach = prop_oneof![
        Just(Reach::Mark),
        second.clone().prop_map(Reach::CutOff),
        second.prop_map(Reach::Lift),
    ];
    (prop::sample::select(By::ALL.to_vec()), name(), reach).prop_map(|(by, name, reach)| Made { by, name, reach })
}

#[derive(Debug, Clone)]
struct Token {
    claims: [Option<String>; 5],
    auth_time: Option<u64>,
    iat: u64,
}

fn token() -> impl Strategy<Value = Token> {
    let claim = || prop::option::of(name());
    let claims = [claim(), claim(), claim(), claim(), claim()];
    (claims, prop::option::of(0..8_u64), 0..8_u64).prop_map(|(claims, auth_time, iat)| Token { claims, auth_time, iat })
}

impl Token {
    fn bearer(&self) -> Bearer<'_> {
        let [jti, sid, kid, sub, client_id] = self.claims.each_ref().map(|claim| claim.as_deref().map(Id::of));
        let auth_time = self.auth_time.map(NumericDate::from_secs);
        Bearer { jti, sid, kid, sub, client_id, auth_time, iat: Some(NumericDate::from_secs(self.iat)) }
    }

    fn claim(&self, by: By) -> Option<&str> {
        let place = By::ALL.iter().position(|one| *one == by).unwrap();
        self.claims.get(place).and_then(Option::as_deref)
    }
}

/// Whether anything in the journal hits it, by the words of the documentation.
fn naive(journal: &[Made], token: &Token) -> bool {
    let second = token.auth_time.unwrap_or(token.iat);
    let cut = |entry: &&Made| entry.second().is_some_and(|cut| second <= cut.secs());
    [By::Jti, By::Sid, By::Kid].iter().any(|by| {
        let name = token.claim(*by);
        journal.iter().any(|entry| entry.by == *by && name == Some(&entry.name))
    }) || [By::Sub, By::ClientId].iter().any(|by| {
        let name = token.claim(*by);
        let own: Vec<_> = journal.iter().filter(|entry| entry.by == *by && name == Some(&entry.name)).collect();
        let word = own.iter().rev().find(|entry| !matches!(entry.reach, Reach::CutOff(_)));
        word.is_some_and(|entry| entry.reach == Reach::Mark) || own.iter().copied().any(|entry| cut(&entry))
    }) || journal
        .iter()
        .filter(|entry| entry.by == By::All)
        .any(|entry| second <= entry.second().unwrap_or(NumericDate::from_secs(0)).secs())
}

proptest! {
    #[test]
    fn a_token_is_dead_exactly_where_the_journal_read_from_its_beginning_says_so(
        journal in prop::collection::vec(made(), 0..16),
        token in token(),
        again in 0..16_usize,
    ) {
        let mut picture = Picture::default();
        for entry in &journal {
            picture.take_up(entry.named(), LATER);
        }
        prop_assert_eq!(picture.judge(&token.bearer()).is_some(), naive(&journal, &token));
        // Some of it told twice, in the order it has, and all of it.
        for entry in journal.iter().skip(again).chain(&journal) {
            picture.take_up(entry.named(), LATER);
        }
        prop_assert_eq!(picture.judge(&token.bearer()).is_some(), naive(&journal, &token));
        picture.forget_expired(NumericDate::from_secs(LATER.secs() - 1));
        prop_assert_eq!(picture.judge(&token.bearer()).is_some(), naive(&journal, &token));
        picture.forget_expired(LATER);
        prop_assert!(picture.is_empty() && picture.judge(&token.bearer()).is_none());
    }

    #[test]
    fn what_a_client_gets_once_it_has_waited_is_hit_by_no_cut_off(
        journal in prop::collection::vec(made(), 0..16),
        client in name(),
        now in 0..8_u64,
    ) {
        let mut picture = Picture::default();
        for entry in journal.iter().filter(|entry| entry.reach != Reach::Mark) {
            picture.take_up(entry.named(), LATER);
        }
        let at = |second: u64| Bearer {
            client_id: Some(Id::of(&client)),
            iat: Some(NumericDate::from_secs(second)),
            ..Bearer::default()
        };
        let waits = picture.cut_off_of_client(Id::of(&client), NumericDate::from_secs(now));
        prop_assert_eq!(waits.is_some(), picture.judge(&at(now)).is_some());
        let first = waits.map_or(now, |second| second.secs() + 1);
        prop_assert_eq!(picture.judge(&at(first)), None);
    }
}

#[test]
fn a_journal_that_is_read_anew_marks_what_it_says_and_revives_nothing_that_was_cut_off() {
    let (second, later) = (NumericDate::from_secs(7), NumericDate::from_secs(8));
    let mut picture = Picture::default();
    picture.take_up(Named::Sub(Id::of("ada"), Reach::CutOff(second)), LATER);
    picture.take_up(Named::ClientId(Id::of("web"), Reach::Mark), LATER);
    picture.take_up(Named::Sid(Id::of("s")), LATER);
    picture.forget_marks();
    let of = |auth_time| Bearer {
        sub: Some(Id::of("ada")),
        client_id: Some(Id::of("web")),
        auth_time: Some(auth_time),
        ..Bearer::default()
    };
    assert_eq!(picture.judge(&of(second)), Some(By::Sub));
    assert_eq!(picture.judge(&of(later)), None);
    assert!(picture.names_session(Id::of("s")));
    assert_eq!((picture.count(By::Sub), picture.count(By::ClientId), picture.len()), (1, 0, 2));
}

#[test]
fn a_token_without_any_time_is_hit_by_every_cut_off() {
    let mut picture = Picture::default();
    picture.take_up(Named::All(NumericDate::from_secs(1)), LATER);
    assert_eq!(picture.judge(&Bearer::default()), Some(By::All));
}

#[test]
fn a_hundred_thousand_entries_take_little_memory() {
    let mut picture = Picture::default();
    for number in 0..100_000_u128 {
        let id = Id::uuid((number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes());
        picture.take_up(if number % 4 == 0 { Named::Sub(id, Reach::Mark) } else { Named::Jti(id) }, LATER);
    }
    let bytes = picture.memory();
    println!("100,000 revocations: {bytes} bytes in memory, {} each", bytes / 100_000);
    assert_eq!(picture.len(), 100_000);
    assert!(bytes < 20_000_000);
}
