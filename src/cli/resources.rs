//! `signet resources create|list|show|update|delete`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use signet_verify::Algorithm;

use super::keys::algorithm;
use super::output::{fields, plain, table};
use super::{Context, Failure, Installation, input, registry, span};
use crate::clients::{
    AdministrationError, Request, Resource, ResourceError, ResourceId, ResourceMetadata, ResourceView, ScopeSet,
};
use crate::config::Settings;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Register a service that tokens are for.
    #[command(after_help = "\
Examples:
  signet resources create https://orders.example --name Orders --scope 'orders:read orders:write'
  signet resources create urn:example:reports --scope reports:read --lifetime 10m --algorithm RS256

The identifier is what tokens bear as `aud`, compared letter by letter: choose the address that the service has for
good. Clients get tokens for it once `signet clients` names it in their access.")]
    Create {
        /// The identifier: an absolute URI without fragment.
        uri: String,
        #[command(flatten)]
        description: Description,
    },
    /// List the resources.
    #[command(after_help = "Examples:\n  signet resources list\n  signet resources list --json")]
    List,
    /// Show one resource, and the clients that name it.
    #[command(after_help = "Examples:\n  signet resources show https://orders.example")]
    Show {
        /// The identifier.
        uri: String,
    },
    /// Change a resource. What is not named stays.
    #[command(after_help = "\
Examples:
  signet resources update https://orders.example --scope 'orders:read orders:write orders:refund'
  signet resources update https://orders.example --default-lifetime

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
    },
    /// Delete a resource that no client names any more.
    #[command(after_help = "Examples:\n  signet resources delete https://orders.example --yes")]
    Delete {
        /// The identifier.
        uri: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
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
}

impl Description {
    /// Of a new resource.
    fn metadata(&self) -> Result<ResourceMetadata, Failure> {
        if self.lifetime.is_some_and(|lifetime| lifetime.subsec_nanos() != 0) {
            return Err(Failure::Refused("a token lifetime is of whole seconds".to_owned()));
        }
        Ok(ResourceMetadata {
            name: self.name.clone().unwrap_or_default(),
            scopes: self.scopes.iter().flat_map(|scopes| scopes.split(' ')).map(str::to_owned).collect(),
            token_lifetime: self.lifetime.map(|lifetime| lifetime.as_secs()),
            algorithm: self.algorithm.map(|algorithm| algorithm.name().to_owned()),
        })
    }

    /// Changes what it names of `resource`.
    fn apply(&self, resource: &mut Resource) -> Result<(), ResourceError> {
        if let Some(name) = &self.name {
            name.clone_into(&mut resource.name);
        }
        if !self.scopes.is_empty() {
            resource.scopes = ScopeSet::parse(&self.scopes.join(" ")).map_err(ResourceError::Scopes)?;
        }
        resource.token_lifetime = self.lifetime.or(resource.token_lifetime);
        resource.algorithm = self.algorithm.or(resource.algorithm);
        Ok(())
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => context.with_store(async |at| list(context, at).await).await,
        Verb::Show { uri } => context.with_store(async |at| show(context, at, &uri).await).await,
        Verb::Create { uri, description } => {
            context.changing_store(async |at| create(context, at, &uri, &description).await).await
        }
        Verb::Update { uri, description, default_lifetime, default_algorithm } => {
            let change = |resource: &mut Resource| {
                if default_lifetime {
                    resource.token_lifetime = None;
                }
                if default_algorithm {
                    resource.algorithm = None;
                }
                description.apply(resource)
            };
            context.changing_store(async |at| update(context, at, &uri, change).await).await
        }
        Verb::Delete { uri, yes } => context.changing_store(async |at| delete(context, at, &uri, yes).await).await,
    }
}

fn parse(uri: &str, settings: &Settings) -> Result<ResourceId, Failure> {
    ResourceId::parse(uri, &settings.issuer).map_err(Failure::refused)
}

async fn find(installation: &Installation, uri: &str) -> Result<Resource, Failure> {
    let issuer = &installation.settings.issuer;
    let resources = registry::resources(installation).await?;
    let known: Vec<String> = resources.iter().map(|resource| resource.id.audience(issuer).into_owned()).collect();
    // By what it is called, not by what may be registered: so that a slip gets a suggestion.
    let place = known.iter().position(|identifier| identifier == uri);
    place.and_then(|place| resources.into_iter().nth(place)).ok_or_else(|| {
        let hint = registry::suggestion(uri, known.iter().map(String::as_str));
        Failure::Refused(format!("there is no resource `{}`{hint}", plain(uri)))
    })
}

async fn create(
    context: &Context,
    installation: &Installation,
    uri: &str,
    description: &Description,
) -> Result<(), Failure> {
    let settings = &installation.settings;
    let id = parse(uri, settings)?;
    let metadata = description.metadata()?;
    let creating =
        async |request: Request<'_>| installation.administration.create_resource(request, id.clone(), &metadata).await;
    let resource = match context.requesting(creating).await {
        Err(AdministrationError::Exists) => {
            return Err(Failure::Refused(format!(
                "the resource `{}` exists already: `signet resources update` changes it",
                plain(uri)
            )));
        }
        created => created?,
    };
    let view = ResourceView::of(&resource, &settings.issuer);
    context.output.result(&view, |view| format!("The resource is registered.\n\n{}", view.text()))?;
    if resource.scopes.is_empty() {
        context
            .output
            .note("it offers no scopes yet: tokens for it will bear none (`signet resources update --scope`)");
    }
    Ok(())
}

async fn list(context: &Context, installation: &Installation) -> Result<(), Failure> {
    let resources = registry::resources(installation).await?;
    let views: Vec<_> =
        resources.iter().map(|resource| ResourceView::of(resource, &installation.settings.issuer)).collect();
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

async fn show(context: &Context, installation: &Installation, uri: &str) -> Result<(), Failure> {
    let resource = find(installation, uri).await?;
    let named_by = registry::clients_naming(installation, &resource.id).await?;
    let view = ResourceView::of(&resource, &installation.settings.issuer);
    let mut result = json!(view);
    result["clients"] = json!(named_by);
    context.output.result(&result, |_| {
        let clients = if named_by.is_empty() { "none".to_owned() } else { named_by.join(", ") };
        let times = [
            ("clients", clients),
            ("created", if view.reserved { "with the installation".to_owned() } else { view.created_at.clone() }),
            ("updated", if view.reserved { "never".to_owned() } else { view.updated_at.clone() }),
        ];
        fields(&[view.rows(), times.to_vec()].concat())
    })?;
    Ok(())
}

async fn update(
    context: &Context,
    installation: &Installation,
    uri: &str,
    change: impl Fn(&mut Resource) -> Result<(), ResourceError>,
) -> Result<(), Failure> {
    let before = find(installation, uri).await?;
    let changing =
        async |request: Request<'_>| installation.administration.change_resource(request, &before.id, &change).await;
    let resource = context.requesting(changing).await?;
    if resource == before {
        return Err(Failure::Refused("nothing is to be changed: say what, such as --scope or --lifetime".to_owned()));
    }
    let view = ResourceView::of(&resource, &installation.settings.issuer);
    context.output.result(&view, |view| format!("The resource is changed.\n\n{}", view.text()))?;
    Ok(())
}

async fn delete(context: &Context, installation: &Installation, uri: &str, yes: bool) -> Result<(), Failure> {
    let resource = find(installation, uri).await?;
    check_not_reserved(&resource)?;
    let in_use = |clients: &[String]| {
        Failure::Refused(format!(
            "the resource is named by {}: take it out of their access first (`signet clients update`)",
            clients.join(", ")
        ))
    };
    let named_by = registry::clients_naming(installation, &resource.id).await?;
    if !named_by.is_empty() {
        return Err(in_use(&named_by));
    }
    input::confirm(yes, &format!("Delete the resource {}?", plain(uri)))?;
    let deleting =
        async |request: Request<'_>| installation.administration.delete_resource(request, &resource.id).await;
    match context.requesting(deleting).await {
        // Deleted by someone else meanwhile: it is gone as was asked.
        Ok(()) | Err(AdministrationError::Absent) => {}
        Err(AdministrationError::InUse(clients)) => return Err(in_use(&clients)),
        Err(other) => return Err(other.into()),
    }
    let result = json!({ "resource": uri, "deleted": true });
    Ok(context.output.result(&result, |_| format!("The resource {} is deleted.", plain(uri)))?)
}

fn check_not_reserved(resource: &Resource) -> Result<(), Failure> {
    if resource.id.is_admin() {
        return Err(Failure::refused(crate::clients::ResourceError::Reserved));
    }
    Ok(())
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
        ]
    }

    fn text(&self) -> String {
        fields(&self.rows())
    }
}
