//! What modkeep keeps, read again from the disk and hashed.

use super::{Bad, Claim, Found, Name, Reason, Unknown, What};
use gomod::h1::{H1, hash_mod};
use gomod::version::ModuleVersion;
use gomod::zip::verify_parallel;
use sha2::{Digest, Sha256};
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use store::{Blob, FileKey, Kept, Kind, Meta, Store, StoreError};

/// Rows in one read of the catalog.
const BATCH: usize = 1_000;

/// The names of all files; `None` for a row whose name is damaged.
pub fn files(store: &Store) -> Result<Vec<Option<FileKey>>, StoreError> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let batch = store.listed(after, BATCH)?;
        let Some((last, _)) = batch.last() else {
            return Ok(all);
        };
        after = *last;
        all.extend(batch.into_iter().map(|(_, key)| key));
    }
}

/// Reads and hashes all of them on all processors; `done` is called after each.
pub fn hash(store: &Store, keys: &[Option<FileKey>], done: &(impl Fn() + Sync)) -> Found {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Found::default()));
    let work = || {
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut one = Found::default();
            match key {
                Some(key) => check(store, key, &mut one),
                None => one.bad.push(bad(
                    (String::new(), String::new()),
                    "the name of a file",
                    "a name that cannot be one",
                    store.dir(),
                )),
            }
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(one);
            done();
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads than wished for it takes longer, and that is all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn check(store: &Store, key: &FileKey, found: &mut Found) {
    let name: Name = (key.module.to_string(), key.version.to_string());
    let at = Path::new(&key.to_string()).to_owned();
    let wrong = |want: &str, got: &str| bad(name.clone(), want, got, &at);
    let kept = match (store.file(key), store.meta(key)) {
        (Ok(Some(kept)), _) => kept,
        (Ok(None), Ok(Some(meta))) if meta.withheld => {
            let got =
                "known to be damaged, or contradicted by the checksum database; it is not served";
            return found.bad.push(wrong(&shown(&meta), got));
        }
        // Purged meanwhile.
        (Ok(None), _) => return,
        (Err(StoreError::Damaged { what, .. }), _) => {
            return found.bad.push(wrong("the bytes that were kept", &what));
        }
        (Err(error), _) => {
            return found.unknown.push(Unknown {
                name,
                what: What::Store,
                reason: Reason::Unreadable,
                source: at.display().to_string(),
                line: None,
                why: error.to_string(),
            });
        }
    };
    let (hashed, meta) = match &kept {
        Kept::Small(bytes, meta) => (small(key, bytes), meta),
        Kept::Blob(blob, meta) => (large(key, blob, meta), meta),
    };
    match hashed {
        Err(why) => found.bad.push(wrong(&shown(meta), &why)),
        Ok(None) => found.sound += 1,
        Ok(Some(h1)) => {
            let recorded = meta.h1.map(|h| H1(h).to_string());
            if recorded.as_ref().is_some_and(|want| *want != h1) {
                return found.bad.push(wrong(&shown(meta), &h1));
            }
            found.claims.push(claim(name, key, h1));
        }
    }
}

/// The h1 of small content, whose SHA-256 has been checked by the store.
fn small(key: &FileKey, bytes: &[u8]) -> Result<Option<String>, String> {
    match key.kind {
        Kind::Info => Ok(None),
        Kind::Mod => Ok(Some(hash_mod(bytes).to_string())),
        Kind::Zip => zip(key, || Ok(std::io::Cursor::new(bytes)), bytes.len() as u64).map(Some),
    }
}

fn large(key: &FileKey, blob: &Arc<Blob>, meta: &Meta) -> Result<Option<String>, String> {
    let (mut file, mut sum) = (blob.file().map_err(|e| e.to_string())?, Sha256::new());
    let (mut buffer, mut size) = (vec![0; 256 << 10], 0);
    loop {
        let n = file.read(&mut buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            break;
        }
        size += n as u64;
        sum.update(&buffer[..n]);
    }
    if size != meta.size || sum.finalize()[..] != meta.sha256 {
        return Err("other bytes on the disk than were kept".into());
    }
    match key.kind {
        Kind::Info => Ok(None),
        Kind::Mod => {
            let bytes = blob.read_all().map_err(|e| e.to_string())?;
            Ok(Some(hash_mod(&bytes).to_string()))
        }
        Kind::Zip => zip(key, || blob.file(), meta.size).map(Some),
    }
}

fn zip<R: std::io::Read + std::io::Seek>(
    key: &FileKey,
    open: impl Fn() -> std::io::Result<R> + Sync,
    size: u64,
) -> Result<String, String> {
    let version =
        ModuleVersion::new(key.module.clone(), key.version.clone()).map_err(|e| e.to_string())?;
    verify_parallel(open, size, &version, 1)
        .map(|checked| checked.h1.to_string())
        .map_err(|e| e.to_string())
}

fn shown(meta: &Meta) -> String {
    match meta.h1 {
        Some(h1) => H1(h1).to_string(),
        None => "the bytes that were kept".into(),
    }
}

fn claim(name: Name, key: &FileKey, got: String) -> Claim {
    Claim {
        name,
        what: What::Store,
        go_mod: key.kind == Kind::Mod,
        got,
        source: key.to_string(),
        line: None,
        local: None,
        detail: Vec::new(),
    }
}

fn bad(name: Name, want: &str, got: &str, source: &Path) -> Bad {
    Bad {
        name,
        what: What::Store,
        want: want.into(),
        got: got.into(),
        source: source.display().to_string(),
        against: "modkeep's catalog".into(),
        line: None,
        detail: Vec::new(),
    }
}
