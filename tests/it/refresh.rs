//! `grant_type=refresh_token`, asked of a running issuer; the sessions are begun beside it, as a second process does.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::app::Preparation;
use signet::clients::{ClientId, ClientMetadata, ResourceId, ScopeSet};
use signet::ports::{Clock, Timestamp};
use signet::tokens::revocation::EndReason;
use signet::tokens::session::{
    Amr, Beginning, ClientBinding, Delivery, DeviceLabel, Rotation, Session, SessionGrant, Sessions,
};
use signet_verify::base64url;
use uuid::Uuid;

use crate::app::{Answer, Backend, Installation, Signet};
use crate::store::at_once;
use crate::world::{BILLING, ORDERS, World, by, eventually};

const DAY: Duration = Duration::from_secs(86_400);
const GRACE: Duration = Duration::from_secs(10);
const USER: Uuid = Uuid::from_bytes([7; 16]);
const SCOPE: &str = "orders:read orders:write";

/// An issuer with the clients `web` and `app`, which may refresh.
struct Shop {
    signet: Signet,
    world: World,
    installation: Installation,
    secrets: [String; 2],
}

/// Tokens are of an issuer: so all that serve it must know what it is called.
fn installation(backend: Backend) -> Installation {
    Installation::new().on(backend).with("ISSUER", "http://127.0.0.1:8080")
}

impl Shop {
    async fn open(installation: Installation) -> Self {
        let signet = match installation.settings().database.url {
            signet::store::sql::DatabaseUrl::Sqlite(_) => installation.start().await,
            signet::store::sql::DatabaseUrl::Postgres(_) => {
                let mut opened = installation.open(Preparation::Initialise).await;
                signet::app::initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
                opened.store.close().await;
                opened = installation.open(Preparation::Existing).await;
                opened.store.close().await;
                installation.start().await
            }
        };
        let world = World::of(&installation).await;
        world.resource(ORDERS, SCOPE).await;
        world.resource(BILLING, "bills:read").await;
        let metadata = json!({
            "grant_types": ["refresh_token", "client_credentials"],
            "access": {ORDERS: SCOPE, BILLING: "bills:read"},
        });
        let secrets = [world.client("web", metadata.clone()).await, world.client("app", metadata).await];
        let shop = Self { signet, world, installation, secrets };
        for client in [0, 1] {
            let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
            eventually(async || shop.ask(client, &form).await.status.is_success().then_some(())).await;
        }
        shop
    }

    async fn ask(&self, client: usize, form: &[(&str, &str)]) -> Answer {
        self.signet.token(Some((["web", "app"][client], &self.secrets[client])), form).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.refresh_with(token, &[]).await
    }

    async fn refresh_with(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let form = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
        self.ask(0, &form).await
    }

    fn sessions(&self) -> &Sessions {
        &self.world.opened.sessions
    }

    fn now(&self) -> Timestamp {
        self.installation.clock.now()
    }

    /// Time passes, and the issuer takes note of it: after a long pause its lease has ended.
    async fn pass(&self, span: Duration) {
        self.installation.clock.advance(span);
        let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        eventually(async || self.ask(0, &form).await.status.is_success().then_some(())).await;
    }

    /// A session of the client `web`.
    async fn begin(&self, rotation: Rotation) -> (Session, String) {
        let client = ClientId::parse("web").unwrap();
        let beginning = Beginning {
            user: USER,
            client: &client,
            binding: ClientBinding::Confidential,
            grant: SessionGrant { resource: ResourceId::from_stored(ORDERS), scope: ScopeSet::parse(SCOPE).unwrap() },
            rotation,
            delivery: Delivery::Body,
            auth_time: self.now(),
            amr: vec![Amr::Password],
            device: DeviceLabel::default(),
            address: None,
        };
        let (session, token) = self.sessions().begin(beginning, self.now()).await.unwrap();
        (session, token.expose().to_owned())
    }
}

fn claims(answer: &Answer) -> Value {
    let token = answer.body["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap()
}

#[track_caller]
fn given(answer: &Answer) -> Option<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.body.get("refresh_token").map(|token| token.as_str().unwrap().to_owned())
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    assert_eq!(answer.body["error"], code, "{}", answer.text);
    assert_eq!(answer.status, if code == "invalid_client" { 401 } else { 400 });
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn a_person_s_token_says_who_and_by_which_session_and_the_refresh_token_stays() {
    let shop = Shop::open(installation(Backend::Sqlite)).await;
    let (session, token) = shop.begin(Rotation::Stays).await;
    shop.pass(DAY).await;
    for _ in 0..3 {
        let answer = shop.refresh(&token).await;
        assert_eq!(given(&answer), None);
        let mut members: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
        let mut claims = claims(&answer);
        assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
        let now = shop.now().secs();
        let expected = json!({
            "iss": shop.signet.issuer, "sub": USER.to_string(), "aud": ORDERS, "client_id": "web", "scope": SCOPE,
            "iat": now, "exp": now + 300, "sid": session.id.to_string(), "auth_time": session.auth_time.secs(),
            "acr": "aal1", "amr": ["pwd"],
        });
        assert_eq!(claims, expected);
    }
    shop.signet.stop().await;
}

#[actix_web::test]
async fn a_narrower_scope_is_for_one_answer_and_a_wider_one_leaves_the_token_as_it_is() {
    let shop = Shop::open(installation(Backend::Sqlite)).await;
    let (session, token) = shop.begin(Rotation::Rotates).await;
    for (more, code) in [
        (vec![("scope", "orders:read bills:read")], "invalid_scope"),
        (vec![("scope", "orders:read orders:delete")], "invalid_scope"),
        (vec![("scope", "orders:read  orders:write")], "invalid_scope"),
        (vec![("resource", BILLING)], "invalid_target"),
        (vec![("resource", ORDERS), ("resource", BILLING)], "invalid_target"),
        (vec![("resource", "https://nowhere.example")], "invalid_target"),
    ] {
        refused(&shop.refresh_with(&token, &more).await, code);
        assert_eq!(shop.sessions().load(session.id).await.unwrap().as_ref(), Some(&session), "{more:?}");
    }
    let narrow = shop.refresh_with(&token, &[("scope", "orders:write"), ("resource", ORDERS)]).await;
    let next = given(&narrow).unwrap();
    assert_eq!((&narrow.body["scope"], &claims(&narrow)["scope"]), (&json!("orders:write"), &json!("orders:write")));
    shop.pass(GRACE).await;
    let whole = shop.refresh(&next).await;
    assert_eq!((given(&whole).is_some(), &whole.body["scope"]), (true, &json!(SCOPE)));
    shop.signet.stop().await;
}

#[actix_web::test]
async fn what_a_client_may_not_get_for_a_while_does_not_use_the_token_up() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::open(installation(backend)).await;
        let (session, token) = shop.begin(Rotation::Rotates).await;
        let described = |access: Value| -> ClientMetadata {
            let grants = ["refresh_token", "client_credentials"];
            serde_json::from_value(json!({"grant_types": grants, "access": access})).unwrap()
        };
        let own = [("grant_type", "client_credentials"), ("resource", ORDERS), ("scope", "orders:read")];
        let taken_up = async |gets: bool| {
            eventually(async || (shop.ask(0, &own).await.status.is_success() == gets).then_some(())).await;
        };
        for (access, code) in
            [(json!({BILLING: "bills:read"}), "invalid_target"), (json!({ORDERS: ""}), "invalid_scope")]
        {
            shop.world.replace("web", &described(access)).await;
            taken_up(false).await;
            eventually(async || (shop.refresh(&token).await.body["error"] == code).then_some(())).await;
            // Later than the grace of the rotation that was taken back.
            shop.installation.clock.advance(GRACE * 2);
            refused(&shop.refresh(&token).await, code);
            let motion = shop.sessions().load(session.id).await.unwrap().unwrap().motion;
            assert_eq!((motion.generation, motion.rotated_at), (session.motion.generation, None), "{code}");
        }
        shop.world.replace("web", &described(json!({ORDERS: SCOPE}))).await;
        taken_up(true).await;
        let answer = shop.refresh_with(&token, &[("scope", "")]).await;
        assert_eq!((given(&answer).is_some(), &answer.body["scope"]), (true, &json!(SCOPE)), "as if nothing had been");
        shop.signet.stop().await;
    }
}

#[actix_web::test]
async fn a_lost_answer_is_given_again_and_a_late_one_ends_that_session_and_no_other() {
    let shop = Shop::open(installation(Backend::Sqlite)).await;
    let (session, first) = shop.begin(Rotation::Rotates).await;
    let (other, kept) = shop.begin(Rotation::Rotates).await;
    let second = given(&shop.refresh(&first).await).unwrap();
    shop.pass(GRACE - Duration::from_millis(1)).await;
    assert_eq!(given(&shop.refresh(&first).await).as_ref(), Some(&second), "the same successor");
    assert_eq!(given(&shop.refresh(&second).await), None, "not replaced so soon");
    shop.pass(Duration::from_millis(1)).await;
    let third = given(&shop.refresh(&second).await).unwrap();
    assert_eq!(BTreeSet::from([&first, &second, &third]).len(), 3);
    refused(&shop.refresh(&first).await, "invalid_grant");
    for dead in [&first, &second, &third] {
        refused(&shop.refresh(dead).await, "invalid_grant");
    }
    assert_eq!(shop.sessions().load(session.id).await.unwrap(), None);
    assert!(shop.sessions().load(other.id).await.unwrap().is_some());
    assert!(given(&shop.refresh(&kept).await).is_some());
    let acts = shop.world.opened.store.changes_after(0).await.unwrap();
    assert!(acts.changes.unwrap().contains(&signet::store::sql::Change::Revocations));
    shop.signet.stop().await;
}

#[actix_web::test]
async fn another_client_moves_nothing_and_nobody_refreshes_without_authentication() {
    let shop = Shop::open(installation(Backend::Sqlite)).await;
    let (session, token) = shop.begin(Rotation::Rotates).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    for more in [vec![], vec![("scope", "orders:read")], vec![("scope", "more")], vec![("resource", BILLING)]] {
        refused(&shop.ask(1, &[form.as_slice(), &more].concat()).await, "invalid_grant");
    }
    refused(&shop.signet.token(None, &form).await, "invalid_client");
    refused(&shop.signet.token(None, &[form.as_slice(), &[("client_id", "web")]].concat()).await, "invalid_client");
    refused(&shop.signet.token(Some(("web", "wrong")), &form).await, "invalid_client");
    assert_eq!(shop.sessions().load(session.id).await.unwrap(), Some(session));
    assert!(given(&shop.refresh(&token).await).is_some());
    let alone = shop.world.client("alone", json!({"access": {ORDERS: "orders:read"}})).await;
    let answer = eventually(async || {
        let answer = shop.signet.token(Some(("alone", &alone)), &form).await;
        (answer.body["error"] != "invalid_client").then_some(answer)
    });
    refused(&answer.await, "unauthorized_client");
    shop.signet.stop().await;
}

#[actix_web::test]
async fn what_is_no_refresh_token_of_ours_is_refused_and_counted_as_forged() {
    let shop = Shop::open(installation(Backend::Sqlite)).await;
    let (session, token) = shop.begin(Rotation::Rotates).await;
    let access = shop.ask(0, &[("grant_type", "client_credentials"), ("resource", ORDERS)]).await;
    let access = access.body["access_token"].as_str().unwrap().to_owned();
    let flipped = |place: usize| {
        let mut text = token.clone().into_bytes();
        text[place] = if text[place] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let mut forged = vec![access, "srt_".to_owned(), "x".to_owned(), token[..79].to_owned(), format!("{token}A")];
    forged.extend((4..token.len()).map(flipped));
    for forged in &forged {
        refused(&shop.refresh(forged).await, "invalid_grant");
    }
    let missing = shop.ask(0, &[("grant_type", "refresh_token")]).await;
    refused(&missing, "invalid_request");
    // Of another installation, with the same name and the same secret of the client.
    let elsewhere = Shop::open(installation(Backend::Sqlite)).await;
    refused(&elsewhere.refresh(&token).await, "invalid_grant");
    elsewhere.signet.stop().await;
    assert_eq!(shop.sessions().load(session.id).await.unwrap(), Some(session));
    let page = Answer::of(shop.signet.http.get(format!("{}/metrics", shop.signet.admin)).send().await.unwrap()).await;
    let counted = format!("signet_refreshes_total{{decision=\"forged\"}} {}", forged.len());
    assert!(page.text.contains(&counted), "{counted}");
    // And a refresh token opens nothing that takes access tokens.
    let url = format!("{}/admin/v1/clients", shop.signet.admin);
    let answer = Answer::of(shop.signet.http.get(url).bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    shop.signet.stop().await;
}

#[actix_web::test]
async fn a_session_expires_when_it_lies_unused_and_at_its_end_however_it_is_used() {
    let shop = Shop::open(installation(Backend::Sqlite).with("SESSIONS__LIFETIME", "20d")).await;
    let (_, idle) = shop.begin(Rotation::Rotates).await;
    let (session, mut token) = shop.begin(Rotation::Rotates).await;
    shop.pass(DAY * 13).await;
    token = given(&shop.refresh(&token).await).unwrap();
    shop.pass(DAY).await;
    refused(&shop.refresh(&idle).await, "invalid_grant");
    shop.pass(DAY * 6 - Duration::from_secs(100)).await;
    let last = shop.refresh(&token).await;
    assert_eq!(last.body["expires_in"], 100, "no token outlives the session");
    assert_eq!(claims(&last)["exp"], session.expires_at.secs());
    token = given(&last).unwrap();
    shop.pass(Duration::from_secs(100)).await;
    refused(&shop.refresh(&token).await, "invalid_grant");
    shop.signet.stop().await;
}

#[actix_web::test]
async fn a_session_that_another_process_ended_is_refused_though_its_record_comes_back() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::open(installation(backend)).await;
        let (session, token) = shop.begin(Rotation::Stays).await;
        let (except, kept) = shop.begin(Rotation::Stays).await;
        assert_eq!(given(&shop.refresh(&token).await), None);
        let ended = shop.sessions().end_all_of(USER, Some(except.id), EndReason::Password, &by()).await.unwrap();
        assert_eq!(ended, 1);
        refused(&shop.refresh(&token).await, "invalid_grant");
        // As when the store of sessions is restored from an older copy.
        eventually(async || {
            use signet::tokens::session::SessionStore;
            let _ = shop.world.opened.store.insert(&session).await.unwrap();
            let answer = shop.refresh(&token).await;
            if answer.status == StatusCode::OK {
                // The issuer has not taken it up yet.
                return None;
            }
            refused(&answer, "invalid_grant");
            let page = Answer::of(shop.signet.http.get(format!("{}/metrics", shop.signet.admin)).send().await.unwrap());
            let ended =
                page.await.text.lines().find_map(|line| {
                    line.strip_prefix("signet_refreshes_total{decision=\"ended\"} ")?.parse::<f64>().ok()
                });
            (ended.unwrap() > 0.0).then_some(())
        })
        .await;
        assert_eq!(given(&shop.refresh(&kept).await), None);
        shop.signet.stop().await;
        // A replica that begins now knows it too.
        let again = shop.installation.open(Preparation::Existing).await;
        assert_eq!(again.sessions.load(session.id).await.unwrap(), None);
        assert!(again.sessions.load(except.id).await.unwrap().is_some());
    }
}

#[actix_web::test]
async fn of_fifty_parallel_refreshes_over_two_replicas_all_get_the_same_successor() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::open(installation(backend)).await;
        let second = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(shop.installation.start().await),
        };
        let replicas = [shop.signet.public.clone(), second.as_ref().unwrap_or(&shop.signet).public.clone()];
        let (_, mut token) = shop.begin(Rotation::Rotates).await;
        for _ in 0..5 {
            let asks = (0..50).map(|place: usize| {
                let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
                let request = shop.signet.http.post(format!("{}/oauth2/token", replicas[place % 2])).form(&form);
                let request = request.basic_auth("web", Some(&shop.secrets[0]));
                async move { Answer::of(request.send().await.unwrap()).await }
            });
            let successors: BTreeSet<_> =
                at_once(asks.collect::<Vec<_>>()).await.iter().map(|answer| given(answer).unwrap()).collect();
            assert_eq!(successors.len(), 1);
            token = successors.into_iter().next().unwrap();
            shop.pass(GRACE).await;
        }
        for signet in [Some(shop.signet), second].into_iter().flatten() {
            signet.stop().await;
        }
    }
}
