//! A generation of a session is followed by one other: whoever asks at once, comes late, or takes it back.

use super::*;

pub(super) async fn a_rotation_answers_what_was_before_and_leaves_what_it_should(backend: &dyn Backends) {
    let store = backend.open().await;
    let before = stored(&*store, session(backend.clock().now())).await;
    backend.clock().advance(MINUTE);
    let now = backend.clock().now();
    let swapped = present(&*store, &before, 0, 2).await;
    assert_eq!(swapped, Swapped { before: Some(before.clone()), now, moved: true });
    let after = before.clone().rotated(Generation(1), MacKeyId(2), now);
    assert_eq!(store.load(before.id).await.unwrap().as_ref(), Some(&after));
    // A retry whose answer was lost, and the successor while it is new.
    for generation in [0, 1] {
        let swapped = present(&*store, &before, generation, 3).await;
        assert_eq!(swapped, Swapped { before: Some(after.clone()), now, moved: false });
    }
    assert_eq!(store.load(before.id).await.unwrap(), Some(after));
    let absent = Session { id: SessionId::from_bytes([0; 16]), ..before };
    assert_eq!(present(&*store, &absent, 0, 2).await, Swapped { before: None, now, moved: false });
}

pub(super) async fn a_rotation_is_taken_back_while_it_is_the_last_and_never_twice(backend: &dyn Backends) {
    let store = backend.open().await;
    let before = stored(&*store, session(backend.clock().now())).await;
    backend.clock().advance(MINUTE);
    let now = backend.clock().now();
    assert!(present(&*store, &before, 0, 2).await.moved);
    let after = before.clone().rotated(Generation(1), MacKeyId(2), now);
    assert!(store.set_back(&after, &before.motion).await.unwrap());
    let back = after.clone().set_back(&before.motion);
    assert_eq!(store.load(before.id).await.unwrap().as_ref(), Some(&back));
    assert_eq!((back.motion.generation, back.motion.last_used_at), (Generation(0), now));
    assert!(!store.set_back(&after, &before.motion).await.unwrap(), "once");
    // It is presented as if nothing had been, and so is the successor that somebody may have got.
    assert!(present(&*store, &before, 0, 3).await.moved);
    assert!(!store.set_back(&after, &before.motion).await.unwrap(), "another rotation");
    let again = before.clone().rotated(Generation(1), MacKeyId(3), now);
    assert!(store.set_back(&again, &before.motion).await.unwrap());
    assert!(present(&*store, &before, 1, 4).await.moved, "adopted");
    backend.clock().advance(MINUTE);
    let last = before.clone().rotated(Generation(2), MacKeyId(4), now);
    assert_eq!(store.load(before.id).await.unwrap(), Some(last.clone()));
    store.end(before.id).await.unwrap();
    assert!(!store.set_back(&last, &again.motion).await.unwrap(), "it has ended");
}

pub(super) async fn of_fifty_at_one_generation_one_moves_it(backend: &dyn Backends) {
    let stores = [backend.open().await, backend.open().await];
    let session = stored(&*stores[0], session(backend.clock().now())).await;
    let mut keys = BTreeSet::new();
    for generation in 0..8_u32 {
        let racers = (0..50).map(|racer| {
            let (store, session) = (Arc::clone(&stores[racer % 2]), session.clone());
            async move { present(&*store, &session, generation, u32::try_from(racer).unwrap() + 100).await }
        });
        let answers = at_once(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.moved).count(), 1, "generation {generation}");
        let winner = answers.iter().position(|answer| answer.moved).unwrap();
        for answer in answers.iter().filter(|answer| !answer.moved) {
            let motion = answer.before.as_ref().unwrap().motion;
            assert_eq!(motion.generation, Generation(generation + 1));
            assert_eq!(motion.mac_key, MacKeyId(u32::try_from(winner).unwrap() + 100));
            keys.insert((motion.generation, motion.mac_key));
        }
        backend.clock().advance(GRACE);
    }
    assert_eq!(keys.len(), 8, "one successor a generation");
}

pub(super) async fn fifty_that_come_late_move_nothing(backend: &dyn Backends) {
    let store = backend.open().await;
    let session = stored(&*store, session(backend.clock().now())).await;
    present(&*store, &session, 0, 2).await;
    backend.clock().advance(GRACE);
    let before = store.load(session.id).await.unwrap().unwrap();
    let racers = (0..50).map(|_| {
        let (store, session) = (Arc::clone(&store), session.clone());
        async move { present(&*store, &session, 0, 3).await }
    });
    for answer in at_once(racers).await {
        assert_eq!((answer.moved, answer.before.as_ref()), (false, Some(&before)));
    }
    assert_eq!(store.load(session.id).await.unwrap(), Some(before));
}

pub(super) async fn an_end_and_fifty_rotations_at_once_leave_no_session(backend: &dyn Backends) {
    let store = backend.open().await;
    let session = stored(&*store, session(backend.clock().now())).await;
    let acts = (0..50).map(|racer| {
        let (store, session) = (Arc::clone(&store), session.clone());
        async move {
            if racer == 25 {
                assert!(store.end(session.id).await.unwrap());
            } else {
                present(&*store, &session, 0, 2).await;
            }
        }
    });
    at_once(acts).await;
    assert_eq!(store.load(session.id).await.unwrap(), None);
    assert_eq!(store.list_by_user(session.user, None, 10).await.unwrap(), SessionPage::default());
}

pub(super) async fn tokens_that_stay_are_noted_by_the_minute_and_never_move(backend: &dyn Backends) {
    let store = backend.open().await;
    let now = backend.clock().now();
    let session = Session { rotation: Rotation::Stays, idle: MINUTE * 2, ..session(now) };
    let mut expected = stored(&*store, session).await;
    for _ in 0..10 {
        backend.clock().advance(MINUTE - Duration::from_secs(1));
        let swapped = present(&*store, &expected, 0, 2).await;
        assert_eq!((swapped.before.as_ref(), swapped.moved), (Some(&expected), false));
        assert_eq!(store.load(expected.id).await.unwrap().as_ref(), Some(&expected), "not yet");
        backend.clock().advance(Duration::from_secs(1));
        assert!(!present(&*store, &expected, 0, 2).await.moved);
        expected = expected.touched(backend.clock().now());
        assert_eq!(store.load(expected.id).await.unwrap().as_ref(), Some(&expected));
    }
    backend.clock().advance(MINUTE * 2);
    assert_eq!(store.load(expected.id).await.unwrap(), None);
}
