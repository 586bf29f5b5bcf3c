//! The blocking end of a zip's download: one thread writes and sums, another unpacks and hashes behind
//! it, while bytes arrive; several hash what is left at the end.

use bytes::Bytes;
use gomod::version::ModuleVersion;
use gomod::zip::{Checked, StreamHasher, ZipError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{Content, SpoolWriter};
use tokio::sync::mpsc;

/// Chunks that may wait for the disk: some hundred KiB.
const QUEUE: usize = 16;

/// Bytes read back at once, for hashing, or to compare when a download starts over.
const COMPARE: usize = 64 << 10;

/// A download is hashed while it arrives when it has taken so long: a faster one is over before
/// that would gain anything, and the whole file is hashed at half the cost.
const FOLLOWED_AFTER: Duration = Duration::from_millis(50);

/// What the hashing thread finishes by itself when the last byte is there.
const LAST_MAX: u64 = 128 << 10;

/// Threads that hash the rest of a zip. Several downloads end at once, and serving goes on.
const THREADS_MAX: usize = 4;

/// Why the bytes could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error("the download started over and brought other bytes")]
    Differs,
    #[error("larger than a module zip may be")]
    TooLarge,
    #[error("the writing thread is gone")]
    Lost,
}

/// A zip that is being written.
pub(crate) struct Intake {
    writer: SpoolWriter,
    hashing: Option<Hashing>,
    begun: Instant,
    /// Position in the current download. Behind the writer's when a download started over after
    /// another was cut: clients have those bytes already, so they must come again unchanged.
    at: u64,
}

/// How far the file has grown.
#[derive(Clone, Copy, Debug, Default)]
struct Grown {
    len: u64,
    over: bool,
}

/// The thread that unpacks and hashes behind the writer. It never holds the writer up: it reads the
/// growing file, and what it has not come to when the last byte is there is left to several threads.
struct Hashing {
    grown: Arc<(Mutex<Grown>, Condvar)>,
    thread: Option<JoinHandle<StreamHasher>>,
}

impl Hashing {
    fn start(file: File) -> io::Result<Self> {
        let grown = Arc::new((Mutex::default(), Condvar::new()));
        let follow = Arc::clone(&grown);
        let thread = std::thread::Builder::new()
            .name("zip-hasher".into())
            .spawn(move || follow_file(&file, &follow))?;
        Ok(Self {
            grown,
            thread: Some(thread),
        })
    }

    /// The hasher when all bytes are there. One that lost its thread has seen nothing.
    fn finish(mut self, len: u64) -> StreamHasher {
        self.tell(len, true);
        let joined = self.thread.take().and_then(|thread| thread.join().ok());
        joined.unwrap_or_default()
    }

    fn tell(&self, len: u64, over: bool) {
        let (grown, changed) = &*self.grown;
        *grown.lock().unwrap_or_else(PoisonError::into_inner) = Grown { len, over };
        changed.notify_one();
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        // The thread of a download that was given up must not wait for more.
        self.tell(0, true);
    }
}

fn follow_file(file: &File, (grown, changed): &(Mutex<Grown>, Condvar)) -> StreamHasher {
    let mut hasher = StreamHasher::default();
    let mut buffer = vec![0; COMPARE];
    let mut at = 0;
    loop {
        let waits = |g: &mut Grown| g.len <= at && !g.over;
        let now = grown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = *changed
            .wait_while(now, waits)
            .unwrap_or_else(PoisonError::into_inner);
        let left = now.len.saturating_sub(at);
        if now.over && (left == 0 || left > LAST_MAX) {
            return hasher;
        }
        let part = &mut buffer[..left.min(COMPARE as u64) as usize];
        if file.read_exact_at(part, at).is_err() {
            return hasher;
        }
        hasher.push(part);
        at += part.len() as u64;
    }
}

impl Intake {
    pub fn new(writer: SpoolWriter) -> Self {
        Self {
            writer,
            hashing: None,
            begun: Instant::now(),
            at: 0,
        }
    }

    /// The next download starts at the first byte.
    pub fn start_over(&mut self) {
        self.at = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Bytes of the download under way.
    pub fn at(&self) -> u64 {
        self.at
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<(), IntakeError> {
        if self.at + bytes.len() as u64 > gomod::zip::MAX_ZIP_FILE {
            return Err(IntakeError::TooLarge);
        }
        let known = (self.writer.len() - self.at).min(bytes.len() as u64) as usize;
        for part in bytes.split_to(known).chunks(COMPARE) {
            let mut before = vec![0; part.len()];
            self.writer.read_at(&mut before, self.at)?;
            if before != part {
                return Err(IntakeError::Differs);
            }
            self.at += part.len() as u64;
        }
        if !bytes.is_empty() {
            self.writer.write(&bytes)?;
            self.at += bytes.len() as u64;
            self.follow()?;
        }
        Ok(())
    }

    /// Lets the hashing thread know how far the file has grown; starts it when that is worth it.
    fn follow(&mut self) -> io::Result<()> {
        let len = self.writer.len();
        match &self.hashing {
            Some(hashing) => hashing.tell(len, false),
            None if self.begun.elapsed() >= FOLLOWED_AFTER => {
                let hashing = Hashing::start(self.writer.opener()()?)?;
                hashing.tell(len, false);
                self.hashing = Some(hashing);
            }
            None => {}
        }
        Ok(())
    }

    /// Checks the whole zip by the module rules, and makes its bytes durable meanwhile. Blocks for as
    /// long as both take.
    pub fn finish(self, version: &ModuleVersion) -> Finished {
        let Self {
            mut writer,
            hashing,
            ..
        } = self;
        let (open, size) = (writer.opener(), writer.len());
        let (checked, sealed) = std::thread::scope(|scope| {
            let check = scope.spawn(move || {
                let hasher = hashing.map(|hashing| hashing.finish(size));
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                let threads = threads.min(THREADS_MAX);
                hasher
                    .unwrap_or_default()
                    .finish(open, size, version, threads)
            });
            let sealed = writer.content();
            (check.join(), sealed)
        });
        let lost = || {
            Err(ZipError::from(io::Error::other(
                "the checking thread is gone",
            )))
        };
        Finished {
            writer,
            checked: checked.unwrap_or_else(|_| lost()),
            sealed,
        }
    }
}

/// A whole zip: whether it is right, and whether it is durable.
pub(crate) struct Finished {
    pub writer: SpoolWriter,
    pub checked: Result<Checked, ZipError>,
    pub sealed: io::Result<Content>,
}

/// A thread that takes chunks until the sender is dropped, then gives the intake back.
pub(crate) struct Pump {
    pub chunks: mpsc::Sender<Bytes>,
    work: tokio::task::JoinHandle<Result<Intake, IntakeError>>,
}

impl Pump {
    pub fn start(mut intake: Intake) -> Self {
        let (chunks, mut waiting) = mpsc::channel::<Bytes>(QUEUE);
        let work = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = waiting.blocking_recv() {
                intake.take(chunk)?;
            }
            Ok(intake)
        });
        Self { chunks, work }
    }

    pub async fn finish(self) -> Result<Intake, IntakeError> {
        drop(self.chunks);
        self.work.await.map_err(|_| IntakeError::Lost)?
    }
}
