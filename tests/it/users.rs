//! People's accounts on a real store: logging in, what outsiders can learn, passwords that are changed and taken over.

mod timing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use signet::audit::By;
use signet::clients::{ClientId, Power, Request, ScopeSet};
use signet::ports::SystemEntropy;
use signet::store::sql::SqlStore;
use signet::users::attempts::{Caller, DeviceTag, Limits, RegistrationLimits};
use signet::users::password::{Argon2Cost, HashPool, Hasher, PasswordPolicy, Peppers, PoolLimits};
use signet::users::{
    AccountError, AccountLimits, Accounts, Import, LoginRefusal, LoginRefused, NotChosen, Password, Passwords,
    StoredPassword, User, UserAdministration, UserAdministrationError, UserMetadata,
};

use crate::app::Backend;
use crate::store::Database;
use crate::world::{by, eventually};

const RIGHT: &str = "mossy kettle orbit plank";
const OTHER: &str = "brisk lantern tulip gravel";
const SMALL: Argon2Cost = Argon2Cost { memory: 64, passes: 1, lanes: 1 };
/// So many from one address.
const REGISTRATIONS: u32 = 5;
const DAY: Duration = Duration::from_secs(86_400);

/// Accounts on a database of their own.
struct People {
    database: Database,
    store: SqlStore,
    accounts: Accounts,
    administration: UserAdministration,
}

fn passwords(cost: Argon2Cost, threads: usize, queue: usize) -> Passwords {
    let limits = PoolLimits { threads, queue, deadline: Duration::from_secs(30) };
    let hasher = Hasher::new(cost, Peppers::default(), Arc::new(SystemEntropy));
    Passwords::new(PasswordPolicy::new(15, []), hasher, HashPool::start(limits, Arc::new(())).unwrap())
}

impl People {
    async fn new(cost: Argon2Cost, queue: usize) -> Self {
        Self::with(cost, 2, queue).await
    }

    async fn with(cost: Argon2Cost, threads: usize, queue: usize) -> Self {
        Self::failing_by(cost, threads, queue, Duration::ZERO).await
    }

    /// Where logins that fail are told so by `failure_time`.
    async fn failing_by(cost: Argon2Cost, threads: usize, queue: usize, failure_time: Duration) -> Self {
        let database = Database::new(Backend::Sqlite);
        let store = database.open().await;
        let shared = Arc::new(store.clone());
        let passwords = passwords(cost, threads, queue);
        let limits = AccountLimits {
            logins: Limits::new(1_000, 60_000),
            registrations: RegistrationLimits::new(REGISTRATIONS, 1_000),
            failure_time,
        };
        let [users, attempts, audit] = [(); 3].map(|()| Arc::clone(&shared));
        let accounts = Accounts::new(users, attempts, audit, passwords.clone(), limits);
        let entropy = Arc::new(SystemEntropy);
        let administration = UserAdministration::new(Arc::clone(&shared) as _, shared, passwords, entropy, DAY);
        Self { database, store, accounts, administration }
    }

    async fn administer<T>(&self, act: impl AsyncFnOnce(&UserAdministration, Request<'_>) -> T) -> T {
        act(&self.administration, Request { by: &by(), power: &Power::Everything, expected: None }).await
    }

    /// An account that chose [`RIGHT`] itself, and was given an e-mail address.
    async fn registered(&self, name: &str) -> User {
        self.registered_with(name, &format!("{name}@example.com"), RIGHT).await
    }

    async fn registered_with(&self, name: &str, email: &str, password: &str) -> User {
        let user = self.register(name, password).await.unwrap();
        let described = UserMetadata { email: Some(email.to_owned()), ..metadata(name) };
        self.administer(async |a, request| a.replace(request, &user.id, &described).await.unwrap()).await
    }

    /// Each name from an address of its own.
    async fn register(&self, name: &str, password: &str) -> Result<User, AccountError> {
        let [.., one, two, three] = signet::secret::sha256(name.as_bytes());
        self.accounts.register(name, password, IpAddr::from([10, one, two, three]), &by()).await
    }

    async fn imported(&self, name: &str, hash: &str) -> User {
        let import = Import {
            metadata: metadata(name),
            password: Some(StoredPassword::parse(hash).unwrap()),
            must_change: true,
            enabled: true,
            id: None,
        };
        self.administer(async |administration, request| administration.import(request, &import).await.unwrap()).await
    }

    async fn login(&self, name: &str, password: &str) -> Result<signet::users::AuthenticatedUser, LoginRefused> {
        self.login_from(name, password, "192.0.2.1").await
    }

    async fn login_from(
        &self,
        name: &str,
        password: &str,
        address: &str,
    ) -> Result<signet::users::AuthenticatedUser, LoginRefused> {
        self.login_on(name, password, address, None).await
    }

    async fn login_on(
        &self,
        name: &str,
        password: &str,
        address: &str,
        device: Option<u64>,
    ) -> Result<signet::users::AuthenticatedUser, LoginRefused> {
        let caller = caller(address, device);
        self.accounts.authenticate(name, password, caller, &By::signet(address)).await
    }
}

fn caller(address: &str, device: Option<u64>) -> Caller {
    Caller { address: address.parse().unwrap(), device: device.map(DeviceTag::from_bits) }
}

fn metadata(name: &str) -> UserMetadata {
    serde_json::from_value(json!({ "username": name })).unwrap()
}

#[track_caller]
fn refused_for<T: std::fmt::Debug>(outcome: Result<T, LoginRefused>) -> LoginRefusal {
    match outcome {
        Err(LoginRefused::Credentials(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[actix_web::test]
async fn somebody_logs_in_by_each_name_however_it_is_spelled_and_by_nothing_else() {
    let people = People::new(SMALL, 64).await;
    let zoe = people.registered_with("Zo\u{eb}", "Zoe@example.com", "p\u{e2}ss over the Sj\u{f8} ").await;
    for name in ["Zo\u{eb}", "zoe\u{308}", "ZO\u{cb}", "zoe@EXAMPLE.com"] {
        let known = people.login(name, "pa\u{302}ss over the Sj\u{f8} ").await.unwrap();
        assert_eq!((known.user().id, known.must_change_password()), (zoe.id, false), "{name}");
        assert_eq!(known.at(), people.database.now());
    }
    for wrong in ["p\u{e2}ss over the Sj\u{f8}", "P\u{e2}ss over the Sj\u{f8} ", ""] {
        assert_eq!(refused_for(people.login("zo\u{eb}", wrong).await), LoginRefusal::WrongPassword, "{wrong:?}");
    }
    assert_eq!(refused_for(people.login("zoe", RIGHT).await), LoginRefusal::UnknownUser);
    assert_eq!(refused_for(people.login("no name\0", RIGHT).await), LoginRefusal::UnknownUser);
}

#[actix_web::test]
async fn an_unknown_user_a_wrong_password_and_a_disabled_account_read_alike_from_outside() {
    let people = People::new(SMALL, 64).await;
    let ann = people.registered("ann").await;
    people.administer(async |a, request| a.set_enabled(request, &ann.id, false).await.unwrap()).await;
    people.administer(async |a, request| a.create(request, &metadata("bare"), None).await.unwrap()).await;
    for (name, password, why) in [
        ("ann", RIGHT, LoginRefusal::Disabled),
        ("ann", OTHER, LoginRefusal::WrongPassword),
        ("bare", RIGHT, LoginRefusal::NoPassword),
        ("nobody", RIGHT, LoginRefusal::UnknownUser),
        ("ann", &"x".repeat(1 << 20), LoginRefusal::Malformed),
        ("nobody", &"x".repeat(1 << 20), LoginRefusal::Malformed),
        ("ann", "correct\0horse", LoginRefusal::Malformed),
    ] {
        assert_eq!(refused_for(people.login(name, password).await), why, "{name}");
    }
    // Whether anybody is called so or not, the same number of attempts is free, and then the same wait follows.
    for name in ["ann@example.com", "nobody@example.com", "not a name"] {
        let mut outcomes = Vec::new();
        for _ in 0..6 {
            outcomes.push(match people.login(name, OTHER).await {
                Err(LoginRefused::TooMany { retry_after }) => Some(retry_after),
                other => {
                    refused_for(other);
                    None
                }
            });
        }
        let second = Some(Duration::from_secs(1));
        assert_eq!(outcomes, [None, None, None, None, second, second], "{name}");
    }
}

#[actix_web::test]
async fn a_stranger_who_fails_locks_nobody_out_of_a_known_device() {
    let people = People::new(SMALL, 64).await;
    people.registered("ann").await;
    people.login_on("ann", RIGHT, "192.0.2.1", Some(1)).await.unwrap();
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
    people.login_on("ann", RIGHT, "203.0.113.1", Some(2)).await.unwrap();
    for address in ["198.51.100.8", "198.51.100.9", "198.51.100.10"] {
        fail_from(address).await;
    }
    // Many close it, for whoever brings no device of the owner, wherever the owner was before.
    let anywhere = people.login_from("ann", RIGHT, "203.0.113.2").await;
    assert!(matches!(anywhere, Err(LoginRefused::TooMany { .. })), "{anywhere:?}");
    for stranger in [None, Some(3)] {
        let at_home = people.login_on("ann", RIGHT, "192.0.2.1", stranger).await;
        assert!(matches!(at_home, Err(LoginRefused::TooMany { .. })), "{at_home:?}");
    }
    for (address, device) in [("192.0.2.1", 1), ("203.0.113.77", 2), ("198.51.100.7", 1)] {
        people.login_on("ann", RIGHT, address, Some(device)).await.unwrap();
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
        format!("users.{act} {origin} signet {} {{\"from_known_device\":{known},\"why\":\"wrong_password\"}}", ann.id)
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
    let people = People::new(Argon2Cost::DEFAULT, 4).await;
    let names: Vec<String> = (0..20).map(|place| format!("user-{place}")).collect();
    for name in &names {
        people.registered(name).await;
    }
    let storm = crate::store::at_once((0..60).map(|place| {
        let (accounts, name) = (people.accounts.clone(), names[place % names.len()].clone());
        async move { accounts.authenticate(&name, RIGHT, caller("192.0.2.1", None), &by()).await }
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
    let home = caller("192.0.2.1", Some(1));
    people.login_on("ann", RIGHT, "192.0.2.1", Some(2)).await.unwrap();
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
    let void = people.accounts.redeem_link(token.expose(), RIGHT, None, &by()).await;
    assert!(matches!(void, Err(AccountError::Link)), "{void:?}");
    // The other device may have been stolen: the one that did it is known alone.
    for last in 1..=40 {
        let _ = people.login_from("ann", RIGHT, &format!("198.51.100.{last}")).await;
    }
    let other = people.login_on("ann", OTHER, "192.0.2.1", Some(2)).await;
    assert!(matches!(other, Err(LoginRefused::TooMany { .. })), "{other:?}");
    people.login_on("ann", OTHER, "203.0.113.9", Some(1)).await.unwrap();
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
    let device = Some(DeviceTag::from_bits(1));
    let redeem = async |token: &str, new: &str| people.accounts.redeem_link(token, new, device, &by()).await;
    for wrong in ["", "spl_", former.expose(), &token.expose()[..46], &token.expose().to_uppercase()] {
        assert!(matches!(redeem(wrong, RIGHT).await, Err(AccountError::Link)), "{wrong}");
    }
    // A refused password does not use it up.
    assert!(matches!(redeem(token.expose(), "aaaaaaaaaaaaaaaa").await, Err(AccountError::Password(_))));
    let user = redeem(token.expose(), RIGHT).await.unwrap();
    assert!(user.password.is_some_and(|password| !password.must_change));
    assert!(matches!(redeem(token.expose(), OTHER).await, Err(AccountError::Link)));
    people.login("ann", RIGHT).await.unwrap();
    // The device that used the link is known: however many strangers fail now, there its owner is heard.
    for last in 1..=40 {
        let _ = people.login_from("ann", OTHER, &format!("198.51.100.{last}")).await;
    }
    people.login_on("ann", RIGHT, "192.0.2.200", Some(1)).await.unwrap();
    let late = issue().await;
    people.database.clock.advance(DAY);
    assert!(matches!(redeem(late.expose(), OTHER).await, Err(AccountError::Link)));
    for kept in [&token, &late] {
        let kept = kept.expose();
        let dump = people.database.sql("SELECT detail FROM audit_log").await.concat();
        assert!(!dump.contains(kept) && !dump.contains(&kept[4..]));
    }
}

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
