//! What is in a zip, file by file: for finding out where two zips differ.

use super::check::tree_too_large;
use super::directory;
use super::source::Source;
use super::unpack::Unpacker;
use super::{MAX_ZIP_FILE, ZipError};
use sha2::{Digest as _, Sha256};
use std::io::{Read, Seek, SeekFrom};

/// How a placeholder of Git's large file storage begins.
const LFS: &[u8] = b"version https://git-lfs.github.com/";

/// One entry of a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSum {
    /// Its name in the zip, `M@V/` included. What is not UTF-8 is replaced.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// SHA-256 of its content with every CR LF read as LF.
    pub sha256_lf: [u8; 32],
    /// Whether it is a placeholder of Git's large file storage.
    pub lfs: bool,
}

/// Reads every file of any zip, in the order of the zip's directory. Refuses one that unpacks to
/// more than [`MAX_ZIP_FILE`], as no module does.
pub fn contents<R: Read + Seek>(mut reader: R) -> Result<Vec<FileSum>, ZipError> {
    let size = reader.seek(SeekFrom::End(0))?;
    let mut source = Source::new(reader);
    let entries = directory::read(&mut source, size)?;
    let total = entries.iter().try_fold(0u64, |t, e| t.checked_add(e.size));
    if total.is_none_or(|total| total > MAX_ZIP_FILE) {
        return Err(ZipError::Rule(tree_too_large()));
    }
    let mut unpacker = Unpacker::default();
    let mut files = Vec::new();
    for entry in &entries {
        let mut sums = Sums::default();
        unpacker.unpack(&mut source, entry, |bytes| sums.take(bytes))?;
        files.push(sums.finish(entry.shown_name(), entry.size));
    }
    Ok(files)
}

/// The sums of one content that comes in pieces.
#[derive(Default)]
struct Sums {
    plain: Sha256,
    lf: Sha256,
    /// A CR that may belong to an LF in the next piece.
    cr: bool,
    /// The first bytes, as many as a placeholder's mark has.
    start: Vec<u8>,
}

impl Sums {
    fn take(&mut self, bytes: &[u8]) {
        self.plain.update(bytes);
        let room = LFS.len().saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.cr && *byte != b'\n' {
                self.lf.update(b"\r");
            }
            self.cr = *byte == b'\r';
            if self.cr {
                self.lf.update(&bytes[from..at]);
                from = at + 1;
            }
        }
        self.lf.update(&bytes[from..]);
    }

    fn finish(mut self, name: String, size: u64) -> FileSum {
        if self.cr {
            self.lf.update(b"\r");
        }
        FileSum {
            name,
            size,
            sha256: self.plain.finalize().into(),
            sha256_lf: self.lf.finalize().into(),
            lfs: self.start == LFS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lf_of(pieces: &[&[u8]]) -> [u8; 32] {
        let mut sums = Sums::default();
        pieces.iter().for_each(|piece| sums.take(piece));
        sums.finish(String::new(), 0).sha256_lf
    }

    #[test]
    fn line_ends_are_read_alike_however_the_content_comes() {
        let sum = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
        assert_eq!(lf_of(&[b"a\r\nb\r\n"]), sum(b"a\nb\n"));
        assert_eq!(lf_of(&[b"a\r", b"\nb\r", b"\n"]), sum(b"a\nb\n"));
        assert_eq!(lf_of(&[b"a\rb\r\r", b"\n\r"]), sum(b"a\rb\r\n\r"));
        assert_eq!(lf_of(&[b""]), sum(b""));
    }

    #[test]
    fn a_placeholder_is_known_by_its_first_line() {
        let mut sums = Sums::default();
        sums.take(b"version https://git-lfs");
        sums.take(b".github.com/spec/v1\noid");
        assert!(sums.finish(String::new(), 0).lfs);
    }
}
