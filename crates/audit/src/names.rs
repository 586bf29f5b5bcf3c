//! One record for each module version, ever: checked with bounded memory.
//!
//! Each name is hashed to 128 bits (a truncated SHA-256: two names that share one would take 2^64
//! tries to find) and goes, with its record's number, to one of 256 buckets by its first byte. A full
//! bucket is appended to a file; at the end each is read and sorted alone. Sixty million records are
//! 1.4 GB on disk and 6 MB at a time in memory; up to half a million never reach the disk.

use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A hash and a number.
const ENTRY: usize = 16 + 8;

/// Names in memory for each bucket: 48 KiB, 12 MiB for all.
const BUFFERED: usize = 2048 * ENTRY;

const BUCKETS: usize = 256;

/// Pairs that are reported.
const PAIRS_MAX: usize = 100;

/// The names seen so far.
#[derive(Debug)]
pub struct Names {
    dir: Option<PathBuf>,
    temporary: Option<TempDir>,
    buffers: Vec<Vec<u8>>,
    lengths: Vec<u64>,
}

impl Names {
    /// Keeps what does not fit into memory in `dir`, or, without one, in a temporary directory.
    /// `lengths` are those of files that an earlier run left and wants to go on with.
    pub fn new(dir: Option<&Path>, lengths: Option<Vec<u64>>) -> io::Result<Self> {
        let lengths = lengths.unwrap_or_else(|| vec![0; BUCKETS]);
        if lengths.len() != BUCKETS {
            return Err(io::Error::other(
                "the progress file has the wrong number of buckets",
            ));
        }
        let names = Self {
            dir: dir.map(Path::to_owned),
            temporary: None,
            buffers: vec![Vec::new(); BUCKETS],
            lengths,
        };
        for (bucket, length) in names.lengths.iter().enumerate() {
            let Some(path) = names.path(bucket) else {
                break;
            };
            match OpenOptions::new().write(true).open(&path) {
                // What was written behind the last progress mark is written again.
                Ok(file) if file.metadata()?.len() >= *length => file.set_len(*length)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound && *length == 0 => {}
                Ok(_) => return Err(io::Error::other(format!("{} is cut", path.display()))),
                Err(e) => return Err(e),
            }
        }
        Ok(names)
    }

    /// Adds the name of a record.
    pub fn add(&mut self, name: [u8; 16], id: u64) -> io::Result<()> {
        let bucket = usize::from(name[0]);
        let buffer = &mut self.buffers[bucket];
        buffer.extend_from_slice(&name);
        buffer.extend_from_slice(&id.to_be_bytes());
        if buffer.len() >= BUFFERED {
            self.spill(bucket)?;
        }
        Ok(())
    }

    /// Brings everything to disk and says how long each file is.
    pub fn mark(&mut self) -> io::Result<&[u64]> {
        for bucket in 0..BUCKETS {
            self.spill(bucket)?;
        }
        Ok(&self.lengths)
    }

    /// Records that share a name, as pairs of their numbers in order.
    pub fn pairs(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let mut pairs = Vec::new();
        for bucket in 0..BUCKETS {
            let mut bytes = std::mem::take(&mut self.buffers[bucket]);
            if self.lengths[bucket] > 0
                && let Some(path) = self.path(bucket)
            {
                File::open(path)?
                    .take(self.lengths[bucket])
                    .read_to_end(&mut bytes)?;
            }
            let (entries, _) = bytes.as_chunks_mut::<ENTRY>();
            entries.sort_unstable();
            for pair in entries.windows(2) {
                let same_name = pair[0][..16] == pair[1][..16];
                if same_name && pair[0] != pair[1] && pairs.len() < PAIRS_MAX {
                    pairs.push((number(&pair[0]), number(&pair[1])));
                }
            }
        }
        pairs.sort_unstable();
        Ok(pairs)
    }

    fn spill(&mut self, bucket: usize) -> io::Result<()> {
        if self.buffers[bucket].is_empty() {
            return Ok(());
        }
        if self.dir.is_none() {
            let temporary = tempfile::Builder::new().prefix("modkeep-log-").tempdir()?;
            self.dir = Some(temporary.path().to_owned());
            self.temporary = Some(temporary);
        }
        if let Some(path) = self.path(bucket) {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(&self.buffers[bucket])?;
            self.lengths[bucket] += self.buffers[bucket].len() as u64;
            self.buffers[bucket].clear();
        }
        Ok(())
    }

    fn path(&self, bucket: usize) -> Option<PathBuf> {
        self.dir
            .as_ref()
            .map(|dir| dir.join(format!("names.{bucket:02x}")))
    }
}

/// The name of a module version, as it is kept here.
pub fn name(module: &str, version: &str) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(module);
    hasher.update("@");
    hasher.update(version);
    let whole: [u8; 32] = hasher.finalize().into();
    let mut name = [0; 16];
    name.copy_from_slice(&whole[..16]);
    name
}

fn number(entry: &[u8; ENTRY]) -> u64 {
    let mut id = [0; 8];
    id.copy_from_slice(&entry[16..]);
    u64::from_be_bytes(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(i: u64) -> [u8; 16] {
        name("example.com/m", &format!("v1.0.{i}"))
    }

    #[test]
    fn two_records_of_one_name_are_found_in_memory_and_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        for dir in [None, Some(dir.path())] {
            let mut names = Names::new(dir, None).unwrap();
            for i in 0..2000 {
                names.add(of(i), i).unwrap();
                if dir.is_some() && i % 700 == 0 {
                    names.mark().unwrap();
                }
            }
            names.add(of(1234), 5000).unwrap();
            names.add(of(7), 5001).unwrap();
            // The same record twice is a resumed run, not a duplicate.
            names.add(of(8), 8).unwrap();
            assert_eq!(names.pairs().unwrap(), [(7, 5001), (1234, 5000)]);
        }
    }

    #[test]
    fn a_resumed_run_forgets_what_was_written_behind_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let mut names = Names::new(Some(dir.path()), None).unwrap();
        names.add(of(1), 1).unwrap();
        let lengths = names.mark().unwrap().to_vec();
        names.add(of(2), 2).unwrap();
        names.mark().unwrap();
        let mut names = Names::new(Some(dir.path()), Some(lengths.clone())).unwrap();
        names.add(of(2), 3).unwrap();
        names.add(of(1), 4).unwrap();
        assert_eq!(names.pairs().unwrap(), [(1, 4)]);
        let mut longer = lengths;
        longer[3] += 1000;
        assert!(Names::new(Some(dir.path()), Some(longer)).is_err());
    }
}
