//! The index: module version -> record, on disk and rebuildable.
//!
//! SQLite without row ids is one B-tree of keys of 16 bytes; a look-up among 60 million is four
//! reads, and what stays in memory is the caches of a few connections. The write-ahead log with
//! `synchronous=NORMAL` may lose its last commits in a power cut and never its order, and the mark
//! is in the same commit as the rows: whatever is lost is replayed from the frames. The road not
//! taken, `synchronous=OFF`, could lose a row and keep the mark; a row that is missing would let a
//! second record of a version into the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::mark::Mark;
use crate::record::Key;

/// Page cache of one connection, in KiB: the inner pages of the hottest paths.
const CACHE_KIB: u32 = 2048;

/// Page cache of the writer's connection, in KiB: the pages of one batch of rows, so that they are
/// written once.
const WRITER_CACHE_KIB: u32 = 16 << 10;

/// Pages (4 KiB) of the write-ahead log before they are moved into the index, which syncs the disk
/// twice: 32 MiB, which a start after a crash reads at once.
const WAL_PAGES: u32 = 8192;

/// Connections kept for readers. More may be open at once; the rest are closed after use.
const IDLE_MAX: usize = 8;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE entry (key BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);
";

const PUT_MARK: &str = "INSERT OR REPLACE INTO mark (one, state) VALUES (1, ?)";

/// The index as readers see it.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// The index's only writer.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    path: PathBuf,
    db: Connection,
}

pub(crate) fn index_path(dir: &Path) -> PathBuf {
    dir.join("index")
}

/// Removes the index and what is left of building one.
pub(crate) fn remove(dir: &Path, disk: &dyn Disk) -> Result<(), LedgerError> {
    // The write-ahead log last would be replayed into a new file of the same name.
    for suffix in ["-wal", "-shm", "", ".new", ".new-journal"] {
        let path = dir.join(format!("index{suffix}"));
        disk.remove(&path)
            .map_err(LedgerError::disk("remove", &path))?;
    }
    Ok(())
}

pub(crate) fn failed(path: &Path, error: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error.sqlite_error_code() {
        // `Unknown` is what a missing table is; without a code, a value has another type.
        Some(DatabaseCorrupt | NotADatabase | Unknown) | None => LedgerError::derived(path, error),
        _ => LedgerError::disk("use the index", path)(io::Error::other(error)),
    }
}

impl Index {
    pub fn new(dir: &Path) -> Self {
        Self {
            path: index_path(dir),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The record of a module version, if it has been applied.
    pub fn get(&self, key: &Key) -> Result<Option<u64>, LedgerError> {
        self.with(|db| get(db, key))
    }

    /// The records of many, in one view: each view of its own costs some locks of the file.
    pub fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<u64>>, LedgerError> {
        match keys {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.get(key)?]),
            _ => self.with(|db| {
                let view = db.unchecked_transaction()?;
                // In their order, in which neighbours share pages.
                let mut places: Vec<usize> = (0..keys.len()).collect();
                places.sort_unstable_by_key(|place| keys.get(*place));
                let mut ids = vec![None; keys.len()];
                for place in places {
                    if let (Some(key), Some(id)) = (keys.get(place), ids.get_mut(place)) {
                        *id = get(&view, key)?;
                    }
                }
                Ok(ids)
            }),
        }
    }

    /// Works with an idle connection.
    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let db = match self.lock().pop() {
            Some(db) => db,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let found = work(&db).map_err(|error| failed(&self.path, error))?;
        let mut idle = self.lock();
        if idle.len() < IDLE_MAX {
            idle.push(db);
        }
        Ok(found)
    }

    /// Hands over the mark and then all rows, in the order of their keys.
    pub fn each(
        &self,
        mut row: impl FnMut(Key, u64) -> Result<(), LedgerError>,
    ) -> Result<Mark, LedgerError> {
        let failed = |error| failed(&self.path, error);
        let db = self.look()?;
        // One view of both.
        db.execute_batch("BEGIN").map_err(failed)?;
        let mark: Option<Vec<u8>> = db
            .query_row("SELECT state FROM mark", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let mut select = db
            .prepare("SELECT key, id FROM entry ORDER BY key")
            .map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(found) = rows.next().map_err(failed)? {
            let key = found.get(0).map_err(failed)?;
            let id: i64 = found.get(1).map_err(failed)?;
            row(Key(key), id as u64)?;
        }
        parse_mark(&self.path, mark)
    }

    /// A connection that leaves no traces. One to a write-ahead log makes files beside it, so where
    /// there is no such log the file is read as one that nobody changes.
    fn look(&self) -> Result<Connection, LedgerError> {
        let wal = self.path.with_file_name("index-wal");
        if wal.exists() {
            return connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        }
        let path = self.path.display().to_string();
        let escaped = path
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let db = connect(Path::new(&format!("file:{escaped}?immutable=1")), flags);
        db.map_err(|error| match error {
            LedgerError::Derived { what, .. } => LedgerError::derived(&self.path, what),
            error => error,
        })
    }

    /// Closes what is idle. The writer's connection must be the last: only it can tidy up.
    pub fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexWriter {
    /// Opens the index, which must be there, and tells how far it is.
    pub fn open(dir: &Path) -> Result<(Self, Mark), LedgerError> {
        let path = index_path(dir);
        let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let set = || -> rusqlite::Result<Option<Vec<u8>>> {
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "NORMAL")?;
            db.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
            db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
            db.query_row("SELECT state FROM mark", [], |row| row.get(0))
                .optional()
        };
        let mark = set().map_err(|error| failed(&path, error))?;
        let mark = parse_mark(&path, mark)?;
        Ok((Self { path, db }, mark))
    }

    /// Adds rows and moves the mark, all or nothing. Adding a row again is fine; another record
    /// for a version that has one means that the log itself is wrong. In the order of their keys they
    /// are added fastest.
    pub fn apply(
        &mut self,
        disk: &dyn Disk,
        rows: &[(Key, u64)],
        mark: &Mark,
    ) -> Result<(), LedgerError> {
        let done = self.try_apply(disk, rows, mark);
        if !self.db.is_autocommit() {
            // Nothing to add to the first error if this fails as well.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        done
    }

    fn try_apply(
        &self,
        disk: &dyn Disk,
        rows: &[(Key, u64)],
        mark: &Mark,
    ) -> Result<(), LedgerError> {
        let failed = |error| failed(&self.path, error);
        let db = &self.db;
        db.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        for (key, id) in rows {
            if let Some(other) = insert(db, key, *id).map_err(failed)? {
                return Err(two_records(other, *id));
            }
        }
        db.prepare_cached(PUT_MARK)
            .and_then(|mut put| put.execute([&mark.encode()[..]]))
            .map_err(failed)?;
        disk.commit(&mut || db.execute_batch("COMMIT").map_err(io::Error::other))
            .map_err(LedgerError::disk("commit", &self.path))
    }
}

/// A version with two records: nothing that is derived can repair it.
pub(crate) fn two_records(one: u64, other: u64) -> LedgerError {
    LedgerError::damaged(
        "frames",
        format!("records {one} and {other} are of one module version"),
    )
}

/// Adds a row; gives the record that is there if it is another.
fn insert(db: &Connection, key: &Key, id: u64) -> rusqlite::Result<Option<u64>> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO entry (key, id) VALUES (?, ?)")?;
    if insert.execute(params![&key.0[..], id as i64])? == 1 {
        return Ok(None);
    }
    Ok(get(db, key)?.filter(|there| *there != id))
}

fn get(db: &Connection, key: &Key) -> rusqlite::Result<Option<u64>> {
    let mut select = db.prepare_cached("SELECT id FROM entry WHERE key = ?")?;
    let id: Option<i64> = select
        .query_row([&key.0[..]], |row| row.get(0))
        .optional()?;
    Ok(id.map(|id| id as u64))
}

fn parse_mark(path: &Path, mark: Option<Vec<u8>>) -> Result<Mark, LedgerError> {
    let mark = mark.and_then(|mark| Mark::parse(&mark));
    mark.ok_or_else(|| LedgerError::derived(path, "it does not say how far it is"))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, flags)?;
        db.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        Ok(db)
    };
    connect().map_err(|error| failed(path, error))
}
