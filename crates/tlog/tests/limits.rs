//! How much a database can make a session do, and how little it must show to be caught.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use common::{MemLog, SEED, grow, head, log, module, run, tiles, verifier, version};
use proptest::prelude::*;
use tlog::client::{DATA_TILE_BYTES_MAX, Error, Step, Supply, TileRequest};
use tlog::tile::{Level, Tile};

/// The rounds that [`tlog::client::Session`] promises.
const ROUNDS_MAX: usize = 6;

/// What a cache and a database can say to a request.
fn say(log: &MemLog, choice: u8, request: TileRequest) -> Supply {
    let good = Bytes::from(log.tile(request.tile).unwrap());
    match choice % 6 {
        0 => Supply::NotFound,
        1 => Supply::Fetched(good),
        2 => Supply::Kept(good),
        3 => Supply::Kept(Bytes::from(vec![0; request.tile.byte_len()])),
        4 => Supply::Kept(Bytes::new()),
        _ => Supply::Fetched(Bytes::from(vec![0; request.tile.byte_len()])),
    }
}

/// A log of 256 records with tiles of four hashes: every tile in a tree of up to 80 can be
/// had in full.
fn outgrown() -> MemLog {
    log(2, 256)
}

#[test]
fn two_spoilt_tiles_out_of_step_take_six_rounds() {
    let log = outgrown();
    let low = Tile::new(2, Level::Hashes(0), 1, 1).unwrap();
    let answer = log.record_at(4, 5).unwrap();
    let mut session = verifier(&log, 2)
        .lookup(None, &module(4), &version(4), &answer)
        .unwrap();
    // The low tile: gone, its full one cut short, gone, full. The high one: gone, its full one
    // spoilt, which shows only when the low one is there, gone, full.
    let rounds: [(&[u8], &[u8]); 6] = [
        (&[0], &[0]),
        (&[4], &[3]),
        (&[0], &[]),
        (&[1], &[]),
        (&[], &[0]),
        (&[], &[1]),
    ];
    for (lows, highs) in rounds {
        let Step::Need(requests) = session.step().unwrap() else {
            panic!("done early");
        };
        assert_eq!(requests.len(), lows.len() + highs.len());
        for request in requests {
            let is_low = request.tile.full() == low.full();
            let choice = if is_low { lows[0] } else { highs[0] };
            session.supply(request.tile, say(&log, choice, request));
        }
    }
    let Step::Done(found) = session.step().unwrap() else {
        panic!("more than six rounds");
    };
    assert_eq!(found.id, 4);
}

proptest! {
    #[test]
    fn no_session_takes_more_rounds(
        size in 1_u64..80,
        record in 0_u64..80,
        choices in prop::collection::vec(0_u8..6, 64),
    ) {
        let log = outgrown();
        let record = record % size;
        let answer = log.record_at(record, size).unwrap();
        let session = verifier(&log, 2).lookup(None, &module(record), &version(record), &answer);
        let mut session = session.unwrap();
        let mut choices = choices.into_iter().cycle();
        let mut rounds = 0;
        loop {
            match session.step() {
                Ok(Step::Done(found)) => {
                    prop_assert_eq!(found.id, record);
                    break;
                }
                Err(_) => break,
                Ok(Step::Need(requests)) => {
                    rounds += 1;
                    prop_assert!(rounds <= ROUNDS_MAX);
                    for request in requests {
                        let choice = choices.next().unwrap();
                        session.supply(request.tile, say(&log, choice, request));
                    }
                }
            }
        }
    }
}

/// A database that shows nobody the tiles of its second tree is caught all the same.
#[test]
fn two_heads_of_one_size_contradict_each_other_without_a_tile() {
    let honest = log(8, 300);
    let mut evil = log(8, 200);
    grow(&mut evil, 300, "evil");
    let held = head(&honest, 8, 300);
    let verifier = verifier(&honest, 8);
    let note = evil.signed(300).unwrap();
    let Err(Error::Fork(evidence)) = verifier.head(Some(&held), &note).map(|_| ()) else {
        panic!("expected a fork before any tile is asked for");
    };
    assert!(evidence.holds(verifier.key()));
    let answer = evil.record_at(250, 300).unwrap();
    let found = verifier.lookup(Some(&held), &module(250), &version(250), &answer);
    assert!(matches!(found, Err(Error::Fork(_))));
}

#[test]
fn a_data_tile_beyond_the_limit_is_refused() {
    let limit = DATA_TILE_BYTES_MAX;
    for (len, fits) in [(limit, true), (limit + 1, false)] {
        let mut log = MemLog::new(common::NAME, SEED).unwrap();
        log.append(&format!("{}\n", "x".repeat(len - 1)));
        let tile = Tile::new(8, Level::Data, 0, 1).unwrap();
        let held = head(&log, 8, 1);
        let found = run(verifier(&log, 8).tile(&held, tile), tiles(&log));
        if fits {
            assert_eq!(found.unwrap().bytes.len(), len);
        } else {
            let what = "data tile";
            assert_eq!(found, Err(Error::TooLong { what, limit }));
        }
    }
}
