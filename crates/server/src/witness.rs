//! A witness's two addresses: `POST /add-checkpoint`, and `GET /HASH/checkpoint` for monitors.

use crate::body::Reply;
use crate::route::Counted;
use crate::{Listening, Peer, Service, Settings, StartError};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use keep::witness::{NotCosigned, Witness};
use prometheus_client::metrics::gauge::Gauge;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tlog::witness::REQUEST_BYTES_MAX;

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers as a witness.
pub(crate) struct Witnessing {
    witness: Witness,
    prefix: String,
    open: Gauge,
    /// Time for a request's body.
    patience: Duration,
}

/// A witness that listens but does not answer yet.
pub struct WitnessServer(Listening<Witnessing>);

impl WitnessServer {
    /// Opens the listeners.
    ///
    /// # Errors
    /// When an address or a certificate cannot be used.
    pub async fn bind(settings: Settings, witness: Witness) -> Result<Self, StartError> {
        let service = Witnessing {
            witness,
            prefix: settings.prefix.trim_end_matches('/').to_owned(),
            open: Gauge::default(),
            patience: settings.stall_timeout,
        };
        Listening::open(settings, service).await.map(Self)
    }

    /// The addresses as clients write them, base path included.
    ///
    /// # Errors
    /// When a listener has lost its address.
    pub fn urls(&self) -> std::io::Result<Vec<String>> {
        self.0.urls()
    }

    /// Answers until `stop` is ready, then lets running requests finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.0.run(stop).await;
    }
}

impl Service for Witnessing {
    fn opened(&self) -> Counted {
        Counted::new(&self.open)
    }

    async fn answer(&self, request: Request<Incoming>, _: &Peer) -> Response<Reply> {
        let path = request
            .uri()
            .path()
            .strip_prefix(&self.prefix)
            .unwrap_or_default();
        let path = path.to_owned();
        match (request.method(), path.as_str()) {
            (&Method::POST, "/add-checkpoint") => self.add_checkpoint(request).await,
            (_, "/add-checkpoint") => not_allowed("POST"),
            (&Method::GET | &Method::HEAD, path) => self.read(path).await,
            _ => not_allowed("GET, HEAD"),
        }
    }
}

impl Witnessing {
    async fn add_checkpoint(&self, request: Request<Incoming>) -> Response<Reply> {
        let body = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect();
        let body = match tokio::time::timeout(self.patience, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(e)) if e.is::<LengthLimitError>() => {
                return reply(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    PLAIN,
                    "the request is too long\n",
                );
            }
            Ok(Err(_)) => return reply(StatusCode::BAD_REQUEST, PLAIN, "the request was cut\n"),
            Err(_) => {
                return reply(
                    StatusCode::REQUEST_TIMEOUT,
                    PLAIN,
                    "the request took too long\n",
                );
            }
        };
        let witness = self.witness.clone();
        let decide = move || witness.add_checkpoint(&body, now());
        match tokio::task::spawn_blocking(decide).await {
            Ok(Ok(line)) => reply(StatusCode::OK, PLAIN, line),
            Ok(Err(NotCosigned::Refused(refusal))) => {
                let status = StatusCode::from_u16(refusal.status());
                let status = status.unwrap_or(StatusCode::BAD_REQUEST);
                reply(status, refusal.content_type(), refusal.body())
            }
            Ok(Err(NotCosigned::Ours(what))) => broken(&what),
            Err(e) => broken(&e.to_string()),
        }
    }

    async fn read(&self, path: &str) -> Response<Reply> {
        if path == "/" {
            return reply(
                StatusCode::OK,
                PLAIN,
                format!("a witness: {}\n", self.witness.key()),
            );
        }
        let hash = path
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix("/checkpoint"));
        let Some(hash) = hash.map(str::to_owned) else {
            return reply(StatusCode::NOT_FOUND, PLAIN, "not found\n");
        };
        let witness = self.witness.clone();
        match tokio::task::spawn_blocking(move || witness.checkpoint(&hash)).await {
            Ok(Ok(Some(note))) => reply(StatusCode::OK, PLAIN, note),
            Ok(Ok(None)) => reply(
                StatusCode::NOT_FOUND,
                PLAIN,
                "no checkpoint of this log was cosigned\n",
            ),
            Ok(Err(what)) => broken(&what),
            Err(e) => broken(&e.to_string()),
        }
    }
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::full(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_allowed(methods: &'static str) -> Response<Reply> {
    let mut response = reply(
        StatusCode::METHOD_NOT_ALLOWED,
        PLAIN,
        "method not allowed\n",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// The reason is for our own log: it may name files.
fn broken(what: &str) -> Response<Reply> {
    tracing::error!("not cosigned: {what}");
    reply(
        StatusCode::INTERNAL_SERVER_ERROR,
        PLAIN,
        "the witness cannot cosign now\n",
    )
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
