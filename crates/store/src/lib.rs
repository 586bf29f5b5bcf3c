//! What modkeep keeps, and the promises about it.
//!
//! - **Atomic**: a file of a version is visible whole or not at all. Content first, then one
//!   catalog commit.
//! - **Durable**: when [`Store::keep`] returns, the file survives the end of the process and of the
//!   machine.
//! - **Kept means kept**: what is there is never replaced by other content.
//! - **Checked**: content is compared with its checksum each time it is read from disk.
//! - **One owner**: a second process on the same directory is refused.
//!
//! Layout of the data directory: `catalog.db` (rows, and small content in them: one sync for a
//! `.mod` instead of three), `blobs/ab/cdef...` (bigger content by SHA-256), `spool/` (fetches under
//! way, emptied at start), `lock`.

mod blob;
mod catalog;
mod disk;
mod heads;
mod spool;
mod sums;
mod types;
mod writer;

pub use blob::{Blob, BlobReader};
pub use disk::{Disk, RealDisk};
pub use heads::Heads;
pub use spool::{HELD_BACK, Sealed, Spool, SpoolError, SpoolReader, SpoolWriter};
pub use sums::BLOCK;
pub(crate) use types::Damage;
pub use types::{
    Answer, Content, FileKey, INLINE_MAX, KeepOutcome, Kept, Kind, Mark, Meta, NewFile, Proof,
    Totals, Unproved,
};

use bytes::Bytes;
use catalog::{FileRow, NewRow, Readers};
use gomod::path::ModulePath;
use gomod::version::Version;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use writer::{Done, Work, Writer};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the directory.
    #[error(
        "{0}: another modkeep uses this data directory; stop it, or talk to it with --server URL"
    )]
    InUse(PathBuf),
    /// The directory cannot be used at all.
    #[error("{0}")]
    Unusable(String),
    /// The disk refused.
    #[error("the disk refused: {0}")]
    Disk(#[source] io::Error),
    /// The catalog refused.
    #[error("the catalog refused: {0}")]
    Catalog(#[from] rusqlite::Error),
    /// Bytes are not what was kept. The file is marked and will be fetched again.
    #[error("{key}: the stored bytes are damaged ({what})")]
    Damaged {
        /// Which file.
        key: String,
        /// What was noticed.
        what: String,
    },
    /// The store has been shut down.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The same error for another asker in the same failed commit.
    fn again(&self) -> StoreError {
        match self {
            StoreError::Disk(e) => StoreError::Disk(io::Error::new(e.kind(), e.to_string())),
            other => StoreError::Disk(io::Error::other(other.to_string())),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(e: io::Error) -> Self {
        StoreError::Disk(e)
    }
}

/// The store of one data directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    blobs: PathBuf,
    spool: PathBuf,
    disk: Arc<dyn Disk>,
    readers: Readers,
    writer: Writer,
    next_spool: AtomicU64,
    _lock: File,
}

impl Store {
    /// Opens, or makes, the store in `dir`, and owns it until dropped.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        Self::open_on(dir, Arc::new(RealDisk))
    }

    /// As [`Store::open`], with the disk given: for tests that make it lie.
    pub fn open_on(dir: &Path, disk: Arc<dyn Disk>) -> Result<Store, StoreError> {
        let (blobs, spool) = (dir.join("blobs"), dir.join("spool"));
        let usable = |e: io::Error| {
            StoreError::Unusable(format!(
                "data directory {}: {e}; give a writable directory with --data DIR",
                dir.display()
            ))
        };
        fs::create_dir_all(&blobs)
            .and_then(|()| fs::create_dir_all(&spool))
            .map_err(usable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))
            .map_err(usable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(dir.into())),
            Err(fs::TryLockError::Error(e)) => return Err(usable(e)),
        }
        for left in fs::read_dir(&spool).map_err(usable)?.flatten() {
            disk.remove(&left.path()).map_err(usable)?;
        }
        let catalog = dir.join("catalog.db");
        let damaged = |e: StoreError| match e {
            StoreError::Unusable(_) => e,
            e => StoreError::Unusable(format!(
                "{}: {e}; if it is damaged, move the data directory away and let modkeep fetch again",
                catalog.display()
            )),
        };
        let db = catalog::open_writer(&catalog).map_err(damaged)?;
        let readers = Readers::open(&catalog).map_err(damaged)?;
        let writer = Writer::start(db, Arc::clone(&disk), blobs.clone())?;
        Ok(Store {
            dir: dir.into(),
            blobs,
            spool,
            disk,
            readers,
            writer,
            next_spool: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where files on their way may lie; emptied when the store is opened.
    pub fn spool_dir(&self) -> &Path {
        &self.spool
    }

    /// The file of this name, its small content checked. Blocks on the disk for some microseconds.
    ///
    /// A file known to be damaged counts as absent: whoever asks fetches it again.
    pub fn file(&self, key: &FileKey) -> Result<Option<Kept>, StoreError> {
        let Some(row) = self
            .readers
            .file(key)?
            .filter(|r| r.damaged == Damage::None)
        else {
            return Ok(None);
        };
        let (body, meta) = split(row);
        match body {
            Some(body) => check_small(key, body, meta).map(Some),
            None => self.open_blob(key, meta).map(Some),
        }
    }

    /// What is known of a file, damaged or not.
    pub fn meta(&self, key: &FileKey) -> Result<Option<Meta>, StoreError> {
        Ok(self.readers.file(key)?.map(|row| split(row).1))
    }

    /// Keeps a file; durable and visible when this returns `Kept`, `AlreadyKept` or `Repaired`.
    ///
    /// After an error the file may be kept all the same (the disk may report a failure after it took
    /// the bytes): ask again, the answer is never half.
    pub async fn keep(&self, file: NewFile) -> Result<KeepOutcome, StoreError> {
        let (row, sums, spooled) = match file.content {
            Content::Sealed(s) => ((s.sha256, s.size, None), Some(s.sums), Some(s.path)),
            Content::Small(bytes) if bytes.len() <= INLINE_MAX => (
                (
                    Sha256::digest(&bytes).into(),
                    bytes.len() as u64,
                    Some(bytes.to_vec()),
                ),
                None,
                None,
            ),
            Content::Small(bytes) => {
                let sealed = self.spool_whole(bytes).await?;
                (
                    (sealed.sha256, sealed.size, None),
                    Some(sealed.sums),
                    Some(sealed.path),
                )
            }
        };
        let row = FileRow {
            sha256: row.0,
            size: row.1,
            body: row.2,
            h1: file.h1,
            source: file.source,
            fetched: now(),
            inner: file.inner,
            proof: file.proof,
            damaged: Damage::None,
        };
        let row = Box::new(NewRow {
            key: file.key,
            row,
            blob_sums: sums,
        });
        match self
            .writer
            .submit(Work::Keep {
                row,
                spooled: spooled.clone(),
            })
            .await
        {
            Ok(Done::Kept(outcome)) => Ok(outcome),
            other => {
                // What was moved away is not there any more; the rest is of no use to anybody.
                if let Some(left) = spooled {
                    let _ = self.disk.remove(&left);
                }
                Err(other.err().unwrap_or(StoreError::Stopped))
            }
        }
    }

    /// The last answer to a question that may change.
    pub fn answer(
        &self,
        module: &ModulePath,
        question: &str,
    ) -> Result<Option<Answer>, StoreError> {
        self.readers.answer(module.as_str(), question)
    }

    /// Keeps an answer in place of the one before.
    pub async fn keep_answer(
        &self,
        module: &ModulePath,
        question: &str,
        answer: Answer,
    ) -> Result<(), StoreError> {
        let (module, question) = (module.to_string(), question.to_owned());
        self.writer
            .submit(Work::Answer {
                module,
                question,
                answer,
            })
            .await
            .map(drop)
    }

    /// Versions of a module that have a file of this kind; at most `limit`, in no particular order.
    pub fn versions(
        &self,
        module: &ModulePath,
        kind: Kind,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.readers.versions(module.as_str(), kind, limit)
    }

    /// What is kept, counted. Reads the whole catalog: for metrics, not for requests.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.readers.totals()
    }

    /// Changes what is known of a file.
    pub async fn mark(&self, key: &FileKey, mark: Mark) -> Result<(), StoreError> {
        self.writer
            .submit(Work::Mark(key.clone(), mark))
            .await
            .map(drop)
    }

    /// What a checksum database said before, proved. Blocks on the disk for some microseconds.
    pub fn sum(&self, name: &str, path: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.readers.sum(name, path)?.map(Bytes::from))
    }

    /// Paths below this one that something is kept of, at most 256. Blocks on the disk for some microseconds.
    pub fn sums_below(&self, name: &str, path: &str) -> Result<Vec<String>, StoreError> {
        // The byte after a slash ends what is below it.
        self.readers
            .sum_paths(name, &format!("{path}/"), &format!("{path}0"))
    }

    /// Keeps what a checksum database said, all of it or nothing.
    pub async fn keep_sums(
        &self,
        name: &str,
        rows: Vec<(String, Bytes)>,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer
            .submit(Work::Sums { name, rows })
            .await
            .map(drop)
    }

    /// Files that no checksum database has been asked about yet, in rows after `after`.
    pub fn unproved(&self, after: i64, limit: usize) -> Result<Vec<Unproved>, StoreError> {
        let rows = self.readers.unproved(after, limit)?;
        let named = rows
            .into_iter()
            .filter_map(|(row, module, version, kind, h1)| {
                let module = ModulePath::parse(&module).ok()?;
                let version = Version::parse(&version).ok()?;
                Some(Unproved {
                    row,
                    key: FileKey {
                        module,
                        version,
                        kind,
                    },
                    h1,
                })
            });
        Ok(named.collect())
    }

    /// Which files are kept, withheld ones too, in rows after `after`: the row and the name. A row whose
    /// name cannot be one, after damage to the catalog, has none.
    pub fn listed(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Option<FileKey>)>, StoreError> {
        let rows = self.readers.named(after, limit)?.into_iter();
        let named = rows.map(|(row, module, version, kind)| {
            let key = || {
                Some(FileKey {
                    module: ModulePath::parse(&module).ok()?,
                    version: Version::parse(&version).ok()?,
                    kind: Kind::ALL.into_iter().find(|k| *k as i64 == kind)?,
                })
            };
            (row, key())
        });
        Ok(named.collect())
    }

    /// Forgets a module's changeable answers and, with `files`, its kept files too (of one version
    /// or of all). Gives the number of things forgotten.
    pub async fn forget(
        &self,
        module: &ModulePath,
        version: Option<&Version>,
        files: bool,
    ) -> Result<u64, StoreError> {
        let work = Work::Forget {
            module: module.to_string(),
            version: version.map(ToString::to_string),
            files,
        };
        match self.writer.submit(work).await? {
            Done::Rows(rows) => Ok(rows),
            Done::Kept(_) => Ok(0),
        }
    }

    /// A new growing file. Blocks on the disk.
    pub fn spool(&self, total: Option<u64>) -> Result<(SpoolWriter, Spool), StoreError> {
        let id = self.next_spool.fetch_add(1, Ordering::Relaxed);
        let path = self.spool.join(format!("{id}.part"));
        Ok(SpoolWriter::create(
            Arc::clone(&self.disk),
            path,
            id,
            total,
        )?)
    }

    /// Whether the data directory takes writes now. Blocks on the disk.
    pub fn probe(&self) -> Result<(), StoreError> {
        let (mut probe, _) = self.spool(None)?;
        probe.write(b"modkeep")?;
        Ok(())
    }

    /// Writes a file of evidence into the data directory's `evidence` folder and gives its path.
    /// Blocks on the disk.
    pub fn keep_evidence(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let place = self.dir.join("evidence").join(name);
        let (mut writer, _) = self.spool(None)?;
        writer.write(bytes)?;
        let sealed = writer.seal()?;
        self.disk.publish(&sealed.path, &place)?;
        Ok(place)
    }

    async fn spool_whole(&self, bytes: Bytes) -> Result<Sealed, StoreError> {
        let (mut writer, _) = self.spool(Some(bytes.len() as u64))?;
        let sealed = tokio::task::spawn_blocking(move || {
            writer.write(&bytes)?;
            let sealed = writer.seal()?;
            writer.release();
            Ok::<_, io::Error>(sealed)
        });
        Ok(sealed.await.map_err(|_| StoreError::Stopped)??)
    }

    fn open_blob(&self, key: &FileKey, meta: Meta) -> Result<Kept, StoreError> {
        let damaged = |what: &str| StoreError::Damaged {
            key: key.to_string(),
            what: what.into(),
        };
        let sums = self
            .readers
            .blob_sums(&meta.sha256, meta.size)?
            .ok_or_else(|| damaged("block sums are missing"))?;
        let path = blob_path(&self.blobs, &meta.sha256);
        Ok(Kept::Blob(
            Arc::new(Blob::new(key.clone(), path, meta.size, sums)),
            meta,
        ))
    }
}

fn check_small(key: &FileKey, body: Vec<u8>, meta: Meta) -> Result<Kept, StoreError> {
    if <[u8; 32]>::from(Sha256::digest(&body)) != meta.sha256 {
        return Err(StoreError::Damaged {
            key: key.to_string(),
            what: "SHA-256 differs".into(),
        });
    }
    Ok(Kept::Small(body.into(), meta))
}

fn split(row: FileRow) -> (Option<Vec<u8>>, Meta) {
    let FileRow {
        sha256,
        size,
        body,
        h1,
        source,
        fetched,
        inner,
        proof,
        damaged,
    } = row;
    let withheld = damaged != Damage::None;
    (
        body,
        Meta {
            sha256,
            size,
            h1,
            source,
            fetched,
            inner,
            proof,
            withheld,
        },
    )
}

/// Where content of this SHA-256 lives. 256 folders keep each one small.
pub(crate) fn blob_path(blobs: &Path, sha256: &[u8; 32]) -> PathBuf {
    let name = hex::encode(sha256);
    blobs.join(&name[..2]).join(&name[2..])
}

/// Unix seconds. The store stamps what it keeps; nothing is decided by this clock.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}
