//! The ledger: our own log on disk, its only writer and its reader.
//!
//! # Promises
//!
//! - **Acknowledged means durable and public.** When [`Ledger::append`] returns, the record is on
//!   disk, under a signed head, and every reader sees it.
//! - **One record per module version, for ever.** The same text again gets the same number; another
//!   text is [`LedgerError::Conflict`]. Replay checks it again.
//! - **One root per size, for ever.** Nothing is shown before it is durable here and, with
//!   a witness file, there. A restored backup, a copied folder and a second process refuse to sign.
//! - **A reader never waits for a writer**, and nothing leaves that does not fit its hash.
//!
//! # On disk
//!
//! ```text
//! DATA/log/frames/000...  the truth: one frame per commit, only ever added to
//!          hashes/0..7    derived: the hashes of each tile level
//!          offsets        derived: where each record lies in the frames
//!          index          derived: module version -> record (SQLite)
//!          applied        derived: how far those are durable
//!          cosigned       the newest head that witnesses have cosigned
//!          lock           held while the log is open
//! ```
//!
//! What is derived is written by the same code when a record is appended, when a log is opened after
//! a crash and when [`recover`] makes all of it anew.
//!
//! # The road not taken
//!
//! Storing tiles as files, as tlog servers do: each commit would write several of them durably
//! before it could be acknowledged. Here a commit is one sync of one file, whatever the batch.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tlog::note::{Signature, Signer};
use tokio::sync::{mpsc, oneshot};

mod applier;
mod build;
mod bulk;
mod check;
mod commit;
mod cosign;
mod disk;
mod error;
mod flat;
mod frame;
mod index;
mod mark;
mod open;
mod reader;
mod record;
mod recover;
mod segments;
mod witness;
mod writer;

pub use bulk::build;
pub use check::{Finding, Report, check};
pub use disk::{Disk, RealDisk};
pub use error::{LedgerError, WitnessRefusal};
pub use reader::{Cosigned, Found, Head, RECORDS_MAX, Reader};
pub use record::{NewRecord, RECORD_BYTES_MAX};
pub use recover::recover;

use applier::Applier;
use writer::{Request, Writer};

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's directory, `DATA/log`.
    pub dir: PathBuf,
    /// The key. Its name is the log's name and the origin of its checkpoints.
    pub signer: Signer,
    /// The second place of the last signed head: a file, best on another disk.
    pub witness: Option<PathBuf>,
    /// Take over a witness file that is missing, that another folder wrote last, or that is older
    /// than the log: the operator says that this is the newest and only copy. A witness file that
    /// is newer than the log or differs from it is never taken over.
    pub adopt: bool,
    /// How changes reach the disk.
    pub disk: Arc<dyn Disk>,
    /// Sizes. The default fits all but tests.
    pub limits: Limits,
}

/// Bounds of a log.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records of one commit and of one request.
    pub commit_records: usize,
    /// Bytes of the records of one commit and of one request.
    pub commit_bytes: usize,
    /// A file of frames that is longer gets a successor.
    pub segment_bytes: u64,
    /// Requests that may wait. Beyond, askers wait to ask.
    pub queue: usize,
    /// Records that may be published and not yet in the index, give or take a commit. They are in
    /// memory.
    pub unindexed_records: usize,
    /// Records between two marks: what a start after a crash replays, give or take.
    pub mark_records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commit_records: 4096,
            commit_bytes: 4 << 20,
            segment_bytes: 256 << 20,
            queue: 4096,
            unindexed_records: 1 << 16,
            mark_records: 1 << 16,
        }
    }
}

impl Options {
    /// A log in `dir` with the usual bounds, on the real disk, without a witness file.
    pub fn new(dir: impl Into<PathBuf>, signer: Signer) -> Self {
        Self {
            dir: dir.into(),
            signer,
            witness: None,
            adopt: false,
            disk: Arc::new(RealDisk),
            limits: Limits::default(),
        }
    }
}

/// What an operator wants to know of an open log.
#[derive(Clone, Debug)]
pub struct Status {
    /// The key's name.
    pub name: String,
    /// Published records.
    pub size: u64,
    /// Which opening of the log this is.
    pub epoch: u64,
    /// The second place; without one, a restored backup would fork the log unnoticed.
    pub witness: Option<PathBuf>,
    /// The size of the newest cosigned checkpoint.
    pub cosigned: Option<u64>,
    /// Records that are published and not yet in the index.
    pub unindexed: usize,
    /// Why the last commit did not end, or the index is behind.
    pub trouble: Option<LedgerError>,
}

/// An open log. Dropping it waits for the commit under way and closes it.
#[derive(Debug)]
pub struct Ledger {
    reader: Reader,
    queue: Option<mpsc::Sender<Request>>,
    applier: Arc<Applier>,
    threads: Vec<JoinHandle<()>>,
    trouble: Arc<Mutex<Option<LedgerError>>>,
    epoch: u64,
    options: Options,
    /// Held until the threads have ended.
    lock: Option<std::fs::File>,
}

impl Ledger {
    /// Makes a log without records, and opens it.
    ///
    /// # Errors
    /// When there is one already, here or according to the witness file, or the disk refuses.
    pub fn create(options: Options) -> Result<Self, LedgerError> {
        open::create(&options)?;
        Self::open(options)
    }

    /// Opens a log: replays what is not applied yet, compares with the witness file. Blocks for
    /// as long as that takes: milliseconds, or seconds after a crash.
    ///
    /// # Errors
    /// When there is none, it is damaged, another process has it, another key signed it, or the
    /// witness file forbids going on. Each text says what to do.
    pub fn open(options: Options) -> Result<Self, LedgerError> {
        let opened = open::open(&options)?;
        let limits = options.limits;
        let applier = Arc::new(Applier::new(limits.unindexed_records, limits.mark_records));
        let trouble = Arc::new(Mutex::new(None));
        let (queue, requests) = mpsc::channel(limits.queue.max(1));
        let reader = Reader {
            shared: Arc::clone(&opened.shared),
        };
        let epoch = opened.state.epoch;
        let writer = Writer {
            shared: Arc::clone(&opened.shared),
            applier: Arc::clone(&applier),
            disk: Arc::clone(&options.disk),
            limits,
            state: opened.state,
            signer: opened.signer,
            witness: opened.witness,
            pending: None,
            trouble: Arc::clone(&trouble),
        };
        let failed = || LedgerError::disk("start a thread for", &options.dir);
        let disk = Arc::clone(&options.disk);
        let applying = applier
            .start(opened.shared, opened.index, disk, opened.mark)
            .map_err(failed())?;
        let mut ledger = Self {
            reader,
            queue: None,
            applier,
            threads: vec![applying],
            trouble,
            epoch,
            options: options.clone(),
            lock: Some(opened.lock),
        };
        let writing = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || writer.run(requests))
            .map_err(failed())?;
        ledger.threads.insert(0, writing);
        ledger.queue = Some(queue);
        Ok(ledger)
    }

    /// The published log, to read.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Appends records, all or none, and gives their numbers. Those that are there already keep
    /// theirs. When it returns, a published head covers them.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when a version has another record; [`LedgerError::Unfinished`]
    /// when the disk refuses: then the records may or may not come to be there, and asking again
    /// tells. Nothing is lost by dropping the future, the records may be appended all the same.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LedgerError> {
        let (request, answer) = self.request(records)?;
        self.queue()?
            .send(request)
            .await
            .map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// [`Ledger::append`] for threads outside a runtime.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_blocking(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LedgerError> {
        let (request, answer) = self.request(records)?;
        self.queue()?
            .blocking_send(request)
            .map_err(|_| LedgerError::Closed)?;
        answer.blocking_recv().map_err(|_| LedgerError::Closed)?
    }

    /// Adds cosignatures to the checkpoint of `of`, a head that [`Reader::head`] gave: from now on
    /// [`Reader::cosigned`] shows it, unless it has a newer one, and so does [`Reader::head`] while
    /// the log has not grown. The caller has verified them. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses, or the signatures cannot stand in a note.
    pub fn set_cosignatures(&self, of: &Head, lines: &[Signature]) -> Result<(), LedgerError> {
        self.reader.shared.cosign(&*self.options.disk, of, lines)
    }

    /// Waits until everything published is in the index and durable in all derived files.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.applier.flush()
    }

    /// How the log is.
    pub fn status(&self) -> Status {
        let (unindexed, behind) = self.applier.backlog();
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            name: self.reader.key().name().to_owned(),
            size: self.reader.head().size,
            epoch: self.epoch,
            witness: self.options.witness.clone(),
            cosigned: self.reader.cosigned().map(|cosigned| cosigned.size),
            unindexed,
            trouble: trouble.clone().or(behind),
        }
    }

    /// Ends the commit under way, brings what is derived up to date and closes the log.
    pub fn close(self) {
        drop(self);
    }

    fn queue(&self) -> Result<&mpsc::Sender<Request>, LedgerError> {
        self.queue.as_ref().ok_or(LedgerError::Closed)
    }

    fn request(&self, records: Vec<NewRecord>) -> Result<(Request, Answer), LedgerError> {
        let limits = &self.options.limits;
        let bytes: usize = records.iter().map(|record| record.text().len()).sum();
        for (of, found, max) in [
            ("records", records.len(), limits.commit_records),
            ("bytes of records", bytes, limits.commit_bytes),
        ] {
            if found > max {
                return Err(LedgerError::TooMuch { of, found, max });
            }
        }
        let (reply, answer) = oneshot::channel();
        Ok((Request { records, reply }, answer))
    }
}

type Answer = oneshot::Receiver<Result<Vec<u64>, LedgerError>>;

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue = None;
        let mut threads = self.threads.drain(..);
        // The writer first: the applier takes what it leaves.
        let applying = threads.next_back();
        for writing in threads {
            // A thread that panicked has nothing to add.
            let _ = writing.join();
        }
        self.applier.close();
        if let Some(applying) = applying {
            let _ = applying.join();
        }
        self.lock = None;
    }
}
