//! The last signed head in a second place: a file, best on another disk.
//!
//! A log that was restored from a backup, or copied, is sound in itself and yet must not go on: it
//! would sign a second root for a size that clients have seen. Only something outside the copy can
//! know. So no head is shown before it is here, moved there by compare-and-swap, and start-up
//! compares.
//!
//! The file has two slots of 4 KiB, written in turn, each a text with a checksum: a write that
//! tears leaves the other slot, and a move costs one sync, where writing a new file and renaming
//! it costs two and new blocks. It stays the same file, so one lock on it, held as long as the log
//! is open, keeps other processes out.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::TreeHead;
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
use crate::error::{LedgerError, WitnessRefusal};

const SLOT_BYTES: u64 = 4096;
const TITLE: &str = "modkeep log witness/1";

/// What the second place knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Witnessed {
    /// Counts moves; the greater slot is the newer.
    pub turn: u64,
    /// The key's name and hash.
    pub log: String,
    /// Which opening of the log wrote it. Never goes back.
    pub epoch: u64,
    /// The last signed head.
    pub head: TreeHead,
    /// Which directory the log is in.
    pub owner: String,
}

/// The witness file, locked.
#[derive(Debug)]
pub(crate) struct WitnessFile {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    state: Option<Witnessed>,
}

impl WitnessFile {
    /// Opens and locks the file, made empty if it is not there.
    pub fn open(path: &Path, disk: Arc<dyn Disk>) -> Result<Self, LedgerError> {
        let failed = || LedgerError::disk("open the witness file", path);
        let fresh = !path.exists();
        let file = disk.open(path).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refusal(path, WitnessRefusal::Locked));
            }
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        if fresh && let Some(parent) = path.parent() {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            disk.sync_dir(parent).map_err(failed())?;
        }
        let mut witness = Self {
            path: path.to_owned(),
            file,
            disk,
            state: None,
        };
        witness.state = witness.load()?;
        Ok(witness)
    }

    /// What the file said when it was opened or last moved; `None` if it was empty.
    pub fn state(&self) -> Option<&Witnessed> {
        self.state.as_ref()
    }

    pub fn refuse(&self, why: WitnessRefusal) -> LedgerError {
        refusal(&self.path, why)
    }

    /// Moves the file on, if it still says what it said. Doing it again after a failure is right.
    pub fn swap(&mut self, mut new: Witnessed) -> Result<(), LedgerError> {
        new.turn = self.state.as_ref().map_or(0, |state| state.turn) + 1;
        let there = self.load()?;
        if there != self.state && there.as_ref() != Some(&new) {
            return Err(self.refuse(WitnessRefusal::Moved));
        }
        let mut text = new.render().into_bytes();
        text.resize(SLOT_BYTES as usize, b'\n');
        let slot = new.turn % 2 * SLOT_BYTES;
        let write = || -> io::Result<()> {
            self.disk.write_at(&self.file, &text, slot)?;
            self.disk.sync(&self.file)
        };
        write().map_err(LedgerError::disk("write the witness file", &self.path))?;
        self.state = Some(new);
        Ok(())
    }

    /// What the file at `path` says, without locking it.
    pub fn look(path: &Path) -> Result<Option<Witnessed>, LedgerError> {
        let file = File::open(path).map_err(LedgerError::disk("open the witness file", path))?;
        let witness = Self {
            path: path.to_owned(),
            file,
            disk: Arc::new(crate::RealDisk),
            state: None,
        };
        witness.load()
    }

    fn load(&self) -> Result<Option<Witnessed>, LedgerError> {
        let failed = || LedgerError::disk("read the witness file", &self.path);
        let mut bytes = [0; 2 * SLOT_BYTES as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed()(error)),
            }
        }
        let (slots, _) = bytes.as_chunks::<{ SLOT_BYTES as usize }>();
        let newest = slots
            .iter()
            .filter_map(|slot| Witnessed::parse(slot))
            .max_by_key(|state| state.turn);
        match newest {
            Some(state) => Ok(Some(state)),
            // A first write that tore has shown nothing yet: it fills the second slot, and the
            // first stays empty. Later there is always a whole slot.
            None if bytes[..SLOT_BYTES as usize].iter().all(|byte| *byte == 0) => Ok(None),
            None => Err(self.refuse(WitnessRefusal::Damaged)),
        }
    }
}

fn refusal(path: &Path, why: WitnessRefusal) -> LedgerError {
    LedgerError::Witness {
        path: path.to_owned(),
        why,
    }
}

impl Witnessed {
    fn body(&self) -> String {
        let Self {
            turn,
            log,
            epoch,
            head,
            owner,
        } = self;
        let TreeHead { size, hash } = head;
        format!("{TITLE}\n{turn}\n{log}\n{epoch}\n{size}\n{hash}\n{owner}\n")
    }

    fn render(&self) -> String {
        let body = self.body();
        format!("{body}{:016x}\n", xxh3_64(body.as_bytes()))
    }

    /// Reads, renders again and compares.
    fn parse(slot: &[u8]) -> Option<Self> {
        let end = slot.iter().position(|byte| *byte == 0);
        let text = std::str::from_utf8(&slot[..end.unwrap_or(slot.len())]).ok()?;
        let mut lines = text.lines().skip(1);
        let mut line = || lines.next();
        let state = Self {
            turn: line()?.parse().ok()?,
            log: line()?.to_owned(),
            epoch: line()?.parse().ok()?,
            head: TreeHead {
                size: line()?.parse().ok()?,
                hash: line()?.parse().ok()?,
            },
            owner: line()?.to_owned(),
        };
        (text.trim_end_matches('\n') == state.render().trim_end_matches('\n')).then_some(state)
    }
}
