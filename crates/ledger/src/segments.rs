//! The frames on disk: `frames/000`, `frames/001` and so on, each only ever added to.
//!
//! This is the truth; all else in the directory is made from it. Several files instead of one, so
//! that a copy or a backup moves what is new and not everything.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::frame::{FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES};

/// How much a scan reads at once: many frames of one record, or a part of a big one.
const SCAN_BYTES: usize = 1 << 20;

/// A place in the frames. Ordered as the frames are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub segment: u32,
    pub offset: u64,
}

impl Position {
    /// A segment takes 40 bits of offset (1 TiB, far above any setting), the file's number the
    /// 24 above.
    const OFFSET_BITS: u32 = 40;

    pub fn pack(self) -> u64 {
        u64::from(self.segment) << Self::OFFSET_BITS | self.offset
    }

    pub fn unpack(packed: u64) -> Self {
        Self {
            segment: (packed >> Self::OFFSET_BITS) as u32,
            offset: packed & ((1 << Self::OFFSET_BITS) - 1),
        }
    }

    pub fn plus(self, bytes: usize) -> Self {
        Self {
            offset: self.offset + bytes as u64,
            ..self
        }
    }
}

/// The files of the frames.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    files: RwLock<Vec<Arc<File>>>,
}

impl Segments {
    /// Opens those that are there: numbered from zero without a gap.
    pub fn open(dir: &Path, write: bool) -> Result<Self, LedgerError> {
        let failed = || LedgerError::disk("read the frames", dir);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let number: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
            match number.filter(|number| *name == *file_name(*number)) {
                Some(number) => numbers.push(number),
                None => tracing::warn!(file = ?name, "not a file of the log, ignored"),
            }
        }
        numbers.sort_unstable();
        let mut files = Vec::new();
        for (expected, number) in (0..).zip(numbers) {
            let path = dir.join(file_name(expected));
            if number != expected {
                return Err(LedgerError::damaged(path.display(), "the file is missing"));
            }
            let file = File::options().read(true).write(write).open(&path);
            files.push(Arc::new(file.map_err(LedgerError::disk("open", &path))?));
        }
        Ok(Self {
            dir: dir.to_owned(),
            files: RwLock::new(files),
        })
    }

    pub fn count(&self) -> u32 {
        self.files().len() as u32
    }

    pub fn path(&self, segment: u32) -> PathBuf {
        self.dir.join(file_name(segment))
    }

    pub fn file(&self, segment: u32) -> Option<Arc<File>> {
        self.files().get(segment as usize).cloned()
    }

    fn files(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<File>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads up to `len` bytes, fewer only at the file's end.
    pub fn read(&self, at: Position, len: usize) -> Result<Vec<u8>, LedgerError> {
        let path = self.path(at.segment);
        let missing = || LedgerError::damaged(path.display(), "the file is missing");
        let file = self.file(at.segment).ok_or_else(missing)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut bytes[filled..], at.offset + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LedgerError::disk("read", &path)(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Where a frame of `len` bytes goes when the last one ends at `end`.
    pub fn place(end: Position, len: usize, segment_bytes: u64) -> Position {
        if end.offset > 0 && end.offset + len as u64 > segment_bytes {
            return Position {
                segment: end.segment + 1,
                offset: 0,
            };
        }
        end
    }

    /// Writes a frame and makes it durable. Doing it again after a failure is right and needed:
    /// after a failed sync the system may take pages for written that are not.
    pub fn write(&self, disk: &dyn Disk, at: Position, bytes: &[u8]) -> Result<(), LedgerError> {
        self.put(disk, at, bytes)?;
        self.sync(disk, at)
    }

    /// Makes the file durable in which `at` is.
    pub fn sync(&self, disk: &dyn Disk, at: Position) -> Result<(), LedgerError> {
        let path = self.path(at.segment);
        match self.file(at.segment) {
            Some(file) => disk.sync(&file).map_err(LedgerError::disk("sync", &path)),
            None => Ok(()),
        }
    }

    /// Writes a frame.
    pub fn put(&self, disk: &dyn Disk, at: Position, bytes: &[u8]) -> Result<(), LedgerError> {
        let path = self.path(at.segment);
        let file = match self.file(at.segment) {
            Some(file) => file,
            None => {
                let file = disk.open(&path).map_err(LedgerError::disk("make", &path))?;
                disk.sync_dir(&self.dir)
                    .map_err(LedgerError::disk("sync", &self.dir))?;
                let file = Arc::new(file);
                let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
                files.push(Arc::clone(&file));
                file
            }
        };
        disk.write_at(&file, bytes, at.offset)
            .map_err(LedgerError::disk("write", &path))
    }

    /// The bytes in the last file from `at` on.
    pub fn rest(&self, at: Position) -> Result<u64, LedgerError> {
        let path = self.path(at.segment);
        let Some(file) = self.file(at.segment) else {
            return Ok(0);
        };
        let about = file.metadata().map_err(LedgerError::disk("read", &path))?;
        Ok(about.len().saturating_sub(at.offset))
    }

    /// Judges what is behind the last good frame, at `at`: an error, unless it can be nothing but
    /// the beginning of one write that did not end.
    pub fn check_torn(&self, at: Position, why: FrameError) -> Result<(), LedgerError> {
        let place = format!("{} at {}", self.path(at.segment).display(), at.offset);
        let rest = self.rest(at)?;
        let last = at.segment + 1 == self.count();
        if !last || rest > FRAME_BYTES_MAX as u64 || why == FrameError::Content {
            return Err(LedgerError::damaged(place, why));
        }
        let rest = Bytes::from(self.read(at, rest as usize)?);
        if Frame::is_anywhere_in(&rest) {
            return Err(LedgerError::damaged(place, why));
        }
        Ok(())
    }

    /// Cuts the last file at `at`.
    pub fn cut(&self, disk: &dyn Disk, at: Position) -> Result<(), LedgerError> {
        let path = self.path(at.segment);
        let Some(file) = self.file(at.segment) else {
            return Ok(());
        };
        disk.truncate(&file, at.offset)
            .map_err(LedgerError::disk("cut", &path))?;
        disk.sync(&file).map_err(LedgerError::disk("sync", &path))
    }
}

/// Reads frames one after the other.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    segments: &'a Segments,
    at: Position,
    reader: Option<BufReader<ReadAt>>,
}

/// What a scan came to.
#[derive(Debug)]
pub(crate) enum Scanned {
    /// A good frame: where, the frame, its length.
    Frame(Position, Frame, usize),
    /// Nothing follows.
    End,
    /// What follows is no frame.
    Broken(Position, FrameError),
}

impl<'a> Scan<'a> {
    pub fn new(segments: &'a Segments, at: Position) -> Self {
        Self {
            segments,
            at,
            reader: None,
        }
    }

    pub fn next(&mut self) -> Result<Scanned, LedgerError> {
        loop {
            let Some(file) = self.segments.file(self.at.segment) else {
                return Ok(Scanned::End);
            };
            let at = self.at;
            let reader = self.reader.get_or_insert_with(|| {
                let offset = at.offset;
                BufReader::with_capacity(SCAN_BYTES, ReadAt { file, offset })
            });
            let path = self.segments.path(at.segment);
            let bytes = read_frame(reader).map_err(LedgerError::disk("read", &path))?;
            match bytes.and_then(|bytes| Ok((bytes.len(), Frame::parse(&bytes)?))) {
                Ok((len, frame)) => {
                    self.at = at.plus(len);
                    return Ok(Scanned::Frame(at, frame, len));
                }
                Err(FrameError::Short) if self.segments.rest(at)? == 0 => {
                    if at.segment + 1 >= self.segments.count() {
                        return Ok(Scanned::End);
                    }
                    self.reader = None;
                    self.at = Position {
                        segment: at.segment + 1,
                        offset: 0,
                    };
                }
                Err(why) => return Ok(Scanned::Broken(at, why)),
            }
        }
    }
}

/// The bytes of one frame, as long as its header says.
fn read_frame(reader: &mut impl Read) -> io::Result<Result<Bytes, FrameError>> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
    let len = match Frame::stated_len(&bytes) {
        Ok(len) => len,
        Err(why) => return Ok(Err(why)),
    };
    let body = len - HEADER_BYTES;
    reader.take(body as u64).read_to_end(&mut bytes)?;
    Ok(if bytes.len() == len {
        Ok(bytes.into())
    } else {
        Err(FrameError::Short)
    })
}

/// A file read from an offset on, whatever others do with it.
#[derive(Debug)]
struct ReadAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn file_name(number: u32) -> String {
    format!("{number:03}")
}
