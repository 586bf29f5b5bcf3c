//! What a long check leaves behind, to go on from there.

use crate::names::Names;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tlog::Hash;
use tlog::hash::HASH_BYTES;

/// Progress is written down every so many tiles: a million records.
pub const MARK_EVERY: u64 = 4096;

const SCHEMA: &str = "modkeep.log-check-progress/1";

/// A directory with the state of one check.
#[derive(Debug)]
pub struct Work {
    dir: PathBuf,
    log: String,
}

/// What the progress file says.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    schema: String,
    /// Which log, in which forms.
    log: String,
    /// Level-0 tiles that were replayed without any finding.
    tiles: u64,
    /// Records that the go command of today would not take, among them.
    odd: u64,
    /// The lengths of the files of names.
    names: Vec<u64>,
}

/// Where to go on.
#[derive(Debug)]
pub struct Resumed {
    /// The hashes over the tiles that are done.
    pub row: Vec<Option<Hash>>,
    /// The names in them.
    pub names: Names,
    /// Records that the go command of today would not take, among them.
    pub odd: u64,
}

impl Work {
    /// The state of a check of `log` (its key and forms) in `dir`, which is made if need be.
    pub fn open(dir: &Path, log: String) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            log,
        })
    }

    /// What an earlier run left for a log of `tiles` full tiles at least; nothing if it was about
    /// another log.
    pub fn resume(&self, tiles: u64) -> io::Result<Option<Resumed>> {
        let text = match fs::read_to_string(self.dir.join("progress.json")) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let Ok(progress) = serde_json::from_str::<Progress>(&text) else {
            return Ok(None);
        };
        if progress.schema != SCHEMA || progress.log != self.log || progress.tiles > tiles {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(self.roots())?
            .take(progress.tiles.saturating_mul(HASH_BYTES as u64))
            .read_to_end(&mut bytes)?;
        let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
        if hashes.len() as u64 != progress.tiles {
            return Ok(None);
        }
        Ok(Some(Resumed {
            row: hashes.iter().map(|hash| Some(Hash(*hash))).collect(),
            names: Names::new(Some(&self.dir), Some(progress.names))?,
            odd: progress.odd,
        }))
    }

    /// A fresh beginning.
    pub fn begin(&self) -> io::Result<Names> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let file_name = path.file_name().and_then(|name| name.to_str());
            let ours = |name: &str| {
                name.starts_with("names.") || matches!(name, "roots" | "progress.json")
            };
            if file_name.is_some_and(ours) {
                fs::remove_file(path)?;
            }
        }
        Names::new(Some(&self.dir), None)
    }

    /// Writes down that all tiles of `row` are done: first what is kept, then that it is.
    pub fn mark(&self, row: &[Option<Hash>], names: &mut Names, odd: u64) -> io::Result<()> {
        let mut roots = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.roots())?;
        let done = roots.metadata()?.len() / HASH_BYTES as u64;
        let done = usize::try_from(done).unwrap_or(usize::MAX).min(row.len());
        roots.seek(SeekFrom::Start((done * HASH_BYTES) as u64))?;
        let bytes: Vec<u8> = row[done..]
            .iter()
            .flatten()
            .flat_map(|hash| hash.0)
            .collect();
        roots.write_all(&bytes)?;
        roots.set_len((row.len() * HASH_BYTES) as u64)?;
        roots.sync_data()?;
        let progress = Progress {
            schema: SCHEMA.into(),
            log: self.log.clone(),
            tiles: row.len() as u64,
            odd,
            names: names.mark()?.to_vec(),
        };
        let text = serde_json::to_string(&progress).map_err(io::Error::other)?;
        let place = self.dir.join("progress.json");
        let mut new = tempfile::NamedTempFile::new_in(&self.dir)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_data()?;
        new.persist(place).map_err(|e| e.error)?;
        Ok(())
    }

    fn roots(&self) -> PathBuf {
        self.dir.join("roots")
    }
}
