//! `signet resources create|list|show|update|delete`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use signet_verify::Algorithm;

use super::keys::algorithm;
use super::output::{fields, plain, table};
use super::registry::{self, Change, Registry, Scopes};
use super::remote::Through;
use super::why::How;
use super::{Context, Failure, input, span};
use crate::clients::{ClientView, ResourceError, ResourceMetadata, ResourceView};

const LIST: Scopes = Scopes { needed: "resources:read", liked: "" };
const CREATE: Scopes = Scopes { needed: "resources:write", liked: "" };
const UPDATE: Scopes = Scopes { needed: "resources:read resources:write", liked: "" };
/// Which clients name a resource is for those to know who may read clients.
const SHOW: Scopes = Scopes { needed: "resources:read", liked: "clients:read" };
const DELETE: Scopes = Scopes { needed: "resources:read resources:write", liked: "clients:read" };

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Register a service that tokens are for.
    #[command(after_help = "\
Examples:
  signet resources create https://orders.example --name Orders --scope 'orders:read orders:write'
  signet resources create urn:example:reports --scope reports:read --lifetime 10m --algorithm RS256
  signet resources create https://bills.example --scope bills:read --claim roles --claim attributes.department
  signet resources create urn:example:till --scope till:read --url http://127.0.0.1:8081

The identifier is what tokens bear as `aud`, compared letter by letter: choose the address that the service has for
good. Clients get tokens for it once `signet clients` names it in their access.")]
    Create {
        /// The identifier: an absolute URI without fragment.
        uri: String,
        #[command(flatten)]
        description: Description,
        #[command(flatten)]
        how: How,
    },
    /// List the resources.
    #[command(after_help = "\
Examples:
  signet resources list
  signet resources list --json
  signet resources list --url http://127.0.0.1:8081")]
    List {
        #[command(flatten)]
        through: Through,
    },
    /// Show one resource, and the clients that name it.
    #[command(after_help = "\
Examples:
  signet resources show https://orders.example
  signet resources show https://orders.example --url http://127.0.0.1:8081")]
    Show {
        /// The identifier.
        uri: String,
        #[command(flatten)]
        through: Through,
    },
    /// Change a resource. What is not named stays.
    #[command(after_help = "\
Examples:
  signet resources update https://orders.example --scope 'orders:read orders:write orders:refund'
  signet resources update https://orders.example --default-lifetime
  signet resources update https://orders.example --claim 'roles email'
  signet resources update https://orders.example --lifetime 10m --url https://signet-admin.example

A client keeps its right to a scope that goes, but it gets the scope no more. Tokens already issued are not changed.")]
    Update {
        /// The identifier.
        uri: String,
        #[command(flatten)]
        description: Description,
        /// Take the issuer's default lifetime again.
        #[arg(long, conflicts_with = "lifetime")]
        default_lifetime: bool,
        /// Take the issuer's default algorithm again.
        #[arg(long, conflicts_with = "algorithm")]
        default_algorithm: bool,
        /// Tell nothing of people any more.
        #[arg(long, conflicts_with = "claims")]
        no_claims: bool,
        #[command(flatten)]
        how: How,
    },
    /// Delete a resource that no client names any more.
    #[command(after_help = "\
Examples:
  signet resources delete https://orders.example --yes
  signet resources delete https://orders.example --yes --url https://signet-admin.example")]
    Delete {
        /// The identifier.
        uri: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

/// What can be said of a resource.
#[derive(Args, Default)]
pub(super) struct Description {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// A scope, or several separated by spaces; may be repeated. Together they replace those before.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long its tokens live, such as 10m; at most `tokens.max_access_lifetime`.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    lifetime: Option<Duration>,
    /// How its tokens are signed: one of `keys.algorithms`.
    #[arg(long, value_parser = algorithm)]
    algorithm: Option<Algorithm>,
    /// What its tokens tell of people: roles, username, email or attributes.NAME, several separated by spaces; may be
    /// repeated. Together they replace those before.
    #[arg(long = "claim", value_name = "CLAIM")]
    claims: Vec<String>,
}

impl Description {
    fn check(&self) -> Result<(), Failure> {
        if self.lifetime.is_some_and(|lifetime| lifetime.subsec_nanos() != 0) {
            return Err(Failure::Refused("a token lifetime is of whole seconds".to_owned()));
        }
        Ok(())
    }

    /// Changes what it names of `metadata`.
    fn apply(&self, metadata: &mut ResourceMetadata) {
        if let Some(name) = &self.name {
            name.clone_into(&mut metadata.name);
        }
        if !self.scopes.is_empty() {
            metadata.scopes = self.scopes.iter().flat_map(|scopes| scopes.split(' ')).map(str::to_owned).collect();
        }
        metadata.token_lifetime = self.lifetime.map(|lifetime| lifetime.as_secs()).or(metadata.token_lifetime);
        if let Some(algorithm) = self.algorithm {
            metadata.algorithm = Some(algorithm.name().to_owned());
        }
        if !self.claims.is_empty() {
            metadata.claims = self.claims.iter().flat_map(|claims| claims.split(' ')).map(str::to_owned).collect();
        }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { through } => context.reading(&through, LIST, async |at| list(context, at).await).await,
        Verb::Show { uri, through } => context.reading(&through, SHOW, async |at| show(context, at, &uri).await).await,
        Verb::Create { uri, description, how } => {
            description.check()?;
            let mut metadata = ResourceMetadata::default();
            description.apply(&mut metadata);
            context.changing(&how, CREATE, async |at| create(context, at, &uri, &metadata).await).await
        }
        Verb::Update { uri, description, default_lifetime, default_algorithm, no_claims, how } => {
            description.check()?;
            let change = |metadata: &mut ResourceMetadata| {
                if default_lifetime {
                    metadata.token_lifetime = None;
                }
                if default_algorithm {
                    metadata.algorithm = None;
                }
                if no_claims {
                    metadata.claims.clear();
                }
                description.apply(metadata);
            };
            context.changing(&how, UPDATE, async |at| update(context, at, &uri, &change).await).await
        }
        Verb::Delete { uri, yes, how } => {
            context.changing(&how, DELETE, async |at| delete(context, at, &uri, yes).await).await
        }
    }
}

async fn find(registry: &dyn Registry, uri: &str) -> Result<ResourceView, Failure> {
    let resources = registry.resources().await?;
    // By what it is called, not by what may be registered: so that a slip gets a suggestion.
    let hint = registry::suggestion(uri, resources.iter().map(|resource| resource.resource.as_str()));
    resources
        .into_iter()
        .find(|resource| resource.resource == uri)
        .ok_or_else(|| Failure::Refused(format!("there is no resource `{}`{hint}", plain(uri))))
}

/// The identifiers of the clients that name the resource, as far as they can be read; `None` where none may be.
async fn clients_naming(registry: &dyn Registry, uri: &str) -> Result<Option<Vec<String>>, Failure> {
    if !registry.may("clients:read") {
        return Ok(None);
    }
    let clients = registry.clients().await?.readable;
    let names = |ClientView { metadata, .. }: &&ClientView| {
        metadata.access.contains_key(uri) || metadata.serves.iter().any(|served| served == uri)
    };
    Ok(Some(clients.iter().filter(names).map(|client| client.client_id.clone()).collect()))
}

async fn create(
    context: &Context,
    registry: &dyn Registry,
    uri: &str,
    metadata: &ResourceMetadata,
) -> Result<(), Failure> {
    let Some(view) = registry.create_resource(uri, metadata).await? else {
        return Err(Failure::Refused(format!(
            "the resource `{}` exists already: `signet resources update` changes it",
            plain(uri)
        )));
    };
    context.output.result(&view, |view| format!("The resource is registered.\n\n{}", view.text()))?;
    if view.scopes.is_empty() {
        context
            .output
            .note("it offers no scopes yet: tokens for it will bear none (`signet resources update --scope`)");
    }
    Ok(())
}

async fn list(context: &Context, registry: &dyn Registry) -> Result<(), Failure> {
    let views = registry.resources().await?;
    context.output.result(&json!({ "resources": views }), |_| {
        let row = |view: &ResourceView| {
            [plain(&view.resource), plain(&view.name), view.lifetime(), view.algorithm(), view.scopes.join(" ")]
        };
        let rows: Vec<_> = views.iter().map(row).collect();
        let mut text = table(["RESOURCE", "NAME", "LIFETIME", "ALGORITHM", "SCOPES"], &rows);
        if rows.len() == 1 {
            text.push_str(
                "\nOnly the reserved one so far: `signet resources create URI --scope …` registers a service.\n",
            );
        }
        text
    })?;
    Ok(())
}

async fn show(context: &Context, registry: &dyn Registry, uri: &str) -> Result<(), Failure> {
    let view = find(registry, uri).await?;
    let named_by = clients_naming(registry, uri).await?;
    let mut result = json!(view);
    if let Some(clients) = &named_by {
        result["clients"] = json!(clients);
    }
    context.output.result(&result, |_| {
        let clients = match named_by {
            None => "not for this token to know, which lacks clients:read".to_owned(),
            Some(clients) if clients.is_empty() => "none".to_owned(),
            Some(clients) => clients.join(", "),
        };
        let times = [
            ("clients", clients),
            ("created", if view.reserved { "with the installation".to_owned() } else { view.created_at.clone() }),
            ("updated", if view.reserved { "never".to_owned() } else { view.updated_at.clone() }),
        ];
        fields(&[view.rows(), times.to_vec()].concat())
    })?;
    Ok(())
}

async fn update(context: &Context, registry: &dyn Registry, uri: &str, change: &Change<'_>) -> Result<(), Failure> {
    let seen = find(registry, uri).await?;
    let outcome = registry.change_resource(&seen, change).await?;
    if !outcome.changed {
        return Err(Failure::Refused("nothing is to be changed: say what, such as --scope or --lifetime".to_owned()));
    }
    context.output.result(&outcome.now, |view| format!("The resource is changed.\n\n{}", view.text()))?;
    Ok(())
}

async fn delete(context: &Context, registry: &dyn Registry, uri: &str, yes: bool) -> Result<(), Failure> {
    if find(registry, uri).await?.reserved {
        return Err(Failure::refused(ResourceError::Reserved));
    }
    if let Some(clients) = clients_naming(registry, uri).await?.filter(|clients| !clients.is_empty()) {
        return Err(registry::in_use(&clients));
    }
    input::confirm(yes, &format!("Delete the resource {}?", plain(uri)))?;
    registry.delete_resource(uri).await?;
    let result = json!({ "resource": uri, "deleted": true });
    Ok(context.output.result(&result, |_| format!("The resource {} is deleted.", plain(uri)))?)
}

impl ResourceView {
    fn lifetime(&self) -> String {
        self.token_lifetime.map_or_else(|| "default".to_owned(), |seconds| span::write(Duration::from_secs(seconds)))
    }

    fn algorithm(&self) -> String {
        self.algorithm.map_or_else(|| "default".to_owned(), |algorithm| algorithm.name().to_owned())
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let reserved = if self.reserved { " (reserved)" } else { "" };
        vec![
            ("resource", format!("{}{reserved}", plain(&self.resource))),
            ("name", plain(&self.name)),
            ("scopes", self.scopes.join(" ")),
            ("lifetime", self.lifetime()),
            ("algorithm", self.algorithm()),
            ("claims", self.claims.join(" ")),
        ]
    }

    fn text(&self) -> String {
        fields(&self.rows())
    }
}
