//! What the time of a login that fails tells of an account: nothing.

use std::time::Instant;

use super::*;

/// A login as `name` that fails for `why`, with nothing counted against it: how long it took.
async fn failed(people: &People, name: &str, why: LoginRefusal) -> Duration {
    let digest = signet::users::LoginName::parse(name).digest();
    signet::users::AttemptStore::clear(&people.store, &[digest]).await.unwrap();
    let begun = Instant::now();
    assert_eq!(refused_for(people.login(name, OTHER).await), why, "{name}");
    begun.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[actix_web::test]
async fn time_does_not_tell_an_unknown_user_from_a_wrong_password() {
    // On one thread: of two each would come to hash for one of the names, and one of them may be the slower.
    let people = People::with(Argon2Cost::DEFAULT, 1, 64).await;
    people.registered("ann").await;
    let names = ["ann", "ben"].map(|name| signet::users::LoginName::parse(name).digest());
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..25 {
        for (name, times) in ["ann", "ben"].into_iter().zip(&mut times) {
            signet::users::AttemptStore::clear(&people.store, &names).await.unwrap();
            let begun = Instant::now();
            refused_for(people.login(name, OTHER).await);
            times.push(begun.elapsed());
        }
    }
    let [wrong, unknown] = times.map(|mut times| {
        times.sort();
        (times[times.len() / 2], times[0])
    });
    let apart = wrong.0.abs_diff(unknown.0);
    println!(
        "median of 25 logins: wrong password {:?}, unknown user {:?}, difference of medians {apart:?}",
        wrong.0, unknown.0
    );
    // Whatever else this machine does makes medians scatter; the quickest of each is the work alone.
    let ratio = wrong.1.as_secs_f64() / unknown.1.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "the quickest: wrong {:?}, unknown {:?}", wrong.1, unknown.1);
}

#[actix_web::test]
async fn a_failure_is_told_at_the_end_of_a_span_whatever_the_password_was_hashed_with() {
    const SPAN: Duration = Duration::from_millis(100);
    let people = People::failing_by(SMALL, 1, 64, SPAN).await;
    people.imported("bea", "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e").await;
    let django = "pbkdf2_sha256$1000$saltsaltsalt$HpSbrkBrDWDAB9HrNXHZggikF+GO3Q6ksWrO0IeZG4M=";
    people.imported("dan", django).await;
    // Slower than the others by far: it may be told a span later, and never between.
    people.imported("max", &django.replace("$1000$", "$300000$")).await;
    people.administer(async |a, request| a.create(request, &metadata("bare"), None).await.unwrap()).await;
    for (name, why) in [
        ("bea", LoginRefusal::WrongPassword),
        ("dan", LoginRefusal::WrongPassword),
        ("max", LoginRefusal::WrongPassword),
        ("bare", LoginRefusal::NoPassword),
        ("nobody", LoginRefusal::UnknownUser),
    ] {
        let (mut times, mut late) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let took = failed(&people, name, why).await;
            assert!(took >= SPAN, "{name}: {took:?}");
            late.push(Duration::from_nanos(u64::try_from(took.as_nanos() % SPAN.as_nanos()).unwrap()));
            times.push(took);
        }
        println!("{name}: median {:?}, {:?} after the end of a span", median(&mut times), median(&mut late));
        // Whatever else this machine does comes on top: of the quickest, the least.
        assert!(late[0] < SPAN / 2, "{name}: {late:?}");
    }
    // What is malformed is told no sooner, and the right password without any such wait.
    let begun = Instant::now();
    assert_eq!(refused_for(people.login("bea", "correct\0horse").await), LoginRefusal::Malformed);
    assert!(begun.elapsed() >= SPAN);
    people.login("dan", "correct horse é").await.unwrap();
    let mut quick = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        people.login("dan", "correct horse é").await.unwrap();
        quick.push(begun.elapsed());
    }
    quick.sort();
    assert!(quick[0] < SPAN, "{quick:?}");
}
