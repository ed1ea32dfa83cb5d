//! The outside world as the domain sees it: time, randomness and the ways a store can fail.
//!
//! Guarantees: the system clock and the system's random generator are read here and nowhere else (clippy refuses
//! them elsewhere), so a test that holds the clock holds all of Signet.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// A moment, in milliseconds since the Unix epoch (UTC, leap seconds ignored, as in
/// [RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2) but finer).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: the `NumericDate` of a token.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `span` later, saturating.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span_millis(span)))
    }

    /// This moment less `span`, saturating.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span_millis(span)))
    }

    /// How long after `earlier` this moment is; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn span_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-22T00:29:54Z`, to the second ([RFC 3339](https://www.rfc-editor.org/rfc/rfc3339)).
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.secs();
        let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Civil date from days (Howard Hinnant's algorithm): years begin in March, so that the leap day ends one.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Not the text of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written in UTC as `2026-11-22T00:29:54Z`, with up to three digits after the second")]
pub struct TimestampError;

/// Reads `2026-11-22T00:29:54Z` or `2026-11-22T00:29:54.125Z`: of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) only
/// UTC, and no leap second, so that a moment has one text a precision.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let shape = |byte: &u8| if byte.is_ascii_digit() { b'0' } else { *byte };
        let (whole, rest) = text.as_bytes().split_at_checked(19).ok_or(TimestampError)?;
        if whole.iter().map(shape).ne(*b"0000-00-00T00:00:00") {
            return Err(TimestampError);
        }
        let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let millis = match rest {
            b"Z" => 0,
            [b'.', digits @ .., b'Z'] if (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
                number(digits) * [100, 10, 1][digits.len() - 1]
            }
            _ => return Err(TimestampError),
        };
        let [year, month, day] = [&whole[..4], &whole[5..7], &whole[8..10]].map(number);
        let [hour, minute, second] = [&whole[11..13], &whole[14..16], &whole[17..]].map(number);
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimestampError);
        }
        // Days from a civil date, the way back from what Display does.
        let shifted = if month > 2 { year } else { year - 1 };
        let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        let moment = Self(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis);
        // A day that no calendar has comes out as another.
        if moment.to_string().as_bytes()[..19] == *whole { Ok(moment) } else { Err(TimestampError) }
    }
}

/// Where time comes from. Stores answer with their own time passed through [`Clock::of_store`].
pub trait Clock: Send + Sync + fmt::Debug {
    /// This machine's time.
    fn now(&self) -> Timestamp;

    /// What every store is to take for its own time, where a test holds it; `None` outside tests.
    fn held(&self) -> Option<Timestamp> {
        None
    }

    /// What to take for a store's time: itself, but for a clock that a test holds.
    fn of_store(&self, store_time: Timestamp) -> Timestamp {
        self.held().unwrap_or(store_time)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(span_millis(since)),
            Err(before) => Timestamp(-span_millis(before.duration())),
        }
    }
}

/// A moment of a clock that only runs forward, for measuring how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Something that was done in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// The function that did it.
    pub name: &'static str,
    /// How long after the beginning of the record it began.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// Whether it failed.
    pub failed: bool,
}

/// A record of what is done in stores while some work runs, for whoever traces that work.
#[derive(Debug, Clone)]
pub struct ActRecord {
    begun: Stopwatch,
    acts: Arc<Mutex<Vec<Act>>>,
}

/// More acts than these are left out of a record.
const MOST_ACTS: usize = 64;

tokio::task_local! {
    static RECORD: ActRecord;
}

impl ActRecord {
    /// An empty one that begins now.
    pub fn begin() -> Self {
        Self { begun: Stopwatch::start(), acts: Arc::default() }
    }

    /// Runs `work`, and takes note of every [`act`] within it.
    pub async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        RECORD.scope(self.clone(), work).await
    }

    /// What was done, in the order in which it ended.
    pub fn into_acts(self) -> Vec<Act> {
        std::mem::take(&mut self.acts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs an act of a store, whose name is asked for only where a record is kept. Elsewhere it costs one look for that.
pub async fn act<T, E>(name: fn() -> &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let Ok(record) = RECORD.try_with(ActRecord::clone) else { return work.await };
    let (after, begun) = (record.begun.elapsed(), Stopwatch::start());
    let done = work.await;
    let act = Act { name: name(), after, took: begun.elapsed(), failed: done.is_err() };
    let mut acts = record.acts.lock().unwrap_or_else(PoisonError::into_inner);
    if acts.len() < MOST_ACTS {
        acts.push(act);
    }
    done
}

/// The name of the function in which the future `F` was written.
pub fn name_of<F>() -> &'static str {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    // What the function is generic over stands behind its name.
    let mut open = 0_u32;
    let end = path.bytes().rposition(|byte| {
        match byte {
            b'>' => open += 1,
            b'<' => open = open.saturating_sub(1),
            _ => return open == 0,
        }
        false
    });
    let path = end.and_then(|end| path.get(..=end)).unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default()
}

/// Where secrets come from.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `buf` with random bytes fit for keys.
    fn fill(&self, buf: &mut [u8]);
}

/// The system's random generator, by aws-lc's DRBG.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the random generator")]
    fn fill(&self, buf: &mut [u8]) {
        if aws_lc_rs::rand::fill(buf).is_err() {
            // A machine without randomness can't make keys, and anything done instead would be unsafe.
            std::process::abort();
        }
    }
}

const POOL: usize = 4096;
const UUID_RANDOM: usize = 10;

thread_local! {
    /// Random bytes for identifiers, drawn in bulk: one draw serves some 400 identifiers of this thread.
    static IDENTIFIER_POOL: RefCell<([u8; POOL], usize)> = const { RefCell::new(([0; POOL], POOL)) };
}

/// A new UUIDv7 ([RFC 9562 §5.7](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)) of the moment `now`: 48 bits of
/// time, 74 random bits. An identifier, not a secret.
pub fn unique_id(now: Timestamp) -> Uuid {
    IDENTIFIER_POOL.with_borrow_mut(|(pool, used)| {
        if POOL - *used < UUID_RANDOM {
            SystemEntropy.fill(pool);
            *used = 0;
        }
        let mut random = [0; UUID_RANDOM];
        random.copy_from_slice(&pool[*used..*used + UUID_RANDOM]);
        *used += UUID_RANDOM;
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    })
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store can't be reached or took too long: the same call may work later. Nothing is known of its effect.
    #[error("the store can't be reached: {0}")]
    Unavailable(String),
    /// What is stored can't be read as what it should be. Someone has to look.
    #[error("{what} in the store is damaged: {why}")]
    Corrupt {
        /// The row, by table and key.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store refuses, and would refuse again: no room, not writable, a version it does not know.
    #[error("the store refuses: {0}")]
    Refused(String),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_305_594, "2026-11-21T23:59:54Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_string(), text);
        }
    }

    #[tokio::test]
    async fn acts_are_recorded_by_the_name_of_their_function_and_only_where_a_record_is_kept() {
        async fn bounded<F: Future<Output = Result<(), ()>>>(work: F) -> Result<(), ()> {
            act(name_of::<F>, work).await
        }
        async fn load_thing<'a, T: Into<bool> + 'a>(fails: T) -> Result<(), ()> {
            let fails = fails.into();
            bounded(async move { if fails { Err(()) } else { Ok(()) } }).await
        }
        let record = ActRecord::begin();
        load_thing(false).await.unwrap();
        record.around(async { (load_thing(false).await.is_ok(), load_thing(true).await.is_err()) }).await;
        let acts: Vec<_> = record.clone().into_acts().iter().map(|act| (act.name, act.failed)).collect();
        assert_eq!(acts, [("load_thing", false), ("load_thing", true)]);
        let many = record
            .around(async {
                for _ in 0..1_000 {
                    load_thing(false).await?
                }
                Ok::<_, ()>(())
            })
            .await;
        assert_eq!((many, record.into_acts().len()), (Ok(()), MOST_ACTS));
    }

    #[test]
    fn a_moment_is_read_as_it_is_printed() {
        for secs in [0, 951_782_400, 1_795_305_594, 4_107_542_399, 253_402_300_799, -86_400] {
            let moment = Timestamp::from_secs(secs);
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
        let moment = Timestamp::from_millis(1_795_305_594_120);
        for text in ["2026-11-21T23:59:54.12Z", "2026-11-21T23:59:54.120Z"] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T23:59:54",
            "2026-11-21t23:59:54z",
            "2026-11-21 23:59:54Z",
            "2026-11-21T23:59:54+00:00",
            "2026-11-21T23:59:54.Z",
            "2026-11-21T23:59:54.1234Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T23:60:00Z",
            "2026-11-21T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-99-99T00:00:00Z",
            "+026-11-21T23:59:54Z",
            " 2026-11-21T23:59:54Z",
            "2026-11-21T23:59:54Zé",
            "2026-11-21T23:59:5éZ",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn a_span_between_moments_is_never_negative() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(12));
        assert_eq!(late.since(early), Duration::from_millis(7));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn a_million_identifiers_are_distinct_and_carry_their_moment() {
        let now = Timestamp::from_secs(1_795_305_594);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000_000 {
            let id = unique_id(now);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_795_305_594);
            assert!(seen.insert(id));
        }
    }
}
