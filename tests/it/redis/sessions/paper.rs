//! What docs/redis.md says of keys and users, held against a Redis.

use super::*;

const PAPER: &str = include_str!("../../../../docs/redis.md");

/// The text between a mark in the paper and the end of the fenced block after it.
fn block(mark: &str) -> String {
    let rest = PAPER.split(&format!("<!-- redis: {mark} -->\n```\n")).nth(1).expect("the block");
    rest.split("\n```").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_keys_on_paper_are_those_that_are_there() {
    let redis = Redis::start(&[]);
    let store = opened(&options(&redis.url())).await;
    let namespace = options_namespace(&redis);
    for number in 0..20 {
        assert_eq!(store.insert(&session(number, SystemClock.now())).await.unwrap(), Insert::Inserted);
    }
    crate::redis::attempts::of_every_kind(&store).await;
    let pattern = |row: &str| {
        let key = row.split('`').nth(1).unwrap().replace("signet", &namespace);
        let shape: String = key.replace("SID", &"?".repeat(22)).replace("BUCKET", "????");
        let shape = shape.replace("NAME", &"?".repeat(22)).replace("PREFIX", &"?".repeat(11));
        (shape, row.split('|').nth(2).unwrap().trim().to_owned())
    };
    let rows: Vec<_> = PAPER
        .lines()
        .filter(|line| line.starts_with("| `{signet") || line.starts_with("| `signet:"))
        .map(pattern)
        .collect();
    assert_eq!(rows.len(), 9);
    let mut unknown: Vec<String> = redis.ask(&["KEYS", "*"]).lines().map(str::to_owned).collect();
    for (shape, kind) in &rows {
        let found = redis.ask(&["KEYS", &shape.replace('{', "[{]").replace('}', "[}]")]);
        assert!(!found.is_empty(), "no key is like {shape}");
        for key in found.lines() {
            assert_eq!(redis.ask(&["TYPE", key]), *kind, "{key}");
            assert_eq!(redis.ask(&["PTTL", key]) == "-1", shape.ends_with("layout"), "{key}");
        }
        unknown.retain(|key| !found.lines().any(|known| known == key));
    }
    assert!(unknown.is_empty(), "not on paper: {unknown:?}");
}

/// Of the store that was opened last on that server.
fn options_namespace(redis: &Redis) -> String {
    let key = redis.ask(&["KEYS", "*:layout"]);
    key.trim_start_matches('{').split('}').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_users_on_paper_may_do_what_they_need_and_no_more() {
    let [own, reader] = ["signet", "reader"].map(|user| block(&format!("acl {user}")));
    let own = format!("{own} +wait");
    let redis = Redis::start(&[&own, &reader]);
    let at = |user: &str, password: &str| {
        let mut options = options(&redis.url().replace("redis://", &format!("redis://{user}:{password}@")));
        options.namespace = signet::store::redis::Namespace::parse("signet").unwrap();
        options
    };
    let store = opened(&Options { wait_replicas: 0, ..at("signet", "change-me") }).await;
    let now = SystemClock.now();
    let all: Vec<_> = (0..5).map(|number| Session { user: Uuid::nil(), ..session(number, now) }).collect();
    for session in &all {
        assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
        assert!(store.swap(&presented(session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
        assert!(store.load(session.id).await.unwrap().is_some());
    }
    assert_eq!(store.list_by_user(Uuid::nil(), None, 10).await.unwrap().sessions.len(), 5);
    assert!(store.list_by_client(&all[0].client, None, 10).await.unwrap().next.is_some());
    assert!(store.end(all[0].id).await.unwrap());
    crate::redis::attempts::of_every_kind(&store).await;
    let denied = redis.ask(&["ACL", "LOG"]);
    assert!(denied.is_empty() || denied.contains("config|get") && !denied.contains("reason\nkey"), "{denied}");
    // Nothing of another namespace.
    let mut other = at("signet", "change-me");
    other.namespace = signet::store::redis::Namespace::parse("other").unwrap();
    let refused = open(&other).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("docs/redis.md")), "{refused}");
    let key = format!("signet:{}", all[1].id);
    let ask = |command: &[&str]| {
        let user = ["--user", "signet-reader", "--pass", "change-me-too", "--no-auth-warning"];
        redis.ask(&[&user[..], command].concat())
    };
    assert_eq!(ask(&["EXISTS", &key]), "1");
    for command in
        [&["DEL", &key][..], &["SET", &key, "x"], &["EVAL", "return 1", "0"], &["GET", "else"], &["KEYS", "*"]]
    {
        assert!(ask(command).starts_with("NOPERM"), "{command:?}");
    }
}
