//! Damaged bytes are noticed when they are read, never given out, and mended by the same content
//! only.

use crate::model::{big, files_below, keep_spooled, key, mark, new_file, read, small};
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{
    BLOCK, Blob, BlobReader, Content, FileKey, KeepOutcome, Kept, Kind, Mark, Proof, Store,
    StoreError,
};

struct Room {
    store: Store,
    dir: tempfile::TempDir,
    key: FileKey,
    bytes: Bytes,
}

async fn with_a_blob() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (key, bytes) = (key("example.com/m", "v1.0.0", Kind::Zip), big(5));
    assert_eq!(
        keep_spooled(&store, &key, &bytes).await.unwrap(),
        KeepOutcome::Kept
    );
    Room {
        store,
        dir,
        key,
        bytes,
    }
}

fn the_blob(dir: &Path) -> PathBuf {
    let blobs = files_below(&dir.join("blobs"));
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    blobs[0].clone()
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn blob(store: &Store, key: &FileKey) -> Arc<Blob> {
    match store.file(key).unwrap() {
        Some(Kept::Blob(blob, _)) => blob,
        other => panic!("no blob: {other:?}"),
    }
}

/// Reads as the server does: from the system's memory where it can, else from the disk.
fn drain(mut reader: BlobReader) -> (Vec<u8>, Option<StoreError>) {
    let mut all = Vec::new();
    loop {
        if reader.remaining() == 0 {
            return (all, None);
        }
        let next = match reader.next_cached() {
            Some(next) => next.map(Some),
            None => reader.next_blocking(),
        };
        match next {
            Ok(Some(bytes)) => all.extend_from_slice(&bytes),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

fn is_damage(result: Result<Option<Bytes>, StoreError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("example.com/m@v1.0.0"), "{text}");
    assert!(text.contains(part), "{text}");
}

/// Marked, it counts as absent; other content is refused; the same content mends it.
async fn mends(room: &Room) {
    let Room {
        store, key, bytes, ..
    } = room;
    mark(store, key).await.unwrap();
    assert_eq!(read(store, key).unwrap(), None);
    let versions = store.versions(&key.module, key.kind, 10).unwrap();
    assert_eq!(versions, Vec::<String>::new());
    let other = keep_spooled(store, key, &big(6)).await.unwrap();
    assert_eq!(other, KeepOutcome::Differs);
    assert_eq!(read(store, key).unwrap(), None);
    let same = keep_spooled(store, key, bytes).await.unwrap();
    assert_eq!(same, KeepOutcome::Repaired);
    assert_eq!(read(store, key).unwrap().as_ref(), Some(bytes));
    let again = keep_spooled(store, key, bytes).await.unwrap();
    assert_eq!(again, KeepOutcome::AlreadyKept);
}

#[tokio::test]
async fn a_turned_bit_is_noticed_wherever_it_is_and_nothing_of_its_block_leaves() {
    let room = with_a_blob().await;
    let path = the_blob(room.dir.path());
    let size = room.bytes.len() as u64;
    for at in [0, 1, BLOCK as u64 - 1, BLOCK as u64, size / 2, size - 1] {
        flip(&path, at);
        let whole = blob(&room.store, &room.key).open(0, size).unwrap();
        let (came, error) = drain(whole);
        assert!(matches!(error, Some(StoreError::Damaged { .. })), "{at}");
        assert_eq!(came.len() as u64, at / BLOCK as u64 * BLOCK as u64);
        assert_eq!(came, room.bytes[..came.len()]);
        flip(&path, at);
    }
    assert_eq!(
        read(&room.store, &room.key).unwrap().as_ref(),
        Some(&room.bytes)
    );
}

#[tokio::test]
async fn a_range_is_right_wherever_it_begins_and_ends() {
    let room = with_a_blob().await;
    let size = room.bytes.len() as u64;
    let block = BLOCK as u64;
    for (start, end) in [
        (0, 1),
        (0, size),
        (size - 1, size),
        (block - 1, block + 1),
        (block, 2 * block),
        (7, size - 7),
        (size, size),
        (5, 5),
        (100, size + 100),
    ] {
        let reader = blob(&room.store, &room.key).open(start, end).unwrap();
        let want = &room.bytes[start as usize..end.min(size) as usize];
        assert_eq!(reader.remaining(), want.len() as u64);
        let (came, error) = drain(reader);
        assert!(error.is_none());
        assert_eq!(came, want, "{start}..{end}");
    }
}

#[tokio::test]
async fn a_range_in_sound_blocks_is_served_and_one_in_a_damaged_block_is_not() {
    let room = with_a_blob().await;
    let block = BLOCK as u64;
    flip(&the_blob(room.dir.path()), block + 3);
    let open = |from, to| blob(&room.store, &room.key).open(from, to).unwrap();
    let (came, error) = drain(open(2 * block, 2 * block + 9));
    assert!(error.is_none());
    assert_eq!(came, room.bytes[2 * BLOCK..2 * BLOCK + 9]);
    // The turned bit is not in this range, but in the block that vouches for it.
    let (came, error) = drain(open(block + 100, block + 200));
    assert!(matches!(error, Some(StoreError::Damaged { .. })));
    assert_eq!(came, Vec::<u8>::new());
}

#[tokio::test]
async fn a_flipped_blob_is_mended_by_the_same_content_only() {
    let room = with_a_blob().await;
    flip(&the_blob(room.dir.path()), 12345);
    is_damage(read(&room.store, &room.key), "block 0");
    mends(&room).await;
}

#[tokio::test]
async fn a_shortened_a_lengthened_and_a_lost_blob_are_noticed_and_mended() {
    for (new_len, what) in [(0, "length"), (1000, "length"), (9_000_000, "length")] {
        let room = with_a_blob().await;
        let file = File::options()
            .write(true)
            .open(the_blob(room.dir.path()))
            .unwrap();
        file.set_len(new_len).unwrap();
        is_damage(read(&room.store, &room.key), what);
        mends(&room).await;
    }
    let room = with_a_blob().await;
    std::fs::remove_file(the_blob(room.dir.path())).unwrap();
    is_damage(read(&room.store, &room.key), "gone");
    mends(&room).await;
}

#[tokio::test]
async fn a_blob_that_becomes_shorter_while_it_is_read_is_noticed() {
    let room = with_a_blob().await;
    let size = room.bytes.len() as u64;
    let mut reader = blob(&room.store, &room.key).open(0, size).unwrap();
    reader.next_blocking().unwrap().unwrap();
    let path = the_blob(room.dir.path());
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(BLOCK as u64 + 10).unwrap();
    let (came, error) = drain(reader);
    assert!(matches!(error, Some(StoreError::Damaged { .. })));
    assert_eq!(came, Vec::<u8>::new());
}

#[tokio::test]
async fn a_reader_ends_its_reading_although_the_file_is_purged() {
    let room = with_a_blob().await;
    let reader = blob(&room.store, &room.key)
        .open(0, room.bytes.len() as u64)
        .unwrap();
    let forgotten = room.store.forget(&room.key.module, None, true).await;
    assert_eq!(forgotten.unwrap(), 1);
    assert_eq!(
        files_below(&room.dir.path().join("blobs")),
        Vec::<PathBuf>::new()
    );
    let (came, error) = drain(reader);
    assert!(error.is_none());
    assert_eq!(came, room.bytes);
    assert_eq!(read(&room.store, &room.key).unwrap(), None);
}

#[tokio::test]
async fn a_damaged_row_is_noticed_and_mended() {
    for sql in [
        "UPDATE file SET body = x'00'",
        "UPDATE file SET body = x''",
        "UPDATE file SET body = CAST(body || x'0a' AS BLOB)",
        "UPDATE file SET sha256 = zeroblob(32)",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let key = key("example.com/m", "v1.0.0", Kind::Mod);
        let text = small("module example.com/m\n");
        let store = Store::open(dir.path()).unwrap();
        let file = || new_file(&key, Content::Small(text.clone()));
        store.keep(file()).await.unwrap();
        drop(store);
        let db = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1);
        drop(db);
        let store = Store::open(dir.path()).unwrap();
        is_damage(read(&store, &key), "SHA-256");
        mark(&store, &key).await.unwrap();
        assert_eq!(read(&store, &key).unwrap(), None);
        let other = new_file(&key, Content::Small(small("module x\n")));
        assert_eq!(store.keep(other).await.unwrap(), KeepOutcome::Differs);
        if !sql.contains("sha256") {
            assert_eq!(store.keep(file()).await.unwrap(), KeepOutcome::Repaired);
            assert_eq!(read(&store, &key).unwrap(), Some(text));
        }
    }
}

#[tokio::test]
async fn lost_or_damaged_block_sums_are_damage_and_not_a_pass() {
    for sql in [
        "DELETE FROM blob",
        "UPDATE blob SET sums = x''",
        "UPDATE blob SET sums = zeroblob(length(sums))",
        "UPDATE blob SET size = size + 1",
        "UPDATE file SET size = size - 1",
    ] {
        let Room {
            store,
            dir,
            key,
            bytes,
        } = with_a_blob().await;
        drop(store);
        let db = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
        db.execute(sql, []).unwrap();
        drop(db);
        let store = Store::open(dir.path()).unwrap();
        is_damage(read(&store, &key), "");
        let room = Room {
            store,
            dir,
            key,
            bytes,
        };
        mends(&room).await;
    }
}

#[tokio::test]
async fn a_blob_under_two_names_is_mended_for_each() {
    let room = with_a_blob().await;
    let twin = key("example.com/m", "v1.0.0", Kind::Mod);
    keep_spooled(&room.store, &twin, &room.bytes).await.unwrap();
    flip(&the_blob(room.dir.path()), 77);
    for key in [&room.key, &twin] {
        is_damage(read(&room.store, key), "block 0");
        mark(&room.store, key).await.unwrap();
    }
    for key in [&room.key, &twin] {
        let outcome = keep_spooled(&room.store, key, &room.bytes).await.unwrap();
        assert_eq!(outcome, KeepOutcome::Repaired);
        assert_eq!(read(&room.store, key).unwrap().as_ref(), Some(&room.bytes));
    }
    the_blob(room.dir.path());
}

#[tokio::test]
async fn a_file_with_the_same_h1_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = key("example.com/m", "v1.0.0", Kind::Zip);
    let packed = |text: &str| store::NewFile {
        h1: Some([7; 32]),
        ..new_file(&key, Content::Small(small(text)))
    };
    store.keep(packed("one way")).await.unwrap();
    let outcome = store.keep(packed("another way")).await.unwrap();
    assert_eq!(outcome, KeepOutcome::AlreadyKept);
    assert_eq!(read(&store, &key).unwrap(), Some(small("one way")));
    mark(&store, &key).await.unwrap();
    let outcome = store.keep(packed("another way")).await.unwrap();
    assert_eq!(outcome, KeepOutcome::Repaired);
    assert_eq!(read(&store, &key).unwrap(), Some(small("another way")));
}

#[tokio::test]
async fn a_quarantined_file_is_replaced_by_a_proved_one_and_by_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = key("example.com/m", "v1.0.0", Kind::Mod);
    let file = |text: &str, proof| store::NewFile {
        proof,
        ..new_file(&key, Content::Small(small(text)))
    };
    store.keep(file("forged", Proof::Open)).await.unwrap();
    store.mark(&key, Mark::Quarantined).await.unwrap();
    assert_eq!(read(&store, &key).unwrap(), None);
    assert!(store.meta(&key).unwrap().unwrap().withheld);
    // While the database is silent nobody knows better than when it spoke.
    for text in ["forged", "forged otherwise"] {
        let outcome = store.keep(file(text, Proof::Open)).await.unwrap();
        assert_eq!(outcome, KeepOutcome::Differs, "{text}");
        assert_eq!(read(&store, &key).unwrap(), None);
    }
    let outcome = store.keep(file("true", Proof::Proved)).await.unwrap();
    assert_eq!(outcome, KeepOutcome::Repaired);
    assert_eq!(read(&store, &key).unwrap(), Some(small("true")));
    assert!(!store.meta(&key).unwrap().unwrap().withheld);
}
