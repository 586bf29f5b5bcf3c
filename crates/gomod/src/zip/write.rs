//! Writes module zips, one file after the other.
//!
//! The same files in the same order give the same bytes on every machine: no times, no modes, no
//! directory entries, one compression level, and the compressor is fed the same portions however
//! the content arrives. The form is the one that Go writes: sizes follow the data, so the output
//! needs no seeking and can be sent while it is made.

use super::check::{check_size, tree_too_large};
use super::directory::{
    DESCRIPTOR_SIGNATURE, DIRECTORY_SIGNATURE, END_SIGNATURE, END64_SIGNATURE, ENTRIES_MAX,
    HAS_DESCRIPTOR, LOCAL_SIGNATURE, LOCATOR64_SIGNATURE,
};
use super::unpack::DEFLATED;
use super::{MAX_ZIP_FILE, ZipError};
use crate::h1::{H1, Hasher};
use crate::quote::quote;
use crate::version::ModuleVersion;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha2::{Digest as _, Sha256};
use std::io::{self, ErrorKind, Read, Write};

/// Bytes given to the compressor at once, and taken from it.
const PORTION: usize = 64 << 10;

/// Version 2.0 of the format: deflate.
const VERSION: u16 = 20;

/// Flag bit 11: the name is UTF-8.
const UTF8: u16 = 0x800;

/// A file that is written.
struct Written {
    name: String,
    crc: u32,
    packed: u32,
    size: u32,
    offset: u32,
}

/// Writes the zip of a version and hashes it in the same pass. Names and sizes are held against no
/// rule but the total; [`super::select`] does that for a tree.
pub struct Writer<W> {
    out: W,
    prefix: String,
    at: u64,
    room: u64,
    files: Vec<Written>,
    hasher: Hasher,
    deflater: Compress,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl<W> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({}, {} files)", self.prefix, self.files.len())
    }
}

impl<W: Write> Writer<W> {
    /// Begins the zip of a version. `out` should be buffered.
    pub fn new(out: W, version: &ModuleVersion) -> Self {
        Self {
            out,
            prefix: format!("{version}/"),
            at: 0,
            room: MAX_ZIP_FILE,
            files: Vec::new(),
            hasher: Hasher::default(),
            deflater: Compress::new(Compression::default(), false),
            plain: vec![0; PORTION],
            packed: vec![0; PORTION],
        }
    }

    /// Adds a file by its path from the module's root. It may be shorter than `size_max`, not
    /// longer. After an error nothing more can be added.
    pub fn add(&mut self, path: &str, size_max: u64, content: impl Read) -> Result<(), ZipError> {
        if self.files.len() >= ENTRIES_MAX {
            return Err(ZipError::Rule(format!(
                "a module cannot have more than {ENTRIES_MAX} files"
            )));
        }
        let name = format!("{}{path}", self.prefix);
        let length = u16::try_from(name.len())
            .map_err(|_| ZipError::Rule(format!("file name {} is too long", quote(&name))))?;
        let offset = self.place()?;
        let mut header = Vec::with_capacity(30 + name.len());
        header.extend(LOCAL_SIGNATURE.to_le_bytes());
        header.extend(common(&name));
        header.extend([0; 12]); // CRC and sizes follow the data
        header.extend(length.to_le_bytes());
        header.extend([0; 2]);
        header.extend(name.as_bytes());
        self.write(&header)?;
        let (crc, size, sha256) = self.deflate(path, size_max, content)?;
        let packed = self.place()? - offset - header.len() as u32;
        let mut descriptor = Vec::with_capacity(16);
        for number in [DESCRIPTOR_SIGNATURE, crc, packed, size] {
            descriptor.extend(number.to_le_bytes());
        }
        self.write(&descriptor)?;
        self.hasher
            .add(name.as_bytes(), sha256)
            .map_err(|e| ZipError::Rule(e.to_string()))?;
        self.files.push(Written {
            name,
            crc,
            packed,
            size,
            offset,
        });
        Ok(())
    }

    /// Writes the directory; gives the hash, and back what was written to.
    pub fn finish(mut self) -> Result<(H1, W), ZipError> {
        let start = self.place()?;
        for file in std::mem::take(&mut self.files) {
            self.write(&directory_header(&file))?;
            self.files.push(file);
        }
        let size = self.place()? - start;
        let end = end_records(self.files.len() as u64, size, start);
        self.write(&end)?;
        self.place()?;
        self.out.flush()?;
        Ok((self.hasher.finish(), self.out))
    }

    /// Where the next byte goes.
    fn place(&self) -> Result<u32, ZipError> {
        let place = u32::try_from(self.at).ok();
        let place = place.filter(|at| u64::from(*at) <= MAX_ZIP_FILE);
        place.ok_or_else(|| {
            ZipError::Rule(format!(
                "module zip file is too large (limit is {MAX_ZIP_FILE} bytes)"
            ))
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Packs the content; gives its CRC, size and SHA-256.
    fn deflate(
        &mut self,
        path: &str,
        size_max: u64,
        content: impl Read,
    ) -> Result<(u32, u32, [u8; 32]), ZipError> {
        self.deflater.reset();
        let mut content = content.take(size_max.saturating_add(1));
        let (mut crc, mut sum, mut size) = (Crc::new(), Sha256::new(), 0u64);
        let mut plain = std::mem::take(&mut self.plain);
        loop {
            let filled = fill(&mut content, &mut plain)?;
            let bytes = &plain[..filled];
            size += filled as u64;
            if size > size_max {
                return Err(ZipError::Rule(format!(
                    "file {} is larger than declared size",
                    quote(path)
                )));
            }
            self.room = self
                .room
                .checked_sub(filled as u64)
                .ok_or_else(|| ZipError::Rule(tree_too_large()))?;
            check_size(path, size).map_err(ZipError::Rule)?;
            crc.update(bytes);
            sum.update(bytes);
            let last = filled < plain.len();
            self.pack(bytes, last)?;
            if last {
                break;
            }
        }
        self.plain = plain;
        // Not above the room, which is below 4 GiB.
        Ok((crc.sum(), size as u32, sum.finalize().into()))
    }

    /// Gives a portion to the compressor, and writes what it has ready.
    fn pack(&mut self, bytes: &[u8], last: bool) -> Result<(), ZipError> {
        let flush = match last {
            true => FlushCompress::Finish,
            false => FlushCompress::None,
        };
        let mut rest = bytes;
        loop {
            let (before_in, before_out) = (self.deflater.total_in(), self.deflater.total_out());
            let status = self
                .deflater
                .compress(rest, &mut self.packed, flush)
                .map_err(io::Error::other)?;
            rest = &rest[(self.deflater.total_in() - before_in) as usize..];
            let made = (self.deflater.total_out() - before_out) as usize;
            self.at += made as u64;
            self.out.write_all(&self.packed[..made])?;
            self.place()?;
            let full = made == self.packed.len();
            match status {
                Status::StreamEnd => return Ok(()),
                _ if !last && rest.is_empty() && !full => return Ok(()),
                _ if made == 0 && rest.is_empty() => {
                    return Err(io::Error::other("the compressor is stuck").into());
                }
                _ => {}
            }
        }
    }
}

/// Reads until the buffer is full or the content ends, whatever portions it comes in.
fn fill(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The part that both headers share: version, flags, method, no time.
fn common(name: &str) -> [u8; 10] {
    // Characters that mean something else in the encodings of old systems.
    let foreign = |c: char| !(' '..='}').contains(&c) || c == '\\';
    let utf8 = if name.chars().any(foreign) { UTF8 } else { 0 };
    let mut out = [0; 10];
    for (pair, number) in out
        .chunks_exact_mut(2)
        .zip([VERSION, HAS_DESCRIPTOR | utf8, DEFLATED])
    {
        pair.copy_from_slice(&number.to_le_bytes());
    }
    out
}

fn directory_header(file: &Written) -> Vec<u8> {
    let mut header = Vec::with_capacity(46 + file.name.len());
    header.extend(DIRECTORY_SIGNATURE.to_le_bytes());
    header.extend(VERSION.to_le_bytes());
    header.extend(common(&file.name));
    for number in [file.crc, file.packed, file.size] {
        header.extend(number.to_le_bytes());
    }
    header.extend((file.name.len() as u16).to_le_bytes());
    header.extend([0; 12]); // extra, comment, disk, attributes
    header.extend(file.offset.to_le_bytes());
    header.extend(file.name.as_bytes());
    header
}

/// The end of the zip. From 65,535 files on, the count needs the 64-bit record.
fn end_records(files: u64, size: u32, start: u32) -> Vec<u8> {
    let mut end = Vec::new();
    let at = u64::from(start) + u64::from(size);
    let count = u16::try_from(files).unwrap_or(u16::MAX);
    if count == u16::MAX {
        end.extend(END64_SIGNATURE.to_le_bytes());
        end.extend(44u64.to_le_bytes());
        end.extend([45, 0, 45, 0]);
        end.extend([0; 8]);
        for number in [files, files, u64::from(size), u64::from(start)] {
            end.extend(number.to_le_bytes());
        }
        end.extend(LOCATOR64_SIGNATURE.to_le_bytes());
        end.extend([0; 4]);
        end.extend(at.to_le_bytes());
        end.extend(1u32.to_le_bytes());
    }
    end.extend(END_SIGNATURE.to_le_bytes());
    end.extend([0; 4]);
    end.extend(count.to_le_bytes());
    end.extend(count.to_le_bytes());
    end.extend(size.to_le_bytes());
    end.extend(start.to_le_bytes());
    end.extend([0; 2]);
    end
}
