//! The line that each request leaves, written straight into the sink: the token path pays for it, so it goes past the
//! general machinery of events.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::line::{self, Dated, Style};
use super::sink::{Guard, Sink};
use crate::http::{AccessLine, AccessLog};

const TARGET: &str = "signet::access";

thread_local! {
    static SCRATCH: RefCell<(String, Dated)> = RefCell::default();
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
        SCRATCH.with_borrow_mut(|(text, dated)| {
            text.clear();
            line::begin(text, self.style, dated, request.at, level, TARGET);
            match self.style {
                Style::Json => json(text, request),
                Style::Text { .. } => plain(text, request),
            }
            line::end(text, self.style);
            self.sink.append(text, level <= Level::WARN);
        });
    }
}

fn json(out: &mut String, request: &AccessLine<'_>) {
    let mut text = |name: &str, value: &str| {
        out.push_str(name);
        line::push_text(out, value);
        out.push('"');
    };
    text(",\"message\":\"request\",\"request_id\":\"", request.request_id);
    text(",\"method\":\"", request.method);
    text(",\"route\":\"", request.route);
    out.push_str(",\"status\":");
    line::push_number(out, request.status.into());
    out.push_str(",\"micros\":");
    line::push_number(out, request.micros);
    if let Some(peer) = request.peer {
        out.push_str(",\"peer\":\"");
        push_address(out, peer);
        out.push('"');
    }
    for (name, value) in optional(request) {
        if let Some(value) = value {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":\"");
            line::push_text(out, value);
            out.push('"');
        }
    }
}

fn plain(out: &mut String, request: &AccessLine<'_>) {
    out.push(' ');
    line::push_text(out, request.method);
    out.push(' ');
    line::push_text(out, request.route);
    out.push(' ');
    line::push_number(out, request.status.into());
    out.push_str(" in ");
    line::push_number(out, request.micros);
    out.push_str(" µs");
    for (name, value) in optional(request) {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            line::push_text(out, value);
            out.push('"');
        }
    }
    out.push_str(" request_id=");
    out.push_str(request.request_id);
}

const fn optional<'a>(request: &AccessLine<'a>) -> [(&'static str, Option<&'a str>); 3] {
    [("client", request.client), ("error", request.error), ("detail", request.detail)]
}

fn push_address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, part) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push('.');
                }
                line::push_number(out, part.into());
            }
        }
        IpAddr::V6(address) => {
            use std::fmt::Write;
            // Writing to a string does not fail.
            let _ = write!(out, "{address}");
        }
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

    #[test]
    fn a_request_is_one_json_object_whatever_its_texts_hold() {
        for peer in ["127.0.0.1", "255.1.20.0", "::1", "2001:db8::2"] {
            let detail = "a\"b\\c\r\n{\"level\":\"ERROR\"}\u{1b}[31m é";
            let mut out = "{\"time\":0".to_owned();
            json(&mut out, &request(peer, detail));
            out.push('}');
            assert!(!out.contains('\n'));
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&read["detail"], &read["peer"]), (&detail.into(), &peer.into()));
            assert_eq!((&read["status"], &read["micros"], &read["client"]), (&401.into(), &12.into(), &"shop".into()));
        }
    }

    #[test]
    fn a_request_in_text_is_one_line() {
        let mut out = String::new();
        plain(&mut out, &request("127.0.0.1", "a\nb\u{1b}[31m"));
        assert!(out.starts_with(" POST /oauth2/token 401 in 12 µs client=\"shop\""), "{out}");
        assert!(!out.contains(['\n', '\u{1b}']), "{out}");
    }
}
