//! Building an index from nothing: keys are gathered in 256 heaps by their first byte, each is
//! sorted by itself, and the rows go into the B-tree in order, which is many times faster than
//! filling it in the order of the log and needs the memory of one heap.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::index::{SCHEMA, failed, index_path, two_records};
use crate::mark::Mark;
use crate::record::Key;

/// Rows of a heap before they go to its scratch file: 96 KiB, 24 MiB over all heaps.
const ROWS_MAX: usize = 4096;
const ROW_BYTES: usize = 24;

/// An index in the making.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    dir: PathBuf,
    heaps: Heaps,
}

/// Rows by the first byte of their key, in scratch files beyond some number.
#[derive(Debug)]
pub(crate) struct Heaps {
    scratch: PathBuf,
    heaps: Vec<Vec<(Key, u64)>>,
}

impl Heaps {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// Empty heaps; `scratch` is a directory that need not be there.
    pub fn new(scratch: PathBuf) -> Self {
        Self {
            scratch,
            heaps: vec![Vec::new(); Self::COUNT],
        }
    }

    pub fn add(&mut self, key: Key, id: u64) -> Result<(), LedgerError> {
        let heap = usize::from(key.0[0]);
        self.heaps[heap].push((key, id));
        if self.heaps[heap].len() < ROWS_MAX {
            return Ok(());
        }
        let spilled = self.spill(heap);
        spilled.map_err(LedgerError::disk("write", &self.scratch))
    }

    fn spill(&mut self, heap: usize) -> io::Result<()> {
        fs::create_dir_all(&self.scratch)?;
        let path = self.scratch.join(heap.to_string());
        let mut file = File::options().create(true).append(true).open(path)?;
        let mut bytes = Vec::with_capacity(ROWS_MAX * ROW_BYTES);
        for (key, id) in self.heaps[heap].drain(..) {
            bytes.extend_from_slice(&key.0);
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        file.write_all(&bytes)
    }

    /// Takes all rows of a heap, sorted.
    pub fn take(&mut self, heap: usize) -> Result<Vec<(Key, u64)>, LedgerError> {
        let mut rows = std::mem::take(&mut self.heaps[heap]);
        let path = self.scratch.join(heap.to_string());
        let spilled = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LedgerError::disk("read", &path)(error)),
        };
        let (spilled, _) = spilled.as_chunks::<ROW_BYTES>();
        for row in spilled {
            let (mut key, mut id) = ([0; 16], [0; 8]);
            key.copy_from_slice(&row[..16]);
            id.copy_from_slice(&row[16..]);
            rows.push((Key(key), u64::from_be_bytes(id)));
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// Removes the scratch files.
    pub fn clear(&self) -> Result<(), LedgerError> {
        match fs::remove_dir_all(&self.scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LedgerError::disk("remove", &self.scratch)(error))
            }
            _ => Ok(()),
        }
    }
}

impl IndexBuilder {
    pub fn new(dir: &Path) -> Result<Self, LedgerError> {
        let heaps = Heaps::new(dir.join("index.build"));
        heaps.clear()?;
        Ok(Self {
            dir: dir.to_owned(),
            heaps,
        })
    }

    pub fn add(&mut self, key: Key, id: u64) -> Result<(), LedgerError> {
        self.heaps.add(key, id)
    }

    /// Writes the index and puts it in its place.
    pub fn finish(mut self, disk: &dyn Disk, mark: &Mark) -> Result<(), LedgerError> {
        crate::index::remove(&self.dir, disk)?;
        let new = self.dir.join("index.new");
        self.fill(&new, mark)?;
        let path = index_path(&self.dir);
        let publish = || -> io::Result<()> {
            disk.sync(&File::open(&new)?)?;
            disk.replace(&new, &path)
        };
        publish().map_err(LedgerError::disk("write", &path))?;
        self.heaps.clear()
    }

    fn fill(&mut self, path: &Path, mark: &Mark) -> Result<(), LedgerError> {
        let failed = |error| failed(path, error);
        let db = Connection::open(path).map_err(failed)?;
        // The file counts only once it is whole and renamed.
        let start = || -> rusqlite::Result<()> {
            db.pragma_update(None, "journal_mode", "OFF")?;
            db.pragma_update(None, "synchronous", "OFF")?;
            db.execute_batch("BEGIN")?;
            db.execute_batch(SCHEMA)
        };
        start().map_err(failed)?;
        let sql = "INSERT INTO entry (key, id) VALUES (?, ?)";
        let mut insert = db.prepare(sql).map_err(failed)?;
        for heap in 0..Heaps::COUNT {
            let rows = self.heaps.take(heap)?;
            if let Some(pair) = rows.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(two_records(pair[0].1, pair[1].1));
            }
            for (key, id) in rows {
                insert
                    .execute(params![&key.0[..], id as i64])
                    .map_err(failed)?;
            }
        }
        drop(insert);
        db.execute(
            "INSERT INTO mark (one, state) VALUES (1, ?)",
            [&mark.encode()[..]],
        )
        .map_err(failed)?;
        db.execute_batch("COMMIT").map_err(failed)
    }
}
