//! Hashes a zip while it arrives, so that little is left to do when its last byte is there.
//!
//! The order of files in the stream, and what their local headers claim, is believed only as far as
//! the directory at the end confirms it entry by entry. Anything the parser cannot follow makes it
//! give up, and entries that nothing confirms are hashed from the file instead: later, never wrong.

use super::directory::{
    DESCRIPTOR_SIGNATURE, DIRECTORY_SIGNATURE, END_SIGNATURE, ENTRIES_MAX, Entry, Fields,
    HAS_DESCRIPTOR, LOCAL_SIGNATURE, NAMES_BYTES_MAX,
};
use super::unpack::{DEFLATED, STORED, descriptor_crc};
use super::verify::{Checked, verify_rest};
use super::{MAX_ZIP_FILE, ZipError};
use crate::version::ModuleVersion;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{self, Read, Seek};

/// The fixed part of a local header.
const HEADER: usize = 30;

/// Bytes inflated at once.
const PLAIN: usize = 64 << 10;

/// Enough to see what follows the longest descriptor, and less than a header.
const DESCRIPTOR_HELD: usize = 28;

/// An entry as the stream showed it.
struct Seen {
    name: Box<[u8]>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    /// Where its packed data ends.
    end: u64,
    sha256: [u8; 32],
}

impl Seen {
    /// Whether the directory says the same. What has rules of its own is left to the slow path: a CRC
    /// of zero, which may mean that it was not given, and directories that claim content.
    fn confirms(&self, entry: &Entry) -> bool {
        !(entry.is_dir() && entry.size > 0)
            && self.name == entry.name
            && self.flags & HAS_DESCRIPTOR == entry.flags & HAS_DESCRIPTOR
            && self.method == entry.method
            && self.crc == entry.crc
            && self.packed == entry.packed
            && self.size == entry.size
            && self.end <= entry.limit
    }
}

/// The entry under way.
struct Current {
    offset: u64,
    name: Box<[u8]>,
    flags: u16,
    method: u16,
    /// Bytes of packed data still to come, for stored entries.
    left: u64,
    packed: u64,
    size: u64,
    crc: Crc,
    sum: Sha256,
}

impl Current {
    fn take(&mut self, plain: &[u8]) {
        self.size += plain.len() as u64;
        self.crc.update(plain);
        self.sum.update(plain);
    }

    fn seen(self, end: u64) -> Seen {
        Seen {
            end,
            name: self.name,
            flags: self.flags,
            method: self.method,
            crc: self.crc.sum(),
            packed: self.packed,
            size: self.size,
            sha256: self.sum.finalize().into(),
        }
    }
}

enum State {
    /// At a local header, or at the directory.
    Header,
    Data(Box<Current>),
    /// Behind the data of an entry whose sizes follow it; with the CRC of its content and its place.
    Descriptor(u32, u64),
    /// At the directory: the rest is read from the file.
    Directory,
    GaveUp,
}

/// The hasher. Give it every byte in order, then [`StreamHasher::finish`]. Its memory is bounded:
/// what a zip within the limits cannot contain makes it give up.
pub struct StreamHasher {
    state: State,
    held: Vec<u8>,
    at: u64,
    unpacked: u64,
    names: usize,
    inflater: Decompress,
    plain: Vec<u8>,
    seen: HashMap<u64, Seen>,
}

impl std::fmt::Debug for StreamHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamHasher({} entries)", self.seen.len())
    }
}

impl Default for StreamHasher {
    fn default() -> Self {
        Self {
            state: State::Header,
            held: Vec::new(),
            at: 0,
            unpacked: 0,
            names: 0,
            inflater: Decompress::new(false),
            plain: vec![0; PLAIN],
            seen: HashMap::new(),
        }
    }
}

impl StreamHasher {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &self.state {
                State::Directory | State::GaveUp => return,
                State::Data(current) if current.method == STORED => self.copy(rest),
                State::Data(_) => self.inflate(rest),
                State::Header => self.header(rest),
                State::Descriptor(crc, _) => self.descriptor(*crc, rest),
            };
        }
    }

    /// Checks the finished zip by all rules and gives its hash. `open` opens the same bytes that
    /// were pushed, `size` of them. The hasher may have been given fewer, from the first on: what it
    /// has not seen is hashed now, on several threads.
    pub fn finish<R: Read + Seek>(
        mut self,
        open: impl Fn() -> io::Result<R> + Sync,
        size: u64,
        version: &ModuleVersion,
        threads: usize,
    ) -> Result<Checked, ZipError> {
        if let State::Descriptor(_, offset) = self.state {
            // Its descriptor was never held against its content.
            self.seen.remove(&offset);
        }
        let known = |entry: &Entry| {
            let seen = self.seen.get(&entry.offset)?;
            seen.confirms(entry).then_some(seen.sha256)
        };
        verify_rest(open, size, version, threads, known, &())
    }

    fn give_up(&mut self) -> &'static [u8] {
        self.state = State::GaveUp;
        self.held = Vec::new();
        self.seen = HashMap::new();
        &[]
    }

    /// Collects up to `wanted` bytes; gives back what follows.
    fn hold<'a>(&mut self, bytes: &'a [u8], wanted: usize) -> &'a [u8] {
        let take = wanted.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes[..take]);
        &bytes[take..]
    }

    /// Collects a local header: first its fixed part, which says how long the rest is.
    fn header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let rest = self.hold(bytes, header_len(&self.held).unwrap_or(HEADER));
        if at_directory(&self.held) {
            self.state = State::Directory;
            return rest;
        }
        if header_len(&self.held) != Some(self.held.len()) {
            return rest;
        }
        let Some(current) = parse_header(&self.held, self.at) else {
            return self.give_up();
        };
        self.names += current.name.len();
        if self.seen.len() >= ENTRIES_MAX || self.names > NAMES_BYTES_MAX {
            return self.give_up();
        }
        self.at += self.held.len() as u64;
        self.held.clear();
        self.inflater.reset(false);
        let empty = current.method == STORED && current.left == 0;
        self.state = State::Data(Box::new(current));
        if empty {
            self.close();
        }
        rest
    }

    /// Takes data of a stored entry; gives back what follows it.
    fn copy<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Data(current) = &mut self.state else {
            return bytes;
        };
        let take = current.left.min(bytes.len() as u64) as usize;
        let (data, rest) = bytes.split_at(take);
        current.left -= take as u64;
        current.packed += take as u64;
        current.take(data);
        let done = current.left == 0;
        self.at += take as u64;
        self.unpacked += take as u64;
        if self.unpacked > MAX_ZIP_FILE {
            return self.give_up();
        }
        if done {
            self.close();
        }
        rest
    }

    /// Takes data of a packed entry; gives back what follows it.
    fn inflate<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Data(current) = &mut self.state else {
            return bytes;
        };
        let mut rest = bytes;
        loop {
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let Ok(status) = self
                .inflater
                .decompress(rest, &mut self.plain, FlushDecompress::None)
            else {
                return self.give_up();
            };
            let read = (self.inflater.total_in() - before_in) as usize;
            let made = (self.inflater.total_out() - before_out) as usize;
            rest = &rest[read..];
            current.packed += read as u64;
            current.take(&self.plain[..made]);
            self.at += read as u64;
            self.unpacked += made as u64;
            if self.unpacked > MAX_ZIP_FILE {
                return self.give_up();
            }
            match status {
                Status::StreamEnd => {
                    self.close();
                    return rest;
                }
                _ if rest.is_empty() && made < PLAIN => return rest,
                // Input is there and nothing moves: no valid stream does that.
                _ if read == 0 && made == 0 => return self.give_up(),
                _ => {}
            }
        }
    }

    /// Ends the entry under way.
    fn close(&mut self) {
        let State::Data(current) = std::mem::replace(&mut self.state, State::Header) else {
            return;
        };
        let offset = current.offset;
        let seen = current.seen(self.at);
        if seen.flags & HAS_DESCRIPTOR != 0 {
            self.state = State::Descriptor(seen.crc, offset);
        }
        self.seen.insert(offset, seen);
    }

    /// A descriptor has two forms and two widths; what follows it tells which it is.
    fn descriptor<'a>(&mut self, crc: u32, bytes: &'a [u8]) -> &'a [u8] {
        let rest = self.hold(bytes, DESCRIPTOR_HELD);
        if self.held.len() < DESCRIPTOR_HELD {
            return rest;
        }
        let signed = Fields(&self.held).u32() == Some(DESCRIPTOR_SIGNATURE);
        let lengths: [usize; 2] = if signed { [16, 24] } else { [12, 20] };
        let follows = |len: &usize| {
            let next = self.held.get(*len..).and_then(|held| Fields(held).u32());
            matches!(next, Some(LOCAL_SIGNATURE | DIRECTORY_SIGNATURE))
        };
        let length = lengths.into_iter().find(follows);
        let Some(length) = length.filter(|_| descriptor_crc(&self.held) == Some(crc)) else {
            return self.give_up();
        };
        // What is left over is the beginning of the next header, and shorter than any.
        self.at += length as u64;
        self.held.drain(..length);
        self.state = match at_directory(&self.held) {
            true => State::Directory,
            false => State::Header,
        };
        rest
    }
}

fn at_directory(held: &[u8]) -> bool {
    matches!(
        Fields(held).u32(),
        Some(DIRECTORY_SIGNATURE | END_SIGNATURE)
    )
}

/// The length of the header that begins here, when its first 30 bytes are there.
fn header_len(held: &[u8]) -> Option<usize> {
    let mut lengths = Fields(held.get(26..30)?);
    Some(HEADER + usize::from(lengths.u16()?) + usize::from(lengths.u16()?))
}

/// Reads a local header. `None`: something this parser does not follow.
fn parse_header(held: &[u8], offset: u64) -> Option<Current> {
    let mut fields = Fields(held);
    if fields.u32()? != LOCAL_SIGNATURE {
        return None;
    }
    fields.take(2)?; // version
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(8)?; // time, CRC
    let (packed, _size) = (fields.u32()?, fields.u32()?);
    let (name, _extra) = (fields.u16()?, fields.u16()?);
    let name: Box<[u8]> = fields.take(name.into())?.into();
    let encrypted = flags & 1 != 0;
    let later = flags & HAS_DESCRIPTOR != 0 && packed == 0 && !name.ends_with(b"/");
    let unknown = method == STORED && (later || packed == u32::MAX);
    if encrypted || unknown || !matches!(method, STORED | DEFLATED) {
        return None;
    }
    Some(Current {
        offset,
        name,
        flags,
        method,
        left: u64::from(packed),
        packed: 0,
        size: 0,
        crc: Crc::new(),
        sum: Sha256::new(),
    })
}
