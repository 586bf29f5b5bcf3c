//! Damage: any flipped byte is found by a check, start-up refuses what it cannot repair, recovery
//! repairs the rest.

use std::fs;
use std::path::{Path, PathBuf};

use ledger::{Ledger, LedgerError, NewRecord, Options, Report, check, recover};
use tlog::note::Cosigner;

use crate::common::{append, check_against, options, record, scratch, signer, text};
use crate::witness::copy;

const RECORDS: u64 = 330;

fn small(dir: &Path) -> Options {
    let mut options = options(dir);
    options.limits.segment_bytes = 20_000;
    options
}

/// A closed log with all kinds of files.
fn make(dir: &Path) -> Vec<String> {
    let ledger = Ledger::create(small(dir)).unwrap();
    for n in 0..4 {
        append(&ledger, n).unwrap();
    }
    let records: Vec<NewRecord> = (4..RECORDS).map(record).collect();
    for chunk in records.chunks(60) {
        ledger.append_blocking(chunk.to_vec()).unwrap();
    }
    let head = ledger.reader().head();
    let witness = Cosigner::from_seed("witness.example", &[9; 32]).unwrap();
    let text_of = String::from_utf8(head.checkpoint.to_vec()).unwrap();
    let body = text_of.split_inclusive('\n').take(3).collect::<String>();
    ledger
        .set_cosignatures(&head, &[witness.sign(&body, 1)])
        .unwrap();
    (0..RECORDS).map(text).collect()
}

fn checked(dir: &Path) -> Report {
    check(&dir.join("log"), signer().verifier(), None).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn a_sound_log_is_found_sound_also_while_it_grows() {
    let dir = scratch();
    make(dir.path());
    let report = checked(dir.path());
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.size, report.in_use), (RECORDS, false));
    let ledger = Ledger::open(small(dir.path())).unwrap();
    for n in 0..10 {
        append(&ledger, RECORDS + n).unwrap();
        let report = checked(dir.path());
        assert!(report.is_sound(), "{report:?}");
        assert_eq!((report.size, report.in_use), (RECORDS + n + 1, true));
    }
}

#[test]
fn any_flipped_byte_is_found() {
    let dir = scratch();
    make(dir.path());
    let mut flipped = 0;
    for path in files(&dir.path().join("log")) {
        let good = fs::read(&path).unwrap();
        let name = path.strip_prefix(dir.path()).unwrap().display().to_string();
        // All bytes would take minutes: a step that shares no factor with any period in the files.
        let step = good.len().div_ceil(40) | 1;
        // The index has free bytes that mean nothing; its rows are tried below. And nobody but a
        // witness's friends can judge the witness's signature.
        let meant = match &*name {
            "log/index" => 0,
            "log/cosigned" => 300,
            _ => good.len(),
        };
        for at in (0..meant).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let report = checked(dir.path());
            assert!(!report.is_sound(), "{name} byte {at}");
            flipped += 1;
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(flipped > 200, "{flipped}");
    assert!(checked(dir.path()).is_sound());
}

#[test]
fn any_wrong_row_of_the_index_is_found_and_repaired() {
    let dir = scratch();
    let texts = make(dir.path());
    let index = dir.path().join("log/index");
    let good = fs::read(&index).unwrap();
    for sql in [
        "UPDATE entry SET id = id + 1 WHERE id = 7",
        "DELETE FROM entry WHERE id = 100",
        "INSERT INTO entry VALUES (x'00112233445566778899aabbccddeeff', 5)",
        "UPDATE entry SET key = x'00' WHERE id = 3",
        "UPDATE mark SET state = x'00'",
        "DELETE FROM mark",
    ] {
        let db = rusqlite::Connection::open(&index).unwrap();
        db.execute(sql, []).unwrap();
        drop(db);
        let report = checked(dir.path());
        assert!(!report.is_sound(), "{sql} {report:?}");
        assert!(report.findings.iter().all(|found| found.derived));
        assert_eq!(recover(small(dir.path())).unwrap(), RECORDS);
        assert!(checked(dir.path()).is_sound(), "{sql}");
        fs::write(&index, &good).unwrap();
    }
    recover(small(dir.path())).unwrap();
    let ledger = Ledger::open(small(dir.path())).unwrap();
    check_against(ledger.reader(), &texts);
}

#[test]
fn recovery_makes_all_that_is_derived_anew_and_leaves_the_frames() {
    let dir = scratch();
    let texts = make(dir.path());
    let log = dir.path().join("log");
    let frames = |log: &Path| -> Vec<Vec<u8>> {
        let files = files(&log.join("frames")).into_iter();
        files.map(|path| fs::read(path).unwrap()).collect()
    };
    let before = frames(&log);
    for name in ["hashes/0", "hashes/1", "applied", "index", "offsets"] {
        for bytes in [&b""[..], &[0x55; 5000]] {
            fs::write(log.join(name), bytes).unwrap();
            if name != "offsets" || bytes.is_empty() {
                assert_eq!(recover(small(dir.path())).unwrap(), RECORDS, "{name}");
                assert_eq!(frames(&log), before);
                assert!(checked(dir.path()).is_sound(), "{name}");
            }
        }
    }
    // Offsets that are longer than the log are evidence, not damage.
    assert!(recover(small(dir.path())).is_err());
    fs::remove_file(log.join("offsets")).unwrap();
    recover(small(dir.path())).unwrap();
    let ledger = Ledger::open(small(dir.path())).unwrap();
    check_against(ledger.reader(), &texts);
}

#[test]
fn what_is_damaged_is_never_served() {
    let dir = scratch();
    make(dir.path());
    let log = dir.path().join("log");
    let flip = |name: &str, at: usize| {
        let path = log.join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let refused = |result: Result<(), LedgerError>| {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("modkeep log recover"), "{text}");
    };
    let frames = fs::read(log.join("frames/000")).unwrap();
    let zip1 = frames.windows(6).position(|w| w == b"h1:zip").unwrap() + 3;
    for (name, at) in [("hashes/0", 32), ("offsets", 15), ("frames/000", zip1)] {
        flip(name, at);
        let ledger = Ledger::open(small(dir.path())).unwrap();
        let reader = ledger.reader();
        refused(reader.records(0..256).map(drop));
        refused(reader.data_tile(0, 256).map(drop));
        if name == "hashes/0" {
            refused(reader.tile(0, 0, 200).map(drop));
            refused(reader.prove_inclusion(0, RECORDS).map(drop));
            refused(reader.prove_consistency(1, RECORDS).map(drop));
        } else {
            reader.tile(0, 0, 200).unwrap().unwrap();
        }
        drop(ledger);
        flip(name, at);
        assert!(checked(dir.path()).is_sound());
    }
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_not() {
    let dir = scratch();
    let texts = make(dir.path());
    let log = dir.path().join("log");
    let last = files(&log.join("frames")).pop().unwrap();
    let good = fs::read(&last).unwrap();
    // The beginning of a frame that never was, or zeros the file system left.
    for torn in [&good[..50], &good[..200], &[0; 3000]] {
        fs::write(&last, [&good, torn].concat()).unwrap();
        assert_eq!(checked(dir.path()).torn_bytes, torn.len() as u64);
        let ledger = Ledger::open(small(dir.path())).unwrap();
        check_against(ledger.reader(), &texts);
        drop(ledger);
        assert_eq!(fs::read(&last).unwrap(), good);
    }
    // The last frame was shown: losing it is damage.
    for shorter in [&good[..good.len() - 1], &good[..good.len() / 2]] {
        fs::write(&last, shorter).unwrap();
        for result in [
            Ledger::open(small(dir.path())).map(drop),
            recover(small(dir.path())).map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
        }
        assert!(!checked(dir.path()).is_sound());
        fs::write(&last, &good).unwrap();
    }
    // A missing file in the middle, a flipped byte with a good frame behind it.
    let first = log.join("frames/000");
    let whole = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    assert!(Ledger::open(small(dir.path())).is_err());
    let mut bad = whole.clone();
    bad[120] ^= 1;
    fs::write(&first, &bad).unwrap();
    let error = recover(small(dir.path())).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    fs::write(&first, &whole).unwrap();
    assert!(checked(dir.path()).is_sound());
}

#[test]
fn a_log_without_its_derived_files_is_opened_by_replaying_it() {
    let dir = scratch();
    let texts = make(dir.path());
    let other = dir.path().join("moved");
    copy(&dir.path().join("log/frames"), &other.join("log/frames"));
    let ledger = Ledger::open(small(&other)).unwrap();
    check_against(ledger.reader(), &texts);
    assert_eq!(append(&ledger, RECORDS).unwrap(), RECORDS);
}

#[test]
fn cosignatures_stay_with_their_checkpoint() {
    let dir = scratch();
    make(dir.path());
    let ledger = Ledger::open(small(dir.path())).unwrap();
    let reader = ledger.reader();
    let cosigned = reader.cosigned().unwrap();
    assert_eq!(cosigned.size, RECORDS);
    let head = reader.head();
    assert_eq!(head.checkpoint, cosigned.checkpoint, "after a restart too");
    let lines = String::from_utf8(head.checkpoint.to_vec()).unwrap();
    assert_eq!(
        lines.lines().filter(|line| line.starts_with('—')).count(),
        2
    );
    append(&ledger, RECORDS).unwrap();
    assert_eq!(reader.cosigned().unwrap(), cosigned);
    assert_ne!(reader.head().checkpoint, cosigned.checkpoint);
    // A late cosignature of an older head is added there and does not touch the newer.
    let second = Cosigner::from_seed("second.example", &[8; 32]).unwrap();
    let body = lines.split_inclusive('\n').take(3).collect::<String>();
    ledger
        .set_cosignatures(&head, &[second.sign(&body, 2)])
        .unwrap();
    let both = reader.cosigned().unwrap();
    let lines = String::from_utf8(both.checkpoint.to_vec()).unwrap();
    assert_eq!(
        lines.lines().filter(|line| line.starts_with('—')).count(),
        3
    );
    assert_eq!(ledger.status().cosigned, Some(RECORDS));
}
