//! What is on this machine's disks: caches, locks, local state.

use serde::{Deserialize, Serialize};

/// Directories that go writes, and what is in them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalFacts {
    /// Who runs this.
    pub uid: Option<u32>,
    /// GOMODCACHE, GOCACHE, GOTMPDIR, GOPATH.
    pub dirs: Option<Vec<DirFacts>>,
    /// Lock files of the caches.
    pub locks: Option<Vec<LockFacts>>,
    /// A sample of the module cache's content.
    pub cache: Option<CacheFacts>,
    /// The go command's memory of checksum databases.
    pub sumdb: Option<SumdbFacts>,
    /// Clones under `cache/vcs`.
    pub vcs: Option<Vec<VcsClone>>,
}

/// One directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirFacts {
    /// The setting that names it.
    pub role: String,
    /// Its path.
    pub path: String,
    /// Whether it is there.
    pub exists: Option<bool>,
    /// Whether what is there is a directory.
    pub is_dir: Option<bool>,
    /// The directory itself or the nearest one above it that is there: the other facts are its.
    pub nearest: Option<String>,
    /// Who owns that.
    pub uid: Option<u32>,
    /// Its permission bits.
    pub mode: Option<u32>,
    /// Whether this user may write there.
    pub writable: Option<bool>,
    /// Why it may not.
    pub error: Option<String>,
    /// The file system's kind, such as `ext4`, `nfs4`.
    pub file_system: Option<String>,
    /// Mounted read-only.
    pub read_only: Option<bool>,
    /// Programs may not be started from it.
    pub noexec: Option<bool>,
    /// Bytes that this user may still write.
    pub free_bytes: Option<u64>,
    /// Size of the file system.
    pub total_bytes: Option<u64>,
    /// Files that may still be made.
    pub free_inodes: Option<u64>,
    /// Files it can hold at all; 0 where the file system does not count.
    pub total_inodes: Option<u64>,
    /// Longest file name in bytes.
    pub name_max: Option<u64>,
    /// An entry below that belongs to somebody else, found in a short look: path and owner.
    pub foreign: Option<(String, u32)>,
}

/// One lock file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockFacts {
    /// Its path.
    pub path: String,
    /// Whether somebody holds it now.
    pub held: Option<bool>,
    /// Processes that hold it, with their names.
    pub holders: Vec<(u32, String)>,
    /// How long the oldest holder has been running, in seconds.
    pub holder_age_s: Option<u64>,
    /// Whether the file system can lock at all.
    pub supported: Option<bool>,
    /// What asking for the lock said.
    pub error: Option<String>,
}

/// Kinds of damage in the module cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// The archive does not open.
    Unreadable,
    /// The archive's content is not what `.ziphash` says.
    Ziphash,
    /// The archive has another hash than the project's go.sum.
    GoSum,
    /// A file of the extracted tree is missing or has another size or content.
    Tree,
    /// A small file (`.info`, `.mod`, `.ziphash`) is empty or no such thing.
    Small,
}

/// A damaged entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Damage {
    /// What is wrong with it.
    pub kind: DamageKind,
    /// The module, if the place tells.
    #[serde(default)]
    pub module: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
    /// The damaged file.
    pub path: String,
    /// What was found.
    pub detail: String,
}

/// Something that an interrupted go command left behind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Leftover {
    /// The file or directory.
    pub path: String,
    /// Its bytes; of a directory 0.
    pub bytes: u64,
    /// Seconds since it was changed.
    pub age_s: Option<u64>,
}

/// A sample of the module cache.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheFacts {
    /// Zips that were opened and hashed.
    pub zips_checked: usize,
    /// Extracted trees that were compared with their zip.
    pub trees_checked: usize,
    /// Zips that were seen in all.
    pub zips_seen: usize,
    /// Whether the walk ended before the tree did (time or number).
    pub partial: bool,
    /// What is damaged.
    pub damaged: Vec<Damage>,
    /// What was left behind.
    pub leftovers: Vec<Leftover>,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

/// A file of a checksum database's local state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SumdbFile {
    /// Its path.
    pub path: String,
    /// The database, such as `sum.golang.org`.
    pub database: String,
    /// Its bytes.
    pub bytes: u64,
    /// What is wrong; `None` if nothing is.
    pub wrong: Option<String>,
    /// `latest`: the size of the tree it signs.
    pub tree_size: Option<u64>,
}

/// The go command's memory of checksum databases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SumdbFacts {
    /// `GOPATH/pkg/sumdb/NAME/latest`.
    pub latest: Vec<SumdbFile>,
    /// Tiles of the module cache that were looked at and are damaged.
    pub bad_tiles: Vec<SumdbFile>,
    /// Tiles looked at.
    pub tiles_checked: usize,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

/// A clone in the module cache.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VcsClone {
    /// Its directory.
    pub path: String,
    /// `git`, `hg`, ...
    pub kind: String,
    /// The remote it is of, masked.
    pub remote: Option<String>,
    /// Lock files of git inside it, with their age in seconds.
    pub locks: Vec<(String, u64)>,
    /// What is missing or broken.
    pub wrong: Option<String>,
    /// Who owns it, where that is not the user.
    pub foreign_uid: Option<u32>,
}
