//! Connections and answers: finds the file, then lets the behaviour spoil it.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::body::{Content, Ending, Flow};
use super::{Behaviour, Fault, Seen, Source, State, locked};

/// Accepts for ever; dropping the runtime ends it and every connection.
pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: the connections that have them will give some back.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    state.connections.fetch_add(1, Ordering::SeqCst);
    let _open = Held::new(&state.open);
    // Without it small answers wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(&state), request));
    // An error here is a client that left or a fault that was ordered.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The error type closes the connection without an answer.
async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Flow>, io::Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    state.count(Seen {
        method: request.method().to_string(),
        path: path.clone(),
        headers: request
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into()))
            .collect(),
    });
    let running = Held::new(&state.in_flight);
    state
        .in_flight_peak
        .fetch_max(running.now, Ordering::SeqCst);
    let behaviour = state.behaviour(&path);
    if !behaviour.latency.is_zero() {
        tokio::time::sleep(behaviour.latency).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(text(405, "method not allowed"));
    }
    let Behaviour { headers, .. } = &behaviour;
    let mut response = spoiled(&state, &behaviour, request.uri().path()).await?;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

async fn spoiled(
    state: &State,
    behaviour: &Behaviour,
    path: &str,
) -> Result<Response<Flow>, io::Error> {
    let rate = behaviour.bytes_per_second;
    match &behaviour.fault {
        None => Ok(honest(state, path).await.map(|flow| flow.rate(rate))),
        Some(Fault::Status(status, message)) => Ok(text(*status, message)),
        Some(Fault::Body(bytes)) => Ok(whole(bytes.clone()).map(|flow| flow.rate(rate))),
        Some(Fault::Redirect(to)) => {
            let mut response = text(302, "elsewhere");
            if let Ok(to) = to.parse() {
                response.headers_mut().insert(LOCATION, to);
            }
            Ok(response)
        }
        Some(Fault::Hang) => {
            let never: Result<Response<Flow>, Infallible> = std::future::pending().await;
            never.map_err(|e| match e {})
        }
        Some(Fault::Close) => Err(io::Error::other("closed as told")),
        Some(Fault::Endless) => Ok(Response::new(Flow::new(Content::Zeros, None).rate(rate))),
        Some(Fault::HangAfter(at)) => Ok(honest(state, path)
            .await
            .map(|flow| flow.rate(rate).ending(Ending::Hang(*at)))),
        Some(Fault::Truncate(at)) => Ok(honest(state, path)
            .await
            .map(|flow| flow.rate(rate).ending(Ending::Cut(*at)))),
        Some(Fault::Corrupt(at)) => Ok(honest(state, path)
            .await
            .map(|flow| flow.rate(rate).spoilt(*at))),
    }
}

async fn honest(state: &State, path: &str) -> Response<Flow> {
    let Some(name) = file_name(path) else {
        return text(400, "bad request: no such path can be");
    };
    match state.dir_or_bytes(&name) {
        Ok(Some(bytes)) => typed(whole(bytes), &name),
        Ok(None) => not_found(&name),
        Err(dir) => from_disk(&dir, &name).await,
    }
}

impl State {
    /// A generated tree's bytes, or the directory to read from; the lock ends here, before
    /// anything waits.
    fn dir_or_bytes(&self, name: &str) -> Result<Option<Bytes>, std::path::PathBuf> {
        match &*locked(&self.source) {
            Source::Tree(tree) => Ok(tree.get(name).cloned()),
            Source::Dir(dir) => Err(dir.clone()),
        }
    }
}

async fn from_disk(dir: &Path, name: &str) -> Response<Flow> {
    let file = dir.join(name);
    let Ok(file) = tokio::fs::File::open(&file).await else {
        return not_found(name);
    };
    match file.metadata().await {
        Ok(meta) if meta.is_file() => {
            let flow = Flow::new(Content::File(file), Some(meta.len()));
            let mut response = Response::new(flow);
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, meta.len().into());
            typed(response, name)
        }
        _ => not_found(name),
    }
}

/// The path below the root, percent-decoded; `None` for one that would leave the root.
fn file_name(path: &str) -> Option<String> {
    let bytes = path.trim_start_matches('/').as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            out.push(first);
            rest = tail;
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail.get(2..)?;
    }
    let name = String::from_utf8(out).ok()?;
    let leaves = name.split('/').any(|part| part == ".." || part == ".");
    (!leaves && !name.starts_with('/')).then_some(name)
}

fn not_found(name: &str) -> Response<Flow> {
    text(404, &format!("not found: {name}: no such file here\n"))
}

fn text(status: u16, message: &str) -> Response<Flow> {
    let mut response = Response::new(Flow::text(message));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn whole(bytes: Bytes) -> Response<Flow> {
    let length = bytes.len() as u64;
    let mut response = Response::new(Flow::new(Content::Memory(bytes), Some(length)));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn typed(mut response: Response<Flow>, name: &str) -> Response<Flow> {
    let kind = match name.rsplit_once('.').map(|(_, end)| end) {
        Some("zip") => "application/zip",
        Some("info") => "application/json",
        _ if name.ends_with("/@latest") => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Counts one while it lives, also when its connection is cut.
struct Held<'a> {
    counter: &'a AtomicUsize,
    now: usize,
}

impl<'a> Held<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
        Self { counter, now }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::SeqCst);
    }
}
