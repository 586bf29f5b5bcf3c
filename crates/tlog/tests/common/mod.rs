//! What several test files share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

// The log of the test kit, without the rest of it: a pure crate's tests need no server.
#[path = "../../../testkit/src/sumdb.rs"]
#[allow(missing_docs)]
pub mod sumdb;

use bytes::Bytes;
pub use sumdb::MemLog;
use tlog::Hash;
use tlog::client::{Error, Session, SignedHead, Step, Supply, TileRequest, Verified, Verifier};
use tlog::tile::Tile;

pub const NAME: &str = "sum.example.com";
pub const SEED: [u8; 32] = [7; 32];

/// A log with `size` records of `example.com/mI v1.0.I`.
pub fn log(height: u8, size: u64) -> MemLog {
    let mut log = MemLog::new(NAME, SEED).unwrap().with_height(height);
    grow(&mut log, size, "");
    log
}

/// Appends honest records up to `size`; a different `salt` makes them different.
pub fn grow(log: &mut MemLog, size: u64, salt: &str) {
    for i in log.size()..size {
        let sum = |of: &str| format!("h1:{}", Hash::leaf(format!("{of}{i}{salt}").as_bytes()));
        log.add(&module(i), &version(i), &sum("zip"), &sum("mod"));
    }
}

pub fn module(i: u64) -> String {
    format!("example.com/m{i}")
}

pub fn version(i: u64) -> String {
    format!("v1.0.{i}")
}

pub fn verifier(log: &MemLog, height: u8) -> Verifier {
    Verifier::with_height(&log.vkey(), height).unwrap()
}

/// Runs a session to its end, with whatever `source` says to each request.
pub fn run<T>(
    session: Result<Session<T>, Error>,
    mut source: impl FnMut(TileRequest) -> Supply,
) -> Result<T, Error> {
    let mut session = session?;
    for _ in 0..=6 {
        match session.step()? {
            Step::Done(done) => return Ok(done),
            Step::Need(requests) => {
                assert!(!requests.is_empty());
                for request in requests {
                    session.supply(request.tile, source(request));
                }
            }
        }
    }
    panic!("a session takes at most six rounds");
}

/// The tiles of an honest log, without any that has been outgrown.
pub fn tiles(log: &MemLog) -> impl Fn(TileRequest) -> Supply {
    |request| match log.answer(&request.tile.path(), true) {
        Some(content) => Supply::Fetched(Bytes::from(content)),
        None => Supply::NotFound,
    }
}

/// As [`tiles`], with one tile changed.
pub fn tiles_but(
    log: &MemLog,
    changed: Tile,
    change: impl Fn(Vec<u8>) -> Vec<u8>,
) -> impl Fn(TileRequest) -> Supply {
    move |request| match tiles(log)(request) {
        Supply::Fetched(content) if request.tile == changed => {
            Supply::Fetched(Bytes::from(change(content.to_vec())))
        }
        supply => supply,
    }
}

pub fn head(log: &MemLog, height: u8, size: u64) -> SignedHead {
    let note = log.signed(size).unwrap();
    verifier(log, height).open_head(&note).unwrap()
}

/// Looks up record `i` with this answer.
pub fn lookup(
    log: &MemLog,
    height: u8,
    held: Option<&SignedHead>,
    i: u64,
    answer: &[u8],
    source: impl FnMut(TileRequest) -> Supply,
) -> Result<Verified, Error> {
    let session = verifier(log, height).lookup(held, &module(i), &version(i), answer);
    run(session, source)
}
