//! The blocking end of a zip's download: one thread writes and sums, another unpacks and hashes, while
//! bytes arrive.

use bytes::Bytes;
use gomod::version::ModuleVersion;
use gomod::zip::{Checked, StreamHasher, ZipError};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use store::{Content, SpoolWriter};
use tokio::sync::mpsc;

/// Chunks that may wait for the disk: some hundred KiB.
const QUEUE: usize = 16;

/// Bytes compared at once when a download starts over.
const COMPARE: usize = 64 << 10;

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
    hashing: Hashing,
    /// Position in the current download. Behind the writer's when a download started over after
    /// another was cut: clients have those bytes already, so they must come again unchanged.
    at: u64,
}

/// The thread that unpacks and hashes. It lags behind by a bounded number of chunks.
struct Hashing {
    chunks: SyncSender<Bytes>,
    done: Receiver<StreamHasher>,
}

impl Hashing {
    fn start() -> io::Result<Self> {
        let (chunks, waiting) = sync_channel::<Bytes>(QUEUE);
        let (finished, done) = sync_channel(1);
        std::thread::Builder::new()
            .name("zip-hasher".into())
            .spawn(move || {
                let mut hasher = StreamHasher::default();
                while let Ok(chunk) = waiting.recv() {
                    hasher.push(&chunk);
                }
                // Nobody waits for the hash of a download that was given up.
                let _ = finished.send(hasher);
            })?;
        Ok(Self { chunks, done })
    }

    /// The hasher after all chunks. One that lost its thread has seen nothing, and hashes the file.
    fn finish(self) -> StreamHasher {
        drop(self.chunks);
        self.done.recv().unwrap_or_default()
    }
}

impl Intake {
    pub fn new(writer: SpoolWriter) -> io::Result<Self> {
        Ok(Self {
            writer,
            hashing: Hashing::start()?,
            at: 0,
        })
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
            // A hasher that is gone is noticed at the end.
            let _ = self.hashing.chunks.send(bytes.clone());
            self.writer.write(&bytes)?;
            self.at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Checks the whole zip by the module rules, and makes its bytes durable meanwhile. Blocks for as
    /// long as both take.
    pub fn finish(self, version: &ModuleVersion) -> Finished {
        let Self {
            mut writer,
            hashing,
            at: _,
        } = self;
        let (checked, sealed) = std::thread::scope(|scope| {
            let file = writer.reopen();
            let size = writer.len();
            let check = scope.spawn(move || {
                let hasher = hashing.finish();
                hasher.finish(
                    io::BufReader::new(file.map_err(ZipError::from)?),
                    size,
                    version,
                )
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
