//! What is carried away from a log: entry bundles, proofs, whole logs in a file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{NAME, SEED, log};
use proptest::prelude::*;
use tlog::Hash;
use tlog::entries::{BundleError, ENTRIES_MAX, entry_bundle, parse_entry_bundle};
use tlog::export::{self, ExportError};
use tlog::head::TreeHead;
use tlog::note::{Cosigner, Note, Signer, VerifierKey, write};
use tlog::proof::{HASHES_MAX, Proof, ProofError, Trust};
use tlog::tree::prove_inclusion;

/// The example of c2sp.org/tlog-proof with whole signatures in place of its shortened ones.
const EXAMPLE: &str = "c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog hI2DJwAA
";

#[test]
fn a_bundle_holds_each_entry_behind_its_length() {
    let bundle = entry_bundle([&b"abc"[..], b"", b"\x00\n"]).unwrap();
    assert_eq!(bundle, b"\x00\x03abc\x00\x00\x00\x02\x00\n");
    assert_eq!(
        parse_entry_bundle(&bundle).unwrap(),
        [&b"abc"[..], b"", b"\x00\n"]
    );
    assert_eq!(parse_entry_bundle(b""), Ok(vec![]));
    for cut in [1, 2, 4, 6, 8] {
        assert!(
            matches!(parse_entry_bundle(&bundle[..cut]), Err(BundleError::Cut(_))),
            "{cut}"
        );
    }
    let long = vec![7; 65_535];
    assert_eq!(
        parse_entry_bundle(&entry_bundle([&long[..]]).unwrap()).unwrap(),
        [&long[..]]
    );
    assert_eq!(
        entry_bundle([&vec![7; 65_536][..]]),
        Err(BundleError::TooLong(0))
    );
    assert!(entry_bundle(vec![&b"x"[..]; ENTRIES_MAX]).is_ok());
    assert_eq!(
        entry_bundle(vec![&b"x"[..]; ENTRIES_MAX + 1]),
        Err(BundleError::TooMany)
    );
    assert_eq!(parse_entry_bundle(&[0; 514]), Err(BundleError::TooMany));
}

proptest! {
    #[test]
    fn bundles_survive(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..60)) {
        let bundle = entry_bundle(entries.iter().map(Vec::as_slice)).unwrap();
        let parsed = parse_entry_bundle(&bundle).unwrap();
        prop_assert_eq!(parsed, entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_a_bundle_in_one_spelling_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(entries) = parse_entry_bundle(&bytes) {
            prop_assert_eq!(entry_bundle(entries).unwrap(), bytes);
        }
    }
}

fn trust() -> Trust {
    Trust {
        origin: NAME.to_owned(),
        log: vec![Signer::from_seed(NAME, &SEED).unwrap().verifier().clone()],
        witnesses: Vec::new(),
        quorum: 0,
    }
}

/// The proof of a record, and its leaf.
fn proof(size: u64, index: u64) -> (Proof, Hash) {
    let log = log(8, size);
    let proof = Proof {
        extra: None,
        index,
        hashes: prove_inclusion(size, index, |node| log.node(node)).unwrap(),
        checkpoint: String::from_utf8(log.checkpoint(size).unwrap()).unwrap(),
    };
    let leaf = log.node(tlog::tree::Node::new(0, index).unwrap()).unwrap();
    (proof, leaf)
}

#[test]
fn the_specifications_example_is_read_and_written_again() {
    let proof = Proof::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((proof.index, proof.hashes.len()), (73_894, 5));
    assert!(
        proof
            .extra
            .as_deref()
            .unwrap()
            .starts_with(b"age-v1.2.1-darwin-arm64.tar.gz")
    );
    assert!(
        proof
            .checkpoint
            .starts_with("example.com/fancylog\n109482\n")
    );
    assert_eq!(proof.to_string(), EXAMPLE);
}

#[test]
fn a_proof_of_any_record_in_any_tree_holds_and_of_no_other_record() {
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 300] {
        for index in [0, 1, size / 2, size - 1] {
            if index >= size {
                continue;
            }
            let (proof, leaf) = proof(size, index);
            let read = Proof::parse(proof.to_string().as_bytes()).unwrap();
            assert_eq!(read, proof);
            assert_eq!(
                read.verify(&leaf, &trust()).unwrap().checkpoint.head.size,
                size
            );
            let other = Hash::leaf(b"another record");
            assert!(matches!(
                read.verify(&other, &trust()),
                Err(ProofError::Inclusion(_))
            ));
            let moved = Proof {
                index: index + 1,
                ..read
            };
            assert!(moved.verify(&leaf, &trust()).is_err(), "{size} {index}");
        }
    }
}

#[test]
fn a_changed_byte_of_a_proof_never_proves() {
    let (mut proof, leaf) = proof(300, 123);
    proof.extra = Some(b"the record".to_vec());
    let text = proof.to_string().into_bytes();
    let extra_ends = text
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(1)
        .unwrap()
        .0;
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        let proved = Proof::parse(&changed).is_ok_and(|p| p.verify(&leaf, &trust()).is_ok());
        // Extra data is nobody's promise.
        let in_extra = (23..extra_ends).contains(&at);
        assert!(!proved || in_extra, "byte {at}");
    }
}

#[test]
fn a_proof_in_another_spelling_is_refused() {
    let (proof, _) = proof(300, 7);
    let good = proof.to_string();
    let hash = proof.hashes[0].to_string();
    for bad in [
        String::new(),
        good.replacen("@v1", "@v2", 1),
        good.replacen("index 7", "index 07", 1),
        good.replacen("index 7", "index +7", 1),
        good.replacen("index 7", "index 9223372036854775807", 1),
        good.replacen("index 7", "index -1", 1),
        good.replacen("index 7\n", "", 1),
        good.replacen("index 7\n", "index 7\nextra AAAA\n", 1),
        good.replacen("index 7\n", "extra AAAA\nextra AAAA\nindex 7\n", 1),
        good.replacen("index 7\n", "extra A\nindex 7\n", 1),
        good.replacen("index 7\n", "extra AAB=\nindex 7\n", 1),
        good.replacen(&hash, &format!("{hash} "), 1),
        good.replacen(&hash, "AAAA", 1),
        good.replacen("\n\n", "\n", 1),
        good.replace('\n', "\r\n"),
        good.replacen(&hash, &vec![hash.as_str(); HASHES_MAX + 1].join("\n"), 1),
    ] {
        assert!(
            matches!(Proof::parse(bad.as_bytes()), Err(ProofError::Malformed(_))),
            "{bad:?}"
        );
    }
    assert!(Proof::parse(&[0xff; 50]).is_err());
    assert!(Proof::parse(&vec![b'\n'; 1 << 20]).is_err());
}

#[test]
fn a_proof_counts_only_witnesses_that_are_known_and_asked_for() {
    let (mut proof, leaf) = proof(300, 123);
    let witness = |n: u8| Cosigner::from_seed(&format!("w{n}.example"), &[n; 32]).unwrap();
    let note = Note::open(proof.checkpoint.as_bytes(), &trust().log).unwrap();
    let lines = [
        witness(1).sign(&note.text, 5),
        witness(2).sign(&note.text, 6),
    ];
    let cosigned = write(&note.text, &note.verified, &lines).unwrap();
    proof.checkpoint = String::from_utf8(cosigned).unwrap();
    let asked = |witnesses: &[u8], quorum| Trust {
        witnesses: witnesses
            .iter()
            .map(|n| witness(*n).verifier().clone())
            .collect(),
        quorum,
        ..trust()
    };
    let proved = proof.verify(&leaf, &asked(&[1, 2, 3], 2)).unwrap();
    assert_eq!(proved.witnesses, ["w1.example", "w2.example"]);
    assert!(proof.verify(&leaf, &asked(&[1, 3], 1)).is_ok());
    for (witnesses, quorum) in [(&[1, 3][..], 2), (&[3], 1), (&[], 1)] {
        let refused = proof.verify(&leaf, &asked(witnesses, quorum));
        assert!(
            matches!(refused, Err(ProofError::Quorum { .. })),
            "{witnesses:?}"
        );
    }
    // A witness is no log.
    let only_witness = Trust {
        log: vec![witness(1).verifier().clone()],
        origin: NAME.into(),
        ..asked(&[], 0)
    };
    assert!(
        proof.verify(&leaf, &only_witness).is_ok(),
        "whoever is named as the log's key is believed"
    );
    let nobody = Trust {
        log: vec![witness(9).verifier().clone()],
        ..asked(&[1], 0)
    };
    assert_eq!(proof.verify(&leaf, &nobody), Err(ProofError::Unsigned));
    let elsewhere = Trust {
        origin: "other.example".into(),
        ..trust()
    };
    assert!(matches!(
        proof.verify(&leaf, &elsewhere),
        Err(ProofError::Origin { .. })
    ));
}

/// An export of `size` records and what it is made of.
fn exported(size: u64) -> (Vec<u8>, Vec<VerifierKey>) {
    let log = log(8, size);
    let (go, c2sp) = (log.signed(size).unwrap(), log.checkpoint(size).unwrap());
    let mut file = export::header(size, &[&go, &c2sp]).unwrap();
    for id in 0..size {
        let answer = log.record_at(id, size).unwrap();
        let (record, _) = tlog::record::Record::parse(&answer).unwrap();
        file.extend(export::record(id, record.text.as_bytes()).unwrap());
    }
    (file, vec![log.vkey().parse().unwrap()])
}

fn import(
    file: &[u8],
    keys: &[VerifierKey],
    step: usize,
) -> Result<(TreeHead, Vec<Vec<u8>>), ExportError> {
    let mut reader = export::Reader::new(keys.to_vec());
    let mut records = Vec::new();
    for piece in file.chunks(step) {
        reader.push(piece);
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
    }
    let (head, notes) = reader.finish()?;
    assert_eq!(notes.len(), 2);
    Ok((head, records))
}

#[test]
fn an_export_is_read_in_pieces_of_any_length() {
    for size in [0, 1, 255, 256, 300] {
        let (file, keys) = exported(size);
        for step in [1, 7, 1000, file.len()] {
            let (head, records) = import(&file, &keys, step).unwrap();
            assert_eq!((head.size, records.len() as u64), (size, size));
        }
    }
}

#[test]
fn a_changed_cut_or_longer_export_is_refused() {
    let (file, keys) = exported(20);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(import(&changed, &keys, 500).is_err(), "byte {at}");
        assert!(import(&file[..at], &keys, 500).is_err(), "cut at {at}");
    }
    let longer = [&file[..], b"\n"].concat();
    assert_eq!(import(&longer, &keys, 500), Err(ExportError::Trailing));
    let other = vec![
        Signer::from_seed(NAME, &[8; 32])
            .unwrap()
            .verifier()
            .clone(),
    ];
    assert_eq!(import(&file, &other, 500), Err(ExportError::Note(0)));
    assert!(import(&[b'x'; 100], &keys, 500).is_err());
    assert!(import(b"modkeep-log-export/1\n1\n9\n", &keys, 500).is_err());
}
