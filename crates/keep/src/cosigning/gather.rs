//! Setting targets, asking, and taking what comes.

use super::{Policy, Shown, State, WitnessState, Witnesses};
use crate::alarm::AlarmKind;
use crate::cosign::{NotCosigned, Prove, WitnessAddress, ask};
use crate::own_log::OwnLog;
use crate::serve::{Inner, Keep};
use bytes::Bytes;
use ledger::{Head, Reader};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tlog::note::Signature;
use tlog::witness::Failed;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use upstream::Net;

/// A witness that failed is asked again after this time, and each time after twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// But not after more than this: a witness that is back should be used soon.
const PAUSE_MAX: Duration = Duration::from_secs(15);

impl Keep {
    /// Begins to gather cosignatures, if our log has witnesses.
    pub(crate) fn start_cosigning(&self) {
        let Some(log) = self.own_log().filter(|_| !self.inner.settings.offline) else {
            return;
        };
        let (Some(witnessing), Some(net)) = (&log.witnessing, self.inner.databases.net.clone())
        else {
            return;
        };
        let (reader, alive) = (log.ledger.reader().clone(), witnessing.alive.subscribe());
        let witnesses = witnessing.witnesses.clone();
        let each = witnessing.state.borrow().each.clone();
        let heads = reader.heads();
        let round = Round::of(heads.borrow().clone(), &witnesses);
        let gatherer = Gatherer {
            keep: Arc::downgrade(&self.inner),
            witnesses,
            each,
            round,
        };
        tokio::spawn(gatherer.run(net, reader, heads, alive));
    }
}

/// When the disk refused cosignatures they are written again after this time.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// The head that is asked for.
#[derive(Clone, Debug)]
struct Target {
    head: Arc<Head>,
    /// Which witnesses have cosigned it before.
    had: Vec<bool>,
}

/// What came of asking a witness.
struct Came {
    witness: usize,
    size: u64,
    result: Result<Signature, NotCosigned>,
}

/// A target and what has come for it.
#[derive(Debug)]
struct Round {
    head: Arc<Head>,
    lines: Vec<(usize, Signature)>,
    deadline: Instant,
    /// Whether the next head may become the target.
    ended: bool,
}

impl Round {
    fn of(head: Arc<Head>, witnesses: &Witnesses) -> Self {
        Self {
            lines: witnesses.cosignatures(&head.checkpoint),
            deadline: Instant::now() + witnesses.limit,
            ended: false,
            head,
        }
    }

    fn target(&self, witnesses: &Witnesses) -> Target {
        let has = |witness| self.lines.iter().any(|(by, _)| *by == witness);
        Target {
            head: Arc::clone(&self.head),
            had: (0..witnesses.all.len()).map(has).collect(),
        }
    }

    fn signatures(&self) -> Vec<Signature> {
        self.lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The checkpoint with what cosignatures there are.
    fn partial(&self) -> Shown {
        let signed = |note: &str| {
            let (text, had) = note.split_once("\n\n")?;
            let had: Result<Vec<_>, _> = had.lines().map(Signature::parse_line).collect();
            tlog::note::write(&format!("{text}\n"), &had.ok()?, &self.signatures()).ok()
        };
        let note = str::from_utf8(&self.head.checkpoint).ok().and_then(signed);
        Shown {
            checkpoint: note.map_or_else(|| self.head.checkpoint.clone(), Bytes::from),
            ..Shown::from(&*self.head)
        }
    }
}

/// Sets targets and takes what comes.
#[derive(Debug)]
struct Gatherer {
    keep: Weak<Inner>,
    witnesses: Witnesses,
    each: Vec<WitnessState>,
    round: Round,
}

impl Gatherer {
    async fn run(
        mut self,
        net: Net,
        reader: Reader,
        mut heads: watch::Receiver<Arc<Head>>,
        mut alive: watch::Receiver<()>,
    ) {
        let target = watch::Sender::new(self.round.target(&self.witnesses));
        let (came, mut coming) = mpsc::channel(self.witnesses.all.len().max(1));
        // Dropped with this task, which ends them.
        let mut asking = JoinSet::new();
        for (place, witness) in self.witnesses.all.iter().enumerate() {
            let asker = Asker {
                net: net.clone(),
                place,
                witness: witness.clone(),
                limit: self.witnesses.limit,
                prove: prove_with(&reader),
                came: came.clone(),
            };
            asking.spawn(asker.run(target.subscribe()));
        }
        self.judge().await;
        loop {
            let (ended, deadline) = (self.round.ended, self.round.deadline);
            tokio::select! {
                _ = alive.changed() => return,
                Some(came) = coming.recv() => self.take(came).await,
                () = tokio::time::sleep_until(deadline), if !ended => self.late().await,
                changed = heads.changed(), if ended => if changed.is_err() { return },
            }
            let newest = heads.borrow_and_update().clone();
            if self.round.ended && newest.size > self.round.head.size {
                self.round = Round::of(newest, &self.witnesses);
                target.send_replace(self.round.target(&self.witnesses));
            }
        }
    }

    async fn take(&mut self, came: Came) {
        let Some(state) = self.each.get_mut(came.witness) else {
            return;
        };
        match came.result {
            Ok(line) => {
                state.answered += 1;
                state.cosigned = Some(came.size);
                state.trouble = None;
                if came.size == self.round.head.size {
                    self.round.lines.push((came.witness, line));
                }
            }
            Err(why) => {
                state.failed += 1;
                state.trouble = Some(why.to_string());
                let name = state.name.clone();
                if let NotCosigned::Answered(Failed::Ahead(_) | Failed::Inconsistent) = why {
                    self.contradicted(&name, &why);
                }
            }
        }
        self.judge().await;
    }

    /// Whether the target has enough now, or can no longer get enough.
    async fn judge(&mut self) {
        let has = |place: &usize| self.round.lines.iter().any(|(by, _)| by == place);
        let lacking = (0..self.each.len()).filter(|place| !has(place));
        let hopeful = lacking.filter(|place| self.each[*place].trouble.is_none());
        let reachable = self.round.lines.len() + hopeful.count();
        if self.round.lines.len() >= self.witnesses.quorum {
            self.publish().await;
        } else if !self.round.ended && reachable < self.witnesses.quorum {
            self.give_up();
        } else {
            let late = self.round.ended.then(|| self.why());
            let open = self.round.ended && self.witnesses.policy == Policy::Open;
            let shown = open.then(|| self.round.partial());
            self.tell(|state| {
                state.shown = shown.or(state.shown.take());
                if let (Some((_, why)), Some(late)) = (&mut state.short, late) {
                    *why = late;
                }
            });
        }
    }

    /// Enough: durable first, then shown.
    async fn publish(&mut self) {
        let Some(inner) = self.keep.upgrade() else {
            return;
        };
        let (head, lines) = (Arc::clone(&self.round.head), self.round.signatures());
        let keep = Keep { inner };
        let written = tokio::task::spawn_blocking(move || {
            let log = keep.own_log()?;
            let set = log.ledger.set_cosignatures(&head, &lines);
            let cosigned = log.ledger.reader().cosigned();
            Some(set.map(|()| cosigned.filter(|c| c.size == head.size)))
        });
        self.round.ended = true;
        match written.await {
            Ok(Some(Ok(Some(cosigned)))) => self.tell(|state| {
                if state.short.take().is_some() {
                    tracing::info!(sumdb.records = cosigned.size, "enough cosignatures again");
                }
                state.enough = Some(cosigned.size);
                state.shown = Some(Shown::from(&*cosigned));
            }),
            Ok(Some(Err(error))) => {
                self.short(&format!("the cosignatures cannot be kept: {error}"));
                // Nobody will send them again.
                self.round.ended = false;
                self.round.deadline = Instant::now() + DISK_PAUSE;
            }
            _ => {}
        }
    }

    /// The time is over.
    async fn late(&mut self) {
        match self.round.lines.len() >= self.witnesses.quorum {
            true => self.publish().await,
            false => self.give_up(),
        }
    }

    /// Too few.
    fn give_up(&mut self) {
        let why = self.why();
        self.short(&why);
    }

    /// Why the target has too few cosignatures.
    fn why(&self) -> String {
        let has = |place: usize| self.round.lines.iter().any(|(by, _)| *by == place);
        let missing = self
            .each
            .iter()
            .enumerate()
            .filter(|(place, _)| !has(*place));
        let why = missing.map(|(_, witness)| {
            let why = witness.trouble.as_deref().unwrap_or("no answer yet");
            format!("{}: {why}", witness.name)
        });
        format!(
            "{} of {} cosignatures; {}",
            self.round.lines.len(),
            self.witnesses.quorum,
            Vec::from_iter(why).join("; ")
        )
    }

    fn short(&mut self, why: &str) {
        self.round.ended = true;
        let Some(inner) = self.keep.upgrade() else {
            return;
        };
        let keep = Keep { inner };
        keep.inner.counters.log_short.add();
        let open = self.witnesses.policy == Policy::Open;
        let shown = open.then(|| self.round.partial());
        let size = self.round.head.size;
        let mut first = false;
        self.tell(|state| {
            first = state.short.is_none();
            state.short = Some((size, why.to_owned()));
            state.shown = shown.or(state.shown.take());
        });
        // A time without enough witnesses is one alarm, whatever happens in it.
        if first {
            let what = match open {
                true => "is shown without enough cosignatures",
                false => "is not shown until it has enough cosignatures",
            };
            let text = format!("the head of {size} records {what}: {why}");
            let name = keep.own_log().map_or("", OwnLog::name);
            keep.alarm(AlarmKind::Unwitnessed, name, &text, None);
        }
    }

    /// A witness has seen another history of ours.
    fn contradicted(&self, witness: &str, why: &NotCosigned) {
        let Some(inner) = self.keep.upgrade() else {
            return;
        };
        let keep = Keep { inner };
        let name = keep.own_log().map_or("", OwnLog::name);
        let note = String::from_utf8_lossy(&self.round.head.checkpoint);
        let text = format!("witness {witness}: {why}");
        keep.alarm(AlarmKind::Fork, name, &text, Some(note.into_owned()));
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let keep = self.keep.upgrade();
        let log = keep.as_ref().and_then(|inner| inner.databases.own.as_ref());
        let Some(witnessing) = log.and_then(|log| log.witnessing.as_ref()) else {
            return;
        };
        witnessing.state.send_modify(|state| {
            state.each.clone_from(&self.each);
            change(state);
        });
    }
}

fn prove_with(reader: &Reader) -> Arc<Prove> {
    let reader = reader.clone();
    Arc::new(move |old, new| {
        reader
            .prove_consistency(old, new)
            .map_err(|e| e.to_string())
    })
}

/// Asks one witness, again and again.
struct Asker {
    net: Net,
    place: usize,
    witness: WitnessAddress,
    limit: Duration,
    prove: Arc<Prove>,
    came: mpsc::Sender<Came>,
}

impl Asker {
    async fn run(self, mut target: watch::Receiver<Target>) {
        let (mut remembered, mut pause) = (0, PAUSE_MIN);
        loop {
            let now = target.borrow_and_update().clone();
            let had = now.had.get(self.place).copied().unwrap_or_default();
            let failed = !had && {
                let result = self.ask(&now.head, &mut remembered).await;
                let failed = result.is_err();
                let came = Came {
                    witness: self.place,
                    size: now.head.size,
                    result,
                };
                if self.came.send(came).await.is_err() {
                    return;
                }
                failed
            };
            if failed {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            pause = PAUSE_MIN;
            if target.changed().await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, head: &Head, remembered: &mut u64) -> Result<Signature, NotCosigned> {
        let note = String::from_utf8_lossy(&head.checkpoint);
        let deadline = Instant::now() + self.limit;
        let (net, prove) = (&self.net, &self.prove);
        ask(net, &self.witness, &note, remembered, prove, deadline).await
    }
}
