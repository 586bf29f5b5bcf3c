//! Kept content on disk, and the reading of it: each block is compared with its sum before it is
//! given out, so damaged bytes never leave, wherever a reader starts.

use crate::sums::{BLOCK, block_sum};
use crate::{FileKey, StoreError};
use bytes::Bytes;
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Content named by a catalog row.
#[derive(Debug)]
pub struct Blob {
    key: FileKey,
    path: PathBuf,
    size: u64,
    sums: Vec<u64>,
}

impl Blob {
    pub(crate) fn new(key: FileKey, path: PathBuf, size: u64, sums: Vec<u64>) -> Self {
        Self {
            key,
            path,
            size,
            sums,
        }
    }

    /// Whose content it is.
    pub fn key(&self) -> &FileKey {
        &self.key
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens it for reading the bytes `start..end`. Notices a missing or shortened file at once.
    pub fn open(self: &Arc<Self>, start: u64, end: u64) -> Result<BlobReader, StoreError> {
        let file = File::open(&self.path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => self.damaged("the file is gone"),
            _ => StoreError::Disk(e),
        })?;
        if file.metadata()?.len() != self.size {
            return Err(self.damaged("its length differs"));
        }
        Ok(BlobReader {
            blob: Arc::clone(self),
            file: Arc::new(file),
            at: start,
            end: end.min(self.size),
        })
    }

    /// Reads all of it into memory. Blocks on the disk.
    pub fn read_all(self: &Arc<Self>) -> Result<Bytes, StoreError> {
        let mut reader = self.open(0, self.size)?;
        let mut whole = Vec::with_capacity(self.size as usize);
        while let Some(block) = reader.next_blocking()? {
            whole.extend_from_slice(&block);
        }
        Ok(whole.into())
    }

    /// Opens the file itself, unchecked: for those that hash all of it.
    pub fn file(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged {
            key: self.key.to_string(),
            what: what.into(),
        }
    }

    fn block(&self, index: u64) -> (u64, usize) {
        let start = index * BLOCK as u64;
        (start, (self.size - start).min(BLOCK as u64) as usize)
    }

    fn check(&self, index: u64, block: &[u8]) -> Result<(), StoreError> {
        match self.sums.get(index as usize) {
            Some(sum) if *sum == block_sum(block) => Ok(()),
            _ => Err(self.damaged(&format!("block {index} differs from its sum"))),
        }
    }
}

/// Reads a range of a blob, block by block.
#[derive(Debug)]
pub struct BlobReader {
    blob: Arc<Blob>,
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl BlobReader {
    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// The blob that is read.
    pub fn blob(&self) -> &Arc<Blob> {
        &self.blob
    }

    /// The next block if the system has it in memory; `None` if the disk has to be asked, which is
    /// [`BlobReader::next_blocking`]'s work. Never blocks.
    pub fn next_cached(&mut self) -> Option<Result<Bytes, StoreError>> {
        let (start, len) = self.blob.block(self.at / BLOCK as u64);
        let mut buffer = buffers().take();
        buffer.resize(len, 0);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        match rustix::io::preadv2(&*self.file, &mut slices, start, ReadWriteFlags::NOWAIT) {
            Ok(n) if n == len => Some(self.give(buffer)),
            // In part, not at all, or not by this kernel or file system.
            _ => {
                buffers().put(buffer);
                None
            }
        }
    }

    /// The next block, `None` at the end. Blocks on the disk.
    pub fn next_blocking(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        let (start, len) = self.blob.block(self.at / BLOCK as u64);
        let mut buffer = buffers().take();
        buffer.resize(len, 0);
        self.file
            .read_exact_at(&mut buffer, start)
            .map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => self.blob.damaged("it became shorter"),
                _ => StoreError::Disk(e),
            })?;
        self.give(buffer).map(Some)
    }

    fn give(&mut self, buffer: Vec<u8>) -> Result<Bytes, StoreError> {
        let index = self.at / BLOCK as u64;
        self.blob.check(index, &buffer)?;
        let start = index * BLOCK as u64;
        let from = (self.at - start) as usize;
        let to = ((self.end - start) as usize).min(buffer.len());
        self.at = start + to as u64;
        Ok(Bytes::from_owner(Lent(buffer)).slice(from..to))
    }
}

/// Buffers in use again and again: a fresh block costs more in page faults than the read itself.
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// Idle buffers kept, 2 MiB in all.
const IDLE: usize = 32;

fn buffers() -> &'static Buffers {
    static BUFFERS: Buffers = Buffers(Mutex::new(Vec::new()));
    &BUFFERS
}

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Vec::with_capacity(BLOCK))
    }

    fn put(&self, buffer: Vec<u8>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(buffer);
        }
    }
}

/// A buffer that goes back to the idle ones when the last reader of its bytes is done.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        buffers().put(std::mem::take(&mut self.0));
    }
}
