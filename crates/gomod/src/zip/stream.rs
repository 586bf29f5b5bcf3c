//! Hashes a zip while it arrives, so that little is left to do when its last byte is there.
//!
//! The order of files in the stream, and what their local headers claim, is believed only as far as
//! the directory at the end confirms it entry by entry. Anything the parser cannot follow makes it
//! give up, and the finished zip is hashed from the directory instead: slower, never wrong.

use super::check::{Checked, check_directory, summarize, verify};
use super::directory::{Fields, HAS_DESCRIPTOR};
use super::{MAX_ZIP_FILE, ZipError};
use crate::version::ModuleVersion;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{Read, Seek};

pub(super) const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const DIRECTORY_SIGNATURE: u32 = 0x0201_4b50;
const END_SIGNATURE: u32 = 0x0605_4b50;
const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;

/// The fixed part of a local header.
const HEADER: usize = 30;

/// Bytes inflated at once.
const PLAIN: usize = 64 << 10;

/// Entries hashed in a stream; more are left to the slow path, which refuses them.
const ENTRIES_MAX: usize = 250_000;

/// An entry as the stream showed it.
struct Seen {
    name: Vec<u8>,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    sha256: [u8; 32],
}

/// The entry under way.
struct Current {
    offset: u64,
    name: Vec<u8>,
    flags: u16,
    method: u16,
    /// Bytes of packed data still to come, for stored entries.
    left: u64,
    packed: u64,
    size: u64,
    crc: Crc,
    sum: Sha256,
}

enum State {
    /// At a local header, or at the directory.
    Header,
    Data(Box<Current>),
    /// Behind the data of an entry whose sizes follow it.
    Descriptor,
    /// At the directory: the rest is read from the file.
    Directory,
    GaveUp,
}

/// The hasher. Give it every byte in order, then [`StreamHasher::finish`].
pub struct StreamHasher {
    state: State,
    held: Vec<u8>,
    at: u64,
    unpacked: u64,
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
                State::Data(_) => self.data(rest),
                State::Header => self.header(rest),
                State::Descriptor => self.descriptor(rest),
            };
        }
    }

    /// Checks the finished zip by all rules and gives its hash. `reader` reads the same bytes that
    /// were pushed, `size` of them.
    pub fn finish<R: Read + Seek>(
        self,
        mut reader: R,
        size: u64,
        version: &ModuleVersion,
    ) -> Result<Checked, ZipError> {
        if !matches!(self.state, State::Directory) {
            return verify(reader, size, version);
        }
        let entries = check_directory(&mut reader, size, version)?;
        let hash = |entry: &super::directory::Entry| {
            let seen = self.seen.get(&entry.offset)?;
            let same = seen.name == entry.name
                && seen.method == entry.method
                && seen.crc == entry.crc
                && seen.packed == entry.packed
                && seen.size == entry.size;
            same.then_some(seen.sha256)
        };
        let hashes: Option<Vec<[u8; 32]>> = entries.iter().map(hash).collect();
        match hashes {
            Some(hashes) if entries.len() == self.seen.len() => {
                summarize(&mut reader, version, &entries, hashes)
            }
            _ => verify(reader, size, version),
        }
    }

    fn give_up(&mut self) {
        self.state = State::GaveUp;
        self.held = Vec::new();
        self.seen = HashMap::new();
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
        } else if header_len(&self.held) == Some(self.held.len()) {
            match parse_header(&self.held, self.at) {
                Some(current) if self.seen.len() < ENTRIES_MAX => {
                    self.at += self.held.len() as u64;
                    self.held.clear();
                    self.inflater.reset(false);
                    self.state = State::Data(Box::new(current));
                    self.settle();
                }
                _ => self.give_up(),
            }
        }
        rest
    }

    /// An entry without data ends where its header ends.
    fn settle(&mut self) {
        if matches!(&self.state, State::Data(c) if c.method == 0 && c.left == 0) {
            self.close();
        }
    }

    /// Takes data of the entry under way; gives back what follows it.
    fn data<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Data(current) = &mut self.state else {
            return bytes;
        };
        if current.method == 0 {
            let take = current.left.min(bytes.len() as u64) as usize;
            let (data, rest) = bytes.split_at(take);
            current.left -= take as u64;
            current.packed += take as u64;
            take_plain(current, data);
            self.at += take as u64;
            self.unpacked += take as u64;
            self.settle();
            return rest;
        }
        let mut rest = bytes;
        loop {
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let Ok(status) = self
                .inflater
                .decompress(rest, &mut self.plain, FlushDecompress::None)
            else {
                self.give_up();
                return &[];
            };
            let read = (self.inflater.total_in() - before_in) as usize;
            let made = (self.inflater.total_out() - before_out) as usize;
            rest = &rest[read..];
            current.packed += read as u64;
            self.at += read as u64;
            self.unpacked += made as u64;
            take_plain(current, &self.plain[..made]);
            if self.unpacked > MAX_ZIP_FILE {
                self.give_up();
                return &[];
            }
            match status {
                Status::StreamEnd => {
                    self.close();
                    return rest;
                }
                _ if rest.is_empty() && made < PLAIN => return rest,
                // Input is there and nothing moves: no valid stream does that.
                _ if read == 0 && made == 0 => {
                    self.give_up();
                    return &[];
                }
                _ => {}
            }
        }
    }

    fn close(&mut self) {
        let State::Data(current) = std::mem::replace(&mut self.state, State::Header) else {
            return;
        };
        if current.flags & HAS_DESCRIPTOR != 0 {
            self.state = State::Descriptor;
        }
        let seen = Seen {
            name: current.name,
            method: current.method,
            crc: current.crc.sum(),
            packed: current.packed,
            size: current.size,
            sha256: current.sum.finalize().into(),
        };
        self.seen.insert(current.offset, seen);
    }

    /// A descriptor has two forms and two widths; what follows it tells which it is.
    fn descriptor<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let rest = self.hold(bytes, DESCRIPTOR_HELD);
        if self.held.len() < DESCRIPTOR_HELD {
            return rest;
        }
        let signed = Fields(&self.held).u32() == Some(DESCRIPTOR_SIGNATURE);
        let lengths: [usize; 2] = if signed { [16, 24] } else { [12, 20] };
        let follows = |len: &usize| {
            let next = self.held.get(*len..).and_then(|held| Fields(held).u32());
            matches!(
                next,
                Some(LOCAL_SIGNATURE | DIRECTORY_SIGNATURE | END_SIGNATURE)
            )
        };
        let Some(len) = lengths.into_iter().find(follows) else {
            self.give_up();
            return &[];
        };
        // What is left over is the beginning of the next header, and shorter than any.
        self.at += len as u64;
        self.held.drain(..len);
        self.state = if at_directory(&self.held) {
            State::Directory
        } else {
            State::Header
        };
        rest
    }
}

/// Enough to see what follows the longest descriptor.
const DESCRIPTOR_HELD: usize = 28;

fn take_plain(current: &mut Current, plain: &[u8]) {
    current.size += plain.len() as u64;
    current.crc.update(plain);
    current.sum.update(plain);
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
    let name = fields.take(name.into())?.to_vec();
    let encrypted = flags & 1 != 0;
    let stored_unknown = method == 0
        && (flags & HAS_DESCRIPTOR != 0 && packed == 0 && !name.ends_with(b"/")
            || packed == u32::MAX);
    if encrypted || stored_unknown || !matches!(method, 0 | 8) {
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
