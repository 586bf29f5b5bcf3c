//! A whole log in one file, to carry it elsewhere: the signed heads, then every record behind its
//! length.
//!
//! ```text
//! modkeep-log-export/1\n
//! <records, decimal>\n
//! <number of notes, decimal>\n
//! for each note:   u32 length, big endian; the note, byte for byte
//! for each record: u16 length, big endian; the record          (as in C2SP entry bundles)
//! ```
//!
//! There is no checksum at the end: the root of the records must be the root of every note, which a
//! reader checks while it reads ([`Reader`]). Nothing else may follow.

use crate::edge::{Edge, plan};
use crate::hash::Hash;
use crate::head::{Checkpoint, TreeHead};
use crate::note::{Note, VerifierKey};
use crate::tree::SIZE_MAX;

/// The most notes: `/latest` and `/checkpoint`, and room for others.
pub const NOTES_MAX: usize = 8;

/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;

const MAGIC: &str = "modkeep-log-export/1";

/// The longest line of the header, in bytes.
const LINE_BYTES_MAX: usize = 40;

/// Leaves that are hashed into the tree at once.
const BATCH: usize = 256;

/// Why a file is no export, or not of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The file breaks the grammar.
    #[error("no log export: {0}")]
    Malformed(&'static str),
    /// The file ends too early.
    #[error("the export is cut: it ends at record {0}")]
    Cut(u64),
    /// Something follows the last record.
    #[error("the export goes on behind its last record")]
    Trailing,
    /// A note is not signed by the log, or about another tree.
    #[error("note {0} of the export is not a signed head of this log with this size")]
    Note(usize),
    /// The records are not those that were signed.
    #[error("the export's records do not have the root that the log signed: the file was changed")]
    Root,
    /// A record is longer than its length can say, or there are too many.
    #[error("record {0} does not fit into an export")]
    Record(u64),
}

/// The beginning of a file.
pub fn header(size: u64, notes: &[&[u8]]) -> Result<Vec<u8>, ExportError> {
    let fits = |note: &&[u8]| note.len() <= NOTE_BYTES_MAX;
    if notes.is_empty() || notes.len() > NOTES_MAX || !notes.iter().all(fits) {
        return Err(ExportError::Malformed(
            "the number or the length of its notes",
        ));
    }
    let mut bytes = format!("{MAGIC}\n{size}\n{}\n", notes.len()).into_bytes();
    for note in notes {
        bytes.extend((note.len() as u32).to_be_bytes());
        bytes.extend_from_slice(note);
    }
    Ok(bytes)
}

/// One record of a file.
pub fn record(id: u64, record: &[u8]) -> Result<Vec<u8>, ExportError> {
    let length = u16::try_from(record.len()).map_err(|_| ExportError::Record(id))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(record);
    Ok(bytes)
}

/// Reads a file piece by piece: push bytes as they come, take what is complete, finish at the end.
///
/// Holds at most one piece and one note, whatever the file says.
#[derive(Debug)]
pub struct Reader {
    keys: Vec<VerifierKey>,
    pending: Vec<u8>,
    /// How much of `pending` has been read.
    at: usize,
    stage: Stage,
    size: u64,
    notes: Vec<Vec<u8>>,
    root: Option<Hash>,
    edge: Edge,
    leaves: Vec<Hash>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Magic,
    Size,
    Count,
    /// So many notes are still to come.
    Notes(usize),
    /// The number of the next record.
    Records(u64),
}

impl Reader {
    /// A reader of an export of the log with these keys.
    pub fn new(keys: Vec<VerifierKey>) -> Self {
        Self {
            keys,
            pending: Vec::new(),
            at: 0,
            stage: Stage::Magic,
            size: 0,
            notes: Vec::new(),
            root: None,
            edge: Edge::default(),
            leaves: Vec::new(),
        }
    }

    /// More of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.at);
        self.at = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next record, or `None` when more bytes are needed or all records have been read.
    ///
    /// Records are handed out before the root is known to be right: nothing may be done with them
    /// that cannot be undone before [`Reader::finish`] has said so.
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        loop {
            let went_on = match self.stage {
                Stage::Magic | Stage::Size | Stage::Count => self.header_line()?,
                Stage::Notes(0) => {
                    self.stage = Stage::Records(0);
                    true
                }
                Stage::Notes(left) => self.note(left)?,
                Stage::Records(id) => return self.record(id),
            };
            if !went_on {
                return Ok(None);
            }
        }
    }

    /// How many records the file says it has; 0 until its header has been read.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The signed heads: all of them are verified once the first record has come.
    pub fn notes(&self) -> &[Vec<u8>] {
        &self.notes
    }

    /// The end of the file: everything was there, nothing more, and it is what the log signed.
    pub fn finish(mut self) -> Result<(TreeHead, Vec<Vec<u8>>), ExportError> {
        let read = match self.stage {
            Stage::Records(id) => id,
            Stage::Notes(0) => 0,
            _ => return Err(ExportError::Cut(0)),
        };
        if read < self.size {
            return Err(ExportError::Cut(read));
        }
        if self.at < self.pending.len() {
            return Err(ExportError::Trailing);
        }
        self.grow()?;
        let head = self.edge.head();
        if self.root != Some(head.hash) {
            return Err(ExportError::Root);
        }
        Ok((head, self.notes))
    }

    fn rest(&self) -> &[u8] {
        &self.pending[self.at..]
    }

    fn header_line(&mut self) -> Result<bool, ExportError> {
        let bad = ExportError::Malformed("its header");
        let rest = self.rest();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return match rest.len() > LINE_BYTES_MAX {
                true => Err(bad),
                false => Ok(false),
            };
        };
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| bad.clone())?;
        let number = || -> Result<u64, ExportError> {
            let number: u64 = line.parse().map_err(|_| bad.clone())?;
            let plain = number.to_string() == line && number <= SIZE_MAX;
            plain.then_some(number).ok_or(bad.clone())
        };
        (self.stage, self.size) = match self.stage {
            Stage::Magic if line == MAGIC => (Stage::Size, 0),
            Stage::Size => (Stage::Count, number()?),
            Stage::Count => match usize::try_from(number()?) {
                Ok(count @ 1..=NOTES_MAX) => (Stage::Notes(count), self.size),
                _ => return Err(bad),
            },
            _ => return Err(bad),
        };
        self.at += end + 1;
        Ok(true)
    }

    fn note(&mut self, left: usize) -> Result<bool, ExportError> {
        let Some((length, rest)) = self.rest().split_first_chunk() else {
            return Ok(false);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > NOTE_BYTES_MAX {
            return Err(ExportError::Malformed("a note is too long"));
        }
        let Some(note) = rest.get(..length) else {
            return Ok(false);
        };
        let note = note.to_vec();
        let number = self.notes.len();
        let root = signed_root(&note, &self.keys, self.size).ok_or(ExportError::Note(number))?;
        if self.root.is_some_and(|other| other != root) {
            return Err(ExportError::Note(number));
        }
        self.root = Some(root);
        self.notes.push(note);
        self.at += 4 + length;
        self.stage = Stage::Notes(left - 1);
        Ok(true)
    }

    fn record(&mut self, id: u64) -> Result<Option<Vec<u8>>, ExportError> {
        if id == self.size {
            return Ok(None);
        }
        let Some((length, rest)) = self.rest().split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(record) = rest.get(..length) else {
            return Ok(None);
        };
        let record = record.to_vec();
        self.leaves.push(Hash::leaf(&record));
        self.at += 2 + length;
        self.stage = Stage::Records(id + 1);
        if self.leaves.len() == BATCH {
            self.grow()?;
        }
        Ok(Some(record))
    }

    fn grow(&mut self) -> Result<(), ExportError> {
        let id = self.edge.size();
        let batch = plan(&self.edge, &self.leaves).map_err(|_| ExportError::Record(id))?;
        self.edge = batch.edge;
        self.leaves.clear();
        Ok(())
    }
}

/// The root that the log signed for this size, by either protocol's head.
fn signed_root(note: &[u8], keys: &[VerifierKey], size: u64) -> Option<Hash> {
    let text = Note::open(note, keys).ok()?.text;
    let head = match TreeHead::parse(text.as_bytes()) {
        Ok(head) => head,
        Err(_) => {
            let checkpoint = Checkpoint::parse(&text).ok()?;
            let ours = keys.iter().any(|key| key.name() == checkpoint.origin);
            ours.then_some(checkpoint.head)?
        }
    };
    (head.size == size).then_some(head.hash)
}
