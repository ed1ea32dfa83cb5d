//! The people of a store that counts how often it is asked, and answers when it is told to.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::audit::{Act, Entry};
use crate::clients::Removal;
use crate::keys::fixtures::by;
use crate::ports::Timestamp;
use crate::secret::SecretDigest;
use crate::users::{
    Heeded, LoginName, PasswordLink, Redemption, Standing, StoredPassword, UserInsert, UserSwap, Username,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Answers a question for each permit.
struct Store {
    users: Mutex<HashMap<UserId, User>>,
    questions: AtomicUsize,
    permits: Semaphore,
    is_away: AtomicBool,
}

impl Store {
    fn open(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            users: Mutex::default(),
            questions: AtomicUsize::new(0),
            permits: Semaphore::new(permits),
            is_away: AtomicBool::new(false),
        })
    }

    fn add(&self, name: &str) -> User {
        let user = User::new(Username::parse(name).unwrap(), None, NOW);
        self.users.lock().unwrap().insert(user.id, user.clone());
        user
    }

    fn give(&self, user: &User, role: &str) {
        let roles = Roles::of([role]).unwrap();
        self.users.lock().unwrap().insert(user.id, User { roles, ..user.clone() });
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl UserStore for Store {
    async fn load_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        // What it finds is of the moment at which it was asked.
        let found = self.users.lock().unwrap().get(id).cloned();
        self.permits.acquire().await.unwrap().forget();
        if self.is_away.load(Ordering::SeqCst) { Err(StoreError::Unavailable("away".to_owned())) } else { Ok(found) }
    }

    async fn confirm_user(&self, _: &UserId) -> Result<Option<Standing>, StoreError> {
        unreachable!("nobody logs in")
    }

    async fn store_time(&self) -> Result<Timestamp, StoreError> {
        Ok(NOW)
    }

    async fn find_user(&self, _: &LoginName) -> Result<Option<User>, StoreError> {
        unreachable!("nobody is looked for by name")
    }

    async fn list_users(
        &self,
        _: Option<&UserId>,
        _: u32,
    ) -> Result<Vec<(UserId, Result<User, StoreError>)>, StoreError> {
        unreachable!("nobody lists")
    }

    async fn insert_user(&self, _: &User, _: &Entry) -> Result<UserInsert, StoreError> {
        unreachable!("nobody writes")
    }

    async fn update_user(&self, user: &User, _: &Entry) -> Result<UserSwap, StoreError> {
        self.users.lock().unwrap().insert(user.id, user.clone());
        // It is stored, and whoever asked may not learn of it.
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        Ok(UserSwap::Swapped)
    }

    async fn keep_hash(&self, _: &UserId, _: &StoredPassword, _: &StoredPassword) -> Result<bool, StoreError> {
        unreachable!("nobody writes")
    }

    async fn delete_user(&self, id: &UserId, _: Option<i64>, _: &Entry) -> Result<Removal, StoreError> {
        self.users.lock().unwrap().remove(id);
        Ok(Removal::Removed)
    }

    async fn insert_link(&self, _: &PasswordLink, _: &Entry) -> Result<bool, StoreError> {
        unreachable!("nobody writes")
    }

    async fn find_link(&self, _: &SecretDigest) -> Result<Option<PasswordLink>, StoreError> {
        unreachable!("nobody looks for links")
    }

    async fn redeem_link(&self, _: &SecretDigest, user: &User, _: &Entry) -> Result<Redemption, StoreError> {
        self.users.lock().unwrap().insert(user.id, user.clone());
        Ok(Redemption::Redeemed)
    }
}

/// Lets other tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

async fn roles(profiles: &Profiles, user: &User) -> Vec<String> {
    let found = profiles.find(user.id).await.unwrap().unwrap();
    found.roles.iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn whoever_is_changed_here_is_known_anew_before_the_change_is_answered() {
    let store = Store::open(Semaphore::MAX_PERMITS);
    let profiles = Arc::new(Profiles::new(Arc::clone(&store) as _));
    let heeded = Heeded::new(Arc::clone(&store) as _, Arc::clone(&profiles));
    let entry = by().entry(Act::UsersUpdate, "", json!({}));
    let (ann, bob) = (store.add("ann"), store.add("bob"));
    for user in [&ann, &bob] {
        assert_eq!(roles(&profiles, user).await, [""; 0]);
    }
    let having = |role: &str| User { roles: Roles::of([role]).unwrap(), ..ann.clone() };
    assert_eq!(heeded.update_user(&having("lead"), &entry).await.unwrap(), UserSwap::Swapped);
    assert_eq!(roles(&profiles, &ann).await, ["lead"]);
    let digest = SecretDigest::of(b"x");
    assert_eq!(heeded.redeem_link(&digest, &having("clerk"), &entry).await.unwrap(), Redemption::Redeemed);
    assert_eq!(roles(&profiles, &ann).await, ["clerk"]);
    store.is_away.store(true, Ordering::SeqCst);
    heeded.update_user(&having("guest"), &entry).await.unwrap_err();
    store.is_away.store(false, Ordering::SeqCst);
    assert_eq!(roles(&profiles, &ann).await, ["guest"], "whether it was made nobody could tell");
    assert_eq!(heeded.delete_user(&ann.id, None, &entry).await.unwrap(), Removal::Removed);
    assert_eq!(profiles.find(ann.id).await.unwrap(), None);
    assert_eq!(store.questions(), 6);
    assert_eq!(roles(&profiles, &bob).await, [""; 0]);
    assert_eq!(store.questions(), 6, "nobody else was forgotten");
}

#[tokio::test]
async fn somebody_is_read_once_and_again_after_a_change() {
    let store = Store::open(Semaphore::MAX_PERMITS);
    let profiles = Profiles::new(Arc::clone(&store) as _);
    let (ann, bob) = (store.add("ann"), store.add("bob"));
    for user in [&ann, &ann, &bob, &ann] {
        assert_eq!(*profiles.find(user.id).await.unwrap().unwrap(), Profile::of(user));
    }
    assert_eq!(store.questions(), 2);
    store.give(&ann, "lead");
    assert_eq!(roles(&profiles, &ann).await, [""; 0], "not told of yet");
    profiles.changed(&ann.id.to_string());
    assert_eq!(roles(&profiles, &ann).await, ["lead"]);
    assert_eq!(store.questions(), 3, "nobody else was forgotten");
    store.users.lock().unwrap().remove(&ann.id);
    profiles.changed(&ann.id.to_string());
    assert_eq!(profiles.find(ann.id).await.unwrap(), None);
    profiles.changed("what is no identifier");
    profiles.forget_all();
    assert!(profiles.find(bob.id).await.unwrap().is_some());
    assert_eq!(store.questions(), 5);
}

#[tokio::test]
async fn however_many_ask_at_once_the_store_is_asked_once() {
    let store = Store::open(0);
    let profiles = Arc::new(Profiles::new(Arc::clone(&store) as _));
    let ann = store.add("ann");
    let ask = || {
        let (profiles, id) = (Arc::clone(&profiles), ann.id);
        tokio::spawn(async move { profiles.find(id).await })
    };
    let waiting: Vec<_> = (0..1_000).map(|_| ask()).collect();
    until(|| profiles.seen().reading.get(&ann.id).is_some_and(|reading| Arc::strong_count(reading) == 1_001)).await;
    assert_eq!(store.questions(), 1);
    store.permits.add_permits(1);
    for asked in waiting {
        assert_eq!(asked.await.unwrap().unwrap().unwrap().id, ann.id);
    }
    assert_eq!((store.questions(), profiles.seen().reading.len()), (1, 0));
    println!("1000 asked at once: {} question to the store", store.questions());
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_is_not_remembered() {
    let store = Store::open(0);
    let profiles = Arc::new(Profiles::new(Arc::clone(&store) as _));
    let ann = store.add("ann");
    store.is_away.store(true, Ordering::SeqCst);
    let ask = || {
        let (profiles, id) = (Arc::clone(&profiles), ann.id);
        tokio::spawn(async move { profiles.find(id).await })
    };
    let waiting: Vec<_> = (0..10).map(|_| ask()).collect();
    until(|| profiles.seen().reading.get(&ann.id).is_some_and(|reading| Arc::strong_count(reading) == 11)).await;
    store.permits.add_permits(2);
    for asked in waiting {
        assert!(matches!(asked.await.unwrap(), Err(StoreError::Unavailable(_))));
    }
    assert_eq!(store.questions(), 1);
    store.is_away.store(false, Ordering::SeqCst);
    assert!(profiles.find(ann.id).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    let store = Store::open(0);
    let profiles = Arc::new(Profiles::new(Arc::clone(&store) as _));
    let ann = store.add("ann");
    for forget in [|p: &Profiles, id: &str| p.changed(id), |p: &Profiles, _: &str| p.forget_all()] {
        let before = store.questions();
        profiles.changed(&ann.id.to_string());
        store.users.lock().unwrap().insert(ann.id, ann.clone());
        let late = tokio::spawn({
            let (profiles, id) = (Arc::clone(&profiles), ann.id);
            async move { profiles.find(id).await }
        });
        until(|| store.questions() == before + 1).await;
        store.give(&ann, "lead");
        forget(&profiles, &ann.id.to_string());
        store.permits.add_permits(1);
        late.await.unwrap().unwrap();
        store.permits.add_permits(1);
        assert_eq!(roles(&profiles, &ann).await, ["lead"]);
        assert_eq!(store.questions(), before + 2);
    }
}

#[tokio::test]
async fn who_reads_may_go_away_and_the_next_goes_on() {
    let store = Store::open(0);
    let profiles = Arc::new(Profiles::new(Arc::clone(&store) as _));
    let ann = store.add("ann");
    let ask = || {
        let (profiles, id) = (Arc::clone(&profiles), ann.id);
        tokio::spawn(async move { profiles.find(id).await })
    };
    let first = ask();
    until(|| store.questions() == 1).await;
    let second = ask();
    until(|| profiles.seen().reading.get(&ann.id).is_some_and(|reading| Arc::strong_count(reading) == 3)).await;
    first.abort();
    until(|| store.questions() == 2).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(profiles.seen().reading.len(), 0, "nobody waits any more");
    store.permits.add_permits(1);
    assert!(profiles.find(ann.id).await.unwrap().is_some());
}

#[test]
fn no_more_are_known_than_there_is_room_for_and_who_is_asked_for_stays() {
    let mut seen = Seen::default();
    let user = User::new(Username::parse("ann").unwrap(), None, NOW);
    let profile = |id| Arc::new(Profile { id, ..Profile::of(&user) });
    let often = UserId::generate(NOW);
    seen.keep(profile(often));
    let mut last = often;
    for _ in 0..3 * KNOWN {
        last = UserId::generate(NOW);
        seen.keep(profile(last));
        assert!(seen.find(often).is_some());
        assert!(seen.new.len() + seen.old.len() <= KNOWN);
    }
    assert!(seen.find(last).is_some() && seen.new.len() + seen.old.len() >= KNOWN / 2);
}
