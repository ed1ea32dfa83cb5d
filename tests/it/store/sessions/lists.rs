//! Lists of sessions, in pages, while sessions end and records are damaged.

use super::*;

/// All pages of a list.
pub(super) async fn pages<F: AsyncFn(Option<SessionId>) -> SessionPage>(read: F, most: usize) -> Vec<Session> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = read(after).await;
        assert!(page.sessions.len() <= most);
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// Sessions of two people at two clients, some of which have expired.
async fn many(store: &dyn SessionStore, now: Timestamp) -> Vec<Session> {
    let mut all = Vec::new();
    for place in 0..120_u8 {
        let client = ClientId::parse(if place % 3 == 0 { "web" } else { "app" }).unwrap();
        let idle = if place % 5 == 0 { MINUTE } else { DAY };
        let user = Uuid::from_bytes([place % 2; 16]);
        all.push(stored(store, Session { user, client, idle, ..session(now) }).await);
    }
    all.sort_by_key(|session| session.id);
    all
}

/// Nine of one person, in the order of lists.
async fn nine(store: &dyn SessionStore, now: Timestamp) -> Vec<Session> {
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(stored(store, session(now)).await);
    }
    all.sort_by_key(|session| session.id);
    all
}

pub(super) async fn lists_tell_all_living_sessions_of_one_and_no_others(backend: &dyn Backends) {
    let store = backend.open().await;
    let all = many(&*store, backend.clock().now()).await;
    backend.clock().advance(MINUTE);
    for limit in [1, 7, 500] {
        for user in [Uuid::from_bytes([0; 16]), Uuid::from_bytes([1; 16])] {
            let expected: Vec<_> =
                all.iter().filter(|session| session.user == user && session.idle == DAY).cloned().collect();
            let read = async |after| store.list_by_user(user, after, limit).await.unwrap();
            assert_eq!(pages(read, limit as usize).await, expected, "{limit}");
        }
        for client in ["web", "app"] {
            let client = ClientId::parse(client).unwrap();
            let expected: Vec<_> =
                all.iter().filter(|session| session.client == client && session.idle == DAY).cloned().collect();
            let read = async |after| store.list_by_client(&client, after, limit).await.unwrap();
            assert_eq!(pages(read, limit as usize).await, expected, "{limit}");
        }
    }
    let nobody = store.list_by_user(Uuid::from_bytes([9; 16]), None, 10).await.unwrap();
    assert_eq!(nobody, SessionPage::default());
}

pub(super) async fn a_list_goes_on_where_its_page_ended(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let mut all = nine(&*store, now).await;
    let mut page = store.list_by_user(all[0].user, None, 4).await.unwrap();
    let mut told = page.sessions.clone();
    // What a page has told may end, and what it has not told yet too.
    store.end(all[1].id).await.unwrap();
    store.end(all[6].id).await.unwrap();
    while let Some(after) = page.next {
        page = store.list_by_user(all[0].user, Some(after), 4).await.unwrap();
        told.extend(page.sessions.clone());
    }
    all.remove(6);
    assert_eq!(told, all);
}

pub(super) async fn a_damaged_session_is_left_out_of_lists_and_hides_no_other(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let mut all = nine(&*store, now).await;
    // At the end of a page, between others, and two that are a page of their own.
    let damaged = [0, 3, 4, 5, 8].map(|place| all[place].id);
    for id in damaged {
        backend.damage(id).await;
        store.load(id).await.unwrap_err();
    }
    all.retain(|session| !damaged.contains(&session.id));
    let (user, client) = (all[0].user, all[0].client.clone());
    for limit in [1, 2, 4, 10] {
        let read = async |after| store.list_by_user(user, after, limit).await.unwrap();
        assert_eq!(pages(read, limit as usize).await, all, "{limit}");
        let read = async |after| store.list_by_client(&client, after, limit).await.unwrap();
        assert_eq!(pages(read, limit as usize).await, all, "{limit}");
    }
    // What can't be read can still be ended, by its name.
    assert!(store.end(damaged[0]).await.unwrap());
    assert_eq!(store.load(damaged[0]).await.unwrap(), None);
}
