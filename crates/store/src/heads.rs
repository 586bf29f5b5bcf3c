//! The heads that a witness remembers: one signed note for each log.
//!
//! A witness must never go back, so reading the old note, deciding and writing the new one are one
//! transaction that excludes all others, of other processes too, and it is on disk when it returns.
//! SQLite gives exactly that (`BEGIN IMMEDIATE`, `synchronous=FULL`). The road not taken is a file for
//! each log: replacing one is atomic, but comparing with it first is not.

use crate::StoreError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The schema's number in `user_version`.
const SCHEMA: i64 = 1;

/// A transaction waits at most so long for those before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The remembered heads. Its methods block on the disk.
#[derive(Debug)]
pub struct Heads {
    db: Mutex<Connection>,
}

impl Heads {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be used, or another release wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |r| r.get(0))?;
        if mode != "wal" {
            let what = format!(
                "{}: write-ahead logging is not possible here",
                path.display()
            );
            return Err(StoreError::Unusable(what));
        }
        db.pragma_update(None, "synchronous", "FULL")?;
        match db.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0))? {
            0 => db.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS head (origin TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT;
                 PRAGMA user_version = {SCHEMA};
                 COMMIT;"
            ))?,
            SCHEMA => {}
            other => {
                return Err(StoreError::Unusable(format!(
                    "{}: written by another release of modkeep (format {other}, this one knows {SCHEMA})",
                    path.display()
                )));
            }
        }
        Ok(Self { db: Mutex::new(db) })
    }

    /// The note that is remembered for this log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn get(&self, origin: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read(&db, origin)?)
    }

    /// Replaces the remembered note by what `decide` makes of it, or leaves it when `decide` refuses.
    /// Nobody else replaces it in between, and the new one is durable when this returns `Ok(Ok(_))`.
    ///
    /// # Errors
    /// When the disk refuses: then the old note or the new one is remembered, and asking again tells.
    pub fn replace<E>(
        &self,
        origin: &str,
        decide: impl FnOnce(Option<&[u8]>) -> Result<Vec<u8>, E>,
    ) -> Result<Result<Vec<u8>, E>, StoreError> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old = read(&transaction, origin)?;
        let new = match decide(old.as_deref()) {
            Ok(new) => new,
            Err(refused) => return Ok(Err(refused)),
        };
        transaction.execute(
            "INSERT INTO head (origin, note) VALUES (?1, ?2)
             ON CONFLICT (origin) DO UPDATE SET note = excluded.note",
            params![origin, new],
        )?;
        transaction.commit()?;
        Ok(Ok(new))
    }
}

fn read(db: &Connection, origin: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut found = db.prepare_cached("SELECT note FROM head WHERE origin = ?1")?;
    found.query_row([origin], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn of_many_who_compare_and_replace_at_once_each_sees_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads.db");
        // Two openings of one file, as two processes have them.
        let heads = [Heads::open(&path).unwrap(), Heads::open(&path).unwrap()];
        std::thread::scope(|scope| {
            for i in 0..8 {
                let heads = &heads[i % 2];
                scope.spawn(move || {
                    for _ in 0..5 {
                        let longer = |old: Option<&[u8]>| {
                            Ok::<_, ()>([old.unwrap_or_default(), b"x"].concat())
                        };
                        heads.replace("log", longer).unwrap().unwrap();
                    }
                });
            }
        });
        assert_eq!(heads[0].get("log").unwrap().unwrap().len(), 40);
        assert_eq!(
            heads[1]
                .replace("log", |_| Err::<Vec<u8>, _>("no"))
                .unwrap(),
            Err("no")
        );
        assert_eq!(
            Heads::open(&path)
                .unwrap()
                .get("log")
                .unwrap()
                .unwrap()
                .len(),
            40
        );
        assert_eq!(heads[0].get("other").unwrap(), None);
    }
}
