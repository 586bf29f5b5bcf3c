//! The checksum databases of the settings, and what can come of asking them.

use crate::own_log::OwnLog;
use gomod::pattern::Patterns;
use moka::sync::Cache;
use std::sync::atomic::{AtomicBool, Ordering};
use store::StoreError;
use tlog::client::{Error, SignedHead, Verifier};
use tokio::sync::{Mutex, Semaphore};
use upstream::{Failure, Net, SumSource};

/// Questions to one database at once.
const AT_ONCE: usize = 32;

/// Proved records remembered at most: some hundred bytes each.
const PROVED_MAX: u64 = 5_000;

/// A database that is asked.
#[derive(Debug)]
pub struct Database {
    pub(crate) verifier: Verifier,
    pub(crate) source: SumSource,
    pub(crate) held: Mutex<Held>,
    pub(crate) forked: AtomicBool,
    pub(crate) slots: Semaphore,
    /// What was proved lately: the files of one version are checked one after the other.
    pub(crate) proved: Cache<String, tlog::client::Sums>,
}

/// The newest proved head, once it has been read.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub loaded: bool,
    pub head: Option<SignedHead>,
}

impl Database {
    /// A database by its verifier key and the way to it.
    pub fn new(verifier: Verifier, source: SumSource) -> Self {
        Self {
            verifier,
            source,
            held: Mutex::default(),
            forked: AtomicBool::new(false),
            slots: Semaphore::new(AT_ONCE),
            proved: Cache::new(PROVED_MAX),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// Whether it contradicted itself.
    pub fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }
}

/// The databases, and what they are not asked.
#[derive(Debug, Default)]
pub struct Databases {
    /// In the order of the settings; the first is the one that files are checked with.
    pub all: Vec<Database>,
    /// Modules that no database is asked about.
    pub skip: Patterns,
    /// Our own log, which is served beside them and covers what they do not.
    pub own: Option<OwnLog>,
    /// How its witnesses are reached.
    pub net: Option<Net>,
}

/// What a database proved of a version.
#[derive(Clone, Debug)]
pub enum Sums {
    /// Its record.
    Known(tlog::client::Sums),
    /// It has none.
    Unknown,
    /// It is not asked about this module, or there is none.
    NotAsked,
    /// It could not be asked, or its answer could not be proved.
    Unavailable(String),
}

/// Why there is no proved answer.
pub(crate) enum Trouble {
    Upstream(Failure),
    Proof(Box<Error>),
    Store(StoreError),
    Raced,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Proof(Box::new(error))
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Store(error)
    }
}
