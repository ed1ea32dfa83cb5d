//! People with accounts and sessions at a running Signet, made over its API as anybody would.

use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::Result;
use crate::contender::Contender;
use crate::load::exchange;
use crate::process::Pinned;
use crate::signet::{Cli, Credentials, ES256_RESOURCE, Signet, form_request, request};
use crate::talk::Talk;

/// How many there are: so many that nobody logs in twice at a time, and few enough to be made in a second.
const PEOPLE: usize = 16;
const JSON: &str = "application/json";

/// What differs from the settings that Signet has when nothing is set. Without a grace window each refresh of a current
/// token rotates it, so that one session is enough for each caller; the limits on failures would slow down what is
/// measured; registration is how accounts are made here.
const SETTINGS: [(&str, &str); 6] = [
    ("SIGNET__SESSIONS__GRACE", "0s"),
    ("SIGNET__AUTH__REGISTRATION", "true"),
    ("SIGNET__AUTH__REGISTRATIONS_PER_ADDRESS", "100000"),
    ("SIGNET__AUTH__REGISTRATIONS_AN_HOUR", "100000"),
    ("SIGNET__PASSWORDS__FAILURES_PER_ADDRESS", "100000"),
    ("SIGNET__PASSWORDS__FAILURES_A_MINUTE", "60000"),
];

/// A running Signet that people sign in at.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) signet: Signet,
    pub(crate) server: Pinned,
    names: Vec<String>,
    password: String,
    secret: Credentials,
}

/// What a login is answered with.
#[derive(Debug, Deserialize)]
struct LoggedIn {
    refresh_token: String,
    session_id: String,
}

/// Sessions, and how they are refreshed.
#[derive(Debug)]
pub(crate) struct Refreshes {
    /// One for each caller.
    pub(crate) talks: Vec<Talk>,
    /// The name of one of the sessions.
    pub(crate) session: String,
}

/// The two kinds of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A public one: each refresh replaces the refresh token.
    Rotating,
    /// One with a secret: its refresh tokens stay.
    Staying,
}

impl People {
    /// Prepares a Signet below `folder` with these `settings` besides, and starts it on `core`.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        core: usize,
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let own = SETTINGS.map(|(name, value)| (name, value.to_owned()));
        let signet = Signet::prepare(program, folder, core, &[&own, settings].concat())?;
        let cli = Cli { contender: &signet.contender };
        let access = format!("{ES256_RESOURCE}=read write");
        cli.run(&["clients", "update", "login", "--add-access", &access])?;
        let secret = cli.client(&["--first-party", "--grant", "refresh_token", "--access", &access])?;
        let (server, _) = signet.contender.start(core)?;
        let mut random = [0; 15];
        rand::fill(&mut random)?;
        // Random, so that no list of common passwords has it.
        let password = URL_SAFE_NO_PAD.encode(random);
        let names: Vec<String> = (0..PEOPLE).map(|n| format!("person-{n}")).collect();
        let people = Self { signet, server, names, password, secret };
        for name in &people.names {
            let body = people.credentials(name, &people.password);
            people.said(&people.json("/auth/register", None, &body), 201)?;
        }
        Ok(people)
    }

    fn contender(&self) -> &Contender {
        &self.signet.contender
    }

    fn json(&self, path: &str, client: Option<&Credentials>, body: &str) -> Vec<u8> {
        request(self.contender(), path, client, JSON, body)
    }

    fn credentials(&self, name: &str, password: &str) -> String {
        format!("{{\"username\":\"{name}\",\"password\":\"{password}\"}}")
    }

    /// The body of the answer to a request, which must have that status.
    fn said(&self, request: &[u8], status: u16) -> Result<Vec<u8>> {
        let answer = exchange(self.contender().address, request)?;
        if answer.status == status {
            return Ok(answer.body);
        }
        let said = String::from_utf8_lossy(&answer.body);
        Err(format!("Signet answers {} instead of {status}: {said}", answer.status).into())
    }

    /// Logins of each of them in turn, each with the right password.
    pub(crate) fn logins(&self) -> Vec<Talk> {
        let login = |name: &String| self.login(name, &self.password);
        self.names.iter().map(|name| Talk::always(login(name))).collect()
    }

    /// The login of `name` with `password`.
    fn login(&self, name: &str, password: &str) -> Vec<u8> {
        self.json("/auth/login", None, &self.credentials(name, password))
    }

    /// A login of the person of that number with the right password, one with a wrong one of the same length, and one of
    /// somebody who has no account and whom nobody asked for before: `fresh` tells who.
    pub(crate) fn right_wrong_and_unknown(&self, number: usize, fresh: usize) -> [Vec<u8>; 3] {
        let name = &self.names[number % self.names.len()];
        let wrong = "x".repeat(self.password.len());
        let nobody = format!("nobody-{fresh}");
        [self.login(name, &self.password), self.login(name, &wrong), self.login(&nobody, &wrong)]
    }

    /// So many new sessions at a client of that kind.
    pub(crate) fn refreshes(&self, kind: Kind, sessions: usize) -> Result<Refreshes> {
        let client = (kind == Kind::Staying).then_some(&self.secret);
        let (mut talks, mut session) = (Vec::new(), String::new());
        for name in self.names.iter().cycle().take(sessions.max(1)) {
            let body = self.said(&self.json("/auth/login", client, &self.credentials(name, &self.password)), 200)?;
            let begun: LoggedIn = serde_json::from_slice(&body)?;
            let token = &begun.refresh_token;
            let named = if kind == Kind::Rotating { "&client_id=login" } else { "" };
            let form = format!("grant_type=refresh_token&refresh_token={token}{named}");
            let request = form_request(self.contender(), client, &form);
            talks.push(match kind {
                Kind::Rotating => Talk::following(request, token)?,
                Kind::Staying => Talk::always(request),
            });
            session = begun.session_id;
        }
        Ok(Refreshes { talks, session })
    }
}
