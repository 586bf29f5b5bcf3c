//! What is kept, in words: names, contents, and what is known of them.

use crate::{Blob, Sealed};
use bytes::Bytes;
use gomod::path::ModulePath;
use gomod::version::Version;
use std::sync::Arc;

/// Content up to this size lives in its catalog row, where one disk sync makes many files durable
/// at once. 256 KiB: nearly every `.mod` and `.info`, and half of all zips.
pub const INLINE_MAX: usize = 256 << 10;

/// Which file of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `.info`
    Info = 0,
    /// `.mod`
    Mod = 1,
    /// `.zip`
    Zip = 2,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Info, Kind::Mod, Kind::Zip];

    /// The suffix in a GOPROXY path.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Info => ".info",
            Kind::Mod => ".mod",
            Kind::Zip => ".zip",
        }
    }
}

/// The name of a kept file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The module.
    pub module: ModulePath,
    /// The canonical version.
    pub version: Version,
    /// Which of its files.
    pub kind: Kind,
}

impl std::fmt::Display for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}{}", self.module, self.version, self.kind.suffix())
    }
}

/// What a checksum database says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nobody has been asked yet, or nobody answered.
    Open = 0,
    /// Its proved record has this hash.
    Proved = 1,
    /// By the settings nobody is asked, or the file has no hash of its own.
    NotAsked = 2,
}

/// Whether a file's bytes may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    None,
    Damaged,
    Quarantined,
}

/// A change of what is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its bytes are not what was kept: it counts as absent until it is fetched again.
    Damaged,
    /// The checksum database has another hash: it counts as absent.
    Quarantined,
    /// The checksum database has the same hash.
    Proved,
}

/// A file that no checksum database has been asked about yet.
#[derive(Clone, Debug)]
pub struct Unproved {
    /// Its place in the catalog, to go on from.
    pub row: i64,
    /// Its name.
    pub key: FileKey,
    /// Its `h1:` hash.
    pub h1: [u8; 32],
}

/// What is kept, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no checksum database has proved, and that one should.
    pub unproved: u64,
}

/// What is known of a kept file besides its bytes.
#[derive(Clone, Debug)]
pub struct Meta {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Length in bytes.
    pub size: u64,
    /// The `h1:` hash, for `.mod` and `.zip`.
    pub h1: Option<[u8; 32]>,
    /// Where it came from.
    pub source: String,
    /// When, in Unix seconds.
    pub fetched: i64,
    /// The `h1:` hash of a zip's own go.mod, if it has one.
    pub inner: Option<[u8; 32]>,
    /// What a checksum database says of it.
    pub proof: Proof,
    /// Whether it is kept back: damaged, or contradicted by a checksum database.
    pub withheld: bool,
}

/// A kept file.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Small content, already checked.
    Small(Bytes, Meta),
    /// Content on disk, checked while it is read.
    Blob(Arc<Blob>, Meta),
}

/// An answer that may change: a list, `@latest`, a branch query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body as the upstream gave it.
    pub body: Bytes,
    /// Who gave it.
    pub source: String,
    /// When, in Unix seconds.
    pub fetched: i64,
}

/// Content to be kept.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Small(Bytes),
    /// In the spool.
    Sealed(Sealed),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Small(bytes) => bytes.len() as u64,
            Content::Sealed(sealed) => sealed.size,
        }
    }

    /// Whether it is of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file to be kept.
#[derive(Debug)]
pub struct NewFile {
    /// Its name.
    pub key: FileKey,
    /// Its bytes.
    pub content: Content,
    /// Its `h1:` hash, for `.mod` and `.zip`.
    pub h1: Option<[u8; 32]>,
    /// Where it came from, without credentials.
    pub source: String,
    /// The `h1:` hash of a zip's own go.mod, if it has one.
    pub inner: Option<[u8; 32]>,
    /// What a checksum database says of it.
    pub proof: Proof,
}

/// What became of a file given to [`Store::keep`](crate::Store::keep).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepOutcome {
    /// It is kept now.
    Kept,
    /// It was kept before, with the same content.
    AlreadyKept,
    /// The kept bytes were damaged; these replaced them.
    Repaired,
    /// Other content is kept under this name, and stays.
    Differs,
}
