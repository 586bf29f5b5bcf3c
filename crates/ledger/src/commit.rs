//! One commit, made the same way whether it is new or replayed: what was there, what comes to it,
//! and what is derived from that.

use std::sync::Arc;

use bytes::Bytes;
use tlog::edge::{self, Edge};
use tlog::head::Checkpoint;
use tlog::note::{self, Note, NoteError, Signer, VerifierKey};
use tlog::{Hash, Tile, TreeHead};

use crate::error::LedgerError;
use crate::frame::{Frame, push_entry};
use crate::mark::Mark;
use crate::record::{Key, NewRecord};
use crate::segments::{Position, Segments};

/// Leaves worth a thread of their own: about a millisecond of hashing.
const LEAVES_PER_THREAD: usize = 4096;

/// The log between two commits.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub edge: Arc<Edge>,
    /// The tree, so that its root is computed once.
    pub head: TreeHead,
    pub sequence: u64,
    pub epoch: u64,
    pub end: Position,
}

/// One commit with all that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub before: Mark,
    pub at: Position,
    pub frame: Frame,
    pub bytes: usize,
    pub edge: Arc<Edge>,
    pub tiles: Vec<(Tile, Bytes)>,
}

impl State {
    /// Before the first frame.
    pub fn start() -> Self {
        Self::at(&Mark::START, Edge::default())
    }

    /// The state that a mark names. Its `edge` was restored against the mark's root.
    pub fn at(mark: &Mark, edge: Edge) -> Self {
        Self {
            edge: Arc::new(edge),
            head: mark.head,
            sequence: mark.sequence,
            epoch: 0,
            end: mark.at,
        }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            head: self.head,
            sequence: self.sequence,
            at: self.end,
            applied: self.head.size,
        }
    }

    /// Plans a new commit and signs its head.
    pub fn plan(
        &self,
        records: &[NewRecord],
        signer: &mut HeadSigner,
        segment_bytes: u64,
    ) -> Result<(Step, Bytes), LedgerError> {
        let leaves = leaves(&records.iter().map(NewRecord::text).collect::<Vec<_>>());
        let full = |_| LedgerError::Invalid("the log is full");
        let batch = edge::plan(&self.edge, &leaves).map_err(full)?;
        let mut entries = Vec::new();
        for record in records {
            push_entry(&mut entries, record.text());
        }
        let (latest, checkpoint) = signer.sign(&self.head, &batch.head)?;
        let frame = Frame {
            sequence: self.sequence,
            epoch: self.epoch,
            old: self.head.size,
            new: batch.head.size,
            root: batch.head.hash,
            latest,
            checkpoint,
            entries: entries.into(),
        };
        let bytes = frame
            .encode()
            .ok_or(LedgerError::Invalid("a commit is too long"))?;
        let step = Step {
            before: self.mark(),
            at: Segments::place(self.end, bytes.len(), segment_bytes),
            frame,
            bytes: bytes.len(),
            edge: Arc::new(batch.edge),
            tiles: batch.tiles,
        };
        Ok((step, bytes))
    }

    /// Judges a frame that was found at `at`: it must follow from this state. `leaves` are the
    /// hashes of its records.
    pub fn replay(
        &self,
        at: Position,
        frame: Frame,
        bytes: usize,
        leaves: &[Hash],
    ) -> Result<Step, String> {
        let Self { head, sequence, .. } = self;
        if frame.sequence != *sequence || frame.old != head.size || frame.epoch < self.epoch {
            return Err(format!(
                "frame {} for {} records stands where frame {sequence} for {} belongs",
                frame.sequence, frame.old, head.size
            ));
        }
        let batch = edge::plan(&self.edge, leaves).map_err(|error| error.to_string())?;
        if batch.head.hash != frame.root {
            return Err("its records do not lead to its root".to_owned());
        }
        Ok(Step {
            before: self.mark(),
            at,
            frame,
            bytes,
            edge: Arc::new(batch.edge),
            tiles: batch.tiles,
        })
    }

    /// The state after a commit.
    pub fn advance(&mut self, step: &Step) {
        self.edge = Arc::clone(&step.edge);
        self.head = step.head();
        self.sequence = step.frame.sequence + 1;
        self.epoch = self.epoch.max(step.frame.epoch);
        self.end = step.at.plus(step.bytes);
    }
}

impl Step {
    /// The mark of derived files that hold this commit.
    pub fn mark(&self) -> Mark {
        Mark {
            applied: self.frame.new,
            ..self.before
        }
    }

    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.frame.new,
            hash: self.frame.root,
        }
    }

    /// Where its records lie.
    pub fn places(&self) -> Vec<Position> {
        let texts = self.frame.texts();
        texts.iter().map(|(at, _)| self.at.plus(*at)).collect()
    }

    /// Its rows of the index.
    pub fn rows(&self) -> Result<Vec<(Key, u64)>, LedgerError> {
        rows_of(&self.frame)
    }
}

/// A frame's rows of the index.
pub(crate) fn rows_of(frame: &Frame) -> Result<Vec<(Key, u64)>, LedgerError> {
    let texts = frame.texts().into_iter();
    (frame.old..)
        .zip(texts)
        .map(|(id, (_, text))| Ok((Key::of_text(text)?, id)))
        .collect()
}

/// Checks both signed heads of a frame: ours, and of this very tree.
pub(crate) fn check_notes(frame: &Frame, key: &VerifierKey) -> Result<(), NoteError> {
    let keys = std::slice::from_ref(key);
    let head = TreeHead {
        size: frame.new,
        hash: frame.root,
    };
    let latest = Note::open(&frame.latest, keys)?.text;
    let checkpoint = Note::open(&frame.checkpoint, keys)?.text;
    if latest == head.to_text() && checkpoint == checkpoint_text(key.name(), &head) {
        Ok(())
    } else {
        Err(NoteError::Malformed)
    }
}

/// Our C2SP checkpoint: the origin is the key's name.
fn checkpoint_text(origin: &str, head: &TreeHead) -> String {
    Checkpoint {
        origin: origin.to_owned(),
        head: *head,
        extensions: Vec::new(),
    }
    .to_text()
}

/// The hashes of a frame's records.
pub(crate) fn leaves_of(frame: &Frame) -> Vec<Hash> {
    let texts: Vec<&str> = frame.texts().into_iter().map(|(_, text)| text).collect();
    leaves(&texts)
}

/// The key, and the last head it signed: it signs nothing that does not follow from that.
#[derive(Debug)]
pub(crate) struct HeadSigner {
    signer: Signer,
    last: TreeHead,
}

impl HeadSigner {
    pub fn new(signer: Signer, last: TreeHead) -> Self {
        Self { signer, last }
    }

    /// The notes of the empty tree, with which a log begins.
    pub fn first(signer: &Signer) -> Result<(Bytes, Bytes), LedgerError> {
        notes(signer, &TreeHead::EMPTY)
    }

    /// Signs `to`, which was planned on `from`, for `/latest` and `/checkpoint`.
    pub fn sign(&mut self, from: &TreeHead, to: &TreeHead) -> Result<(Bytes, Bytes), LedgerError> {
        if *from != self.last || to.size <= self.last.size {
            return Err(LedgerError::NotNewer {
                last: self.last.size,
                new: to.size,
            });
        }
        let notes = notes(&self.signer, to)?;
        self.last = *to;
        Ok(notes)
    }
}

fn notes(signer: &Signer, head: &TreeHead) -> Result<(Bytes, Bytes), LedgerError> {
    let sign = |text: String| match note::sign(&text, &[signer]) {
        Ok(note) => Ok(Bytes::from(note)),
        Err(_) => Err(LedgerError::Invalid(
            "the key's name cannot stand in a note",
        )),
    };
    let checkpoint = checkpoint_text(signer.verifier().name(), head);
    Ok((sign(head.to_text())?, sign(checkpoint)?))
}

/// The hashes of records, on several cores if there are many.
pub(crate) fn leaves(texts: &[&str]) -> Vec<Hash> {
    let leaf = |text: &&str| Hash::leaf(text.as_bytes());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (texts.len() / LEAVES_PER_THREAD).min(cores);
    if threads < 2 {
        return texts.iter().map(leaf).collect();
    }
    let mut hashes = vec![Hash::EMPTY_ROOT; texts.len()];
    let share = texts.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for (texts, hashes) in texts.chunks(share).zip(hashes.chunks_mut(share)) {
            scope.spawn(move || {
                for (text, hash) in texts.iter().zip(hashes) {
                    *hash = leaf(text);
                }
            });
        }
    });
    hashes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_head_that_is_not_newer_or_does_not_follow_is_not_signed() {
        let signer = Signer::from_seed("log.example", &[1; 32]).unwrap();
        let head = |size, byte| TreeHead {
            size,
            hash: Hash([byte; 32]),
        };
        let mut signer = HeadSigner::new(signer, head(5, 5));
        for (from, to) in [
            (head(5, 5), head(5, 5)),
            (head(5, 5), head(5, 6)),
            (head(5, 5), head(4, 4)),
            (head(5, 6), head(6, 6)),
            (head(4, 4), head(6, 6)),
        ] {
            assert!(signer.sign(&from, &to).is_err(), "{from:?} {to:?}");
        }
        signer.sign(&head(5, 5), &head(6, 6)).unwrap();
        assert!(signer.sign(&head(5, 5), &head(6, 7)).is_err());
    }

    #[test]
    fn leaves_are_the_same_on_any_number_of_cores() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("m v{n} h1:x\n")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let one: Vec<Hash> = texts.iter().map(|t| Hash::leaf(t.as_bytes())).collect();
        assert_eq!(leaves(&texts), one);
    }
}
