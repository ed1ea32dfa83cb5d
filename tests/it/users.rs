//! People's accounts on a real store: logging in, what outsiders can learn, passwords that are changed and taken over.

mod administered;
mod passwords;
mod strangers;
mod timing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use signet::audit::By;
use signet::clients::{ClientId, Power, Request, ScopeSet};
use signet::ports::SystemEntropy;
use signet::store::sql::SqlStore;
use signet::users::attempts::{Limits, RegistrationLimits};
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
        self.accounts.authenticate(name, password, address.parse::<IpAddr>().unwrap(), &By::signet(address)).await
    }
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
