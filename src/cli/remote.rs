//! The admin API, for verbs that are told `--url`: they act as a client, with a token of as few scopes as the verb needs.
//!
//! Guarantees: neither a secret nor a token crosses a network readable; what the server says reaches a terminal as plain
//! text.

use std::path::PathBuf;

use clap::Args;
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::fetch::{self, Answer};
use super::output::plain;
use super::{Context, Failure, token};
use crate::secret::SecretText;

/// Far above any page of the API, in bytes.
const MOST_ANSWER: usize = 8 * 1024 * 1024;
const MOST_ITEMS: usize = 200;

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
    token: SecretText,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl Through {
    /// The API with a token for `scope`, where one is to be asked.
    pub(super) async fn api(&self, context: &Context, scope: &str) -> Result<Option<Api>, Failure> {
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
        let token = token::admin_token(&settings, self.credentials.as_deref(), scope).await?;
        Ok(Some(Api { base, token }))
    }
}

impl Api {
    /// All of a list, or its first `most` items.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<T>, Failure> {
        let (mut items, mut cursor): (Vec<T>, Option<String>) = (Vec::new(), None);
        loop {
            let size = (most - items.len()).min(MOST_ITEMS).to_string();
            let mut query = filters.to_vec();
            query.push(("page_size", &size));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= most {
                return Ok(items);
            }
        }
    }

    /// What is at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(&url, fetch::client(&url)?.get(url.clone())).await
    }

    /// What comes of sending `body` to `path`.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let url = self.url(path)?;
        let body = serde_json::to_vec(body).map_err(Failure::refused)?;
        let request = fetch::client(&url)?.post(url.clone()).header(CONTENT_TYPE, "application/json");
        self.send(&url, request.body(body)).await
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let address = format!("{}/{path}", self.base);
        Url::parse(&address).map_err(|_| Failure::Refused(format!("{} is no address", plain(&address))))
    }

    async fn send<T: DeserializeOwned>(&self, url: &Url, request: RequestBuilder) -> Result<T, Failure> {
        let request = request.header(ACCEPT, "application/json").bearer_auth(self.token.expose());
        let answer = fetch::send(url, request, MOST_ANSWER).await?;
        if !matches!(answer.status, 200 | 201) {
            return Err(refusal(&answer).unwrap_or_else(|| unusable(url, &answer)));
        }
        serde_json::from_slice(&answer.body).map_err(|_| unusable(url, &answer))
    }
}

/// What a problem says ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with all that it says beside it.
fn refusal(answer: &Answer) -> Option<Failure> {
    let mut members: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
    let mut text = |name: &str| members.remove(name).and_then(|value| value.as_str().map(plain));
    let (code, mut message) = (text("code")?, text("detail")?);
    for (name, value) in members.iter().filter(|(name, _)| !["type", "title", "status"].contains(&name.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        message.push_str(&format!(", {} {}", plain(&name.replace('_', " ")), plain(&value)));
    }
    Some(match answer.status {
        429 | 500.. => Failure::Unavailable(format!("{message} ({code})")),
        _ => Failure::Coded { code, message },
    })
}

/// An answer that no admin API gives.
fn unusable(url: &Url, answer: &Answer) -> Failure {
    let told = format!("{} is no admin API: it answers with status {}", plain(url.as_str()), answer.status);
    if answer.status >= 500 { Failure::Unavailable(told) } else { Failure::Refused(told) }
}
