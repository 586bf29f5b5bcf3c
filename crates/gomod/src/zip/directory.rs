//! The directory at the end of a zip, read as the go command reads it.
//!
//! Source of the format: PKWARE APPNOTE 6.3, and Go's archive/zip for what is tolerated. Every
//! number in it is hostile.

use super::{ZipError, format_error};
use std::io::{Read, Seek, SeekFrom};

/// Entries of a zip. The largest modules have some ten thousand files; the format would allow eleven
/// million entries in 500 MiB, and each costs memory.
const ENTRIES_MAX: u64 = 250_000;

/// Bytes of the directory: 250,000 entries with names of 100 bytes.
const DIRECTORY_BYTES_MAX: u64 = 48 << 20;

/// The end record, and with the longest comment.
const END: u64 = 22;
const END_AND_COMMENT: u64 = END + u16::MAX as u64;

const DIRECTORY_SIGNATURE: u32 = 0x0201_4b50;
const END_SIGNATURE: u32 = 0x0605_4b50;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;

/// Flag bit 3: sizes and CRC follow the data.
pub(super) const HAS_DESCRIPTOR: u16 = 8;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    /// Where its local header is.
    pub offset: u64,
}

impl Entry {
    pub fn is_dir(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

struct End {
    entries: u64,
    size: u64,
    offset: u64,
    /// Where the end record itself begins.
    at: u64,
}

/// Reads little-endian numbers off the front of a slice.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

/// Reads the directory of a zip of `size` bytes.
pub(super) fn read<R: Read + Seek>(reader: &mut R, size: u64) -> Result<Vec<Entry>, ZipError> {
    let end = find_end(reader, size)?;
    if end.entries > ENTRIES_MAX || end.size > DIRECTORY_BYTES_MAX {
        return Err(format_error(
            "its directory is larger than a module's can be",
        ));
    }
    let start = end
        .at
        .checked_sub(end.size)
        .ok_or_else(|| format_error("its directory is not there"))?;
    // Bytes before the zip shift every offset, unless the offsets count them already.
    let base = match directory_at(reader, end.offset)? || start == end.offset {
        true => 0,
        false => start
            .checked_sub(end.offset)
            .ok_or_else(|| format_error("its directory is not there"))?,
    };
    reader.seek(SeekFrom::Start(base + end.offset))?;
    let room = end
        .at
        .saturating_sub(base + end.offset)
        .min(DIRECTORY_BYTES_MAX);
    let mut bytes = Vec::new();
    reader.by_ref().take(room).read_to_end(&mut bytes)?;
    let mut fields = Fields(&bytes);
    let mut entries = Vec::with_capacity(end.entries.min(1024) as usize);
    while let Some(entry) = entry(&mut fields, base)? {
        entries.push(entry);
        if entries.len() as u64 > ENTRIES_MAX {
            return Err(format_error("it has more entries than a module can have"));
        }
    }
    // As in Go: the count is compared in the 16 bits that every writer gets right.
    if entries.len() as u16 != end.entries as u16 {
        return Err(format_error("its directory is cut short"));
    }
    Ok(entries)
}

fn directory_at<R: Read + Seek>(reader: &mut R, offset: u64) -> Result<bool, ZipError> {
    let mut signature = [0; 4];
    reader.seek(SeekFrom::Start(offset))?;
    let found = read_up_to(reader, &mut signature)?;
    Ok(found == 4 && u32::from_le_bytes(signature) == DIRECTORY_SIGNATURE)
}

fn read_up_to<R: Read>(reader: &mut R, buffer: &mut [u8]) -> Result<usize, ZipError> {
    let mut read = 0;
    while read < buffer.len() {
        match reader.read(&mut buffer[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

fn find_end<R: Read + Seek>(reader: &mut R, size: u64) -> Result<End, ZipError> {
    let tail = size.min(END_AND_COMMENT);
    let mut buffer = vec![0; tail as usize];
    reader.seek(SeekFrom::Start(size - tail))?;
    if read_up_to(reader, &mut buffer)? < buffer.len() {
        return Err(format_error("it is cut short"));
    }
    let fits = |at: usize| {
        let record = &buffer[at..];
        let comment = record
            .get(20..22)
            .map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])));
        record.starts_with(&END_SIGNATURE.to_le_bytes())
            && comment.is_some_and(|c| 22 + c <= record.len())
    };
    let last = buffer.len().checked_sub(END as usize);
    let at = last.and_then(|last| (0..=last).rev().find(|at| fits(*at)));
    let at =
        at.ok_or_else(|| format_error("it has no directory (is it cut short, or a web page?)"))?;
    let mut fields = Fields(&buffer[at + 10..]);
    let short = || format_error("its end record is cut short");
    let entries = fields.u16().ok_or_else(short)?;
    let (length, offset) = (
        fields.u32().ok_or_else(short)?,
        fields.u32().ok_or_else(short)?,
    );
    let end = End {
        entries: entries.into(),
        size: length.into(),
        offset: offset.into(),
        at: size - tail + at as u64,
    };
    let is_64 = entries == u16::MAX
        || length == u32::from(u16::MAX)
        || offset == u32::MAX
        || length == u32::MAX;
    let end = if is_64 { find_end64(reader, end)? } else { end };
    match end.offset < size || (end.offset == size && end.entries == 0) {
        true => Ok(end),
        false => Err(format_error("its directory is not there")),
    }
}

/// The 64-bit end record, where its locator says; without a locator the numbers are as they are.
fn find_end64<R: Read + Seek>(reader: &mut R, end: End) -> Result<End, ZipError> {
    let Some(locator) = end.at.checked_sub(20) else {
        return Ok(end);
    };
    let mut buffer = [0; 56];
    reader.seek(SeekFrom::Start(locator))?;
    reader.read_exact(&mut buffer[..20])?;
    let mut fields = Fields(&buffer[..20]);
    if fields.u32() != Some(LOCATOR64_SIGNATURE) {
        return Ok(end);
    }
    let wrong = || format_error("its 64-bit end record is not there");
    let (_disk, at, disks) = (fields.u32(), fields.u64().ok_or_else(wrong)?, fields.u32());
    if disks != Some(1) || at > locator {
        return Err(wrong());
    }
    reader.seek(SeekFrom::Start(at))?;
    reader.read_exact(&mut buffer).map_err(|_| wrong())?;
    let mut fields = Fields(&buffer);
    if fields.u32() != Some(END64_SIGNATURE) {
        return Err(wrong());
    }
    fields.take(28).ok_or_else(wrong)?;
    let entries = fields.u64().ok_or_else(wrong)?;
    let (size, offset) = (
        fields.u64().ok_or_else(wrong)?,
        fields.u64().ok_or_else(wrong)?,
    );
    Ok(End {
        entries,
        size,
        offset,
        at,
    })
}

/// The next entry; `None` where something else than an entry follows.
fn entry(fields: &mut Fields<'_>, base: u64) -> Result<Option<Entry>, ZipError> {
    let mut ahead = Fields(fields.0);
    if ahead.u32() != Some(DIRECTORY_SIGNATURE) {
        return Ok(None);
    }
    let short = || format_error("its directory is cut short");
    let read = |ahead: &mut Fields<'_>| {
        ahead.take(4)?; // versions
        let (flags, method) = (ahead.u16()?, ahead.u16()?);
        ahead.take(4)?; // time
        let (crc, packed, size) = (ahead.u32()?, ahead.u32()?, ahead.u32()?);
        let lengths = (ahead.u16()?, ahead.u16()?, ahead.u16()?);
        ahead.take(8)?; // disk, attributes
        Some((flags, method, crc, packed, size, lengths, ahead.u32()?))
    };
    let (flags, method, crc, packed, size, (name, extra, comment), offset) =
        read(&mut ahead).ok_or_else(short)?;
    let name = ahead.take(name.into()).ok_or_else(short)?.to_vec();
    let extra = ahead.take(extra.into()).ok_or_else(short)?;
    ahead.take(comment.into()).ok_or_else(short)?;
    *fields = ahead;
    let mut entry = Entry {
        name,
        flags,
        method,
        crc,
        packed: packed.into(),
        size: size.into(),
        offset: offset.into(),
    };
    widen(&mut entry, extra, size, packed, offset)?;
    entry.offset = entry.offset.checked_add(base).ok_or_else(short)?;
    Ok(Some(entry))
}

/// Takes 64-bit numbers from the extra field where the 32-bit ones are all ones.
fn widen(
    entry: &mut Entry,
    extra: &[u8],
    size: u32,
    packed: u32,
    offset: u32,
) -> Result<(), ZipError> {
    let mut need = [size == u32::MAX, packed == u32::MAX, offset == u32::MAX];
    let mut fields = Fields(extra);
    while let (Some(tag), Some(len)) = (fields.u16(), fields.u16()) {
        let Some(body) = fields.take(len.into()) else {
            break;
        };
        if tag != 1 {
            continue;
        }
        let mut body = Fields(body);
        for (i, needed) in need.iter_mut().enumerate() {
            if !*needed {
                continue;
            }
            let value = body
                .u64()
                .ok_or_else(|| format_error("a 64-bit size is cut short"))?;
            match i {
                0 => entry.size = value,
                1 => entry.packed = value,
                _ => entry.offset = value,
            }
            *needed = false;
        }
    }
    // As in Go: a size of all ones may be meant as such; where the data begins may not.
    match need[1] || need[2] {
        true => Err(format_error("a 64-bit size is missing")),
        false => Ok(()),
    }
}
