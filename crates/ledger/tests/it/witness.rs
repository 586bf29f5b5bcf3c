//! The second place of the last signed head: what it lets pass and what it refuses.

use std::fs;
use std::path::Path;

use ledger::{Ledger, LedgerError, Options, WitnessRefusal, check};
use tlog::note::Signer;

use crate::common::{append, check_against, options, scratch, signer, text};

fn witnessed(dir: &Path) -> Options {
    Options {
        witness: Some(dir.join("witness")),
        ..options(dir)
    }
}

fn refusal(options: Options) -> WitnessRefusal {
    match Ledger::open(options) {
        Err(LedgerError::Witness { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// Copies what is in `from` into `to`, which keeps its own identity.
pub fn copy(from: &Path, to: &Path) {
    let _ = fs::create_dir_all(to);
    for there in fs::read_dir(to).unwrap() {
        let there = there.unwrap().path();
        match there.is_dir() {
            true => fs::remove_dir_all(there).unwrap(),
            false => fs::remove_file(there).unwrap(),
        }
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn the_log_goes_on_with_the_witness_it_had() {
    let dir = scratch();
    let mut epoch = 0;
    let mut ledger = Ledger::create(witnessed(dir.path())).unwrap();
    for n in 0..5 {
        append(&ledger, n).unwrap();
        assert!(ledger.status().epoch > epoch);
        epoch = ledger.status().epoch;
        drop(ledger);
        ledger = Ledger::open(witnessed(dir.path())).unwrap();
    }
    check_against(ledger.reader(), &(0..5).map(text).collect::<Vec<_>>());
    assert_eq!(
        refusal(witnessed_elsewhere(dir.path())),
        WitnessRefusal::Locked
    );
}

/// Another log folder with the same witness file.
fn witnessed_elsewhere(dir: &Path) -> Options {
    let other = dir.join("other");
    copy(&dir.join("log"), &other.join("log"));
    Options {
        witness: Some(dir.join("witness")),
        ..options(&other)
    }
}

#[test]
fn a_restored_backup_refuses_and_the_newest_copy_goes_on() {
    let dir = scratch();
    let log = dir.path().join("log");
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    drop(ledger);
    copy(&log, &dir.path().join("backup"));
    let ledger = Ledger::open(witnessed(dir.path())).unwrap();
    append(&ledger, 1).unwrap();
    drop(ledger);
    copy(&log, &dir.path().join("newest"));
    copy(&dir.path().join("backup"), &log);
    let behind = WitnessRefusal::Behind {
        local: 1,
        witnessed: 2,
    };
    assert_eq!(refusal(witnessed(dir.path())), behind);
    assert!(behind.to_string().contains("Restore the newest copy"));
    let adopt = Options {
        adopt: true,
        ..witnessed(dir.path())
    };
    assert_eq!(refusal(adopt.clone()), behind, "not even when told to");
    let report = check(&log, signer().verifier(), Some(&dir.path().join("witness"))).unwrap();
    assert!(!report.is_sound());
    copy(&dir.path().join("newest"), &log);
    let ledger = Ledger::open(witnessed(dir.path())).unwrap();
    check_against(ledger.reader(), &[text(0), text(1)]);
}

#[test]
fn a_copy_refuses_until_it_is_adopted_and_then_the_original_refuses() {
    let dir = scratch();
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    drop(ledger);
    let copied = witnessed_elsewhere(dir.path());
    assert_eq!(refusal(copied.clone()), WitnessRefusal::Copied);
    let adopt = Options {
        adopt: true,
        ..copied
    };
    let ledger = Ledger::open(adopt).unwrap();
    append(&ledger, 1).unwrap();
    drop(ledger);
    let behind = WitnessRefusal::Behind {
        local: 1,
        witnessed: 2,
    };
    assert_eq!(refusal(witnessed(dir.path())), behind);
}

#[test]
fn a_fork_of_the_same_size_is_noticed() {
    let dir = scratch();
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    drop(ledger);
    let log = dir.path().join("log");
    copy(&log, &dir.path().join("backup"));
    let ledger = Ledger::open(witnessed(dir.path())).unwrap();
    append(&ledger, 1).unwrap();
    drop(ledger);
    // Without the witness file, the backup goes another way.
    copy(&dir.path().join("backup"), &log);
    let ledger = Ledger::open(options(dir.path())).unwrap();
    append(&ledger, 2).unwrap();
    drop(ledger);
    let forked = WitnessRefusal::Forked { witnessed: 2 };
    assert_eq!(refusal(witnessed(dir.path())), forked);
    // Longer does not help.
    let ledger = Ledger::open(options(dir.path())).unwrap();
    append(&ledger, 3).unwrap();
    drop(ledger);
    for adopt in [false, true] {
        let options = Options {
            adopt,
            ..witnessed(dir.path())
        };
        assert_eq!(refusal(options), forked);
    }
    let report = check(&log, signer().verifier(), Some(&dir.path().join("witness"))).unwrap();
    assert!(!report.is_sound());
}

#[test]
fn a_witness_that_missed_more_than_one_commit_must_be_adopted() {
    let dir = scratch();
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    drop(ledger);
    let ledger = Ledger::open(options(dir.path())).unwrap();
    append(&ledger, 1).unwrap();
    drop(ledger);
    // One commit that was synced and not published: it goes on.
    drop(Ledger::open(witnessed(dir.path())).unwrap());
    let ledger = Ledger::open(options(dir.path())).unwrap();
    append(&ledger, 2).unwrap();
    append(&ledger, 3).unwrap();
    drop(ledger);
    let ahead = WitnessRefusal::Ahead {
        local: 4,
        witnessed: 2,
    };
    assert_eq!(refusal(witnessed(dir.path())), ahead);
    let adopt = Options {
        adopt: true,
        ..witnessed(dir.path())
    };
    drop(Ledger::open(adopt).unwrap());
    let ledger = Ledger::open(witnessed(dir.path())).unwrap();
    check_against(ledger.reader(), &(0..4).map(text).collect::<Vec<_>>());
}

#[test]
fn a_missing_damaged_or_foreign_witness_file_is_refused() {
    let dir = scratch();
    let path = dir.path().join("witness");
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    drop(ledger);
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(refusal(witnessed(dir.path())), WitnessRefusal::Missing);
    fs::write(&path, b"nonsense").unwrap();
    assert_eq!(refusal(witnessed(dir.path())), WitnessRefusal::Damaged);
    // One slot is enough to go on, and it is either the newest or one commit behind.
    for slot in [0, 4096] {
        let mut one = good.clone();
        one[slot + 30] ^= 1;
        fs::write(&path, &one).unwrap();
        let _ = Ledger::open(witnessed(dir.path())).unwrap();
    }
    fs::write(&path, &good).unwrap();
    let mut other = witnessed(dir.path());
    other.dir = dir.path().join("second");
    other.signer = Signer::from_seed("other.example", &[1; 32]).unwrap();
    let refused = Ledger::create(other).unwrap_err();
    let LedgerError::Witness { why, .. } = refused else {
        panic!("{refused}");
    };
    assert!(matches!(why, WitnessRefusal::OtherLog { .. }));
    // The same log made anew: the old one's witness knows better.
    let mut again = witnessed(dir.path());
    again.dir = dir.path().join("third");
    let refused = Ledger::create(again).unwrap_err();
    assert!(refused.to_string().contains("restored backup"), "{refused}");
}

#[test]
fn a_writer_whose_witness_moves_stops_for_good() {
    let dir = scratch();
    let path = dir.path().join("witness");
    let ledger = Ledger::create(witnessed(dir.path())).unwrap();
    append(&ledger, 0).unwrap();
    let old = fs::read(&path).unwrap();
    append(&ledger, 1).unwrap();
    // A file system without locks, and somebody who writes.
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &old, 0).unwrap();
    let head = ledger.reader().head();
    for _ in 0..2 {
        let refused = append(&ledger, 2).unwrap_err();
        assert!(
            matches!(
                &refused,
                LedgerError::Witness {
                    why: WitnessRefusal::Moved,
                    ..
                }
            ),
            "{refused}"
        );
    }
    assert_eq!(ledger.reader().head().size, head.size, "nothing was shown");
    assert!(ledger.status().trouble.is_some());
}
