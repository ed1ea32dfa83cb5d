//! Lines as they come out, hostile fields, and a sink that stalls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value as Json;
use tracing::{debug, error, info, info_span, warn};

use super::line::{FIELD_LIMIT, Style};
use super::sink::CAPACITY;
use super::*;

/// Keeps what is written, and says when something was.
#[derive(Clone)]
struct Output {
    written: Arc<Mutex<Vec<u8>>>,
    told: Sender<()>,
}

impl Output {
    fn new() -> (Self, Receiver<()>) {
        let (told, hear) = channel();
        (Self { written: Arc::default(), told }, hear)
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // In pieces, as a pipe does.
        let taken = bytes.len().min(1000);
        self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
        let _ = self.told.send(());
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn settings(level: &str) -> TelemetrySettings {
    TelemetrySettings {
        level: Filter::parse(level).unwrap(),
        format: Format::Auto,
        access_log: true,
        otlp_endpoint: None,
        otlp_headers: None,
        otlp_sample_ratio: SampleRatio::new(1.0).unwrap(),
        otlp_service_name: "signet".to_owned(),
    }
}

/// What the log holds after `act`.
fn logged(level: &str, style: Style, act: impl FnOnce()) -> String {
    let (output, _hear) = Output::new();
    let (subscriber, guard) = subscriber(&settings(level), style, output.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, act);
    drop(guard);
    output.text()
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const TEXT: Style = Style::Text { colour: false };

#[test]
fn a_json_line_holds_time_level_target_message_and_fields() {
    let text = logged("info", Style::Json, || {
        info!(status = 200, share = 0.5, behind = -3_i64, whole = true, path = "/a", "answered");
        debug!("not wanted");
    });
    let lines = json_lines(&text);
    assert_eq!(lines.len(), 1);
    let line = lines[0].as_object().unwrap();
    let time = line["time"].as_str().unwrap();
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[23..]), (24, "T", ".", "Z"));
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "signet::telemetry::tests");
    assert_eq!(line["message"], "answered");
    assert_eq!(line["status"], 200);
    assert_eq!(line["share"], 0.5);
    assert_eq!(line["behind"], -3);
    assert_eq!(line["whole"], true);
    assert_eq!(line["path"], "/a");
    assert_eq!(line.len(), 9);
}

#[test]
fn numbers_are_written_as_they_are() {
    for number in [0, 1, 9, 10, 99, 100, 12345, u64::MAX / 10, u64::MAX - 1, u64::MAX] {
        let text = logged("info", Style::Json, || info!(number));
        assert_eq!(json_lines(&text)[0]["number"].as_u64(), Some(number));
    }
    let text = logged("info", Style::Json, || {
        info!(least = i64::MIN, odd = f64::NAN, wide = u128::MAX, error = %std::fmt::Error);
    });
    let line = &json_lines(&text)[0];
    assert_eq!(line["least"], i64::MIN);
    assert_eq!(line["odd"], "NaN");
    assert_eq!(line["wide"], u128::MAX.to_string());
    assert!(line["error"].is_string());
}

#[test]
fn a_text_line_is_short_and_quotes_what_could_mislead() {
    let text = logged("info", TEXT, || {
        info!(a = "plain", b = "two words", c = "", d = "x=1", e = ?"seen", f = %"\"x\" y=\"z\"", "hello there");
    });
    assert_eq!(&text[2..3], ":");
    assert_eq!(
        &text[8..],
        "Z INFO  hello there a=plain b=\"two words\" c=\"\" d=\"x=1\" e=\"seen\" f=\"\\\"x\\\" y=\\\"z\\\"\"\n"
    );
}

#[test]
fn colours_are_for_terminals_and_other_crates_are_named() {
    let text = logged("info", Style::Text { colour: true }, || warn!(target: "sqlx", "slow"));
    assert!(text.contains("\u{1b}[33mWARN \u{1b}[0m \u{1b}[2msqlx:\u{1b}[0m slow\n"), "{text:?}");
    assert_eq!(Style::of(Format::Auto, true, true), Style::Text { colour: true });
    assert_eq!(Style::of(Format::Auto, false, false), Style::Json);
    assert_eq!(Style::of(Format::Text, false, false), TEXT);
    assert_eq!(Style::of(Format::Json, true, true), Style::Json);
}

#[test]
fn a_field_can_neither_forge_a_line_nor_steer_a_terminal() {
    let hostile = "x\r\n{\"level\":\"ERROR\"}\u{1b}[2J\u{9b}1m\u{202e}\u{2028}\0\t\"\\ é 漢 😀";
    let text = logged("info", TEXT, || info!(hostile, shown = %hostile, quoted = ?hostile, "{hostile}"));
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'), "{text:?}");
    assert!(text.contains("é 漢 😀"));
    let text = logged("info", Style::Json, || info!(hostile, shown = %hostile, "{hostile}"));
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'), "{text:?}");
    let line = &json_lines(&text)[0];
    assert_eq!(
        (&line["hostile"], &line["shown"], &line["message"]),
        (&Json::from(hostile), &Json::from(hostile), &Json::from(hostile))
    );
}

#[test]
fn an_odd_character_is_found_wherever_it_stands() {
    for length in 1..20 {
        for at in 0..length {
            for odd in ['\n', '\0', '\u{1f}', '\u{7f}', '"', '\\', '\u{85}', '\u{2028}'] {
                let text: String = (0..length).map(|n| if n == at { odd } else { '~' }).collect();
                let log = logged("info", Style::Json, || info!(text));
                assert_eq!(log.matches('\n').count(), 1);
                assert!(!log.trim_end().contains(|c: char| c.is_control() || c == '\u{2028}'), "{log:?}");
                assert_eq!(json_lines(&log)[0]["text"], text);
            }
        }
    }
}

#[test]
fn a_field_named_like_the_head_of_a_line_does_not_replace_it() {
    let text = logged("info", Style::Json, || info!(level = "ERROR", time = "never", target = 1));
    let line = &json_lines(&text)[0];
    assert_eq!((&line["level"], &line["level_"]), (&Json::from("INFO"), &Json::from("ERROR")));
    assert_eq!(text.matches("\"time\"").count(), 1);
}

#[test]
fn a_long_field_is_cut() {
    let long = "é".repeat(FIELD_LIMIT);
    for style in [Style::Json, TEXT] {
        let text = logged("info", style, || info!(long, shown = %long, quoted = ?long));
        assert!(text.len() < 3 * FIELD_LIMIT + 200, "{}", text.len());
        assert_eq!(text.matches('…').count(), 3);
    }
}

#[test]
fn the_fields_of_spans_are_part_of_the_line() {
    for (style, fields) in [
        (Style::Json, ",\"message\":\"in\",\"n\":1,\"id\":\"r1\",\"late\":2,\"inner\":true}\n"),
        (TEXT, " in n=1 id=r1 late=2 inner=true\n"),
    ] {
        let text = logged("info", style, || {
            let outer = info_span!("request", id = "r1", late = tracing::field::Empty);
            outer.record("late", 2);
            let _outer = outer.enter();
            let _inner = info_span!("step", inner = true).entered();
            info!(n = 1, "in");
        });
        assert!(text.ends_with(fields), "{text}");
    }
}

#[test]
fn a_value_that_fails_while_it_is_written_leaves_its_line_whole() {
    struct Failing;
    impl std::fmt::Debug for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half")?;
            Err(std::fmt::Error)
        }
    }
    let lines = json_lines(&logged("info", Style::Json, || info!(failing = ?Failing, after = 1)));
    assert_eq!((&lines[0]["failing"], &lines[0]["after"]), (&Json::from("half"), &Json::from(1)));
    let text = logged("info", TEXT, || info!(failing = ?Failing, after = 1));
    assert!(text.ends_with(" failing=half after=1\n"), "{text}");
}

#[test]
fn lines_of_many_threads_are_written_whole_and_in_the_order_of_each() {
    let (output, _hear) = Output::new();
    let (subscriber, guard) = subscriber(&settings("info"), Style::Json, output.clone()).unwrap();
    let dispatch = tracing::Dispatch::new(subscriber);
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let dispatch = dispatch.clone();
            std::thread::spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    (0..500_u64).for_each(|n| info!(thread, n, "counted"));
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(guard);
    let lines = json_lines(&output.text());
    assert_eq!(lines.len(), 2000);
    for thread in 0..4 {
        let of_thread = lines.iter().filter(|line| line["thread"] == thread);
        assert!(of_thread.map(|line| line["n"].as_u64().unwrap()).eq(0..500));
    }
}

#[test]
fn a_warning_is_written_without_waiting_and_other_lines_soon() {
    for urgent in [true, false] {
        let (output, hear) = Output::new();
        let (subscriber, guard) = subscriber(&settings("info"), TEXT, output.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || if urgent { error!("now") } else { info!("now") });
        // No guard is dropped before: the writer does it by itself.
        hear.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(output.text().ends_with("now\n"));
        drop(guard);
    }
}

#[test]
fn warnings_and_full_buffers_are_due_at_once_and_other_lines_are_not() {
    let due_after = |act: fn()| {
        let sink = Arc::new(Sink::new());
        let layer = LineLayer::new(Arc::clone(&sink), TEXT, SystemClock);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        sink.is_due()
    };
    assert!(due_after(|| error!("due")));
    assert!(due_after(|| warn!("due")));
    assert!(!due_after(|| info!("may wait")));
    assert!(due_after(|| (0..2000).for_each(|n| info!(n, "sixty-four kilobytes of such lines"))));
}

/// Does not return from writing until it may.
struct Stalled {
    output: Output,
    began: Sender<()>,
    may: Receiver<()>,
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.began.send(());
        let _ = self.may.recv();
        self.output.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stalled_output_costs_lines_that_are_counted_and_blocks_nobody() {
    let (output, _hear) = Output::new();
    let ((began, has_begun), (allow, may)) = (channel(), channel());
    let stalled = Stalled { output: output.clone(), began, may };
    let (subscriber, guard) = subscriber(&settings("info"), Style::Json, stalled).unwrap();
    let filler = "f".repeat(1000);
    let many = 3 * CAPACITY / 1000;
    tracing::subscriber::with_default(subscriber, || {
        warn!("first");
        has_begun.recv().unwrap();
        (0..many).for_each(|n| info!(n, filler));
    });
    drop(allow);
    let losses = guard.losses();
    drop(guard);
    let lines = json_lines(&output.text());
    let kept = lines.iter().filter(|line| line["filler"].is_string()).count();
    let dropped: u64 = lines.iter().filter_map(|line| line["dropped"].as_u64()).sum();
    assert!(kept > 500 && kept * 1000 < CAPACITY, "{kept}");
    assert_eq!(kept + usize::try_from(dropped).unwrap(), many);
    assert_eq!(losses.lines(), dropped);
    assert_eq!(lines.last().unwrap()["level"], "WARN");
    let mut in_order = lines.iter().filter_map(|line| line["n"].as_u64());
    assert!(in_order.by_ref().take(500).eq(0..500));
}

#[test]
fn an_output_that_never_takes_anything_does_not_keep_the_process() {
    let (output, _hear) = Output::new();
    let ((began, _has_begun), (_allow, may)) = (channel(), channel());
    let stalled = Stalled { output: output.clone(), began, may };
    let (subscriber, guard) = subscriber(&settings("info"), Style::Json, stalled).unwrap();
    tracing::subscriber::with_default(subscriber, || warn!("lost"));
    drop(guard);
    assert_eq!(output.text(), "");
}

/// Fails, then recovers.
struct Failing {
    failures: Vec<std::io::ErrorKind>,
    output: Output,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.failures.pop() {
            Some(kind) => Err(kind.into()),
            None => self.output.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_the_output_refused_are_counted_once_it_takes_some_again() {
    use std::io::ErrorKind::{Interrupted, StorageFull, WouldBlock};
    let (output, _hear) = Output::new();
    let failures = vec![StorageFull, WouldBlock, Interrupted];
    let failing = Failing { failures, output: output.clone() };
    let (subscriber, guard) = subscriber(&settings("info"), TEXT, failing).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        info!("one");
        info!("two");
    });
    drop(guard);
    assert!(output.text().ends_with("too slow dropped=2\n"), "{}", output.text());
}

#[test]
fn a_filter_is_a_level_or_levels_by_module() {
    for good in
        ["info", "INFO", "off", "signet=debug,info", "signet::http=trace,sqlx=off,warn", "[request{id=1}]=debug"]
    {
        assert_eq!(Filter::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "inof", "info,", "signet=loud", "signet:debug", "=", "info debug", "[x"] {
        assert!(Filter::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_strangers_can_make_a_library_say_is_told_only_to_those_who_ask() {
    let act = || tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
    for (level, is_told) in
        [("info", false), ("debug", false), ("actix_http=debug,info", true), ("actix_http::h1=error,info", true)]
    {
        assert_eq!(logged(level, Style::Json, act).contains("parse error"), is_told, "{level}");
    }
}

#[test]
fn logging_is_installed_once() {
    let settings = TelemetrySettings { format: Format::Json, ..settings("off") };
    let first = install(&settings, false).unwrap();
    assert!(matches!(install(&settings, false), Err(TelemetryError::AlreadyInstalled)));
    drop(first);
}

proptest! {
    #[test]
    fn any_text_comes_back_from_a_json_line_as_it_was(text in "\\PC{0,20}|.{0,20}|[\\x00-\\xff\u{2000}-\u{2070}]{0,20}") {
        let log = logged("info", Style::Json, || info!(text, shown = %text));
        let line: Json = serde_json::from_str(log.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(line["text"].as_str(), Some(text.as_str()));
        prop_assert_eq!(line["shown"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn no_text_breaks_a_text_line(text in "(?s).{0,30}") {
        let log = logged("info", TEXT, || info!(text, shown = %text, quoted = ?text, "{text}"));
        prop_assert_eq!(log.matches('\n').count(), 1);
        prop_assert!(!log.trim_end_matches('\n').chars().any(char::is_control));
    }
}
