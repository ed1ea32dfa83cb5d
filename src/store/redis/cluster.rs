//! A Cluster: which master has the slot of a key, and the way to each.
//!
//! Guarantees: each node has a connection of its own, so that one that is away fails at once what needs it and nothing
//! else. The map of slots is learnt anew every few seconds, and at once when a node sends a command elsewhere or can't be
//! reached; a command that meets a slot on the move follows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Pipeline, Value, from_redis_value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tracing::warn;

use super::connect::{Connector, Target};
use super::error::Failure;
use super::link::{Counts, Link, Sent};
use super::url::Node;

const SLOTS: u16 = 16_384;
/// How often the map is learnt anew when nothing speaks against it.
const LEARN_EVERY: Duration = Duration::from_secs(10);
/// The shortest pause between two times.
const LEARN_PAUSE: Duration = Duration::from_millis(100);
/// How often a command is sent on before it is given up.
const MOST_HOPS: usize = 4;

/// The slot of a key: of what stands between the first `{` and the next `}`, if there is something
/// (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let find = |bytes: &[u8], sign: u8| bytes.iter().position(|byte| *byte == sign);
    let tag = find(key, b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let length = find(rest, b'}').filter(|length| *length > 0)?;
        rest.get(..length)
    });
    // CRC-16/XMODEM.
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc % SLOTS
}

/// The ways to the masters by slot.
struct Map(Vec<Option<Arc<Link>>>);

/// A connection to a Cluster that heals itself. Dropping it ends it.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

struct Shared {
    connector: Arc<Connector>,
    runtime: Handle,
    map: watch::Sender<Result<Arc<Map>, Failure>>,
    links: Mutex<BTreeMap<Node, Arc<Link>>>,
    stale: Notify,
}

impl Cluster {
    /// Begins to connect, by tasks on that runtime.
    pub(super) fn start(connector: Arc<Connector>, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            connector,
            runtime: runtime.clone(),
            map: watch::Sender::new(Err(Failure::NotSent("the Cluster is not known yet".to_owned()))),
            links: Mutex::default(),
            stale: Notify::new(),
        });
        let keeper = runtime.spawn(keep(Arc::clone(&shared))).abort_handle();
        Self { shared, keeper }
    }

    /// Sends to whoever has the slot, and waits for the answer.
    pub(super) async fn send(&self, slot: u16, sent: Sent<'_>) -> Result<Value, Failure> {
        let map = self.shared.map.borrow().clone()?;
        let served = map.0.get(usize::from(slot)).cloned().flatten();
        let mut link = served.ok_or_else(|| Failure::NotNow("the Cluster does not serve all slots".to_owned()))?;
        let mut asking = false;
        for _ in 0..MOST_HOPS {
            let outcome = if asking { ask(&link, sent).await } else { link.send(sent).await };
            match outcome {
                Err(Failure::Elsewhere { address, only_now }) => {
                    if !only_now {
                        self.shared.stale.notify_one();
                    }
                    let node = node(&address)?;
                    link = self.shared.link_to(&node);
                    link.settled().await?;
                    asking = only_now;
                }
                Err(failure) => {
                    if !matches!(failure, Failure::Refused(_) | Failure::NoScript) {
                        self.shared.stale.notify_one();
                    }
                    return Err(failure);
                }
                Ok(value) => return Ok(value),
            }
        }
        Err(Failure::NotNow("the slot is being moved".to_owned()))
    }

    /// Waits until the Cluster is known and every master was tried once.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        let mut map = self.shared.map.subscribe();
        let _ = tokio::time::timeout(self.shared.connector.options.connect_timeout, map.wait_for(Result::is_ok)).await;
        for link in self.shared.all_links() {
            link.settled().await?;
        }
        self.problem().map_or(Ok(()), Err)
    }

    /// What is wrong, if there is something.
    pub(super) fn problem(&self) -> Option<Failure> {
        let map = match &*self.shared.map.borrow() {
            Ok(map) => Arc::clone(map),
            Err(failure) => return Some(failure.clone()),
        };
        if map.0.iter().any(Option::is_none) {
            return Some(Failure::NotNow("the Cluster does not serve all slots".to_owned()));
        }
        self.shared.all_links().iter().find_map(|link| link.problem())
    }

    /// Why none of its slots is served, where that is so.
    pub(super) fn outage(&self) -> Option<Failure> {
        if let Err(failure) = &*self.shared.map.borrow() {
            return Some(failure.clone());
        }
        let mut last = None;
        for link in self.shared.all_links() {
            last = Some(link.problem()?);
        }
        last
    }

    pub(super) fn counts(&self) -> Counts {
        let all = self.shared.all_links();
        let counts = all.iter().map(|link| link.counts());
        counts.fold(Counts::default(), |sum, one| Counts {
            losses: sum.losses + one.losses,
            failures: sum.failures + one.failures,
            latency: sum.latency.max(one.latency),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Sends to a node that has only some of a slot's keys yet.
async fn ask(link: &Link, sent: Sent<'_>) -> Result<Value, Failure> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("ASKING");
    match sent {
        Sent::One(command) => {
            pipeline.add_command(command.clone());
        }
        Sent::Several(commands) => {
            for command in commands.cmd_iter() {
                pipeline.add_command(command.clone());
            }
        }
    }
    let answers = link.send(Sent::Several(&pipeline)).await?;
    let Value::Array(mut answers) = answers else { return Err(Failure::Lost("its answers are no array".to_owned())) };
    answers.drain(..1);
    match (sent, answers.pop()) {
        (Sent::One(_), Some(answer)) => Ok(answer),
        (_, last) => Ok(Value::Array(answers.into_iter().chain(last).collect())),
    }
}

/// `host:port`, as a node names another.
fn node(address: &str) -> Result<Node, Failure> {
    let node = address.rsplit_once(':').and_then(|(host, port)| {
        let port = Some(port.parse().ok()?);
        Some(Node { host: host.trim_matches(['[', ']']).to_owned(), port })
    });
    node.filter(|node| !node.host.is_empty())
        .ok_or_else(|| Failure::NotNow(format!("a node sends elsewhere, to {address:?}")))
}

impl Shared {
    fn all_links(&self) -> Vec<Arc<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn link_to(&self, node: &Node) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Arc::new(Link::start(&self.connector, Target::Node(node.clone()), &self.runtime));
        Arc::clone(links.entry(node.clone()).or_insert_with(start))
    }

    /// Asks who has which slots: the masters that answer first, then the others, then those of the settings.
    async fn learn(&self) -> Result<(), Failure> {
        let mut known: Vec<(bool, Node)> = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.iter().map(|(node, link)| (link.problem().is_some(), node.clone())).collect()
        };
        known.sort();
        let url = &self.connector.options.url;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut last = Failure::NotSent("no node of the Cluster is known".to_owned());
        for node in known.into_iter().map(|(_, node)| node).chain(url.nodes.iter().cloned()) {
            match self.connector.ask::<Vec<Value>>(url, &node, &command).await {
                Ok(ranges) if !ranges.is_empty() => {
                    self.take_up(&node, ranges)?;
                    return Ok(());
                }
                Ok(_) => last = Failure::NotNow(format!("{node} serves no slots")),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Makes a map of what `asked` answered.
    fn take_up(&self, asked: &Node, ranges: Vec<Value>) -> Result<(), Failure> {
        let mut slots = vec![None; usize::from(SLOTS)];
        let mut named = Vec::new();
        for range in ranges {
            let (first, last, master) = range_of(range, asked)?;
            let link = self.link_to(&master);
            for slot in slots.iter_mut().take(usize::from(last) + 1).skip(usize::from(first)) {
                *slot = Some(Arc::clone(&link));
            }
            named.push(master);
        }
        let _ = self.map.send_replace(Ok(Arc::new(Map(slots))));
        self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|node, _| named.contains(node));
        Ok(())
    }
}

/// First and last slot, and the master.
fn range_of(range: Value, asked: &Node) -> Result<(u16, u16, Node), Failure> {
    let wrong = || Failure::Refused("the answer to CLUSTER SLOTS is not understood".to_owned());
    let Value::Array(parts) = range else { return Err(wrong()) };
    let [first, last, Value::Array(master), ..] = parts.as_slice() else { return Err(wrong()) };
    let number = |value: &Value| from_redis_value::<u16>(value.clone()).map_err(|_| wrong());
    let [host, port, ..] = master.as_slice() else { return Err(wrong()) };
    let host: Option<String> = from_redis_value(host.clone()).map_err(|_| wrong())?;
    // A node that knows no name for itself, or none for the outside, is where it was asked.
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.host.clone());
    Ok((number(first)?, number(last)?.min(SLOTS - 1), Node { host, port: Some(number(port)?) }))
}

/// Learns the map, again and again.
async fn keep(shared: Arc<Shared>) {
    let mut is_said = false;
    loop {
        let wait = match shared.learn().await {
            Ok(()) => {
                is_said = false;
                LEARN_EVERY
            }
            Err(failure) => {
                if !is_said {
                    warn!(error = %failure, "no node of the Redis Cluster tells who has which slots");
                    is_said = true;
                }
                // What was known stays in use: its connections know best whether they are of use.
                shared.map.send_if_modified(|map| map.is_err() && std::mem::replace(map, Err(failure)).is_err());
                Duration::ZERO
            }
        };
        tokio::time::sleep(LEARN_PAUSE).await;
        tokio::select! {
            () = shared.stale.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_redis_gives_it() {
        for (key, slot) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{foo}b{bar}", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("", 0),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn a_node_that_names_no_host_is_where_it_was_asked() {
        let asked = Node { host: "seed".to_owned(), port: Some(1) };
        let range = |host: Value| {
            let master = Value::Array(vec![host, Value::Int(7000), Value::BulkString(b"id".to_vec())]);
            range_of(Value::Array(vec![Value::Int(0), Value::Int(5460), master]), &asked).unwrap().2.to_string()
        };
        assert_eq!(range(Value::BulkString(b"10.0.0.1".to_vec())), "10.0.0.1:7000");
        assert_eq!(range(Value::BulkString(Vec::new())), "seed:7000");
        assert_eq!(range(Value::Nil), "seed:7000");
    }

    #[test]
    fn where_a_node_sends_to_is_read() {
        assert_eq!(node("10.0.0.1:7000").unwrap().to_string(), "10.0.0.1:7000");
        assert_eq!(node("::1:7000").unwrap().to_string(), "[::1]:7000");
        assert!(node(":7000").is_err() && node("host").is_err());
    }
}
