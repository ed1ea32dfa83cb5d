//! The line that each request leaves, written straight into the sink: the token path pays for it, so it goes past the
//! general machinery of events, and what is our own wording (methods, routes, identifiers) is not looked at again.

use std::cell::RefCell;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::line::{self, Dated, Style};
use super::sink::{Guard, Sink};
use crate::http::{AccessLine, AccessLog};

const TARGET: &str = "signet::access";
/// What stands between the time of a JSON line and the request's identifier.
const ANSWERED: &str = "\",\"level\":\"INFO\",\"target\":\"signet::access\",\"message\":\"request\",\"request_id\":\"";
const FAILED: &str = "\",\"level\":\"ERROR\",\"target\":\"signet::access\",\"message\":\"request\",\"request_id\":\"";

/// What a thread keeps from line to line.
#[derive(Default)]
struct Scratch {
    line: String,
    dated: Dated,
    peer: Peer,
}

/// The last sender as text: what stands before this server sends many requests.
#[derive(Default)]
struct Peer {
    address: Option<IpAddr>,
    text: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Writes requests into the log.
#[derive(Debug, Clone)]
struct Requests {
    sink: Arc<Sink>,
    style: Style,
}

impl Guard {
    /// Where requests leave their lines: in this log, at `info`, or at `error` where the answer's status is 500 or more.
    pub fn access_log(&self) -> Arc<dyn AccessLog> {
        Arc::new(Requests { sink: Arc::clone(&self.sink), style: self.style })
    }
}

impl AccessLog for Requests {
    fn record(&self, request: &AccessLine<'_>) {
        let level = if request.status >= 500 { Level::ERROR } else { Level::INFO };
        if LevelFilter::current() < level {
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.write(self.style, level, request);
            self.sink.append(&scratch.line, level <= Level::WARN);
        });
    }
}

impl Scratch {
    fn write(&mut self, style: Style, level: Level, request: &AccessLine<'_>) {
        let Self { line, dated, peer } = self;
        line.clear();
        match style {
            Style::Json => {
                line::push_time(line, dated, request.at);
                line.push_str(if level == Level::INFO { ANSWERED } else { FAILED });
                json(line, peer, request);
            }
            Style::Text { .. } => {
                line::begin(line, style, dated, request.at, level, TARGET);
                plain(line, request);
            }
        }
        line::end(line, style);
    }
}

fn json(out: &mut String, peer: &mut Peer, request: &AccessLine<'_>) {
    out.push_str(request.request_id);
    out.push_str("\",\"method\":\"");
    out.push_str(request.method);
    out.push_str("\",\"route\":\"");
    out.push_str(request.route);
    out.push_str("\",\"status\":");
    line::push_number(out, request.status.into());
    out.push_str(",\"micros\":");
    line::push_number(out, request.micros);
    if let Some(address) = request.peer {
        out.push_str(",\"peer\":\"");
        out.push_str(peer.text(address));
        out.push('"');
    }
    push_told(out, request, (",\"", "\":\""));
}

fn plain(out: &mut String, request: &AccessLine<'_>) {
    out.push(' ');
    out.push_str(request.method);
    out.push(' ');
    out.push_str(request.route);
    out.push(' ');
    line::push_number(out, request.status.into());
    out.push_str(" in ");
    line::push_number(out, request.micros);
    out.push_str(" µs");
    push_told(out, request, (" ", "=\""));
    out.push_str(" request_id=");
    out.push_str(request.request_id);
}

/// What few requests have, or what others worded, between quotes. `before` and `within` stand around the name.
fn push_told(out: &mut String, request: &AccessLine<'_>, (before, within): (&str, &str)) {
    for (name, value) in [("client", request.client), ("error", request.error), ("detail", request.detail)] {
        if let Some(value) = value {
            out.push_str(before);
            out.push_str(name);
            out.push_str(within);
            line::push_text(out, value);
            out.push('"');
        }
    }
}

impl Peer {
    fn text(&mut self, address: IpAddr) -> &str {
        if self.address != Some(address) {
            self.address = Some(address);
            self.text.clear();
            // Writing to a string does not fail.
            let _ = write!(self.text, "{address}");
        }
        &self.text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::Timestamp;

    fn request<'a>(peer: &'a str, detail: &'a str) -> AccessLine<'a> {
        AccessLine {
            at: Timestamp::default(),
            request_id: "0123",
            method: "POST",
            route: "/oauth2/token",
            status: 401,
            micros: 12,
            peer: Some(peer.parse().unwrap()),
            client: Some("shop"),
            error: Some("invalid_client"),
            detail: Some(detail),
        }
    }

    fn line(style: Style, level: Level, request: &AccessLine<'_>) -> String {
        let mut scratch = Scratch::default();
        // A line of another second and of nobody known stood there before.
        scratch.write(style, Level::ERROR, &AccessLine { at: Timestamp::from_secs(7), peer: None, ..*request });
        scratch.write(style, level, request);
        scratch.line
    }

    #[test]
    fn a_line_is_as_log_readers_know_it() {
        let mut request = request("127.0.0.1", "why");
        request.at = Timestamp::from_millis(1_795_305_594_042);
        assert_eq!(
            line(Style::Json, Level::INFO, &request),
            "{\"time\":\"2026-11-21T23:59:54.042Z\",\"level\":\"INFO\",\"target\":\"signet::access\",\
             \"message\":\"request\",\"request_id\":\"0123\",\"method\":\"POST\",\"route\":\"/oauth2/token\",\
             \"status\":401,\"micros\":12,\"peer\":\"127.0.0.1\",\"client\":\"shop\",\"error\":\"invalid_client\",\
             \"detail\":\"why\"}\n"
        );
        assert_eq!(
            line(Style::Text { colour: false }, Level::ERROR, &request),
            "23:59:54Z ERROR POST /oauth2/token 401 in 12 µs client=\"shop\" error=\"invalid_client\" \
             detail=\"why\" request_id=0123\n"
        );
    }

    #[test]
    fn the_head_of_a_line_is_that_of_all_lines() {
        let request = request("127.0.0.1", "why");
        for level in [Level::INFO, Level::ERROR] {
            let mut head = String::new();
            line::begin(&mut head, Style::Json, &mut Dated::default(), request.at, level, TARGET);
            let line = line(Style::Json, level, &request);
            assert!(line.starts_with(&head), "{line}");
        }
    }

    #[test]
    fn each_sender_is_named_whoever_came_before() {
        let mut peer = Peer::default();
        for text in ["127.0.0.1", "255.1.20.0", "255.1.20.0", "::1", "127.0.0.1"] {
            assert_eq!(peer.text(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_request_is_one_json_object_whatever_its_texts_hold() {
        for peer in ["127.0.0.1", "255.1.20.0", "::1", "2001:db8::2"] {
            let detail = "a\"b\\c\r\n{\"level\":\"ERROR\"}\u{1b}[31m é";
            let out = line(Style::Json, Level::INFO, &request(peer, detail));
            assert_eq!(out.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&read["detail"], &read["peer"]), (&detail.into(), &peer.into()));
            assert_eq!((&read["status"], &read["micros"], &read["client"]), (&401.into(), &12.into(), &"shop".into()));
        }
    }

    #[test]
    fn a_request_in_text_is_one_line() {
        let out = line(Style::Text { colour: false }, Level::INFO, &request("127.0.0.1", "a\nb\u{1b}[31m"));
        assert!(out.contains(" POST /oauth2/token 401 in 12 µs client=\"shop\""), "{out}");
        assert_eq!((out.matches('\n').count(), out.contains('\u{1b}')), (1, false), "{out}");
    }
}
