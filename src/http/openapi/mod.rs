//! The described API: `GET /openapi.json` ([OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html)), and a page of it.
//!
//! Guarantees: what is described is the table of routes, each row once: a route that nobody described does not compile;
//! the bodies are described by the very types that are read and written; the page fetches nothing and runs nothing.

mod credentials;
mod operations;
mod page;
mod schemas;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use serde_json::{Map, Value, json};

use self::operations::{Body, Described, Parameter};
use super::answer::{Answer, Caching};
use super::table::{Access, Listener, Route, table};
use crate::issuer::Issuer;

pub use credentials::Credential;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// For how long anyone may keep the description: it changes with the program.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The description and its page, rendered once.
#[derive(Debug, Clone)]
pub struct Description {
    json: Bytes,
    html: Bytes,
    /// What the page may do: show itself, with its one style sheet.
    policy: HeaderValue,
}

impl Description {
    /// Describes the routes of `issuer`, whose admin listener is bound to `admin`.
    pub fn new(issuer: &Issuer, admin: &str) -> Self {
        let document = document(issuer, admin);
        let policy =
            HeaderValue::try_from(page::policy()).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { html: page::render(&document).into(), json: document.to_string().into(), policy }
    }

    /// `GET /openapi.json`.
    pub(super) fn json(&self) -> Answer {
        Answer { caching: Caching::Public(KEPT), open_to_all: true, ..Answer::json(self.json.clone()) }
    }

    /// `GET /docs`.
    pub(super) fn html(&self) -> Answer {
        const POLICY: HeaderName = header::CONTENT_SECURITY_POLICY;
        let page = Answer { content_type: HTML, ..self.json() };
        Answer { body: self.html.clone(), ..page }
            .with(POLICY, self.policy.clone())
            .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
            .with(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
    }
}

/// The whole document.
fn document(issuer: &Issuer, admin: &str) -> Value {
    let mut paths = Map::new();
    for route in table(issuer) {
        let item = paths.entry(route.path.clone()).or_insert_with(|| path_item(&route, issuer, admin));
        item[route.method.to_ascii_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Signet",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "An issuer of signed tokens that any service verifies without calling back.",
            "description": "The public listener is for applications and verifiers, the admin listener for operators. \
                Errors of the token endpoint are OAuth's (RFC 6749 §5.2), all others are problem details (RFC 9457) with \
                a stable `code`. Every answer has an `X-Request-Id`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": issuer.origin(), "description": "the public listener" }],
        "tags": operations::TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "paths": paths,
        "components": { "schemas": schemas::all(), "securitySchemes": security_schemes(issuer) },
    })
}

fn path_item(route: &Route, issuer: &Issuer, admin: &str) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
                    "description": operations::path_parameter(name) })
        })
        .collect();
    let mut item = json!({});
    if !parameters.is_empty() {
        item["parameters"] = parameters.into();
    }
    if route.listener == Listener::Admin {
        let scheme = issuer.origin().split(':').next().unwrap_or("http");
        let default = if scheme == "https" { format!("https://{admin}") } else { format!("http://{admin}") };
        item["servers"] = json!([{ "url": default, "description": "the admin listener" }]);
    }
    item
}

fn operation(route: &Route) -> Value {
    let described: Described = operations::of(route.endpoint);
    let mut operation = json!({
        "operationId": described.id,
        "tags": [described.tag],
        "summary": described.summary,
        "description": described.description,
        "responses": responses(route, &described),
    });
    let mut parameters: Vec<Value> = described.query.iter().map(Parameter::to_json).collect();
    if described.if_match {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true,
            "schema": { "type": "string", "pattern": r#"^(\*|"[0-9]{1,18}")$"# },
            "description": "The `ETag` of what you saw: the change is refused with 412 when someone changed it since.",
        }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(Body { content_type, schema, required }) = described.body {
        operation["requestBody"] = json!({
            "required": required,
            "content": { content_type: { "schema": schemas::reference(schema) } },
        });
    }
    match route.access {
        Access::Anyone => operation["security"] = json!([]),
        Access::Client => {
            operation["security"] = json!([{ "client_secret_basic": [] }]);
        }
        Access::Person => operation["security"] = operations::presented_by_people(route.endpoint),
        Access::Scope(scope) => {
            operation["security"] = json!([{ "admin_token": [scope] }]);
            operation["x-required-scope"] = scope.into();
        }
    }
    operation
}

fn responses(route: &Route, described: &Described) -> Value {
    let mut responses = Map::new();
    for success in &described.successes {
        let mut response = json!({ "description": success.description });
        if let Some((content_type, schema)) = success.content {
            response["content"] = json!({ content_type: { "schema": schemas::reference(schema) } });
        }
        if success.tagged {
            response["headers"] = json!({ "ETag": { "schema": { "type": "string" }, "description": "Its version." } });
        }
        responses.insert(success.status.to_string(), response);
    }
    let of_guard: &[u16] = if matches!(route.access, Access::Scope(_)) { &[400, 401, 403, 503] } else { &[] };
    let (schema, content_type) = match route.endpoint.speaks_oauth() {
        true => ("OAuthError", "application/json"),
        false => ("Problem", "application/problem+json"),
    };
    for status in of_guard.iter().chain(described.errors) {
        let description = operations::error_status(*status);
        let response = json!({ "description": description, "content": { content_type: { "schema": schemas::reference(schema) } } });
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

fn security_schemes(issuer: &Issuer) -> Value {
    json!({
        "admin_token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "x-credential": Credential::AdminToken.name(),
            "description": format!("An access token of this issuer for the audience `{}`, with the scope that the route \
                names.", issuer.admin_audience()),
        },
        "person_token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "x-credential": Credential::PersonToken.name(),
            "description": "An access token of a session that began at `/auth/login`.",
        },
        "refresh_cookie": {
            "type": "apiKey", "in": "cookie", "name": "__Host-signet-login",
            "x-credential": Credential::RefreshCookie.name(),
            "description": "The refresh token of a session that began with `delivery` `cookie`. The name ends in the \
                client's. It counts only beside `Content-Type: application/json`, `X-Signet-CSRF: 1` and an `Origin` that \
                is registered for the client.",
        },
        "client_secret_basic": {
            "type": "http", "scheme": "basic", "x-credential": Credential::ClientSecret.name(),
            "description": "The client's identifier and secret, each form-encoded first (RFC 6749 §2.3.1). A client of another \
                method sends no header: its `client_id` and `client_secret`, or `client_assertion` and \
                `client_assertion_type` (RFC 7523), stand in the form.",
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(super) fn described() -> Value {
        document(&Issuer::parse("https://as.example/t1", false).unwrap(), "127.0.0.1:8081")
    }

    fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_row_of_the_table_is_described_once_and_nothing_else_is() {
        let issuer = Issuer::parse("https://as.example/t1", false).unwrap();
        let document = described();
        let rows: BTreeSet<(String, String)> =
            table(&issuer).into_iter().map(|route| (route.path, route.method.to_ascii_lowercase())).collect();
        let mut told = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if ["parameters", "servers"].contains(&method.as_str()) {
                    continue;
                }
                told.insert((path.clone(), method.clone()));
                // The OpenID document is served at two paths where the issuer has one.
                ids.insert(operation["operationId"].as_str().unwrap().to_owned());
                assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            }
        }
        assert_eq!(told, rows);
        assert!(ids.len() + 1 >= rows.len(), "two operations share an id");
    }

    #[test]
    fn every_schema_that_is_named_exists_and_none_is_idle() {
        let document = described();
        let mut named = BTreeSet::new();
        references(&document, &mut named);
        let named: BTreeSet<&str> =
            named.iter().map(|name| name.strip_prefix("#/components/schemas/").unwrap()).collect();
        let there = document["components"]["schemas"].as_object().unwrap();
        assert_eq!(named, there.keys().map(String::as_str).collect());
    }

    #[test]
    fn no_schema_of_a_request_admits_what_the_program_refuses() {
        for name in [
            "CreateKey",
            "ImportKey",
            "RotateKeys",
            "ActivateKey",
            "RetireKey",
            "CompromiseKey",
            "RegisterClient",
            "ReplaceClient",
            "RollSecret",
            "Because",
            "CreateResource",
            "ReplaceResource",
            "CreateUser",
            "ReplaceUser",
            "ImportUsers",
            "LogIn",
            "Refresh",
            "LogOut",
            "ChangePassword",
            "Register",
        ] {
            let schema = &described()["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], false, "{name}: {schema}");
            assert!(schema.get("allOf").is_none(), "{name}: {schema}");
        }
    }

    #[test]
    fn the_page_shows_each_operation_and_fetches_nothing() {
        let document = described();
        let page = page::render(&document);
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.contains(path.as_str()), "{path}");
        }
        for fetches in ["<script", "src=", "@import", "url(", "<link"] {
            assert!(!page.contains(fetches), "{fetches}");
        }
        assert!(page::policy().starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
