//! Checking a log by doing it all again: every frame is read and hashed, every signature verified,
//! and every byte that is derived is compared with what the frames lead to.
//!
//! Reads only, takes no lock, and may run beside a process that appends: what comes after the last
//! frame it saw is none of its business. It never trusts one derived file to check another.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};

use tlog::Hash;
use tlog::TreeHead;
use tlog::hash::HASH_BYTES;
use tlog::note::VerifierKey;
use tlog::tile::{HEIGHT, Level};
use tokio::sync::watch;

use crate::build::Heaps;
use crate::commit::{State, Step, check_notes, leaves_of, rows_of};
use crate::error::LedgerError;
use crate::flat::{Flats, LEVELS};
use crate::frame::Frame;
use crate::index::Index;
use crate::mark::Mark;
use crate::reader::{Head, Shared};
use crate::record::Key;
use crate::segments::{Position, Scan, Scanned, Segments};
use crate::witness::WitnessFile;

/// Findings that are listed; the rest are counted.
const FINDINGS_MAX: usize = 20;

/// Frames that are hashed and verified together, on all cores.
const WINDOW_FRAMES: usize = 512;
/// Their bytes, give or take one frame.
const WINDOW_BYTES: usize = 32 << 20;

/// What checking a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Records that were checked.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Commits.
    pub frames: u64,
    /// Whether another process had the log open.
    pub in_use: bool,
    /// Bytes behind the last commit: the beginning of one that never was, or is being written.
    pub torn_bytes: u64,
    /// What is wrong: the first places. Nothing, for a sound log.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more_findings: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// Whether [`crate::recover`] repairs it. If not, only a good copy of the frames does.
    pub derived: bool,
}

/// Checks the log in `dir` (`DATA/log`) against its key and, if there is one, its witness file.
///
/// Reads everything and hashes it on all cores; the memory it needs does not grow with the log, its
/// scratch files (24 bytes for each record) go to the system's directory for such.
///
/// # Errors
/// When there is no log or the disk refuses. What is wrong with a log is in the report.
pub fn check(dir: &Path, key: &VerifierKey, witness: Option<&Path>) -> Result<Report, LedgerError> {
    let frames = dir.join("frames");
    if !frames.is_dir() {
        return Err(LedgerError::Missing(dir.to_owned()));
    }
    let scratch = tempfile::tempdir().map_err(LedgerError::disk("make", &std::env::temp_dir()))?;
    let mut check = Check {
        dir,
        key,
        flats: None,
        marks: Vec::new(),
        applied: 0,
        last: None,
        heaps: Heaps::new(scratch.path().join("rows")),
        witnessed: None,
        report: Report {
            size: 0,
            root: Hash::EMPTY_ROOT,
            frames: 0,
            in_use: in_use(dir)?,
            torn_bytes: 0,
            findings: Vec::new(),
            more_findings: 0,
        },
    };
    check.prepare(witness)?;
    let segments = match Segments::open(&frames, false) {
        Err(LedgerError::Damaged { place, what }) => {
            check.report.find(place, what, false);
            return Ok(check.report);
        }
        segments => segments?,
    };
    let state = check.frames(&segments)?;
    check.report.size = state.head.size;
    check.report.root = state.head.hash;
    check.left_over(&state);
    check.edge(&state)?;
    check.index()?;
    check.cosigned(segments, &state)?;
    Ok(check.report)
}

fn in_use(dir: &Path) -> Result<bool, LedgerError> {
    let path = dir.join("lock");
    let Ok(file) = File::open(&path) else {
        return Ok(false);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(LedgerError::disk("lock", &path)(error)),
    }
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, place: impl ToString, what: impl ToString, derived: bool) {
        if self.findings.len() == FINDINGS_MAX {
            self.more_findings += 1;
            return;
        }
        self.findings.push(Finding {
            place: place.to_string(),
            what: what.to_string(),
            derived,
        });
    }

    /// Takes an error that is a finding; any other ends the check.
    fn take<T>(&mut self, result: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(LedgerError::Derived { place, what }) => {
                self.find(place, what, true);
                Ok(None)
            }
            Err(LedgerError::Damaged { place, what }) => {
                self.find(place, what, false);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

struct Check<'a> {
    dir: &'a Path,
    key: &'a VerifierKey,
    flats: Option<Flats>,
    /// Marks that name a state which replay must pass through, and their files.
    marks: Vec<(PathBuf, Mark)>,
    /// Records that the mark of the flat files vouches for.
    applied: u64,
    /// The last step, not compared with the flat files yet.
    last: Option<Step>,
    heaps: Heaps,
    witnessed: Option<(PathBuf, TreeHead)>,
    report: Report,
}

/// A frame and what several cores have made of it.
struct Hashed {
    at: Position,
    frame: Frame,
    bytes: usize,
    leaves: Vec<Hash>,
    rows: Result<Vec<(Key, u64)>, LedgerError>,
    signed: Result<(), tlog::note::NoteError>,
}

impl Check<'_> {
    fn prepare(&mut self, witness: Option<&Path>) -> Result<(), LedgerError> {
        match Flats::read_only(self.dir) {
            Ok(flats) => self.flats = Some(flats),
            Err(error) => self.report.find(self.dir.display(), error, true),
        }
        let mark = Mark::read(self.dir);
        if let Some(mark) = self.report.take(mark)? {
            self.applied = mark.applied;
            self.marks.push((self.dir.join("applied"), mark));
        }
        if let Some(path) = witness {
            match WitnessFile::look(path) {
                Ok(Some(state)) => self.witnessed = Some((path.to_owned(), state.head)),
                Ok(None) => self.report.find(path.display(), "it is empty", false),
                Err(error) => self.report.find(path.display(), error, false),
            }
        }
        Ok(())
    }

    /// Replays all frames.
    fn frames(&mut self, segments: &Segments) -> Result<State, LedgerError> {
        let mut state = State::start();
        let mut scan = Scan::new(segments, Position::default());
        loop {
            let (window, end) = window(&mut scan)?;
            let hashed = hash(window, self.key);
            for hashed in hashed {
                let Hashed {
                    at, frame, bytes, ..
                } = &hashed;
                let place = format!("{} at {}", segments.path(at.segment).display(), at.offset);
                match state.replay(*at, frame.clone(), *bytes, &hashed.leaves) {
                    Ok(step) => self.step(&mut state, &step, hashed, &place)?,
                    Err(what) => {
                        self.report.find(place, what, false);
                        return Ok(state);
                    }
                }
            }
            match end {
                None => {}
                Some(Scanned::Broken(at, why)) => {
                    let place = format!("{} at {}", segments.path(at.segment).display(), at.offset);
                    // What was applied had been whole.
                    if Flats::applied(self.dir) > state.head.size && !self.report.in_use {
                        self.report.find(place, why, false);
                        return Ok(state);
                    }
                    self.report.torn_bytes = segments.rest(at)?;
                    let torn = segments.check_torn(at, why);
                    self.report.take(torn)?;
                    return Ok(state);
                }
                Some(_) => return Ok(state),
            }
        }
    }

    fn step(
        &mut self,
        state: &mut State,
        step: &Step,
        hashed: Hashed,
        place: &str,
    ) -> Result<(), LedgerError> {
        if let Err(error) = hashed.signed {
            self.report.find(place, error, false);
        }
        match hashed.rows {
            Ok(rows) => {
                for (key, id) in rows {
                    self.heaps.add(key, id)?;
                }
            }
            Err(error) => self.report.find(place, error, false),
        }
        for (path, mark) in &self.marks {
            let ours = Mark {
                applied: mark.applied,
                ..state.mark()
            };
            if mark.sequence == state.sequence && *mark != ours {
                self.report
                    .find(path.display(), "it names another state", true);
            }
        }
        if let Some((path, head)) = &self.witnessed
            && head.size == step.frame.new
            && *head != step.head()
        {
            self.report
                .find(path.display(), "its head is another than the log's", false);
        }
        // Its successor proves that a step was applied, if it is not for a crash that the next start
        // makes good.
        let before = self.last.replace(step.clone());
        if let Some(before) = before.filter(|step| self.covers(step) || self.report.in_use) {
            self.flat(&before)?;
        }
        state.advance(step);
        self.report.frames += 1;
        Ok(())
    }

    /// Whether the mark of the flat files vouches for a step.
    fn covers(&self, step: &Step) -> bool {
        step.frame.new <= self.applied
    }

    /// Compares what a step writes into the flat files, but for partial tiles, which grow.
    fn flat(&mut self, step: &Step) -> Result<(), LedgerError> {
        for (tile, content) in &step.tiles {
            if let Level::Hashes(level) = tile.level()
                && tile.is_full()
            {
                self.hashes(level, tile.n() << HEIGHT, content)?;
            }
        }
        let Some(flats) = &self.flats else {
            return Ok(());
        };
        let places = step.places();
        let found = flats.places(step.frame.old, places.len());
        let Some(found) = self.report.take(found)? else {
            return Ok(());
        };
        let differs = (step.frame.old..)
            .zip(found.iter().zip(&places))
            .find(|(_, (found, place))| found != place);
        if let Some((id, _)) = differs {
            let what = format!("record {id} does not lie there");
            self.report
                .find(self.dir.join("offsets").display(), what, true);
        }
        Ok(())
    }

    fn hashes(&mut self, level: u8, from: u64, expected: &[u8]) -> Result<(), LedgerError> {
        let Some(flats) = &self.flats else {
            return Ok(());
        };
        let found = flats.hashes(level, from, expected.len() / HASH_BYTES);
        let Some(found) = self.report.take(found)? else {
            return Ok(());
        };
        let pairs = found.chunks(HASH_BYTES).zip(expected.chunks(HASH_BYTES));
        let differs = (from..).zip(pairs).find(|(_, (found, is))| found != is);
        if let Some((n, _)) = differs {
            let path = self.dir.join("hashes").join(level.to_string());
            self.report
                .find(path.display(), format!("hash {n} is wrong"), true);
        }
        Ok(())
    }

    /// Compares the last step and the partial tiles at the end, as far as they must be there.
    fn edge(&mut self, state: &State) -> Result<(), LedgerError> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let mut sure = self.applied.min(state.head.size);
        if self.covers(&last) {
            self.flat(&last)?;
        } else if self.report.in_use {
            sure = last.frame.old;
        }
        for level in 0..LEVELS {
            let hashes = state.edge.partial_tile(level);
            let depth = u32::from(level) * u32::from(HEIGHT);
            let from = (state.head.size >> depth) - hashes.len() as u64;
            let count = (sure >> depth).saturating_sub(from) as usize;
            let bytes: Vec<u8> = hashes.iter().take(count).flat_map(|hash| hash.0).collect();
            self.hashes(level, from, &bytes)?;
        }
        Ok(())
    }

    /// Compares the index with the keys of all records, both in order.
    fn index(&mut self) -> Result<(), LedgerError> {
        let index = Index::new(self.dir);
        let mut rows = Merge {
            heaps: &mut self.heaps,
            heap: 0,
            rows: Vec::new().into_iter(),
            last: None,
            doubled: Vec::new(),
        };
        let (mut missing, mut wrong) = (Vec::new(), Vec::new());
        let mut next = rows.next()?;
        let each = index.each(|key, id| {
            while let Some((expected, n)) = next.filter(|(expected, _)| *expected < key) {
                missing.push((expected, n));
                missing.truncate(FINDINGS_MAX);
                next = rows.next()?;
            }
            match next {
                Some((expected, n)) if expected == key => {
                    if n != id {
                        wrong.push(id);
                    }
                    next = rows.next()?;
                }
                _ => wrong.push(id),
            }
            wrong.truncate(FINDINGS_MAX);
            Ok(())
        });
        let mark = match each {
            Err(error @ LedgerError::Disk { .. }) if !self.dir.join("index").exists() => {
                Err(LedgerError::derived(&self.dir.join("index"), error))
            }
            mark => mark,
        };
        let whole = mark.is_ok();
        while let Some(row) = next {
            if missing.len() < FINDINGS_MAX && whole {
                missing.push(row);
            }
            next = rows.next()?;
        }
        let doubled = std::mem::take(&mut rows.doubled);
        let mark = self.report.take(mark)?;
        self.judge_rows(mark, &missing, &wrong, &doubled);
        Ok(())
    }

    fn judge_rows(
        &mut self,
        mark: Option<Mark>,
        missing: &[(Key, u64)],
        wrong: &[u64],
        doubled: &[(u64, u64)],
    ) {
        let place = self.dir.join("index").display().to_string();
        // Behind its mark the index may lag, and before our last frame it may have run on.
        let applied = mark.map_or(0, |mark| mark.applied);
        for (_, id) in missing.iter().filter(|(_, id)| *id < applied) {
            let what = format!("record {id} is missing");
            self.report.find(&place, what, true);
        }
        let (seen, in_use) = (self.report.size, self.report.in_use);
        for id in wrong.iter().filter(|id| **id < seen) {
            let what = format!("a row names record {id}, which is of another version");
            self.report.find(&place, what, true);
        }
        // If the frames lack their end, that has been said, and the index is not to blame.
        let short = Flats::applied(self.dir) > seen;
        if let Some(id) = wrong.iter().find(|id| **id >= seen && !in_use && !short) {
            let what = format!("a row names record {id}, and the log has only {seen}");
            self.report.find(&place, what, true);
        }
        for (one, other) in doubled {
            let what = format!("records {one} and {other} are of one module version");
            self.report
                .find(self.dir.join("frames").display(), what, false);
        }
    }

    /// What must not reach beyond the log.
    fn left_over(&mut self, state: &State) {
        let size = state.head.size;
        let applied = Flats::applied(self.dir);
        if applied > size && !self.report.in_use {
            let what = format!("it ends at record {size}, but had {applied}");
            self.report
                .find(self.dir.join("frames").display(), what, false);
        }
        for (path, mark) in &self.marks {
            if mark.applied > size && !self.report.in_use {
                let what = "it names a state that the log does not come to";
                self.report.find(path.display(), what, false);
            }
        }
        if let Some((path, head)) = &self.witnessed
            && head.size > size
            && !self.report.in_use
        {
            let what = format!("a head of {} was signed, the log has {size}", head.size);
            self.report.find(path.display(), what, false);
        }
    }

    fn cosigned(&mut self, segments: Segments, state: &State) -> Result<(), LedgerError> {
        let path = self.dir.join("cosigned");
        let (Ok(note), Some(flats)) = (fs::read(&path), self.flats.take()) else {
            return Ok(());
        };
        let head = Head::at(state);
        let shared = Shared {
            dir: self.dir.to_owned(),
            key: self.key.clone(),
            segments,
            flats,
            index: Index::new(self.dir),
            recent: RwLock::default(),
            head: watch::channel(std::sync::Arc::new(head)).0,
            cosigned: RwLock::default(),
            cosigning: Mutex::default(),
        };
        if shared.read_cosigned(&note).is_none() && !self.report.in_use {
            let what = "it is no cosigned checkpoint of this log; remove it";
            self.report.find(path.display(), what, true);
        }
        Ok(())
    }
}

/// All keys in order, and the records that share one.
struct Merge<'a> {
    heaps: &'a mut Heaps,
    heap: usize,
    rows: std::vec::IntoIter<(Key, u64)>,
    last: Option<(Key, u64)>,
    doubled: Vec<(u64, u64)>,
}

impl Merge<'_> {
    fn next(&mut self) -> Result<Option<(Key, u64)>, LedgerError> {
        loop {
            let Some(row) = self.rows.next() else {
                if self.heap == Heaps::COUNT {
                    return Ok(None);
                }
                self.rows = self.heaps.take(self.heap)?.into_iter();
                self.heap += 1;
                continue;
            };
            match self.last {
                Some((key, id)) if key == row.0 => {
                    self.doubled.push((id, row.1));
                    self.doubled.truncate(FINDINGS_MAX);
                }
                _ => {
                    self.last = Some(row);
                    return Ok(Some(row));
                }
            }
        }
    }
}

/// Frames to work on at once, and what ended them if it was not their number.
type Window = (Vec<(Position, Frame, usize)>, Option<Scanned>);

fn window(scan: &mut Scan<'_>) -> Result<Window, LedgerError> {
    let mut frames = Vec::new();
    let mut weight = 0;
    while frames.len() < WINDOW_FRAMES && weight < WINDOW_BYTES {
        match scan.next()? {
            Scanned::Frame(at, frame, bytes) => {
                weight += bytes;
                frames.push((at, frame, bytes));
            }
            end => return Ok((frames, Some(end))),
        }
    }
    Ok((frames, None))
}

/// Hashes and verifies frames, on all cores if there are several.
fn hash(frames: Vec<(Position, Frame, usize)>, key: &VerifierKey) -> Vec<Hashed> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = frames.len().div_ceil(cores).max(1);
    let mut shares = Vec::new();
    let mut frames = frames.into_iter();
    loop {
        let share: Vec<_> = frames.by_ref().take(share).collect();
        if share.is_empty() {
            break;
        }
        shares.push(share);
    }
    let hash = |(at, frame, bytes): (Position, Frame, usize)| Hashed {
        leaves: leaves_of(&frame),
        rows: rows_of(&frame),
        signed: check_notes(&frame, key),
        at,
        frame,
        bytes,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || share.into_iter().map(hash).collect::<Vec<_>>()))
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.flat_map(Result::unwrap_or_default).collect()
    })
}
