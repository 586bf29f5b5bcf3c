//! The catalog: which files are kept, in an embedded SQLite database.
//!
//! One writer connection with `synchronous=FULL` (a commit is on disk when it returns), several
//! read-only connections that never wait for it (WAL). Rows are looked up by exact key only, so
//! opening is independent of how much is kept.

use crate::{Answer, Damage, FileKey, Kind, Mark, Proof, StoreError, Totals, sums};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The schema's number in `user_version`.
const SCHEMA: i64 = 1;

/// Read-only connections. Reads take microseconds; four keep two cores busy.
const READERS: usize = 4;

/// A row of `file`.
#[derive(Debug, Clone)]
pub(crate) struct FileRow {
    pub sha256: [u8; 32],
    pub size: u64,
    pub body: Option<Vec<u8>>,
    pub h1: Option<[u8; 32]>,
    pub source: String,
    pub fetched: i64,
    pub inner: Option<[u8; 32]>,
    pub proof: Proof,
    pub damaged: Damage,
}

/// A new row of `file`, and of `blob` where the content is not small.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub key: FileKey,
    pub row: FileRow,
    pub blob_sums: Option<Vec<u64>>,
}

pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |r| r.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unusable(format!(
            "{}: write-ahead logging is not possible here",
            path.display()
        )));
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    match db.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0))? {
        0 => db.execute_batch(&format!(
            "BEGIN; {} PRAGMA user_version = {SCHEMA}; COMMIT;",
            include_str!("schema.sql")
        ))?,
        SCHEMA => {}
        other => {
            return Err(StoreError::Unusable(format!(
                "{}: written by another release of modkeep (catalog format {other}, this one knows {SCHEMA})",
                path.display()
            )));
        }
    }
    Ok(db)
}

/// The read-only side.
#[derive(Debug)]
pub(crate) struct Readers {
    connections: Vec<Mutex<Connection>>,
}

impl Readers {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> Result<_, StoreError> {
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(Duration::from_secs(5))?;
            Ok(Mutex::new(db))
        };
        Ok(Self {
            connections: (0..READERS).map(|_| open()).collect::<Result<_, _>>()?,
        })
    }

    pub fn file(&self, key: &FileKey) -> Result<Option<FileRow>, StoreError> {
        read_file(&self.any(), key)
    }

    pub fn blob_sums(&self, sha256: &[u8; 32], size: u64) -> Result<Option<Vec<u64>>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached("SELECT sums FROM blob WHERE sha256 = ? AND size = ?")?;
        let bytes: Option<Vec<u8>> = find
            .query_row(params![sha256, size as i64], |r| r.get(0))
            .optional()?;
        Ok(bytes.and_then(|b| sums::decode(&b, size)))
    }

    pub fn answer(&self, module: &str, question: &str) -> Result<Option<Answer>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached(
            "SELECT body, source, fetched FROM answer WHERE module = ? AND question = ?",
        )?;
        let answer = find.query_row(params![module, question], |r| {
            Ok(Answer {
                body: r.get::<_, Vec<u8>>(0)?.into(),
                source: r.get(1)?,
                fetched: r.get(2)?,
            })
        });
        Ok(answer.optional()?)
    }

    /// Versions of a module that have a file of this kind, in no particular order.
    pub fn versions(
        &self,
        module: &str,
        kind: Kind,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached(
            "SELECT version FROM file WHERE module = ? AND kind = ? AND damaged = 0 LIMIT ?",
        )?;
        let rows = find.query_map(params![module, kind as i64, limit as i64], |r| r.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The paths of what a database said, from `low` on and below `high`, in the order of their bytes.
    pub fn sum_paths(&self, name: &str, low: &str, high: &str) -> Result<Vec<String>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached(
            "SELECT path FROM sum WHERE name = ? AND path >= ? AND path < ? ORDER BY path LIMIT 256",
        )?;
        let rows = find.query_map(params![name, low, high], |r| r.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn sum(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached("SELECT body FROM sum WHERE name = ? AND path = ?")?;
        Ok(find
            .query_row(params![name, path], |r| r.get(0))
            .optional()?)
    }

    /// Files that no checksum database has been asked about yet, after `after`: row, name, hash.
    #[expect(
        clippy::type_complexity,
        reason = "one caller, which names the parts at once"
    )]
    pub fn unproved(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String, String, Kind, [u8; 32])>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached(
            "SELECT id, module, version, kind, h1 FROM file \
             WHERE id > ? AND proof = 0 AND h1 IS NOT NULL AND damaged = 0 ORDER BY id LIMIT ?",
        )?;
        let rows = find.query_map(params![after, limit as i64], |r| {
            let kind = if r.get::<_, i64>(3)? == Kind::Mod as i64 {
                Kind::Mod
            } else {
                Kind::Zip
            };
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, kind, r.get(4)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Names of files after `after`: row, module, version, kind.
    pub fn named(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String, String, i64)>, StoreError> {
        let db = self.any();
        let mut find = db.prepare_cached(
            "SELECT id, module, version, kind FROM file WHERE id > ? ORDER BY id LIMIT ?",
        )?;
        let rows = find.query_map(params![after, limit as i64], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn totals(&self) -> Result<Totals, StoreError> {
        let db = self.any();
        // The last count has an index of its own.
        let sql = "SELECT count(*), coalesce(sum(size), 0), (SELECT count(*) FROM file \
                   WHERE proof = 0 AND h1 IS NOT NULL AND damaged = 0) FROM file";
        Ok(db.query_row(sql, [], |r| {
            Ok(Totals {
                files: r.get::<_, i64>(0)? as u64,
                bytes: r.get::<_, i64>(1)? as u64,
                unproved: r.get::<_, i64>(2)? as u64,
            })
        })?)
    }

    fn any(&self) -> MutexGuard<'_, Connection> {
        for connection in &self.connections {
            if let Ok(free) = connection.try_lock() {
                return free;
            }
        }
        // All busy: wait for the first. A poisoned lock guards a connection without state of ours.
        self.connections[0]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) fn read_file(db: &Connection, key: &FileKey) -> Result<Option<FileRow>, StoreError> {
    let mut find = db.prepare_cached(
        "SELECT sha256, size, body, h1, source, fetched, inner, proof, damaged FROM file \
         WHERE module = ? AND version = ? AND kind = ?",
    )?;
    let row = find.query_row(
        params![key.module.as_str(), key.version.as_str(), key.kind as i64],
        file_row,
    );
    Ok(row.optional()?)
}

fn file_row(r: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        sha256: r.get(0)?,
        size: r.get::<_, i64>(1)? as u64,
        body: r.get(2)?,
        h1: r.get(3)?,
        source: r.get(4)?,
        fetched: r.get(5)?,
        inner: r.get(6)?,
        proof: match r.get::<_, i64>(7)? {
            1 => Proof::Proved,
            2 => Proof::NotAsked,
            _ => Proof::Open,
        },
        damaged: match r.get::<_, i64>(8)? {
            0 => Damage::None,
            2 => Damage::Quarantined,
            _ => Damage::Damaged,
        },
    })
}

pub(crate) fn put_file(db: &Connection, new: &NewRow) -> Result<(), StoreError> {
    if let Some(blob) = &new.blob_sums {
        db.prepare_cached("INSERT OR REPLACE INTO blob (sha256, size, sums) VALUES (?, ?, ?)")?
            .execute(params![
                new.row.sha256,
                new.row.size as i64,
                sums::encode(blob)
            ])?;
    }
    db.prepare_cached(
        "INSERT OR REPLACE INTO file (module, version, kind, sha256, size, body, h1, source, fetched, inner, proof, damaged) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
    )?
    .execute(params![
        new.key.module.as_str(),
        new.key.version.as_str(),
        new.key.kind as i64,
        new.row.sha256,
        new.row.size as i64,
        new.row.body,
        new.row.h1,
        new.row.source,
        new.row.fetched,
        new.row.inner,
        new.row.proof as i64,
    ])?;
    Ok(())
}

pub(crate) fn put_answer(
    db: &Connection,
    module: &str,
    question: &str,
    answer: &Answer,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO answer (module, question, body, source, fetched) VALUES (?, ?, ?, ?, ?)",
    )?
    .execute(params![module, question, answer.body.as_ref(), answer.source, answer.fetched])?;
    Ok(())
}

pub(crate) fn mark(db: &Connection, key: &FileKey, mark: Mark) -> Result<(), StoreError> {
    let set = match mark {
        Mark::Damaged => "damaged = max(damaged, 1)",
        Mark::Quarantined => "damaged = 2",
        Mark::Proved => "proof = 1",
    };
    db.prepare_cached(&format!(
        "UPDATE file SET {set} WHERE module = ? AND version = ? AND kind = ?"
    ))?
    .execute(params![
        key.module.as_str(),
        key.version.as_str(),
        key.kind as i64
    ])?;
    Ok(())
}

pub(crate) fn put_sums(
    db: &Connection,
    name: &str,
    rows: &[(String, Bytes)],
) -> Result<(), StoreError> {
    let mut put =
        db.prepare_cached("INSERT OR REPLACE INTO sum (name, path, body) VALUES (?, ?, ?)")?;
    for (path, body) in rows {
        put.execute(params![name, path, body.as_ref()])?;
    }
    Ok(())
}

/// Forgets a module's answers and, when asked for, its files. Gives the number of rows removed and
/// the blobs that no file names any more.
pub(crate) fn forget(
    db: &Connection,
    module: &str,
    version: Option<&str>,
    files: bool,
) -> Result<(u64, Vec<[u8; 32]>), StoreError> {
    let mut rows = db.execute("DELETE FROM answer WHERE module = ?", params![module])?;
    let mut orphans = Vec::new();
    if files {
        let mut find = db.prepare(
            "DELETE FROM file WHERE module = ?1 AND (?2 IS NULL OR version = ?2) RETURNING sha256, body IS NULL",
        )?;
        let removed: Vec<([u8; 32], bool)> = find
            .query_map(params![module, version], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<Result<_, _>>()?;
        rows += removed.len();
        for (sha256, _) in removed.into_iter().filter(|(_, is_blob)| *is_blob) {
            let named = "SELECT EXISTS (SELECT 1 FROM file WHERE sha256 = ? AND body IS NULL)";
            if !db.query_row(named, params![sha256], |r| r.get::<_, bool>(0))? {
                db.execute("DELETE FROM blob WHERE sha256 = ?", params![sha256])?;
                orphans.push(sha256);
            }
        }
    }
    Ok((rows as u64, orphans))
}
