//! The only writer: one thread, one connection, commits in groups.
//!
//! Whoever wants something kept waits for the commit that carries it. While one commit is being
//! made durable the next ones gather, so a thousand small files at once cost a few disk syncs and
//! not a thousand, without any timer. Blob files are moved into place here too, so that a purge can
//! never remove a blob between its arrival and the row that names it.

use crate::catalog::{self, NewRow};
use crate::disk::Disk;
use crate::{Answer, Damage, FileKey, KeepOutcome, Mark, Proof, StoreError, blob_path};
use bytes::Bytes;
use rusqlite::Connection;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

/// Jobs in one commit: bounds how long the first of them waits.
const GROUP: usize = 256;

/// Jobs that may wait. Beyond, askers block: the disk is the limit, not memory.
const QUEUE: usize = 1024;

pub(crate) enum Work {
    Keep {
        row: Box<NewRow>,
        spooled: Option<PathBuf>,
    },
    Answer {
        module: String,
        question: String,
        answer: Answer,
    },
    Mark(FileKey, Mark),
    Sums {
        name: String,
        rows: Vec<(String, Bytes)>,
    },
    Forget {
        module: String,
        version: Option<String>,
        files: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Done {
    Kept(KeepOutcome),
    Rows(u64),
}

pub(crate) struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Done, StoreError>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: SyncSender<Job>,
}

impl Writer {
    pub fn start(db: Connection, disk: Arc<dyn Disk>, blobs: PathBuf) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(db, &*disk, &blobs, &jobs))?;
        Ok(Self { queue })
    }

    pub async fn submit(&self, work: Work) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.clone();
        let mut job = Job { work, reply };
        loop {
            match queue.try_send(job) {
                Ok(()) => break,
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    job = back;
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => {
                    return Err(StoreError::Stopped);
                }
            }
        }
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

fn run(db: Connection, disk: &dyn Disk, blobs: &Path, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        commit_group(&db, disk, blobs, group);
    }
}

/// Applies a group in one transaction; each job is answered after the commit, never before.
fn commit_group(db: &Connection, disk: &dyn Disk, blobs: &Path, group: Vec<Job>) {
    let mut orphans = Vec::new();
    let mut results = Vec::with_capacity(group.len());
    let mut begun = db
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(StoreError::from);
    for job in &group {
        let result = match &begun {
            Ok(()) => apply_alone(db, disk, blobs, &job.work, &mut orphans),
            Err(e) => Err(e.again()),
        };
        if begun.is_ok() && db.is_autocommit() {
            // A full disk can end the whole transaction, with all that was done in it before.
            let text = "the transaction was rolled back";
            begun = Err(match &result {
                Err(e) => e.again(),
                Ok(_) => StoreError::Disk(io::Error::other(text)),
            });
        }
        results.push(result);
    }
    let committed = begun.and_then(|()| {
        let mut commit = || db.execute_batch("COMMIT").map_err(io::Error::other);
        disk.commit(&mut commit).map_err(StoreError::Disk)
    });
    match committed {
        Ok(()) => remove_orphans(db, disk, blobs, &orphans),
        Err(e) => {
            if !db.is_autocommit() {
                // Nothing to add to the first error if this fails as well.
                let _ = db.execute_batch("ROLLBACK");
            }
            results = results
                .into_iter()
                .map(|r| r.and_then(|_| Err(e.again())))
                .collect();
        }
    }
    for (job, result) in group.into_iter().zip(results) {
        // An asker that has gone needs no answer.
        let _ = job.reply.send(result);
    }
}

/// One job inside a savepoint, so that its failure takes nothing else with it.
fn apply_alone(
    db: &Connection,
    disk: &dyn Disk,
    blobs: &Path,
    work: &Work,
    orphans: &mut Vec<[u8; 32]>,
) -> Result<Done, StoreError> {
    db.execute_batch("SAVEPOINT job")?;
    let result = apply(db, disk, blobs, work, orphans);
    db.execute_batch(if result.is_ok() {
        "RELEASE job"
    } else {
        "ROLLBACK TO job; RELEASE job"
    })?;
    result
}

fn apply(
    db: &Connection,
    disk: &dyn Disk,
    blobs: &Path,
    work: &Work,
    orphans: &mut Vec<[u8; 32]>,
) -> Result<Done, StoreError> {
    match work {
        Work::Keep { row, spooled } => {
            keep(db, disk, blobs, row, spooled.as_deref()).map(Done::Kept)
        }
        Work::Answer {
            module,
            question,
            answer,
        } => catalog::put_answer(db, module, question, answer).map(|()| Done::Rows(1)),
        Work::Mark(key, mark) => catalog::mark(db, key, *mark).map(|()| Done::Rows(1)),
        Work::Sums { name, rows } => {
            catalog::put_sums(db, name, rows).map(|()| Done::Rows(rows.len() as u64))
        }
        Work::Forget {
            module,
            version,
            files,
        } => {
            let (rows, blobs) = catalog::forget(db, module, version.as_deref(), *files)?;
            orphans.extend(blobs);
            Ok(Done::Rows(rows))
        }
    }
}

/// Kept means kept: a sound row is never replaced, a damaged one only by the same content.
fn keep(
    db: &Connection,
    disk: &dyn Disk,
    blobs: &Path,
    new: &NewRow,
    spooled: Option<&Path>,
) -> Result<KeepOutcome, StoreError> {
    let old = catalog::read_file(db, &new.key)?;
    if let Some(old) = &old {
        let same = match (old.h1, new.row.h1) {
            (Some(old), Some(new)) => old == new,
            _ => old.sha256 == new.row.sha256,
        };
        // What a checksum database contradicted is replaced by what it proves and by nothing else,
        // the same bytes included: it may only be silent today.
        let fits = match old.damaged {
            Damage::None | Damage::Damaged => same,
            Damage::Quarantined => new.row.proof != Proof::Open,
        };
        if !fits {
            discard(disk, spooled);
            return Ok(KeepOutcome::Differs);
        }
        if old.damaged == Damage::None {
            discard(disk, spooled);
            return Ok(KeepOutcome::AlreadyKept);
        }
    }
    if let Some(path) = spooled {
        disk.publish(path, &blob_path(blobs, &new.row.sha256))?;
    }
    catalog::put_file(db, new)?;
    Ok(if old.is_some() {
        KeepOutcome::Repaired
    } else {
        KeepOutcome::Kept
    })
}

/// Content that is not needed. What cannot be removed now is removed at the next start.
fn discard(disk: &dyn Disk, spooled: Option<&Path>) {
    if let Some(path) = spooled
        && let Err(error) = disk.remove(path)
    {
        tracing::warn!(%error, "could not remove a spooled file");
    }
}

/// Runs after the commit that forgot them: an orphan that stays is harmless, a missing blob is not.
fn remove_orphans(db: &Connection, disk: &dyn Disk, blobs: &Path, orphans: &[[u8; 32]]) {
    for sha256 in orphans {
        let named: rusqlite::Result<bool> = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM blob WHERE sha256 = ?)",
            [sha256],
            |r| r.get(0),
        );
        if matches!(named, Ok(false))
            && let Err(e) = disk.remove(&blob_path(blobs, sha256))
        {
            tracing::warn!(error = %e, "could not remove a purged blob");
        }
    }
}
