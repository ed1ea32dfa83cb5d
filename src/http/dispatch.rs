//! From a request to its answer: finds the route, checks who may call it, runs the endpoint.
//!
//! Guarantees: nothing of actix-web chooses or rewrites a path; no endpoint runs before [`Dispatch::run`] has looked at
//! who may call it; the log names routes as the table has them, never what was sent.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::dev::{AppConfig, RequestHead, Service, ServiceFactory, fn_service};
use actix_web::http::header::HeaderValue;

use super::admin::Call;
use super::answer::Answer;
use super::body::RequestBody;
use super::envelope::{Envelope, Landed};
use super::error::{Problem, Refused, method_not_allowed, no_content};
use super::meter::{NO_ROUTE, RouteMeter};
use super::paths::{Found, Paths};
use super::table::{Access, Endpoint, Listener, Route, table};
use super::{Http, auth, discovery, health, meter, oauth};
use crate::ports::{ActRecord, Timestamp};

/// The routes of one listener, for an `HttpServer` in place of an `App`.
pub fn routes(
    http: Arc<Http>,
    listener: Listener,
) -> impl ServiceFactory<
    Request,
    Config = AppConfig,
    Response = HttpResponse,
    Error = Infallible,
    InitError = (),
    Service = impl Service<Request, Response = HttpResponse, Error = Infallible, Future = impl Sized + 'static> + 'static,
> {
    let dispatch = Rc::new(Dispatch::new(http, listener));
    fn_service(move |request: Request| {
        let dispatch = Rc::clone(&dispatch);
        async move { Ok(dispatch.respond(request).await) }
    })
}

/// The routes of a listener. Each worker has its own.
struct Dispatch {
    http: Arc<Http>,
    listener: Listener,
    paths: Paths,
    /// By their places in `paths`.
    served: Vec<Served>,
    /// Likewise: what counts the requests to each.
    meters: Vec<Arc<dyn RouteMeter>>,
    /// What counts those to none.
    unrouted: Arc<dyn RouteMeter>,
}

/// All rows of the table that have one path.
struct Served {
    path: String,
    rows: Vec<Route>,
    allow: HeaderValue,
}

impl Dispatch {
    fn new(http: Arc<Http>, listener: Listener) -> Self {
        let rows = table(&http.services.issuer).into_iter().filter(|route| route.listener == listener);
        let served = Served::group(rows);
        Self {
            paths: Paths::new(served.iter().map(|served| served.path.as_str())),
            meters: served.iter().map(|served| http.meter.route(listener, &served.path)).collect(),
            unrouted: http.meter.route(listener, NO_ROUTE),
            served,
            listener,
            http,
        }
    }

    async fn respond(&self, request: Request) -> HttpResponse {
        let envelope = Envelope::open(&self.http);
        let (head, payload) = request.into_parts();
        let mut body = RequestBody::new(payload);
        let traced = envelope.span(&self.http, &head).map(|span| (span, ActRecord::begin()));
        let found = self.paths.find(head.uri.path());
        let served = found.as_ref().and_then(|found| self.served.get(found.place));
        let (route, answer) = match (served, &found) {
            (Some(served), Some(found)) => {
                let answer = self.answer(served, found, &head, &mut body, &envelope);
                let answer = match &traced {
                    None => answer.await,
                    // In a box of its own, as few are.
                    Some((_, record)) => Box::pin(record.around(answer)).await,
                };
                (served.path.as_str(), answer)
            }
            _ => (NO_ROUTE, Refused::NotFound.answer(false)),
        };
        let meter = found.and_then(|found| self.meters.get(found.place)).unwrap_or(&self.unrouted);
        let landed = Landed { route, meter: &**meter, listener: self.listener, traced };
        envelope.close(&self.http, landed, &head, body, answer)
    }

    async fn answer(
        &self,
        served: &Served,
        found: &Found,
        head: &RequestHead,
        body: &mut RequestBody,
        envelope: &Envelope,
    ) -> Answer {
        match served.by_method(head.method.as_str()) {
            Method::Row(row) => self.run(row, found, head, body, envelope).await,
            Method::Preflight if served.is_for_people() => auth::preflight(&self.http, head, &served.allow),
            Method::Preflight => discovery::preflight(no_content()),
            Method::Unknown => method_not_allowed(&served.allow, served.speaks_oauth()),
        }
    }

    /// The one place where access is checked: what does not pass here does not reach an endpoint.
    async fn run(
        &self,
        row: &Route,
        found: &Found,
        head: &RequestHead,
        body: &mut RequestBody,
        envelope: &Envelope,
    ) -> Answer {
        match row.access {
            // What it answers is public.
            Access::Anyone => row.endpoint.answer(&self.http, head, body, envelope.now).await,
            Access::Person => {
                let answer = person(&self.http, row.endpoint, found, head, body, envelope);
                Box::pin(answer).await
            }
            // Its credentials may stand in the body, which the endpoint reads.
            Access::Client => row.endpoint.answer(&self.http, head, body, envelope.now).await,
            // In a box of its own, as the token endpoint is.
            Access::Scope(scope) => {
                let guarded = guarded(&self.http, row.endpoint, scope, found, head, body, envelope);
                Box::pin(guarded).await
            }
        }
    }
}

/// Runs an endpoint for a caller who has `scope`.
async fn guarded(
    http: &Http,
    endpoint: Endpoint,
    scope: &'static str,
    found: &Found,
    head: &RequestHead,
    body: &mut RequestBody,
    envelope: &Envelope,
) -> Answer {
    let now = envelope.now;
    let caller = match http.admin.guard.admit(head, &envelope.request_id(), scope, now).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into(),
    };
    match endpoint {
        Endpoint::Admin(operation) => {
            let call = Call { caller: &caller, parameters: &found.parameters, head, body, now };
            operation.answer(&http.admin, call).await
        }
        other => other.answer(http, head, body, now).await,
    }
}

/// Runs an endpoint of `/auth`, which finds out for whom.
async fn person(
    http: &Http,
    endpoint: Endpoint,
    found: &Found,
    head: &RequestHead,
    body: &mut RequestBody,
    envelope: &Envelope,
) -> Answer {
    let Endpoint::Auth(operation) = endpoint else { return endpoint.answer(http, head, body, envelope.now).await };
    let call = auth::Call {
        http,
        auth: &http.auth,
        head,
        body,
        parameters: &found.parameters,
        request_id: envelope.request_id(),
        address: http.address(Listener::Public, head),
    };
    operation.answer(call).await
}

impl Endpoint {
    async fn answer(self, http: &Http, head: &RequestHead, body: &mut RequestBody, now: Timestamp) -> Answer {
        match self {
            Self::Jwks => http.keys.answer(head.headers(), now),
            Self::OAuthMetadata => http.metadata.oauth(http.metadata_max_age),
            Self::OpenIdMetadata => http.metadata.openid(http.metadata_max_age),
            Self::OpenApi => http.description.json(),
            Self::Docs => http.description.html(),
            Self::Healthy => health::healthy(),
            Self::Ready => health::ready(&*http.readiness),
            Self::Metrics => meter::page(&*http.meter),
            // In a box of its own: what waits for nothing shall not pay for the room that this takes.
            Self::Token => Box::pin(token(http, head, body)).await,
            // A row without a scope, or not for people: nobody may.
            Self::Admin(_) | Self::Auth(_) => Problem::NoToken.into(),
        }
    }
}

async fn token(http: &Http, head: &RequestHead, body: &mut RequestBody) -> Answer {
    match body.read(head, http.limits).await {
        // The body may have taken its time: a token is of the moment at which it is complete.
        Ok(body) => oauth::token::token(http, head, &body, http.clock.now()).await,
        Err(refused) => oauth::token::unread(http, refused),
    }
}

/// What a method means at a path.
#[derive(Debug, PartialEq, Eq)]
enum Method<'a> {
    Row(&'a Route),
    /// A page of another origin asks whether it may read.
    Preflight,
    Unknown,
}

impl Served {
    /// The rows by their paths, in the order of the table.
    fn group(rows: impl Iterator<Item = Route>) -> Vec<Self> {
        let mut served: Vec<Self> = Vec::new();
        for row in rows {
            match served.iter_mut().find(|served| served.path == row.path) {
                Some(served) => served.rows.push(row),
                None => {
                    served.push(Self { path: row.path.clone(), rows: vec![row], allow: HeaderValue::from_static("") })
                }
            }
        }
        for served in &mut served {
            served.allow = served.allowed();
        }
        served
    }

    fn by_method(&self, method: &str) -> Method<'_> {
        let of_row = if method == "HEAD" { "GET" } else { method };
        match self.rows.iter().find(|row| row.method == of_row) {
            Some(row) => Method::Row(row),
            None if method == "OPTIONS" && self.rows.iter().any(Route::answers_preflights) => Method::Preflight,
            None => Method::Unknown,
        }
    }

    /// The value of `Allow` ([RFC 9110 §10.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.1)).
    fn allowed(&self) -> HeaderValue {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let known: Vec<&str> = known.into_iter().filter(|method| self.by_method(method) != Method::Unknown).collect();
        // Names of methods: always a header's value.
        HeaderValue::try_from(known.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Whether registered pages alone may call here.
    fn is_for_people(&self) -> bool {
        self.rows.iter().any(|row| row.access == Access::Person)
    }

    fn speaks_oauth(&self) -> bool {
        self.rows.iter().any(|row| row.endpoint.speaks_oauth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(listener: Listener, method: &'static str, access: Access) -> Route {
        Route { listener, method, path: "/things/{id}".to_owned(), access, endpoint: Endpoint::Healthy }
    }

    #[test]
    fn a_path_allows_what_its_rows_say_and_nothing_else() {
        use Access::{Anyone, Client};
        use Listener::{Admin, Public};
        for (rows, allow) in [
            (vec![row(Public, "GET", Anyone)], "GET, HEAD, OPTIONS"),
            (vec![row(Public, "GET", Client)], "GET, HEAD"),
            (vec![row(Public, "POST", Anyone)], "POST"),
            (vec![row(Public, "POST", Client), row(Public, "GET", Anyone)], "GET, HEAD, POST, OPTIONS"),
            (vec![row(Admin, "GET", Anyone)], "GET, HEAD"),
            (
                vec![row(Admin, "PUT", Client), row(Admin, "DELETE", Client), row(Admin, "GET", Anyone)],
                "GET, HEAD, PUT, DELETE",
            ),
        ] {
            let served = Served::group(rows.clone().into_iter());
            assert_eq!(served.len(), 1, "one path");
            assert_eq!(served[0].allow, allow);
            for row in &rows {
                assert_eq!(served[0].by_method(row.method), Method::Row(row), "each row is its own");
            }
            for method in ["get", "", "PATCH", "TRACE", "CONNECT", "PROPFIND"] {
                assert_eq!(served[0].by_method(method), Method::Unknown, "{method}");
            }
        }
    }
}
