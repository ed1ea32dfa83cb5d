//! `signet clients create`.

use clap::Args;

use super::{Context, Failure, MOST_METADATA, Registry, input, plain};
use crate::cli::output::fields;
use crate::cli::why::How;
use crate::clients::{ClientMetadata, ClientView};

pub(super) const HELP: &str = "\
Examples:
  signet clients create --name Shop --access 'https://orders.example=orders:read orders:write'
  signet clients create --id orders --serves https://orders.example
  signet clients create --name Batch --auth-method private_key_jwt --jwks batch.jwks.json \\
      --access https://orders.example=orders:read
  signet clients create --id web --auth-method none --first-party --web-origin https://app.example \
      --access https://orders.example=orders:read
  signet clients create --metadata client.json
  signet clients create --id till --url http://127.0.0.1:8081 --reason 'the new shop'

The metadata is that of RFC 7591 §2, with members of Signet's own: `access` (resource to scopes), `serves`, and for the
sign-in of people `first_party`, `web_origins` and `rotate_refresh_tokens`:
  {\"client_name\": \"Shop\", \"access\": {\"https://orders.example\": \"orders:read\"}}
A secret is 256 bits of randomness; Signet keeps only its digest.";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The identifier: 1 to 64 of A-Z a-z 0-9 - . _ ~ (default: a new random one).
    #[arg(long)]
    pub(super) id: Option<String>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// What it may get: a resource, =, and scopes separated by spaces; may be repeated.
    #[arg(long, value_name = "URI=SCOPES", value_parser = access)]
    access: Vec<(String, String)>,
    /// A resource whose service it is: it may introspect that one's tokens; may be repeated.
    #[arg(long, value_name = "URI")]
    serves: Vec<String>,
    /// client_secret_basic (the default), client_secret_post, private_key_jwt, or none for a public client.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// With private_key_jwt: its public keys as a JWKS; - for standard input.
    #[arg(long, value_name = "FILE")]
    jwks: Option<String>,
    /// With private_key_jwt: the only algorithm that its assertions may use.
    #[arg(long, value_name = "ALGORITHM")]
    signing_alg: Option<String>,
    /// A grant that it may use (default: client_credentials); may be repeated.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// It is your own, and people give it their passwords: it may use /auth.
    #[arg(long)]
    first_party: bool,
    /// With --first-party: the origin of a page that may use /auth for it, as browsers send it; may be repeated.
    #[arg(long = "web-origin", value_name = "ORIGIN")]
    web_origins: Vec<String>,
    /// Whether its refresh tokens are replaced when they are used (default: those of public clients only).
    #[arg(long, value_name = "BOOL")]
    rotate_refresh_tokens: Option<bool>,
    /// Take all of this from a JSON document instead; - for standard input.
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["name", "access", "serves", "auth_method", "jwks", "signing_alg", "grants", "first_party", "web_origins",
            "rotate_refresh_tokens"])]
    metadata: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

/// Splits at the last `=`: identifiers may have one in their query, scopes hardly ever.
pub(super) fn access(text: &str) -> Result<(String, String), String> {
    let malformed = || "write a resource and its scopes, such as 'https://orders.example=orders:read'".to_owned();
    let (resource, scopes) = text.rsplit_once('=').ok_or_else(malformed)?;
    if resource.is_empty() { Err(malformed()) } else { Ok((resource.to_owned(), scopes.to_owned())) }
}

impl Arguments {
    /// What describes the client, from the options or the document.
    pub(super) fn metadata(&self) -> Result<ClientMetadata, Failure> {
        if let Some(file) = &self.metadata {
            return input::json(file, MOST_METADATA);
        }
        let mut metadata = ClientMetadata {
            client_name: self.name.clone().unwrap_or_default(),
            token_endpoint_auth_method: self.auth_method.clone(),
            token_endpoint_auth_signing_alg: self.signing_alg.clone(),
            grant_types: (!self.grants.is_empty()).then(|| self.grants.clone()),
            jwks: self.jwks.as_deref().map(|file| input::json(file, MOST_METADATA)).transpose()?,
            serves: self.serves.clone(),
            first_party: self.first_party,
            web_origins: self.web_origins.clone(),
            rotate_refresh_tokens: self.rotate_refresh_tokens,
            ..ClientMetadata::default()
        };
        for (resource, scopes) in &self.access {
            if metadata.access.insert(resource.clone(), scopes.clone()).is_some() {
                return Err(Failure::Refused(format!(
                    "--access names {} twice: put its scopes together",
                    plain(resource)
                )));
            }
        }
        Ok(metadata)
    }
}

pub(super) async fn run(
    context: &Context,
    registry: &dyn Registry,
    id: Option<&str>,
    metadata: &ClientMetadata,
) -> Result<(), Failure> {
    let Some(registered) = registry.register(id, metadata).await? else {
        return Err(Failure::Refused(format!(
            "the client `{}` exists already: `signet clients update` changes it, `clients roll-secret` gives it a new secret",
            plain(id.unwrap_or_default())
        )));
    };
    context.output.result(&registered, |registered| match &registered.client_secret {
        Some(secret) => {
            let rows = [("client_id", plain(&registered.client.client_id)), ("client_secret", plain(secret))];
            format!("The client is registered. This is the only time that its secret is shown:\n\n{}", fields(&rows))
        }
        None => format!("The client is registered.\n\n{}", registered.client.text()),
    })?;
    note_idle_scopes(context, registry, &registered.client).await;
    Ok(())
}

/// Tells of scopes that a client may get and no resource offers: they do nothing, which is often a slip. What was done
/// before stays done when that can't be found out.
pub(super) async fn note_idle_scopes(context: &Context, registry: &dyn Registry, client: &ClientView) {
    if client.metadata.access.is_empty() || !registry.may("resources:read") {
        return;
    }
    let Ok(resources) = registry.resources().await else { return };
    for (uri, wanted) in &client.metadata.access {
        let offered = resources.iter().find(|resource| resource.resource == *uri).map(|resource| &resource.scopes);
        let is_idle = |scope: &&str| !offered.is_some_and(|all| all.iter().any(|other| other == scope));
        let idle: Vec<_> = wanted.split(' ').filter(|scope| !scope.is_empty()).filter(is_idle).collect();
        if !idle.is_empty() {
            context.output.note(&format!(
                "{} offers no {}: the client gets that only once it does",
                plain(uri),
                plain(&idle.join(" and no "))
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_split_at_its_last_equals_sign() {
        let pair = |one: &str, other: &str| Ok((one.to_owned(), other.to_owned()));
        assert_eq!(access("https://a.example=a b"), pair("https://a.example", "a b"));
        assert_eq!(access("https://a.example?t=1=a"), pair("https://a.example?t=1", "a"));
        assert_eq!(access("https://a.example="), pair("https://a.example", ""));
        assert!(access("https://a.example").is_err());
        assert!(access("=a").is_err());
    }
}
