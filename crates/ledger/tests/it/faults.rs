//! Every call to the disk lies once in every way, and the process dies at every call, with and
//! without a power cut. Each time all that was promised must hold, and the log must go on.

use std::path::Path;
use std::sync::Arc;

use ledger::{Ledger, LedgerError, Options, check};
use tempfile::TempDir;
use tlog::Hash;

use crate::common::{append, check_against, check_consistent, options, scratch, signer, text};
use crate::lying::{Cut, LIES, Lie, LyingDisk};

/// What was promised to somebody.
#[derive(Debug, Default)]
struct Promised {
    /// Record and number.
    acknowledged: Vec<(u64, u64)>,
    /// Size and root.
    shown: Vec<(u64, Hash)>,
}

impl Promised {
    fn see(&mut self, ledger: &Ledger) {
        let head = ledger.reader().head();
        self.shown.push((head.size, head.root));
    }

    fn append(&mut self, ledger: &Ledger, n: u64) -> Result<u64, LedgerError> {
        let id = append(ledger, n);
        if let Ok(id) = id {
            self.acknowledged.push((n, id));
        }
        self.see(ledger);
        id
    }
}

fn small(dir: &Path, disk: Arc<LyingDisk>, witness: bool) -> Options {
    let mut options = options(dir);
    options.disk = disk;
    options.limits.segment_bytes = 2000;
    options.limits.mark_records = 3;
    if witness {
        options.witness = Some(dir.join("witness"));
    }
    options
}

/// Makes a log, appends, closes, opens, appends. Goes on after errors as a server would.
fn scenario(options: &Options, promised: &mut Promised) -> Result<(), LedgerError> {
    let ledger = Ledger::create(options.clone())?;
    promised.see(&ledger);
    let mut last = Ok(0);
    for n in 0..3 {
        last = promised.append(&ledger, n);
    }
    let _ = ledger.flush();
    last = promised.append(&ledger, 3).and(last);
    drop(ledger);
    let ledger = Ledger::open(options.clone())?;
    promised.see(&ledger);
    for n in 3..6 {
        last = promised.append(&ledger, n).and(last);
        let _ = ledger.flush();
    }
    last.map(drop)
}

/// Opens the log on an honest disk and compares it with what was promised; then goes on with it.
fn judge(options: &Options, promised: &Promised, what: &str) {
    let ledger = match Ledger::open(options.clone()) {
        Err(LedgerError::Missing(_)) if promised.shown.is_empty() => {
            Ledger::create(options.clone()).unwrap_or_else(|error| panic!("{what}: {error}"))
        }
        ledger => ledger.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    let reader = ledger.reader();
    for (n, id) in &promised.acknowledged {
        let (module, version) = crate::common::coordinate(&text(*n));
        let found = reader.lookup(&module, &version).unwrap();
        let found = found.unwrap_or_else(|| panic!("{what}: record {n} is lost"));
        assert_eq!((found.id, found.text), (*id, text(*n)), "{what}");
    }
    for (size, root) in &promised.shown {
        check_consistent(reader, *size, *root);
    }
    for n in [0, 9] {
        append(&ledger, n).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let texts = reader.records(0..reader.head().size).unwrap();
    check_against(reader, &texts);
    ledger.flush().unwrap();
    drop(ledger);
    let witness = options.witness.as_deref();
    let report = check(&options.dir, signer().verifier(), witness).unwrap();
    assert!(report.is_sound(), "{what}: {report:?}");
    assert_eq!(report.size, texts.len() as u64);
}

/// Keeps the index as it is while its connections are open: closing them would tidy it up.
pub struct Index(Vec<(String, Vec<u8>)>);

impl Index {
    pub fn of(dir: &Path) -> Self {
        let names = ["index", "index-wal"].map(str::to_owned);
        let read = |name: String| {
            Some((
                name.clone(),
                std::fs::read(dir.join("log").join(&name)).ok()?,
            ))
        };
        Self(names.into_iter().filter_map(read).collect())
    }

    /// Puts it back as a power cut leaves it: with or without what was not synced.
    pub fn put(self, dir: &Path, without_wal: bool) {
        let log = dir.join("log");
        for name in ["index", "index-wal", "index-shm"] {
            let _ = std::fs::remove_file(log.join(name));
        }
        for (name, bytes) in self.0 {
            if name == "index" || !without_wal {
                std::fs::write(log.join(name), bytes).unwrap();
            }
        }
    }
}

fn every_call(witness: bool) {
    let calls = {
        let dir = scratch();
        let disk = Arc::new(LyingDisk::default());
        let options = small(dir.path(), Arc::clone(&disk), witness);
        scenario(&options, &mut Promised::default()).unwrap();
        disk.calls()
    };
    assert!(calls > 60, "{calls}");
    // Without a witness the calls are some of those with one: two lies are enough.
    let lies = if witness { &LIES[..] } else { &LIES[1..3] };
    for call in 0..calls {
        for lie in lies.iter().copied() {
            let (dir, promised, disk) = run(call, lie, witness);
            let what = format!("call {call} {lie:?}");
            drop(disk);
            let honest = Arc::new(LyingDisk::default());
            judge(&small(dir.path(), honest, witness), &promised, &what);
        }
    }
}

fn run(call: u64, lie: Lie, witness: bool) -> (TempDir, Promised, Arc<LyingDisk>) {
    let dir = scratch();
    let disk = Arc::new(LyingDisk::with(call, lie));
    let options = small(dir.path(), Arc::clone(&disk), witness);
    let mut promised = Promised::default();
    let done = scenario(&options, &mut promised);
    if lie == Lie::Gone {
        let acknowledged = promised.acknowledged.len();
        assert!(
            done.is_err() || acknowledged == 7,
            "call {call}: {acknowledged}"
        );
    }
    (dir, promised, disk)
}

#[test]
fn any_call_may_lie() {
    every_call(false);
}

#[test]
fn any_call_may_lie_with_a_witness() {
    every_call(true);
}

/// One call that fails, of any kind, while records are appended: the next append succeeds.
#[test]
fn after_one_failure_the_log_goes_on_without_a_restart() {
    for lie in [Lie::Fails, Lie::FailsButDone, Lie::Half] {
        for witness in [false, true] {
            for call in 0..12 {
                let dir = scratch();
                let disk = Arc::new(LyingDisk::default());
                let options = small(dir.path(), Arc::clone(&disk), witness);
                let ledger = Ledger::create(options.clone()).unwrap();
                let mut promised = Promised::default();
                promised.append(&ledger, 0).unwrap();
                ledger.flush().unwrap();
                disk.lie_at(disk.calls() + call, lie);
                let mut failed = 0;
                for n in [1, 2, 3] {
                    while promised.append(&ledger, n).is_err() {
                        let status = ledger.status();
                        assert!(status.trouble.is_some(), "{status:?}");
                        failed += 1;
                        assert_eq!(failed, 1, "{status:?}");
                    }
                    assert_eq!(promised.acknowledged.last(), Some(&(n, n)));
                }
                drop(ledger);
                judge(
                    &options,
                    &promised,
                    &format!("call {call} {lie:?} {witness}"),
                );
            }
        }
    }
}

/// The power goes at any call; of what was not durable nothing is left, or some.
fn power_cuts(witness: bool) {
    let mut call = 0;
    loop {
        for cut in [Cut::All, Cut::Some(call * 7 + 1), Cut::Some(call * 13 + 5)] {
            let dir = scratch();
            let disk = Arc::new(LyingDisk::default());
            let options = small(dir.path(), Arc::clone(&disk), witness);
            let mut promised = Promised::default();
            let ledger = Ledger::create(options.clone()).unwrap();
            promised.append(&ledger, 0).unwrap();
            ledger.flush().unwrap();
            disk.lie_at(disk.calls() + call, Lie::Gone);
            let all = (1..6).all(|n| {
                let done = promised.append(&ledger, n).is_ok();
                if n == 3 && done {
                    let _ = ledger.flush();
                }
                done
            });
            disk.gone();
            let index = Index::of(dir.path());
            drop(ledger);
            disk.power_cut(cut);
            index.put(dir.path(), call % 2 == 0);
            judge(
                &options_again(&options),
                &promised,
                &format!("call {call} {cut:?}"),
            );
            if all && call > 20 && matches!(cut, Cut::Some(_)) {
                return;
            }
        }
        call += 1;
    }
}

fn options_again(options: &Options) -> Options {
    Options {
        disk: Arc::new(LyingDisk::default()),
        ..options.clone()
    }
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_acknowledged() {
    power_cuts(false);
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_acknowledged_with_a_witness() {
    power_cuts(true);
}
