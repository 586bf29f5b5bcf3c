//! Opening a log: what is on the disk becomes a state from which it may go on, or an error.
//!
//! The order matters. The frames are read from the mark on, each must follow from the one before,
//! and each is applied only once its successor proves that it was durable. What is left of a write
//! that tore is cut off, unless something shows that it had been shown. The last frame is written
//! and synced again: after a crash it may be known to the page cache only. Then the witness file
//! judges, and only then is the last frame applied and published.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tlog::TreeHead;
use tlog::edge::Edge;
use tlog::note::NoteError;
use tlog::tile::{HEIGHT, Level};
use tokio::sync::watch;

use crate::Options;
use crate::build::IndexBuilder;
use crate::commit::{HeadSigner, State, Step, check_notes, leaves_of};
use crate::disk::Disk;
use crate::error::{LedgerError, WitnessRefusal};
use crate::flat::Flats;
use crate::frame::Frame;
use crate::index::{self, Index, IndexWriter};
use crate::mark::Mark;
use crate::reader::{Head, Shared};
use crate::record::Key;
use crate::segments::{Position, Scan, Scanned, Segments};
use crate::witness::{WitnessFile, Witnessed};
use crate::writer::Witnessing;

/// Replayed rows of one commit of the index.
const ROWS_MAX: usize = 16_384;

/// Records whose replay is worth a new mark.
const REPLAYED_MAX: u64 = 4096;

/// A log that may go on.
#[derive(Debug)]
pub(crate) struct Opened {
    pub shared: Arc<Shared>,
    pub index: IndexWriter,
    /// What is applied, durable or not.
    pub mark: Mark,
    pub state: State,
    pub signer: HeadSigner,
    pub witness: Option<Witnessing>,
    pub lock: File,
}

/// Keeps other processes out for as long as the file is open.
pub(crate) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let failed = || LedgerError::disk("lock", &path);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed()(error)),
    }
}

/// Makes a log without records: its first frame is the signed empty tree.
pub(crate) fn create(options: &Options) -> Result<(), LedgerError> {
    let dir = &options.dir;
    let frames = dir.join("frames");
    fs::create_dir_all(&frames).map_err(LedgerError::disk("make", &frames))?;
    let _lock = lock(dir)?;
    let segments = Segments::open(&frames, true)?;
    let begun = matches!(
        Scan::new(&segments, Position::default()).next()?,
        Scanned::Frame(..)
    );
    if begun || segments.count() > 1 || Flats::applied(dir) > 0 {
        return Err(LedgerError::Exists(dir.clone()));
    }
    if let Some(path) = &options.witness {
        let witness = WitnessFile::open(path, Arc::clone(&options.disk))?;
        if let Some(state) = witness.state() {
            refuse_other(&witness, state, options)?;
            let witnessed = state.head.size;
            return Err(witness.refuse(WitnessRefusal::Behind {
                local: 0,
                witnessed,
            }));
        }
    }
    let (latest, checkpoint) = HeadSigner::first(&options.signer)?;
    let first = Frame {
        sequence: 0,
        epoch: 1,
        old: 0,
        new: 0,
        root: TreeHead::EMPTY.hash,
        latest,
        checkpoint,
        entries: Bytes::new(),
    };
    let bytes = first
        .encode()
        .ok_or(LedgerError::Invalid("the key's name is too long"))?;
    let disk = &*options.disk;
    for made in [Some(&**dir), dir.parent()].into_iter().flatten() {
        if !made.as_os_str().is_empty() {
            disk.sync_dir(made)
                .map_err(LedgerError::disk("sync", made))?;
        }
    }
    segments.cut(disk, Position::default())?;
    segments.write(disk, Position::default(), &bytes)
}

pub(crate) fn open(options: &Options) -> Result<Opened, LedgerError> {
    let (dir, disk) = (&options.dir, &*options.disk);
    if !dir.join("frames").is_dir() {
        return Err(LedgerError::Missing(dir.clone()));
    }
    let lock = lock(dir)?;
    // Before anything is written: the evidence of what had been shown.
    let mut shown = Flats::applied(dir);
    let segments = Segments::open(&dir.join("frames"), true)?;
    let flats = Flats::open(dir, disk)?;
    let (mut rows, start, applied) = Rows::open(dir)?;
    shown = shown.max(applied);
    let (head, _) = watch::channel(Arc::new(Head::none()));
    let shared = Shared {
        dir: dir.clone(),
        key: options.signer.verifier().clone(),
        segments,
        flats,
        index: Index::new(dir),
        recent: RwLock::default(),
        head,
        cosigned: RwLock::default(),
        cosigning: Mutex::default(),
    };
    let mut state = shared.restore(&start)?;
    let found = shared.replay(disk, &mut state, &mut rows)?;
    let last = &found.last;
    check_signed(&shared, last)?;
    check_not_shorter(&shared, last, shown)?;
    found.repair(&shared, disk)?;
    let mut witness = Witnessing::open(options)?;
    let epoch = match &mut witness {
        Some(witness) => witness.judge(&shared, last, options.adopt)?,
        None => last.frame.epoch + 1,
    };
    shared.apply(disk, last)?;
    rows.add(disk, last)?;
    let index = rows.finish(dir, disk, &last.mark())?;
    state.advance(last);
    state.epoch = epoch;
    if state.head.size - start.head.size > REPLAYED_MAX {
        shared.flats.sync(disk)?;
        last.mark().write(dir, disk)?;
    }
    shared.head.send_replace(Arc::new(Head::of(last)));
    shared.restore_cosigned();
    Ok(Opened {
        shared: Arc::new(shared),
        index,
        mark: last.mark(),
        signer: HeadSigner::new(options.signer.clone(), state.head),
        state,
        witness,
        lock,
    })
}

/// The rows of the index while frames are replayed.
enum Rows {
    /// There was none: all rows, sorted at the end.
    New(IndexBuilder),
    /// Rows behind its mark.
    More(Box<MoreRows>),
}

struct MoreRows {
    index: IndexWriter,
    rows: Vec<(Key, u64)>,
}

impl Rows {
    /// Opens the index, and tells from where to replay for it and the flat files, and how many
    /// records one of them had.
    fn open(dir: &Path) -> Result<(Self, Mark, u64), LedgerError> {
        let flat = Mark::read(dir)?;
        if !index::index_path(dir).exists() {
            let builder = IndexBuilder::new(dir)?;
            return Ok((Self::New(builder), Mark::START, flat.applied));
        }
        let (index, mark) = IndexWriter::open(dir)?;
        let start = if mark.head.size < flat.head.size {
            mark
        } else {
            flat
        };
        let rows = Vec::new();
        let rows = Self::More(Box::new(MoreRows { index, rows }));
        Ok((rows, start, mark.applied.max(flat.applied)))
    }

    fn add(&mut self, disk: &dyn Disk, step: &Step) -> Result<(), LedgerError> {
        match self {
            Self::New(builder) => {
                for (key, id) in step.rows()? {
                    builder.add(key, id)?;
                }
            }
            Self::More(more) => {
                more.rows.extend(step.rows()?);
                if more.rows.len() >= ROWS_MAX {
                    more.index.apply(disk, &more.rows, &step.mark())?;
                    more.rows.clear();
                }
            }
        }
        Ok(())
    }

    fn finish(self, dir: &Path, disk: &dyn Disk, mark: &Mark) -> Result<IndexWriter, LedgerError> {
        match self {
            Self::New(builder) => {
                builder.finish(disk, mark)?;
                Ok(IndexWriter::open(dir)?.0)
            }
            Self::More(more) => {
                let MoreRows {
                    mut index, rows, ..
                } = *more;
                index.apply(disk, &rows, mark)?;
                Ok(index)
            }
        }
    }
}

/// What replaying came to.
struct Replayed {
    /// The last good frame, not applied.
    last: Step,
    /// Where what is left of a torn write begins.
    torn: Option<Position>,
}

impl Replayed {
    /// Cuts what tore, and makes the last frame durable for sure.
    fn repair(&self, shared: &Shared, disk: &dyn Disk) -> Result<(), LedgerError> {
        if let Some(at) = self.torn {
            tracing::warn!(
                offset = at.offset,
                "cut off the beginning of a commit that never was"
            );
            shared.segments.cut(disk, at)?;
        }
        let bytes = self.last.frame.encode();
        let bytes = bytes.ok_or(LedgerError::Invalid("a commit is too long"))?;
        shared.segments.write(disk, self.last.at, &bytes)?;
        let frames = shared.dir.join("frames");
        disk.sync_dir(&frames)
            .map_err(LedgerError::disk("sync", &frames))
    }
}

impl Shared {
    /// The state at a mark, from the flat files.
    fn restore(&self, mark: &Mark) -> Result<State, LedgerError> {
        let contents = Edge::tiles(mark.head.size)
            .into_iter()
            .map(|tile| match tile.level() {
                Level::Hashes(level) => self
                    .flats
                    .hashes(level, tile.n() << HEIGHT, tile.width() as usize)
                    .map(Bytes::from),
                Level::Data => Ok(Bytes::new()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let edge = Edge::restore(&mark.head, &contents);
        let path = self.dir.join("hashes");
        let edge = edge.map_err(|error| LedgerError::derived(&path, error))?;
        Ok(State::at(mark, edge))
    }

    /// Reads the frames from `state` on and applies all but the last.
    fn replay(
        &self,
        disk: &dyn Disk,
        state: &mut State,
        rows: &mut Rows,
    ) -> Result<Replayed, LedgerError> {
        let mut scan = Scan::new(&self.segments, state.end);
        let mut held: Option<Step> = None;
        loop {
            let torn = match scan.next()? {
                Scanned::Frame(at, frame, bytes) => {
                    if let Some(step) = held.take() {
                        self.apply(disk, &step)?;
                        rows.add(disk, &step)?;
                        state.advance(&step);
                    }
                    held = Some(self.judge(state, at, frame, bytes)?);
                    continue;
                }
                Scanned::End => None,
                Scanned::Broken(at, why) => Some((at, why)),
            };
            if let Some((at, why)) = torn {
                self.segments.check_torn(at, why)?;
            }
            let torn = torn.map(|(at, _)| at);
            return match held {
                Some(last) => Ok(Replayed { last, torn }),
                None => Err(self.no_frame(state)),
            };
        }
    }

    fn judge(
        &self,
        state: &State,
        at: Position,
        frame: Frame,
        bytes: usize,
    ) -> Result<Step, LedgerError> {
        let leaves = leaves_of(&frame);
        let replayed = state.replay(at, frame, bytes, &leaves);
        replayed.map_err(|what| LedgerError::damaged(self.place(at), what))
    }

    fn place(&self, at: Position) -> String {
        format!(
            "{} at {}",
            self.segments.path(at.segment).display(),
            at.offset
        )
    }

    fn no_frame(&self, state: &State) -> LedgerError {
        if state.sequence == 0 && Flats::applied(&self.dir) == 0 {
            // The first frame never became whole: nothing was ever shown.
            return LedgerError::Missing(self.dir.clone());
        }
        let what = format!(
            "it ends before record {}, which had been shown",
            state.head.size
        );
        LedgerError::damaged(self.place(state.end), what)
    }

    /// Brings back the newest cosigned checkpoint; what is not sound is only forgotten.
    fn restore_cosigned(&self) {
        let path = self.dir.join("cosigned");
        let Ok(note) = fs::read(&path) else { return };
        match self.read_cosigned(&note) {
            Some(cosigned) => self.set_cosigned(cosigned),
            None => tracing::warn!(file = %path.display(), "not a checkpoint of this log, ignored"),
        }
    }
}

fn check_signed(shared: &Shared, last: &Step) -> Result<(), LedgerError> {
    match check_notes(&last.frame, &shared.key) {
        Ok(()) => Ok(()),
        Err(NoteError::Unverified) => Err(LedgerError::OtherKey {
            ours: shared.key.to_string(),
            found: signer_of(&last.frame.latest),
        }),
        Err(error) => Err(LedgerError::damaged(shared.place(last.at), error)),
    }
}

/// The signature line of a note, as far as it can be shown.
fn signer_of(note: &[u8]) -> String {
    let text = String::from_utf8_lossy(note);
    let line = text.lines().rfind(|line| line.starts_with('—'));
    line.unwrap_or("nobody").to_owned()
}

/// A log never shrinks: what was applied, had been shown.
fn check_not_shorter(shared: &Shared, last: &Step, had: u64) -> Result<(), LedgerError> {
    let size = last.frame.new;
    if had <= size {
        return Ok(());
    }
    let what = format!("it ends at record {size}, but had {had}");
    Err(LedgerError::damaged(
        shared.place(last.at.plus(last.bytes)),
        what,
    ))
}

impl Witnessing {
    fn open(options: &Options) -> Result<Option<Self>, LedgerError> {
        let Some(path) = &options.witness else {
            return Ok(None);
        };
        let file = WitnessFile::open(path, Arc::clone(&options.disk))?;
        Ok(Some(Self {
            file,
            log: log_name(options),
            owner: owner(&options.dir)?,
        }))
    }

    /// Compares the local log, which ends in `last`, with the witness file, and claims it. Gives
    /// this opening's epoch.
    fn judge(&mut self, shared: &Shared, last: &Step, adopt: bool) -> Result<u64, LedgerError> {
        let state = self.file.state().cloned();
        if let Some(state) = &state {
            self.compare(shared, state, last, adopt)?;
        } else if last.frame.new > 0 && !adopt {
            return Err(self.file.refuse(WitnessRefusal::Missing));
        }
        let witnessed = state.map_or(0, |state| state.epoch);
        let epoch = witnessed.max(last.frame.epoch) + 1;
        self.swap(epoch, last.head())?;
        Ok(epoch)
    }

    fn compare(
        &self,
        shared: &Shared,
        state: &Witnessed,
        last: &Step,
        adopt: bool,
    ) -> Result<(), LedgerError> {
        let (local, witnessed) = (last.frame.new, state.head.size);
        let before = last.before.head;
        let refuse = |why| Err(self.file.refuse(why));
        if state.log != self.log {
            return refuse(WitnessRefusal::OtherLog {
                found: state.log.clone(),
                ours: self.log.clone(),
            });
        }
        if witnessed > local {
            return refuse(WitnessRefusal::Behind { local, witnessed });
        }
        let ours = match witnessed {
            size if size == local => last.head(),
            // One frame was synced and not published: the commit goes on from there.
            size if size == before.size => before,
            _ if !adopt => return refuse(WitnessRefusal::Ahead { local, witnessed }),
            size => TreeHead {
                size,
                hash: shared.root(size)?,
            },
        };
        if ours != state.head {
            return refuse(WitnessRefusal::Forked { witnessed });
        }
        if state.owner != self.owner && !adopt {
            return refuse(WitnessRefusal::Copied);
        }
        Ok(())
    }
}

fn refuse_other(
    witness: &WitnessFile,
    state: &Witnessed,
    options: &Options,
) -> Result<(), LedgerError> {
    let ours = log_name(options);
    if state.log == ours {
        return Ok(());
    }
    let found = state.log.clone();
    Err(witness.refuse(WitnessRefusal::OtherLog { found, ours }))
}

/// The key's name and hash.
fn log_name(options: &Options) -> String {
    let key = options.signer.verifier();
    format!("{}+{:08x}", key.name(), key.key_hash())
}

/// What tells this directory from any copy of it: its inode and when that was made.
fn owner(dir: &Path) -> Result<String, LedgerError> {
    let about = fs::metadata(dir).map_err(LedgerError::disk("read", dir))?;
    let made = about.created().ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.unwrap_or_default().as_nanos();
    Ok(format!("{:x}-{made:x}", about.ino()))
}

impl Head {
    /// A head without notes, to compare with.
    pub(crate) fn at(state: &State) -> Self {
        Self {
            size: state.head.size,
            root: state.head.hash,
            edge: Arc::clone(&state.edge),
            ..Self::none()
        }
    }

    /// Stands until the first real one is known; nobody sees it.
    fn none() -> Self {
        Self {
            size: 0,
            root: TreeHead::EMPTY.hash,
            latest: Bytes::new(),
            checkpoint: Bytes::new(),
            edge: Arc::default(),
        }
    }
}
