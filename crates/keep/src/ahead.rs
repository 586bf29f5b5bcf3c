//! Look-ahead: the small files that a go command will ask next are fetched before it asks.
//!
//! The go command asks one thing after the other: `.info`, then `.mod`, then the `.mod` of each
//! requirement. Behind a slow line each question costs a round trip. From what is asked now follows
//! what will be asked, so modkeep asks it first. Never zips, never private names, never beyond a
//! bounded queue: what does not fit is dropped, because it is only a wager.

use crate::serve::{Keep, Wanted, wanted};
use gomod::info::Info;
use gomod::list::VersionList;
use gomod::modfile::ModFile;
use gomod::request::Request;
use gomod::version::{ModuleVersion, Revision};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Wagers that may wait.
const QUEUE: usize = 4096;

/// Wagers under way: keeps a few connections busy without pushing clients' own questions aside.
const AT_ONCE: usize = 16;

/// Requirements of requirements are followed this far. Only graphs of modules older than go 1.17
/// are deep; the newer ones name everything they need.
const DEPTH: u8 = 8;

#[derive(Debug)]
pub(crate) struct Wager {
    request: Request,
    depth: u8,
}

/// The queue of wagers, if there is one.
#[derive(Debug)]
pub(crate) struct Ahead {
    queue: Option<mpsc::Sender<Wager>>,
}

impl Ahead {
    pub fn new(on: bool) -> (Self, mpsc::Receiver<Wager>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        (
            Self {
                queue: on.then_some(queue),
            },
            jobs,
        )
    }
}

impl Keep {
    pub(crate) fn start_ahead(&self, mut jobs: mpsc::Receiver<Wager>) {
        if self.inner.ahead.queue.is_none() {
            return;
        }
        // Weak: the keep owns the queue's sending end, and ends when its last user is gone.
        let inner = Arc::downgrade(&self.inner);
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        tokio::spawn(async move {
            while let Some(wager) = jobs.recv().await {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    break;
                };
                let Some(inner) = inner.upgrade() else { break };
                let keep = Keep { inner };
                tokio::spawn(async move {
                    keep.play(wager).await;
                    drop(slot);
                });
            }
        });
    }

    /// A client was answered with `body`: wager on what it asks next.
    pub(crate) fn look_ahead(&self, request: &Request, body: &[u8]) {
        self.wager_after(request, body, DEPTH);
    }

    fn wager_after(&self, request: &Request, body: &[u8], depth: u8) {
        let Some(queue) = self.inner.ahead.queue.as_ref().filter(|_| depth > 0) else {
            return;
        };
        for (next, depth) in follow(request, body, depth) {
            let private = matches!(&next, Request::Info(m, _) if self.is_private(m))
                || matches!(&next, Request::Mod(v) if self.is_private(v.path()));
            if private
                || self.inner.memory.contains_key(&next)
                || self.inner.not_found.contains_key(&next)
            {
                continue;
            }
            if queue
                .try_send(Wager {
                    request: next,
                    depth,
                })
                .is_err()
            {
                self.inner.counters.ahead_dropped.add();
            }
        }
    }

    async fn play(&self, wager: Wager) {
        let Some(Wanted::File(key)) = wanted(&wager.request) else {
            return;
        };
        // What is stored is known already: it costs nothing and needs no wager of its own.
        if !matches!(self.stored(&wager.request, &key).await, Ok(None)) {
            return;
        }
        let counters = &self.inner.counters;
        counters.ahead_asked.add();
        match self.bring(&wager.request, &key).await {
            Ok((small, _)) => {
                counters.ahead_brought.add();
                self.wager_after(&wager.request, &small.body, wager.depth);
            }
            Err(_) => counters.ahead_failed.add(),
        }
    }
}

/// What follows a request that was answered with `body`.
fn follow(request: &Request, body: &[u8], depth: u8) -> Vec<(Request, u8)> {
    match request {
        Request::Info(module, _) | Request::Latest(module) => {
            let info = Info::parse(body).ok();
            let version =
                info.and_then(|i| ModuleVersion::new(module.clone(), i.version().clone()).ok());
            version
                .map(|v| (Request::Mod(v), depth - 1))
                .into_iter()
                .collect()
        }
        Request::List(module) => {
            let list = VersionList::parse(body).ok();
            let newest = list.and_then(|l| l.latest().and_then(|v| v.as_version()));
            newest
                .map(|v| (Request::Info(module.clone(), Revision::from(&v)), depth - 1))
                .into_iter()
                .collect()
        }
        Request::Mod(version) => {
            let mut next = requirements(body, depth);
            next.push((
                Request::Info(version.path().clone(), Revision::from(version.version())),
                0,
            ));
            next
        }
        Request::Zip(_) | Request::Sumdb { .. } => Vec::new(),
    }
}

/// The `.mod` of each requirement. A module of go 1.17 or later names all it needs, so the graph is
/// not followed beyond its own requirements (golang.org/ref/mod#graph-pruning).
fn requirements(body: &[u8], depth: u8) -> Vec<(Request, u8)> {
    let Ok(file) = ModFile::parse_lax("go.mod", body) else {
        return Vec::new();
    };
    let pruned = file.is_pruned();
    let each = |r: &gomod::modfile::Require| {
        let version = ModuleVersion::parse(&format!("{}@{}", r.path, r.version)).ok()?;
        Some((Request::Mod(version), if pruned { 0 } else { depth - 1 }))
    };
    file.require.iter().filter_map(each).collect()
}
