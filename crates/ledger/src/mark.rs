//! How far the derived files are durable: the state from which start-up replays the frames.
//!
//! A mark is the state *before* the last frame that was applied, so every start reads at least one
//! frame again: the one that holds the signed heads and may need to be made durable once more.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tlog::hash::HASH_BYTES;
use tlog::{Hash, TreeHead};
use xxhash_rust::xxh3::xxh3_128;

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::segments::Position;

const MAGIC: [u8; 8] = *b"mkmark/1";
const SUM: usize = 72;
pub(crate) const MARK_BYTES: usize = SUM + 16;

/// A state of the log between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The tree.
    pub head: TreeHead,
    /// The next frame's number.
    pub sequence: u64,
    /// The next frame's place.
    pub at: Position,
    /// The records that are applied and durable: those of the next frame too.
    pub applied: u64,
}

impl Mark {
    /// Before the first frame.
    pub const START: Self = Self {
        head: TreeHead::EMPTY,
        sequence: 0,
        at: Position {
            segment: 0,
            offset: 0,
        },
        applied: 0,
    };

    pub fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.head.size.to_be_bytes());
        bytes[16..48].copy_from_slice(&self.head.hash.0);
        bytes[48..56].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[56..64].copy_from_slice(&self.at.pack().to_be_bytes());
        bytes[64..72].copy_from_slice(&self.applied.to_be_bytes());
        let sum = xxh3_128(&bytes[..SUM]).to_be_bytes();
        bytes[SUM..].copy_from_slice(&sum);
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; MARK_BYTES] = bytes.try_into().ok()?;
        let sum = xxh3_128(&bytes[..SUM]).to_be_bytes();
        if bytes[..8] != MAGIC || bytes[SUM..] != sum {
            return None;
        }
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        let mut root = [0; HASH_BYTES];
        root.copy_from_slice(&bytes[16..48]);
        Some(Self {
            head: TreeHead {
                size: number(8)?,
                hash: Hash(root),
            },
            sequence: number(48)?,
            at: Position::unpack(number(56)?),
            applied: number(64)?,
        })
    }

    /// The mark of the flat files in `dir`; the start, if none was ever written.
    pub fn read(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("applied");
        match fs::read(&path) {
            Ok(bytes) => {
                Self::parse(&bytes).ok_or_else(|| LedgerError::derived(&path, "it is damaged"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::START),
            Err(error) => Err(LedgerError::disk("read", &path)(error)),
        }
    }

    /// Puts the mark into `dir`. The flat files must be durable.
    pub fn write(&self, dir: &Path, disk: &dyn Disk) -> Result<(), LedgerError> {
        let path = dir.join("applied");
        let new = dir.join("applied.new");
        let write = || -> io::Result<()> {
            let file: File = disk.open(&new)?;
            disk.truncate(&file, 0)?;
            disk.write_at(&file, &self.encode(), 0)?;
            disk.sync(&file)?;
            drop(file);
            disk.replace(&new, &path)
        };
        write().map_err(LedgerError::disk("write", &path))
    }

    /// Forgets the mark of the flat files.
    pub fn remove(dir: &Path, disk: &dyn Disk) -> Result<(), LedgerError> {
        let path = dir.join("applied");
        disk.remove(&path)
            .map_err(LedgerError::disk("remove", &path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_mark_survives_being_written_and_no_flipped_bit_does() {
        let mark = Mark {
            head: TreeHead {
                size: 7,
                hash: Hash([3; 32]),
            },
            sequence: 9,
            at: Position {
                segment: 2,
                offset: 77,
            },
            applied: 8,
        };
        let bytes = mark.encode();
        assert_eq!(Mark::parse(&bytes), Some(mark));
        for at in 0..bytes.len() {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert_eq!(Mark::parse(&flipped), None, "byte {at}");
        }
    }
}
