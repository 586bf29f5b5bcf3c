//! Being a witness for logs: cosign what continues the head that was cosigned last, and nothing else.
//!
//! How it decides is in [`tlog::witness`]; here is when it remembers. The remembered note carries the
//! witness's own cosignature, which is verified whenever it is read, so a damaged memory refuses
//! instead of beginning anew.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use store::Heads;
use tlog::TreeHead;
use tlog::head::Checkpoint;
use tlog::note::{Cosigner, Note, VerifierKey};
use tlog::witness::{AddCheckpoint, Refusal, WitnessedLog, open};

/// A witness. Cheap to clone; its methods block on the disk.
#[derive(Clone, Debug)]
pub struct Witness {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cosigner: Cosigner,
    logs: Vec<WitnessedLog>,
    /// The origins by the hex of their SHA-256, as monitors ask for them.
    origins: HashMap<String, String>,
    heads: Heads,
}

/// Why there is no cosignature.
#[derive(Debug)]
pub enum NotCosigned {
    /// The request does not deserve one.
    Refused(Refusal),
    /// We cannot: the disk, or a damaged memory.
    Ours(String),
}

impl Witness {
    /// A witness for these logs, with its memory.
    pub fn new(cosigner: Cosigner, logs: Vec<WitnessedLog>, heads: Heads) -> Self {
        let name = |log: &WitnessedLog| (hex(&Sha256::digest(&log.origin)), log.origin.clone());
        let origins = logs.iter().map(name).collect();
        Self {
            inner: Arc::new(Inner {
                cosigner,
                logs,
                origins,
                heads,
            }),
        }
    }

    /// The key that logs verify cosignatures with.
    pub fn key(&self) -> &VerifierKey {
        self.inner.cosigner.verifier()
    }

    /// Answers `add-checkpoint` at `time` (seconds since 1970): the cosignature line. When it
    /// returns, the head is remembered, durably.
    ///
    /// # Errors
    /// When the request is refused, or we cannot.
    pub fn add_checkpoint(&self, body: &[u8], time: u64) -> Result<String, NotCosigned> {
        let refused = NotCosigned::Refused;
        let inner = &self.inner;
        let request = AddCheckpoint::parse(body).map_err(refused)?;
        let claim = open(&request, &inner.logs).map_err(refused)?;
        let origin = &claim.checkpoint().origin;
        let mut line = String::new();
        let replaced = inner.heads.replace(origin, |note| {
            let remembered = inner.remembered(origin, note)?;
            claim.judge(&remembered).map_err(refused)?;
            let cosignature = inner.cosigner.sign(claim.text(), time);
            line = cosignature.to_line();
            Ok(claim.cosigned(&cosignature))
        });
        let decided = replaced.map_err(|e| NotCosigned::Ours(e.to_string()))?;
        if let Err(NotCosigned::Refused(refusal @ Refusal::Inconsistent(_))) = &decided {
            // The log signed it, so it may be the proof that the log lies.
            tracing::error!(
                log.origin = origin,
                log.checkpoint = request.checkpoint,
                "NOT COSIGNED, a log may have forked: {refusal}"
            );
        }
        decided.map(|_| line)
    }

    /// The newest cosigned checkpoint of the log whose origin has this hash; `None` if there is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&self, origin_hash: &str) -> Result<Option<Vec<u8>>, String> {
        match self.inner.origins.get(origin_hash) {
            Some(origin) => self.inner.heads.get(origin).map_err(|e| e.to_string()),
            None => Ok(None),
        }
    }
}

impl Inner {
    fn remembered(&self, origin: &str, note: Option<&[u8]>) -> Result<TreeHead, NotCosigned> {
        let Some(note) = note else {
            return Ok(TreeHead::EMPTY);
        };
        let own = std::slice::from_ref(self.cosigner.verifier());
        let opened = Note::open(note, own).ok();
        let checkpoint = opened.and_then(|note| Checkpoint::parse(&note.text).ok());
        match checkpoint.filter(|checkpoint| checkpoint.origin == origin) {
            Some(checkpoint) => Ok(checkpoint.head),
            None => Err(NotCosigned::Ours(format!(
                "what is remembered of {origin} is damaged, or another key cosigned it: a witness that \
                 has lost its memory must get a new key"
            ))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
