//! Three flaws that older Go clients had, each with an attack that succeeds where it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{log, lookup, module, tiles, tiles_but, verifier, version};
use tlog::Hash;
use tlog::client::Error;
use tlog::record::{Record, SumOf, go_sum_text};
use tlog::tile::{Level, Tile};

/// CVE-2026-56865: where one tile on the edge holds several subtrees of the root, the first child
/// tiles were never compared with their parents.
#[test]
fn a_forged_child_tile_is_refused_however_many_subtrees_share_a_tile() {
    // 1023 = three full tiles and 255 leaves: ten subtrees in two tiles.
    for size in [1023, 3 * 256 + 3, 4 * 256 - 1] {
        let log = log(8, size);
        let text = go_sum_text(&module(5), &version(5), "h1:forged", "h1:forged");
        let mut answer = Record::new(5, &text).unwrap().to_answer().into_bytes();
        answer.extend(log.signed(size).unwrap());
        let child = Tile::new(8, Level::Hashes(0), 0, 256).unwrap();
        let forged = Hash::leaf(text.as_bytes());
        let forge = |mut tile: Vec<u8>| {
            tile[5 * 32..6 * 32].copy_from_slice(&forged.0);
            tile
        };
        let found = lookup(&log, 8, None, 5, &answer, tiles_but(&log, child, forge));
        assert_eq!(found, Err(Error::Inconsistent { size }));
    }
}

/// The same on deep trees: no child at any level goes unchecked.
#[test]
fn a_forged_tile_at_any_level_is_refused() {
    for size in [15, 21, 63, 85, 127] {
        let log = log(2, size);
        for i in 0..size {
            let answer = log.record_at(i, size).unwrap();
            let mut seen = Vec::new();
            let honest = lookup(&log, 2, None, i, &answer, |request| {
                seen.push(request.tile);
                tiles(&log)(request)
            });
            assert!(honest.is_ok());
            for tile in seen {
                for hash in 0..tile.width() as usize {
                    let forge = |mut tile: Vec<u8>| {
                        tile[hash * 32] ^= 1;
                        tile
                    };
                    let found = lookup(&log, 2, None, i, &answer, tiles_but(&log, tile, forge));
                    assert_eq!(found, Err(Error::Inconsistent { size }), "{tile} {hash}");
                }
            }
        }
    }
}

/// CVE-2026-56864: the whole answer was searched for lines, so a line planted behind the record
/// (here under the signature of the head, whose extra lines are ignored) counted as proved.
#[test]
fn a_line_outside_the_record_is_not_believed() {
    let mut log = log(8, 10);
    let planted = format!("{} {} h1:planted\n", module(3), version(3));
    let head = format!("{}{planted}", log.head(10).unwrap().to_text());
    let signed = log.sign(&head).unwrap();
    assert!(verifier(&log, 8).open_head(&signed).is_ok());

    // The record of another module carries the planted line of ours.
    let mut answer = log.record_at(4, 10).unwrap();
    answer.truncate(answer.len() - log.signed(10).unwrap().len());
    answer.extend(&signed);
    let found = lookup(&log, 8, None, 3, &answer, tiles(&log));
    assert_eq!(
        found,
        Err(Error::NoLine("example.com/m3@v1.0.3".to_owned()))
    );

    // Our own record has no sum of the zip; the planted line would give one.
    let id = log.append(&format!("{} {}/go.mod h1:real\n", module(11), version(11)));
    let planted = format!("{} {} h1:planted\n", module(11), version(11));
    let head = format!("{}{planted}", log.head(11).unwrap().to_text());
    let mut answer = log.record_at(id, 11).unwrap();
    answer.truncate(answer.len() - log.signed(11).unwrap().len());
    answer.extend(log.sign(&head).unwrap());
    let found = lookup(&log, 8, None, 11, &answer, tiles(&log)).unwrap();
    assert_eq!(found.sums.h1(SumOf::Zip), None);
    assert!(found.sums.check(SumOf::Zip, "h1:planted").is_err());
    assert_eq!(found.sums.h1(SumOf::GoMod), Some("h1:real"));
    assert!(!found.record.contains("planted"));
}

/// CVE-2026-42501: a proved record without a line for the module passed as consent.
#[test]
fn a_record_without_a_line_for_the_module_is_refused() {
    let mut log = log(8, 300);
    for text in [
        go_sum_text("example.com/other", "v1.0.0", "h1:a=", "h1:b="),
        go_sum_text("example.com/m1", "v1.0.10", "h1:a=", "h1:b="),
        go_sum_text("example.com/m11", "v1.0.1", "h1:a=", "h1:b="),
        "x example.com/m1 v1.0.1 h1:a=\n".to_owned(),
        "example.com/m1 v1.0.1\n".to_owned(),
        "example.com/m1 v1.0.1h1:a=\n".to_owned(),
        "\n".to_owned(),
    ] {
        let id = log.append(&text);
        let answer = log.record_at(id, log.size()).unwrap();
        let found = lookup(&log, 8, None, 1, &answer, tiles(&log));
        let wrong = Error::NoLine("example.com/m1@v1.0.1".to_owned());
        assert_eq!(found, Err(wrong), "{text:?}");
    }
}

/// The same for one of the two files: no sum is no consent.
#[test]
fn a_sum_that_is_not_recorded_does_not_match_anything() {
    let mut log = log(8, 3);
    for line in ["h1:a= h1:b=", "h2:a="] {
        let id = log.append(&format!("{} {} {line}\n", module(1), version(1)));
        let answer = log.record_at(id, log.size()).unwrap();
        let found = lookup(&log, 8, None, 1, &answer, tiles(&log)).unwrap();
        for of in [SumOf::Zip, SumOf::GoMod] {
            for sum in ["h1:a=", "h1:b=", "h2:a=", ""] {
                assert!(found.sums.check(of, sum).is_err(), "{line} {sum}");
            }
        }
    }
}
