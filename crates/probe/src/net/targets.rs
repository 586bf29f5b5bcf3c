//! What to probe: the settings in force, with the secrets that the facts do not hold.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use doctor::facts::Asked;
use gomod::gosum::GoSum;
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use tokio::sync::watch;

use super::auth::Credentials;
use super::forward::Forwards;
use crate::local::Settings;

/// A larger file is none of those that are read here.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What to probe.
#[derive(Clone, Default)]
pub struct Targets {
    /// GOPROXY as in force, logins included.
    pub goproxy: String,
    /// GOSUMDB as in force.
    pub gosumdb: String,
    /// GONOPROXY as in force.
    pub gonoproxy: String,
    /// GONOSUMDB as in force.
    pub gonosumdb: String,
    /// GOINSECURE as in force.
    pub goinsecure: String,
    /// The module that the user asks about.
    pub asked: Option<Asked>,
    /// DNS servers to ask instead of the system's.
    pub resolvers: Vec<SocketAddr>,
    /// SSL_CERT_FILE and SSL_CERT_DIR.
    pub roots: (Option<String>, Option<String>),
    /// Forward proxies.
    pub forwards: Forwards,
    /// netrc and GOAUTH.
    pub credentials: Credentials,
    /// The project's go.sum, or that of the directory.
    pub go_sum: Option<PathBuf>,
    /// GOMODCACHE.
    pub modcache: Option<PathBuf>,
    /// GOPATH's first element.
    pub gopath: Option<PathBuf>,
    /// The download to its end, and nobody asked besides.
    pub replay: Option<Replay>,
}

/// Told of each request, masked, when it begins.
pub type Told = Arc<dyn Fn(&str) + Send + Sync>;

/// The whole download as the go command does it: to its end, with version control where that is its
/// turn, and without the questions that tell causes apart but would name a module to others.
#[derive(Clone)]
pub struct Replay {
    /// Version control alone; `None` when it may not be run.
    pub origin: Option<upstream::Chain>,
    /// A directory for a zip on its way.
    pub scratch: PathBuf,
    /// Told of each request, masked, when it begins.
    pub told: Told,
    /// Where passwords and tokens of the walk go, to be taken out of what servers said. Never shown.
    pub secrets: Arc<Mutex<Vec<String>>>,
    /// Turns true when somebody has had enough: what is there then is the result.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay({})", self.scratch.display())
    }
}

impl Replay {
    /// Returns when it is to end, else never.
    pub async fn stopped(replay: Option<&Self>) {
        if let Some(replay) = replay {
            let mut stop = replay.stop.clone();
            if stop.wait_for(|stop| *stop).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

impl Targets {
    /// The endpoints that the settings name.
    pub fn new(settings: &Settings, asked: Option<&Asked>, dir: &Path) -> Self {
        let path = |name: &str| {
            let value = settings.get(name);
            let first = value.split(':').next().filter(|first| !first.is_empty());
            first.map(PathBuf::from)
        };
        let text = |name: &str| settings.os(name).map(str::to_owned);
        Self {
            goproxy: settings.get("GOPROXY"),
            gosumdb: settings.get("GOSUMDB"),
            gonoproxy: settings.get("GONOPROXY"),
            gonosumdb: settings.get("GONOSUMDB"),
            goinsecure: settings.get("GOINSECURE"),
            asked: asked.cloned(),
            resolvers: Vec::new(),
            roots: (text("SSL_CERT_FILE"), text("SSL_CERT_DIR")),
            forwards: Forwards::new(|name| settings.os(name)),
            credentials: Credentials::new(&netrc(settings), &settings.get("GOAUTH")),
            go_sum: go_sum(dir),
            modcache: path("GOMODCACHE"),
            gopath: path("GOPATH"),
            replay: None,
        }
    }

    /// Whether GONOPROXY covers a module.
    pub fn is_private(&self, path: &str) -> bool {
        Patterns::parse(&self.gonoproxy).is_ok_and(|patterns| patterns.matches(path))
    }

    /// Whether GOINSECURE lets a module's host be asked without TLS.
    pub fn is_insecure(&self, path: &str) -> bool {
        Patterns::parse(&self.goinsecure).is_ok_and(|patterns| patterns.matches(path))
    }

    /// Whether the go command would ask the checksum database for a module: it does not if
    /// GONOSUMDB covers it or go.sum has both lines already.
    pub fn wants_sumdb(&self, module: &ModuleVersion) -> bool {
        let path = module.path().as_str();
        let covered = Patterns::parse(&self.gonosumdb).is_ok_and(|p| p.matches(path));
        !covered && !matches!(self.go_sum(module), (Some(_), Some(_)))
    }

    /// What go.sum says about a module: the zip's sum and go.mod's.
    pub fn go_sum(&self, module: &ModuleVersion) -> (Option<String>, Option<String>) {
        let read = || {
            let bytes = read(self.go_sum.as_deref()?)?;
            GoSum::parse("go.sum", &bytes).ok()
        };
        let Some(sums) = read() else {
            return (None, None);
        };
        let (path, version) = (module.path().as_str(), module.version().as_str());
        let one = |go_mod| {
            let line = sums.find(path, version, go_mod).next()?;
            line.hash().map(|hash| hash.to_string())
        };
        (one(false), one(true))
    }

    /// The zip's sum as the module cache wrote it down.
    pub fn cached(&self, module: &ModuleVersion) -> Option<String> {
        let file = format!(
            "{}/@v/{}.ziphash",
            module.path().escaped(),
            module.version().escaped()
        );
        let bytes = read(&self.modcache.as_deref()?.join("cache/download").join(file))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        (text.starts_with("h1:") && text.len() < 100).then(|| text.to_owned())
    }

    /// The newest head of a checksum database that the go command keeps.
    pub fn kept_head(&self, name: &str) -> Option<Vec<u8>> {
        let file = self
            .gopath
            .as_deref()?
            .join("pkg/sumdb")
            .join(name)
            .join("latest");
        read(&file).filter(|bytes| !bytes.is_empty())
    }
}

fn netrc(settings: &Settings) -> String {
    let file = settings.os("NETRC").map(PathBuf::from);
    let file = file.or_else(|| Some(settings.home()?.join(".netrc")));
    let bytes = file.and_then(|file| read(&file)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// go.sum beside the go.mod of a directory or of one above it.
fn go_sum(dir: &Path) -> Option<PathBuf> {
    let root = dir.ancestors().find(|dir| dir.join("go.mod").is_file())?;
    Some(root.join("go.sum"))
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let meta = std::fs::metadata(file).ok()?;
    let fits = meta.is_file() && meta.len() <= FILE_BYTES_MAX;
    fits.then(|| std::fs::read(file).ok()).flatten()
}
