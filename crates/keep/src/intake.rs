//! The blocking end of a zip's download: one thread writes, sums and hashes while bytes arrive.

use bytes::Bytes;
use gomod::version::ModuleVersion;
use gomod::zip::{Checked, StreamHasher, ZipError};
use std::io;
use store::{Sealed, SpoolWriter};
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
    hasher: StreamHasher,
    /// Position in the current download. Behind the writer's when a download started over after
    /// another was cut: clients have those bytes already, so they must come again unchanged.
    at: u64,
}

impl Intake {
    pub fn new(writer: SpoolWriter) -> Self {
        Self {
            writer,
            hasher: StreamHasher::default(),
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
            self.hasher.push(&bytes);
            self.at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Checks the whole zip by the module rules. Blocks for as long as hashing takes.
    pub fn check(&mut self, version: &ModuleVersion) -> Result<Checked, ZipError> {
        let hasher = std::mem::take(&mut self.hasher);
        let file = self.writer.reopen().map_err(ZipError::from)?;
        hasher.finish(file, self.writer.len(), version)
    }

    /// Makes the bytes durable. Blocks on the disk.
    pub fn seal(&mut self) -> Result<Sealed, io::Error> {
        self.writer.seal()
    }

    /// Lets everybody have the rest.
    pub fn release(self) {
        self.writer.release();
    }
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
