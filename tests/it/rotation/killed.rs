//! `kill -9` of the built program while keys and clients change: what was answered with success is there, what was not is
//! there whole or not at all, and the next start serves.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use super::load::Random;
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::start::program::{Program, Running};
use crate::world::eventually;

/// How long the way to the database holds back each answer: so an act takes long enough to be hit.
const DELAY: Duration = Duration::from_millis(12);
/// About how long the longest act then takes after its first statement.
const LONGEST: usize = 420;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// The keys are due: the server that starts rotates.
    Rotate,
    CreateKey,
    CreateClient,
    RollSecret,
    Disable,
    Delete,
    /// Another master key takes the place of the one in use.
    Reseal,
}

const ACTS: [Act; 7] =
    [Act::Rotate, Act::CreateKey, Act::CreateClient, Act::Reseal, Act::RollSecret, Act::Disable, Act::Delete];

/// How many clients are there without a row of the audit log that tells of it: those of the first start.
const UNTOLD: &str = "SELECT (SELECT count(*) FROM clients) - count(*) FILTER (WHERE act = 'clients.create') + \
                      count(*) FILTER (WHERE act = 'clients.delete') FROM audit_log";

/// What is known of a client from what was answered.
#[derive(Debug, Default)]
struct Client {
    /// None where nobody was told, because the one who would have been was killed.
    secret: Option<String>,
    disabled: Option<bool>,
    exists: Option<bool>,
}

struct Installed<'a> {
    program: Program,
    proxy: Proxy,
    cluster: &'a Postgres,
    url: String,
    random: Random,
    clients: BTreeMap<String, Client>,
    /// Keys of which it was said that they are there.
    keys: Vec<String>,
    /// See [`UNTOLD`].
    untold: String,
}

/// Something that runs, until it is killed.
enum Killable {
    Server(Running),
    Verb(Child),
}

impl Installed<'_> {
    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.url, sql)
    }

    /// Makes a client, and waits for the answer.
    fn client(&mut self, id: &str) {
        let made = ["clients", "create", "--id", id, "--serves", "https://as.example/admin", "--json"];
        let made = self.program.run(&made);
        assert_eq!(made.code, Some(0), "{made:?}");
        self.note(Act::CreateClient, id, serde_json::from_str(&made.out).ok());
    }

    /// A client that is there and works.
    fn some_client(&mut self, round: usize) -> String {
        let works = |client: &Client| client.exists == Some(true) && client.disabled == Some(false);
        let known: Vec<&String> = self.clients.iter().filter(|(_, client)| works(client)).map(|(id, _)| id).collect();
        let place = self.random.below(known.len().max(1));
        if let Some(id) = known.get(place) {
            return (*id).clone();
        }
        let id = format!("extra-{round}");
        self.client(&id);
        id
    }

    fn begin(&mut self, act: Act, round: usize) -> (Killable, String) {
        let id = match act {
            Act::Rotate | Act::CreateKey => String::new(),
            Act::Reseal => format!("keys/master-{round}.key"),
            Act::CreateClient => format!("client-{round}"),
            _ => self.some_client(round),
        };
        if act == Act::Rotate {
            // Two months pass for the keys.
            self.sql(
                "UPDATE keys SET state_since = state_since - 5184000000, created_at = created_at - 5184000000, \
                 state_until = state_until - 5184000000, published_at = published_at - 5184000000; \
                 UPDATE key_rings SET acted_at = acted_at - 5184000000",
            );
        }
        if act == Act::Reseal {
            let made = self.program.run(&["keys", "reseal", "--generate", &id]);
            assert_eq!(made.code, Some(0), "{made:?}");
            self.program.set("KEYS__NEXT_MASTER_KEY_FILE", Some(&id));
            self.forget_replicas();
        }
        self.proxy.watch();
        self.proxy.delay(DELAY);
        let verb: &[&str] = match act {
            Act::Rotate => return (Killable::Server(self.program.spawn()), id),
            Act::Reseal => &["keys", "reseal", "--json"],
            Act::CreateKey => &["keys", "create", "--algorithm", "ES256", "--json"],
            Act::CreateClient => &["clients", "create", "--id", &id, "--serves", "https://as.example/admin", "--json"],
            Act::RollSecret => &["clients", "roll-secret", &id, "--end-old", "--json"],
            Act::Disable => &["clients", "disable", &id, "--json"],
            Act::Delete => &["clients", "delete", &id, "--yes", "--json"],
        };
        (Killable::Verb(self.program.start(verb)), id)
    }

    /// The servers that were killed are gone: nobody need wait for a minute to be sure of that.
    fn forget_replicas(&self) {
        self.sql("DELETE FROM replicas");
    }

    /// After a reseal that was killed, the same command goes on; then the new master key is the only one.
    fn finish(&mut self, act: Act, id: &str) {
        if act == Act::Reseal {
            self.forget_replicas();
            let done = self.program.run(&["keys", "reseal", "--json"]);
            assert_eq!(done.code, Some(0), "{done:?}");
            self.program.set("KEYS__MASTER_KEY_FILE", Some(id));
            self.program.set("KEYS__NEXT_MASTER_KEY_FILE", None);
            self.assert_whole();
        }
    }

    /// Takes down what was answered, or that nobody knows.
    fn note(&mut self, act: Act, id: &str, answer: Option<Value>) {
        match act {
            Act::Rotate | Act::Reseal => {}
            Act::CreateKey => self.keys.extend(answer.map(|key| key["kid"].as_str().unwrap().to_owned())),
            Act::CreateClient => {
                let secret = answer.as_ref().map(|client| client["client_secret"].as_str().unwrap().to_owned());
                let known = answer.map(|_| true);
                let client = Client { secret, disabled: known.map(|_| false), exists: known };
                self.clients.insert(id.to_owned(), client);
            }
            _ => {
                let Some(client) = self.clients.get_mut(id) else { return };
                match act {
                    Act::RollSecret => {
                        client.secret = answer.map(|told| told["client_secret"].as_str().unwrap().to_owned());
                    }
                    Act::Disable => client.disabled = answer.map(|_| true),
                    _ => client.exists = answer.map(|_| false),
                }
            }
        }
    }

    /// What the database must show now: counts what was answered and is not so.
    fn lost(&self) -> usize {
        let keys = self.sql("SELECT kid FROM keys");
        let clients = self.sql("SELECT client_id || ' ' || enabled FROM clients");
        let clients: BTreeMap<&str, bool> = clients
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, on)| (id, on != "0" && on != "false"))
            .collect();
        let lost_keys = self.keys.iter().filter(|kid| !keys.lines().any(|line| line == *kid)).count();
        let is_lost = |(id, client): (&String, &Client)| {
            let stored = clients.get(id.as_str());
            client.exists.is_some_and(|exists| exists != stored.is_some())
                || stored.is_some_and(|on| client.disabled == Some(*on))
        };
        lost_keys + self.clients.iter().filter(|(id, client)| is_lost((id, client))).count()
    }

    /// One key signs, one is to succeed it, each published one has its private half, and each change its audit row.
    fn assert_whole(&self) {
        let states =
            self.sql("SELECT state, count(*) FROM keys WHERE purpose = 'signing' GROUP BY state ORDER BY state");
        assert!(states.lines().any(|line| line == "active|1"), "{states}");
        assert!(states.lines().any(|line| line.starts_with("pending|")), "{states}");
        let damaged = "SELECT count(*) FROM keys WHERE (sealed IS NULL) = (state IN ('pending', 'active', 'retiring'))";
        assert_eq!(self.sql(damaged), "0");
        let verified = self.program.run(&["audit", "verify", "--json"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        // A client came or went together with the row that tells of it.
        assert_eq!(self.sql(UNTOLD), self.untold, "{}", self.sql("SELECT act, subject FROM audit_log ORDER BY number"));
    }
}

impl Killable {
    /// Whether it has answered, or ended.
    fn is_done(&mut self) -> bool {
        match self {
            Self::Server(server) => {
                server.log().contains("\"listening\"") || server.child.try_wait().unwrap().is_some()
            }
            Self::Verb(child) => child.try_wait().unwrap().is_some(),
        }
    }

    /// Kills it and answers what it said, if that was success.
    fn kill(self) -> Option<Value> {
        match self {
            Self::Server(mut server) => {
                server.child.kill().unwrap();
                let ended = server.wait();
                ended.err.contains("\"listening\"").then_some(Value::Null)
            }
            Self::Verb(mut child) => {
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                // Whatever became of the process: what was read to its end was answered.
                let said = serde_json::from_slice(&output.stdout).ok();
                assert!(output.status.code().is_none_or(|code| code == 0), "{output:?}");
                said
            }
        }
    }
}

#[actix_web::test]
async fn what_was_answered_is_there_after_kill_9_at_any_moment_of_a_change() {
    let many = if super::replicas::at_full_scale() { 200 } else { 50 };
    let cluster = Postgres::shared();
    let url = cluster.database();
    let proxy = Proxy::before(&url);
    let program = Program::new().with("DATABASE__URL", &proxy.url);
    let done = program.run(&["init", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let random = Random::new(11);
    let mut installed = Installed {
        program,
        proxy,
        cluster,
        url,
        random,
        clients: BTreeMap::new(),
        keys: Vec::new(),
        untold: String::new(),
    };
    installed.untold = installed.sql(UNTOLD);
    let (mut inside, mut answered, mut lost) = (BTreeMap::<Act, usize>::new(), 0, 0);
    for round in 0..many {
        let act = ACTS[round % ACTS.len()];
        let (mut running, id) = installed.begin(act, round);
        // Most are aimed at the act itself, the others at whatever the process is doing.
        let aimed = installed.random.below(6) != 0;
        while aimed && !installed.proxy.has_begun() && !running.is_done() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(installed.random.below(LONGEST) as u64));
        let was_inside = installed.proxy.has_begun() && !running.is_done();
        *inside.entry(act).or_default() += usize::from(was_inside);
        let answer = running.kill();
        answered += usize::from(answer.is_some());
        installed.note(act, &id, answer);
        installed.proxy.delay(Duration::ZERO);
        // The database notices that its client is gone.
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                      AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        eventually(async || (installed.sql(others) == "0").then_some(())).await;

        let server = installed.program.serve();
        server.admin_token(&installed.program.credentials()).await;
        drop(server);
        installed.assert_whole();
        installed.finish(act, &id);
        lost += installed.lost();
    }
    let server = installed.program.serve();
    for (id, client) in installed.clients.iter().filter(|(_, client)| client.exists == Some(true)) {
        let (Some(secret), Some(false)) = (&client.secret, client.disabled) else { continue };
        // Known and authenticated; it has nothing to get a token for.
        let answer = server.token(id, secret).await;
        lost += usize::from(answer.body["error"] != "invalid_target");
    }
    server.stop();
    let hit: usize = inside.values().sum();
    println!(
        "{many} kills, {hit} inside an act ({inside:?}); {answered} acts were answered; acknowledged changes lost: {lost}"
    );
    assert_eq!(lost, 0);
    assert!(hit * 2 >= many, "{hit} of {many} kills fell inside an act");
    assert!(answered > 0, "some are killed after they have answered");
}
