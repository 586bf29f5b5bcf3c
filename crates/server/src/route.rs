//! The one place where a path chooses its answer, and where every answer is counted and logged.

use crate::access::{self, AccessLog, Line};
use crate::body::Reply as Body;
use crate::gate;
use crate::id::request_id;
use crate::metrics::{Metrics, Outcome, Route};
use crate::own;
use crate::{Peer, Service, Settings};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use keep::Keep;
use prometheus_client::metrics::gauge::Gauge;
use std::time::Instant;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that an answer needs.
pub(crate) struct Router {
    keep: Keep,
    metrics: Metrics,
    log: Option<AccessLog>,
    prefix: String,
    admin_token: Option<String>,
}

/// Counts itself out of a gauge when dropped.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Router {
    pub fn new(keep: Keep, metrics: Metrics, log: Option<AccessLog>, settings: &Settings) -> Self {
        let prefix = settings.prefix.trim_end_matches('/').to_owned();
        Self {
            keep,
            metrics,
            log,
            prefix,
            admin_token: settings.admin_token.clone(),
        }
    }
}

impl Service for Router {
    fn opened(&self) -> Counted {
        Counted::new(&self.metrics.connections)
    }

    /// Answers a request, counts it, logs it.
    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let began = Instant::now();
        let _in_flight = Counted::new(&self.metrics.in_flight);
        let id = request_id(
            request
                .headers()
                .get(X_REQUEST_ID)
                .map(HeaderValue::as_bytes),
        );
        let seen = self.log.as_ref().map(|_| Seen::of(&request));
        let head = *request.method() == Method::HEAD;
        let (mut response, route, outcome) = self.choose(request, peer).await;
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        let bytes = response.body().size_hint().exact();
        self.metrics
            .answered(route, outcome, began.elapsed(), bytes.filter(|_| !head));
        let status = response.status().as_u16();
        if status >= 500 {
            tracing::warn!(
                request.id = id,
                status,
                outcome = outcome.word(),
                "answered with an error"
            );
        }
        if let (Some(log), Some(seen)) = (&self.log, seen) {
            log.write(Line {
                time: access::now(),
                id,
                client: peer.to_string(),
                method: seen.method,
                path: seen.path,
                status,
                bytes,
                micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                cache: outcome.word(),
                agent: seen.agent,
            });
        }
        response
    }
}

impl Router {
    async fn choose(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> (Response<Body>, Route, Outcome) {
        let Some(path) = request
            .uri()
            .path()
            .strip_prefix(&self.prefix)
            .filter(|p| p.starts_with('/'))
        else {
            let text = format!("this modkeep serves under {}/", self.prefix);
            return (
                own::problem(StatusCode::NOT_FOUND, &text),
                Route::Other,
                Outcome::NotFound,
            );
        };
        if let Some(rest) = path.strip_prefix("/-/") {
            let rest = rest.to_owned();
            let token = self.admin_token.as_deref();
            let response =
                own::answer(&self.keep, &self.metrics, token, peer, &rest, request).await;
            let outcome = match response.status().as_u16() {
                200..=399 => Outcome::Hit,
                status => Outcome::of_status(status),
            };
            return (response, Route::Own, outcome);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return (
                own::not_allowed("GET, HEAD"),
                Route::Other,
                Outcome::ClientError,
            );
        }
        if path == "/" {
            return (own::welcome(), Route::Own, Outcome::Hit);
        }
        let answer = gate::answer(&self.keep, path, request.headers()).await;
        (answer.response, answer.route, answer.outcome)
    }
}

/// What the access log says of a request.
struct Seen {
    method: String,
    path: String,
    agent: String,
}

impl Seen {
    fn of(request: &Request<Incoming>) -> Self {
        let agent = request
            .headers()
            .get(USER_AGENT)
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            agent: agent.unwrap_or_default(),
        }
    }
}
