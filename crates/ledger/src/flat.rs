//! Flat files made from the frames: hashes by tile level, and where each record lies.
//!
//! `hashes/L` holds the hashes of tile level `L` one after the other, so tile `N` begins at
//! `N * 8192` and a tile of any width is one read. `offsets` holds eight bytes for each record, so
//! that records are served out of the frames and nothing is stored twice. Nothing here is synced
//! when a record is appended: what a power cut takes is made again from the frames.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tlog::Tile;
use tlog::hash::HASH_BYTES;
use tlog::tile::{HEIGHT, Level};

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::segments::Position;

/// Tile levels of the largest tree: 63 bits of leaves, eight to a level.
pub(crate) const LEVELS: u8 = 8;

const OFFSET_BYTES: u64 = 8;
const TILE_BYTES: u64 = (HASH_BYTES as u64) << HEIGHT;

/// The flat files.
#[derive(Debug)]
pub(crate) struct Flats {
    dir: PathBuf,
    levels: Vec<File>,
    offsets: File,
}

impl Flats {
    /// Opens the files of the log in `dir`, made empty where they are not there.
    pub fn open(dir: &Path, disk: &dyn Disk) -> Result<Self, LedgerError> {
        let hashes = dir.join("hashes");
        fs::create_dir_all(&hashes).map_err(LedgerError::disk("make", &hashes))?;
        let flats = Self::each(dir, |path| disk.open(path))?;
        // The names too, or a mark could outlive the files it speaks of.
        disk.sync_dir(&hashes)
            .map_err(LedgerError::disk("sync", &hashes))?;
        Ok(flats)
    }

    /// Opens the files to read; all must be there.
    pub fn read_only(dir: &Path) -> Result<Self, LedgerError> {
        Self::each(dir, |path| File::open(path))
    }

    fn each(dir: &Path, open: impl Fn(&Path) -> io::Result<File>) -> Result<Self, LedgerError> {
        let open = |path: &Path| open(path).map_err(LedgerError::disk("open", path));
        let levels = (0..LEVELS).map(|level| open(&level_path(dir, level)));
        Ok(Self {
            dir: dir.to_owned(),
            levels: levels.collect::<Result<_, _>>()?,
            offsets: open(&dir.join("offsets"))?,
        })
    }

    /// Removes the files.
    pub fn remove(dir: &Path, disk: &dyn Disk) -> Result<(), LedgerError> {
        let levels = (0..LEVELS).map(|level| level_path(dir, level));
        for path in levels.chain([dir.join("offsets")]) {
            disk.remove(&path)
                .map_err(LedgerError::disk("remove", &path))?;
        }
        Ok(())
    }

    /// Writes the tiles that a commit publishes; `places` are those of its records, the first of which is
    /// record `first`. Doing it again writes the same.
    pub fn apply(
        &self,
        disk: &dyn Disk,
        tiles: &[(Tile, Bytes)],
        first: u64,
        places: &[Position],
    ) -> Result<(), LedgerError> {
        for (tile, content) in tiles {
            if let Level::Hashes(level) = tile.level()
                && let Some(file) = self.levels.get(usize::from(level))
            {
                let path = level_path(&self.dir, level);
                disk.write_at(file, content, tile.n() * TILE_BYTES)
                    .map_err(LedgerError::disk("write", &path))?;
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = places
            .iter()
            .flat_map(|place| place.pack().to_be_bytes())
            .collect();
        disk.write_at(&self.offsets, &bytes, first * OFFSET_BYTES)
            .map_err(LedgerError::disk("write", &self.dir.join("offsets")))
    }

    /// Makes all that was written durable.
    pub fn sync(&self, disk: &dyn Disk) -> Result<(), LedgerError> {
        for (level, file) in (0..).zip(&self.levels) {
            let path = level_path(&self.dir, level);
            disk.sync(file).map_err(LedgerError::disk("sync", &path))?;
        }
        disk.sync(&self.offsets)
            .map_err(LedgerError::disk("sync", &self.dir.join("offsets")))
    }

    /// `count` hashes of a level from hash `from` on, 32 bytes each.
    pub fn hashes(&self, level: u8, from: u64, count: usize) -> Result<Vec<u8>, LedgerError> {
        let path = level_path(&self.dir, level);
        let file = self.levels.get(usize::from(level));
        let file = file.ok_or_else(|| LedgerError::derived(&path, "there is no such level"))?;
        let mut bytes = vec![0; count * HASH_BYTES];
        read_whole(file, &path, &mut bytes, from * HASH_BYTES as u64)?;
        Ok(bytes)
    }

    /// Where `count` records lie, from record `from` on.
    pub fn places(&self, from: u64, count: usize) -> Result<Vec<Position>, LedgerError> {
        let mut bytes = vec![0; count * OFFSET_BYTES as usize];
        let path = self.dir.join("offsets");
        read_whole(&self.offsets, &path, &mut bytes, from * OFFSET_BYTES)?;
        let (packed, _) = bytes.as_chunks::<{ OFFSET_BYTES as usize }>();
        let places = packed.iter().map(|packed| u64::from_be_bytes(*packed));
        Ok(places.map(Position::unpack).collect())
    }

    /// How many records have been applied, durable or not: a log never shrinks, so one that ends
    /// before has lost some.
    pub fn applied(dir: &Path) -> u64 {
        fs::metadata(dir.join("offsets")).map_or(0, |about| about.len() / OFFSET_BYTES)
    }
}

fn level_path(dir: &Path, level: u8) -> PathBuf {
    dir.join("hashes").join(level.to_string())
}

fn read_whole(file: &File, path: &Path, bytes: &mut [u8], at: u64) -> Result<(), LedgerError> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(LedgerError::derived(path, "it ends too early"))
        }
        Err(error) => Err(LedgerError::disk("read", path)(error)),
    }
}
