//! Gathering cosignatures on our log's heads, in the background, and which head is shown meanwhile.
//!
//! One head at a time is the target. Every witness has a task of its own that asks for the target and
//! for nothing older, so a witness has one question of ours at most, a slow one catches up in one
//! step, and a dead one holds nobody up. Were each asked for whatever head is the newest just then, a
//! log that grows all the time could gather one cosignature on each of its heads and enough on none.
//! The next target is the newest head, as soon as the last one has enough cosignatures or cannot get
//! them in time.

mod gather;

use crate::cosign::WitnessAddress;
use crate::own_log::OwnLog;
use crate::refusal::{Blame, Refusal};
use bytes::Bytes;
use ledger::{Cosigned, Head, Ledger};
use serde::Serialize;
use std::time::Duration;
use tlog::note::{Note, Signature, VerifierKey};
use tokio::sync::watch;
use tokio::time::Instant;

/// When a refused lookup may be worth repeating.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is shown of heads that have too few cosignatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All of them. `checkpoint` waits for the time limit, `latest` and lookups wait for nothing.
    Open,
    /// Nothing: `latest`, `checkpoint`, lookups and tiles stay at the newest head that has enough.
    Closed,
}

/// Who cosigns our log, and how it is asked.
#[derive(Clone, Debug)]
pub struct Witnesses {
    /// The witnesses; their keys differ.
    pub all: Vec<WitnessAddress>,
    /// So many have to cosign a head: 1 up to all.
    pub quorum: usize,
    /// How long a head may take to get enough cosignatures.
    pub limit: Duration,
    /// What is shown until it has them.
    pub policy: Policy,
}

/// How the witnesses are, for operators.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessReport {
    /// What is shown of heads with too few cosignatures.
    pub policy: Policy,
    /// So many have to cosign.
    pub quorum: usize,
    /// Records under the head that `checkpoint` shows.
    pub shown: u64,
    /// Why the newest head that was asked for has too few cosignatures.
    pub short: Option<String>,
    /// Each witness.
    pub witnesses: Vec<WitnessState>,
}

/// How a witness is.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessState {
    /// Its key's name.
    pub name: String,
    /// The size it cosigned last, as far as known since the start.
    pub cosigned: Option<u64>,
    /// How often it cosigned.
    pub answered: u64,
    /// How often it did not.
    pub failed: u64,
    /// Why it did not cosign when it was asked last.
    pub trouble: Option<String>,
}

/// A head as clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub size: u64,
    pub latest: Bytes,
    pub checkpoint: Bytes,
}

/// The witnesses of a log and what they have done.
#[derive(Debug)]
pub(crate) struct Witnessing {
    pub witnesses: Witnesses,
    state: watch::Sender<State>,
    /// Ends the tasks when it is dropped.
    alive: watch::Sender<()>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// What `checkpoint` shows; closed: what everything shows.
    shown: Option<Shown>,
    /// The newest head with enough cosignatures.
    enough: Option<u64>,
    /// The newest target, if it has not got enough, and why.
    short: Option<(u64, String)>,
    each: Vec<WitnessState>,
}

impl From<&Cosigned> for Shown {
    fn from(cosigned: &Cosigned) -> Self {
        Self {
            size: cosigned.size,
            latest: cosigned.latest.clone(),
            checkpoint: cosigned.checkpoint.clone(),
        }
    }
}

impl From<&Head> for Shown {
    fn from(head: &Head) -> Self {
        Self {
            size: head.size,
            latest: head.latest.clone(),
            checkpoint: head.checkpoint.clone(),
        }
    }
}

impl Witnesses {
    /// The good cosignatures on a checkpoint, each with its witness's place.
    pub fn cosignatures(&self, checkpoint: &[u8]) -> Vec<(usize, Signature)> {
        let keys: Vec<VerifierKey> = self.all.iter().map(|w| w.key().clone()).collect();
        let Ok(note) = Note::open(checkpoint, &keys) else {
            return Vec::new();
        };
        let by = |line: &Signature| {
            keys.iter()
                .position(|key| key.name() == line.name() && key.key_hash() == line.key_hash())
        };
        let lines = note.verified.into_iter();
        lines.filter_map(|line| Some((by(&line)?, line))).collect()
    }
}

impl Witnessing {
    /// What is known at the start: the newest checkpoint that was cosigned in an earlier life.
    pub fn new(witnesses: Witnesses, ledger: &Ledger) -> Self {
        let kept = ledger.reader().cosigned();
        let kept = kept.filter(|c| witnesses.cosignatures(&c.checkpoint).len() >= witnesses.quorum);
        let each = witnesses.all.iter().map(|witness| WitnessState {
            name: witness.key().name().to_owned(),
            cosigned: None,
            answered: 0,
            failed: 0,
            trouble: None,
        });
        let state = State {
            // Open: what was shown in the last life may have been newer than what was cosigned.
            shown: kept
                .as_deref()
                .filter(|_| witnesses.policy == Policy::Closed)
                .map(Shown::from),
            enough: kept.as_ref().map(|c| c.size),
            short: None,
            each: each.collect(),
        };
        Self {
            witnesses,
            state: watch::Sender::new(state),
            alive: watch::Sender::new(()),
        }
    }

    pub fn report(&self, head: u64) -> WitnessReport {
        let state = self.state.borrow();
        WitnessReport {
            policy: self.witnesses.policy,
            quorum: self.witnesses.quorum,
            shown: match (&state.shown, self.witnesses.policy) {
                (Some(shown), _) => shown.size,
                (None, Policy::Open) => head,
                (None, Policy::Closed) => 0,
            },
            short: state.short.as_ref().map(|(_, why)| why.clone()),
            witnesses: state.each.clone(),
        }
    }

    /// The newest size that enough witnesses have cosigned.
    pub fn enough(&self) -> Option<u64> {
        self.state.borrow().enough
    }
}

impl OwnLog {
    /// What clients are shown now.
    ///
    /// # Errors
    /// When no head may be shown yet.
    pub(crate) fn shown(&self) -> Result<Shown, Refusal> {
        let head = Shown::from(&*self.ledger.reader().head());
        let Some(witnessing) = &self.witnessing else {
            return Ok(head);
        };
        let state = witnessing.state.borrow();
        match (&state.shown, witnessing.witnesses.policy) {
            (Some(shown), Policy::Closed) => Ok(shown.clone()),
            (None, Policy::Closed) => {
                Err(self.hidden("no head can be shown yet", state.short.as_ref()))
            }
            (Some(shown), Policy::Open) => Ok(Shown {
                checkpoint: shown.checkpoint.clone(),
                ..head
            }),
            (None, Policy::Open) => Ok(head),
        }
    }

    /// A head that covers record `id`, which is in the log. Closed: waits for the cosignatures, unless
    /// it is known that they do not come.
    pub(crate) async fn shown_with(&self, id: u64) -> Result<Shown, Refusal> {
        let shown = self.shown();
        let Some(witnessing) = &self.witnessing else {
            return shown;
        };
        if shown.as_ref().is_ok_and(|shown| shown.size > id) {
            return shown;
        }
        let mut state = witnessing.state.subscribe();
        let deadline = Instant::now() + witnessing.witnesses.limit;
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(shown) = now.shown.filter(|shown| shown.size > id) {
                return Ok(shown);
            }
            let known_short = now.short.as_ref().is_some_and(|(size, _)| *size > id);
            let changed = tokio::time::timeout_at(deadline, state.changed());
            if known_short || !matches!(changed.await, Ok(Ok(()))) {
                let what = format!("logged as record {id}, and not shown yet");
                return Err(self.hidden(&what, now.short.as_ref()));
            }
        }
    }

    fn hidden(&self, what: &str, short: Option<&(u64, String)>) -> Refusal {
        let quorum = self.witnessing.as_ref().map_or(0, |w| w.witnesses.quorum);
        let why = short.map_or("they have not answered yet", |(_, why)| why);
        Refusal {
            retry_after: Some(RETRY_AFTER),
            ..Refusal::new(
                Blame::Busy,
                format!(
                    "our log {}: {what}: {quorum} witnesses have to cosign first \
                     (--log-witness-policy closed)\n{why}\ntry again later",
                    self.name()
                ),
            )
        }
    }
}
