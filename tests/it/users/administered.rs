//! Accounts in the hands of others: who may, and what is told of it.

use super::*;

#[actix_web::test]
async fn nobody_administers_who_may_do_more_than_they_themselves() {
    let people = People::new(SMALL, 64).await;
    let described = |roles: &[&str]| UserMetadata {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..metadata("ann")
    };
    let ann = people
        .administer(async |a, request| a.create(request, &described(&["signet:keys:import"]), None).await.unwrap())
        .await;
    let scopes = ScopeSet::parse("clients:write keys:read").unwrap();
    let power = Power::Of { client: ClientId::parse("me").unwrap(), scopes, person: None };
    let by = by();
    let request = Request { by: &by, power: &power, expected: None };
    let a = &people.administration;
    let password = Password::parse(RIGHT).unwrap();
    let beyond = |outcome: Result<(), UserAdministrationError>| {
        assert!(
            matches!(&outcome, Err(UserAdministrationError::BeyondPower(scope)) if scope == "keys:import"),
            "{outcome:?}"
        );
    };
    beyond(a.set_password(request, &ann.id, password).await.map(drop));
    beyond(a.issue_link(request, &ann.id).await.map(drop));
    beyond(a.set_enabled(request, &ann.id, false).await.map(drop));
    beyond(a.replace(request, &ann.id, &metadata("ann")).await.map(drop));
    beyond(a.delete(request, &ann.id).await);
    let weak = UserMetadata { username: "bob".to_owned(), ..described(&["signet:keys:read"]) };
    let bob = a.create(request, &weak, None).await.unwrap();
    beyond(
        a.replace(request, &bob.id, &UserMetadata { username: "bob".to_owned(), ..described(&["signet:keys:import"]) })
            .await
            .map(drop),
    );
    let stale = Request { expected: Some(7), ..request };
    assert!(matches!(a.set_enabled(stale, &bob.id, false).await, Err(UserAdministrationError::Stale { version: 1 })));
}

#[actix_web::test]
async fn nobody_gives_their_own_account_another_role() {
    let people = People::new(SMALL, 64).await;
    let described = |name: &str, roles: &[&str]| UserMetadata {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..metadata(name)
    };
    let create = async |described: UserMetadata| {
        people.administer(async |a, request| a.create(request, &described, None).await.unwrap()).await
    };
    let (ann, bob) = (create(described("ann", &["books", "lead"])).await, create(described("bob", &[])).await);
    let scopes = ScopeSet::parse("keys:read").unwrap();
    let person = Some(*ann.id.as_uuid());
    let power = Power::Of { client: ClientId::parse("me").unwrap(), scopes, person };
    let by = by();
    let request = Request { by: &by, power: &power, expected: None };
    let replace = async |id, roles: &[&str]| {
        let name = if id == ann.id { "ann" } else { "bob" };
        people.administration.replace(request, &id, &described(name, roles)).await.map(drop)
    };
    for wider in [&["books", "lead", "billing"][..], &["billing"], &["books", "signet:keys:read"]] {
        let refused = replace(ann.id, wider).await;
        assert!(matches!(refused, Err(UserAdministrationError::Own)), "{wider:?}: {refused:?}");
    }
    replace(bob.id, &["billing", "signet:keys:read"]).await.unwrap();
    replace(ann.id, &["books"]).await.unwrap();
    assert!(matches!(replace(ann.id, &["books", "lead"]).await, Err(UserAdministrationError::Own)));
    replace(ann.id, &["books"]).await.unwrap();
}

#[actix_web::test]
async fn what_describes_a_person_is_in_no_row_of_the_audit_log() {
    let people = People::new(SMALL, 64).await;
    let canary = "canary";
    let described: UserMetadata = serde_json::from_value(json!({
        "username": "canary", "email": "canary@example.com", "roles": ["billing"], "attributes": {"x": "canary"},
    }))
    .unwrap();
    let user = people.administer(async |a, request| a.create(request, &described, None).await.unwrap()).await;
    let changed = UserMetadata { email: Some("canary@example.org".to_owned()), roles: Vec::new(), ..described };
    people.administer(async |a, request| a.replace(request, &user.id, &changed).await.unwrap()).await;
    people
        .administer(async |a, request| {
            a.set_password(request, &user.id, Password::parse("canary kettle orbit plank").unwrap()).await.unwrap()
        })
        .await;
    people.administer(async |a, request| a.delete(request, &user.id).await.unwrap()).await;
    let rows =
        people.database.sql("SELECT act || ' ' || subject || ' ' || detail FROM audit_log ORDER BY number").await;
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(rows.iter().all(|row| !row.contains(canary) && row.contains(&user.id.to_string())), "{rows:?}");
    let change: serde_json::Value = serde_json::from_str(rows[1].splitn(3, ' ').nth(2).unwrap()).unwrap();
    assert_eq!(change, json!({"changed": ["email", "roles"], "roles_before": ["billing"], "roles": []}));
    assert_eq!(people.database.count("users").await, 0);
}

#[actix_web::test]
async fn names_that_are_taken_are_refused_and_leave_nothing() {
    let people = People::new(SMALL, 64).await;
    people.registered("ann").await;
    let taken = people.register("ANN", RIGHT).await;
    assert!(matches!(taken, Err(AccountError::Taken(_))), "{taken:?}");
    let described = UserMetadata { email: Some("ANN@example.com".to_owned()), ..metadata("bob") };
    let taken = people.administer(async |a, request| a.create(request, &described, None).await).await;
    assert!(matches!(taken, Err(UserAdministrationError::EmailTaken)), "{taken:?}");
    assert_eq!(people.database.count("users").await, 1);
}
