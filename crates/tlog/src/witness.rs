//! Witnessing (C2SP tlog-witness): what a log asks of a witness, how the witness decides, and what
//! the log makes of the answer.
//!
//! A witness remembers one head for each log, identified by its origin, and cosigns only what
//! continues it. The decision is in two halves, so that only the second needs the memory to stand
//! still: [`open`] checks what the request says of itself, [`Claim::judge`] compares it with the
//! remembered head. **The remembered head must be replaced in the same transaction that read it, and
//! be durable before the cosignature leaves**: otherwise a slow request could take the witness back.
//!
//! The order of the checks decides which status a request gets that is wrong in several ways:
//! grammar 400, origin 404, signature 403, old size beyond the checkpoint 400, old size not the
//! remembered one 409, everything about hashes 422 (one root for one size and the proof are both
//! matters of consistency; before July 2026 the specification said 409 for the former).

use std::fmt;

use crate::hash::Hash;
use crate::head::{Checkpoint, TreeHead};
use crate::note::{Note, Signature, VerifierKey, write};
use crate::tree::{SIZE_MAX, check_consistency};

/// The most lines of a consistency proof (the specification's limit).
pub const PROOF_LINES_MAX: usize = 63;

/// The longest request that is read, in bytes: 63 hashes and a head with a hundred signatures, some
/// of them post-quantum.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;

/// The longest answer that is read, in bytes: some cosignature lines.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// The content type of a 409's body.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// How often a request is repeated with the size that a 409 named: more often only happens when
/// somebody else submits the same log's heads at the same time.
pub const RETRIES_MAX: usize = 4;

/// What a log asks: cosign this head, which continues the one of size `old`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the head that the witness is thought to remember.
    pub old: u64,
    /// The proof of consistency between the two.
    pub proof: Vec<Hash>,
    /// The signed head, byte for byte.
    pub checkpoint: String,
}

/// A log that a witness knows.
#[derive(Clone, Debug)]
pub struct WitnessedLog {
    /// The first line of its heads.
    pub origin: String,
    /// Its keys: one of them must have signed.
    pub keys: Vec<VerifierKey>,
}

/// A request whose log is known and whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: Checkpoint,
    text: String,
    signatures: Vec<Signature>,
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request breaks the grammar.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The log is not known.
    #[error("unknown log")]
    UnknownOrigin,
    /// The log did not sign.
    #[error("no signature by a known key of this log")]
    Unsigned,
    /// The old size is larger than the new one.
    #[error("the old size is larger than the checkpoint's")]
    OldAhead,
    /// The witness remembers another size: this one.
    #[error("the latest cosigned size is {0}")]
    Conflict(u64),
    /// The two trees are not consistent, or not proved to be.
    #[error("{0}")]
    Inconsistent(&'static str),
}

/// What a log does after a witness has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The witness cosigned, at these seconds since 1970.
    Cosigned(Signature, u64),
    /// The witness remembers this size: prove from there.
    Retry(u64),
    /// No cosignature.
    Failed(Failed),
}

/// Why a log gets no cosignature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It has seen a larger tree: either another copy of this log signs, or this one was restored
    /// from a backup.
    #[error(
        "it has cosigned a tree of {0} records, which is more than this log has: \
         does another copy of the log sign, or was this one restored from a backup?"
    )]
    Ahead(u64),
    /// It has cosigned another tree: the log's past is not what it was.
    #[error("it says that the checkpoint contradicts what it cosigned before")]
    Inconsistent,
    /// It said 409 too often, or without saying more.
    #[error("it does not say which size it remembers")]
    Confused,
    /// It does not know this log or its key.
    #[error("it does not know this log (status {0})")]
    Unknown(u16),
    /// It said 200 without a cosignature that verifies.
    #[error("its answer holds no valid cosignature by the key {0}")]
    Invalid(String),
    /// It answered something else.
    #[error("it answered status {0}")]
    Status(u16),
}

impl AddCheckpoint {
    /// Reads a request's body. It has one spelling: what was read is written again and compared.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let bad = Refusal::Malformed;
        if body.len() > REQUEST_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| bad("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(bad("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|old| old.parse().ok())
            .filter(|old| *old <= SIZE_MAX)
            .ok_or(bad("its first line is not \"old SIZE\""))?;
        let proof: Result<Vec<Hash>, _> = lines.take(PROOF_LINES_MAX + 1).map(str::parse).collect();
        let request = Self {
            old,
            proof: proof.map_err(|_| bad("a proof line is not the base64 of a hash"))?,
            checkpoint: checkpoint.to_owned(),
        };
        if request.proof.len() > PROOF_LINES_MAX {
            return Err(bad("more than 63 proof lines"));
        }
        if request.to_string() != text {
            return Err(bad("it is not spelled as it must be"));
        }
        Ok(request)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The first half of a witness's decision: all that the request says of itself.
pub fn open(request: &AddCheckpoint, logs: &[WitnessedLog]) -> Result<Claim, Refusal> {
    let malformed = Refusal::Malformed("the checkpoint is none");
    let message = request.checkpoint.as_bytes();
    let (origin, _) = request
        .checkpoint
        .split_once('\n')
        .filter(|(origin, _)| !origin.is_empty())
        .ok_or(malformed.clone())?;
    let log = logs
        .iter()
        .find(|log| log.origin == origin)
        .ok_or(Refusal::UnknownOrigin)?;
    let note = Note::open(message, &log.keys).map_err(|error| match error {
        crate::note::NoteError::Malformed => malformed.clone(),
        _ => Refusal::Unsigned,
    })?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|_| malformed)?;
    if request.old > checkpoint.head.size {
        return Err(Refusal::OldAhead);
    }
    Ok(Claim {
        old: request.old,
        proof: request.proof.clone(),
        checkpoint,
        text: note.text,
        signatures: note.verified,
    })
}

impl Claim {
    /// The second half: whether this continues the remembered head ([`TreeHead::EMPTY`] when the
    /// log was never cosigned).
    pub fn judge(&self, remembered: &TreeHead) -> Result<(), Refusal> {
        let head = &self.checkpoint.head;
        if self.old != remembered.size {
            return Err(Refusal::Conflict(remembered.size));
        }
        if head.size == 0 && *head != TreeHead::EMPTY {
            return Err(Refusal::Inconsistent("the empty tree has another root"));
        }
        if self.old == 0 || self.old == head.size {
            if !self.proof.is_empty() {
                return Err(Refusal::Inconsistent("there is nothing to prove here"));
            }
            if self.old == head.size && head.hash != remembered.hash {
                return Err(Refusal::Inconsistent(
                    "another root was cosigned for this size",
                ));
            }
            return Ok(());
        }
        check_consistency(
            &self.proof,
            head.size,
            &head.hash,
            remembered.size,
            &remembered.hash,
        )
        .map_err(|_| Refusal::Inconsistent("the consistency proof does not hold"))
    }

    /// The log and its tree.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The text to cosign.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The checkpoint with the log's verified signatures and this cosignature: what a witness
    /// remembers and shows to monitors.
    pub fn cosigned(&self, cosignature: &Signature) -> Vec<u8> {
        let new = std::slice::from_ref(cosignature);
        // Cannot fail: both parts come from a note that opened, and one line more than a hundred
        // would only be too many if all hundred were by different known keys.
        write(&self.text, &self.signatures, new).unwrap_or_default()
    }
}

impl Refusal {
    /// The HTTP status that the specification gives it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldAhead => 400,
            Self::UnknownOrigin => 404,
            Self::Unsigned => 403,
            Self::Conflict(_) => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The body, with its line feed.
    pub fn body(&self) -> String {
        match self {
            Self::Conflict(size) => format!("{size}\n"),
            other => format!("{other}\n"),
        }
    }

    /// The body's content type.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => SIZE_CONTENT_TYPE,
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// What a log makes of a witness's answer to a checkpoint of this `text` and `size`, asked with
/// `old`. How often it was asked is the caller's count.
pub fn next(
    key: &VerifierKey,
    (text, size, old): (&str, u64, u64),
    (status, content_type, body): (u16, &str, &[u8]),
) -> Next {
    match status {
        200 => match cosignature(key, text, body) {
            Some((signature, time)) => Next::Cosigned(signature, time),
            None => Next::Failed(Failed::Invalid(key.to_string())),
        },
        409 => match remembered(content_type, body) {
            Some(remembered) if remembered > size => Next::Failed(Failed::Ahead(remembered)),
            Some(remembered) if remembered != old => Next::Retry(remembered),
            // Its word for another root, before July 2026.
            None if old == size => Next::Failed(Failed::Inconsistent),
            _ => Next::Failed(Failed::Confused),
        },
        422 => Next::Failed(Failed::Inconsistent),
        403 | 404 => Next::Failed(Failed::Unknown(status)),
        _ => Next::Failed(Failed::Status(status)),
    }
}

/// The first line that is a good cosignature by `key`.
fn cosignature(key: &VerifierKey, text: &str, body: &[u8]) -> Option<(Signature, u64)> {
    let lines = std::str::from_utf8(body).ok()?.lines();
    lines
        .filter_map(|line| Signature::parse_line(line).ok())
        .find_map(|signature| {
            let time = key.cosigned_at(text, &signature)?;
            Some((signature, time))
        })
}

fn remembered(content_type: &str, body: &[u8]) -> Option<u64> {
    let kind = content_type.split(';').next()?.trim();
    let text = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let size: u64 = text.parse().ok()?;
    let plain = size <= SIZE_MAX && size.to_string() == text;
    (kind.eq_ignore_ascii_case(SIZE_CONTENT_TYPE) && plain).then_some(size)
}
