//! `signet token get`: client credentials over HTTP, as any client does it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::{Context, Failure};
use crate::app::{CREDENTIALS_FILE, Credentials};
use crate::cli::fetch::{self, Answer};
use crate::cli::input;
use crate::cli::output::plain;
use crate::clients::ScopeSet;
use crate::config::Settings;
use crate::secret::SecretText;

pub(super) const HELP: &str = "\
Examples:
  signet token get                                    as the admin of this installation
  signet token get --scope keys:read
  SIGNET_CLIENT_SECRET=… signet token get --client-id shop --resource https://orders.example
  signet token get --client-id shop --client-secret-file shop.secret --resource https://orders.example
  curl -H \"Authorization: Bearer $(signet token get)\" http://127.0.0.1:8081/…

Without --client-id the credentials are those of `admin-credentials.json` in `data_dir`, and the resource is
<issuer>/admin. A secret is never an argument: others on this machine could read it.";

const SECRET_VARIABLE: &str = "SIGNET_CLIENT_SECRET";
/// What may be wrong with a client that came from a credentials file.
const OF_THE_FILE: &str = " (`signet clients roll-secret --admin --write-credentials` makes a new one)";
const MOST_SECRET: usize = 4096;
const MOST_ANSWER: usize = 64 * 1024;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The service that the token is for.
    #[arg(long, value_name = "URI")]
    resource: Option<String>,
    /// A scope, or several separated by spaces; may be repeated (default: all that the client may get).
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The client; its secret comes from --client-secret-file or the environment variable SIGNET_CLIENT_SECRET.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The file that holds the client's secret; - for standard input.
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<String>,
    /// Send the secret in the form (client_secret_post) instead of the header (client_secret_basic).
    #[arg(long)]
    post: bool,
    /// Where tokens are to be had (default: the token endpoint of `issuer`).
    #[arg(long, value_name = "URL")]
    token_endpoint: Option<String>,
}

/// Who asks, where, and for what.
struct Request {
    id: String,
    secret: SecretText,
    endpoint: Url,
    resource: Option<String>,
    scope: String,
    in_form: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let settings = context.settings()?.settings;
    let hint = match (&arguments.client_id, arguments.post) {
        (None, _) => OF_THE_FILE,
        (Some(_), false) => ", or it is registered for client_secret_post (--post)",
        (Some(_), true) => ", or it is not registered for client_secret_post",
    };
    let (members, token) = Request::of(arguments, &settings)?.token(hint).await?;
    Ok(context.output.result(&members, |_| token.expose().to_owned())?)
}

/// A token for the admin API, and whose credentials it was got with.
pub(in crate::cli) struct AdminToken {
    pub(in crate::cli) text: SecretText,
    pub(in crate::cli) scope: ScopeSet,
    pub(in crate::cli) credentials: Credentials,
    /// Where they are kept.
    pub(in crate::cli) file: PathBuf,
}

/// A token for the admin API with the scopes `needed` and those of `liked` that are to be had, no more, as the client
/// whose credentials are in the file `named`, or in that of this installation; where both are empty, with all scopes that
/// it may get.
pub(in crate::cli) async fn admin_token(
    settings: &Settings,
    named: Option<&Path>,
    needed: &str,
    liked: &str,
) -> Result<AdminToken, Failure> {
    let file = named.map_or_else(|| settings.data_dir.join(CREDENTIALS_FILE), Path::to_owned);
    let found = credentials(&file)?;
    let had = |scope: &&str| found.scope.split(' ').any(|had| had == *scope);
    let wanted: Vec<&str> = needed.split(' ').chain(liked.split(' ').filter(had)).collect();
    let request = Request {
        id: found.client_id.clone(),
        secret: SecretText::new(found.client_secret.clone()),
        endpoint: endpoint(&found.token_endpoint, settings)?,
        resource: Some(found.audience.clone()),
        scope: wanted.join(" "),
        in_form: false,
    };
    let is_lacking = |failure: &Failure| matches!(failure, Failure::Coded { code, .. } if code == "invalid_scope");
    let got = match request.token(OF_THE_FILE).await {
        // The client lost since what its file says that it had.
        Err(failure) if is_lacking(&failure) && request.scope != needed => {
            Request { scope: needed.to_owned(), ..request }.token(OF_THE_FILE).await
        }
        got => got,
    };
    let (members, text) = got.map_err(|failure| match failure {
        Failure::Coded { code, message } if code == "invalid_scope" => {
            Failure::Coded { code, message: format!("{message}; this takes {needed}") }
        }
        other => other,
    })?;
    let scope = members.get("scope").and_then(Value::as_str).unwrap_or(needed);
    let scope = ScopeSet::parse(scope).map_err(Failure::refused)?;
    Ok(AdminToken { text, scope, credentials: found, file })
}

/// The address of a token endpoint, to which a secret may be sent.
fn endpoint(address: &str, settings: &Settings) -> Result<Url, Failure> {
    let refused = |why| Failure::Refused(format!("the token endpoint {}: {why}", plain(address)));
    let endpoint = fetch::parse(address).map_err(refused)?;
    if !fetch::is_private(&endpoint) && !settings.allow_insecure_issuer {
        return Err(Failure::Refused(format!(
            "{} is plain http, and the secret would cross the network readable: use https (or set \
             `allow_insecure_issuer`, where that network is trusted)",
            plain(endpoint.as_str())
        )));
    }
    Ok(endpoint)
}

impl Request {
    fn of(arguments: &Arguments, settings: &Settings) -> Result<Self, Failure> {
        let own = || settings.issuer.token_endpoint();
        let (id, secret, endpoint, audience) = match &arguments.client_id {
            Some(id) => (id.clone(), secret(arguments)?, own(), None),
            None => {
                let Credentials { client_id, client_secret, token_endpoint, audience, .. } =
                    credentials(&settings.data_dir.join(CREDENTIALS_FILE))?;
                (client_id, SecretText::new(client_secret), token_endpoint, Some(audience))
            }
        };
        Ok(Self {
            id,
            secret,
            endpoint: self::endpoint(arguments.token_endpoint.as_deref().unwrap_or(&endpoint), settings)?,
            resource: arguments.resource.clone().or(audience),
            scope: arguments.scopes.join(" "),
            in_form: arguments.post,
        })
    }

    /// The token with the whole answer. `hint` says what else may be wrong with the client.
    async fn token(&self, hint: &str) -> Result<(Map<String, Value>, SecretText), Failure> {
        let answer = self.send().await?;
        let unusable = || unusable(&self.endpoint, &answer);
        let members: Map<String, Value> = serde_json::from_slice(&answer.body).map_err(|_| unusable())?;
        if answer.status != 200 {
            return Err(refusal(&members, &answer, hint).unwrap_or_else(unusable));
        }
        let token = members.get("access_token").and_then(Value::as_str).ok_or_else(unusable)?;
        let token = SecretText::new(token.to_owned());
        Ok((members, token))
    }

    /// [RFC 6749 §4.4.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.4.2), authenticated as in
    /// [§2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1).
    async fn send(&self) -> Result<Answer, Failure> {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.resource.as_deref().map(|resource| ("resource", resource)));
        if !self.scope.is_empty() {
            form.push(("scope", &self.scope));
        }
        let mut request = fetch::client(&self.endpoint)?.post(self.endpoint.clone()).header(ACCEPT, "application/json");
        if self.in_form {
            form.extend([("client_id", self.id.as_str()), ("client_secret", self.secret.expose())]);
        } else {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = SecretText::new(format!("{}:{}", encoded(&self.id), encoded(self.secret.expose())));
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair.expose())));
        }
        fetch::send(&self.endpoint, request.form(&form), MOST_ANSWER).await
    }
}

/// The secret of a client that was named.
fn secret(arguments: &Arguments) -> Result<SecretText, Failure> {
    let text = match &arguments.client_secret_file {
        Some(file) => input::text(file, MOST_SECRET)?,
        None => std::env::var(SECRET_VARIABLE).map_err(|_| {
            Failure::Refused(format!(
                "the client's secret is missing: name --client-secret-file, or set {SECRET_VARIABLE}"
            ))
        })?,
    };
    let secret = SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.expose().is_empty() {
        return Err(Failure::Refused("the client's secret is empty".to_owned()));
    }
    Ok(secret)
}

/// The credentials of the first admin client.
fn credentials(path: &Path) -> Result<Credentials, Failure> {
    let shown = path.display();
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failure::Refused(format!(
                "there are no admin credentials at {shown}: name --client-id, or make new ones with \
                 `signet clients roll-secret --admin --write-credentials`"
            )));
        }
        _ => {}
    }
    let open = input::is_open_to_others(path).unwrap_or(false);
    if open {
        return Err(Failure::Refused(format!(
            "other users can read {shown}: set its mode to 0600, and roll the secret if they are not trusted"
        )));
    }
    input::json(&path.to_string_lossy(), MOST_ANSWER)
}

/// An error of an OAuth endpoint ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
#[derive(Deserialize)]
struct OAuthError {
    error: String,
    #[serde(default)]
    error_description: String,
}

fn refusal(members: &Map<String, Value>, answer: &Answer, hint: &str) -> Option<Failure> {
    let told = OAuthError::deserialize(members).ok()?;
    let description = match plain(&told.error_description) {
        text if text.is_empty() => "the issuer refuses".to_owned(),
        text => text,
    };
    let message = match told.error.as_str() {
        "invalid_client" => format!("{description}: the client is unknown or disabled, or its secret is wrong{hint}"),
        _ => description,
    };
    if answer.status >= 500 || answer.status == 429 {
        return Some(Failure::Unavailable(format!("{message} ({})", plain(&told.error))));
    }
    Some(Failure::Coded { code: plain(&told.error), message })
}

/// An answer that no token endpoint gives.
fn unusable(endpoint: &Url, answer: &Answer) -> Failure {
    let told = format!("{} is no token endpoint: it answers with status {}", plain(endpoint.as_str()), answer.status);
    if answer.status >= 500 { Failure::Unavailable(told) } else { Failure::Refused(told) }
}
