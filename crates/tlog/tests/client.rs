//! The verifying client against honest databases and lying ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::Bytes;
use common::{MemLog, grow, head, log, lookup, module, run, tiles, tiles_but, verifier, version};
use proptest::prelude::*;
use tlog::client::{
    ANSWER_BYTES_MAX, Error, Evidence, SignedHead, Step, Supply, TileRequest, Verifier,
};
use tlog::note::{Cosigner, Note, write};
use tlog::record::{Record, SumOf, go_sum_text};
use tlog::tile::{Level, Tile};

#[test]
fn every_record_is_proved_against_every_head() {
    for height in [1, 2, 3, 8] {
        let log = log(height, 40);
        for size in 1..=log.size() {
            for i in 0..size {
                let answer = log.record_at(i, size).unwrap();
                let found = lookup(&log, height, None, i, &answer, tiles(&log)).unwrap();
                assert_eq!(found.id, i);
                assert_eq!(found.head.tree().size, size);
                assert_eq!(found.newer.as_ref(), Some(&found.head));
                assert_eq!(found.answer(), answer);
                assert_eq!(found.sums.lines().len(), 2);
                for (tile, content) in &found.tiles {
                    assert_eq!(Some(content.to_vec()), log.tile(*tile));
                }
            }
        }
    }
}

#[test]
fn any_two_heads_of_one_log_agree() {
    for height in [1, 3] {
        let log = log(height, 70);
        let heads: Vec<SignedHead> = (0..=70).map(|size| head(&log, height, size)).collect();
        for held in &heads {
            for offered in &heads {
                let session = verifier(&log, height).head(Some(held), offered.note());
                let verdict = run(session, tiles(&log)).unwrap();
                let newest = held.tree().size.max(offered.tree().size);
                assert_eq!(verdict.head.tree().size, newest);
                let advances = offered.tree().size > held.tree().size;
                assert_eq!(verdict.newer.is_some(), advances);
            }
        }
    }
}

#[test]
fn a_record_may_come_with_an_older_head_than_it_needs() {
    let log = log(2, 50);
    let held = head(&log, 2, 50);
    let answer = log.record_at(45, 20).unwrap();
    let found = lookup(&log, 2, Some(&held), 45, &answer, tiles(&log)).unwrap();
    assert_eq!(found.newer, None);
    // A client without memory would refuse record 45 in a tree of 20: it gets the held head.
    assert_eq!(found.answer(), log.record_at(45, 50).unwrap());
    let beyond = lookup(&log, 2, None, 45, &answer, tiles(&log));
    assert_eq!(beyond, Err(Error::BeyondHead { id: 45, size: 20 }));
}

#[test]
fn the_first_head_is_believed_and_needs_no_tile() {
    let log = log(8, 300);
    let note = log.signed(300).unwrap();
    let verifier = verifier(&log, 8);
    let verdict = run(verifier.head(None, &note), |_| panic!("no tile is needed")).unwrap();
    assert_eq!(verdict.newer.unwrap().note(), &note);
}

#[test]
fn a_session_asks_for_what_the_go_command_asks_for() {
    let log = log(8, 700);
    let answer = log.record_at(5, 700).unwrap();
    let verifier = verifier(&log, 8);
    let mut session = verifier
        .lookup(None, &module(5), &version(5), &answer)
        .unwrap();
    let Step::Need(requests) = session.step().unwrap() else {
        panic!("tiles are needed");
    };
    let paths: Vec<String> = requests.iter().map(|request| request.tile.path()).collect();
    assert_eq!(
        paths,
        ["tile/8/0/002.p/188", "tile/8/1/000.p/2", "tile/8/0/000"]
    );
    assert_eq!(
        session.step(),
        Ok(Step::Need(requests)),
        "asking again changes nothing"
    );
}

#[test]
fn a_missing_partial_tile_is_replaced_by_the_full_one() {
    let mut log = log(8, 300);
    let answer = log.record_at(270, 300).unwrap();
    grow(&mut log, 600, "");
    let partial = Tile::new(8, Level::Hashes(0), 1, 44).unwrap();
    let asked = RefCell::new(Vec::new());
    let found = lookup(&log, 8, None, 270, &answer, |request| {
        asked.borrow_mut().push(request.tile);
        tiles(&log)(request)
    });
    let asked = asked.into_inner();
    assert!(asked.contains(&partial) && asked.contains(&partial.full()));
    // Only the part that was proved is given back.
    let kept = found.unwrap().tiles;
    assert!(
        kept.iter()
            .any(|(tile, content)| *tile == partial && content.len() == 44 * 32)
    );
    assert!(!kept.iter().any(|(tile, _)| *tile == partial.full()));

    let gone = lookup(&log, 8, None, 270, &answer, |_| Supply::NotFound);
    assert!(matches!(gone, Err(Error::TileMissing(_))));
}

#[test]
fn kept_tiles_are_used_and_not_given_back() {
    let log = log(2, 90);
    let answer = log.record_at(3, 90).unwrap();
    let first = lookup(&log, 2, None, 3, &answer, tiles(&log)).unwrap();
    let kept: BTreeMap<Tile, Bytes> = first.tiles.into_iter().collect();
    let again = lookup(&log, 2, None, 3, &answer, |request| {
        assert!(!request.fresh);
        Supply::Kept(kept[&request.tile].clone())
    });
    assert_eq!(again.unwrap().tiles, []);
    // In place of a partial tile the full one will do.
    let mut longer = log.clone();
    grow(&mut longer, 400, "");
    let again = lookup(&log, 2, None, 3, &answer, |request| {
        Supply::Kept(Bytes::from(longer.tile(request.tile.full()).unwrap()))
    });
    assert!(again.is_ok());
}

#[test]
fn a_spoilt_kept_tile_is_asked_for_anew() {
    let log = log(2, 90);
    let answer = log.record_at(3, 90).unwrap();
    for spoil in [
        (|tile: &mut Vec<u8>| tile[0] ^= 1) as fn(&mut Vec<u8>),
        |tile| tile.clear(),
        |tile| tile.truncate(31),
        |tile| tile.extend([0; 4096]),
    ] {
        let fresh = Cell::new(0);
        let found = lookup(&log, 2, None, 3, &answer, |request| {
            if request.fresh {
                fresh.set(fresh.get() + 1);
                return tiles(&log)(request);
            }
            let mut tile = log.tile(request.tile).unwrap();
            spoil(&mut tile);
            Supply::Kept(Bytes::from(tile))
        });
        assert!(found.is_ok());
        assert!(fresh.get() > 0);
    }
    // Whoever spoils the fresh ones too has lied.
    let found = lookup(&log, 2, None, 3, &answer, |request| {
        let mut tile = log.tile(request.tile).unwrap();
        tile[0] ^= 1;
        Supply::Kept(Bytes::from(tile))
    });
    assert_eq!(found, Err(Error::Inconsistent { size: 90 }));
}

/// Two logs under one key that agree on `common` records and then differ, `size` records each.
fn fork(height: u8, common: u64, size: u64) -> (MemLog, MemLog) {
    let honest = log(height, size);
    let mut evil = log(height, common);
    grow(&mut evil, size, "evil");
    (honest, evil)
}

fn evidence<T: std::fmt::Debug>(result: Result<T, Error>) -> Evidence {
    match result {
        Err(Error::Fork(evidence)) => *evidence,
        other => panic!("expected a fork, found {other:?}"),
    }
}

#[test]
fn a_fork_is_proved_whichever_side_is_longer() {
    for height in [1, 2, 8] {
        for common in [0, 7, 16, 33] {
            let (honest, evil) = fork(height, common, 64);
            let verifier = verifier(&honest, height);
            for held_size in (common + 1..=40).step_by(3) {
                for size in common + 1..=40 {
                    let held = head(&honest, height, held_size);
                    let note = evil.signed(size).unwrap();
                    let newer = if size > held_size { &evil } else { &honest };
                    let found = evidence(run(verifier.head(Some(&held), &note), tiles(newer)));
                    assert!(found.holds(verifier.key()), "{held_size} {size}");
                    let report = found.to_string();
                    for note in [held.note(), &Bytes::from(note)] {
                        for line in std::str::from_utf8(note).unwrap().lines() {
                            assert!(report.contains(line), "{report}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_answer_under_a_forked_head_is_refused_with_evidence() {
    let (honest, evil) = fork(8, 300, 600);
    let held = head(&honest, 8, 500);
    for (id, size) in [(5, 600), (350, 600), (5, 500), (5, 400)] {
        let answer = evil.record_at(id, size).unwrap();
        let newer = if size > 500 { &evil } else { &honest };
        let found = evidence(lookup(&honest, 8, Some(&held), id, &answer, tiles(newer)));
        assert!(found.holds(verifier(&honest, 8).key()));
        let other = Verifier::new(&MemLog::new("b.example", [8; 32]).unwrap().vkey()).unwrap();
        assert!(!found.holds(other.key()));
    }
}

#[test]
fn a_fork_is_found_although_tiles_of_the_held_side_are_kept() {
    let (honest, evil) = fork(8, 300, 600);
    let held = head(&honest, 8, 500);
    let note = evil.signed(600).unwrap();
    let found = run(
        verifier(&honest, 8).head(Some(&held), &note),
        |request| match honest.tile(request.tile).filter(|_| !request.fresh) {
            Some(kept) => Supply::Kept(Bytes::from(kept)),
            None => tiles(&evil)(request),
        },
    );
    assert!(evidence(found).holds(verifier(&honest, 8).key()));
}

#[test]
fn a_fork_shown_with_the_tiles_of_the_other_side_proves_nothing() {
    let (honest, evil) = fork(8, 300, 600);
    let held = head(&honest, 8, 500);
    let note = evil.signed(600).unwrap();
    let found = run(
        verifier(&honest, 8).head(Some(&held), &note),
        tiles(&honest),
    );
    assert_eq!(found, Err(Error::Inconsistent { size: 600 }));
}

#[test]
fn a_rewound_log_that_went_another_way_is_refused() {
    // Record 20 was acknowledged and lost, and the log went on without it.
    let before = log(2, 21);
    let held = head(&before, 2, 21);
    let mut after = log(2, 20);
    after.append("example.com/other v1.0.0 h1:x=\n");
    grow(&mut after, 30, "");
    let answer = after.record_at(25, 30).unwrap();
    let found = lookup(&after, 2, Some(&held), 25, &answer, tiles(&after));
    assert!(evidence(found).holds(verifier(&after, 2).key()));
}

#[test]
fn an_empty_tree_has_the_empty_root() {
    let log = log(8, 5);
    let verifier = verifier(&log, 8);
    assert!(verifier.open_head(&log.signed(0).unwrap()).is_ok());
    let zeros = format!("go.sum database tree\n0\n{}\n", tlog::Hash([0; 32]));
    let note = log.sign(&zeros).unwrap();
    assert_eq!(verifier.open_head(&note), Err(Error::EmptyRoot));
}

#[test]
fn the_record_of_another_number_or_text_is_refused() {
    let log = log(8, 300);
    let signed = log.signed(300).unwrap();
    let answer = |id: u64, text: &str| {
        let mut answer = format!("{id}\n{text}\n").into_bytes();
        answer.extend(&signed);
        answer
    };
    let honest = log.record_at(7, 300).unwrap();
    let text = Record::parse(&honest).unwrap().0.text;
    let look = |answer: &[u8]| lookup(&log, 8, None, 7, answer, tiles(&log));
    assert!(look(&honest).is_ok());
    for id in [0, 6, 8, 299] {
        assert_eq!(look(&answer(id, text)), Err(Error::OtherRecord { id }));
    }
    for id in [300, i64::MAX as u64 - 1] {
        let beyond = Error::BeyondHead { id, size: 300 };
        assert_eq!(look(&answer(id, text)), Err(beyond));
    }
    let forged = go_sum_text(&module(7), &version(7), "h1:x=", "h1:y=");
    assert_eq!(look(&answer(7, &forged)), Err(Error::OtherRecord { id: 7 }));
    let longer = format!("{text}{} v9.9.9 h1:x=\n", module(7));
    assert_eq!(look(&answer(7, &longer)), Err(Error::OtherRecord { id: 7 }));
}

#[test]
fn two_sums_of_one_file_are_refused() {
    let mut log = log(8, 3);
    let line = |sum: &str| format!("{} {} h1:{sum}\n", module(1), version(1));
    let id = log.append(&(line("a=") + &line("b=")));
    let answer = log.record_at(id, 4).unwrap();
    let found = lookup(&log, 8, None, 1, &answer, tiles(&log));
    assert_eq!(
        found,
        Err(Error::TwoSums("example.com/m1@v1.0.1".to_owned()))
    );
}

#[test]
fn sums_are_compared() {
    let log = log(8, 300);
    let answer = log.record_at(9, 300).unwrap();
    let sums = lookup(&log, 8, None, 9, &answer, tiles(&log)).unwrap().sums;
    let zip = sums.h1(SumOf::Zip).unwrap().to_owned();
    assert!(zip.starts_with("h1:"));
    assert_eq!(sums.check(SumOf::Zip, &zip), Ok(()));
    let wrong = sums.check(SumOf::GoMod, &zip).unwrap_err().to_string();
    assert!(
        wrong.starts_with("example.com/m9@v1.0.9: checksum mismatch"),
        "{wrong}"
    );
    assert!(wrong.contains(&zip) && wrong.contains(sums.h1(SumOf::GoMod).unwrap()));
}

#[test]
fn names_that_would_search_other_lines_find_nothing() {
    let log = log(8, 10);
    let answer = log.record_at(4, 10).unwrap();
    for (module, version) in [
        ("", "v1.0.4"),
        ("example.com/m4", ""),
        ("example.com/m4", "v1.0.4 h1:"),
        ("example.com/m4 v1.0.4", "h1:x"),
        ("example.com/m4\nexample.com/m4", "v1.0.4"),
    ] {
        let found = run(
            verifier(&log, 8).lookup(None, module, version, &answer),
            tiles(&log),
        );
        assert!(matches!(found, Err(Error::NoLine(_))), "{module} {version}");
    }
}

#[test]
fn tiles_of_other_lengths_are_refused() {
    let log = log(2, 90);
    let answer = log.record_at(3, 90).unwrap();
    let changes: [fn(&mut Vec<u8>); 4] = [
        |tile| tile.clear(),
        |tile| tile.truncate(tile.len() - 1),
        |tile| tile.truncate(tile.len() - 32),
        |tile| tile.extend([0; 32]),
    ];
    for change in changes {
        let found = lookup(&log, 2, None, 3, &answer, |request| {
            let mut tile = log.tile(request.tile).unwrap();
            change(&mut tile);
            Supply::Fetched(Bytes::from(tile))
        });
        assert!(matches!(found, Err(Error::TileLength { .. })), "{found:?}");
    }
}

#[test]
fn no_flipped_bit_of_an_answer_survives() {
    let log = log(8, 300);
    let answer = log.record_at(7, 300).unwrap();
    let honest = lookup(&log, 8, None, 7, &answer, tiles(&log)).unwrap();
    for byte in 0..answer.len() {
        for bit in 0..8 {
            let mut bad = answer.clone();
            bad[byte] ^= 1 << bit;
            // Two unused bits at the end of the base64 mean nothing, to Go neither.
            match lookup(&log, 8, None, 7, &bad, tiles(&log)) {
                Err(_) => {}
                Ok(found) => {
                    assert!(byte >= answer.len() - 3, "byte {byte} bit {bit}");
                    assert_eq!(found.record, honest.record);
                }
            }
        }
    }
}

#[test]
fn no_flipped_bit_of_a_tile_survives() {
    let log = log(2, 27);
    let held = head(&log, 2, 11);
    let answer = log.record_at(3, 27).unwrap();
    let seen = RefCell::new(Vec::new());
    let honest = lookup(&log, 2, Some(&held), 3, &answer, |request| {
        seen.borrow_mut().push(request.tile);
        tiles(&log)(request)
    });
    assert!(honest.is_ok());
    for tile in seen.into_inner() {
        for bit in 0..tile.byte_len() * 8 {
            let flip = |mut tile: Vec<u8>| {
                tile[bit / 8] ^= 1 << (bit % 8);
                tile
            };
            let found = lookup(
                &log,
                2,
                Some(&held),
                3,
                &answer,
                tiles_but(&log, tile, flip),
            );
            assert_eq!(found, Err(Error::Inconsistent { size: 27 }), "{tile} {bit}");
        }
    }
}

#[test]
fn another_key_of_the_same_name_is_refused() {
    let log = log(8, 10);
    let mut other = MemLog::new(common::NAME, [9; 32]).unwrap();
    grow(&mut other, 10, "");
    let answer = other.record_at(4, 10).unwrap();
    let found = lookup(&log, 8, None, 4, &answer, tiles(&other));
    assert!(matches!(found, Err(Error::Note(_))));
}

#[test]
fn cosignatures_do_not_disturb() {
    let log = log(8, 10);
    let witness = Cosigner::from_seed("witness.example", &[1; 32]).unwrap();
    let key = log.vkey().parse().unwrap();
    let note = Note::open(&log.signed(10).unwrap(), &[key]).unwrap();
    let cosignature = witness.sign(&note.text, 1_700_000_000);
    let note = write(&note.text, &note.verified, &[cosignature]).unwrap();
    assert_eq!(verifier(&log, 8).open_head(&note).unwrap().tree().size, 10);
}

#[test]
fn a_verifier_has_the_key_of_a_database() {
    let vkey = |name: &str| MemLog::new(name, [1; 32]).unwrap().vkey();
    for name in [
        "sum.golang.org",
        "example.com/a/b",
        "localhost:8080",
        "[::1]:80/x",
    ] {
        assert_eq!(
            Verifier::new(&format!(" {}\n", vkey(name))).unwrap().name(),
            name
        );
    }
    for name in [
        "example.com/",
        "/x",
        "a//b",
        "a/../b",
        "a?b",
        "a#b",
        "a%2fb",
        "u@h",
        "a\\b",
        "é",
    ] {
        let refused = Verifier::new(&vkey(name)).unwrap_err();
        assert_eq!(refused, Error::DatabaseName(name.to_owned()));
    }
    let witness = Cosigner::from_seed("a.example", &[1; 32]).unwrap();
    assert!(Verifier::new(&witness.verifier().to_string()).is_err());
    assert!(Verifier::new("sum.golang.org").is_err());
    assert!(Verifier::with_height(&vkey("a.example"), 0).is_err());
    assert!(Verifier::with_height(&vkey("a.example"), 31).is_err());
}

#[test]
fn long_answers_are_refused_unread() {
    let log = log(8, 10);
    let mut answer = log.record_at(4, 10).unwrap();
    answer.resize(ANSWER_BYTES_MAX + 1, b'x');
    let found = lookup(&log, 8, None, 4, &answer, tiles(&log));
    assert!(matches!(found, Err(Error::TooLong { .. })));
    let found = verifier(&log, 8).open_head(&answer);
    assert!(matches!(found, Err(Error::TooLong { .. })));
}

#[test]
fn every_tile_of_a_tree_can_be_relayed() {
    for (height, size) in [(1, 13), (2, 75), (3, 75), (8, 520)] {
        let mut log = log(height, size);
        let held = head(&log, height, size);
        grow(&mut log, size + 300, "");
        let verifier = verifier(&log, height);
        let levels = [
            Level::Data,
            Level::Hashes(0),
            Level::Hashes(1),
            Level::Hashes(2),
        ];
        for level in levels {
            for n in 0..20 {
                let Some(whole) = Tile::in_tree(height, level, n, size) else {
                    continue;
                };
                for width in [1, whole.width().div_ceil(2), whole.width()] {
                    let tile = whole.with_width(width).unwrap();
                    let verdict = run(verifier.tile(&held, tile), tiles(&log)).unwrap();
                    assert_eq!(Some(verdict.bytes.to_vec()), log.tile(tile), "{tile}");
                    for (tile, content) in verdict.tiles {
                        assert_eq!(Some(content.to_vec()), log.tile(tile), "{tile}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_tile_beyond_the_held_tree_is_not_judged() {
    let log = log(8, 600);
    let held = head(&log, 8, 300);
    let verifier = verifier(&log, 8);
    let at = |level, n, width| Tile::new(8, level, n, width).unwrap();
    for tile in [
        at(Level::Hashes(0), 1, 45),
        at(Level::Hashes(0), 1, 256),
        at(Level::Hashes(0), 2, 1),
        at(Level::Hashes(1), 0, 2),
        at(Level::Hashes(2), 0, 1),
        at(Level::Hashes(63), 0, 1),
        at(Level::Data, 1, 45),
        at(Level::Data, i64::MAX as u64, 1),
    ] {
        let wrong = Error::TileBeyondHead { tile, size: 300 };
        assert_eq!(verifier.tile(&held, tile).unwrap_err(), wrong);
    }
    let other = Tile::new(7, Level::Hashes(0), 0, 1).unwrap();
    assert_eq!(
        verifier.tile(&held, other).unwrap_err(),
        Error::TileHeight(7)
    );
}

#[test]
fn a_lying_tile_is_not_relayed() {
    let log = log(2, 75);
    let held = head(&log, 2, 75);
    for level in [
        Level::Data,
        Level::Hashes(0),
        Level::Hashes(1),
        Level::Hashes(2),
    ] {
        for n in 0..3 {
            let Some(tile) = Tile::in_tree(2, level, n, 75) else {
                continue;
            };
            let len = log.tile(tile).unwrap().len();
            for byte in 0..len {
                let flip = |mut tile: Vec<u8>| {
                    tile[byte] ^= 1;
                    tile
                };
                let session = verifier(&log, 2).tile(&held, tile);
                let found = run(session, tiles_but(&log, tile, flip));
                assert!(found.is_err(), "{tile} {byte}");
            }
            for cut in 1..len {
                let session = verifier(&log, 2).tile(&held, tile);
                let shorten = |tile: Vec<u8>| tile[..len - cut].to_vec();
                let found = run(session, tiles_but(&log, tile, shorten));
                assert!(found.is_err(), "{tile} {cut}");
            }
        }
    }
}

#[test]
fn both_kinds_of_data_tile_are_relayed_as_they_are() {
    let log = log(2, 75);
    let held = head(&log, 2, 75);
    let tile = Tile::new(2, Level::Data, 1, 4).unwrap();
    let ended = |mut tile: Vec<u8>| {
        tile.push(b'\n');
        tile
    };
    let session = verifier(&log, 2).tile(&held, tile);
    let verdict = run(session, tiles_but(&log, tile, ended)).unwrap();
    assert_eq!(verdict.bytes, ended(log.tile(tile).unwrap()));
    assert!(verdict.tiles.contains(&(tile, verdict.bytes.clone())));
    // A spoilt kept one is replaced; a good kept one is not given back.
    let session = verifier(&log, 2).tile(&held, tile);
    let verdict = run(session, |request| {
        if request.tile == tile && !request.fresh {
            return Supply::Kept(Bytes::from_static(b"spoilt"));
        }
        tiles(&log)(request)
    });
    assert_eq!(verdict.unwrap().bytes, log.tile(tile).unwrap());
    let session = verifier(&log, 2).tile(&held, tile);
    let kept = |request: TileRequest| Supply::Kept(Bytes::from(log.tile(request.tile).unwrap()));
    assert_eq!(run(session, kept).unwrap().tiles, []);
}

#[test]
fn what_was_not_asked_for_is_ignored() {
    let log = log(2, 27);
    let answer = log.record_at(3, 27).unwrap();
    let verifier = verifier(&log, 2);
    let mut session = verifier
        .lookup(None, &module(3), &version(3), &answer)
        .unwrap();
    let other = Tile::new(8, Level::Hashes(5), 77, 3).unwrap();
    session.supply(other, Supply::Fetched(Bytes::from_static(b"junk")));
    let Step::Need(requests) = session.step().unwrap() else {
        panic!("tiles are needed");
    };
    for request in &requests {
        let content = Bytes::from(log.tile(request.tile).unwrap());
        session.supply(request.tile, Supply::Fetched(content));
        session.supply(request.tile, Supply::NotFound);
        session.supply(request.tile, Supply::Fetched(Bytes::new()));
    }
    assert!(matches!(session.step(), Ok(Step::Done(_))));
}

fn shared<T: Send + Sync>() {}

#[test]
fn verifiers_and_sessions_cross_threads() {
    shared::<Verifier>();
    shared::<SignedHead>();
    shared::<tlog::client::Session<tlog::client::Verified>>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_answers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let log = log(8, 3);
        prop_assert!(lookup(&log, 8, None, 1, &bytes, tiles(&log)).is_err());
        prop_assert!(verifier(&log, 8).open_head(&bytes).is_err());
    }

    #[test]
    fn arbitrary_tiles_never_panic(size in 1_u64..200, held in 0_u64..200, i in 0_u64..200, fill in any::<u8>(), len in 0_usize..200, kind in 0_u8..3) {
        let log = log(2, 200);
        let held = head(&log, 2, held);
        let answer = log.record_at(i, size).unwrap();
        let found = lookup(&log, 2, Some(&held), i, &answer, |_| {
            let content = Bytes::from(vec![fill; len]);
            match kind {
                0 => Supply::Kept(content),
                1 => Supply::Fetched(content),
                _ => Supply::NotFound,
            }
        });
        prop_assert!(found.is_err());
    }

    #[test]
    fn arbitrary_lines_of_an_answer_never_prove_anything(id in "[0-9+-]{0,4}", text in "[a-z0-9.:/= \n]{0,40}", tail in "[a-z \n]{0,10}") {
        let log = log(8, 3);
        let mut answer = format!("{id}\n{text}\n\n{tail}").into_bytes();
        answer.extend(log.signed(3).unwrap());
        prop_assert!(lookup(&log, 8, None, 1, &answer, tiles(&log)).is_err());
    }
}
