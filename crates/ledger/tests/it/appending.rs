//! The simple path: what is appended can be read, proved, and is there after a restart.

use ledger::{Ledger, LedgerError, NewRecord};
use tempfile::tempdir;
use tlog::hash::Hash;
use tlog::record::{data_tile, parse_data_tile};
use tlog::tree;

use crate::common::{
    append, check_against, check_consistent, options, record, root_of, signer, text,
};

#[test]
fn a_new_log_is_a_signed_empty_tree() {
    let dir = tempdir().unwrap();
    assert!(matches!(
        Ledger::open(options(dir.path())),
        Err(LedgerError::Missing(_))
    ));
    let ledger = Ledger::create(options(dir.path())).unwrap();
    check_against(ledger.reader(), &[]);
    assert_eq!(ledger.reader().tile(0, 0, 1).unwrap(), None);
    assert!(matches!(
        Ledger::open(options(dir.path())),
        Err(LedgerError::Locked(_))
    ));
    drop(ledger);
    assert!(matches!(
        Ledger::create(options(dir.path())),
        Err(LedgerError::Exists(_))
    ));
    check_against(Ledger::open(options(dir.path())).unwrap().reader(), &[]);
}

#[test]
fn what_is_appended_is_there_at_once_and_after_a_restart() {
    let dir = tempdir().unwrap();
    let mut texts = Vec::new();
    let mut ledger = Ledger::create(options(dir.path())).unwrap();
    for size in [1, 2, 3, 255, 256, 257, 600] {
        let more: Vec<NewRecord> = (texts.len() as u64..size).map(record).collect();
        let ids = ledger.append_blocking(more).unwrap();
        assert_eq!(ids, (texts.len() as u64..size).collect::<Vec<_>>());
        texts.extend((texts.len() as u64..size).map(text));
        check_against(ledger.reader(), &texts);
        let head = ledger.reader().head();
        drop(ledger);
        ledger = Ledger::open(options(dir.path())).unwrap();
        check_against(ledger.reader(), &texts);
        check_consistent(ledger.reader(), head.size, head.root);
    }
}

#[test]
fn a_version_has_one_record_for_ever() {
    let dir = tempdir().unwrap();
    let ledger = Ledger::create(options(dir.path())).unwrap();
    assert_eq!(append(&ledger, 5).unwrap(), 0);
    assert_eq!(append(&ledger, 5).unwrap(), 0);
    let other = NewRecord::new(text(5).replace("zip5", "other")).unwrap();
    for round in 0..2 {
        let refused = ledger.append_blocking(vec![record(6), other.clone()]);
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, LedgerError::Conflict { id: 0, .. }),
            "{refused}"
        );
        assert_eq!(ledger.reader().head().size, 1, "all or none");
        if round == 0 {
            // From the index instead of from memory.
            ledger.flush().unwrap();
        }
    }
    let twice = vec![record(7), record(8), record(7), record(5)];
    assert_eq!(ledger.append_blocking(twice).unwrap(), [1, 2, 1, 0]);
    let contradiction = vec![record(9), NewRecord::new(text(9).replace('=', "")).unwrap()];
    let refused = ledger.append_blocking(contradiction).unwrap_err();
    assert!(matches!(refused, LedgerError::Conflict { id: 3, .. }));
    assert_eq!(ledger.append_blocking(vec![]).unwrap(), [0; 0]);
    check_against(ledger.reader(), &[text(5), text(7), text(8)]);
}

#[test]
fn any_width_of_any_tile_and_every_proof_is_right() {
    let dir = tempdir().unwrap();
    let ledger = Ledger::create(options(dir.path())).unwrap();
    let texts: Vec<String> = (0..700).map(text).collect();
    for chunk in (0..700).collect::<Vec<u64>>().chunks(90) {
        let records = chunk.iter().copied().map(record).collect();
        ledger.append_blocking(records).unwrap();
    }
    let reader = ledger.reader();
    let leaves: Vec<u8> = texts
        .iter()
        .flat_map(|t| Hash::leaf(t.as_bytes()).0)
        .collect();
    for (n, width) in [(0, 1), (0, 255), (0, 256), (1, 3), (2, 187), (2, 188)] {
        let from = n as usize * 256;
        let to = from + width as usize;
        let tile = reader.tile(0, n, width).unwrap().unwrap();
        assert_eq!(tile, leaves[from * 32..to * 32]);
        let data = reader.data_tile(n, width).unwrap().unwrap();
        let expected = texts[from..to].iter().map(String::as_str);
        assert_eq!(data, data_tile(expected).as_bytes());
        assert_eq!(parse_data_tile(&data).unwrap(), texts[from..to]);
        let mut entries = Vec::new();
        for text in &texts[from..to] {
            entries.extend((text.len() as u16).to_be_bytes());
            entries.extend(text.as_bytes());
        }
        assert_eq!(reader.entries(n, width).unwrap().unwrap(), entries);
    }
    assert_eq!(
        reader.tile(1, 0, 2).unwrap().unwrap()[32..],
        root_of(&texts[256..512]).0
    );
    for (level, n, width) in [
        (0, 2, 189),
        (0, 3, 1),
        (1, 0, 3),
        (2, 0, 1),
        (0, 0, 0),
        (0, 0, 257),
        (9, 0, 1),
        (255, u64::MAX, 1),
    ] {
        assert_eq!(
            reader.tile(level, n, width).unwrap(),
            None,
            "{level} {n} {width}"
        );
    }
    assert_eq!(reader.entries(2, 189).unwrap(), None);
    for (old, new) in [
        (1, 1),
        (1, 700),
        (255, 256),
        (256, 511),
        (300, 700),
        (699, 700),
    ] {
        let proof = reader.prove_consistency(old, new).unwrap();
        let root = |size: u64| root_of(&texts[..size as usize]);
        assert_eq!(reader.root(old).unwrap(), root(old));
        tree::check_consistency(&proof, new, &root(new), old, &root(old)).unwrap();
    }
    for (id, size) in [(0, 1), (0, 700), (255, 257), (511, 600), (699, 700)] {
        let proof = reader.prove_inclusion(id, size).unwrap();
        let leaf = Hash::leaf(texts[id as usize].as_bytes());
        let root = root_of(&texts[..size as usize]);
        tree::check_inclusion(&proof, size, &root, id, &leaf).unwrap();
    }
    for (id, size) in [(700, 700), (0, 701), (5, 5)] {
        let refused = reader.prove_inclusion(id, size).unwrap_err();
        assert!(
            matches!(refused, LedgerError::OutOfRange { .. }),
            "{id} {size}"
        );
    }
    assert!(reader.prove_consistency(0, 5).is_err());
    assert!(reader.records(5..701).is_err());
}

#[test]
fn more_than_a_commit_holds_is_refused_and_the_key_must_fit() {
    let dir = tempdir().unwrap();
    let mut few = options(dir.path());
    few.limits.commit_records = 2;
    let ledger = Ledger::create(few).unwrap();
    let refused = ledger.append_blocking((0..3).map(record).collect());
    assert!(matches!(
        refused,
        Err(LedgerError::TooMuch {
            found: 3,
            max: 2,
            ..
        })
    ));
    drop(ledger);
    let mut other = options(dir.path());
    other.signer = tlog::note::Signer::from_seed("log.example/db", &[7; 32]).unwrap();
    let refused = Ledger::open(other).unwrap_err();
    assert!(
        matches!(&refused, LedgerError::OtherKey { .. }),
        "{refused}"
    );
    let mut same = options(dir.path());
    same.signer = signer();
    Ledger::open(same).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_commits() {
    let dir = tempdir().unwrap();
    let mut small = options(dir.path());
    small.limits.segment_bytes = 10_000;
    small.limits.unindexed_records = 50;
    small.limits.mark_records = 30;
    let ledger = std::sync::Arc::new(Ledger::create(small).unwrap());
    let clients = (0..20_u64).map(|client| {
        let ledger = std::sync::Arc::clone(&ledger);
        tokio::spawn(async move {
            for n in client * 5..client * 5 + 20 {
                let id = ledger.append(vec![record(n)]).await.unwrap()[0];
                assert!(ledger.reader().head().size > id);
                let module = record(n);
                let found = ledger.reader().lookup(module.module(), module.version());
                assert_eq!(found.unwrap().unwrap().id, id);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let reader = ledger.reader().clone();
    let texts = reader.records(0..reader.head().size).unwrap();
    assert_eq!(texts.len(), 115);
    check_against(&reader, &texts);
    drop((ledger, reader));
    let again = Ledger::open(options(dir.path())).unwrap();
    check_against(again.reader(), &texts);
}

#[test]
fn a_log_of_many_records_is_made_at_once_and_goes_on_like_any_other() {
    let dir = tempdir().unwrap();
    let mut small = options(dir.path());
    small.limits.segment_bytes = 10_000;
    let texts: Vec<String> = (0..1000).map(text).collect();
    let ledger = ledger::build(small, (0..1000).map(|n| Ok(record(n)))).unwrap();
    check_against(ledger.reader(), &texts);
    assert_eq!(append(&ledger, 999).unwrap(), 999);
    assert_eq!(append(&ledger, 1000).unwrap(), 1000);
    drop(ledger);
    let key = signer().verifier().clone();
    let report = ledger::check(&dir.path().join("log"), &key, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let twice = tempdir().unwrap();
    let refused = ledger::build(options(twice.path()), [5, 6, 5].map(|n| Ok(record(n))));
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("records 0 and 2 are of one module version"),
        "{refused}"
    );
}
