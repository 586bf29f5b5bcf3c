//! The way of a GOPROXY request: text becomes a checked request here, once; the keep answers; the
//! answer becomes headers and a body.

use crate::body::{BlobBody, Reply as Body, SpoolBody};
use crate::metrics::{Outcome, Route};
use crate::range::{self, Range};
use crate::status;
use gomod::request::{Request, RequestError};
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use keep::{Blame, Content, Keep, Lifetime, Media, Refusal, Reply};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const DISABLE_FETCH: HeaderName = HeaderName::from_static("disable-module-fetch");

/// An answer and what to count it as.
pub(crate) struct Answer {
    pub response: Response<Body>,
    pub route: Route,
    pub outcome: Outcome,
}

/// Answers a GOPROXY request. `path` is as it came, percent-encoded, below the base path.
pub(crate) async fn answer(keep: &Keep, path: &str, headers: &HeaderMap) -> Answer {
    let (path, cached_only) = match path.strip_prefix("/cached-only/") {
        Some(rest) => (&path[path.len() - rest.len() - 1..], true),
        None => (path, forbids_fetch(headers)),
    };
    let request = match Request::parse(path) {
        Ok(request) => request,
        Err(error) => return refused(Route::Other, &malformed(error), cached_only),
    };
    let route = Route::of(&request);
    let served = match keep.hit(&request) {
        Some(reply) => Ok(reply),
        None => keep.serve(&request, cached_only).await,
    };
    match served {
        Ok(reply) => {
            let outcome = Outcome::from(reply.origin);
            match render(keep, reply, headers) {
                Ok(response) => Answer {
                    response,
                    route,
                    outcome,
                },
                Err(refusal) => refused(route, &refusal, true),
            }
        }
        Err(refusal) => refused(route, &refusal, cached_only),
    }
}

fn forbids_fetch(headers: &HeaderMap) -> bool {
    headers
        .get(DISABLE_FETCH)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn malformed(error: RequestError) -> Refusal {
    let blame = match error {
        RequestError::Malformed(_) => Blame::Malformed,
        RequestError::NoSuchModule(_) | RequestError::NoSuchVersion(_) => Blame::Absent,
    };
    Refusal::new(blame, error.to_string())
}

/// A refusal as the go command shows it.
fn refused(route: Route, refusal: &Refusal, passing: bool) -> Answer {
    let status = status::status(refusal.blame);
    let mut response = Response::new(Body::full(status::text(refusal).into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let cache = match status::cacheable_secs(refusal.blame) {
        Some(secs) if !passing => HeaderValue::from_str(&format!("public, max-age={secs}")).ok(),
        _ => None,
    };
    headers.insert(
        CACHE_CONTROL,
        cache.unwrap_or(HeaderValue::from_static("no-store")),
    );
    if let Some(after) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    Answer {
        response,
        route,
        outcome: Outcome::of_status(status),
    }
}

fn render(keep: &Keep, reply: Reply, asked: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let word = match Outcome::from(reply.origin) {
        Outcome::Hit => HeaderValue::from_static("modkeep; hit"),
        Outcome::Stale => HeaderValue::from_static("modkeep; hit; ttl=-1"),
        Outcome::Joined => HeaderValue::from_static("modkeep; fwd=uri-miss; collapsed"),
        _ => HeaderValue::from_static("modkeep; fwd=uri-miss"),
    };
    let mut response = match reply.content {
        Content::Small(small) => {
            let (body, size) = (small.body.clone(), small.body.len() as u64);
            let part = move |start: u64, end: u64| {
                Ok(Body::full(body.slice(start as usize..end as usize)))
            };
            let cache = cache_control(small.lifetime(), small.public);
            known(&small.etag, small.media, cache, size, asked, part)?
        }
        Content::Blob { blob, etag, public } => {
            let part = |start, end| {
                let reader = blob
                    .open(start, end)
                    .map_err(|e| Refusal::new(Blame::Ours, e.to_string()))?;
                Ok(Body::Blob(BlobBody::new(keep.clone(), reader)))
            };
            known(
                &etag,
                Media::Zip,
                cache_control(Lifetime::Forever, public),
                blob.size(),
                asked,
                part,
            )?
        }
        Content::Growing(spool) => {
            let mut response =
                Response::new(Body::Spool(SpoolBody::new(spool.reader(), spool.total())));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, media_type(Media::Zip));
            // Not checked yet: a cache may take it from the next request on.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
    };
    response.headers_mut().insert(CACHE_STATUS, word);
    Ok(response)
}

/// A body whose size is known: validators and ranges apply.
fn known(
    etag: &str,
    media: Media,
    cache: HeaderValue,
    size: u64,
    asked: &HeaderMap,
    part: impl FnOnce(u64, u64) -> Result<Body, Refusal>,
) -> Result<Response<Body>, Refusal> {
    let (status, body, content_range) = if none_match(asked, etag) {
        (StatusCode::NOT_MODIFIED, Body::empty(), None)
    } else {
        match wanted_range(asked, etag, size) {
            Range::Whole => (StatusCode::OK, part(0, size)?, None),
            Range::Part(start, end) => {
                let range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
                (StatusCode::PARTIAL_CONTENT, part(start, end)?, Some(range))
            }
            Range::Unsatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                Body::empty(),
                Some(format!("bytes */{size}")),
            ),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, media_type(media));
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, tag);
    }
    if let Some(range) = content_range.and_then(|r| HeaderValue::from_str(&r).ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

fn media_type(media: Media) -> HeaderValue {
    HeaderValue::from_static(match media {
        Media::Json => "application/json",
        Media::Text => "text/plain; charset=utf-8",
        Media::Zip => "application/zip",
        Media::Bytes => "application/octet-stream",
    })
}

fn cache_control(lifetime: Lifetime, public: bool) -> HeaderValue {
    match (lifetime, public) {
        (Lifetime::Forever, true) => {
            HeaderValue::from_static("public, max-age=31536000, immutable")
        }
        (Lifetime::Forever, false) => {
            HeaderValue::from_static("private, max-age=31536000, immutable")
        }
        (Lifetime::Brief(left), public) => {
            let scope = if public { "public" } else { "private" };
            let text = format!("{scope}, max-age={}, must-revalidate", left.as_secs());
            HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("no-cache"))
        }
    }
}

fn none_match(asked: &HeaderMap, etag: &str) -> bool {
    asked
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|list| {
            list.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        })
}

fn wanted_range(asked: &HeaderMap, etag: &str, size: u64) -> Range {
    let Some(range) = asked.get(RANGE) else {
        return Range::Whole;
    };
    match asked.get(IF_RANGE) {
        Some(validator) if validator.as_bytes() != etag.as_bytes() => Range::Whole,
        _ => range::parse(Some(range.as_bytes()), size),
    }
}
