//! The admin API, for verbs that are told `--url`: they act as a client, with a token of as few scopes as the verb needs,
//! and with all that the client may get only to change a client or an account that has such scopes itself. A token that
//! ends while they are at it is replaced.
//!
//! Guarantees: neither a secret nor a token crosses a network readable; what the server says reaches a terminal as plain
//! text.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::fetch::{self, Answer};
use super::output::plain;
use super::token::{self, AdminToken};
use super::{Context, Failure};
use crate::config::Settings;
use crate::secret::SecretText;

/// Far above any page of the API, in bytes.
const MOST_ANSWER: usize = 8 * 1024 * 1024;
const MOST_ITEMS: usize = 200;
/// How long a call may take that makes a key: one of RSA with 4096 bits takes a busy machine many seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a verb acts on the database itself or asks a running server.
#[derive(Args)]
pub(super) struct Through {
    /// Ask the admin API at this address, such as http://127.0.0.1:8081, instead of the database.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Whose token to use there: a file as the first start writes it (default: `admin-credentials.json` in `data_dir`).
    #[arg(long, value_name = "FILE", requires = "url")]
    credentials: Option<PathBuf>,
}

/// The admin API of a server, with a token for it.
pub(super) struct Api {
    base: String,
    pub(super) token: AdminToken,
    /// The token in use: that one, until it was too weak or has ended.
    text: RefCell<SecretText>,
    /// Whether the one in use has all scopes that are to be had.
    is_whole: Cell<bool>,
    needed: String,
    liked: String,
    settings: Settings,
    limit: Duration,
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    #[serde(default)]
    pub(super) damaged: Vec<String>,
    pub(super) next_cursor: Option<String>,
}

/// What is on the pages of a list, and the names of what belongs there and can't be read.
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) damaged: Vec<String>,
}

/// Of which version something must be to be changed, as `If-Match` says it.
#[derive(Clone, Copy)]
pub(super) enum Version {
    Any,
    Exactly(i64),
}

/// What an API says when the version is another.
pub(super) const STALE: &str = "stale_version";
/// What it says when a client has, or would get, scopes that the token lacks.
const BEYOND: &str = "beyond_own_power";
/// What it says when a token is not good any more.
const EXPIRED: &str = "invalid_token";

impl Through {
    /// The API with a token for `scope`, where one is to be asked.
    pub(super) async fn api(&self, context: &Context, scope: &str) -> Result<Option<Api>, Failure> {
        self.api_with(context, scope, "").await
    }

    /// The API with a token for the scopes `needed`, and those of `liked` that are to be had, where one is to be asked.
    pub(super) async fn api_with(&self, context: &Context, needed: &str, liked: &str) -> Result<Option<Api>, Failure> {
        let Some(address) = &self.url else { return Ok(None) };
        let settings = context.settings()?.settings;
        let url = fetch::parse(address).map_err(|why| Failure::Refused(format!("{}: {why}", plain(address))))?;
        if !fetch::is_private(&url) && !settings.allow_insecure_issuer {
            return Err(Failure::Refused(format!(
                "{} is plain http, and the token would cross the network readable: use https (or set \
                 `allow_insecure_issuer`, where that network is trusted)",
                plain(address)
            )));
        }
        let base = format!("{}/admin/v1", url.as_str().trim_end_matches('/'));
        let token = token::admin_token(&settings, self.credentials.as_deref(), needed, liked).await?;
        let (text, is_whole) = (RefCell::new(token.text.clone()), Cell::new(false));
        let (needed, liked) = (needed.to_owned(), liked.to_owned());
        Ok(Some(Api { base, token, text, is_whole, needed, liked, settings, limit: fetch::TIMEOUT }))
    }
}

impl Api {
    /// The same for calls that make keys, which take their time.
    pub(super) fn patient(self) -> Self {
        Self { limit: PATIENCE, ..self }
    }

    /// All of a list, or its first `most` items.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, &str)],
        most: usize,
    ) -> Result<Listed<T>, Failure> {
        let (mut listed, mut cursor) = (Listed { items: Vec::new(), damaged: Vec::new() }, None::<String>);
        loop {
            let page: Page<T> = self.page(path, filters, cursor.as_deref(), most - listed.items.len()).await?;
            listed.items.extend(page.items);
            listed.damaged.extend(page.damaged);
            cursor = page.next_cursor;
            if cursor.is_none() || listed.items.len() >= most {
                return Ok(listed);
            }
        }
    }

    /// The page of a list that begins at `cursor`, with at most `most` items.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, &str)],
        cursor: Option<&str>,
        most: usize,
    ) -> Result<Page<T>, Failure> {
        let size = most.min(MOST_ITEMS).to_string();
        let mut query = filters.to_vec();
        query.push(("page_size", &size));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(path, &query).await
    }

    /// What is at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        let url = self.url(path, query)?;
        self.told(&url, self.request(Method::GET, &url)?).await
    }

    /// What comes of sending `body` to `path`.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let url = self.url(path, &[])?;
        self.told(&url, with_body(self.request(Method::POST, &url)?, body)?).await
    }

    /// What comes of sending `body` to `path` to change what is of that version there.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        version: Version,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let url = self.url(path, &[])?;
        let request = self.request(method, &url)?.header(IF_MATCH, version.tag());
        self.told(&url, with_body(request, body)?).await
    }

    /// Removes what is at `path`, of whatever version.
    pub(super) async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<(), Failure> {
        let url = self.url(path, query)?;
        let request = self.request(Method::DELETE, &url)?.header(IF_MATCH, Version::Any.tag());
        self.send(&url, request, &[204]).await.map(drop)
    }

    /// Ends what is at `path` and has no versions; `None` where the answer has no body.
    pub(super) async fn end<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Failure> {
        let url = self.url(path, query)?;
        let answer = self.send(&url, self.request(Method::DELETE, &url)?, &[200, 204]).await?;
        let read = |answer: Answer| serde_json::from_slice(&answer.body).map_err(|_| unusable(&url, &answer));
        Some(answer).filter(|answer| answer.status == 200).map(read).transpose()
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, Failure> {
        let address = format!("{}/{path}", self.base);
        let mut url =
            Url::parse(&address).map_err(|_| Failure::Refused(format!("{} is no address", plain(&address))))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Failure> {
        let request = fetch::client(url)?.request(method, url.clone());
        Ok(request.header(ACCEPT, "application/json"))
    }

    async fn told<T: DeserializeOwned>(&self, url: &Url, request: RequestBuilder) -> Result<T, Failure> {
        let answer = self.send(url, request, &[200, 201]).await?;
        serde_json::from_slice(&answer.body).map_err(|_| unusable(url, &answer))
    }

    async fn send(&self, url: &Url, request: RequestBuilder, good: &[u16]) -> Result<Answer, Failure> {
        let again = request.try_clone();
        let refused = match self.send_with(url, request, good).await {
            Err(refused) => refused,
            answer => return answer,
        };
        let (Failure::Coded { code, .. }, Some(again)) = (&refused, again) else { return Err(refused) };
        match code.as_str() {
            // Nobody changes a client with scopes that their token lacks: this takes more than the verb by itself.
            BEYOND if !self.is_whole.get() => self.is_whole.set(true),
            // What is done takes longer than a token lives.
            EXPIRED => {}
            _ => return Err(refused),
        }
        let (needed, liked) = if self.is_whole.get() { ("", "") } else { (&*self.needed, &*self.liked) };
        let token = token::admin_token(&self.settings, Some(&self.token.file), needed, liked).await?;
        self.text.replace(token.text);
        self.send_with(url, again, good).await
    }

    async fn send_with(&self, url: &Url, request: RequestBuilder, good: &[u16]) -> Result<Answer, Failure> {
        let token = self.text.borrow().clone();
        let request = request.bearer_auth(token.expose());
        let answer = fetch::send_within(self.limit, url, request, MOST_ANSWER).await?;
        if good.contains(&answer.status) {
            return Ok(answer);
        }
        Err(refusal(&answer).unwrap_or_else(|| unusable(url, &answer)))
    }
}

impl Version {
    fn tag(self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Exactly(version) => format!("\"{version}\""),
        }
    }
}

fn with_body(request: RequestBuilder, body: &impl Serialize) -> Result<RequestBuilder, Failure> {
    let body = serde_json::to_vec(body).map_err(Failure::refused)?;
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

/// What a problem says ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with all that it says beside it.
fn refusal(answer: &Answer) -> Option<Failure> {
    let mut members: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
    let mut text = |name: &str| members.remove(name).and_then(|value| value.as_str().map(plain));
    let (code, mut message) = (text("code")?, text("detail")?);
    for (name, value) in members.iter().filter(|(name, _)| !["type", "title", "status"].contains(&name.as_str())) {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        message.push_str(&format!(", {} {}", plain(&name.replace('_', " ")), plain(&value)));
    }
    Some(match answer.status {
        500 if code == "server_error" => Failure::Damaged(format!("{message} ({code})")),
        429 | 500.. => Failure::Unavailable(format!("{message} ({code})")),
        _ => Failure::Coded { code, message },
    })
}

/// An answer that no admin API gives.
fn unusable(url: &Url, answer: &Answer) -> Failure {
    let told = format!("{} is no admin API: it answers with status {}", plain(url.as_str()), answer.status);
    if answer.status >= 500 { Failure::Unavailable(told) } else { Failure::Refused(told) }
}
