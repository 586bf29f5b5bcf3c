//! A real process is killed at any moment, many times over, and after each time everything it had
//! acknowledged or shown must hold. `LEDGER_KILLS` sets how many times.
//!
//! A test program of its own: between fork and exec a child holds the locks of all logs that are
//! open in its parent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../it/common.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger::{Ledger, Options, check};
use tlog::Hash;

use common::{append, check_consistent, coordinate, options, scratch, signer, text};

const KILLS: u64 = 100;
/// A fresh log after so many: a full check of a long one takes long.
const KILLS_PER_LOG: u64 = 25;
const THREADS: u64 = 4;

fn small(dir: &Path) -> Options {
    let mut options = options(dir);
    options.witness = Some(dir.join("witness"));
    options.limits.segment_bytes = 50_000;
    options.limits.mark_records = 40;
    options
}

/// Not a test by itself: what the killed process does.
#[test]
fn child() {
    let Ok(dir) = std::env::var("LEDGER_KILL_DIR") else {
        return;
    };
    let from: u64 = std::env::var("LEDGER_KILL_FROM").unwrap().parse().unwrap();
    let ledger = Arc::new(Ledger::open(small(Path::new(&dir))).unwrap());
    let next = Arc::new(AtomicU64::new(from));
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let threads = (0..THREADS).map(|_| {
        let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
        std::thread::spawn(move || {
            while next.load(Ordering::Relaxed) < u64::MAX {
                // Every record is appended twice, by whoever comes.
                let n = next.fetch_add(1, Ordering::Relaxed);
                let n = from + (n - from) / 2;
                let id = append(&ledger, n).unwrap();
                let head = ledger.reader().head();
                say(format!("\nack {n} {id} {} {}\n", head.size, head.root));
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

/// Numbers of records, and roots by size.
#[derive(Default)]
struct Promised {
    ids: HashMap<u64, u64>,
    roots: HashMap<u64, Hash>,
}

impl Promised {
    /// Lines of the child; the last may be cut.
    fn hear(&mut self, child: &mut Child) -> u64 {
        let mut heard = 0;
        let stdout = BufReader::new(child.stdout.take().unwrap());
        for line in stdout.split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            let fields: Vec<&str> = line.split(' ').collect();
            let ["ack", n, id, size, root] = fields[..] else {
                continue;
            };
            let Ok(root) = root.parse() else { continue };
            let number = |text: &str| text.parse::<u64>().unwrap();
            let had = self.ids.insert(number(n), number(id));
            assert!(had.is_none_or(|had| had == number(id)), "{line}");
            let had = self.roots.insert(number(size), root);
            assert!(had.is_none_or(|had| had == root), "two roots: {line}");
            heard += 1;
        }
        heard
    }

    fn hold(&mut self, dir: &Path) {
        let options = small(dir);
        let witness = options.witness.as_deref();
        let report = check(&options.dir, signer().verifier(), witness).unwrap();
        assert!(report.is_sound(), "{report:?}");
        let ledger = Ledger::open(options).unwrap();
        let reader = ledger.reader();
        for (n, id) in &self.ids {
            let (module, version) = coordinate(&text(*n));
            let found = reader.lookup(&module, &version).unwrap();
            assert_eq!(found.map(|found| found.id), Some(*id), "record {n}");
        }
        for (size, root) in self.roots.drain() {
            check_consistent(reader, size, root);
        }
        let head = reader.head();
        self.roots.insert(head.size, head.root);
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing() {
    let kills = std::env::var("LEDGER_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().unwrap());
    let mut heard = 0;
    let mut log = None;
    for kill in 0..kills {
        if kill % KILLS_PER_LOG == 0 {
            let dir = scratch();
            drop(Ledger::create(small(dir.path())).unwrap());
            log = Some((dir, Promised::default()));
        }
        let (dir, promised) = log.as_mut().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("LEDGER_KILL_DIR", dir.path())
            .env("LEDGER_KILL_FROM", (kill * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(5_000 + (kill * 7_919) % 50_000));
        child.kill().unwrap();
        child.wait().unwrap();
        heard += promised.hear(&mut child);
        promised.hold(dir.path());
    }
    assert!(heard > kills, "only {heard} records were acknowledged");
}
