//! Asking witnesses to cosign our log's checkpoint.
//!
//! All are asked at once, each from the size it is thought to remember; a witness that remembers
//! another says so and is asked again from there. What comes back is verified before it counts.

use bytes::Bytes;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tlog::Hash;
use tlog::head::Checkpoint;
use tlog::note::{Algorithm, Signature, VerifierKey};
use tlog::witness::{AddCheckpoint, Failed, Next, REPLY_BYTES_MAX, RETRIES_MAX, next};
use tokio::task::JoinSet;
use tokio::time::Instant;
use upstream::Net;
use url::Url;

/// When enough have cosigned the others get this time more: one line more is worth little waiting.
const GRACE: Duration = Duration::from_millis(500);

/// A witness to ask: `NAME+HASH+KEY URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessAddress {
    key: VerifierKey,
    url: Url,
}

/// What each witness is thought to remember, by its key. Wrong guesses cost a round trip.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<HashMap<String, u64>>);

/// What came of asking.
#[derive(Debug, Default)]
pub struct Cosigned {
    /// Verified cosignatures, one for each witness that gave one.
    pub lines: Vec<Signature>,
    /// The others, by their key's name, and why.
    pub failed: Vec<(String, NotCosigned)>,
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

/// Makes consistency proofs from a smaller tree to the checkpoint's. May block.
pub type Prove = dyn Fn(u64) -> Result<Vec<Hash>, String> + Send + Sync;

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
            return Err(format!(
                "{text:?} is no witness; it looks like \"NAME+HASH+KEY URL\""
            ));
        };
        let key: VerifierKey = key.parse().map_err(|e| format!("{key}: {e}"))?;
        if key.algorithm() != Algorithm::CosignatureV1 {
            return Err(format!("{key}: this is a log's key, not a witness's"));
        }
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|e| format!("{url}: {e}"))?;
        match matches!(url.scheme(), "http" | "https") && url.query().is_none() {
            true => Ok(Self { key, url }),
            false => Err(format!("{url}: a witness is reached over http or https")),
        }
    }
}

impl Cosigned {
    /// Whether so many witnesses cosigned.
    pub fn is_enough(&self, quorum: usize) -> bool {
        self.lines.len() >= quorum
    }
}

/// Asks all `witnesses` for cosignatures on `checkpoint` (our signed note), and gives back what came
/// within `limit`; when `quorum` of them have cosigned it waits only a little longer for the rest.
pub async fn cosign(
    net: &Net,
    witnesses: &[WitnessAddress],
    checkpoint: &str,
    remembered: &Arc<Remembered>,
    prove: Arc<Prove>,
    quorum: usize,
    limit: Duration,
) -> Cosigned {
    let mut cosigned = Cosigned::default();
    let Some(asked) = Asked::new(checkpoint) else {
        let wrong = NotCosigned::Unreachable("our own checkpoint is malformed".into());
        let failed = |witness: &WitnessAddress| (witness.key.name().to_owned(), wrong.clone());
        cosigned.failed = witnesses.iter().map(failed).collect();
        return cosigned;
    };
    let asked = Arc::new(asked);
    let mut deadline = Instant::now() + limit;
    let mut asking = JoinSet::new();
    let mut open: Vec<String> = Vec::new();
    for witness in witnesses {
        open.push(witness.key.to_string());
        let (net, witness) = (net.clone(), witness.clone());
        let (asked, prove) = (Arc::clone(&asked), Arc::clone(&prove));
        let remembered = Arc::clone(remembered);
        asking.spawn(async move {
            let came = ask(&net, &witness, &asked, &remembered, &prove, deadline).await;
            (witness.key, came)
        });
    }
    while let Ok(Some(Ok((key, came)))) =
        tokio::time::timeout_at(deadline, asking.join_next()).await
    {
        open.retain(|witness| *witness != key.to_string());
        match came {
            Ok(line) => cosigned.lines.push(line),
            Err(why) => cosigned.failed.push((key.name().to_owned(), why)),
        }
        if quorum > 0 && cosigned.is_enough(quorum) {
            deadline = deadline.min(Instant::now() + GRACE);
        }
    }
    let late = || NotCosigned::Unreachable("no answer in time".into());
    let name = |key: String| key.split('+').next().unwrap_or_default().to_owned();
    cosigned
        .failed
        .extend(open.into_iter().map(|key| (name(key), late())));
    cosigned
}

/// A checkpoint as it is asked about.
struct Asked {
    note: String,
    text: String,
    size: u64,
}

impl Asked {
    fn new(note: &str) -> Option<Self> {
        let (text, _) = note.split_once("\n\n")?;
        let text = format!("{text}\n");
        let size = Checkpoint::parse(&text).ok()?.head.size;
        Some(Self {
            note: note.to_owned(),
            text,
            size,
        })
    }
}

async fn ask(
    net: &Net,
    witness: &WitnessAddress,
    asked: &Asked,
    remembered: &Remembered,
    prove: &Arc<Prove>,
    deadline: Instant,
) -> Result<Signature, NotCosigned> {
    let unreachable = NotCosigned::Unreachable;
    let id = witness.key.to_string();
    let mut old = remembered.get(&id).min(asked.size);
    for _ in 0..=RETRIES_MAX {
        let request = AddCheckpoint {
            old,
            proof: proof(prove, old, asked.size).await.map_err(unreachable)?,
            checkpoint: asked.note.clone(),
        };
        let body = Bytes::from(request.to_string());
        let answer = net
            .post(
                &witness.url,
                "text/plain; charset=utf-8",
                body,
                REPLY_BYTES_MAX,
                deadline,
            )
            .await
            .map_err(|failure| unreachable(failure.text().to_owned()))?;
        let said = (
            answer.status,
            answer.content_type.as_str(),
            answer.body.as_ref(),
        );
        match next(&witness.key, (&asked.text, asked.size, old), said) {
            Next::Cosigned(line, _) => {
                remembered.set(&id, asked.size);
                return Ok(line);
            }
            Next::Retry(size) => {
                remembered.set(&id, size);
                old = size;
            }
            Next::Failed(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Confused.into())
}

async fn proof(prove: &Arc<Prove>, old: u64, size: u64) -> Result<Vec<Hash>, String> {
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let prove = Arc::clone(prove);
    let made = tokio::task::spawn_blocking(move || prove(old)).await;
    made.map_err(|e| e.to_string())?
}

impl Remembered {
    fn get(&self, key: &str) -> u64 {
        let sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(key).copied().unwrap_or_default()
    }

    fn set(&self, key: &str, size: u64) {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(key.to_owned(), size);
    }
}
