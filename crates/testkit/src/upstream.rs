//! An upstream proxy that does as told: a static GOPROXY over HTTP/1.1 on a loopback port, with
//! latency, bandwidth and faults that can be changed while it runs, and a count of every request.
//!
//! It runs on threads of its own, so it serves plain `#[test]` functions that drive a real
//! process as well as asynchronous ones, and a test that blocks does not stall it. Dropping it
//! closes the port and cuts every connection: that is how an upstream dies in a test.

mod body;
mod serve;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::tree::Tree;

/// Where the files come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A generated tree, held in memory.
    Tree(Tree),
    /// A directory laid out as a GOPROXY. Files are read as they are asked for.
    Dir(PathBuf),
}

impl From<Tree> for Source {
    fn from(tree: Tree) -> Self {
        Self::Tree(tree)
    }
}

impl From<PathBuf> for Source {
    fn from(dir: PathBuf) -> Self {
        Self::Dir(dir)
    }
}

impl From<&std::path::Path> for Source {
    fn from(dir: &std::path::Path) -> Self {
        Self::Dir(dir.to_owned())
    }
}

/// How an answer is given. The default is at once, at full speed and honest.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    latency: Duration,
    bytes_per_second: Option<u64>,
    fault: Option<Fault>,
    headers: Vec<(String, String)>,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Another status with this text.
    Status(u16, String),
    /// 200 with these bytes instead of the file's: a login page, the wrong version.
    Body(Bytes),
    /// 302 to this address.
    Redirect(String),
    /// No answer at all; the connection stays open.
    Hang,
    /// The whole length is promised, this many bytes come, then nothing more.
    HangAfter(u64),
    /// The whole length is promised, this many bytes come, then the connection closes.
    Truncate(u64),
    /// The byte at this offset (the last one when the file is shorter) has a bit turned over.
    Corrupt(u64),
    /// The connection closes without an answer.
    Close,
    /// A body without a declared length and without an end, of zeros.
    Endless,
}

impl Behaviour {
    /// At once, at full speed, honest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Each request waits this long before its answer begins: one round trip of a far server.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Each body flows no faster than this.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.bytes_per_second = Some(rate.max(1));
        self
    }

    /// What goes wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// A header that every answer carries.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A failing status with its text.
    #[must_use]
    pub fn status(status: u16, text: &str) -> Self {
        Self::new().fault(Fault::Status(status, text.to_owned()))
    }
}

/// One request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path as it stood in the request line, with its query.
    pub path: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
}

/// A running upstream. Dropping it closes the port and cuts all its connections.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What the connections share with the test.
#[derive(Debug)]
struct State {
    source: Mutex<Source>,
    everything: Mutex<Behaviour>,
    rules: Mutex<Vec<(String, Behaviour)>>,
    seen: Mutex<Vec<Seen>>,
    hits: Mutex<HashMap<String, usize>>,
    open: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_peak: AtomicUsize,
    connections: AtomicUsize,
}

impl Upstream {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port or thread can be had.
    #[allow(
        clippy::unused_async,
        reason = "reads well beside other starts in async tests"
    )]
    pub async fn start(source: impl Into<Source>) -> io::Result<Self> {
        Self::start_blocking(source)
    }

    /// The same outside an async function.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start_blocking(source: impl Into<Source>) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), source)
    }

    /// Starts on a given address: how a dead upstream comes back to life.
    ///
    /// # Errors
    /// When the address is taken or no thread can be had.
    pub fn start_at(address: SocketAddr, source: impl Into<Source>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("upstream")
            .enable_all()
            .build()?;
        let state = Arc::new(State::new(source.into()));
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(serve::accept(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT`, as it stands in a GOPROXY list.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how everything is answered that no rule of [`Upstream::on`] covers.
    pub fn set(&self, behaviour: Behaviour) {
        *locked(&self.state.everything) = behaviour;
    }

    /// Sets how requests are answered whose path contains `part` (`.zip`, `/@v/list`,
    /// `example.com/m/@v/v1.0.0.mod`). A later rule goes before an earlier one.
    pub fn on(&self, part: &str, behaviour: Behaviour) {
        locked(&self.state.rules).push((part.to_owned(), behaviour));
    }

    /// Back to the default behaviour, without rules. Counts stay.
    pub fn heal(&self) {
        *locked(&self.state.everything) = Behaviour::new();
        locked(&self.state.rules).clear();
    }

    /// Serves other files from now on.
    pub fn replace(&self, source: impl Into<Source>) {
        *locked(&self.state.source) = source.into();
    }

    /// How many requests asked for this path, whatever their answer.
    #[must_use]
    pub fn hits(&self, path: &str) -> usize {
        let path = path.trim_start_matches('/');
        locked(&self.state.hits).get(path).copied().unwrap_or(0)
    }

    /// How many requests asked for a path that contains `part`; `""` counts all.
    #[must_use]
    pub fn hits_of(&self, part: &str) -> usize {
        locked(&self.state.hits)
            .iter()
            .filter(|(path, _)| path.contains(part))
            .map(|(_, count)| count)
            .sum()
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.state.seen).clone()
    }

    /// Forgets every request so far.
    pub fn forget(&self) {
        locked(&self.state.seen).clear();
        locked(&self.state.hits).clear();
        self.state.in_flight_peak.store(0, Ordering::SeqCst);
        self.state.connections.store(0, Ordering::SeqCst);
    }

    /// Connections open now.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Connections accepted since the start or [`Upstream::forget`].
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The most requests that waited for the head of their answer at one time.
    #[must_use]
    pub fn in_flight_peak(&self) -> usize {
        self.state.in_flight_peak.load(Ordering::SeqCst)
    }

    /// Closes the port and cuts every connection. The same as dropping it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // On a thread of its own, because a runtime may not be waited for inside another;
            // waited for, so that the port is closed when this returns.
            let end = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(2)));
            let _ = end.join();
        }
    }
}

impl State {
    fn new(source: Source) -> Self {
        Self {
            source: Mutex::new(source),
            everything: Mutex::default(),
            rules: Mutex::default(),
            seen: Mutex::default(),
            hits: Mutex::default(),
            open: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            in_flight_peak: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    fn behaviour(&self, path: &str) -> Behaviour {
        let rules = locked(&self.rules);
        match rules.iter().rev().find(|(part, _)| path.contains(part)) {
            Some((_, behaviour)) => behaviour.clone(),
            None => locked(&self.everything).clone(),
        }
    }

    fn count(&self, seen: Seen) {
        let path = seen.path.trim_start_matches('/').to_owned();
        *locked(&self.hits).entry(path).or_insert(0) += 1;
        locked(&self.seen).push(seen);
    }
}

/// A test that failed while it held a lock must not hide its own message behind a second panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
