//! What a direct fetch may do and use.

use std::path::PathBuf;
use std::time::Duration;

use gomod::govcs::GoVcs;
use gomod::pattern::Patterns;

use super::credentials::Credentials;

/// Settings of a [`Direct`](super::Direct).
#[derive(Clone, Debug)]
pub struct DirectSettings {
    /// Where clones live. Ours alone: anything in it may be deleted.
    pub cache_dir: PathBuf,
    /// Module paths that may lead to private addresses and use credentials (GOPRIVATE grammar).
    pub private: Patterns,
    /// Module paths whose discovery may fall back to plain HTTP (GOINSECURE grammar).
    pub insecure: Patterns,
    /// Which programs may be run for which modules (GOVCS grammar).
    pub vcs_rules: GoVcs,
    /// Bounds of everything.
    pub limits: Limits,
    /// Credentials per prefix, besides those that the programs find themselves.
    pub credentials: Credentials,
    /// Answer from clones only; whatever would need the network is unreachable.
    pub offline: bool,
    /// Variables for programs that reach a network, over our own environment: another `HOME`
    /// with its git and ssh settings, a `GIT_SSH_COMMAND`.
    pub environment: Vec<(String, String)>,
}

impl DirectSettings {
    /// The defaults of the go command: nothing private, GOVCS `private:all,public:git|hg`.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            private: Patterns::default(),
            insecure: Patterns::default(),
            vcs_rules: GoVcs::default().with_defaults(),
            limits: Limits::default(),
            credentials: Credentials::default(),
            offline: false,
            environment: Vec::new(),
        }
    }

    /// A variable as programs that reach a network see it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let own = self.environment.iter().rev().find(|(key, _)| key == name);
        own.map(|(_, value)| value.clone())
            .or_else(|| std::env::var(name).ok())
    }
}

/// Bounds on what repositories, which are hostile until proven otherwise, can cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All clones together; the least recently used go first. Default 20 GiB.
    pub disk_bytes: u64,
    /// One clone, and any one file a program writes. Default 8 GiB.
    pub repo_bytes: u64,
    /// A clone unused for so long is deleted. Default 30 days.
    pub idle: Duration,
    /// One run of a program. Default 10 minutes: a full history over a slow line.
    pub process_time: Duration,
    /// Private memory of one process. Default 4 GiB: git packs big objects in memory.
    pub process_memory_bytes: u64,
    /// Standard output of one program, archives excepted. Default 64 MiB, as four go.mod files
    /// of the greatest size must fit.
    pub output_bytes: u64,
    /// Programs running at the same time. Default 8.
    pub parallel: usize,
    /// How long the list of a repository's branches and tags is taken as current. Default 10 s:
    /// the list, info, mod and zip requests of one `go get` share one question to the origin.
    pub refs_fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            disk_bytes: 20 << 30,
            repo_bytes: 8 << 30,
            idle: Duration::from_secs(30 * 24 * 3600),
            process_time: Duration::from_secs(600),
            process_memory_bytes: 4 << 30,
            output_bytes: 64 << 20,
            parallel: 8,
            refs_fresh: Duration::from_secs(10),
        }
    }
}
