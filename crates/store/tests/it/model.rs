//! A naive model of the store: for each name the states it may be in. An acknowledged step leaves
//! one, a failed step leaves the one before and the one after, and looking settles which it is.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use store::{
    Answer, Content, FileKey, INLINE_MAX, KeepOutcome, Kept, Kind, Mark, NewFile, Proof, Store,
    StoreError,
};
use testkit::LyingDisk;

/// What a name may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Absent,
    Has(Bytes),
    /// Marked as damaged; only this content may come back.
    Marked(Bytes),
}

const DATABASE: &str = "sum.example.com";
const SUM_PATHS: [&str; 3] = ["lookup/example.com/a@v1.0.0", "tile/8/0/000", "head"];

/// How content reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Memory,
    Spool,
}

/// A store and what it must hold.
pub struct Model {
    store: Option<Store>,
    disk: Arc<LyingDisk>,
    dir: tempfile::TempDir,
    files: BTreeMap<String, (FileKey, Vec<State>)>,
    answers: BTreeMap<(String, String), Vec<Option<Bytes>>>,
    /// All paths of the one database, kept together.
    sums: Vec<Option<Bytes>>,
    failed: u64,
}

pub fn key(module: &str, version: &str, kind: Kind) -> FileKey {
    FileKey {
        module: gomod::path::ModulePath::parse(module).unwrap(),
        version: gomod::version::Version::parse(version).unwrap(),
        kind,
    }
}

pub fn new_file(key: &FileKey, content: Content) -> NewFile {
    NewFile {
        key: key.clone(),
        content,
        h1: None,
        source: "https://proxy.example".into(),
        inner: None,
        proof: Proof::Open,
    }
}

/// Content too long for a row, made once for each seed.
pub fn big(seed: u64) -> Bytes {
    static MADE: Mutex<BTreeMap<u64, Bytes>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || testkit::tree::noise(seed, INLINE_MAX + 10_000 + seed as usize).into();
    made.entry(seed).or_insert_with(make).clone()
}

/// A directory in memory where there is one: these tests are about order, which the disk itself
/// does not change, and hundreds of lives wait long for its syncs.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub fn small(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Everything that the store says of a name, content read to its end.
pub fn read(store: &Store, key: &FileKey) -> Result<Option<Bytes>, StoreError> {
    Ok(match store.file(key)? {
        None => None,
        Some(Kept::Small(bytes, meta)) => {
            assert_eq!(meta.size, bytes.len() as u64, "{key}");
            Some(bytes)
        }
        Some(Kept::Blob(blob, meta)) => {
            let bytes = blob.read_all()?;
            assert_eq!(meta.size, bytes.len() as u64, "{key}");
            Some(bytes)
        }
    })
}

/// Records that the bytes of a file are not what was kept.
pub async fn mark(store: &Store, key: &FileKey) -> Result<(), StoreError> {
    store.mark(key, Mark::Damaged).await
}

/// Brings content through a growing file, as a download does.
pub async fn keep_spooled(
    store: &Store,
    key: &FileKey,
    bytes: &[u8],
) -> Result<KeepOutcome, StoreError> {
    let (mut writer, _) = store.spool(Some(bytes.len() as u64))?;
    for chunk in bytes.chunks(150_000) {
        writer.write(chunk)?;
    }
    let content = writer.content()?;
    let outcome = store.keep(new_file(key, content)).await?;
    if outcome != KeepOutcome::Differs {
        writer.release();
    }
    Ok(outcome)
}

/// Paths of the files below a directory.
pub fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

impl Model {
    /// An empty store on this disk; `None` when the disk lied at the opening.
    pub fn open(disk: LyingDisk) -> Self {
        let mut model = Self {
            store: None,
            disk: Arc::new(disk),
            dir: quick_dir(),
            files: BTreeMap::new(),
            answers: BTreeMap::new(),
            sums: vec![None],
            failed: 0,
        };
        model.reopen();
        model
    }

    pub fn disk(&self) -> &LyingDisk {
        &self.disk
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Steps that were not acknowledged.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Ends the store and opens it again on the same disk.
    pub fn reopen(&mut self) {
        drop(self.store.take());
        match Store::open_on(self.dir.path(), Arc::clone(&self.disk) as _) {
            Ok(store) => self.store = Some(store),
            Err(error) => {
                assert!(self.disk.lies() > 0, "an honest disk, and yet: {error}");
                self.failed += 1;
            }
        }
    }

    pub async fn keep(&mut self, key: &FileKey, bytes: &Bytes, way: Way) {
        let Some(store) = &self.store else { return };
        let lies = self.disk.lies();
        let kept = match way {
            Way::Memory => {
                store
                    .keep(new_file(key, Content::Small(bytes.clone())))
                    .await
            }
            Way::Spool => keep_spooled(store, key, bytes).await,
        };
        if self.disk.lies() == 0 {
            let left = files_below(&self.dir.path().join("spool"));
            assert!(left.is_empty(), "{key}: {kept:?} left {left:?}");
        }
        let (_, states) = self.states(key);
        let before = states.clone();
        let same = |s: &State| match s {
            State::Absent => false,
            State::Has(old) | State::Marked(old) => old == bytes,
        };
        let fits = |s: &State, outcome| match outcome {
            KeepOutcome::Kept => *s == State::Absent,
            KeepOutcome::AlreadyKept => matches!(s, State::Has(_)) && same(s),
            KeepOutcome::Repaired => matches!(s, State::Marked(_)) && same(s),
            KeepOutcome::Differs => *s != State::Absent && !same(s),
        };
        match kept {
            Ok(outcome) => {
                states.retain(|s| fits(s, outcome));
                assert!(!states.is_empty(), "{key}: {outcome:?} after {before:?}");
                if outcome != KeepOutcome::Differs {
                    *states = vec![State::Has(bytes.clone())];
                }
            }
            Err(error) => {
                if before.iter().any(|s| *s == State::Absent || same(s)) {
                    states.push(State::Has(bytes.clone()));
                }
                self.excuse(lies, &error);
            }
        }
    }

    pub async fn answer(&mut self, module: &str, question: &str, body: &Bytes) {
        let Some(store) = &self.store else { return };
        let path = gomod::path::ModulePath::parse(module).unwrap();
        let lies = self.disk.lies();
        let answer = Answer {
            body: body.clone(),
            source: "https://proxy.example".into(),
            fetched: 1_700_000_000,
        };
        let kept = store.keep_answer(&path, question, answer).await;
        let name = (module.to_owned(), question.to_owned());
        let states = self.answers.entry(name).or_insert_with(|| vec![None]);
        match kept {
            Ok(()) => *states = vec![Some(body.clone())],
            Err(error) => {
                states.push(Some(body.clone()));
                self.excuse(lies, &error);
            }
        }
    }

    /// What a checksum database said, under several paths: all of them or none.
    pub async fn sums(&mut self, body: &Bytes) {
        let Some(store) = &self.store else { return };
        let lies = self.disk.lies();
        let rows = SUM_PATHS.map(|path| (path.to_owned(), body.clone()));
        match store.keep_sums(DATABASE, rows.to_vec()).await {
            Ok(()) => self.sums = vec![Some(body.clone())],
            Err(error) => {
                self.sums.push(Some(body.clone()));
                self.excuse(lies, &error);
            }
        }
    }

    pub async fn forget(&mut self, module: &str, version: Option<&str>, files: bool) {
        let Some(store) = &self.store else { return };
        let path = gomod::path::ModulePath::parse(module).unwrap();
        let wanted = version.map(|v| gomod::version::Version::parse(v).unwrap());
        let lies = self.disk.lies();
        let forgotten = store.forget(&path, wanted.as_ref(), files).await;
        let gone = forgotten.is_ok();
        for ((_, _), states) in self.answers.iter_mut().filter(|((m, _), _)| m == module) {
            after(states, None, gone);
        }
        let hit = |key: &FileKey| {
            files
                && key.module.as_str() == module
                && version.is_none_or(|v| key.version.as_str() == v)
        };
        for (_, states) in self.files.values_mut().filter(|(key, _)| hit(key)) {
            after(states, State::Absent, gone);
        }
        if let Err(error) = forgotten {
            self.excuse(lies, &error);
        }
    }

    pub async fn mark(&mut self, key: &FileKey) {
        let Some(store) = &self.store else { return };
        let lies = self.disk.lies();
        let marked = mark(store, key).await;
        let marked_state = |s: &State| match s {
            State::Has(bytes) => State::Marked(bytes.clone()),
            other => other.clone(),
        };
        let (_, states) = self.states(key);
        let then: Vec<State> = states.iter().map(marked_state).collect();
        match marked {
            Ok(()) => *states = then,
            Err(error) => {
                states.extend(then);
                self.excuse(lies, &error);
            }
        }
    }

    /// Compares everything with the store, and learns how failed steps ended.
    pub fn look(&mut self) {
        let Some(store) = &self.store else { return };
        for (key, states) in self.files.values_mut() {
            let seen = match read(store, key).unwrap() {
                Some(bytes) => State::Has(bytes),
                None if store.meta(key).unwrap().is_some() => {
                    let marked = |s: &&State| matches!(s, State::Marked(_));
                    states.iter().find(marked).cloned().unwrap_or_else(|| {
                        panic!("{key} counts as damaged, and was never marked");
                    })
                }
                None => State::Absent,
            };
            assert!(
                states.contains(&seen),
                "{key}: is {} where only these are right: {:?}",
                brief(&seen),
                states.iter().map(brief).collect::<Vec<_>>()
            );
            *states = vec![seen];
        }
        for ((module, question), states) in &mut self.answers {
            let path = gomod::path::ModulePath::parse(module).unwrap();
            let seen = store.answer(&path, question).unwrap().map(|a| a.body);
            assert!(states.contains(&seen), "{module} {question}");
            *states = vec![seen];
        }
        let seen = SUM_PATHS.map(|path| store.sum(DATABASE, path).unwrap());
        assert!(seen.iter().all(|s| *s == seen[0]), "half of the sums");
        assert!(self.sums.contains(&seen[0]), "other sums");
        self.sums = vec![seen[0].clone()];
    }

    /// The end of every scenario: the machine starts again on an honest disk. What was acknowledged
    /// is there, what failed is wholly there or not at all, and new things can be kept.
    pub async fn verify(&mut self) {
        drop(self.store.take());
        self.disk.be_honest();
        self.disk.power_cut().unwrap();
        self.reopen();
        let spool = self.dir().join("spool");
        assert_eq!(files_below(&spool), Vec::<std::path::PathBuf>::new());
        self.look();
        for (_, states) in self.files.values() {
            assert_eq!(states.len(), 1);
        }
        let names: Vec<FileKey> = self.files.values().map(|(k, _)| k.clone()).collect();
        for (i, name) in names.iter().enumerate() {
            let bytes = match &self.states(name).1[0] {
                State::Has(bytes) | State::Marked(bytes) => bytes.clone(),
                State::Absent => big(700 + i as u64),
            };
            self.keep(name, &bytes, Way::Spool).await;
        }
        let late = key("example.com/late", "v1.0.0", Kind::Zip);
        self.keep(&late, &big(999), Way::Memory).await;
        self.look();
        assert_eq!(files_below(&spool), Vec::<std::path::PathBuf>::new());
        self.reopen();
        self.look();
    }

    fn states(&mut self, key: &FileKey) -> &mut (FileKey, Vec<State>) {
        self.files
            .entry(key.to_string())
            .or_insert_with(|| (key.clone(), vec![State::Absent]))
    }

    /// Only a lie may make a step fail.
    fn excuse(&mut self, lies_before: u64, error: &StoreError) {
        assert!(
            self.disk.lies() > lies_before,
            "nothing lied, and yet: {error}"
        );
        assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
        self.failed += 1;
    }
}

fn after<T: Clone>(states: &mut Vec<T>, then: T, certain: bool) {
    match certain {
        true => *states = vec![then],
        false => states.push(then),
    }
}

fn brief(state: &State) -> String {
    match state {
        State::Absent => "absent".into(),
        State::Has(b) => format!("{} bytes", b.len()),
        State::Marked(b) => format!("{} marked bytes", b.len()),
    }
}
