//! What can go wrong with a log, classed by what the operator has to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a log cannot be opened, read or appended to. Every text says what to do.
///
/// Errors are cheap to clone: all requests of one commit get the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk refused.
    #[error("{}: cannot {doing}: {source}", .path.display())]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A commit did not end. The record may be in the log or not; asking again tells.
    #[error("the log could not be made durable, nothing was shown; ask again ({0})")]
    Unfinished(Box<LedgerError>),
    /// No log there.
    #[error("{}: there is no log here: make one with `modkeep log init NAME`", .0.display())]
    Missing(PathBuf),
    /// A log is there already.
    #[error("{}: there is a log here already; a log is never made anew over another", .0.display())]
    Exists(PathBuf),
    /// Another process has it.
    #[error("{}: another process has this log open: stop it, a log has one writer", .0.display())]
    Locked(PathBuf),
    /// The truth itself is damaged: what cannot be rebuilt.
    #[error(
        "{place}: the log is damaged: {what}. Restore the newest copy of the log's folder `frames`, \
         then run `modkeep log recover`; do not start it over"
    )]
    Damaged {
        /// Which file, and where in it.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// Something derived is damaged: what can be rebuilt.
    #[error("{place}: {what}. Stop modkeep and run `modkeep log recover`, which rebuilds it")]
    Derived {
        /// Which file.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// The log was signed by another key.
    #[error("the log is signed by {found}, not by the key {ours}: give the key it was made with")]
    OtherKey {
        /// Our key.
        ours: String,
        /// What the last head says.
        found: String,
    },
    /// The witness file forbids going on.
    #[error("{}: {why}", .path.display())]
    Witness {
        /// The witness file.
        path: PathBuf,
        /// What does not fit and what to do.
        why: WitnessRefusal,
    },
    /// The record says something else about a version that has one.
    #[error(
        "{module}@{version}: record {id} of the log says something else: a version has one record \
         for ever. The bytes offered differ from those first admitted"
    )]
    Conflict {
        /// The module.
        module: String,
        /// The version.
        version: String,
        /// The record that is there.
        id: u64,
    },
    /// The text is no record.
    #[error("no record of a module version: {0}")]
    Invalid(&'static str),
    /// More than one request may hold.
    #[error("{found} {of} in one request, at most {max}: append them in several")]
    TooMuch {
        /// What there is too much of.
        of: &'static str,
        /// How much was given.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A number beyond the published log, or a range that is none.
    #[error("{asked} is not inside the log of {size} records")]
    OutOfRange {
        /// What was asked for.
        asked: u64,
        /// The published size.
        size: u64,
    },
    /// The log may not sign this head.
    #[error(
        "refused to sign a head of {new} records after one of {last}: it does not follow from it"
    )]
    NotNewer {
        /// The size of the last signed head.
        last: u64,
        /// The size of the refused one.
        new: u64,
    },
    /// The log was closed, or its writer has ended.
    #[error("the log is closed: restart modkeep, and look for the first error in what it printed")]
    Closed,
}

/// Why the second place of the last signed head forbids going on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// Another process holds it.
    #[error("another process uses this witness file: stop it, a log has one writer")]
    Locked,
    /// The file is not there though the log has records.
    #[error(
        "the witness file is missing. If it is new, or lost, and this is the only copy of the log, \
         run `modkeep log adopt`; otherwise bring it back"
    )]
    Missing,
    /// Neither of its slots can be read.
    #[error(
        "the witness file is damaged. If this is the only copy of the log and it is the newest, \
         move the file away and run `modkeep log adopt`"
    )]
    Damaged,
    /// It belongs to another log.
    #[error("it witnesses the log {found}, not {ours}: give each log a witness file of its own")]
    OtherLog {
        /// The key in the file.
        found: String,
        /// Our key.
        ours: String,
    },
    /// The directory is not the one that was last writing.
    #[error(
        "this log's folder is a copy: another folder was the last to write. Go on with that one; or \
         if it is gone for good, run `modkeep log adopt` here"
    )]
    Copied,
    /// The log is older than its last signed head.
    #[error(
        "the log ends at {local} records but a head of {witnessed} was signed: this is an old copy, \
         perhaps a restored backup. Going on would fork the log and break every client. Restore the \
         newest copy of the folder `frames`; if the records are lost for good, begin a log with a new \
         name and key"
    )]
    Behind {
        /// Our size.
        local: u64,
        /// The witness's size.
        witnessed: u64,
    },
    /// Both have a head of this size and the roots differ, or one does not begin the other.
    #[error(
        "the log and the head that was signed at {witnessed} records differ: one of them is a fork. \
         Keep both as evidence and restore the copy of the folder `frames` that fits the witness file"
    )]
    Forked {
        /// The witness's size.
        witnessed: u64,
    },
    /// The log went on without the witness.
    #[error(
        "the log has {local} records but the witness file saw only {witnessed}: the log ran without \
         it, or it is an old copy itself. If this is the newest copy of the log, run `modkeep log adopt`"
    )]
    Ahead {
        /// Our size.
        local: u64,
        /// The witness's size.
        witnessed: u64,
    },
    /// Somebody else moved it while we were writing.
    #[error(
        "another writer has moved the witness file: this process has stopped signing. Find the other \
         process; only one of the two copies of the log may go on"
    )]
    Moved,
}

impl LedgerError {
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk {
            doing,
            path,
            source: Arc::new(source),
        }
    }

    pub(crate) fn damaged(place: impl ToString, what: impl ToString) -> Self {
        Self::Damaged {
            place: place.to_string(),
            what: what.to_string(),
        }
    }

    pub(crate) fn derived(place: &Path, what: impl ToString) -> Self {
        Self::Derived {
            place: place.display().to_string(),
            what: what.to_string(),
        }
    }
}
