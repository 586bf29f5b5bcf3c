//! Growing files: who follows one gets everything in order, and the end only when it is let go.

use crate::model::{big, files_below, key, new_file};
use store::{HELD_BACK, Kind, Spool, SpoolError, Store};
use testkit::{Lie, LyingDisk, Step};

async fn follow(spool: Spool) -> (Vec<u8>, Option<SpoolError>) {
    let mut reader = spool.reader();
    let mut all = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => all.extend_from_slice(&bytes),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_get_all_but_the_end_until_it_is_let_go() {
    for announced in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let bytes = big(8);
        let total = announced.then_some(bytes.len() as u64);
        let (mut writer, spool) = store.spool(total).unwrap();
        let early = tokio::spawn(follow(spool.clone()));
        for chunk in bytes.chunks(10_000) {
            writer.write(chunk).unwrap();
            tokio::task::yield_now().await;
        }
        let mut middle = spool.reader();
        let mut seen = 0;
        while seen < bytes.len() as u64 - HELD_BACK {
            seen += middle.next().await.unwrap().unwrap().len() as u64;
        }
        assert_eq!(seen, bytes.len() as u64 - HELD_BACK);
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), middle.next()).await;
        assert!(more.is_err(), "the end was let go unchecked");
        assert!(!early.is_finished());
        let content = writer.content().unwrap();
        let name = key("example.com/m", "v1.0.0", Kind::Zip);
        store.keep(new_file(&name, content)).await.unwrap();
        writer.release();
        for reader in [early.await.unwrap(), follow(spool).await] {
            assert!(reader.1.is_none());
            assert!(reader.0 == bytes);
        }
        assert_eq!(files_below(&dir.path().join("spool")).len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_writer_cuts_everybody_off_before_the_end_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let bytes = big(8);
    let (mut writer, spool) = store.spool(Some(bytes.len() as u64)).unwrap();
    let early = tokio::spawn(follow(spool.clone()));
    writer.write(&bytes).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    drop(writer);
    for (came, error) in [early.await.unwrap(), follow(spool).await] {
        assert!(matches!(error, Some(SpoolError::Cut)));
        assert!(came.len() as u64 <= bytes.len() as u64 - HELD_BACK);
        assert!(came == bytes[..came.len()]);
    }
    assert_eq!(files_below(&dir.path().join("spool")).len(), 0);
}

#[tokio::test]
async fn a_file_that_once_failed_to_grow_can_not_be_kept() {
    for lie in Lie::ALL {
        let dir = tempfile::tempdir().unwrap();
        let disk = std::sync::Arc::new(LyingDisk::with(Step::Append, 1, lie));
        let store = Store::open_on(dir.path(), disk).unwrap();
        for size in [3_usize, 200_000] {
            let (mut writer, _) = store.spool(None).unwrap();
            let part = vec![7; size];
            writer.write(&part).unwrap();
            if writer.write(&part).is_ok() {
                continue;
            }
            // Nobody knows what is in the file now. Going on as if nothing had been must not work.
            let went_on = writer.write(&part).and_then(|()| writer.content());
            assert!(went_on.is_err(), "{lie:?} {size}");
        }
    }
}

#[tokio::test]
async fn content_that_could_not_be_made_durable_is_not_asked_twice() {
    let dir = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(LyingDisk::with(Step::Sync, 0, Lie::Fails));
    let store = Store::open_on(dir.path(), disk).unwrap();
    let (mut writer, _) = store.spool(None).unwrap();
    writer.write(&big(1)).unwrap();
    assert!(writer.content().is_err());
    // A system that failed to write a page forgets that it is dirty: a second sync would succeed.
    assert!(writer.content().is_err());
}

#[tokio::test]
async fn a_probe_tells_whether_the_disk_takes_writes_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(LyingDisk::new());
    let store = Store::open_on(dir.path(), std::sync::Arc::clone(&disk) as _).unwrap();
    store.probe().unwrap();
    disk.lie_at_random(1, 1);
    assert!(store.probe().is_err());
    disk.be_honest();
    store.probe().unwrap();
    drop(store);
    Store::open(dir.path()).unwrap();
    assert_eq!(files_below(&dir.path().join("spool")).len(), 0);
}
