//! Random histories against a naive model: appends, contradictions, restarts, crashes, power cuts,
//! lies of the disk, restored backups, copies, second writers, recoveries.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use ledger::{Ledger, LedgerError, NewRecord, Options, WitnessRefusal, check, recover};
use proptest::prelude::*;
use tempfile::TempDir;
use tlog::Hash;

use crate::auditor;
use crate::common::{
    check_against, check_consistent, coordinate, options, record, scratch, signer, text,
};
use crate::faults::Index;
use crate::lying::{Cut, LIES, Lie, LyingDisk};
use crate::witness::copy;

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<u64>),
    Contradict(u64),
    Restart,
    /// A call that is to come will lie.
    Lie(u64, usize),
    /// The process dies; what it wrote is still in the page cache.
    Crash,
    PowerCut(u64, bool),
    Backup,
    Restore,
    Copy,
    SecondWriter,
    Recover,
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let numbers = proptest::collection::vec(0..60_u64, 1..6);
    let act = prop_oneof![
        8 => numbers.prop_map(Act::Append),
        1 => (0..60_u64).prop_map(Act::Contradict),
        1 => Just(Act::Restart),
        3 => (0..12_u64, 0..LIES.len()).prop_map(|(call, lie)| Act::Lie(call, lie)),
        1 => Just(Act::Crash),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(seed, wal)| Act::PowerCut(seed, wal)),
        1 => Just(Act::Backup),
        1 => Just(Act::Restore),
        1 => Just(Act::Copy),
        1 => Just(Act::SecondWriter),
        1 => Just(Act::Recover),
        2 => Just(Act::Flush),
    ];
    proptest::collection::vec(act, 1..40)
}

struct World {
    dir: TempDir,
    disk: Arc<LyingDisk>,
    ledger: Option<Ledger>,
    acknowledged: HashMap<u64, u64>,
    attempted: HashSet<u64>,
    shown: Vec<(u64, Hash)>,
    backup: Option<u64>,
}

impl World {
    fn new() -> Self {
        let disk = Arc::new(LyingDisk::default());
        let mut world = Self {
            dir: scratch(),
            disk,
            ledger: None,
            acknowledged: HashMap::new(),
            attempted: HashSet::new(),
            shown: Vec::new(),
            backup: None,
        };
        world.ledger = Some(Ledger::create(world.options()).unwrap());
        world
    }

    fn options(&self) -> Options {
        let mut options = options(self.dir.path());
        options.disk = Arc::clone(&self.disk) as Arc<dyn ledger::Disk>;
        options.witness = Some(self.dir.path().join("witness"));
        options.limits.segment_bytes = 3000;
        options.limits.mark_records = 5;
        options
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Opens the log on an honest disk and sees whether it is what it has to be.
    fn reopen(&mut self) {
        self.disk.be_honest();
        self.ledger = Some(Ledger::open(self.options()).unwrap());
        self.verify();
    }

    fn verify(&mut self) {
        let reader = self.ledger().reader();
        let texts = reader.records(0..reader.head().size).unwrap();
        check_against(reader, &texts);
        for (n, id) in &self.acknowledged {
            assert_eq!(texts[*id as usize], text(*n), "record {n}");
        }
        let unique: HashSet<_> = texts.iter().map(|text| coordinate(text)).collect();
        assert_eq!(unique.len(), texts.len(), "two records of one version");
        let attempted: HashSet<String> = self.attempted.iter().map(|n| text(*n)).collect();
        assert!(texts.iter().all(|text| attempted.contains(text)));
        for (size, root) in &self.shown {
            check_consistent(reader, *size, *root);
        }
        self.audit(&texts);
    }

    /// The same once more with nothing of ours but the proofs: every acknowledged record is under the
    /// head, and of all heads that were ever shown each continues the one before.
    fn audit(&self, texts: &[String]) {
        let reader = self.ledger().reader();
        let (size, root) = (texts.len() as u64, auditor::root(texts));
        let plain = |proof: Vec<Hash>| proof.iter().map(|hash| hash.0).collect::<Vec<_>>();
        for (n, id) in &self.acknowledged {
            let proof = plain(reader.prove_inclusion(*id, size).unwrap());
            let leaf = auditor::leaf(&text(*n));
            assert!(auditor::is_included(*id, &leaf, size, &proof, &root));
        }
        let mut heads = self.shown.clone();
        heads.push((size, Hash(root)));
        heads.sort_by_key(|(size, _)| *size);
        heads.dedup();
        for pair in heads.windows(2) {
            let [(old, old_root), (new, new_root)] = pair else {
                continue;
            };
            assert!(old < new, "two roots for {old}");
            assert_eq!(old_root.0, auditor::root(&texts[..*old as usize]));
            if *old > 0 {
                let proof = plain(reader.prove_consistency(*old, *new).unwrap());
                let (old_root, new_root) = (old_root.0, new_root.0);
                let holds = auditor::is_consistent(*old, &old_root, *new, &new_root, &proof);
                assert!(holds, "{old} and {new}");
            }
        }
    }

    fn see(&mut self) {
        let head = self.ledger().reader().head();
        for (size, root) in &self.shown {
            assert!(*size != head.size || *root == head.root, "two roots");
        }
        self.shown.push((head.size, head.root));
    }

    fn append(&mut self, numbers: &[u64]) {
        self.attempted.extend(numbers);
        let records = numbers.iter().copied().map(record).collect();
        match self.ledger().append_blocking(records) {
            Ok(ids) => {
                for (n, id) in numbers.iter().zip(ids) {
                    let had = self.acknowledged.insert(*n, id);
                    assert!(
                        had.is_none_or(|had| had == id),
                        "record {n} has two numbers"
                    );
                }
            }
            Err(LedgerError::Unfinished(_)) => {}
            Err(error) => panic!("{error}"),
        }
        self.see();
    }

    fn contradict(&mut self, n: u64) {
        if self.acknowledged.contains_key(&n) {
            let other = NewRecord::new(text(n).replace("h1:", "h1:x")).unwrap();
            let refused = self.ledger().append_blocking(vec![other]).unwrap_err();
            let fits = matches!(
                refused,
                LedgerError::Conflict { .. } | LedgerError::Unfinished(_)
            );
            assert!(fits, "{refused}");
        }
    }

    fn power_cut(&mut self, seed: u64, without_wal: bool) {
        self.disk.gone();
        let index = Index::of(self.dir.path());
        self.ledger = None;
        let cut = if seed.is_multiple_of(3) {
            Cut::All
        } else {
            Cut::Some(seed)
        };
        self.disk.power_cut(cut);
        index.put(self.dir.path(), without_wal);
        self.reopen();
    }

    /// Closes the log properly, so that its files may be copied.
    fn close(&mut self) {
        self.disk.be_honest();
        self.ledger = None;
    }

    fn backup(&mut self) {
        self.close();
        copy(
            &self.dir.path().join("log"),
            &self.dir.path().join("backup"),
        );
        self.reopen();
        self.backup = Some(self.ledger().reader().head().size);
    }

    fn restore(&mut self) {
        let Some(size) = self.backup else { return };
        let now = self.ledger().reader().head().size;
        self.close();
        // A commit that hung may have ended at closing.
        let (log, newest) = (self.dir.path().join("log"), self.dir.path().join("newest"));
        copy(&log, &newest);
        copy(&self.dir.path().join("backup"), &log);
        self.disk = Arc::new(LyingDisk::default());
        match Ledger::open(self.options()) {
            Ok(_) => assert!(size >= now, "an old copy was let pass: {size} of {now}"),
            Err(LedgerError::Witness { why, .. }) => {
                assert!(matches!(why, WitnessRefusal::Behind { .. }), "{why}");
            }
            Err(error) => panic!("{error}"),
        }
        copy(&newest, &log);
        self.disk = Arc::new(LyingDisk::default());
        self.reopen();
    }

    fn copied(&mut self) {
        self.close();
        let copied = self.dir.path().join("copied/log");
        copy(&self.dir.path().join("log"), &copied);
        let options = Options {
            dir: copied,
            ..self.options()
        };
        let refused = Ledger::open(options).unwrap_err();
        assert!(refused.to_string().contains("is a copy"), "{refused}");
        fs::remove_dir_all(self.dir.path().join("copied")).unwrap();
        self.reopen();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Append(numbers) => self.append(numbers),
            Act::Contradict(n) => self.contradict(*n),
            Act::Restart => {
                self.ledger = None;
                self.reopen();
            }
            Act::Lie(call, lie) => self.disk.lie_at(self.disk.calls() + call, LIES[*lie]),
            Act::Crash => {
                self.disk.lie_at(self.disk.calls(), Lie::Gone);
                self.ledger = None;
                self.reopen();
            }
            Act::PowerCut(seed, without_wal) => self.power_cut(*seed, *without_wal),
            Act::Backup => self.backup(),
            Act::Restore => self.restore(),
            Act::Copy => self.copied(),
            Act::SecondWriter => {
                let refused = Ledger::open(self.options());
                assert!(matches!(refused, Err(LedgerError::Locked(_))));
            }
            Act::Recover => {
                self.close();
                recover(self.options()).unwrap();
                self.reopen();
            }
            Act::Flush => drop(self.ledger().flush()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LEDGER_CASES").map_or(48, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_keeps_every_promise(acts in acts()) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.ledger = None;
        world.reopen();
        let size = world.ledger().reader().head().size;
        world.ledger = None;
        let options = world.options();
        let report = check(&options.dir, signer().verifier(), options.witness.as_deref()).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report);
        prop_assert_eq!(report.size, size);
    }
}
