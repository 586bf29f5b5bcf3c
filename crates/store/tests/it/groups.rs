//! Many who keep at once share few commits, and a commit's fate.

use crate::model::{Model, key, new_file, read, small};
use std::sync::Arc;
use std::time::Duration;
use store::{Content, FileKey, KeepOutcome, Kind, Store, StoreError};
use testkit::{Lie, LyingDisk, Step};

const MANY: usize = 500;

fn name(i: usize) -> FileKey {
    key(&format!("example.com/m{i}"), "v1.0.0", Kind::Mod)
}

fn body(i: usize) -> bytes::Bytes {
    small(&format!("module example.com/m{i}\n"))
}

async fn keep_many(store: Arc<Store>) -> Vec<Result<KeepOutcome, StoreError>> {
    let keeping: Vec<_> = (0..MANY)
        .map(|i| {
            let store = Arc::clone(&store);
            let file = new_file(&name(i), Content::Small(body(i)));
            tokio::spawn(async move { store.keep(file).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for one in keeping {
        outcomes.push(one.await.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_cost_few_commits() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(LyingDisk::new());
    let store = Arc::new(Store::open_on(dir.path(), Arc::clone(&disk) as _).unwrap());
    // As slow as a spinning disk: what gathers meanwhile must go into the next commit.
    disk.slow_commits(Duration::from_millis(8));
    let outcomes = keep_many(Arc::clone(&store)).await;
    assert!(outcomes.iter().all(|o| matches!(o, Ok(KeepOutcome::Kept))));
    let commits = disk.calls(Step::Commit);
    assert!(commits <= 20, "{MANY} files took {commits} commits");
    assert_eq!(store.totals().unwrap().files, MANY as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_alone_does_not_wait_for_company() {
    let model = Model::open(LyingDisk::new());
    let began = std::time::Instant::now();
    for i in 0..20 {
        let file = new_file(&name(i), Content::Small(body(i)));
        model.store().unwrap().keep(file).await.unwrap();
    }
    assert_eq!(model.disk().calls(Step::Commit), 20);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_is_told_to_everybody_in_it() {
    for (n, lie) in [(1, Lie::Fails), (1, Lie::FailsButDone), (0, Lie::Fails)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(LyingDisk::with(Step::Commit, n, lie));
        let store = Arc::new(Store::open_on(dir.path(), Arc::clone(&disk) as _).unwrap());
        disk.slow_commits(Duration::from_millis(8));
        let outcomes = keep_many(Arc::clone(&store)).await;
        let failed = outcomes.iter().filter(|o| o.is_err()).count();
        assert!(failed > 0, "{lie:?}");
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        for (i, outcome) in outcomes.iter().enumerate() {
            let there = read(&store, &name(i)).unwrap();
            let done = lie == Lie::FailsButDone;
            match outcome {
                Ok(_) => assert_eq!(there, Some(body(i))),
                Err(_) if done => assert_eq!(there, Some(body(i))),
                Err(_) => assert_eq!(there, None),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_wait_for_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(LyingDisk::new());
    let store = Arc::new(Store::open_on(dir.path(), Arc::clone(&disk) as _).unwrap());
    let file = new_file(&name(0), Content::Small(body(0)));
    store.keep(file).await.unwrap();
    disk.slow_commits(Duration::from_secs(1));
    let keeping = {
        let store = Arc::clone(&store);
        let file = new_file(&name(1), Content::Small(body(1)));
        tokio::spawn(async move { store.keep(file).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = std::time::Instant::now();
    assert_eq!(read(&store, &name(0)).unwrap(), Some(body(0)));
    // What is not committed is not visible.
    assert_eq!(read(&store, &name(1)).unwrap(), None);
    assert!(began.elapsed() < Duration::from_millis(500));
    keeping.await.unwrap().unwrap();
    assert_eq!(read(&store, &name(1)).unwrap(), Some(body(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_contents_under_one_name_wins_and_the_other_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    for round in 0..20 {
        let name = name(round);
        let racing: Vec<_> = (0..8)
            .map(|i| {
                let store = Arc::clone(&store);
                let file = new_file(&name, Content::Small(small(&format!("content {}", i % 2))));
                tokio::spawn(async move { (i % 2, store.keep(file).await.unwrap()) })
            })
            .collect();
        let mut outcomes = Vec::new();
        for one in racing {
            outcomes.push(one.await.unwrap());
        }
        let winner = outcomes.iter().find(|(_, o)| *o == KeepOutcome::Kept);
        let (winner, _) = *winner.unwrap();
        for (content, outcome) in outcomes {
            assert_eq!(content != winner, outcome == KeepOutcome::Differs);
        }
        let there = read(&store, &name).unwrap();
        assert_eq!(there, Some(small(&format!("content {winner}"))));
    }
}
