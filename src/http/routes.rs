//! The table of routes: every path and method that either listener answers, and who may call it.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::guard::{Guard, GuardContext, fn_guard};
use actix_web::http::Method;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};

use super::answer::Answer;
use super::body::RequestBody;
use super::envelope::Envelope;
use super::error::{Refused, no_content};
use super::{Http, discovery, health, oauth};
use crate::issuer::Issuer;
use crate::ports::Timestamp;

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// For applications and verifiers.
    Public,
    /// For operators.
    Admin,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: what it answers is public.
    Anyone,
    /// A client that authenticates in the request.
    Client,
}

/// What a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Jwks,
    OAuthMetadata,
    OpenIdMetadata,
    Token,
    Healthy,
    Ready,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it is served.
    pub listener: Listener,
    /// `GET`, which brings `HEAD` with it (and on the public listener the preflight), or `POST`.
    pub method: &'static str,
    /// Its exact path.
    pub path: String,
    /// Who may call it.
    pub access: Access,
    endpoint: Endpoint,
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
    // In the order of their traffic: they are tried one after the other.
    let mut routes = vec![
        public("POST", issuer.endpoint_path("/oauth2/token"), Access::Client, Endpoint::Token),
        public("GET", issuer.endpoint_path("/.well-known/jwks.json"), Access::Anyone, Endpoint::Jwks),
        public("GET", issuer.oauth_metadata_path(), Access::Anyone, Endpoint::OAuthMetadata),
        public("GET", issuer.openid_metadata_path(), Access::Anyone, Endpoint::OpenIdMetadata),
        admin("/healthz", Endpoint::Healthy),
        admin("/readyz", Endpoint::Ready),
    ];
    // Some clients insert where OpenID Connect appends; without a path both are the same.
    let inserted = public("GET", issuer.openid_metadata_inserted_path(), Access::Anyone, Endpoint::OpenIdMetadata);
    if !routes.contains(&inserted) {
        routes.push(inserted);
    }
    routes
}

impl Endpoint {
    /// Whether errors before the endpoint are told as OAuth has them.
    const fn speaks_oauth(self) -> bool {
        matches!(self, Self::Token)
    }

    async fn answer(self, http: &Http, request: &HttpRequest, body: &mut RequestBody, now: Timestamp) -> Answer {
        match self {
            Self::Jwks => http.keys.answer(request.headers(), now),
            Self::OAuthMetadata => http.metadata.oauth(http.metadata_max_age),
            Self::OpenIdMetadata => http.metadata.openid(http.metadata_max_age),
            Self::Healthy => health::healthy(),
            Self::Ready => health::ready(&*http.readiness),
            Self::Token => match body.read(request, http.limits).await {
                // The body may have taken its time: a token is of the moment at which it is complete.
                Ok(body) => oauth::token::token(http, request, &body, http.clock.now()).await,
                Err(refused) => refused.answer(true),
            },
        }
    }
}

/// Registers the routes of one listener.
pub fn configure(config: &mut ServiceConfig, http: &Arc<Http>, listener: Listener) {
    for route in table(&http.services.issuer).into_iter().filter(|route| route.listener == listener) {
        let path: Rc<str> = route.path.as_str().into();
        let endpoint = route.endpoint;
        let serve = {
            let (http, path) = (Arc::clone(http), Rc::clone(&path));
            move |request: HttpRequest, payload: Payload| {
                let (http, path) = (Arc::clone(&http), Rc::clone(&path));
                async move {
                    let envelope = Envelope::open(&http);
                    let mut body = RequestBody::new(payload);
                    let answer = endpoint.answer(&http, &request, &mut body, envelope.now).await;
                    envelope.close(&http, &path, &request, body, answer)
                }
            }
        };
        let resource = web::resource(route.path.clone()).guard(exactly(&path));
        let get =
            |resource: Resource| resource.route(web::get().to(serve.clone())).route(web::head().to(serve.clone()));
        let (resource, allowed) = match (route.method, listener) {
            // What is public may be read by pages of any origin; what is for operators, by none.
            ("GET", Listener::Public) => {
                let preflight = fixed(http, &path, || discovery::preflight(no_content()));
                (get(resource).route(web::method(Method::OPTIONS).to(preflight)), "GET, HEAD, OPTIONS")
            }
            ("GET", Listener::Admin) => (get(resource), "GET, HEAD"),
            _ => (resource.route(web::post().to(serve)), "POST"),
        };
        let other = fixed(http, &path, move || Refused::MethodNotAllowed(allowed).answer(endpoint.speaks_oauth()));
        config.service(resource.default_service(web::to(other)));
    }
    config.default_service(web::to(fixed(http, &Rc::from("-"), || Refused::NotFound.answer(false))));
}

/// A handler whose answer does not depend on the request.
fn fixed(
    http: &Arc<Http>,
    route: &Rc<str>,
    answer: impl Fn() -> Answer + Clone + 'static,
) -> impl Fn(HttpRequest, Payload) -> std::future::Ready<HttpResponse> + Clone + 'static {
    let (http, route) = (Arc::clone(http), Rc::clone(route));
    move |request, payload| {
        let envelope = Envelope::open(&http);
        std::future::ready(envelope.close(&http, &route, &request, RequestBody::new(payload), answer()))
    }
}

/// The router decodes a path before it compares it, and what stands before this server may not: a path that is written
/// in any other way is another path.
fn exactly(path: &Rc<str>) -> impl Guard + 'static {
    let path = Rc::clone(path);
    fn_guard(move |context: &GuardContext<'_>| context.head().uri.path() == &*path)
}
