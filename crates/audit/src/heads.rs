//! The signed heads of a log.

use crate::finding::Finding;
use crate::source::{Form, Lack, NOTE_BYTES_MAX, Source};
use bytes::Bytes;
use tlog::TreeHead;
use tlog::head::Checkpoint;
use tlog::note::{Algorithm, Note, VerifierKey};

/// The first line of every Go checksum database's heads.
pub const GO_ORIGIN: &str = "go.sum database tree";

/// Whom an auditor believes: the log's key, and whose cosignatures are worth reporting.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The log's own keys; one must have signed.
    pub log: Vec<VerifierKey>,
    /// Witnesses; none needs to have signed, but a wrong signature by one spoils a head.
    pub witnesses: Vec<VerifierKey>,
}

/// A head that the log's key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The form it is published in.
    pub form: Form,
    /// Its first line.
    pub origin: String,
    /// The tree.
    pub tree: TreeHead,
    /// The note, byte for byte.
    pub note: Bytes,
    /// The names of the known witnesses that cosigned it.
    pub witnesses: Vec<String>,
}

impl Keys {
    /// The keys, sorted into those of the log and those of witnesses by their algorithm.
    pub fn new(keys: &[VerifierKey]) -> Result<Self, String> {
        let (witnesses, log): (Vec<_>, Vec<_>) = keys
            .iter()
            .cloned()
            .partition(|key| key.algorithm() == Algorithm::CosignatureV1);
        match log.is_empty() {
            true => Err("a log's key is needed: NAME+HASH+KEY, as in GOSUMDB".into()),
            false => Ok(Self { log, witnesses }),
        }
    }

    /// Opens a signed head.
    pub fn open(&self, form: Form, note: &[u8]) -> Result<Head, Finding> {
        let bad = |kind: &str, what: String| Finding::file(kind, form.head(), what);
        let known: Vec<VerifierKey> = self.log.iter().chain(&self.witnesses).cloned().collect();
        let opened = Note::open(note, &known).map_err(|e| bad("signature", e.to_string()))?;
        let signed_by = |key: &VerifierKey| {
            opened
                .verified
                .iter()
                .any(|s| s.name() == key.name() && s.key_hash() == key.key_hash())
        };
        let Some(signer) = self.log.iter().find(|key| signed_by(key)) else {
            return Err(bad("signature", "it is not signed by the log's key".into()));
        };
        let malformed = || bad("head", "it is signed, but no tree head".into());
        let (origin, tree) = match form {
            Form::Go => {
                let tree = TreeHead::parse(opened.text.as_bytes()).map_err(|_| malformed())?;
                (GO_ORIGIN.to_owned(), tree)
            }
            Form::C2sp => {
                let checkpoint = Checkpoint::parse(&opened.text).map_err(|_| malformed())?;
                (checkpoint.origin, checkpoint.head)
            }
        };
        if origin != signer.name() && origin != GO_ORIGIN {
            let what = format!("its origin is {origin:?}, not {:?}", signer.name());
            return Err(bad("head", what));
        }
        if tree.size == 0 && tree != TreeHead::EMPTY {
            return Err(bad("head", "the empty tree has another root".into()));
        }
        let witnesses = self.witnesses.iter().filter(|key| signed_by(key));
        Ok(Head {
            form,
            origin,
            tree,
            note: Bytes::copy_from_slice(note),
            witnesses: witnesses.map(|key| key.name().to_owned()).collect(),
        })
    }
}

/// What asking for a head brings.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A head.
    Head(Head),
    /// This log has none in this form.
    Absent,
    /// One that is not to be believed.
    Bad(Finding),
    /// It could not be found out.
    Unknown(String),
}

/// The log's newest head in this form.
pub async fn ask(source: &Source, keys: &Keys, form: Form) -> Asked {
    match source.get(form.head(), NOTE_BYTES_MAX).await {
        Ok(note) => match keys.open(form, &note) {
            Ok(head) => Asked::Head(head),
            Err(finding) => Asked::Bad(finding),
        },
        Err(Lack::Absent) => Asked::Absent,
        Err(Lack::Failed(what)) => Asked::Unknown(what),
    }
}
