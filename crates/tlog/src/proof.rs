//! Proofs to carry away (C2SP tlog-proof, `.tlog-proof`): that a record is in a log whose head the
//! log and perhaps some witnesses signed, checkable without asking anybody.
//!
//! The file says which number the record has, its siblings up to the root, and the signed head. It
//! does not say which record: the reader brings it, or takes the file's extra data for it, which
//! nobody vouches for until its hash has led to the root.

use std::collections::BTreeSet;
use std::fmt;

use crate::b64;
use crate::hash::Hash;
use crate::head::{Checkpoint, HeadError};
use crate::note::{Note, NoteError, VerifierKey};
use crate::tree::{SIZE_MAX, TreeError, check_inclusion};

/// The longest proof that is read, in bytes: the longest extra data, 63 hashes and a head with a
/// hundred signatures, some of them post-quantum.
pub const PROOF_BYTES_MAX: usize = 512 * 1024;

/// The longest extra data, in bytes: more than the longest entry of a log.
pub const EXTRA_BYTES_MAX: usize = 128 * 1024;

/// The most hashes of an inclusion proof: a tree has at most 63 levels above its leaves.
pub const HASHES_MAX: usize = 63;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof as its file says it: nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Data with a meaning between writer and reader, not authenticated.
    pub extra: Option<Vec<u8>>,
    /// The record's number.
    pub index: u64,
    /// The record's siblings, from the leaf towards the root.
    pub hashes: Vec<Hash>,
    /// The signed head, byte for byte.
    pub checkpoint: String,
}

/// Whom a reader believes.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The first line of the log's heads.
    pub origin: String,
    /// The log's keys: one of them must have signed.
    pub log: Vec<VerifierKey>,
    /// Witnesses whose cosignatures count.
    pub witnesses: Vec<VerifierKey>,
    /// How many of them must have cosigned.
    pub quorum: usize,
}

/// What a proof has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The head the record is under.
    pub checkpoint: Checkpoint,
    /// The names of the witnesses that cosigned it.
    pub witnesses: Vec<String>,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The file breaks the grammar.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The head's signatures are not those that were asked for.
    #[error("the proof's checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The head breaks the grammar.
    #[error("the proof's checkpoint: {0}")]
    Head(#[from] HeadError),
    /// The log did not sign.
    #[error("the proof's checkpoint is not signed by the log's key")]
    Unsigned,
    /// It is about another log.
    #[error("the proof is about the log {found:?}, not {wanted:?}")]
    Origin {
        /// The log of the proof.
        found: String,
        /// The log that was asked about.
        wanted: String,
    },
    /// Too few witnesses cosigned.
    #[error("{found} of the known witnesses cosigned the checkpoint, {wanted} are asked for")]
    Quorum {
        /// How many did.
        found: usize,
        /// How many should have.
        wanted: usize,
    },
    /// The hashes do not lead from the record to the root.
    #[error("the record is not the one that was proved: {0}")]
    Inclusion(#[from] TreeError),
}

impl Proof {
    /// Reads a file. It has one spelling: what was read is written again and compared.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let bad = ProofError::Malformed;
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(bad("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(bad("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra
            .map(|line| b64::decode(&line.as_bytes()["extra ".len()..]))
            .map(|extra| extra.ok_or(bad("its extra line is not base64")))
            .transpose()?;
        if extra
            .as_ref()
            .is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX)
        {
            return Err(bad("its extra data is too long"));
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|index| index.parse().ok())
            .filter(|index| *index < SIZE_MAX)
            .ok_or(bad("no index line"))?;
        let hashes: Result<Vec<Hash>, _> = lines.take(HASHES_MAX + 1).map(str::parse).collect();
        let proof = Self {
            extra,
            index,
            hashes: hashes.map_err(|_| bad("a line of it is no hash"))?,
            checkpoint: checkpoint.to_owned(),
        };
        if proof.hashes.len() > HASHES_MAX || proof.to_string() != text {
            return Err(bad("it is not spelled as it must be"));
        }
        Ok(proof)
    }

    /// Checks that the log holds `leaf` as record [`Proof::index`], by nothing but the file and
    /// the keys of `trust`.
    pub fn verify(&self, leaf: &Hash, trust: &Trust) -> Result<Proved, ProofError> {
        let known: Vec<VerifierKey> = trust.log.iter().chain(&trust.witnesses).cloned().collect();
        let note = Note::open(self.checkpoint.as_bytes(), &known)?;
        let signed_by = |key: &VerifierKey| {
            note.verified
                .iter()
                .any(|s| s.name() == key.name() && s.key_hash() == key.key_hash())
        };
        if !trust.log.iter().any(signed_by) {
            return Err(ProofError::Unsigned);
        }
        let checkpoint = Checkpoint::parse(&note.text)?;
        if checkpoint.origin != trust.origin {
            return Err(ProofError::Origin {
                found: checkpoint.origin,
                wanted: trust.origin.clone(),
            });
        }
        // By name: a witness with two keys is still one witness.
        let witnesses: BTreeSet<String> = trust
            .witnesses
            .iter()
            .filter(|key| signed_by(key))
            .map(|key| key.name().to_owned())
            .collect();
        if witnesses.len() < trust.quorum {
            return Err(ProofError::Quorum {
                found: witnesses.len(),
                wanted: trust.quorum,
            });
        }
        let tree = checkpoint.head;
        check_inclusion(&self.hashes, tree.size, &tree.hash, self.index, leaf)?;
        Ok(Proved {
            checkpoint,
            witnesses: witnesses.into_iter().collect(),
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", b64::encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
