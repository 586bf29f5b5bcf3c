//! Answers of sum.golang.org itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::run;
use tlog::client::{SignedHead, Supply, TileRequest, Verifier};
use tlog::record::SumOf;

const VKEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// A folder laid out as the database is.
fn database() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sum.golang.org")
}

fn tile(request: TileRequest) -> Supply {
    match fs::read(database().join(request.tile.path())) {
        Ok(content) => Supply::Fetched(Bytes::from(content)),
        Err(_) => Supply::NotFound,
    }
}

/// Every lookup in the folder: module, version, answer.
fn lookups() -> Vec<(String, String, Vec<u8>)> {
    let root = database().join("lookup");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let (module, version) = name.split_once('@').unwrap();
            let (module, version) = (unescape(module), unescape(version));
            found.push((module, version, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('!');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        plain.push_str(&part[..1].to_uppercase());
        plain.push_str(&part[1..]);
    }
    plain
}

#[test]
fn every_answer_of_sum_golang_org_is_proved_in_any_order() {
    let verifier = Verifier::new(VKEY).unwrap();
    assert_eq!(verifier.name(), "sum.golang.org");
    let mut all = lookups();
    assert!(all.len() >= 3);
    for _ in 0..2 {
        let mut held: Option<SignedHead> = None;
        for (module, version, answer) in &all {
            // Once without any memory, once with the head proved so far.
            for held in [None, held.as_ref()] {
                let session = verifier.lookup(held, module, version, answer);
                let found = run(session, tile).unwrap();
                assert!(found.sums.h1(SumOf::Zip).is_some());
                assert!(found.sums.h1(SumOf::GoMod).is_some());
            }
            let session = verifier.lookup(held.as_ref(), module, version, answer);
            let found = run(session, tile).unwrap();
            held = Some(found.head);
        }
        let latest = fs::read(database().join("latest")).unwrap();
        let verdict = run(verifier.head(held.as_ref(), &latest), tile).unwrap();
        assert_eq!(verdict.head.tree().size, 66_398_721);
        all.reverse();
    }
}

#[test]
fn any_two_heads_of_sum_golang_org_agree() {
    let verifier = Verifier::new(VKEY).unwrap();
    let notes: Vec<Vec<u8>> = lookups()
        .into_iter()
        .map(|(_, _, answer)| {
            let (_, note) = tlog::record::Record::parse(&answer).unwrap();
            note.to_vec()
        })
        .collect();
    for one in &notes {
        let held = verifier.open_head(one).unwrap();
        for other in &notes {
            assert!(run(verifier.head(Some(&held), other), tile).is_ok());
        }
    }
}
