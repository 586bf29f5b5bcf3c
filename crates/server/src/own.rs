//! Our own matters under `/-/`: health, readiness, metrics, and the small API.

use crate::Peer;
use crate::body::Reply as Body;
use crate::metrics::Metrics;
use crate::status;
use gomod::path::ModulePath;
use gomod::version::{ModuleVersion, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, FORWARDED, HeaderMap, HeaderValue, ORIGIN,
};
use hyper::{Method, Request, Response, StatusCode};
use keep::{Keep, Query, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A request body of the API is a few names.
const BODY_MAX: usize = 64 << 10;

/// Answers a request under `/-/`; `path` is what follows.
pub(crate) async fn answer(
    keep: &Keep,
    metrics: &Metrics,
    admin_token: Option<&str>,
    peer: &Peer,
    path: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "healthz" if read => text(StatusCode::OK, "ok\n"),
        "readyz" if read => ready(keep).await,
        "metrics" if read => render_metrics(metrics, request.headers()),
        "api/v1/status" if read => ready(keep).await,
        "api/v1/purge" | "api/v1/fetch" if *request.method() == Method::POST => {
            if let Err(why) = may_change(admin_token, peer, request.headers()) {
                return problem(StatusCode::FORBIDDEN, &why);
            }
            let purge = path.ends_with("purge");
            match body(request).await {
                Ok(asked) if purge => run_purge(keep, asked).await,
                Ok(asked) => run_fetch(keep, asked).await,
                Err(why) => problem(StatusCode::BAD_REQUEST, &why),
            }
        }
        "api/v1/purge" | "api/v1/fetch" => not_allowed("POST"),
        "healthz" | "readyz" | "metrics" | "api/v1/status" => not_allowed("GET, HEAD"),
        _ => match path.strip_prefix("api/v1/versions/") {
            Some(_) if !read => not_allowed("GET, HEAD"),
            Some(version) => version_report(keep, version).await,
            None => problem(
                StatusCode::NOT_FOUND,
                "there is nothing here; see /-/readyz, /-/metrics",
            ),
        },
    }
}

/// For a person who looks where the go command is pointed.
pub(crate) fn welcome() -> Response<Body> {
    text(
        StatusCode::OK,
        "modkeep, a Go module proxy.\n\n\
         Use it: go env -w GOPROXY=<this address>\n\
         State:  /-/readyz   Metrics: /-/metrics\n",
    )
}

pub(crate) fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("only {methods} here"),
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    response
}

async fn ready(keep: &Keep) -> Response<Body> {
    let keep = keep.clone();
    let Ok(report) = tokio::task::spawn_blocking(move || keep.report()).await else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "the report was lost");
    };
    let upstreams: Vec<Value> = report
        .upstreams
        .iter()
        .map(|u| {
            json!({
                "name": u.name,
                "up": u.up,
                "reason": u.reason,
                "down_for_seconds": u.down_for.map(|d| d.as_secs()),
            })
        })
        .collect();
    let body = json!({
        "schema": "modkeep.ready/1",
        "ready": report.store.is_ok(),
        "store": { "writable": report.store.is_ok(), "error": report.store.as_ref().err() },
        "upstreams": upstreams,
        "sumdbs": report
            .databases
            .iter()
            .map(|(name, forked)| json!({ "name": name, "contradicted_itself": forked }))
            .collect::<Vec<_>>(),
        "log": report.log,
        "alarms": report.alarms,
    });
    let status = if report.store.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    with_type(status, format!("{body:#}\n"), "application/json")
}

fn render_metrics(metrics: &Metrics, headers: &HeaderMap) -> Response<Body> {
    let open = headers.get_all(ACCEPT).iter().any(|v| {
        v.to_str()
            .is_ok_and(|v| v.contains("application/openmetrics-text"))
    });
    let kind = match open {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    match metrics.render(open) {
        Ok(text) => with_type(StatusCode::OK, text, kind),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be rendered",
        ),
    }
}

/// Who may change things: the bearer of the admin token; without a token, who is on this machine and
/// is neither a browser page nor behind another server.
fn may_change(token: Option<&str>, peer: &Peer, headers: &HeaderMap) -> Result<(), String> {
    if let Some(token) = token {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or(b"");
        // Comparing digests takes the same time however much of the token is right.
        return match Sha256::digest(given) == Sha256::digest(token.as_bytes()) {
            true => Ok(()),
            false => Err("this needs the admin token: Authorization: Bearer TOKEN".into()),
        };
    }
    let proxied = [FORWARDED.as_str(), "x-forwarded-for", "via"]
        .iter()
        .any(|h| headers.contains_key(*h));
    match peer.is_local() && !proxied && !headers.contains_key(ORIGIN) {
        true => Ok(()),
        false => Err("without --admin-token-file only this machine itself may do this".into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    module: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    files: bool,
    #[serde(default)]
    mod_only: bool,
}

async fn body(request: Request<Incoming>) -> Result<Asked, String> {
    let json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    if !json {
        return Err("the body must be application/json".into());
    }
    let body = Limited::new(request.into_body(), BODY_MAX)
        .collect()
        .await
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())
}

async fn run_purge(keep: &Keep, asked: Asked) -> Response<Body> {
    let module = match ModulePath::parse(&asked.module) {
        Ok(module) => module,
        Err(e) => return problem(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    let version = match asked.version.as_deref().map(Version::parse).transpose() {
        Ok(version) => version,
        Err(e) => return problem(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    match keep.purge(&module, version.as_ref(), asked.files).await {
        Ok(n) => json_ok(&json!({ "schema": "modkeep.purge/1", "forgotten": n })),
        Err(refusal) => refused(&refusal),
    }
}

async fn run_fetch(keep: &Keep, asked: Asked) -> Response<Body> {
    let text = format!(
        "{}@{}",
        asked.module,
        asked.version.as_deref().unwrap_or("latest")
    );
    let query = match Query::parse(&text) {
        Ok(query) => Query {
            mod_only: asked.mod_only,
            ..query
        },
        Err(e) => return problem(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    match keep.fetch(&query).await {
        Ok(got) => json_ok(&json!({
            "schema": "modkeep.fetched/1",
            "module": got.version.path().as_str(),
            "version": got.version.version().as_str(),
            "h1": got.h1,
            "gomod": got.go_mod,
        })),
        Err(refusal) => refused(&refusal),
    }
}

/// `M@V` as in a go.sum line, `/` and all.
async fn version_report(keep: &Keep, text: &str) -> Response<Body> {
    let version = match ModuleVersion::parse(text) {
        Ok(version) => version,
        Err(e) => return problem(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    let keep = keep.clone();
    let report = tokio::task::spawn_blocking(move || keep.version_report(&version)).await;
    match report {
        Ok(Ok(report)) if report.files.is_empty() => {
            problem(StatusCode::NOT_FOUND, "nothing of this version is kept")
        }
        Ok(Ok(report)) => match serde_json::to_value(&report) {
            Ok(value) => json_ok(&value),
            Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
        },
        Ok(Err(e)) => problem(StatusCode::SERVICE_UNAVAILABLE, &e.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the report was lost"),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(status::status(refusal.blame))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem(status, &status::text(refusal))
}

fn json_ok(value: &Value) -> Response<Body> {
    with_type(StatusCode::OK, format!("{value}\n"), "application/json")
}

/// An error of the API (RFC 9457).
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": detail.trim_end(),
    });
    with_type(status, format!("{body}\n"), "application/problem+json")
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    with_type(status, text.to_owned(), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: String, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        hyper::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    response
}
