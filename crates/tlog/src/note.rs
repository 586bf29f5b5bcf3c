//! Signed notes (C2SP signed-note, Go's `sumdb/note`): a text, a blank line, signature lines.
//!
//! Whoever reads a note knows some keys. Signatures by other keys are kept but prove nothing; one
//! signature by a known key that does not verify spoils the note, and so does having none that
//! does.

use crate::b64;

mod key;

pub use key::{Algorithm, Cosigner, KeyError, Signer, VerifierKey};

/// The most signature lines a note may have (Go's limit, against endless reading).
pub const SIGNATURES_MAX: usize = 100;

const LINE_START: &str = "— ";

/// A note whose signatures by known keys were verified: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was signed. It ends in a line feed.
    pub text: String,
    /// Signatures by known keys, all of them good.
    pub verified: Vec<Signature>,
    /// Signatures by unknown keys, which may be anything.
    pub unverified: Vec<Signature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    key_hash: u32,
    base64: String,
}

/// Why a note is not believed, or cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It breaks the grammar.
    #[error("malformed note")]
    Malformed,
    /// None of its signatures is by a known key.
    #[error("note has no verifiable signatures")]
    Unverified,
    /// A known key did not sign this text.
    #[error("invalid signature for key {name}+{key_hash:08x}")]
    InvalidSignature {
        /// The key's name.
        name: String,
        /// The key's hash.
        key_hash: u32,
    },
    /// Two of the known keys share a name and a hash.
    #[error("ambiguous key {name}+{key_hash:08x}")]
    Ambiguous {
        /// The key's name.
        name: String,
        /// The key's hash.
        key_hash: u32,
    },
}

impl Signature {
    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of the key: with the name, what identifies it.
    pub fn key_hash(&self) -> u32 {
        self.key_hash
    }

    /// The key's hash and the signature, in base64.
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// The line in a note, with its line feed.
    pub fn to_line(&self) -> String {
        format!("{LINE_START}{} {}\n", self.name, self.base64)
    }

    /// Reads a line of a note, without its line feed.
    pub fn parse_line(line: &str) -> Result<Self, NoteError> {
        Self::read(line)
            .map(|(signature, _)| signature)
            .ok_or(NoteError::Malformed)
    }

    fn new(name: &str, key_hash: u32, signature: &[u8]) -> Self {
        let mut bytes = key_hash.to_be_bytes().to_vec();
        bytes.extend_from_slice(signature);
        Self {
            name: name.to_owned(),
            key_hash,
            base64: b64::encode(&bytes),
        }
    }

    /// The signature and its bytes behind the key's hash.
    fn read(line: &str) -> Option<(Self, Vec<u8>)> {
        let (name, base64) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let bytes = b64::decode(base64.as_bytes())?;
        let (key_hash, signature) = bytes.split_first_chunk()?;
        if signature.is_empty() || !key::is_name(name) {
            return None;
        }
        let read = Self {
            name: name.to_owned(),
            key_hash: u32::from_be_bytes(*key_hash),
            base64: base64.to_owned(),
        };
        Some((read, signature.to_vec()))
    }

    fn is_by(&self, name: &str, key_hash: u32) -> bool {
        self.name == name && self.key_hash == key_hash
    }
}

impl Note {
    /// Reads a note and verifies every signature by one of `known`.
    ///
    /// The rules and limits are those of Go's `note.Open`; the work is bounded by the length of
    /// the message, which the caller bounds, and [`SIGNATURES_MAX`].
    pub fn open(message: &[u8], known: &[VerifierKey]) -> Result<Self, NoteError> {
        let (text, lines) = split(message).ok_or(NoteError::Malformed)?;
        let mut note = Self {
            text: text.to_owned(),
            verified: Vec::new(),
            unverified: Vec::new(),
        };
        for (count, line) in lines.split_terminator('\n').enumerate() {
            let (signature, bytes) = Signature::read(line).ok_or(NoteError::Malformed)?;
            if count >= SIGNATURES_MAX {
                return Err(NoteError::Malformed);
            }
            note.take(signature, &bytes, known)?;
        }
        if note.verified.is_empty() {
            return Err(NoteError::Unverified);
        }
        Ok(note)
    }

    fn take(
        &mut self,
        signature: Signature,
        bytes: &[u8],
        known: &[VerifierKey],
    ) -> Result<(), NoteError> {
        let Signature { name, key_hash, .. } = &signature;
        let mut keys = known
            .iter()
            .filter(|key| signature.is_by(key.name(), key.key_hash()));
        let Some(key) = keys.next() else {
            if !self.unverified.contains(&signature) {
                self.unverified.push(signature);
            }
            return Ok(());
        };
        let (name, key_hash) = (name.clone(), *key_hash);
        if keys.next().is_some() {
            return Err(NoteError::Ambiguous { name, key_hash });
        }
        // The first signature of a key counts; repeated ones are dropped unread.
        if self.verified.iter().any(|seen| seen.is_by(&name, key_hash)) {
            return Ok(());
        }
        if !key.verify(&self.text, bytes) {
            return Err(NoteError::InvalidSignature { name, key_hash });
        }
        self.verified.push(signature);
        Ok(())
    }
}

/// Writes a note: the text, the signatures it had but for those replaced, the new ones.
///
/// Refuses what [`Note::open`] would not read.
pub fn write(text: &str, had: &[Signature], new: &[Signature]) -> Result<Vec<u8>, NoteError> {
    let replaced = |old: &&Signature| !new.iter().any(|new| new.is_by(&old.name, old.key_hash));
    let kept: Vec<&Signature> = had.iter().filter(replaced).chain(new).collect();
    if !text.ends_with('\n') || !is_clean(text) || kept.is_empty() || kept.len() > SIGNATURES_MAX {
        return Err(NoteError::Malformed);
    }
    let mut message = format!("{text}\n");
    for signature in kept {
        message.push_str(&signature.to_line());
    }
    Ok(message.into_bytes())
}

/// Signs `text` with each of `signers`.
pub fn sign(text: &str, signers: &[&Signer]) -> Result<Vec<u8>, NoteError> {
    let signatures: Vec<Signature> = signers.iter().map(|signer| signer.sign(text)).collect();
    write(text, &[], &signatures)
}

/// The text and the signature lines; `None` if the note is malformed.
fn split(message: &[u8]) -> Option<(&str, &str)> {
    let message = std::str::from_utf8(message).ok()?;
    // By bytes: the last of three line feeds in a row begins no pair, the second does.
    let blank = message
        .as_bytes()
        .windows(2)
        .rposition(|pair| pair == b"\n\n")?;
    let (text, lines) = (&message[..=blank], &message[blank + 2..]);
    (is_clean(message) && lines.ends_with('\n')).then_some((text, lines))
}

/// No control characters but line feeds.
fn is_clean(text: &str) -> bool {
    !text.bytes().any(|byte| byte < 0x20 && byte != b'\n')
}
