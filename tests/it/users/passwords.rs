//! Passwords that are taken over, changed by their owners, and set by links.

use super::*;

#[actix_web::test]
async fn a_password_of_another_program_is_hashed_anew_at_the_first_login() {
    let people = People::new(SMALL, 64).await;
    people.imported("ann", "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e").await;
    refused_for(people.login("ann", "correct horse e").await);
    let first = people.login("ann", "correct horse é").await.unwrap();
    assert!(first.must_change_password());
    let kept = people.database.sql("SELECT password FROM users").await;
    assert!(kept[0].starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{kept:?}");
    let second = people.login("ann", "correct horse e\u{301}").await.unwrap();
    assert_eq!(second.user(), first.user());
    assert_eq!(people.database.sql("SELECT password FROM users").await, kept, "once is enough");
}

#[actix_web::test]
async fn a_changed_password_takes_the_current_one_and_voids_every_link() {
    let people = People::new(SMALL, 64).await;
    let ann = people.registered("ann").await;
    let home = "192.0.2.1".parse().unwrap();
    let (_, token) = people.administer(async |a, request| a.issue_link(request, &ann.id).await.unwrap()).await;
    let change = async |current: &str, new: &str| {
        people.accounts.change_password(&ann.id, current, new, home, &By::user(ann.id.to_string(), "test", "1")).await
    };
    let refused = change(OTHER, "gravel tulip lantern brisk").await.unwrap_err();
    assert!(matches!(refused, AccountError::Login(LoginRefused::Credentials(_))), "{refused:?}");
    assert!(matches!(change(RIGHT, RIGHT).await, Err(AccountError::Password(NotChosen::Unchanged))));
    assert!(matches!(change(RIGHT, "short").await, Err(AccountError::Password(NotChosen::Refused(_)))));
    let changed = change(RIGHT, OTHER).await.unwrap();
    assert_eq!((changed.user().version, changed.user().password_version), (3, 2));
    refused_for(people.login("ann", RIGHT).await);
    people.login("ann", OTHER).await.unwrap();
    let void = people.accounts.redeem_link(token.expose(), RIGHT, home, &by()).await;
    assert!(matches!(void, Err(AccountError::Link)), "{void:?}");
}

#[actix_web::test]
async fn a_link_sets_a_password_once_within_its_time_and_opens_a_door_that_strangers_closed() {
    let people = People::new(SMALL, 64).await;
    let ann = people.administer(async |a, request| a.create(request, &metadata("ann"), None).await.unwrap()).await;
    let issue = async || people.administer(async |a, request| a.issue_link(request, &ann.id).await.unwrap()).await.1;
    let former = issue().await;
    let token = issue().await;
    for _ in 0..4 {
        refused_for(people.login("ann", OTHER).await);
    }
    assert!(matches!(people.login("ann", RIGHT).await, Err(LoginRefused::TooMany { .. })));
    let from = "192.0.2.200".parse().unwrap();
    let redeem = async |token: &str, new: &str| people.accounts.redeem_link(token, new, from, &by()).await;
    for wrong in ["", "spl_", former.expose(), &token.expose()[..46], &token.expose().to_uppercase()] {
        assert!(matches!(redeem(wrong, RIGHT).await, Err(AccountError::Link)), "{wrong}");
    }
    // A refused password does not use it up.
    assert!(matches!(redeem(token.expose(), "aaaaaaaaaaaaaaaa").await, Err(AccountError::Password(_))));
    let user = redeem(token.expose(), RIGHT).await.unwrap();
    assert!(user.password.is_some_and(|password| !password.must_change));
    assert!(matches!(redeem(token.expose(), OTHER).await, Err(AccountError::Link)));
    people.login("ann", RIGHT).await.unwrap();
    // Where the link was used its owner is known: however many strangers fail now, there they are heard.
    for last in 1..=40 {
        let _ = people.login_from("ann", OTHER, &format!("198.51.100.{last}")).await;
    }
    people.login_from("ann", RIGHT, "192.0.2.200").await.unwrap();
    let late = issue().await;
    people.database.clock.advance(DAY);
    assert!(matches!(redeem(late.expose(), OTHER).await, Err(AccountError::Link)));
    for kept in [&token, &late] {
        let kept = kept.expose();
        let dump = people.database.sql("SELECT detail FROM audit_log").await.concat();
        assert!(!dump.contains(kept) && !dump.contains(&kept[4..]));
    }
}
