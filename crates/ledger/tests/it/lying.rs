//! A disk that lies at any one call, stops at any call, and forgets at a power cut what nobody made
//! durable. It never syncs the real disk: what would survive is its own book-keeping, so a test
//! costs no disk time and the worst case is exact.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use ledger::{Disk, RealDisk};

/// How a call lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It fails and nothing was done.
    Fails,
    /// It fails and all was done.
    FailsButDone,
    /// It fails and half was done.
    Half,
    /// It and all that follow do nothing: the process is as good as dead.
    Gone,
}

pub const LIES: [Lie; 4] = [Lie::Fails, Lie::FailsButDone, Lie::Half, Lie::Gone];

#[derive(Debug, Default)]
pub struct LyingDisk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<(u64, Lie)>,
    calls: u64,
    files: HashMap<(u64, u64), Book>,
    /// Files whose name is not durable.
    unnamed: Vec<PathBuf>,
}

/// What the disk has of a file, and what only the page cache has.
#[derive(Debug)]
struct Book {
    path: PathBuf,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// What a power cut leaves of what was not durable.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Nothing.
    All,
    /// Each write by itself, whole, half or not at all, by a generator with this seed.
    Some(u64),
}

impl LyingDisk {
    pub fn with(call: u64, lie: Lie) -> Self {
        let disk = Self::default();
        disk.lie_at(call, lie);
        disk
    }

    pub fn lie_at(&self, call: u64, lie: Lie) {
        self.lock().plan = Some((call, lie));
    }

    /// Honest from now on; what is not durable stays so.
    pub fn be_honest(&self) {
        self.lock().plan = None;
    }

    /// From now on nothing is done any more.
    pub fn gone(&self) {
        let now = self.calls();
        self.lie_at(now, Lie::Gone);
    }

    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Writes what a power cut would leave. Everything that used the disk must be gone.
    pub fn power_cut(&self, cut: Cut) {
        let mut state = self.lock();
        let mut seed = match cut {
            Cut::All => 0,
            Cut::Some(seed) => seed | 1,
        };
        for path in state.unnamed.drain(..) {
            if random(&mut seed).is_multiple_of(2) {
                let _ = fs::remove_file(path);
            }
        }
        for (_, book) in state.files.drain() {
            let mut bytes = book.durable;
            for change in book.pending {
                match (random(&mut seed) % 4, change) {
                    (0, _) => {}
                    (1, Change::Write(at, half)) => {
                        apply(
                            &mut bytes,
                            &Change::Write(at, half[..half.len() / 2].to_vec()),
                        );
                    }
                    (_, change) => apply(&mut bytes, &change),
                }
            }
            if book.path.exists() {
                fs::write(book.path, bytes).unwrap();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn tell<T>(
        &self,
        all: impl FnOnce(&mut State) -> io::Result<T>,
        half: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        let call = state.calls;
        state.calls += 1;
        match state.plan {
            Some((at, lie)) if at == call || (lie == Lie::Gone && call > at) => {
                match lie {
                    Lie::Fails | Lie::Gone => {}
                    Lie::FailsButDone => drop(all(&mut state)?),
                    Lie::Half => half(&mut state)?,
                }
                Err(io::Error::other("the disk was told to fail"))
            }
            _ => all(&mut state),
        }
    }
}

impl State {
    fn change(&mut self, file: &File, change: Change) -> io::Result<()> {
        match &change {
            Change::Write(at, bytes) => file.write_all_at(bytes, *at)?,
            Change::Cut(len) => file.set_len(*len)?,
        }
        if let Some(book) = self.files.get_mut(&id(file)?) {
            book.pending.push(change);
        }
        Ok(())
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        let fresh = !path.exists();
        let file = RealDisk.open(path)?;
        if fresh {
            self.unnamed.push(path.to_owned());
        }
        let durable = fs::read(path)?;
        let book = Book {
            path: path.to_owned(),
            durable,
            pending: Vec::new(),
        };
        if fresh {
            self.files.insert(id(&file)?, book);
        } else {
            self.files.entry(id(&file)?).or_insert(book);
        }
        Ok(file)
    }
}

impl Disk for LyingDisk {
    fn open(&self, path: &Path) -> io::Result<File> {
        self.tell(|state| state.open(path), |_| Ok(()))
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = |len: usize| Change::Write(offset, bytes[..len].to_vec());
        self.tell(
            |state| state.change(file, write(bytes.len())),
            |state| state.change(file, write(bytes.len() / 2)),
        )
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.tell(|state| state.change(file, Change::Cut(len)), |_| Ok(()))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let sync = |state: &mut State| {
            if let Some(book) = state.files.get_mut(&id(file)?) {
                for change in book.pending.drain(..) {
                    apply(&mut book.durable, &change);
                }
            }
            Ok(())
        };
        // After a sync that failed, the pages count as written and are not: the next sync is
        // silent about them. Only writing them again helps.
        let lost = |state: &mut State| {
            if let Some(book) = state.files.get_mut(&id(file)?) {
                book.pending.clear();
            }
            Ok(())
        };
        self.tell(sync, lost)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.unnamed.retain(|file| file.parent() != Some(path));
            Ok(())
        };
        self.tell(sync, |_| Ok(()))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let replace = |state: &mut State| {
            let moved = id(&File::open(from)?)?;
            if let Ok(replaced) = File::open(to) {
                state.files.remove(&id(&replaced)?);
            }
            fs::rename(from, to)?;
            state.unnamed.retain(|file| file.parent() != to.parent());
            if let Some(book) = state.files.get_mut(&moved) {
                to.clone_into(&mut book.path);
            }
            Ok(())
        };
        self.tell(replace, |_| Ok(()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let remove = |state: &mut State| {
            if let Ok(file) = File::open(path) {
                state.files.remove(&id(&file)?);
            }
            RealDisk.remove(path)
        };
        self.tell(remove, |_| Ok(()))
    }

    fn commit(&self, commit: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.tell(|_| commit(), |_| Ok(()))
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => {
            let end = *at as usize + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at as usize..end].copy_from_slice(written);
        }
        Change::Cut(len) => bytes.resize(*len as usize, 0),
    }
}

fn id(file: &File) -> io::Result<(u64, u64)> {
    let about = file.metadata()?;
    Ok((about.dev(), about.ino()))
}

/// xorshift64*; a seed of 0 stays 0.
pub fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
}
