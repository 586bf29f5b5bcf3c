//! A frame: one commit of the log, whole or not there.
//!
//! ```text
//!   0  magic               8
//!   8  length              4   of the whole frame
//!  12  sum                16   XXH3-128 of all other bytes
//!  28  sequence            8   0 for the first frame, then one more each
//!  36  epoch               8   never smaller than in the frame before
//!  44  old size            8
//!  52  new size            8
//!  60  root               32
//!  92  lengths of notes 4, 4
//! 100  the note for /latest, the note for /checkpoint, the records
//! ```
//!
//! Numbers are big-endian. Records are written as C2SP tlog-tiles writes entries, a length of two
//! bytes and the text, so that serving them is copying them. The sum finds writes that did not end
//! and rot; who could forge it would still have to sign the root.

use bytes::Bytes;
use tlog::Hash;
use tlog::hash::HASH_BYTES;
use xxhash_rust::xxh3::Xxh3;

/// The bytes before the notes.
pub(crate) const HEADER_BYTES: usize = 100;

/// The longest frame: 65,536 records of 256 bytes and room, or 2,048 of the longest.
pub(crate) const FRAME_BYTES_MAX: usize = 32 << 20;

const MAGIC: [u8; 8] = *b"mklog/1\n";
const SUM: std::ops::Range<usize> = 12..28;

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub sequence: u64,
    pub epoch: u64,
    pub old: u64,
    pub new: u64,
    pub root: Hash,
    pub latest: Bytes,
    pub checkpoint: Bytes,
    /// Lengths and texts.
    pub entries: Bytes,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It does not begin as frames do, or its length is none.
    #[error("no frame begins here")]
    Start,
    /// The bytes end before it.
    #[error("the frame is cut off")]
    Short,
    /// Its bytes are not those that were written.
    #[error("the frame's checksum differs")]
    Sum,
    /// It was written so, and makes no sense.
    #[error("the frame is malformed")]
    Content,
}

impl Frame {
    /// Where the records begin, from the frame's start.
    pub fn entries_at(&self) -> usize {
        HEADER_BYTES + self.latest.len() + self.checkpoint.len()
    }

    /// The bytes; `None` if there are too many.
    pub fn encode(&self) -> Option<Bytes> {
        let len = self.entries_at() + self.entries.len();
        if len > FRAME_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&u32::try_from(len).ok()?.to_be_bytes());
        bytes.extend_from_slice(&[0; 16]);
        for number in [self.sequence, self.epoch, self.old, self.new] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.root.0);
        for note in [&self.latest, &self.checkpoint] {
            bytes.extend_from_slice(&u32::try_from(note.len()).ok()?.to_be_bytes());
        }
        for part in [&self.latest, &self.checkpoint, &self.entries] {
            bytes.extend_from_slice(part);
        }
        let sum = sum(&bytes);
        bytes[SUM].copy_from_slice(&sum);
        Some(bytes.into())
    }

    /// The length that a header states.
    pub fn stated_len(header: &[u8]) -> Result<usize, FrameError> {
        if header.len() < HEADER_BYTES {
            return Err(FrameError::Short);
        }
        let len = number(header, 8, 4) as usize;
        let fits = (HEADER_BYTES..=FRAME_BYTES_MAX).contains(&len);
        if header[..8] != MAGIC || !fits {
            return Err(FrameError::Start);
        }
        Ok(len)
    }

    /// Reads a frame that is exactly `bytes`.
    pub fn parse(bytes: &Bytes) -> Result<Self, FrameError> {
        if bytes.len() != Self::stated_len(bytes)? {
            return Err(FrameError::Short);
        }
        if bytes[SUM] != sum(bytes) {
            return Err(FrameError::Sum);
        }
        let latest = HEADER_BYTES.saturating_add(number(bytes, 92, 4) as usize);
        let checkpoint = latest.saturating_add(number(bytes, 96, 4) as usize);
        if checkpoint > bytes.len() {
            return Err(FrameError::Content);
        }
        let mut root = [0; HASH_BYTES];
        root.copy_from_slice(&bytes[60..92]);
        let frame = Self {
            sequence: number(bytes, 28, 8),
            epoch: number(bytes, 36, 8),
            old: number(bytes, 44, 8),
            new: number(bytes, 52, 8),
            root: Hash(root),
            latest: bytes.slice(HEADER_BYTES..latest),
            checkpoint: bytes.slice(latest..checkpoint),
            entries: bytes.slice(checkpoint..),
        };
        let count = frame.new.checked_sub(frame.old);
        let texts = entries(&frame.entries).ok_or(FrameError::Content)?;
        if count != Some(texts.len() as u64) {
            return Err(FrameError::Content);
        }
        Ok(frame)
    }

    /// The records: where each begins from the frame's start, and its text.
    pub fn texts(&self) -> Vec<(usize, &str)> {
        let from = self.entries_at();
        let mut texts = entries(&self.entries).unwrap_or_default();
        for (at, _) in &mut texts {
            *at += from;
        }
        texts
    }

    /// Whether a whole, good frame begins anywhere in `bytes`.
    pub fn is_anywhere_in(bytes: &Bytes) -> bool {
        bytes
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, window)| **window == MAGIC)
            .any(|(at, _)| {
                let rest = bytes.slice(at..);
                match Self::stated_len(&rest) {
                    Ok(len) if len <= rest.len() => Self::parse(&rest.slice(..len)).is_ok(),
                    _ => false,
                }
            })
    }
}

/// Adds one record to `entries`. The caller has checked its length.
pub(crate) fn push_entry(entries: &mut Vec<u8>, text: &str) {
    entries.extend_from_slice(&(text.len() as u16).to_be_bytes());
    entries.extend_from_slice(text.as_bytes());
}

/// The records in `bytes`, with the place of each; `None` unless they fill it.
pub(crate) fn entries(bytes: &[u8]) -> Option<Vec<(usize, &str)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let text = entry(bytes, at)?;
        found.push((at, text));
        at += 2 + text.len();
    }
    Some(found)
}

/// The record at `at`.
pub(crate) fn entry(bytes: &[u8], at: usize) -> Option<&str> {
    let (len, rest) = bytes.get(at..)?.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    std::str::from_utf8(text).ok()
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn sum(frame: &[u8]) -> [u8; 16] {
    let mut hasher = Xxh3::new();
    hasher.update(&frame[..SUM.start]);
    hasher.update(&frame[SUM.end..]);
    hasher.digest128().to_be_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn frame(texts: &[&str]) -> Frame {
        let mut entries = Vec::new();
        for text in texts {
            push_entry(&mut entries, text);
        }
        Frame {
            sequence: 3,
            epoch: 2,
            old: 5,
            new: 5 + texts.len() as u64,
            root: Hash([7; 32]),
            latest: Bytes::from_static(b"latest\n"),
            checkpoint: Bytes::from_static(b"checkpoint\n"),
            entries: entries.into(),
        }
    }

    #[test]
    fn a_frame_survives_being_written_and_read() {
        for texts in [&[][..], &["a v1 h1:x\n"], &["a v1 h1:x\n", "b v1 h1:y\n"]] {
            let frame = frame(texts);
            let bytes = frame.encode().unwrap();
            assert_eq!(Frame::parse(&bytes), Ok(frame.clone()));
            for ((at, text), expected) in frame.texts().iter().zip(texts) {
                assert_eq!(text, expected);
                assert_eq!(entry(&bytes, *at), Some(*expected));
            }
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let bytes = frame(&["a v1 h1:x\n", "b v1 h1:y\n"]).encode().unwrap();
        for at in 0..bytes.len() {
            assert!(Frame::parse(&bytes.slice(..at)).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(
                    Frame::parse(&flipped.into()).is_err(),
                    "byte {at} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_frame_is_found_behind_damage() {
        let bytes = frame(&["a v1 h1:x\n"]).encode().unwrap();
        let mut long = b"mklog/1\nnonsense".to_vec();
        long.extend_from_slice(&bytes);
        assert!(Frame::is_anywhere_in(&long.clone().into()));
        long.pop();
        assert!(!Frame::is_anywhere_in(&long.into()));
    }
}
