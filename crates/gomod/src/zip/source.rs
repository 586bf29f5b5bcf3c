//! A buffered reader that is asked by position.
//!
//! Entries mostly lie one behind the other, so asking for the next place costs no seek: a buffered
//! reader of the standard library would throw its buffer away at each of them.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Bytes read at once: some ten files of usual size.
const BUFFER: usize = 128 << 10;

pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the buffer's first byte is, and how many of its bytes are filled.
    start: u64,
    filled: usize,
    /// Where the reader is; unknown at first.
    reader_at: Option<u64>,
}

impl<R: Read + Seek> Source<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; BUFFER],
            start: 0,
            filled: 0,
            reader_at: None,
        }
    }

    /// Some bytes from a place on; none at the end.
    pub fn at(&mut self, place: u64) -> io::Result<&[u8]> {
        let skip = place.checked_sub(self.start);
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = skip.filter(|skip| *skip < self.filled) {
            return Ok(&self.buffer[skip..self.filled]);
        }
        self.filled = 0;
        if self.reader_at != Some(place) {
            self.reader_at = None;
            self.reader.seek(SeekFrom::Start(place))?;
        }
        let read = loop {
            match self.reader.read(&mut self.buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.reader_at = Some(place + read as u64);
        (self.start, self.filled) = (place, read);
        Ok(&self.buffer[..read])
    }

    /// Exactly `out.len()` bytes, or how many there are before the end.
    pub fn fill(&mut self, place: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < out.len() {
            let bytes = self.at(place.saturating_add(done as u64))?;
            let take = bytes.len().min(out.len() - done);
            if take == 0 {
                break;
            }
            out[done..done + take].copy_from_slice(&bytes[..take]);
            done += take;
        }
        Ok(done)
    }
}
