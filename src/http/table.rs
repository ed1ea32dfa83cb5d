//! The table of routes: every path and method that either listener answers, and who may call it.

use super::admin::Operation;
use super::auth::AuthOperation;
use crate::issuer::Issuer;

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// For applications and verifiers.
    Public,
    /// For operators.
    Admin,
}

impl Listener {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: what it answers is public.
    Anyone,
    /// A client that authenticates in the request.
    Client,
    /// A person, by a password, a session or an access token, at a first-party client: the endpoint sees to it.
    Person,
    /// Whoever bears a token of the admin API with this scope.
    Scope(&'static str),
}

/// What a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Jwks,
    OAuthMetadata,
    OpenIdMetadata,
    Token,
    Healthy,
    Ready,
    Metrics,
    OpenApi,
    Docs,
    Admin(Operation),
    Auth(AuthOperation),
}

/// A row of the table: one method at one path. A path that knows several methods has a row for each, and each says who
/// may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it is served.
    pub listener: Listener,
    /// `POST` or the like; `GET` brings `HEAD` with it, and the preflight where anyone may call on the public listener.
    pub method: &'static str,
    /// Its exact path, in which a segment in braces stands for any: `/things/{id}`.
    pub path: String,
    /// Who may call it.
    pub access: Access,
    pub(super) endpoint: Endpoint,
}

/// Every route of an issuer.
pub fn table(issuer: &Issuer) -> Vec<Route> {
    let public = |method, path, access, endpoint| Route { listener: Listener::Public, method, path, access, endpoint };
    let admin = |path: &str, endpoint| Route {
        listener: Listener::Admin,
        method: "GET",
        path: path.to_owned(),
        access: Access::Anyone,
        endpoint,
    };
    let guarded = |method, path: &str, scope, operation| Route {
        listener: Listener::Admin,
        method,
        path: path.to_owned(),
        access: Access::Scope(scope),
        endpoint: Endpoint::Admin(operation),
    };
    let auth = |method, path: &str, operation| Route {
        listener: Listener::Public,
        method,
        path: issuer.endpoint_path(path),
        access: Access::Person,
        endpoint: Endpoint::Auth(operation),
    };
    // In the order of their traffic: they are tried one after the other.
    let mut routes = vec![
        public("POST", issuer.endpoint_path("/oauth2/token"), Access::Client, Endpoint::Token),
        public("GET", issuer.endpoint_path("/.well-known/jwks.json"), Access::Anyone, Endpoint::Jwks),
        auth("POST", "/auth/refresh", AuthOperation::Refresh),
        auth("POST", "/auth/login", AuthOperation::LogIn),
        auth("GET", "/auth/me", AuthOperation::Me),
        auth("POST", "/auth/logout", AuthOperation::LogOut),
        auth("GET", "/auth/sessions", AuthOperation::ListSessions),
        auth("DELETE", "/auth/sessions", AuthOperation::EndOtherSessions),
        auth("DELETE", "/auth/sessions/{sid}", AuthOperation::EndSession),
        auth("POST", "/auth/password", AuthOperation::Password),
        auth("POST", "/auth/register", AuthOperation::Register),
        public("GET", issuer.oauth_metadata_path(), Access::Anyone, Endpoint::OAuthMetadata),
        public("GET", issuer.openid_metadata_path(), Access::Anyone, Endpoint::OpenIdMetadata),
        public("GET", issuer.endpoint_path("/openapi.json"), Access::Anyone, Endpoint::OpenApi),
        public("GET", issuer.endpoint_path("/docs"), Access::Anyone, Endpoint::Docs),
        admin("/healthz", Endpoint::Healthy),
        admin("/readyz", Endpoint::Ready),
        admin("/metrics", Endpoint::Metrics),
        guarded("GET", "/admin/v1/keys", "keys:read", Operation::ListKeys),
        guarded("POST", "/admin/v1/keys", "keys:write", Operation::CreateKey),
        guarded("POST", "/admin/v1/keys/import", "keys:import", Operation::ImportKey),
        guarded("POST", "/admin/v1/keys/rotate", "keys:write", Operation::RotateKeys),
        guarded("GET", "/admin/v1/keys/{kid}", "keys:read", Operation::ShowKey),
        guarded("POST", "/admin/v1/keys/{kid}/activate", "keys:write", Operation::ActivateKey),
        guarded("POST", "/admin/v1/keys/{kid}/retire", "keys:write", Operation::RetireKey),
        guarded("POST", "/admin/v1/keys/{kid}/compromise", "keys:write", Operation::CompromiseKey),
        guarded("GET", "/admin/v1/clients", "clients:read", Operation::ListClients),
        guarded("POST", "/admin/v1/clients", "clients:write", Operation::RegisterClient),
        guarded("GET", "/admin/v1/clients/{client_id}", "clients:read", Operation::ShowClient),
        guarded("PUT", "/admin/v1/clients/{client_id}", "clients:write", Operation::ReplaceClient),
        guarded("DELETE", "/admin/v1/clients/{client_id}", "clients:write", Operation::DeleteClient),
        guarded("POST", "/admin/v1/clients/{client_id}/secret", "clients:write", Operation::RollSecret),
        guarded("POST", "/admin/v1/clients/{client_id}/disable", "clients:write", Operation::DisableClient),
        guarded("POST", "/admin/v1/clients/{client_id}/enable", "clients:write", Operation::EnableClient),
        guarded("GET", "/admin/v1/resources", "resources:read", Operation::ListResources),
        guarded("POST", "/admin/v1/resources", "resources:write", Operation::CreateResource),
        guarded("GET", "/admin/v1/resources/{resource}", "resources:read", Operation::ShowResource),
        guarded("PUT", "/admin/v1/resources/{resource}", "resources:write", Operation::ReplaceResource),
        guarded("DELETE", "/admin/v1/resources/{resource}", "resources:write", Operation::DeleteResource),
        guarded("GET", "/admin/v1/users", "users:read", Operation::ListUsers),
        guarded("POST", "/admin/v1/users", "users:write", Operation::CreateUser),
        guarded("POST", "/admin/v1/users/import", "users:import", Operation::ImportUsers),
        guarded("GET", "/admin/v1/users/export", "users:export", Operation::ExportUsers),
        guarded("GET", "/admin/v1/users/{user}", "users:read", Operation::ShowUser),
        guarded("PUT", "/admin/v1/users/{user}", "users:write", Operation::ReplaceUser),
        guarded("DELETE", "/admin/v1/users/{user}", "users:write", Operation::DeleteUser),
        guarded("POST", "/admin/v1/users/{user}/password-link", "users:write", Operation::IssueLink),
        guarded("POST", "/admin/v1/users/{user}/disable", "users:write", Operation::DisableUser),
        guarded("POST", "/admin/v1/users/{user}/enable", "users:write", Operation::EnableUser),
        guarded("GET", "/admin/v1/sessions", "sessions:read", Operation::ListSessions),
        guarded("DELETE", "/admin/v1/sessions", "sessions:write", Operation::EndSessions),
        guarded("GET", "/admin/v1/sessions/{sid}", "sessions:read", Operation::ShowSession),
        guarded("DELETE", "/admin/v1/sessions/{sid}", "sessions:write", Operation::EndSession),
        guarded("GET", "/admin/v1/audit", "audit:read", Operation::ReadAudit),
    ];
    // Some clients insert where OpenID Connect appends; without a path both are the same.
    let inserted = public("GET", issuer.openid_metadata_inserted_path(), Access::Anyone, Endpoint::OpenIdMetadata);
    if !routes.contains(&inserted) {
        routes.push(inserted);
    }
    routes
}

impl Route {
    /// Whether browsers may ask if a page of another origin may call: some may.
    pub(super) fn answers_preflights(&self) -> bool {
        self.is_open_to_all() || self.access == Access::Person
    }

    /// Whether pages of any origin may read what it answers. What is for operators is for no page.
    pub(super) fn is_open_to_all(&self) -> bool {
        self.listener == Listener::Public && self.access == Access::Anyone && self.method == "GET"
    }
}

impl Endpoint {
    /// Whether errors before the endpoint are told as OAuth has them.
    pub(super) const fn speaks_oauth(self) -> bool {
        matches!(self, Self::Token)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clients::Resource;

    #[test]
    fn whatever_the_admin_api_does_needs_a_scope_that_there_is() {
        for route in table(&Issuer::parse("https://login.example.com", false).unwrap()) {
            let of_the_api = matches!(route.endpoint, Endpoint::Admin(_));
            assert_eq!(of_the_api, route.path.starts_with("/admin/"), "{}", route.path);
            match route.access {
                Access::Scope(scope) => {
                    assert!(of_the_api && Resource::admin().scopes.contains(scope), "{} {scope}", route.path);
                    assert_eq!(route.listener, Listener::Admin, "{}", route.path);
                }
                Access::Anyone | Access::Client | Access::Person => assert!(!of_the_api, "{}", route.path),
            }
        }
    }

    #[test]
    fn no_two_rows_are_for_the_same_requests() {
        for issuer in ["https://login.example.com", "https://login.example.com/t1"] {
            let mut seen = HashSet::new();
            for route in table(&Issuer::parse(issuer, false).unwrap()) {
                let shape: Vec<_> = route.path.split('/').map(|s| if s.starts_with('{') { "{}" } else { s }).collect();
                let request = (route.listener == Listener::Public, route.method, shape.join("/"));
                assert!(seen.insert(request), "{} {}", route.method, route.path);
            }
        }
    }
}
