//! The directory at the end of a zip, read as the go command reads it.
//!
//! Source of the format: PKWARE APPNOTE 6.3, and Go's archive/zip for what is tolerated: bytes
//! before and behind the zip, a count that wraps at 65,536. Every number in it is hostile.

use super::source::Source;
use super::{ZipError, format_error};
use std::io::{Read, Seek};

/// Entries of a zip. The largest modules have some ten thousand files; the format would allow seven
/// million entries in 500 MiB, and each costs memory.
pub(super) const ENTRIES_MAX: usize = 250_000;

/// Bytes of all names together: 128 for each of the most entries.
pub(super) const NAMES_BYTES_MAX: usize = 32 << 20;

/// The end record without its comment, and the part of the file in which Go looks for it: the
/// longest comment has 65,535 bytes.
const END: usize = 22;
const TAIL: u64 = 65 << 10;

const DIRECTORY_HEADER: usize = 46;
const LOCAL_HEADER: u64 = 30;

pub(super) const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
pub(super) const DIRECTORY_SIGNATURE: u32 = 0x0201_4b50;
pub(super) const END_SIGNATURE: u32 = 0x0605_4b50;
pub(super) const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;
pub(super) const END64_SIGNATURE: u32 = 0x0606_4b50;
pub(super) const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;

/// Flag bit 3: sizes and CRC follow the data.
pub(super) const HAS_DESCRIPTOR: u16 = 8;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: Box<[u8]>,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    /// Where its local header is.
    pub offset: u64,
    /// Where the next entry or the directory begins: it may not reach farther.
    pub limit: u64,
}

impl Entry {
    pub fn is_dir(&self) -> bool {
        self.name.ends_with(b"/")
    }

    pub fn has_descriptor(&self) -> bool {
        self.flags & HAS_DESCRIPTOR != 0
    }

    pub fn shown_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// What the end record says.
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

/// Reads the directory of a zip of `size` bytes. Entries are in the directory's order.
pub(super) fn read<R: Read + Seek>(
    source: &mut Source<R>,
    size: u64,
) -> Result<Vec<Entry>, ZipError> {
    let end = find_end(source, size)?;
    let missing = || format_error("its directory is not where its end says");
    let start = end.at.checked_sub(end.size).filter(|start| *start < size);
    let mut start = start.ok_or_else(missing)?;
    // Bytes before the zip shift all offsets; some writers count them in already.
    let mut base = i128::from(start) - i128::from(end.offset);
    if base > 0 && matches!(header(source, end.offset)?, Header::Entry(..)) {
        (start, base) = (end.offset, 0);
    }
    let mut entries = Vec::new();
    let (mut at, mut names) = (start, 0);
    while let Header::Entry(mut entry, next) = header(source, at)? {
        let offset = i128::from(entry.offset) + base;
        entry.offset = u64::try_from(offset).map_err(|_| missing())?;
        names += entry.name.len();
        entries.push(entry);
        at = next;
        if entries.len() > ENTRIES_MAX || names > NAMES_BYTES_MAX {
            return Err(format_error("it has more entries than a module can have"));
        }
    }
    // As in Go: the count is compared in the 16 bits that every writer gets right.
    if entries.len() as u16 != end.entries as u16 {
        return Err(format_error("its directory is cut short"));
    }
    set_limits(&mut entries, start, size)?;
    Ok(entries)
}

/// Tells each entry where the next begins. Without overlaps the work to read all of them is bounded
/// by the size of the zip.
fn set_limits(entries: &mut [Entry], directory: u64, size: u64) -> Result<(), ZipError> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|i| entries[*i].offset);
    let mut next: Option<u64> = None;
    for index in order.into_iter().rev() {
        let entry = &mut entries[index];
        let last = match entry.offset < directory {
            true => directory,
            false => size,
        };
        entry.limit = next.unwrap_or(last).min(last);
        next = Some(entry.offset);
        let packed = if entry.is_dir() { 0 } else { entry.packed };
        let least = entry.offset.checked_add(LOCAL_HEADER);
        let least = least.and_then(|end| end.checked_add(packed));
        if least.is_none_or(|end| end > entry.limit) {
            let name = entry.shown_name();
            return Err(format_error(&format!(
                "{name}: it reaches into what follows it"
            )));
        }
    }
    Ok(())
}

fn find_end<R: Read + Seek>(source: &mut Source<R>, size: u64) -> Result<End, ZipError> {
    let tail = size.min(TAIL);
    let mut buffer = vec![0; tail as usize];
    if source.fill(size - tail, &mut buffer)? < buffer.len() {
        return Err(format_error("it is cut short"));
    }
    let none = || format_error("it has no directory (is it cut short, or a web page?)");
    let last = buffer.len().checked_sub(END).ok_or_else(none)?;
    let signature = END_SIGNATURE.to_le_bytes();
    let at = (0..=last)
        .rev()
        .find(|at| buffer[*at..].starts_with(&signature));
    let record = &buffer[at.ok_or_else(none)?..];
    let short = || format_error("its end record is cut short");
    let mut fields = Fields(record);
    fields.take(10).ok_or_else(short)?; // signature, disks, entries on this disk
    let entries = fields.u16().ok_or_else(short)?;
    let (length, offset) = (
        fields.u32().ok_or_else(short)?,
        fields.u32().ok_or_else(short)?,
    );
    let comment = fields.u16().ok_or_else(short)?;
    fields.take(comment.into()).ok_or_else(short)?;
    let end = End {
        entries: entries.into(),
        size: length.into(),
        offset: offset.into(),
        at: size - record.len() as u64,
    };
    match entries == u16::MAX || length == u32::MAX || offset == u32::MAX {
        true => find_end64(source, end),
        false => Ok(end),
    }
}

/// The 64-bit end record, where its locator says; without a locator the numbers are as they are.
fn find_end64<R: Read + Seek>(source: &mut Source<R>, end: End) -> Result<End, ZipError> {
    let mut locator = [0; 20];
    let Some(place) = end.at.checked_sub(locator.len() as u64) else {
        return Ok(end);
    };
    source.fill(place, &mut locator)?;
    let mut fields = Fields(&locator);
    let head = (fields.u32(), fields.u32(), fields.u64(), fields.u32());
    let (Some(LOCATOR64_SIGNATURE), Some(0), Some(at), Some(1)) = head else {
        return Ok(end);
    };
    if i64::try_from(at).is_err() {
        return Ok(end);
    }
    let wrong = || format_error("its 64-bit end record is not there");
    let mut record = [0; 56];
    if source.fill(at, &mut record)? < record.len() {
        return Err(wrong());
    }
    let mut fields = Fields(&record);
    if fields.u32() != Some(END64_SIGNATURE) {
        return Err(wrong());
    }
    fields.take(28).ok_or_else(wrong)?; // size, versions, disks, entries on this disk
    let numbers = (fields.u64(), fields.u64(), fields.u64());
    let (Some(entries), Some(size), Some(offset)) = numbers else {
        return Err(wrong());
    };
    Ok(End {
        entries,
        size,
        offset,
        at,
    })
}

enum Header {
    /// An entry, and where the next one begins.
    Entry(Entry, u64),
    /// Something else, or the file ends.
    Other,
}

/// The entry of the directory at a place; its offset is as written.
fn header<R: Read + Seek>(source: &mut Source<R>, at: u64) -> Result<Header, ZipError> {
    let mut fixed = [0; DIRECTORY_HEADER];
    if source.fill(at, &mut fixed)? < fixed.len() {
        return Ok(Header::Other);
    }
    let Some((mut entry, [name, extra, comment])) = fixed_part(&fixed) else {
        return Ok(Header::Other);
    };
    let mut rest = vec![0; name + extra + comment];
    let after = at.saturating_add(fixed.len() as u64);
    if source.fill(after, &mut rest)? < rest.len() {
        return Ok(Header::Other);
    }
    entry.name = rest[..name].into();
    match widen(&mut entry, &rest[name..name + extra]) {
        Some(()) => Ok(Header::Entry(entry, after + rest.len() as u64)),
        None => Ok(Header::Other),
    }
}

/// The numbers of an entry, and the lengths of name, extra field and comment.
fn fixed_part(bytes: &[u8]) -> Option<(Entry, [usize; 3])> {
    let mut fields = Fields(bytes);
    if fields.u32()? != DIRECTORY_SIGNATURE {
        return None;
    }
    fields.take(4)?; // versions
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?; // time
    let (crc, packed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let lengths = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
    fields.take(8)?; // disk, attributes
    let entry = Entry {
        name: Box::default(),
        flags,
        method,
        crc,
        packed: packed.into(),
        size: size.into(),
        offset: fields.u32()?.into(),
        limit: 0,
    };
    Some((entry, lengths))
}

/// Takes 64-bit numbers from the extra field where the 32-bit ones are all ones. `None`: one of
/// them is cut short. As in Go, one that is missing leaves all ones.
fn widen(entry: &mut Entry, extra: &[u8]) -> Option<()> {
    let ones = u64::from(u32::MAX);
    let (wide_size, wide_packed) = (entry.size == ones, entry.packed == ones);
    let mut fields = Fields(extra);
    while let (Some(tag), Some(length)) = (fields.u16(), fields.u16()) {
        let Some(body) = fields.take(length.into()) else {
            break;
        };
        if tag != 1 {
            continue;
        }
        let mut body = Fields(body);
        if wide_size {
            entry.size = body.u64()?;
        }
        if wide_packed {
            entry.packed = body.u64()?;
        }
        if entry.offset == ones {
            entry.offset = body.u64()?;
        }
    }
    Some(())
}
