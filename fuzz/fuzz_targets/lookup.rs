//! An answer to a lookup and the tiles behind it, all of them the input: no panic, an end, and
//! nothing that is not signed is proved.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::TreeHead;
use tlog::client::{Session, Step, Supply, Verifier};
use tlog::note::{Signer, sign};
use tlog::record::{Record, parse_data_tile};
use tlog::tile::{Level, Tile};

/// The rounds that the documentation promises, and one to see the end.
const ROUNDS_MAX: usize = 7;

fn run<T>(mut session: Session<T>, bytes: &[u8]) {
    for round in 0..=ROUNDS_MAX {
        assert!(round < ROUNDS_MAX, "a session must end");
        let Ok(Step::Need(requests)) = session.step() else {
            return;
        };
        for (place, request) in requests.into_iter().enumerate() {
            let content = bytes.iter().copied().cycle().take(request.tile.byte_len());
            let supply = match (bytes.first().map_or(0, |byte| *byte as usize) + place) % 4 {
                0 => Supply::Kept(content.collect()),
                1 => Supply::NotFound,
                2 => Supply::Fetched(bytes.to_vec().into()),
                _ => Supply::Fetched(content.collect()),
            };
            session.supply(request.tile, supply);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_data_tile(bytes);
    if let Ok((record, _)) = Record::parse(bytes) {
        let answer = record.to_answer();
        assert_eq!(Record::parse(answer.as_bytes()), Ok((record, &[][..])));
    }
    let Ok(signer) = Signer::from_seed("fuzz.example", &[1; 32]) else {
        return;
    };
    let Ok(verifier) = Verifier::new(&signer.verifier().to_string()) else {
        return;
    };
    assert!(verifier.lookup(None, "m", "v1.0.0", bytes).is_err());
    // The same under an honest signature: the input is the record, and the tiles.
    let head = TreeHead {
        size: 70_000,
        hash: tlog::Hash::leaf(b"root"),
    };
    let Ok(note) = sign(&head.to_text(), &[&signer]) else {
        return;
    };
    let answer = [bytes, b"\nm v1.0.0 h1:x\n\n", &note].concat();
    if let Ok(session) = verifier.lookup(None, "m", "v1.0.0", &answer) {
        run(session, bytes);
    }
    let Ok(held) = verifier.open_head(&note) else {
        return;
    };
    for level in [Level::Data, Level::Hashes(0), Level::Hashes(1)] {
        let session = Tile::new(8, level, 1, 3).and_then(|tile| verifier.tile(&held, tile).ok());
        if let Some(session) = session {
            run(session, bytes);
        }
    }
});
