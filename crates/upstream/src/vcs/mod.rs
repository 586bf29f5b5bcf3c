//! Modules straight from version control, byte for byte as the go command makes them.
//!
//! [`Direct`] answers the five questions of a module proxy from the origin itself. One clone per
//! repository is shared by all its modules and versions. The bytes of a module depend on the
//! commit alone: whatever configuration the user has is used to *reach* a repository and kept
//! away from what turns it into files.
//!
//! The programs (git, hg, svn) are run, not replaced by libraries: users' `insteadOf`, ssh
//! settings, credential helpers and netrc work because the programs read them, and `git archive`
//! is what defines the bytes.

mod clones;
mod coderepo;
mod credentials;
mod discovery;
mod egress;
mod error;
mod explain;
mod git;
mod hg;
mod hints;
mod json;
mod law;
mod mask;
mod modproxy;
mod packer;
mod refs;
mod remote;
mod repo;
mod run;
mod settings;
mod svn;
mod tar;
mod zipper;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gomod::h1::H1;
use gomod::path::ModulePath;
use gomod::version::{ModuleVersion, Revision};
use url::Url;

pub use self::coderepo::DirectInfo;
pub use self::credentials::{Credential, Credentials, CredentialsError};
pub use self::error::DirectError;
pub use self::repo::Origin;
pub use self::settings::{DirectSettings, Limits};

use self::clones::Inner;
pub(crate) use self::clones::Shared;
use self::coderepo::{CodeRepo, Place};
use self::discovery::RepoRoot;
use self::law::legacy_go_mod;
use self::remote::Scope;
use self::repo::{Code, RevInfo};

/// A page fetched for discovery.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status of the last answer.
    pub status: u16,
    /// Where the last redirect led.
    pub final_url: Url,
    /// The `Content-Type`, or empty.
    pub content_type: String,
    /// The body, cut at a bound of the fetcher's choice (a few MiB).
    pub body: Vec<u8>,
}

/// Why a page could not be fetched. Texts hold no credentials.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PageError {
    /// A rule of the fetcher: a private address, a redirect from https to http, the scheme.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// No answer, or none that could be read.
    #[error("{0}")]
    Unreachable(String),
}

/// HTTP GET, injected: the guarded client of this crate, or a table in tests.
///
/// Redirects are followed, at most ten, never from https to http. With `public_only` no address
/// may be connected to for which [`crate::is_public`] is false, redirects included.
pub trait Pages: Send + Sync {
    /// Fetches a small page. Every status is an answer.
    fn get<'a>(&'a self, url: &'a Url, public_only: bool)
    -> BoxFuture<'a, Result<Page, PageError>>;

    /// Writes the body of a 200 to a new file `to` and returns the status; more than `bytes_max`
    /// bytes are [`PageError::Refused`].
    fn download<'a>(
        &'a self,
        url: &'a Url,
        public_only: bool,
        to: &'a Path,
        bytes_max: u64,
    ) -> BoxFuture<'a, Result<u16, PageError>>;
}

/// Fetches modules from their origins. Cheap to clone; all clones share the cache.
#[derive(Clone)]
pub struct Direct {
    inner: Arc<Inner>,
}

/// One of the questions that a repository answers.
enum Ask<'a> {
    List,
    Latest,
    Info(&'a Revision),
    GoMod(&'a ModuleVersion),
    Zip(&'a ModuleVersion, &'a Path),
}

enum Reply {
    List(Vec<String>),
    Info(Box<DirectInfo>),
    GoMod(Vec<u8>),
    Zip(H1),
}

impl Direct {
    /// Takes the cache directory, which no other process may be using.
    ///
    /// # Errors
    /// The directory cannot be made, or another process holds it.
    pub fn new(settings: DirectSettings, pages: Arc<dyn Pages>) -> Result<Self, DirectError> {
        Ok(Self {
            inner: Arc::new(Inner::new(settings, pages)?),
        })
    }

    /// The versions of a module, sorted, as in `@v/list`; empty when it has no tags.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn list(&self, path: &ModulePath) -> Result<Vec<String>, DirectError> {
        match self.ask(path, Ask::List).await? {
            Reply::List(list) => Ok(list),
            _ => Err(mixed_up()),
        }
    }

    /// The newest commit of the default branch as a version, as in `@latest`.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn latest(&self, path: &ModulePath) -> Result<DirectInfo, DirectError> {
        match self.ask(path, Ask::Latest).await? {
            Reply::Info(info) => Ok(*info),
            _ => Err(mixed_up()),
        }
    }

    /// What a version, branch, tag or commit resolves to, as in `@v/REV.info`.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn info(&self, path: &ModulePath, rev: &Revision) -> Result<DirectInfo, DirectError> {
        match self.ask(path, Ask::Info(rev)).await? {
            Reply::Info(info) => Ok(*info),
            _ => Err(mixed_up()),
        }
    }

    /// The go.mod of a version; one is made up where the repository has none and may have none.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn go_mod(&self, mv: &ModuleVersion) -> Result<Vec<u8>, DirectError> {
        match self.ask(mv.path(), Ask::GoMod(mv)).await? {
            Reply::GoMod(data) => Ok(data),
            _ => Err(mixed_up()),
        }
    }

    /// Writes the zip of a version to the new file `out` and returns its hash, computed on the
    /// way. On failure the file is removed.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn zip(&self, mv: &ModuleVersion, out: &Path) -> Result<H1, DirectError> {
        match self.ask(mv.path(), Ask::Zip(mv, out)).await? {
            Reply::Zip(sum) => Ok(sum),
            _ => Err(mixed_up()),
        }
    }

    /// Deletes clones that are too old or too many. Runs by itself now and then; for tests and
    /// for those who want it now.
    ///
    /// # Errors
    /// The cache directory cannot be read.
    pub async fn sweep(&self) -> Result<(), DirectError> {
        self.inner.sweep().await
    }

    async fn ask(&self, path: &ModulePath, ask: Ask<'_>) -> Result<Reply, DirectError> {
        let private = self.inner.shared.settings.private.matches(path.as_str());
        let scope = Scope {
            module: path.as_str().to_owned(),
            private,
        };
        let root = self.inner.root_of(&scope).await?;
        let answered = match root.vcs.as_str() {
            "mod" => self.inner.shared.ask_proxy(&root, &scope, &ask).await,
            _ => self.ask_repo(&root, &scope, &ask).await,
        };
        self.inner.sweep_now_and_then();
        answered
    }

    /// Asks the repository; a damaged clone is made anew and asked once more.
    async fn ask_repo(
        &self,
        root: &RepoRoot,
        scope: &Scope,
        ask: &Ask<'_>,
    ) -> Result<Reply, DirectError> {
        let place = Place::new(&root.root, &root.subdir, &scope.module)?;
        let code = self.inner.code(root, scope)?;
        match self.ask_code(&place, &code, ask).await {
            Err(DirectError::Damaged { text }) => {
                tracing::warn!(module.path = %scope.module, %text, "clone damaged, cloning again");
                code.rebuild().await?;
                self.ask_code(&place, &code, ask).await
            }
            result => result,
        }
    }

    async fn ask_code(
        &self,
        place: &Place,
        code: &Code,
        ask: &Ask<'_>,
    ) -> Result<Reply, DirectError> {
        let _used = match code.life() {
            Some(life) => Some(life.read().await),
            None => None,
        };
        let repo = CodeRepo { place, code };
        let reply = self.ask_module(&repo, ask).await;
        code.touch().await;
        reply
    }

    async fn ask_module(&self, repo: &CodeRepo<'_>, ask: &Ask<'_>) -> Result<Reply, DirectError> {
        match ask {
            Ask::List => repo.versions().await.map(Reply::List),
            Ask::Latest => repo.latest().await.map(Box::new).map(Reply::Info),
            Ask::Info(rev) => match repo.stat(rev.as_str()).await {
                Ok((info, _)) => Ok(Reply::Info(Box::new(info))),
                Err(error) => Err(hints::advise(error, repo, rev.as_str()).await),
            },
            Ask::GoMod(mv) => go_mod(repo, mv).await.map(Reply::GoMod),
            Ask::Zip(mv, out) => {
                let rev = exact(repo, mv).await?;
                self.inner
                    .shared
                    .zip(repo, mv, &rev, out)
                    .await
                    .map(Reply::Zip)
            }
        }
    }
}

/// The revision of exactly this version: a query may resolve elsewhere, a version may not.
async fn exact(repo: &CodeRepo<'_>, mv: &ModuleVersion) -> Result<RevInfo, DirectError> {
    let asked = mv.version().as_str();
    let (info, rev) = match repo.stat(asked).await {
        Ok(found) => found,
        Err(error) => return Err(hints::advise(error, repo, asked).await),
    };
    if info.version == asked {
        return Ok(rev);
    }
    Err(DirectError::refused(format!(
        "{mv}: invalid version: resolves to version {}",
        info.version
    )))
}

async fn go_mod(repo: &CodeRepo<'_>, mv: &ModuleVersion) -> Result<Vec<u8>, DirectError> {
    let rev = exact(repo, mv).await?;
    let found = repo.find_dir(&rev.name, mv.version().as_str()).await?;
    Ok(match found.go_mod {
        Some(data) => data.to_vec(),
        None => legacy_go_mod(mv.path().as_str()),
    })
}

fn mixed_up() -> DirectError {
    DirectError::internal("an answer to another question")
}
