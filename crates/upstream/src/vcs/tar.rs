//! Reading the tar stream of `git archive`: ustar with pax records for long names and sizes.
//!
//! A crate would also do devices, sparse files and GNU dialects; here anything that git does not
//! write is an error, so there is less to get wrong with hostile names.

use std::io::{self, Read};

/// Tar counts in blocks of this size.
const BLOCK: usize = 512;

/// A pax header holds a path and a size: git writes no more than a few hundred bytes.
const PAX_MAX: u64 = 1 << 20;

/// A file, link or directory in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub size: u64,
    pub regular: bool,
}

/// Walks a tar stream; the content of each entry is read through [`TarReader::content`].
pub(crate) struct TarReader<R> {
    input: R,
    left: u64,
    padding: u64,
}

#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry, or `None` at the end mark. What was not read of the last one is skipped.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut pax = Pax::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = number(&header[124..136])?;
            let kind = header[156];
            self.begin(size);
            match kind {
                b'x' => pax = parse_pax(&self.small()?)?,
                b'g' => {
                    self.small()?;
                }
                b'0' | 0 | b'2' | b'5' => {
                    let size = pax.size.unwrap_or(size);
                    self.begin(size);
                    let name = pax.path.take().unwrap_or_else(|| ustar_name(&header));
                    return Ok(Some(Entry {
                        name,
                        size,
                        regular: matches!(kind, b'0' | 0),
                    }));
                }
                other => return Err(bad(&format!("entry type {other}"))),
            }
        }
    }

    /// The content of the current entry.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content { tar: self }
    }

    /// Reads to the end of the stream.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped < rest {
            Err(bad("cut short"))
        } else {
            Ok(())
        }
    }

    fn header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0u8; BLOCK];
        self.input
            .read_exact(&mut block)
            .map_err(|_| bad("cut short"))?;
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let stored = number(&block[148..156])?;
        let sum = |(i, b): (usize, &u8)| u64::from(if (148..156).contains(&i) { b' ' } else { *b });
        if stored != block.iter().enumerate().map(sum).sum::<u64>() {
            return Err(bad("checksum of a header"));
        }
        Ok(Some(block))
    }

    fn small(&mut self) -> io::Result<Vec<u8>> {
        if self.left > PAX_MAX {
            return Err(bad("pax header too large"));
        }
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reader of one entry's content.
pub(crate) struct Content<'a, R> {
    tar: &'a mut TarReader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer
            .len()
            .min(usize::try_from(self.tar.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let n = self.tar.input.read(&mut buffer[..room])?;
        if n == 0 {
            return Err(bad("cut short"));
        }
        self.tar.left -= n as u64;
        Ok(n)
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("git archive: {what}"))
}

/// Octal digits, or base 256 when the first bit is set.
fn number(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        let tail = field.get(field.len() - 8..).ok_or_else(|| bad("number"))?;
        return Ok(tail.iter().fold(0, |sum, b| (sum << 8) | u64::from(*b)));
    }
    let text = field
        .split(|b| *b == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let mut value = 0u64;
    for b in text {
        if !(b'0'..=b'7').contains(b) {
            return Err(bad("number"));
        }
        value = value
            .checked_mul(8)
            .and_then(|v| v.checked_add(u64::from(b - b'0')))
            .ok_or_else(|| bad("number"))?;
    }
    Ok(value)
}

fn ustar_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let text = |field: &[u8]| field.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if prefix.is_empty() {
        name
    } else {
        [prefix, name].join(&b'/')
    }
}

/// Records `LENGTH SP KEY = VALUE LF`.
fn parse_pax(mut bytes: &[u8]) -> io::Result<Pax> {
    let mut pax = Pax::default();
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|b| *b == b' ')
            .ok_or_else(|| bad("pax"))?;
        let length: usize = std::str::from_utf8(&bytes[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad("pax"))?;
        if length > bytes.len() || length < space + 3 {
            return Err(bad("pax"));
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record
            .iter()
            .position(|b| *b == b'=')
            .ok_or_else(|| bad("pax"))?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => pax.path = Some(value.to_vec()),
            b"size" => {
                let text = std::str::from_utf8(value).ok();
                pax.size = Some(
                    text.and_then(|t| t.parse().ok())
                        .ok_or_else(|| bad("pax"))?,
                );
            }
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(pax)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(name: &[u8], size: u64, kind: u8) -> Vec<u8> {
        let mut block = vec![0u8; BLOCK];
        block[..name.len()].copy_from_slice(name);
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = kind;
        block[148..156].copy_from_slice(b"        ");
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn padded(data: &[u8]) -> Vec<u8> {
        let mut out = data.to_vec();
        out.resize(data.len().div_ceil(BLOCK) * BLOCK, 0);
        out
    }

    #[test]
    fn files_links_and_long_names_are_read() {
        let long = "d/".repeat(90) + "f";
        let record = format!(" path={long}\n");
        let record = format!("{}{record}", record.len() + 3);
        let mut bytes = header(b"pax_global_header", 4, b'g');
        bytes.extend(padded(b"x\0\0\0"));
        bytes.extend(header(b"x", record.len() as u64, b'x'));
        bytes.extend(padded(record.as_bytes()));
        bytes.extend(header(b"short", 3, b'0'));
        bytes.extend(padded(b"abc"));
        bytes.extend(header(b"link", 0, b'2'));
        bytes.extend(vec![0; 2 * BLOCK]);
        let mut tar = TarReader::new(bytes.as_slice());
        let entry = tar.next_entry().unwrap().unwrap();
        assert_eq!(entry.name, long.as_bytes());
        let mut text = String::new();
        tar.content().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let link = tar.next_entry().unwrap().unwrap();
        assert!(!link.regular);
        assert_eq!(tar.next_entry().unwrap(), None);
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        let mut bytes = header(b"f", 600, b'0');
        bytes.extend([1; 100]);
        let mut tar = TarReader::new(bytes.as_slice());
        tar.next_entry().unwrap();
        assert!(tar.content().read_to_end(&mut Vec::new()).is_err());
        assert!(TarReader::new(&b""[..]).next_entry().is_err());
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut bytes = vec![0xa5u8; 4096];
        assert!(TarReader::new(bytes.as_slice()).next_entry().is_err());
        bytes[..BLOCK].copy_from_slice(&header(b"f", 1, b'x'));
        assert!(TarReader::new(bytes.as_slice()).next_entry().is_err());
    }
}
