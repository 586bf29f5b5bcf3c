//! The second thread: takes what is published into the index, and marks how far the derived files
//! are durable. Nobody waits for it, unless it falls too far behind.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::index::IndexWriter;
use crate::mark::Mark;
use crate::reader::Shared;
use crate::record::Key;

/// Between two tries when the disk refuses.
const RETRY: Duration = Duration::from_millis(500);

/// Rows of one commit of the index.
const ROWS_MAX: usize = 16_384;

/// One published commit, for the index.
#[derive(Debug)]
pub(crate) struct Job {
    pub rows: Vec<(Key, u64)>,
    /// The state before the commit.
    pub before: Mark,
}

/// The queue before the index.
#[derive(Debug)]
pub(crate) struct Applier {
    queue: Mutex<Queue>,
    changed: Condvar,
    rows_max: usize,
    mark_every: usize,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Rows in `jobs` and in the thread's hands.
    rows: usize,
    error: Option<LedgerError>,
    /// How often the thread has tried.
    tries: u64,
    /// How many askers want everything applied and marked.
    flushing: usize,
    /// All that was ever queued is applied and marked.
    settled: bool,
    closed: bool,
    ended: bool,
}

impl Applier {
    pub fn new(rows_max: usize, mark_every: usize) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            rows_max,
            mark_every,
        }
    }

    pub fn start(
        self: &Arc<Self>,
        shared: Arc<Shared>,
        index: IndexWriter,
        disk: Arc<dyn Disk>,
    ) -> std::io::Result<JoinHandle<()>> {
        let applier = Arc::clone(self);
        let mut hands = Hands {
            shared,
            index,
            disk,
            unmarked: 0,
            last: None,
        };
        std::thread::Builder::new()
            .name("ledger-applier".into())
            .spawn(move || applier.run(&mut hands))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let waited = self.changed.wait(queue);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for another commit.
    pub fn reserve(&self) -> Result<(), LedgerError> {
        let mut queue = self.lock();
        loop {
            match &queue.error {
                Some(error @ LedgerError::Damaged { .. }) => return Err(error.clone()),
                Some(error) if queue.rows >= self.rows_max => return Err(error.clone()),
                _ if queue.ended => return Err(LedgerError::Closed),
                _ if queue.rows < self.rows_max => return Ok(()),
                _ => queue = self.wait(queue),
            }
        }
    }

    pub fn push(&self, job: Job) {
        let mut queue = self.lock();
        queue.rows += job.rows.len();
        queue.jobs.push_back(job);
        queue.settled = false;
        self.changed.notify_all();
    }

    /// Waits until all that was pushed is applied and marked.
    pub fn flush(&self) -> Result<(), LedgerError> {
        let mut queue = self.lock();
        queue.flushing += 1;
        let tries = queue.tries;
        self.changed.notify_all();
        let done = loop {
            match &queue.error {
                Some(error) if queue.tries > tries || queue.ended => break Err(error.clone()),
                Some(_) => queue = self.wait(queue),
                None if queue.settled => break Ok(()),
                None if queue.ended => break Err(LedgerError::Closed),
                None => queue = self.wait(queue),
            }
        };
        queue.flushing -= 1;
        done
    }

    /// Applies and marks what is left, tries nothing twice, and ends the thread.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Rows that are published and not in the index, and what stands in their way.
    pub fn backlog(&self) -> (usize, Option<LedgerError>) {
        let queue = self.lock();
        (queue.rows, queue.error.clone())
    }

    fn run(&self, hands: &mut Hands) {
        let mut jobs = Vec::new();
        while let Some(flush) = self.take(&mut jobs) {
            let done = hands.work(&jobs, flush, self.mark_every);
            let mut queue = self.lock();
            queue.tries += 1;
            match done {
                Ok(()) => {
                    queue.rows -= jobs.iter().map(|job| job.rows.len()).sum::<usize>();
                    queue.settled = queue.jobs.is_empty() && hands.unmarked == 0;
                    queue.error = None;
                    jobs.clear();
                    self.changed.notify_all();
                }
                Err(error) => {
                    tracing::error!(%error, "the log's index could not be brought up to date");
                    let hopeless = matches!(error, LedgerError::Damaged { .. });
                    queue.error = Some(error);
                    self.changed.notify_all();
                    if queue.closed || hopeless {
                        break;
                    }
                    let waited = self.changed.wait_timeout(queue, RETRY);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
        hands.shared.index.close();
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Fills `jobs` unless there are some that failed, and tells whether to mark; `None` at the end.
    fn take(&self, jobs: &mut Vec<Job>) -> Option<bool> {
        let mut queue = self.lock();
        while jobs.is_empty() && queue.jobs.is_empty() {
            let wanted = queue.closed || queue.flushing > 0;
            if wanted && !queue.settled {
                return Some(true);
            }
            if queue.closed {
                return None;
            }
            queue = self.wait(queue);
        }
        let mut rows: usize = jobs.iter().map(|job| job.rows.len()).sum();
        while rows < ROWS_MAX
            && let Some(job) = queue.jobs.pop_front()
        {
            rows += job.rows.len();
            jobs.push(job);
        }
        Some(false)
    }
}

/// What the thread works with.
#[derive(Debug)]
struct Hands {
    shared: Arc<Shared>,
    index: IndexWriter,
    disk: Arc<dyn Disk>,
    /// Rows applied since the last mark.
    unmarked: usize,
    last: Option<Mark>,
}

impl Hands {
    fn work(&mut self, jobs: &[Job], flush: bool, mark_every: usize) -> Result<(), LedgerError> {
        if let Some(last) = jobs.last() {
            let rows: Vec<(Key, u64)> = jobs.iter().flat_map(|job| &job.rows).copied().collect();
            self.index.apply(&*self.disk, &rows, &last.before)?;
            let recent = self.shared.recent.write();
            let mut recent = recent.unwrap_or_else(PoisonError::into_inner);
            for (key, _) in &rows {
                recent.remove(key);
            }
            drop(recent);
            self.unmarked += rows.len();
            self.last = Some(last.before);
        }
        if let Some(mark) = self.last
            && (flush || self.unmarked >= mark_every)
        {
            // Whatever the mark names was written before it was pushed here.
            self.shared.flats.sync(&*self.disk)?;
            mark.write(&self.shared.dir, &*self.disk)?;
            self.unmarked = 0;
            self.last = None;
        }
        Ok(())
    }
}
