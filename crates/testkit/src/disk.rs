//! A disk that lies: it fails where a test says so, before or after it did the work, and it forgets
//! at a power cut what nobody made durable.
//!
//! A write that failed may have happened and a write that happened may be reported as failed; code
//! that is right after one of the two is often wrong after the other. So every step is made to lie
//! in both ways, one after the other: a clean run tells with [`LyingDisk::calls`] how often each
//! [`Step`] is taken, and a plan names one of them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Disk, RealDisk};

/// What the store asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A new file.
    Create,
    /// Bytes at a file's end.
    Append,
    /// A file made durable.
    Sync,
    /// A file moved to its place.
    Publish,
    /// A file removed.
    Remove,
    /// The catalog's commit.
    Commit,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 6] = [
        Step::Create,
        Step::Append,
        Step::Sync,
        Step::Publish,
        Step::Remove,
        Step::Commit,
    ];

    /// The lies this step can tell: where nothing lies between all and nothing there is no half.
    #[must_use]
    pub fn lies(self) -> &'static [Lie] {
        match self {
            Step::Create | Step::Append => &Lie::ALL,
            Step::Sync | Step::Publish | Step::Remove | Step::Commit => &Lie::ALL[..2],
        }
    }
}

/// How a step lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It fails and nothing was done.
    Fails,
    /// It fails and all was done.
    FailsButDone,
    /// It fails and half was done: half of the bytes appended, a file created and gone again. For
    /// the steps that have no half (see [`Step::lies`]) the same as [`Lie::Fails`].
    Half,
}

impl Lie {
    /// Every lie.
    pub const ALL: [Lie; 3] = [Lie::Fails, Lie::FailsButDone, Lie::Half];
}

/// A [`Disk`] over the real one.
#[derive(Debug, Default)]
pub struct LyingDisk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    calls: HashMap<Step, u64>,
    lies: u64,
    slow_commit: Duration,
    files: HashMap<(u64, u64), Written>,
}

#[derive(Debug, Default)]
enum Plan {
    #[default]
    Honest,
    /// The call of this number (from 0) lies.
    Once(Step, u64, Lie),
    /// From this call of any step on (from 0) everything fails: the disk is gone.
    GoneFrom(u64),
    /// One call in so many lies, by a generator with this state.
    Random(u64, u64),
}

/// A file that was written: where it is, and how much of it would survive a power cut.
#[derive(Debug)]
struct Written {
    path: PathBuf,
    durable_len: u64,
}

impl LyingDisk {
    /// An honest disk, until told otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `n`-th call of a step, counted from 0, will lie.
    #[must_use]
    pub fn with(step: Step, n: u64, lie: Lie) -> Self {
        let disk = Self::new();
        disk.locked().plan = Plan::Once(step, n, lie);
        disk
    }

    /// From the `n`-th call of whatever step on, counted from 0, nothing is done any more.
    #[must_use]
    pub fn gone_from(n: u64) -> Self {
        let disk = Self::new();
        disk.locked().plan = Plan::GoneFrom(n);
        disk
    }

    /// Lies at one call in `one_in`, always at the same ones for a `seed`.
    pub fn lie_at_random(&self, seed: u64, one_in: u64) {
        self.locked().plan = Plan::Random(seed | 1, one_in.max(1));
    }

    /// Honest from now on.
    pub fn be_honest(&self) {
        self.locked().plan = Plan::Honest;
    }

    /// Each commit takes at least so long.
    pub fn slow_commits(&self, time: Duration) {
        self.locked().slow_commit = time;
    }

    /// How often a step was asked for.
    #[must_use]
    pub fn calls(&self, step: Step) -> u64 {
        self.locked().calls.get(&step).copied().unwrap_or(0)
    }

    /// How often any step was asked for.
    #[must_use]
    pub fn calls_of_all(&self) -> u64 {
        self.locked().calls.values().sum()
    }

    /// Lies told so far.
    #[must_use]
    pub fn lies(&self) -> u64 {
        self.locked().lies
    }

    /// What a power cut does: every file loses the bytes that were not made durable. Only files
    /// written through this disk; the catalog takes care of itself.
    ///
    /// # Errors
    /// When the real disk refuses.
    pub fn power_cut(&self) -> io::Result<()> {
        for file in self.locked().files.values() {
            match File::options().write(true).open(&file.path) {
                Ok(open) if open.metadata()?.len() > file.durable_len => {
                    open.set_len(file.durable_len)?;
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lie(&self, step: Step) -> Option<Lie> {
        let mut state = self.locked();
        let all: u64 = state.calls.values().sum();
        let count = state.calls.entry(step).or_insert(0);
        let n = *count;
        *count += 1;
        let lie = match &mut state.plan {
            Plan::Honest => None,
            Plan::Once(at, call, lie) => (*at == step && *call == n).then_some(*lie),
            Plan::GoneFrom(call) => (all >= *call).then_some(Lie::Fails),
            Plan::Random(seed, one_in) => {
                let one_in = *one_in;
                random(seed)
                    .is_multiple_of(one_in)
                    .then(|| Lie::ALL[(random(seed) % Lie::ALL.len() as u64) as usize])
            }
        };
        state.lies += u64::from(lie.is_some());
        lie
    }

    /// `half` says what is left of a work half done.
    fn tell<T>(
        &self,
        step: Step,
        work: impl FnOnce() -> io::Result<T>,
        half: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<T> {
        match self.lie(step) {
            None => return work(),
            Some(Lie::Fails) => {}
            Some(Lie::FailsButDone) => drop(work()?),
            Some(Lie::Half) => half()?,
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{step:?} was told to fail"),
        ))
    }

    fn note(&self, path: &Path, file: &File) -> io::Result<()> {
        let path = path.to_owned();
        let durable_len = 0;
        self.locked()
            .files
            .insert(id(file)?, Written { path, durable_len });
        Ok(())
    }
}

impl Disk for LyingDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        let create = || {
            let file = RealDisk.create(path)?;
            self.note(path, &file)?;
            Ok(file)
        };
        self.tell(Step::Create, create, || {
            create()?;
            RealDisk.remove(path)
        })
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        // A second handle shares the first one's position.
        let mut half = file.try_clone()?;
        self.tell(
            Step::Append,
            || RealDisk.append(file, bytes),
            || RealDisk.append(&mut half, &bytes[..bytes.len() / 2]),
        )
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let sync = || {
            RealDisk.sync(file)?;
            let (id, len) = (id(file)?, file.metadata()?.len());
            if let Some(written) = self.locked().files.get_mut(&id) {
                written.durable_len = len;
            }
            Ok(())
        };
        self.tell(Step::Sync, sync, || Ok(()))
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        let publish = || {
            let id = id(&File::open(from)?)?;
            RealDisk.publish(from, to)?;
            if let Some(written) = self.locked().files.get_mut(&id) {
                to.clone_into(&mut written.path);
            }
            Ok(())
        };
        self.tell(Step::Publish, publish, || Ok(()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let remove = || {
            if let Ok(file) = File::open(path) {
                self.locked().files.remove(&id(&file)?);
            }
            RealDisk.remove(path)
        };
        self.tell(Step::Remove, remove, || Ok(()))
    }

    fn commit(&self, commit: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let slow = self.locked().slow_commit;
        std::thread::sleep(slow);
        self.tell(Step::Commit, commit, || Ok(()))
    }
}

fn id(file: &File) -> io::Result<(u64, u64)> {
    let about = file.metadata()?;
    Ok((about.dev(), about.ino()))
}

/// xorshift64*.
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
}
