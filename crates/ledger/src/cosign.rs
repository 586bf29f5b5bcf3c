//! Cosignatures on our checkpoint: kept beside the log, not in it. Losing them loses nothing that
//! the witnesses would not sign again.
//!
//! The file holds both notes of that head, `latest` and then `checkpoint`: who shows cosigned heads
//! only needs both, and the frames behind it may be many.

use std::io;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use tlog::TreeHead;
use tlog::head::Checkpoint;
use tlog::note::{Note, Signature};

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::reader::{Cosigned, Head, Shared};

impl Shared {
    /// Adds cosignatures to the checkpoint of `of`, a head that was published here.
    pub fn cosign(
        &self,
        disk: &dyn Disk,
        of: &Head,
        lines: &[Signature],
    ) -> Result<(), LedgerError> {
        let invalid = LedgerError::Invalid("a cosignature cannot stand in a note");
        let checkpoint = self
            .signed_too(&of.checkpoint, lines)
            .ok_or(invalid.clone())?;
        let notes = [&of.latest[..], &checkpoint[..]].concat();
        let cosigned = self.read_cosigned(&notes).ok_or(invalid)?;
        let path = self.dir.join("cosigned");
        let new = self.dir.join("cosigned.new");
        let write = || -> io::Result<()> {
            let file = disk.open(&new)?;
            disk.truncate(&file, 0)?;
            disk.write_at(&file, &notes, 0)?;
            disk.sync(&file)?;
            drop(file);
            disk.replace(&new, &path)
        };
        // One at a time, and never back to an older head.
        let kept = self
            .cosigning
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.cosigned_size() <= Some(of.size) {
            write().map_err(LedgerError::disk("write", &path))?;
            self.set_cosigned(cosigned);
        }
        drop(kept);
        Ok(())
    }

    /// Our checkpoint with more signatures.
    fn signed_too(&self, note: &[u8], lines: &[Signature]) -> Option<Bytes> {
        let ours = Note::open(note, std::slice::from_ref(&self.key)).ok()?;
        let had: Vec<Signature> = ours.verified.into_iter().chain(ours.unverified).collect();
        let note = tlog::note::write(&ours.text, &had, lines);
        note.ok().map(Bytes::from)
    }

    /// Both notes of a head whose checkpoint has more than our signature, if it is one of this log
    /// as it is now.
    pub fn read_cosigned(&self, notes: &[u8]) -> Option<Cosigned> {
        let (latest, checkpoint) = split(notes)?;
        let ours = std::slice::from_ref(&self.key);
        let read = Note::open(checkpoint, ours).ok()?;
        let Checkpoint { origin, head, .. } = Checkpoint::parse(&read.text).ok()?;
        let go = Note::open(latest, ours).ok()?;
        let same = TreeHead::parse(go.text.as_bytes()).ok()? == head;
        let published = self.head.borrow().clone();
        let root = match head.size {
            size if size == published.size => published.root,
            size if size < published.size => self.root(size).ok()?,
            _ => return None,
        };
        let sound = same && origin == self.key.name() && root == head.hash;
        (sound && !read.unverified.is_empty()).then(|| Cosigned {
            size: head.size,
            root,
            latest: Bytes::copy_from_slice(latest),
            checkpoint: Bytes::copy_from_slice(checkpoint),
        })
    }

    /// Shows a cosigned checkpoint: as the newest of its kind, and with the head if it is of that.
    pub fn set_cosigned(&self, cosigned: Cosigned) {
        self.head.send_if_modified(|head| {
            let same = head.size == cosigned.size;
            if same {
                Arc::make_mut(head).checkpoint = cosigned.checkpoint.clone();
            }
            same
        });
        let mut newest = self
            .cosigned
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *newest = Some(Arc::new(cosigned));
    }

    fn cosigned_size(&self) -> Option<u64> {
        let newest = self.cosigned.read().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map(|cosigned| cosigned.size)
    }
}

/// The two notes of the file: `latest` has one signature line, ours.
fn split(notes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = notes.windows(2).position(|pair| pair == b"\n\n")?;
    let line = notes[blank + 2..].iter().position(|byte| *byte == b'\n')?;
    Some(notes.split_at(blank + 2 + line + 1))
}
