//! Two matrices: every credential in every parameter, and every credential of one in the hands of another.
//!
//! What there is comes from the program's own lists: the kinds from [`Credential`], the parameters from `/openapi.json`,
//! which is made of the table of routes and of the types that are read. A kind that nobody can make here does not compile,
//! and a parameter that nobody knows how to fill fails.

mod places;
mod stage;
mod strangers;

use std::collections::BTreeMap;

use signet::http::Credential;

use self::places::{Place, places};
use self::stage::Stage;

/// A refusal, and none that a fault of the program would be: 4xx.
#[track_caller]
fn assert_refused(what: &str, place: &Place, answer: &crate::app::Answer) {
    let status = answer.status.as_u16();
    assert!((400..500).contains(&status) && status != 429, "{what} at {place}: {} {}", answer.status, answer.text);
    assert!(answer.header("set-cookie").is_none(), "{what} at {place} sets a cookie");
    for given in ["access_token", "refresh_token", "device_token"] {
        assert!(answer.body.get(given).is_none(), "{what} at {place}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_credential_is_good_where_its_kind_is_asked_for_and_nowhere_else() {
    let stage = Stage::set().await;
    let places = places(&stage).await;
    let mut refused = 0;
    let mut taken: BTreeMap<&str, usize> = Credential::ALL.iter().map(|kind| (kind.name(), 0)).collect();
    for (number, place) in places.iter().enumerate() {
        let cast = stage.cast(&format!("person-{number}")).await;
        for held in cast.held.iter().filter(|held| held.kind.name() != place.takes) {
            if place.is_guesswork() {
                // A success in between: what limits guessing has nothing to do here.
                assert_eq!(stage.log_in(&cast.name, "login", false).await.status, 200);
            }
            stage.later();
            let answer = stage.present(place, held, &cast).await;
            assert_refused(held.kind.name(), place, &answer);
            refused += 1;
        }
        stage.later();
        let right = cast.held.iter().find(|held| held.kind.name() == place.takes);
        let answer = stage.present(place, right.unwrap_or_else(|| panic!("{place}: {}", place.takes)), &cast).await;
        let status = answer.status.as_u16();
        assert!(![401, 403, 429].contains(&status) && status < 500, "{place}: {status} {}", answer.text);
        assert!(!place.must_succeed() || answer.status.is_success(), "{place}: {status} {}", answer.text);
        *taken.get_mut(place.takes.as_str()).unwrap() += 1;
    }
    // What is for services alone is for nothing here; all else is for something.
    let idle: Vec<_> = taken.iter().filter(|(_, count)| **count == 0).map(|(kind, _)| *kind).collect();
    assert_eq!(idle, [Credential::ClientToken.name()]);
    let (parameters, kinds) = (places.len(), Credential::ALL.len());
    println!(
        "{parameters} parameters, {kinds} kinds of credentials: {refused} refused, {parameters} on the diagonal taken"
    );
    stage.signet.stop().await;
}

#[actix_web::test]
async fn no_credential_is_used_up_or_ended_by_being_presented_where_it_does_not_belong() {
    let stage = Stage::set().await;
    let places = places(&stage).await;
    let cast = stage.cast("eve").await;
    let mut presented = 0;
    for place in places.iter().filter(|place| !place.is_guesswork()) {
        for held in cast.held.iter().filter(|held| held.kind.name() != place.takes) {
            let answer = stage.present(place, held, &cast).await;
            assert_refused(held.kind.name(), place, &answer);
            presented += 1;
        }
    }
    let mut works = 0;
    for held in &cast.held {
        let own = |place: &&Place| held.kind.name() == place.takes && place.must_succeed() && !place.ends();
        if let Some(place) = places.iter().find(own) {
            let answer = stage.present(place, held, &cast).await;
            assert!(answer.status.is_success(), "{} at {place}: {}", held.kind.name(), answer.text);
            works += 1;
        }
    }
    assert_eq!(works, Credential::ALL.len() - 1, "each but the one that services take");
    println!("{works} credentials are good after they were presented {presented} times where they don't belong");
    stage.signet.stop().await;
}
