//! A collector that speaks OTLP over HTTP: keeps what it is sent, read by the official definitions, and answers as the
//! test wishes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// All but so many.
    Rejects(i64),
    Answers(u16),
    /// So many times with 503, and then takes.
    BusyFor(u32),
    /// Not at all.
    Silent,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: Vec<String>,
    pub body: Vec<u8>,
    pub message: ExportTraceServiceRequest,
}

/// Runs until the process ends.
#[derive(Debug, Clone)]
pub struct Collector {
    pub url: String,
    mood: Arc<Mutex<Mood>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, mood: Arc::new(Mutex::new(mood)), received: Arc::default() };
        let of_thread = collector.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let collector = of_thread.clone();
                std::thread::spawn(move || collector.serve(socket));
            }
        });
        collector
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Every span that was taken.
    pub fn spans(&self) -> Vec<Span> {
        let messages = self.received().into_iter().flat_map(|received| received.message.resource_spans);
        messages.flat_map(|of_resource| of_resource.scope_spans).flat_map(|of_scope| of_scope.spans).collect()
    }

    fn serve(&self, socket: TcpStream) {
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut socket = socket;
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let length =
                head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap()];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let message = ExportTraceServiceRequest::decode(&*body).unwrap();
            let mut mood = self.mood.lock().unwrap();
            let (status, rejected) = match *mood {
                Mood::Takes => (200, 0),
                Mood::Rejects(count) => (200, count),
                Mood::Answers(status) => (status, 0),
                Mood::BusyFor(0) => (200, 0),
                Mood::BusyFor(times) => {
                    *mood = Mood::BusyFor(times - 1);
                    (503, 0)
                }
                Mood::Silent => {
                    drop(mood);
                    std::thread::sleep(Duration::from_secs(30));
                    return;
                }
            };
            drop(mood);
            if status == 200 {
                self.received.lock().unwrap().push(Received { head, body, message });
            }
            let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: String::new() };
            let answer = ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) };
            let answer = answer.encode_to_vec();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", answer.len());
            if socket.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
                return;
            }
        }
    }
}

/// The value of an attribute, as text.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let only = found.next()?;
    assert!(found.next().is_none(), "{key} stands twice");
    match only.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}
