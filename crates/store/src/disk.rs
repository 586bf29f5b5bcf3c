//! Every step that changes the disk goes through [`Disk`], so that tests can make each of them lie.
//!
//! The road not taken is a virtual file system: modkeep writes in five ways only, and a trait of
//! five methods says so. Reads are not here, because a read that lies is caught by its checksum.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The writes that the store performs. A method may fail without effect, or fail after its effect
/// took place; the store must stay right in both cases.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates a new file for reading and writing; an existing one is an error.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Appends all of `bytes`.
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's content durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Moves `from` over `to` and makes both directory entries durable.
    fn publish(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Runs the catalog's commit.
    fn commit(&self, commit: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// The operating system's disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        let parent = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !parent.is_dir() {
            fs::create_dir_all(parent)?;
            if let Some(above) = parent.parent()
                && let Err(error) = sync_dir(above)
            {
                // Or the next one would find it there and take it for durable.
                let _ = fs::remove_dir(parent);
                return Err(error);
            }
        }
        fs::rename(from, to)?;
        sync_dir(parent)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn commit(&self, commit: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        commit()
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
