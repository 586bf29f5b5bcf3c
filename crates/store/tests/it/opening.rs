//! Who may open a data directory, and what is said when it cannot be used.

use crate::model::{big, files_below, keep_spooled, key, new_file, read, small};
use std::path::Path;
use store::{Content, Kind, Store, StoreError};

fn refusal(dir: &Path) -> StoreError {
    match Store::open(dir) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(error) => error,
    }
}

/// A clear error names the place and says what to do.
fn unusable(dir: &Path, part: &str) {
    let error = refusal(dir);
    assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&dir.display().to_string()), "{text}");
    assert!(text.contains(part), "{text}");
}

/// A directory that cannot be written, whoever runs the tests.
struct ReadOnly(tempfile::TempDir, bool);

impl ReadOnly {
    fn over(dir: tempfile::TempDir) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
        if std::fs::write(dir.path().join("probe"), b"").is_err() {
            return Some(Self(dir, false));
        }
        // The superuser writes wherever the mount allows it.
        let path = dir.path().as_os_str();
        let mount = |args: &[&str]| {
            let ran = std::process::Command::new("mount")
                .args(args)
                .arg(path)
                .output();
            ran.is_ok_and(|r| r.status.success())
        };
        let path_text = path.to_str().unwrap();
        if mount(&["--bind", path_text]) && mount(&["-o", "remount,bind,ro"]) {
            return Some(Self(dir, true));
        }
        None
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt;
        if self.1 {
            let _ = std::process::Command::new("umount")
                .arg(self.0.path())
                .status();
        }
        let writable = std::fs::Permissions::from_mode(0o755);
        let _ = std::fs::set_permissions(self.0.path(), writable);
    }
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_ends() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::InUse(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(text.contains("another modkeep"), "{text}");
    // The refused one left the first one's work alone.
    let (mut writer, _) = first.spool(None).unwrap();
    writer.write(b"still mine").unwrap();
    let _ = refusal(dir.path());
    let mut back = [0; 10];
    writer.read_at(&mut back, 0).unwrap();
    assert_eq!(&back, b"still mine");
    assert_eq!(files_below(&dir.path().join("spool")).len(), 1);
    drop(writer);
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[tokio::test]
async fn opening_and_ending_in_a_row_never_stumbles_over_itself() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..30 {
        let store = Store::open(dir.path()).unwrap();
        let name = key("example.com/m", &format!("v1.0.{i}"), Kind::Info);
        let file = new_file(&name, Content::Small(small("{}")));
        store.keep(file).await.unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(
        (store.totals().unwrap().files, store.totals().unwrap().bytes),
        (30, 60)
    );
}

#[test]
fn a_directory_is_made_with_its_parents() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    let store = Store::open(&deep).unwrap();
    assert_eq!(store.dir(), deep);
    store.probe().unwrap();
    assert_eq!(
        (store.totals().unwrap().files, store.totals().unwrap().bytes),
        (0, 0)
    );
}

#[test]
fn a_file_in_place_of_the_directory_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    std::fs::write(&file, b"").unwrap();
    unusable(&file, "--data");
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(read_only) = ReadOnly::over(dir) else {
        return;
    };
    unusable(read_only.0.path(), "--data");
}

#[tokio::test]
async fn a_store_that_became_read_only_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let name = key("example.com/m", "v1.0.0", Kind::Info);
    let file = new_file(&name, Content::Small(small("{}")));
    store.keep(file).await.unwrap();
    drop(store);
    let Some(read_only) = ReadOnly::over(dir) else {
        return;
    };
    let error = refusal(read_only.0.path());
    assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
    let text = error.to_string();
    let dir = read_only.0.path().display().to_string();
    assert!(text.contains(&dir), "{text}");
}

#[test]
fn a_catalog_that_is_none_is_a_clear_error_and_is_left_alone() {
    let garbage = b"this is not a catalog at all, however long one looks at it".repeat(100);
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("catalog.db");
    std::fs::write(&catalog, &garbage).unwrap();
    unusable(dir.path(), "catalog.db");
    assert_eq!(std::fs::read(&catalog).unwrap(), garbage);
}

#[test]
fn a_directory_in_place_of_the_catalog_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("catalog.db/x")).unwrap();
    unusable(dir.path(), "catalog.db");
}

#[tokio::test]
async fn a_catalog_of_a_newer_release_is_a_clear_error_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let name = key("example.com/m", "v1.0.0", Kind::Info);
    let file = new_file(&name, Content::Small(small("{}")));
    store.keep(file).await.unwrap();
    drop(store);
    let path = dir.path().join("catalog.db");
    let set = |version: i64| {
        let db = rusqlite::Connection::open(&path).unwrap();
        let old: i64 = db
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        old
    };
    let ours = set(4711);
    unusable(dir.path(), "4711");
    unusable(dir.path(), "another release");
    assert_eq!(set(ours), 4711);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, &name).unwrap(), Some(small("{}")));
}

#[tokio::test]
async fn what_a_killed_process_left_in_the_spool_is_removed_and_orphans_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let name = key("example.com/m", "v1.0.0", Kind::Zip);
    let bytes = big(3);
    let store = Store::open(dir.path()).unwrap();
    keep_spooled(&store, &name, &bytes).await.unwrap();
    store.forget(&name.module, None, true).await.unwrap();
    drop(store);
    std::fs::write(dir.path().join("spool/0.part"), b"half").unwrap();
    std::fs::write(dir.path().join("spool/17.part"), b"half").unwrap();
    // A blob without a row, with wrong bytes under the very name that comes next.
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(files_below(&dir.path().join("spool")).len(), 0);
    keep_spooled(&store, &name, &bytes).await.unwrap();
    let blob = files_below(&dir.path().join("blobs")).remove(0);
    store.forget(&name.module, None, true).await.unwrap();
    assert!(!blob.exists());
    std::fs::write(&blob, b"an orphan, and a damaged one").unwrap();
    assert_eq!(read(&store, &name).unwrap(), None);
    keep_spooled(&store, &name, &bytes).await.unwrap();
    assert_eq!(read(&store, &name).unwrap(), Some(bytes));
}

#[tokio::test]
async fn a_lost_catalog_costs_the_names_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let name = key("example.com/m", "v1.0.0", Kind::Zip);
    let store = Store::open(dir.path()).unwrap();
    keep_spooled(&store, &name, &big(3)).await.unwrap();
    drop(store);
    for file in files_below(dir.path()) {
        if file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("catalog")
        {
            std::fs::remove_file(file).unwrap();
        }
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, &name).unwrap(), None);
    keep_spooled(&store, &name, &big(3)).await.unwrap();
    assert_eq!(read(&store, &name).unwrap(), Some(big(3)));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_what_was_acknowledged_stays_and_what_was_not_is_not_half() {
    use std::sync::Arc;
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|m| m.status.success()) {
        return;
    }
    let unmount = Unmount(dir);
    let dir = unmount.0.path();
    let body = |i: usize| bytes::Bytes::from(testkit::tree::noise(i as u64, 20_000 + i));
    let name = |i: usize| key(&format!("example.com/m{i}"), "v1.0.0", Kind::Mod);
    let store = Arc::new(Store::open(dir).unwrap());
    let mut kept = Vec::new();
    let mut failed = Vec::new();
    for round in 0..20 {
        let keeping: Vec<_> = (round * 20..round * 20 + 20)
            .map(|i| {
                let store = Arc::clone(&store);
                let file = new_file(&name(i), Content::Small(body(i)));
                tokio::spawn(async move { (i, store.keep(file).await) })
            })
            .collect();
        for one in keeping {
            match one.await.unwrap() {
                (i, Ok(_)) => kept.push(i),
                (i, Err(_)) => failed.push(i),
            }
        }
    }
    assert!(!kept.is_empty() && !failed.is_empty());
    for i in &kept {
        assert_eq!(read(&store, &name(*i)).unwrap(), Some(body(*i)));
    }
    drop(store);
    let store = Store::open(dir).unwrap();
    for i in &kept {
        assert_eq!(read(&store, &name(*i)).unwrap(), Some(body(*i)), "{i}");
    }
    for i in &failed {
        let there = read(&store, &name(*i)).unwrap();
        assert!(there.is_none_or(|b| b == body(*i)), "{i}");
    }
}

struct Unmount(tempfile::TempDir);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}
