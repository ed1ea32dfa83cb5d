//! How much room sessions take: in Redis, and the future of a refresh in memory.

use super::*;

/// It is copied into its box with every refresh: with all that hardly ever happens in it, that took a twentieth of one.
#[tokio::test]
async fn the_future_of_a_refresh_is_small() {
    let store = opened(&options(&Redis::shared().url())).await;
    let session = session(1, SystemClock.now());
    let presented = presented(&session, 0);
    let swap = store.swap(&presented, NEXT_KEY, &POLICY);
    let size = size_of_val(&*swap);
    println!("the future of a refresh: {size} bytes");
    assert!(size <= 12 * 1024, "{size}");
    assert!(swap.await.unwrap().before.is_none());
}

/// What a session takes at a million of them. For fewer, as many fewer buckets are used, so that each is as full.
#[tokio::test]
async fn a_session_takes_less_than_400_bytes_at_a_million() {
    const MILLION: u32 = 1_000_000;
    let full = std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let count = if full { MILLION } else { MILLION / 20 };
    let first_bytes = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let fits = |bytes: &[u8]| u64::from(first_bytes(bytes)) * u64::from(MILLION) < u64::from(count) << 16;
    let redis = Redis::start(&[]);
    let store = opened(&options(&redis.url())).await;
    let now = SystemClock.now();
    let before = redis.info("used_memory");
    let mut inserting = tokio::task::JoinSet::new();
    let mut user = 0_u128;
    for number in 0..count {
        let mut session = session(number, now);
        let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let mut id = *session.id.as_bytes();
        let within = u32::from(u16::from_be_bytes([spread[0], spread[1]])) * (count / 1_000) / (MILLION / 1_000);
        id[..2].copy_from_slice(&u16::try_from(within).unwrap().to_be_bytes());
        session.id = SessionId::from_bytes(id);
        loop {
            user += 1;
            if fits(&sha256(Uuid::from_u128(user).as_bytes())) {
                break;
            }
        }
        session.user = Uuid::from_u128(user);
        session.client = ClientId::parse(&format!("c_{}", "0".repeat(32))).unwrap();
        session.device = DeviceLabel::fitting(&"x".repeat(32));
        let store = store.clone();
        inserting.spawn(async move { store.insert(&session).await.unwrap() });
        if inserting.len() == 256 {
            assert_eq!(inserting.join_next().await.unwrap().unwrap(), Insert::Inserted);
        }
    }
    while let Some(inserted) = inserting.join_next().await {
        assert_eq!(inserted.unwrap(), Insert::Inserted);
    }
    let each = (redis.info("used_memory") - before) / u64::from(count);
    let size = |kind: &str| {
        redis.ask(&["EVAL", "local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 1000) c = r[1] n = n + #r[2] until c == '0' return n", "0", kind])
    };
    println!(
        "{count} sessions in {} and {} buckets: {each} bytes each, label of 32 bytes and both entries included",
        size("*:u:*"),
        size("*:n:*")
    );
    assert!(each < 400, "{each}");
}
