//! The content of entries, held against what the directory says of them.

use super::directory::{DESCRIPTOR_SIGNATURE, Entry, Fields, LOCAL_SIGNATURE};
use super::source::Source;
use super::{ZipError, format_error};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use sha2::{Digest as _, Sha256};
use std::io::{Read, Seek};

/// Bytes unpacked at once: they stay in the cache until they are hashed.
const PLAIN: usize = 64 << 10;

/// Packed and unpacked bytes of an entry that is unpacked in one go: nearly every file of nearly
/// every module. Bounds the memory of an unpacker.
const WHOLE_MAX: u64 = 4 << 20;

/// Packed as it is, and by deflate: all that the go command knows.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// Reads entries one after the other with the same buffers.
pub(super) struct Unpacker {
    plain: Vec<u8>,
    packed: Vec<u8>,
    inflater: Decompress,
    /// Twice as fast, but it wants all input and room for all output.
    whole: Decompressor,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self {
            plain: vec![0; PLAIN],
            packed: Vec::new(),
            inflater: Decompress::new(false),
            whole: Decompressor::new(),
        }
    }
}

/// Counts and sums what an entry unpacks to.
struct Meter<'a, F> {
    entry: &'a Entry,
    size: u64,
    crc: Crc,
    take: F,
}

impl<F: FnMut(&[u8])> Meter<'_, F> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), ZipError> {
        self.size += bytes.len() as u64;
        // The limit keeps a bomb from costing more than its declared size.
        if self.size > self.entry.size {
            return Err(broken(self.entry, "it is larger than declared"));
        }
        self.crc.update(bytes);
        (self.take)(bytes);
        Ok(())
    }
}

impl Unpacker {
    /// The SHA-256 of an entry's content.
    pub fn hash<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        entry: &Entry,
    ) -> Result<[u8; 32], ZipError> {
        let mut sum = Sha256::new();
        self.unpack(source, entry, |bytes| sum.update(bytes))?;
        Ok(sum.finalize().into())
    }

    /// Gives the content of an entry to `take`, and holds it against the entry's size and CRC.
    pub fn unpack<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        entry: &Entry,
        take: impl FnMut(&[u8]),
    ) -> Result<(), ZipError> {
        let start = data_start(source, entry)?;
        if entry.is_dir() {
            return match entry.size {
                0 => Ok(()),
                _ => Err(broken(entry, "a directory has content")),
            };
        }
        let end = start
            .checked_add(entry.packed)
            .filter(|end| *end <= entry.limit)
            .ok_or_else(|| broken(entry, "it reaches into what follows it"))?;
        let mut meter = Meter {
            entry,
            size: 0,
            crc: Crc::new(),
            take,
        };
        match entry.method {
            STORED => copy(source, start, end, &mut meter)?,
            DEFLATED if self.inflate_whole(source, start, &mut meter)? => {}
            DEFLATED => self.inflate(source, start, end, &mut meter)?,
            _ => return Err(ZipError::Algorithm(entry.shown_name())),
        }
        if meter.size != entry.size {
            return Err(broken(entry, "it is smaller than declared"));
        }
        check_sum(source, entry, end, meter.crc.sum())
    }

    /// Unpacks an entry of declared and moderate size in one go. False: nothing was given, and the
    /// slow way must say what it is or what is wrong with it.
    fn inflate_whole<R: Read + Seek, F: FnMut(&[u8])>(
        &mut self,
        source: &mut Source<R>,
        start: u64,
        meter: &mut Meter<'_, F>,
    ) -> Result<bool, ZipError> {
        let Entry { packed, size, .. } = *meter.entry;
        if packed > WHOLE_MAX || size > WHOLE_MAX {
            return Ok(false);
        }
        let (packed, size) = (packed as usize, size as usize);
        if self.plain.len() < size {
            self.plain.resize(size, 0);
        }
        if self.packed.len() < packed {
            self.packed.resize(packed, 0);
        }
        let input = &mut self.packed[..packed];
        if source.fill(start, input)? < packed {
            return Ok(false);
        }
        let plain = &mut self.plain[..size];
        let whole = self.whole.deflate_decompress(input, plain) == Ok(size);
        if whole {
            meter.give(plain)?;
        }
        Ok(whole)
    }

    fn inflate<R: Read + Seek, F: FnMut(&[u8])>(
        &mut self,
        source: &mut Source<R>,
        start: u64,
        end: u64,
        meter: &mut Meter<'_, F>,
    ) -> Result<(), ZipError> {
        self.inflater.reset(false);
        let mut at = start;
        loop {
            let packed = between(source, at, end)?;
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(packed, &mut self.plain, FlushDecompress::None)
                .map_err(|_| broken(meter.entry, "its compressed data is damaged"))?;
            let read = self.inflater.total_in() - before_in;
            let made = (self.inflater.total_out() - before_out) as usize;
            at += read;
            meter.give(&self.plain[..made])?;
            match status {
                Status::StreamEnd => return Ok(()),
                _ if read == 0 && made == 0 => {
                    return Err(broken(meter.entry, "its compressed data is cut short"));
                }
                _ => {}
            }
        }
    }
}

fn copy<R: Read + Seek, F: FnMut(&[u8])>(
    source: &mut Source<R>,
    start: u64,
    end: u64,
    meter: &mut Meter<'_, F>,
) -> Result<(), ZipError> {
    let mut at = start;
    while at < end {
        let bytes = between(source, at, end)?;
        if bytes.is_empty() {
            return Err(broken(meter.entry, "it is cut short"));
        }
        meter.give(bytes)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Some bytes from a place on, but none from `end` on.
fn between<R: Read + Seek>(source: &mut Source<R>, at: u64, end: u64) -> Result<&[u8], ZipError> {
    if at >= end {
        return Ok(&[]);
    }
    let bytes = source.at(at)?;
    let most = usize::try_from(end - at).unwrap_or(usize::MAX);
    Ok(&bytes[..bytes.len().min(most)])
}

/// Where an entry's data begins. Of its local header only the lengths and the name count.
fn data_start<R: Read + Seek>(source: &mut Source<R>, entry: &Entry) -> Result<u64, ZipError> {
    let mut header = [0; 30];
    let wrong = || broken(entry, "it is not where the directory says");
    if source.fill(entry.offset, &mut header)? < header.len() {
        return Err(wrong());
    }
    let mut fields = Fields(&header);
    if fields.u32() != Some(LOCAL_SIGNATURE) {
        return Err(wrong());
    }
    fields.take(22).ok_or_else(wrong)?;
    let (Some(length), Some(extra)) = (fields.u16(), fields.u16()) else {
        return Err(wrong());
    };
    let mut name = vec![0; length.into()];
    let at = entry.offset.saturating_add(header.len() as u64);
    if source.fill(at, &mut name)? < name.len() || *name != *entry.name {
        return Err(broken(entry, "it has another name in its own header"));
    }
    at.checked_add(u64::from(length) + u64::from(extra))
        .ok_or_else(wrong)
}

/// Holds the CRC of the content against the directory's, and that one against the descriptor's.
fn check_sum<R: Read + Seek>(
    source: &mut Source<R>,
    entry: &Entry,
    end: u64,
    sum: u32,
) -> Result<(), ZipError> {
    let wrong = || ZipError::Checksum(entry.shown_name());
    if !entry.has_descriptor() {
        // As in Go: zero means that it was not given.
        return match entry.crc == 0 || entry.crc == sum {
            true => Ok(()),
            false => Err(wrong()),
        };
    }
    let mut descriptor = [0; 12];
    if source.fill(end, &mut descriptor)? < descriptor.len() {
        return Err(broken(entry, "it is cut short"));
    }
    match descriptor_crc(&descriptor) == Some(entry.crc) && entry.crc == sum {
        true => Ok(()),
        false => Err(wrong()),
    }
}

/// The CRC in a descriptor, which may or may not begin with a signature.
pub(super) fn descriptor_crc(descriptor: &[u8]) -> Option<u32> {
    let mut fields = Fields(descriptor);
    match fields.u32()? {
        DESCRIPTOR_SIGNATURE => fields.u32(),
        crc => Some(crc),
    }
}

pub(super) fn broken(entry: &Entry, why: &str) -> ZipError {
    format_error(&format!("{}: {why}", entry.shown_name()))
}
