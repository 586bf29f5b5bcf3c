//! The only writer. One thread: while one commit is made durable the next requests gather, so a
//! thousand at once cost a few disk syncs and not a thousand, without any timer.
//!
//! A commit has one order: the frame is synced; the witness file moves to its head; what is derived
//! is written; the head is published; the requests are answered. A commit that fails on the way is
//! kept and taken up again, from the start and with the same bytes, before anything else is done:
//! its head was signed, so no other head of that size may ever be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::Limits;
use crate::applier::{Applier, Job};
use crate::commit::{HeadSigner, State, Step};
use crate::disk::Disk;
use crate::error::{LedgerError, WitnessRefusal};
use crate::reader::{Head, Shared};
use crate::record::{Key, NewRecord};
use crate::witness::{WitnessFile, Witnessed};

/// Records to append, all or none, and who waits for their numbers.
#[derive(Debug)]
pub(crate) struct Request {
    pub records: Vec<NewRecord>,
    pub reply: oneshot::Sender<Result<Vec<u64>, LedgerError>>,
}

/// The writer's things.
#[derive(Debug)]
pub(crate) struct Writer {
    pub shared: Arc<Shared>,
    pub applier: Arc<Applier>,
    pub disk: Arc<dyn Disk>,
    pub limits: Limits,
    pub state: State,
    pub signer: HeadSigner,
    pub witness: Option<Witnessing>,
    /// A commit that is not published yet.
    pub pending: Option<Pending>,
    pub trouble: Arc<Mutex<Option<LedgerError>>>,
}

/// A planned commit.
#[derive(Debug)]
pub(crate) struct Pending {
    step: Step,
    bytes: Bytes,
    /// Its rows of the index.
    rows: Vec<(Key, u64)>,
}

/// The witness file, and what it says besides the head.
#[derive(Debug)]
pub(crate) struct Witnessing {
    pub file: WitnessFile,
    pub log: String,
    pub owner: String,
}

impl Witnessing {
    pub fn swap(&mut self, epoch: u64, head: tlog::TreeHead) -> Result<(), LedgerError> {
        let (log, owner) = (self.log.clone(), self.owner.clone());
        self.file.swap(Witnessed {
            turn: 0,
            log,
            epoch,
            head,
            owner,
        })
    }
}

/// The records that a group adds, and what was there before of those it names.
#[derive(Default)]
struct Fresh {
    records: Vec<NewRecord>,
    ids: HashMap<Key, u64>,
    there: HashMap<Key, u64>,
}

impl Writer {
    pub fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| queue.blocking_recv()) {
            let (group, next) = self.gather(first, &mut queue);
            held = next;
            self.serve(group);
        }
        // One more try: a commit that hangs may have been a full disk.
        let _ = self.finish();
    }

    /// All that waits, as far as one commit holds it, and the first request that does not fit.
    fn gather(
        &self,
        first: Request,
        queue: &mut mpsc::Receiver<Request>,
    ) -> (Vec<Request>, Option<Request>) {
        let weigh = |request: &Request| -> (usize, usize) {
            let bytes = request.records.iter().map(|record| record.text().len());
            (request.records.len(), bytes.sum())
        };
        let (mut records, mut bytes) = weigh(&first);
        let mut group = vec![first];
        while let Ok(next) = queue.try_recv() {
            let (more_records, more_bytes) = weigh(&next);
            records += more_records;
            bytes += more_bytes;
            if records > self.limits.commit_records || bytes > self.limits.commit_bytes {
                return (group, Some(next));
            }
            group.push(next);
        }
        (group, None)
    }

    /// Commits a group; each request is answered after the commit, never before.
    fn serve(&mut self, group: Vec<Request>) {
        let ready = self.finish().and_then(|()| self.applier.reserve());
        let (records, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (request.records, request.reply))
            .unzip();
        let known = ready.and_then(|()| self.known(&records));
        let mut fresh = Fresh::default();
        let mut answers: Vec<Result<Vec<u64>, LedgerError>> = match known {
            Ok(there) => {
                fresh.there = there;
                let each = records.into_iter();
                each.map(|records| self.judge(records, &mut fresh))
                    .collect()
            }
            Err(error) => records.iter().map(|_| Err(error.clone())).collect(),
        };
        if !fresh.records.is_empty()
            && let Err(error) = self.commit(&fresh.records)
        {
            // Records that were there before are there still; but which are they of a request?
            for answer in &mut answers {
                *answer = std::mem::replace(answer, Ok(Vec::new())).and(Err(error.clone()));
            }
        }
        for (reply, answer) in replies.into_iter().zip(answers) {
            // An asker that has gone needs no answer.
            let _ = reply.send(answer);
        }
    }

    /// The numbers of those versions that have a record.
    fn known(&self, group: &[Vec<NewRecord>]) -> Result<HashMap<Key, u64>, LedgerError> {
        let keys: Vec<Key> = group.iter().flatten().map(NewRecord::key).collect();
        let ids = self.shared.find_all(&keys)?;
        let there = keys.into_iter().zip(ids);
        Ok(there.filter_map(|(key, id)| Some((key, id?))).collect())
    }

    /// The numbers of a request's records; new ones go to `fresh`. All or none.
    fn judge(&self, records: Vec<NewRecord>, fresh: &mut Fresh) -> Result<Vec<u64>, LedgerError> {
        let before = fresh.records.len();
        let ids: Result<Vec<u64>, LedgerError> = records
            .into_iter()
            .map(|record| self.number(record, fresh))
            .collect();
        if ids.is_err() {
            for record in fresh.records.drain(before..) {
                fresh.ids.remove(&record.key());
            }
        }
        ids
    }

    fn number(&self, record: NewRecord, fresh: &mut Fresh) -> Result<u64, LedgerError> {
        let size = self.state.head.size;
        let key = record.key();
        let (id, same) = match fresh.ids.get(&key) {
            Some(id) => {
                let there = fresh.records.get((id - size) as usize);
                (
                    *id,
                    there.is_some_and(|there| there.text() == record.text()),
                )
            }
            None => match fresh.there.get(&key) {
                Some(id) => (*id, self.shared.text(*id)? == record.text()),
                None => {
                    let id = size + fresh.records.len() as u64;
                    fresh.ids.insert(key, id);
                    fresh.records.push(record);
                    return Ok(id);
                }
            },
        };
        if same {
            return Ok(id);
        }
        Err(LedgerError::Conflict {
            module: record.module().to_owned(),
            version: record.version().to_owned(),
            id,
        })
    }

    fn commit(&mut self, records: &[NewRecord]) -> Result<(), LedgerError> {
        let Self {
            state,
            signer,
            limits,
            ..
        } = self;
        let (step, bytes) = state.plan(records, signer, limits.segment_bytes)?;
        let rows = records.iter().map(NewRecord::key).zip(step.frame.old..);
        self.pending = Some(Pending {
            rows: rows.collect(),
            step,
            bytes,
        });
        self.finish()
    }

    /// Takes the commit that is not published to its end, whatever was done of it before.
    fn finish(&mut self) -> Result<(), LedgerError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let done = self.carry_out(&pending);
        if let Err(error) = &done {
            tracing::error!(%error, "the log could not commit");
            self.pending = Some(pending);
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = done.as_ref().err().cloned();
        done.map_err(|error| match error {
            // This one does not pass by asking again.
            LedgerError::Witness {
                why: WitnessRefusal::Moved,
                ..
            } => error,
            error => LedgerError::Unfinished(Box::new(error)),
        })
    }

    fn carry_out(&mut self, pending: &Pending) -> Result<(), LedgerError> {
        let Pending { step, bytes, rows } = pending;
        self.shared.segments.write(&*self.disk, step.at, bytes)?;
        if let Some(witness) = &mut self.witness {
            witness.swap(step.frame.epoch, step.head())?;
        }
        self.shared.apply(&*self.disk, step)?;
        self.shared.remember(rows);
        self.state.advance(step);
        self.shared.publish(step);
        self.applier.push(Job {
            rows: rows.clone(),
            mark: step.mark(),
        });
        Ok(())
    }
}

impl Shared {
    /// Writes what is derived from a commit into the flat files.
    pub fn apply(&self, disk: &dyn Disk, step: &Step) -> Result<(), LedgerError> {
        let places = step.places();
        self.flats.apply(disk, &step.tiles, step.frame.old, &places)
    }

    fn remember(&self, rows: &[(Key, u64)]) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.extend(rows.iter().copied());
    }

    /// Shows a commit to everybody.
    fn publish(&self, step: &Step) {
        let head = Arc::new(Head::of(step));
        self.head.send_replace(head);
    }
}

impl Head {
    pub(crate) fn of(step: &Step) -> Self {
        Self {
            size: step.frame.new,
            root: step.frame.root,
            latest: step.frame.latest.clone(),
            checkpoint: step.frame.checkpoint.clone(),
            edge: Arc::clone(&step.edge),
        }
    }
}
