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

/// Rows that are worth a commit of the index. Until then they are in memory, and cost the disk that
/// is busy syncing frames nothing.
const ROWS_MIN: usize = 4096;

/// Rows of one commit of the index.
const ROWS_MAX: usize = 16_384;

/// One published commit, for the index.
#[derive(Debug)]
pub(crate) struct Job {
    pub rows: Vec<(Key, u64)>,
    pub mark: Mark,
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
    /// Why the last mark could not be made. Nothing waits for that but [`Applier::flush`].
    unmarked: Option<LedgerError>,
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
        mark: Mark,
    ) -> std::io::Result<JoinHandle<()>> {
        let applier = Arc::clone(self);
        let mut hands = Hands {
            shared,
            index,
            disk,
            unmarked: 0,
            last: Some(mark),
            unsure: None,
        };
        std::thread::Builder::new()
            .name("ledger-applier".into())
            .spawn(move || applier.run(&mut hands))
    }

    /// How many rows the thread waits for.
    fn rows_min(&self) -> usize {
        ROWS_MIN.min(self.rows_max)
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
        if queue.rows >= self.rows_min() || queue.flushing > 0 {
            self.changed.notify_all();
        }
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
                None if queue.unmarked.is_some() && queue.tries > tries => {
                    break queue.unmarked.clone().map_or(Ok(()), Err);
                }
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
        let error = queue.error.clone().or_else(|| queue.unmarked.clone());
        (queue.rows, error)
    }

    fn run(&self, hands: &mut Hands) {
        let mut jobs = Vec::new();
        while let Some(flush) = self.take(&mut jobs) {
            let done = hands.apply(&jobs);
            if done.is_ok() {
                let mut queue = self.lock();
                queue.rows -= jobs.iter().map(|job| job.rows.len()).sum::<usize>();
                queue.error = None;
                jobs.clear();
                self.changed.notify_all();
            }
            let due = hands.unmarked >= self.mark_every && hands.unsure.is_none();
            let marked = match &done {
                Ok(()) if flush || due => Some(hands.mark()),
                _ => None,
            };
            if !self.note(hands, done.err(), marked) {
                break;
            }
        }
        hands.shared.index.close();
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Says how a round went. Gives whether there is to be another.
    fn note(
        &self,
        hands: &Hands,
        error: Option<LedgerError>,
        marked: Option<Result<(), LedgerError>>,
    ) -> bool {
        let mut queue = self.lock();
        queue.tries += 1;
        self.changed.notify_all();
        if let Some(marked) = marked {
            if let Err(error) = &marked {
                tracing::error!(%error, "the log's derived files could not be marked durable");
            }
            queue.unmarked = marked.err();
        }
        if let Some(error) = error {
            tracing::error!(%error, "the log's index could not be brought up to date");
            let hopeless = matches!(error, LedgerError::Damaged { .. });
            queue.error = Some(error);
            let again = !queue.closed && !hopeless;
            if again {
                let waited = self.changed.wait_timeout(queue, RETRY);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            return again;
        }
        queue.settled = queue.jobs.is_empty() && hands.last.is_none();
        !(queue.closed && queue.unmarked.is_some() && queue.jobs.is_empty())
    }

    /// Fills `jobs` unless there are some that failed, and tells whether to mark; `None` at the end.
    fn take(&self, jobs: &mut Vec<Job>) -> Option<bool> {
        let mut queue = self.lock();
        while jobs.is_empty() {
            let wanted = queue.closed || queue.flushing > 0;
            if queue.rows >= self.rows_min() || (wanted && queue.rows > 0) {
                break;
            }
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
    /// The mark to make next.
    last: Option<Mark>,
    /// Why no more marks may be made.
    unsure: Option<LedgerError>,
}

impl Hands {
    fn apply(&mut self, jobs: &[Job]) -> Result<(), LedgerError> {
        let Some(last) = jobs.last() else {
            return Ok(());
        };
        let mut rows: Vec<(Key, u64)> = jobs.iter().flat_map(|job| &job.rows).copied().collect();
        // Neighbours share pages of the index.
        rows.sort_unstable();
        self.index.apply(&*self.disk, &rows, &last.mark)?;
        let recent = self.shared.recent.write();
        let mut recent = recent.unwrap_or_else(PoisonError::into_inner);
        for (key, _) in &rows {
            recent.remove(key);
        }
        self.unmarked += rows.len();
        self.last = Some(last.mark);
        Ok(())
    }

    /// Makes the flat files durable and says so. Whatever the mark names was written before it was
    /// pushed here.
    fn mark(&mut self) -> Result<(), LedgerError> {
        let Some(mark) = self.last else {
            return Ok(());
        };
        if let Some(error) = &self.unsure {
            return Err(error.clone());
        }
        if let Err(error) = self.shared.flats.sync(&*self.disk) {
            // The system may now take pages for written that are not, and the next sync would say
            // nothing of them. The next start replays from the last mark and writes them again.
            self.unsure = Some(error.clone());
            return Err(error);
        }
        mark.write(&self.shared.dir, &*self.disk)?;
        self.unmarked = 0;
        self.last = None;
        Ok(())
    }
}
