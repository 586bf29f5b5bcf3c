//! The cache of clones: one per repository, bounded in size and age.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::Pages;
use super::discovery::RepoRoot;
use super::error::DirectError;
use super::git::GitRepo;
use super::hg::HgRepo;
use super::remote::Scope;
use super::repo::Code;
use super::run::{Answer, Call, ChildLimits, Environment, Runner};
use super::settings::DirectSettings;
use super::svn::SvnRepo;

/// How long a go-import page is believed.
const ROOT_FRESH: Duration = Duration::from_secs(60);

/// How often the cache is swept while it is used.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Repositories and discovery answers remembered in memory.
const REMEMBERED_MAX: usize = 10_000;

/// What every repository needs.
pub(crate) struct Shared {
    pub settings: DirectSettings,
    pub pages: Arc<dyn Pages>,
    pub runner: Runner,
    pub root: PathBuf,
    slots: Semaphore,
    _lock: File,
}

/// The cache.
pub(crate) struct Inner {
    pub shared: Arc<Shared>,
    repos: Mutex<HashMap<String, Code>>,
    roots: Mutex<HashMap<String, (Instant, RepoRoot)>>,
    swept: Mutex<Instant>,
}

impl Shared {
    /// The variables of a program that reaches a network.
    pub(crate) fn network(&self) -> Environment {
        let mut env = Environment::network(&self.settings.environment);
        // The cache may lie inside a work tree, whose settings are not the user's.
        env.put(
            "GIT_CEILING_DIRECTORIES",
            self.root.parent().unwrap_or(&self.root),
        );
        env
    }

    /// Runs a program when one of the slots is free.
    pub(crate) async fn run(&self, call: Call) -> Result<Answer, DirectError> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| DirectError::internal("closed"))?;
        self.runner.run(call).await
    }

    /// Called after a fetch: a clone that is larger than allowed is not kept.
    pub(crate) async fn grew(&self, dir: &Path) -> Result<(), DirectError> {
        let (owned, max) = (dir.to_owned(), self.settings.limits.repo_bytes);
        let size = in_background(move || dir_bytes(&owned)).await?;
        if size <= max {
            return Ok(());
        }
        tokio::fs::remove_dir_all(dir).await.ok();
        Err(DirectError::limits(format!(
            "the repository has {size} bytes, more than {max}"
        )))
    }
}

impl Inner {
    pub(crate) fn new(
        settings: DirectSettings,
        pages: Arc<dyn Pages>,
    ) -> Result<Self, DirectError> {
        std::fs::create_dir_all(&settings.cache_dir)?;
        let root = std::fs::canonicalize(&settings.cache_dir)?;
        let lock = take_lock(&root)?;
        let limits = &settings.limits;
        let runner = Runner::new(ChildLimits {
            time: limits.process_time,
            memory_bytes: limits.process_memory_bytes,
            file_bytes: limits.repo_bytes,
        });
        let slots = Semaphore::new(limits.parallel.max(1));
        let shared = Shared {
            settings,
            pages,
            runner,
            root,
            slots,
            _lock: lock,
        };
        Ok(Self {
            shared: Arc::new(shared),
            repos: Mutex::default(),
            roots: Mutex::default(),
            swept: Mutex::new(Instant::now()),
        })
    }

    /// The repository of a module, from memory while fresh.
    pub(crate) async fn root_of(&self, scope: &Scope) -> Result<RepoRoot, DirectError> {
        if let Some((at, root)) = locked(&self.roots).get(&scope.module)
            && at.elapsed() < ROOT_FRESH
        {
            return Ok(root.clone());
        }
        let root = self.discover(scope).await?;
        let mut roots = locked(&self.roots);
        if roots.len() >= REMEMBERED_MAX {
            roots.clear();
        }
        roots.insert(scope.module.clone(), (Instant::now(), root.clone()));
        Ok(root)
    }

    pub(crate) fn git_repo(&self, url: &str, scope: &Scope) -> Arc<GitRepo> {
        let root = RepoRoot {
            vcs: "git".into(),
            url: url.to_owned(),
            ..RepoRoot::default()
        };
        match self.code(&root, scope) {
            Ok(Code::Git(git)) => git,
            _ => {
                let (dir, url) = (self.clone_dir(&key("git", url, scope)), url);
                Arc::new(GitRepo::new(
                    Arc::clone(&self.shared),
                    url,
                    scope.clone(),
                    dir,
                ))
            }
        }
    }

    /// The one clone of a repository. Private and public modules do not share one: a public name
    /// must not be served from what private credentials fetched.
    pub(crate) fn code(&self, root: &RepoRoot, scope: &Scope) -> Result<Code, DirectError> {
        let key = key(&root.vcs, &root.url, scope);
        let mut repos = locked(&self.repos);
        if let Some(code) = repos.get(&key) {
            return Ok(code.clone());
        }
        let (shared, dir) = (Arc::clone(&self.shared), self.clone_dir(&key));
        let (url, scope) = (root.url.as_str(), scope.clone());
        let code = match root.vcs.as_str() {
            "git" => Code::Git(Arc::new(GitRepo::new(shared, url, scope, dir))),
            "hg" => Code::Hg(Arc::new(HgRepo::new(shared, url, scope, dir))),
            "svn" => Code::Svn(Arc::new(SvnRepo::new(shared, url, scope, dir))),
            other => {
                return Err(DirectError::refused(format!(
                    "{}: modkeep does not fetch from {other}: use a proxy for this module",
                    root.root
                )));
            }
        };
        if repos.len() >= REMEMBERED_MAX {
            repos.retain(|_, code| code.life().is_some_and(|life| life.try_write().is_err()));
        }
        repos.insert(key, code.clone());
        Ok(code)
    }

    fn clone_dir(&self, key: &str) -> PathBuf {
        // A hash: no name from outside becomes a path, no clone lies inside another.
        let digest: [u8; 32] = Sha256::digest(key).into();
        let name: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        self.shared.root.join(name)
    }

    /// Starts a sweep in the background when the last one is long ago.
    pub(crate) fn sweep_now_and_then(self: &Arc<Self>) {
        let mut swept = locked(&self.swept);
        if swept.elapsed() < SWEEP_EVERY {
            return;
        }
        *swept = Instant::now();
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = inner.sweep().await {
                tracing::warn!(%error, "sweeping the clone cache");
            }
        });
    }

    /// Deletes clones unused for too long, then the least recently used until all fit.
    pub(crate) async fn sweep(&self) -> Result<(), DirectError> {
        let root = self.shared.root.clone();
        let mut clones = in_background(move || measure(&root)).await?;
        clones.sort_by_key(|clone| std::cmp::Reverse(clone.idle));
        let limits = &self.shared.settings.limits;
        let mut total: u64 = clones.iter().map(|clone| clone.bytes).sum();
        for clone in clones {
            let too_old = clone.idle > limits.idle;
            if (too_old || total > limits.disk_bytes) && self.delete(&clone.dir).await? {
                tracing::info!(
                    clone.bytes = clone.bytes,
                    "clone deleted to bound the cache"
                );
                total = total.saturating_sub(clone.bytes);
            }
        }
        Ok(())
    }

    async fn delete(&self, dir: &Path) -> Result<bool, DirectError> {
        let known = locked(&self.repos)
            .iter()
            .find(|(key, _)| self.clone_dir(key) == dir)
            .map(|(_, code)| code.clone());
        match known {
            Some(code) => code.evict().await,
            None => Ok(tokio::fs::remove_dir_all(dir).await.is_ok()),
        }
    }
}

fn key(vcs: &str, url: &str, scope: &Scope) -> String {
    let side = if scope.private { "private" } else { "public" };
    format!("{vcs}:{side}:{url}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two processes on one cache would delete each other's clones.
fn take_lock(root: &Path) -> Result<File, DirectError> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(root.join("lock"))?;
    // A program that is being started holds a copy of the lock for a moment.
    for _ in 0..40 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(25)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(DirectError::internal(format!(
        "{}: another process uses this directory for its clones",
        root.display()
    )))
}

/// Runs file work off the async threads.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, DirectError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| DirectError::internal(error.to_string()))??)
}

struct CloneUse {
    dir: PathBuf,
    bytes: u64,
    idle: Duration,
}

/// The file whose time says when a clone was last used.
pub(crate) const USED_FILE: &str = "modkeep.used";

fn measure(root: &Path) -> std::io::Result<Vec<CloneUse>> {
    let mut clones = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let dir = entry.path();
        let used = std::fs::metadata(dir.join(USED_FILE)).or_else(|_| entry.metadata());
        let idle = used
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok())
            .unwrap_or_default();
        clones.push(CloneUse {
            bytes: dir_bytes(&dir)?,
            dir,
            idle,
        });
    }
    Ok(clones)
}

/// Bytes of all files below a directory; files that vanish meanwhile count nothing.
fn dir_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut total = 0u64;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                total = total.saturating_add(meta.len());
            }
        }
    }
    Ok(total)
}
