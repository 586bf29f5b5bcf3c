//! The chain of upstreams: asked one after the other, by the go command's rules.

use crate::body::Body;
use crate::failure::Failure;
use crate::health::{Health, Status};
use crate::net::{Encoding, Net, Reach, failure_of};
use crate::origin::Origin;
use crate::proxies::{Entry, Place, ProxyList, show};
use bytes::{Bytes, BytesMut};
use gomod::request::Request;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Time limits of one question.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a small file, whole, and for the first byte of a zip: all upstreams together. Less than
    /// the 30 s within which every client is answered.
    pub answer: Duration,
    /// For one upstream, when a bar (`|`) says that the next may be tried.
    pub before_next: Duration,
    /// A body that brings fewer than [`Patience::crawl_bytes`] in this time is given up.
    pub crawl: Duration,
    /// See [`Patience::crawl`].
    pub crawl_bytes: u64,
}

impl Default for Patience {
    fn default() -> Self {
        let secs = Duration::from_secs;
        // Twice `crawl` is the longest that a crawl goes unnoticed: 40 s. 20 KiB in 20 s is 1 KiB/s,
        // at which a common zip of 100 KiB would still take the go command minutes.
        Self {
            answer: secs(25),
            before_next: secs(8),
            crawl: secs(20),
            crawl_bytes: 20 << 10,
        }
    }
}

/// A probe must be answered, body and all, within this time.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// A probe reads no more of a body than this.
const PROBE_BYTES: usize = 16 << 10;

/// An upstream that is asked over HTTP.
#[derive(Debug)]
struct Server {
    url: Url,
    health: Health,
    asked: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Link {
    entry: Entry,
    server: Option<Arc<Server>>,
}

/// The upstreams and what is known of them.
#[derive(Clone, Debug)]
pub struct Chain {
    net: Net,
    links: Arc<[Link]>,
    origin: Origin,
    patience: Patience,
}

/// An upstream that has what was asked.
#[derive(Debug)]
pub struct Found {
    /// Who, without credentials.
    pub source: String,
    /// The announced length.
    pub total: Option<u64>,
    /// The bytes.
    pub body: Body,
}

/// Calls made to one upstream since the start.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Its name, without credentials.
    pub name: String,
    /// Questions asked.
    pub asked: u64,
    /// Questions that got no proper answer.
    pub failed: u64,
}

impl Chain {
    /// A chain over a parsed list; `origin` is what `direct` means in it.
    pub fn new(net: Net, list: ProxyList, origin: Origin, patience: Patience) -> Self {
        let link = |entry: Entry| {
            let server = match &entry.place {
                Place::Http(url) => Some(Arc::new(Server {
                    url: url.clone(),
                    health: Health::default(),
                    asked: AtomicU64::new(0),
                    failed: AtomicU64::new(0),
                })),
                Place::File(_) | Place::Direct | Place::Off => None,
            };
            Link { entry, server }
        };
        Self {
            net,
            links: list.entries.into_iter().map(link).collect(),
            origin,
            patience,
        }
    }

    /// The health of each HTTP upstream.
    pub fn status(&self) -> Vec<Status> {
        self.servers()
            .map(|s| s.health.status(show(&s.url)))
            .collect()
    }

    /// The calls made to each HTTP upstream.
    pub fn calls(&self) -> Vec<Calls> {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        self.servers()
            .map(|s| Calls {
                name: show(&s.url),
                asked: load(&s.asked),
                failed: load(&s.failed),
            })
            .collect()
    }

    /// Asks for a small file, whole, of at most `limit` bytes.
    pub async fn small(&self, request: &Request, limit: usize) -> Result<(Bytes, String), Failure> {
        let mut asking = self.asking(request, Encoding::Any);
        loop {
            let mut found = asking.next().await?;
            let deadline = asking.deadline;
            match tokio::time::timeout_at(deadline, read_whole(&mut found.body, limit)).await {
                Ok(Ok(bytes)) => return Ok((bytes, found.source)),
                Ok(Err(failure)) => asking.broke(failure)?,
                Err(_) => asking.broke(Failure::TimedOut(format!("{}: too slow", found.source)))?,
            }
        }
    }

    /// As [`Chain::small`], of the link at `place` alone (of the whole chain without one), at a path
    /// of its own.
    pub(crate) async fn small_at(
        &self,
        place: Option<usize>,
        request: &Request,
        path: &str,
        limit: usize,
    ) -> Result<(Bytes, String), Failure> {
        let mut asking = self.asking(request, Encoding::Any);
        asking.path = path.to_owned();
        asking.at = place.unwrap_or(0);
        let mut found = match place.and_then(|p| self.links.get(p)) {
            Some(link) => self.ask(link, &asking, asking.deadline).await?,
            None => asking.next().await?,
        };
        match tokio::time::timeout_at(asking.deadline, read_whole(&mut found.body, limit)).await {
            Ok(read) => read.map(|bytes| (bytes, found.source)),
            Err(_) => Err(Failure::TimedOut(format!("{}: too slow", found.source))),
        }
    }

    /// The place of the first proxy that has what is asked for. `None`: all said that they have not,
    /// or the list comes to `direct` or `off` first.
    pub(crate) async fn first_with(&self, request: &Request) -> Result<Option<usize>, Failure> {
        let asking = self.asking(request, Encoding::Any);
        for (place, link) in self.links.iter().enumerate() {
            if matches!(link.entry.place, Place::Direct | Place::Off) {
                break;
            }
            match self.ask(link, &asking, asking.deadline).await {
                Ok(_) => return Ok(Some(place)),
                Err(failure) if failure.is_absent() || link.entry.on_any_error => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// Asks for a big file; the caller reads the body and reports with [`Asking::broke`] when it
    /// ends badly.
    pub fn big(&self, request: &Request) -> Asking<'_> {
        self.asking(request, Encoding::Identity)
    }

    fn asking(&self, request: &Request, encoding: Encoding) -> Asking<'_> {
        let deadline = Instant::now() + self.patience.answer;
        Asking {
            chain: self,
            path: request.to_path().trim_start_matches('/').to_owned(),
            request: request.clone(),
            encoding,
            at: 0,
            best: None,
            deadline,
        }
    }

    fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.links.iter().filter_map(|l| l.server.as_ref())
    }

    async fn ask(
        &self,
        link: &Link,
        asking: &Asking<'_>,
        deadline: Instant,
    ) -> Result<Found, Failure> {
        match (&link.entry.place, &link.server) {
            (_, Some(server)) => {
                self.ask_server(server, &asking.path, asking.encoding, deadline)
                    .await
            }
            (Place::File(root), _) => ask_file(root, &asking.path).await,
            (Place::Off, _) => Err(Failure::Absent {
                status: 404,
                text: "module lookup disabled by --upstream off".into(),
            }),
            // It has limits of its own: a first clone may take minutes, and its work is kept.
            (Place::Direct | Place::Http(_), None) => {
                Box::pin(self.origin.ask(&asking.request)).await
            }
        }
    }

    async fn ask_server(
        &self,
        server: &Arc<Server>,
        path: &str,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<Found, Failure> {
        if let Some(down) = server.health.down() {
            return Err(down);
        }
        server.asked.fetch_add(1, Ordering::Relaxed);
        let url = join(&server.url, path);
        let answer = match self
            .net
            .ask(&url, Reach::Named(&server.url), encoding, deadline)
            .await
        {
            Ok(answer) => answer,
            Err(lost) => {
                server.failed.fetch_add(1, Ordering::Relaxed);
                // Where a redirect leads concerns one file: the upstream itself has answered.
                if !lost.redirected {
                    self.fell(server, lost.failure.clone());
                }
                return Err(lost.failure);
            }
        };
        let source = show(&server.url);
        if answer.status() != 200 {
            let failure = failure_of(answer, &source, deadline).await;
            if !failure.is_absent() {
                server.failed.fetch_add(1, Ordering::Relaxed);
            }
            return Err(failure);
        }
        server.health.good(path);
        let total = if encoding == Encoding::Identity {
            answer.content_length()
        } else {
            None
        };
        let body = Body::http(
            answer,
            source.clone(),
            self.patience.crawl,
            self.patience.crawl_bytes,
        );
        Ok(Found {
            source,
            total,
            body,
        })
    }

    /// Marks a server down and starts the probe that will bring it up.
    fn fell(&self, server: &Arc<Server>, failure: Failure) {
        let Some(pauses) = server.health.fell(failure.clone()) else {
            return;
        };
        tracing::warn!(
            upstream.name = show(&server.url),
            reason = failure.text(),
            "upstream is down"
        );
        let (server, net) = (Arc::clone(server), self.net.clone());
        let url = join(&server.url, &server.health.probe_path());
        tokio::spawn(async move {
            for pause in pauses {
                tokio::time::sleep(pause).await;
                if probe(&net, &url, &server.url).await {
                    break;
                }
            }
            server.health.rose();
            tracing::info!(upstream.name = show(&server.url), "upstream is up again");
        });
    }
}

/// One question on its way through the chain.
#[derive(Debug)]
pub struct Asking<'a> {
    chain: &'a Chain,
    request: Request,
    path: String,
    encoding: Encoding,
    at: usize,
    best: Option<Failure>,
    deadline: Instant,
}

impl Asking<'_> {
    /// The next upstream that has it, or the failure to report for the whole chain.
    pub async fn next(&mut self) -> Result<Found, Failure> {
        while let Some(link) = self.chain.links.get(self.at) {
            let deadline = self.link_deadline(link);
            self.at += 1;
            match self.chain.ask(link, self, deadline).await {
                Ok(found) => return Ok(found),
                Err(failure) => self.note(failure, link)?,
            }
        }
        Err(self.report())
    }

    /// Until when this link may take its time. Before a bar it gets an even share of what is left,
    /// so that the last one is asked with time to answer.
    fn link_deadline(&self, link: &Link) -> Instant {
        let (now, links) = (Instant::now(), self.chain.links.len() - self.at);
        if !link.entry.on_any_error || links < 2 {
            return self.deadline;
        }
        let left = self.deadline.saturating_duration_since(now);
        let share = left / u32::try_from(links).unwrap_or(u32::MAX);
        now + share.min(self.chain.patience.before_next)
    }

    /// The body of the upstream found last ended badly. `Ok` when the next one may be asked.
    pub fn broke(&mut self, failure: Failure) -> Result<(), Failure> {
        let link = &self.chain.links[self.at.saturating_sub(1)];
        if let (Some(server), Failure::TimedOut(_)) = (&link.server, &failure) {
            server.failed.fetch_add(1, Ordering::Relaxed);
            self.chain.fell(server, failure.clone());
        }
        self.note(failure, link)
    }

    /// Keeps the failure most worth reporting: `direct`'s own, then any that is not mere absence.
    /// The later of two of the same rank wins, as in the go command; but `off` says nothing that an
    /// upstream's own words do not say better.
    fn note(&mut self, failure: Failure, link: &Link) -> Result<(), Failure> {
        let stops = !failure.is_absent() && !link.entry.on_any_error;
        let keep_old = match (&self.best, &link.entry.place) {
            (None, _) => false,
            (Some(_), Place::Off) => true,
            (Some(_), Place::Direct) => false,
            (Some(old), _) => !old.is_absent() && failure.is_absent(),
        };
        if !keep_old {
            self.best = Some(failure);
        }
        if stops { Err(self.report()) } else { Ok(()) }
    }

    fn report(&mut self) -> Failure {
        self.best.take().unwrap_or(Failure::Absent {
            status: 404,
            text: "no upstream to ask".into(),
        })
    }
}

async fn read_whole(body: &mut Body, limit: usize) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await? {
        if whole.len() + chunk.len() > limit {
            return Err(Failure::Failed(format!(
                "the answer is larger than {limit} bytes"
            )));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// A path below an upstream's URL. The path is already escaped by the module rules; what is left
/// (`!` and `+`) is legal in URLs.
fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path));
    url
}

async fn ask_file(root: &Path, path: &str) -> Result<Found, Failure> {
    let full = root.join(path);
    let who = format!("file://{}", root.display());
    match tokio::fs::File::open(&full).await {
        Ok(file) => {
            let meta = file
                .metadata()
                .await
                .map_err(|e| Failure::Failed(format!("{who}: {e}")))?;
            if !meta.is_file() {
                return Err(Failure::Absent {
                    status: 404,
                    text: format!("not found at {who}"),
                });
            }
            Ok(Found {
                source: who,
                total: Some(meta.len()),
                body: Body::file(file),
            })
        }
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Err(Failure::Absent {
                status: 404,
                text: format!("not found at {who}"),
            })
        }
        Err(e) => Err(Failure::Failed(format!("{who}/{path}: {e}"))),
    }
}

/// Whether an upstream answers, whatever its status, and its body does not crawl.
async fn probe(net: &Net, url: &Url, named: &Url) -> bool {
    let deadline = Instant::now() + PROBE_TIME;
    let Ok(mut answer) = net
        .get(url, Reach::Named(named), Encoding::Identity, deadline)
        .await
    else {
        return false;
    };
    let mut read = 0;
    while read < PROBE_BYTES {
        match tokio::time::timeout_at(deadline, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => read += chunk.len(),
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}
