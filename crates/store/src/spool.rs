//! A spool: a file that grows while it is fetched, and that any number of readers follow.
//!
//! Readers may have all but the last [`HELD_BACK`] bytes before the whole has been checked. A zip's
//! directory is at its end, so what a reader has by then is not a usable zip: nobody ever holds a
//! whole unchecked one. The last bytes are let go by [`SpoolWriter::release`] or never.

use crate::disk::Disk;
use crate::sums::Summer;
use crate::{Content, INLINE_MAX};
use bytes::Bytes;
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes withheld until the whole is checked. 16 KiB: far more than the 22 bytes that make a zip
/// readable, few enough that the first byte of a slow download is not late.
pub const HELD_BACK: u64 = 16 << 10;

/// Bytes that a reader takes at once.
const READ: u64 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Growing,
    Whole,
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    released: u64,
    stage: Stage,
}

/// A handle on a growing file: gives out readers.
#[derive(Clone, Debug)]
pub struct Spool {
    id: u64,
    file: Arc<File>,
    total: Option<u64>,
    progress: watch::Receiver<Progress>,
}

impl Spool {
    /// The size that was announced, if any.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// A reader from the first byte.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            spool: self.clone(),
            at: 0,
        }
    }

    /// Tells two spools apart.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits until there is something to read. False: it was cut before.
    pub async fn started(&mut self) -> bool {
        let begun = self
            .progress
            .wait_for(|p| p.released > 0 || p.stage != Stage::Growing)
            .await;
        begun.is_ok_and(|p| p.stage != Stage::Cut)
    }
}

/// Why a reader's bytes end early.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The fetch failed or its result was refused.
    #[error("the download was cut")]
    Cut,
    /// The spool could not be read.
    #[error("reading the spool: {0}")]
    Io(#[from] io::Error),
}

/// One follower of a spool.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    at: u64,
}

impl SpoolReader {
    /// The next bytes, in order; `None` at the end of a whole, checked file.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        let at = self.at;
        let seen = self
            .spool
            .progress
            .wait_for(|p| p.released > at || p.stage != Stage::Growing)
            .await
            .map(|p| *p)
            .map_err(|_| SpoolError::Cut)?;
        match seen.stage {
            Stage::Cut => return Err(SpoolError::Cut),
            Stage::Whole if seen.released == at => return Ok(None),
            Stage::Whole | Stage::Growing => {}
        }
        let want = (seen.released - at).min(READ) as usize;
        let mut buffer = vec![0; want];
        let file = Arc::clone(&self.spool.file);
        // What was just written is still in the system's memory, unless the reader is far behind.
        if read_cached(&file, &mut buffer, at) != want {
            let read = tokio::task::spawn_blocking(move || {
                file.read_exact_at(&mut buffer, at).map(|()| buffer)
            });
            buffer = read.await.map_err(|_| SpoolError::Cut)??;
        }
        self.at += buffer.len() as u64;
        Ok(Some(buffer.into()))
    }
}

/// The writing side. Dropping it without [`SpoolWriter::release`] cuts all readers off and removes
/// the file.
#[derive(Debug)]
pub struct SpoolWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: File,
    len: u64,
    total: Option<u64>,
    summer: Option<Summer>,
    progress: watch::Sender<Progress>,
    kept: bool,
}

impl std::fmt::Debug for Summer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Summer")
    }
}

impl SpoolWriter {
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        id: u64,
        total: Option<u64>,
    ) -> io::Result<(Self, Spool)> {
        let file = disk.create(&path)?;
        let (progress, follow) = watch::channel(Progress {
            released: 0,
            stage: Stage::Growing,
        });
        let spool = Spool {
            id,
            file: Arc::new(file.try_clone()?),
            total,
            progress: follow,
        };
        let writer = Self {
            disk,
            path,
            file,
            len: 0,
            total,
            summer: Some(Summer::default()),
            progress,
            kept: false,
        };
        Ok((writer, spool))
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Nothing written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes and lets readers have what may be let go. Blocks on the disk. After an error
    /// nobody knows what the file holds, so everything that follows fails too.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut summer = self.summer.take().ok_or_else(spoilt)?;
        self.disk.append(&mut self.file, bytes)?;
        summer.update(bytes);
        self.summer = Some(summer);
        self.len += bytes.len() as u64;
        let released = match self.total {
            Some(total) => self.len.min(total.saturating_sub(HELD_BACK)),
            None => self.len.saturating_sub(HELD_BACK),
        };
        if released > self.progress.borrow().released {
            self.progress.send_replace(Progress {
                released,
                stage: Stage::Growing,
            });
        }
        Ok(())
    }

    /// Reads back what was written.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    /// Opens the file for reading, as often as wanted.
    pub fn opener(&self) -> impl Fn() -> io::Result<File> + Send + Sync + use<> {
        let path = self.path.clone();
        move || File::open(&path)
    }

    /// What was written, to be kept: small content is read back and becomes durable with its row,
    /// bigger content is made durable here. Blocks on the disk.
    pub fn content(&mut self) -> io::Result<Content> {
        if self.len <= INLINE_MAX as u64 {
            self.summer.as_ref().ok_or_else(spoilt)?;
            let mut bytes = vec![0; self.len as usize];
            self.read_at(&mut bytes, 0)?;
            return Ok(Content::Small(bytes.into()));
        }
        self.seal().map(Content::Sealed)
    }

    /// Makes the content durable and gives its sums. Blocks on the disk. Not to be tried again after
    /// an error: the system forgets about pages that it failed to write, and would say that all is
    /// well.
    pub(crate) fn seal(&mut self) -> io::Result<Sealed> {
        let summer = self.summer.take().ok_or_else(spoilt)?;
        self.disk.sync(&self.file)?;
        let (sha256, sums, size) = summer.finish();
        Ok(Sealed {
            path: self.path.clone(),
            sha256,
            sums,
            size,
        })
    }

    /// Lets the last bytes go: the whole is checked and kept.
    pub fn release(mut self) {
        // Small content was copied into the catalog; bigger content has been moved away.
        self.kept = self.len > INLINE_MAX as u64;
        self.progress.send_replace(Progress {
            released: self.len,
            stage: Stage::Whole,
        });
    }
}

/// Reads without waiting for the disk; the number of bytes that were to be had so.
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> usize {
    let mut slices = [IoSliceMut::new(buffer)];
    rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

fn spoilt() -> io::Error {
    io::Error::other("an earlier write failed")
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if !self.kept {
            self.progress.send_modify(|p| {
                if p.stage == Stage::Growing {
                    p.stage = Stage::Cut;
                }
            });
            // A file left behind is removed at the next start.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A finished spool, durable but not yet anybody's.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub(crate) path: PathBuf,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    pub(crate) sums: Vec<u64>,
    /// Length in bytes.
    pub size: u64,
}

impl Sealed {
    /// Where the bytes are until they are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
