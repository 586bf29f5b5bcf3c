//! Asking a witness to cosign our log's checkpoint.
//!
//! It is asked from the size that it is thought to remember; a witness that remembers another says so
//! and is asked again from there. What comes back is verified before it counts. Whom to ask when is
//! in `cosigning`.

use bytes::Bytes;
use std::str::FromStr;
use std::sync::Arc;
use tlog::Hash;
use tlog::head::Checkpoint;
use tlog::note::{Algorithm, Signature, VerifierKey};
use tlog::witness::{AddCheckpoint, Failed, Next, REPLY_BYTES_MAX, RETRIES_MAX, next};
use tokio::time::Instant;
use upstream::Net;
use url::Url;

/// A witness to ask: `NAME+HASH+KEY URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessAddress {
    key: VerifierKey,
    url: Url,
}

/// Why a witness gave no cosignature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCosigned {
    /// It answered otherwise. [`Failed::Ahead`] and [`Failed::Inconsistent`] deserve an alarm.
    #[error("{0}")]
    Answered(#[from] Failed),
    /// It did not answer, or we could not ask.
    #[error("{0}")]
    Unreachable(String),
}

/// Makes consistency proofs from a smaller tree (the first number) to the checkpoint's. May block.
pub type Prove = dyn Fn(u64, u64) -> Result<Vec<Hash>, String> + Send + Sync;

impl WitnessAddress {
    /// The witness's key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }
}

impl FromStr for WitnessAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(key), Some(url), None) = (words.next(), words.next(), words.next()) else {
            return Err("that is no witness; one looks like \"NAME+HASH+KEY URL\"".into());
        };
        let key: VerifierKey = key.parse().map_err(|e| format!("{key}: {e}"))?;
        if key.algorithm() != Algorithm::CosignatureV1 {
            return Err(format!("{key}: this is a log's key, not a witness's"));
        }
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        // An address may hold a password, so it is in no text.
        let name = key.name().to_owned();
        let url = Url::parse(&url).map_err(|e| format!("the address of {name}: {e}"))?;
        let plain = url.query().is_none() && url.fragment().is_none();
        match matches!(url.scheme(), "http" | "https") && plain {
            true => Ok(Self { key, url }),
            false => Err(format!(
                "the address of {name} must be http:// or https:// without query and fragment"
            )),
        }
    }
}

/// Asks a witness for its cosignature on `checkpoint` (our signed note).
///
/// `remembered` is the size that it is thought to remember, 0 at first; a wrong guess costs a round
/// trip. It is brought up to date.
///
/// # Errors
/// When there is no verified cosignature before the deadline.
pub async fn ask(
    net: &Net,
    witness: &WitnessAddress,
    checkpoint: &str,
    remembered: &mut u64,
    prove: &Arc<Prove>,
    deadline: Instant,
) -> Result<Signature, NotCosigned> {
    let unreachable = NotCosigned::Unreachable;
    let ours = || unreachable("our own checkpoint is malformed".into());
    let (text, size) = text_of(checkpoint).ok_or_else(ours)?;
    for _ in 0..=RETRIES_MAX {
        let old = size.min(*remembered);
        let request = AddCheckpoint {
            old,
            proof: proof(prove, old, size).await.map_err(unreachable)?,
            checkpoint: checkpoint.to_owned(),
        };
        let body = Bytes::from(request.to_string());
        let kind = "text/plain; charset=utf-8";
        let answer = net.post(&witness.url, kind, body, REPLY_BYTES_MAX, deadline);
        let answer = answer
            .await
            .map_err(|failure| unreachable(failure.text().to_owned()))?;
        let said = (
            answer.status,
            answer.content_type.as_str(),
            answer.body.as_ref(),
        );
        match next(&witness.key, (&text, size, old), said) {
            Next::Cosigned(line, _) => {
                *remembered = size;
                return Ok(line);
            }
            Next::Retry(size) => *remembered = size,
            Next::Failed(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Confused.into())
}

/// What is signed of a checkpoint, and its size.
fn text_of(note: &str) -> Option<(String, u64)> {
    let (text, _) = note.split_once("\n\n")?;
    let text = format!("{text}\n");
    let size = Checkpoint::parse(&text).ok()?.head.size;
    Some((text, size))
}

async fn proof(prove: &Arc<Prove>, old: u64, size: u64) -> Result<Vec<Hash>, String> {
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let prove = Arc::clone(prove);
    let made = tokio::task::spawn_blocking(move || prove(old, size)).await;
    made.map_err(|e| e.to_string())?
}
