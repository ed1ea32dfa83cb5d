//! People who call the admin API: what their roles allow now, and nothing once they are stopped.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::clients::{Client, ClientId, ClientStore, Resource};
use signet::issuer::Issuer;
use signet::ports::Clock;
use signet::tokens::session::SessionId;
use signet::tokens::{Minter, Person, TokenRequest};
use signet::users::User;
use signet_verify::Algorithm;

use super::{House, claims};
use crate::admin::{answer, assert_problem, change, done, on_both};
use crate::app::{Answer, Backend, Installation};
use crate::world::{ORDERS, eventually};

const GRACE: Duration = Duration::from_secs(10);
const CLIENTS: &str = "/admin/v1/clients";
const LOGIN_MAY: &str = "keys:read clients:read clients:write audit:read";

impl House {
    /// One where people sign in for the admin API.
    async fn of_admins(backend: Backend) -> Self {
        let house = Self::on(backend).await;
        house.client(json!({house.api.audience(): LOGIN_MAY, ORDERS: "orders:read"})).await;
        house
    }

    async fn call(&self, tokens: &Value, method: &str, path: &str, body: Value) -> Answer {
        let token = tokens["access_token"].as_str().unwrap();
        let if_match = (method != "POST" || path != CLIENTS).then_some("*").filter(|_| method != "GET");
        change(self.api.with(token, method, path), if_match, body).await
    }

    async fn get(&self, tokens: &Value, path: &str) -> Answer {
        answer(self.api.with(tokens["access_token"].as_str().unwrap(), "GET", path)).await
    }
}

on_both! {
    a_person_may_what_their_roles_allow_at_that_moment,
    roles_that_are_taken_for_a_while_do_not_use_the_refresh_token_up,
}

async fn a_person_may_what_their_roles_allow_at_that_moment(backend: Backend) {
    let house = House::of_admins(backend).await;
    let audience = house.api.audience();
    let described = |roles: &[&str]| json!({"username": "eve", "roles": roles});
    let both = ["signet:clients:read", "signet:clients:write", "signet:resources:read", "books"];
    let eve = house.person(described(&both)).await;
    let tokens = house.login("eve", &audience).await;
    // What client and roles allow both.
    assert_eq!(tokens["scope"], "clients:read clients:write");
    assert_eq!(claims(&tokens).keys().filter(|name| !super::ALWAYS.contains(&name.as_str())).count(), 0);
    assert_eq!(house.get(&tokens, CLIENTS).await.status, StatusCode::OK);
    assert_problem(&house.get(&tokens, "/admin/v1/keys").await, 403, "insufficient_scope");
    assert_problem(&house.get(&tokens, "/admin/v1/resources").await, 403, "insufficient_scope");
    let hers = json!({"client_id": "hers", "access": {ORDERS: "orders:read"}, "reason": "by hand"});
    done(&house.call(&tokens, "POST", CLIENTS, hers.clone()).await);
    let row = house.api.rows().await.swap_remove(0);
    let expected = ("user".to_owned(), eve.id.to_string(), "clients.create".to_owned(), "by hand".to_owned());
    assert_eq!((row.actor_kind, row.actor, row.act, row.reason), expected);
    assert!(row.request_id.is_some());
    // A role that is taken counts at the next call, and in the next token.
    house.describe(&eve, described(&both[..1])).await;
    let refused = house.call(&tokens, "POST", CLIENTS, hers).await;
    assert_problem(&refused, 403, "insufficient_scope");
    assert_eq!(refused.body["scope"], "clients:write");
    assert_eq!(house.get(&tokens, CLIENTS).await.status, StatusCode::OK);
    let next = house.refresh(&tokens["refresh_token"]).await;
    let token = &next.body["refresh_token"];
    let narrower = async || (house.refresh(token).await.body["scope"] == "clients:read").then_some(());
    eventually(narrower).await;
    house.describe(&eve, described(&["books"])).await;
    assert_problem(&house.get(&tokens, CLIENTS).await, 403, "insufficient_scope");
    let nothing = eventually(async || {
        let answer = house.refresh(token).await;
        (answer.status != StatusCode::OK).then_some(answer)
    });
    assert_problem(&nothing.await, 400, "invalid_scope");
    assert_problem(&house.try_login("eve", &audience).await, 400, "invalid_scope");
    // And what is given again is had again, within what the session was begun with.
    house.describe(&eve, described(&["signet:admin"])).await;
    assert_eq!(house.get(&tokens, CLIENTS).await.status, StatusCode::OK);
    let again = async || (house.refresh(token).await.body["scope"] == "clients:read clients:write").then_some(());
    eventually(again).await;
    // Whoever may not log in may not call.
    house.set_enabled(&eve, false).await;
    assert_problem(&house.get(&tokens, CLIENTS).await, 401, "invalid_token");
    // What was begun before stays dead: whoever may again signs in anew.
    house.set_enabled(&eve, true).await;
    let ended = async |tokens: &Value| {
        // Another process did it: this one follows.
        eventually(async || (house.get(tokens, CLIENTS).await.status == StatusCode::UNAUTHORIZED).then_some(())).await;
    };
    ended(&tokens).await;
    let tokens = house.login("eve", &audience).await;
    assert_eq!(house.get(&tokens, CLIENTS).await.status, StatusCode::OK);
    house.api.world.set_enabled("login", false).await;
    assert_problem(&house.get(&tokens, CLIENTS).await, 401, "invalid_token");
    house.api.world.set_enabled("login", true).await;
    ended(&tokens).await;
    let signs_in = async || {
        let answer = house.try_login("eve", &audience).await;
        (answer.status == StatusCode::OK).then_some(answer.body)
    };
    let tokens = eventually(signs_in).await;
    assert_eq!(house.get(&tokens, CLIENTS).await.status, StatusCode::OK);
    house.api.signet.stop().await;
}

/// Describes somebody anew through the API of this very replica.
async fn described_here(house: &House, eve: &User, roles: &[&str]) {
    let path = format!("/admin/v1/users/{}", eve.id);
    done(&house.api.change("PUT", &path, Some("*"), json!({"username": "eve", "roles": roles})).await);
}

async fn roles_that_are_taken_for_a_while_do_not_use_the_refresh_token_up(backend: Backend) {
    let house = House::of_admins(backend).await;
    let audience = house.api.audience();
    let eve = house.person(json!({"username": "eve", "roles": ["signet:clients:read", "signet:clients:write"]})).await;
    let tokens = house.login("eve", &audience).await;
    let token = &tokens["refresh_token"];
    let session = SessionId::parse(tokens["session_id"].as_str().unwrap()).unwrap();
    let motion = async || house.api.world.opened.sessions.load(session).await.unwrap().unwrap().motion;
    let before = motion().await;
    assert_eq!((before.generation.0, before.rotated_at), (0, None));
    described_here(&house, &eve, &["books"]).await;
    let form = [("grant_type", "refresh_token"), ("client_id", "login")];
    let form = [form.as_slice(), &[("refresh_token", token.as_str().unwrap())]].concat();
    for round in 0..2 {
        assert_problem(&house.refresh(token).await, 400, "invalid_scope");
        let refused = house.api.signet.token(None, &form).await;
        assert_eq!((refused.status.as_u16(), &refused.body["error"]), (400, &json!("invalid_scope")), "{round}");
        assert_eq!(motion().await, before, "{round}: as if nothing had been");
        // Later than the grace of a rotation: had one stayed, the next call would be reuse.
        house.api.advance(GRACE * 2).await;
    }
    described_here(&house, &eve, &["signet:clients:read"]).await;
    let again = house.refresh(token).await;
    assert_eq!((again.status, &again.body["scope"]), (StatusCode::OK, &json!("clients:read")), "{}", again.text);
    assert!(again.body["refresh_token"].is_string() && again.body["refresh_token"] != *token, "{}", again.text);
    assert_eq!(house.api.rows().await.iter().filter(|row| row.act == "sessions.reuse").count(), 0);
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn a_role_that_is_changed_here_is_in_the_next_token_of_this_replica() {
    // One that hardly ever asks what others have changed.
    let seldom = Installation::new().following_every(Duration::from_secs(4));
    let house = House::over(seldom).await;
    let audience = house.api.audience();
    house.client(json!({&audience: LOGIN_MAY})).await;
    let eve = house.person(json!({"username": "eve", "roles": ["signet:clients:read"]})).await;
    let mut token = house.login("eve", &audience).await["refresh_token"].clone();
    for (round, (roles, scope)) in [
        (&["signet:clients:read"][..], "clients:read"),
        (&[], ""),
        (&["signet:clients:read", "signet:keys:read"], "clients:read"),
        (&[], ""),
    ]
    .into_iter()
    .enumerate()
    {
        described_here(&house, &eve, roles).await;
        let answer = house.refresh(&token).await;
        match scope {
            "" => assert_problem(&answer, 400, "invalid_scope"),
            scope => assert_eq!(answer.body["scope"], scope, "{round}: {}", answer.text),
        }
        if answer.body["refresh_token"].is_string() {
            token = answer.body["refresh_token"].clone();
        }
    }
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn the_token_of_a_person_is_good_for_no_longer_than_its_session_and_account() {
    let house = House::of_admins(Backend::Sqlite).await;
    let audience = house.api.audience();
    let eve = house.person(json!({"username": "eve", "roles": ["signet:admin"]})).await;
    let (one, two) = (house.login("eve", &audience).await, house.login("eve", &audience).await);
    let out = house.auth("logout", &json!({"refresh_token": one["refresh_token"]})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_problem(&house.get(&one, CLIENTS).await, 401, "invalid_token");
    assert_eq!(house.get(&two, CLIENTS).await.status, StatusCode::OK);
    let by = crate::world::by();
    let power = signet::clients::Power::Everything;
    let request = signet::clients::Request { by: &by, power: &power, expected: None };
    house.people.delete(request, &eve.id).await.unwrap();
    assert_problem(&house.get(&two, CLIENTS).await, 401, "invalid_token");
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn a_token_that_is_not_what_its_session_was_begun_for_opens_nothing() {
    let house = House::of_admins(Backend::Sqlite).await;
    let audience = house.api.audience();
    let eve = house.person(json!({"username": "eve", "roles": ["signet:admin"]})).await;
    let bob = house.person(json!({"username": "bob", "roles": ["signet:admin"]})).await;
    let (admin, orders) = (house.login("eve", &audience).await, house.login("eve", ORDERS).await);
    assert_problem(&house.get(&orders, CLIENTS).await, 401, "invalid_token");
    // Signed by the very keys, as a flaw elsewhere might do.
    let opened = &house.api.world.opened;
    let issuer = Issuer::parse(&house.api.signet.issuer, false).unwrap();
    let ring = std::sync::Arc::clone(opened.keeper.ring());
    let minter = Minter::new(issuer, ring, Duration::from_secs(300), Algorithm::Es256);
    let (now, resource) = (house.api.installation.clock.now(), Resource::admin());
    let client = async |id: &str| opened.store.load_client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
    let (login, other) = (client("login").await, client("shop").await);
    let mint = |client: &Client, user: &signet::users::User, session: &Value| {
        let session = SessionId::parse(session["session_id"].as_str().unwrap()).unwrap();
        let until = now.plus(Duration::from_secs(3_600));
        let user = *user.id.as_uuid();
        let person = Person { user, session, auth_time: now, amr: &[], until, profile: None };
        let request = TokenRequest { client, person: Some(person), resource: &resource, scope: "clients:read" };
        json!({"access_token": minter.mint(&request, now).unwrap().compact})
    };
    let access = json!({"access": {&audience: "clients:read"}});
    done(&house.api.change("PUT", "/admin/v1/clients/shop", Some("*"), access).await);
    assert_eq!(house.get(&mint(&login, &eve, &admin), CLIENTS).await.status, StatusCode::OK, "as it should be");
    for (what, token) in [
        ("another resource's session", mint(&login, &eve, &orders)),
        ("another person's session", mint(&login, &bob, &admin)),
        ("another client's session", mint(&other, &eve, &admin)),
    ] {
        let refused = house.get(&token, CLIENTS).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{what}: {}", refused.text);
        assert_problem(&refused, 401, "invalid_token");
    }
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn a_person_gives_takes_and_resets_no_more_than_they_have() {
    let house = House::of_admins(Backend::Sqlite).await;
    let audience = house.api.audience();
    house.person(json!({"username": "eve", "roles": ["signet:clients:write", "signet:keys:read"]})).await;
    let tokens = house.login("eve", &audience).await;
    assert_eq!(tokens["scope"], "keys:read clients:write");
    let client = |id: &str, scope: &str| json!({"client_id": id, "access": {&audience: scope}});
    done(&house.call(&tokens, "POST", CLIENTS, client("weak", "keys:read")).await);
    let before = house.api.rows().await.len();
    let first = format!("{CLIENTS}/{}", house.api.admin.client_id);
    let mut refused = 0;
    for (method, path, body) in [
        ("POST", CLIENTS.to_owned(), client("strong", "keys:import")),
        // Their client has it, and their roles do not.
        ("POST", CLIENTS.to_owned(), client("reader", "audit:read")),
        ("PUT", format!("{CLIENTS}/weak"), json!({"access": {&audience: "keys:read keys:write"}})),
        ("POST", format!("{first}/secret"), json!({})),
        ("POST", format!("{first}/disable"), json!({})),
        ("DELETE", first.clone(), json!(null)),
        // The client that they signed in at may do more than they.
        (
            "PUT",
            format!("{CLIENTS}/login"),
            json!({"token_endpoint_auth_method": "none", "grant_types": ["refresh_token"], "access": {ORDERS: "orders:read"}}),
        ),
    ] {
        let answer = house.call(&tokens, method, &path, body).await;
        assert_problem(&answer, 403, "beyond_own_power");
        refused += 1;
    }
    assert_eq!(house.api.rows().await.len(), before, "what is refused leaves no trace");
    println!("acts beyond a person's power refused: {refused}");
    house.api.signet.stop().await;
}
