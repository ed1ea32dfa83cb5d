//! What strangers may try: how often, what it leaves, and that it locks nobody out.

use super::*;

#[actix_web::test]
async fn a_stranger_who_fails_locks_nobody_out_who_comes_from_home() {
    let people = People::new(SMALL, 64).await;
    people.registered("ann").await;
    people.login_from("ann", RIGHT, "192.0.2.1").await.unwrap();
    let mut failed = 0;
    let mut fail_from = async |address: &str| loop {
        match people.login_from("ann", OTHER, address).await {
            Err(LoginRefused::TooMany { retry_after }) if retry_after > DAY / 2 => break,
            Err(LoginRefused::TooMany { retry_after }) => people.database.clock.advance(retry_after),
            other => {
                refused_for(other);
                failed += 1;
            }
        }
    };
    fail_from("198.51.100.7").await;
    // The right password is not even looked at from there; from a new place it is, at once.
    let from_there = people.login_from("ann", RIGHT, "198.51.100.7").await;
    assert!(matches!(from_there, Err(LoginRefused::TooMany { .. })), "{from_there:?}");
    people.login_from("ann", RIGHT, "203.0.113.1").await.unwrap();
    for address in ["198.51.100.8", "198.51.100.9", "198.51.100.10"] {
        fail_from(address).await;
    }
    // Many close it, but not where the owner is known.
    let anywhere = people.login_from("ann", RIGHT, "203.0.113.2").await;
    assert!(matches!(anywhere, Err(LoginRefused::TooMany { .. })), "{anywhere:?}");
    for home in ["192.0.2.1", "203.0.113.1"] {
        people.login_from("ann", RIGHT, home).await.unwrap();
    }
    people.database.clock.advance(DAY);
    people.login_from("ann", RIGHT, "203.0.113.2").await.unwrap();
    println!("failed attempts of strangers at one name until it is closed to them for a day: {failed}");
    assert_eq!(failed, 18);
}

#[actix_web::test]
async fn failures_at_an_account_leave_few_rows_in_the_audit_log_and_those_at_no_account_none() {
    let people = People::new(SMALL, 64).await;
    let ann = people.registered("ann").await;
    let fail = async |name: &str, address: &str| {
        for _ in 0..60 {
            match people.login_from(name, OTHER, address).await {
                Err(LoginRefused::TooMany { retry_after }) if retry_after > DAY / 2 => break,
                Err(LoginRefused::TooMany { retry_after }) => people.database.clock.advance(retry_after),
                other => drop(refused_for(other)),
            }
        }
    };
    people.login_from("ann", RIGHT, "192.0.2.1").await.unwrap();
    for address in ["198.51.100.7", "192.0.2.1"] {
        fail("ann", address).await;
        fail("nobody", address).await;
    }
    let rows = eventually(async || {
        let rows = people
            .database
            .sql(
                "SELECT act || ' ' || origin || ' ' || actor_kind || ' ' || subject || ' ' || detail FROM audit_log \
                 WHERE act LIKE 'users.login%' ORDER BY act, origin",
            )
            .await;
        (rows.len() == 4).then_some(rows)
    })
    .await;
    let row = |act: &str, origin: &str, known: bool| {
        format!("users.{act} {origin} signet {} {{\"from_known_place\":{known},\"why\":\"wrong_password\"}}", ann.id)
    };
    assert_eq!(
        rows,
        [
            row("login_failed", "192.0.2.1", true),
            row("login_failed", "198.51.100.7", false),
            row("login_limited", "192.0.2.1", true),
            row("login_limited", "198.51.100.7", false),
        ]
    );
}

#[actix_web::test]
async fn registrations_are_limited_and_a_taken_name_costs_as_much_as_a_free_one() {
    let people = People::new(SMALL, 64).await;
    let from = "192.0.2.77".parse::<IpAddr>().unwrap();
    let register = async |name: &str, password: &str| people.accounts.register(name, password, from, &by()).await;
    // What is no good anyway counts nothing.
    for _ in 0..REGISTRATIONS * 2 {
        assert!(matches!(register("eve", "short").await, Err(AccountError::Password(_))));
        assert!(matches!(register("e v e", RIGHT).await, Err(AccountError::Name(_))));
    }
    register("eve", RIGHT).await.unwrap();
    for _ in 1..REGISTRATIONS {
        assert!(matches!(register("EVE", RIGHT).await, Err(AccountError::Taken(_))));
    }
    // From then on nothing is told, be it taken or free.
    for name in ["eve", "free"] {
        let refused = register(name, RIGHT).await;
        let ten_minutes = Duration::from_secs(600);
        assert!(
            matches!(refused, Err(AccountError::TooManyRegistrations { retry_after }) if retry_after == ten_minutes),
            "{refused:?}"
        );
    }
    people.database.clock.advance(Duration::from_secs(600));
    register("free", RIGHT).await.unwrap();
    assert_eq!(people.database.count("users").await, 2);
}

#[actix_web::test]
async fn a_storm_of_logins_is_turned_away_and_held_against_nobody() {
    // Hashing is slower by far than what the store does for each, on however busy a machine.
    let people = People::with(Argon2Cost { passes: 8, ..Argon2Cost::DEFAULT }, 2, 4).await;
    let names: Vec<String> = (0..20).map(|place| format!("user-{place}")).collect();
    for name in &names {
        people.registered(name).await;
    }
    let storm = crate::store::at_once((0..60).map(|place| {
        let (accounts, name) = (people.accounts.clone(), names[place % names.len()].clone());
        async move { accounts.authenticate(&name, RIGHT, "192.0.2.1".parse().unwrap(), &by()).await }
    }))
    .await;
    let (mut busy, mut in_time) = (0, 0);
    for outcome in storm {
        match outcome {
            Ok(_) => in_time += 1,
            Err(LoginRefused::Busy { retry_after }) => {
                assert!(retry_after >= Duration::from_secs(1));
                busy += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    println!("storm of 60 on two threads and a queue of 4: {in_time} logged in, {busy} told to come again");
    assert!(in_time >= 6 && busy >= 1);
    assert_eq!(
        people
            .database
            .sql("SELECT CAST(MAX(weight + owner_weight) AS TEXT) FROM login_attempts WHERE kind NOT LIKE 'regist%'")
            .await,
        ["0"]
    );
}
