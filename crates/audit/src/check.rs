//! The full replay of a log: every signature, every tile of every level, the root, and one record
//! for each module version.
//!
//! Memory is bounded whatever the log says: 33 bytes for each 256 records (8 MB for sixty million),
//! the tiles under way, and `names`. A check of a big log can be interrupted and gone on
//! with ([`Options::work`]).

use crate::GoRecord;
use crate::finding::{Finding, Findings};
use crate::heads::{Asked, Head, Keys, ask};
use crate::names::Names;
use crate::replay::{Copy, Known, Outcome, Reading, Row, WIDTH, subtree};
use crate::source::{Form, Source};
use crate::work::{MARK_EVERY, Resumed, Work};
use futures_util::stream::{self, StreamExt};
use std::io;
use std::path::PathBuf;
use tlog::tile::{HEIGHT, Level, Tile};
use tlog::{Hash, TreeHead};

/// After so many files that could not be read a check gives up.
const UNKNOWN_MAX: usize = 20;

/// Odd records that are named.
const ODD_MAX: usize = 20;

/// How to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom to believe.
    pub keys: Keys,
    /// Only this form; all that have a signed head otherwise.
    pub form: Option<Form>,
    /// Tiles under way at once, at least 1.
    pub jobs: usize,
    /// Where to keep progress; without it an interrupted check begins anew.
    pub work: Option<PathBuf>,
    /// Whether records must be those of a checksum database.
    pub go_records: bool,
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Report {
    /// The heads whose signatures are good.
    pub heads: Vec<Head>,
    /// The largest signed tree: the one that was replayed.
    pub tree: Option<TreeHead>,
    /// The root that the records have; `None` when it could not be computed.
    pub root: Option<Hash>,
    /// How many records were judged, those of an earlier run included.
    pub records: u64,
    /// How many of them an earlier run judged.
    pub resumed: u64,
    /// How many files were read.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Findings,
    /// What could not be found out.
    pub unknown: Vec<String>,
    /// How many records the go command of today would not take.
    pub odd: u64,
    /// Some of them.
    pub odd_examples: Vec<String>,
    /// Whether the check gave up before the end.
    pub stopped: bool,
}

/// Replays a log. `progress` is told how many records of how many are done.
///
/// An error is trouble with our own files.
pub async fn check(
    source: &Source,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> io::Result<Report> {
    let mut report = Report::default();
    let forms = gather_heads(source, options, &mut report).await;
    let Some(tree) = report
        .heads
        .iter()
        .map(|head| head.tree)
        .max_by_key(|tree| tree.size)
    else {
        return Ok(report);
    };
    report.tree = Some(tree);
    let reading = Reading {
        source: source.clone(),
        forms,
        size: tree.size,
        go_records: options.go_records,
        keep_records: false,
    };
    let mut replay = Replay::begin(reading, options, report)?;
    replay.leaves(options.jobs, progress).await?;
    if !replay.report.stopped {
        replay.uppers(options.jobs).await;
        replay.roots();
        replay.duplicates().await?;
    }
    Ok(replay.report)
}

/// Asks for the heads of every form; the forms that have one are those that are replayed.
async fn gather_heads(source: &Source, options: &Options, report: &mut Report) -> Vec<Form> {
    let mut forms = Vec::new();
    let wanted = Form::ALL
        .into_iter()
        .filter(|form| options.form.is_none_or(|only| only == *form));
    let mut names = Vec::new();
    for form in wanted {
        names.push(form.head());
        match ask(source, &options.keys, form).await {
            Asked::Absent => continue,
            Asked::Head(head) => report.heads.push(head),
            Asked::Bad(finding) => report.findings.add(finding),
            Asked::Unknown(what) => report.unknown.push(what),
        }
        forms.push(form);
    }
    if forms.is_empty() {
        let what = format!("no signed head: there is no {}", names.join(" and no "));
        report.findings.add(Finding::whole("missing", what));
    }
    if let [a, b] = report.heads.as_slice()
        && a.tree.size == b.tree.size
        && a.tree != b.tree
    {
        let what = format!(
            "latest and checkpoint have two roots for one size, {}",
            a.tree.size
        );
        report.findings.add(Finding::whole("fork", what));
    }
    forms
}

struct Replay {
    reading: Reading,
    report: Report,
    known: Known,
    names: Names,
    work: Option<Work>,
    /// The last tile, if its files contradict each other.
    disputed: Option<(u64, Vec<Copy>)>,
}

impl Replay {
    fn begin(reading: Reading, options: &Options, mut report: Report) -> io::Result<Self> {
        let keys: Vec<String> = options.keys.log.iter().map(ToString::to_string).collect();
        let log = format!(
            "{} {:?} {}",
            keys.join(" "),
            reading.forms,
            reading.go_records
        );
        let work = options
            .work
            .as_ref()
            .map(|dir| Work::open(dir, log))
            .transpose()?;
        // The tiles in which heads end are read again: their leaves are needed.
        let ends = report.heads.iter().map(|head| head.tree.size / WIDTH).min();
        let resumed = match &work {
            Some(work) => work.resume(ends.unwrap_or_default())?,
            None => None,
        };
        let mut known = Known::default();
        let names = match (resumed, &work) {
            (Some(Resumed { row, names, odd }), _) => {
                report.resumed = row.len() as u64 * WIDTH;
                report.records = report.resumed;
                report.odd = odd;
                known.rows.push(row);
                names
            }
            (None, Some(work)) => work.begin()?,
            (None, None) => Names::new(None, None)?,
        };
        if known.rows.is_empty() {
            known.rows.push(Vec::new());
        }
        Ok(Self {
            reading,
            report,
            known,
            names,
            work,
            disputed: None,
        })
    }

    async fn leaves(
        &mut self,
        jobs: usize,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> io::Result<()> {
        let done = self.known.rows[0].len() as u64;
        let size = self.reading.size;
        let each = |n| tokio::spawn(self.reading.clone().leaves(n));
        let mut tiles = stream::iter(done..self.reading.tiles())
            .map(each)
            .buffered(jobs.max(1));
        let ends: Vec<u64> = self
            .report
            .heads
            .iter()
            .map(|head| head.tree.size / WIDTH)
            .collect();
        while let Some(tile) = tiles.next().await {
            let (n, row, outcome) = tile.map_err(io::Error::other)?;
            take(&mut self.report, &mut self.names, outcome)?;
            let full = (n + 1) * WIDTH <= size;
            match row {
                Row::Agreed(hashes) => {
                    if full {
                        self.known.rows[0].push(subtree(&hashes));
                    }
                    if ends.contains(&n) {
                        self.known.leaves.insert(n, hashes);
                    }
                }
                Row::Lost(above) if full => self.known.rows[0].push(above),
                Row::Lost(_) => {}
                Row::Disputed(copies) => self.disputed = Some((n, copies)),
            }
            progress(((n + 1) * WIDTH).min(size), size);
            let sound = self.report.findings.is_empty() && self.report.unknown.is_empty();
            let finished = n + 1 == self.reading.tiles();
            if let Some(work) = &self.work
                && sound
                && ((n + 1) % MARK_EVERY == 0 || finished)
            {
                work.mark(&self.known.rows[0], &mut self.names, self.report.odd)?;
            }
            if self.report.findings.is_full() || self.report.unknown.len() >= UNKNOWN_MAX {
                self.report.stopped = true;
                break;
            }
        }
        Ok(())
    }

    /// Compares the tiles of every higher level with what the level below comes to.
    async fn uppers(&mut self, jobs: usize) {
        for level in 1.. {
            let row = &self.known.rows[usize::from(level) - 1];
            if row.is_empty() {
                break;
            }
            let above = Known::climb(row);
            let wanted: Vec<(u64, Vec<Option<Hash>>)> = (0..)
                .zip(row.chunks(WIDTH as usize).map(<[_]>::to_vec))
                .collect();
            let each = |(n, wanted)| self.reading.clone().upper(level, n, wanted);
            let outcomes: Vec<Outcome> = stream::iter(wanted)
                .map(each)
                .buffered(jobs.max(1))
                .collect()
                .await;
            for outcome in outcomes {
                // No names come from there, so nothing can fail.
                let _ = take(&mut self.report, &mut self.names, outcome);
            }
            self.known.rows.push(above);
        }
    }

    /// Computes the root of every signed head.
    fn roots(&mut self) {
        self.settle();
        let heads = self.report.heads.clone();
        for head in &heads {
            let computed = self.known.root(head.tree.size);
            if Some(head.tree) == self.report.tree {
                self.report.root = computed;
            }
            if computed.is_some_and(|root| root != head.tree.hash) {
                let what = format!(
                    "the records have another root than the one that was signed for {} records",
                    head.tree.size
                );
                self.report
                    .findings
                    .add(Finding::file("root", head.form.head(), what));
            }
        }
    }

    /// Lets the signed root say which of the last tile's files are right.
    fn settle(&mut self) {
        let (Some((n, copies)), Some(tree)) = (self.disputed.take(), self.report.tree) else {
            return;
        };
        for copy in &copies {
            self.known.leaves.insert(n, copy.hashes.clone());
            if self.known.root(tree.size) == Some(tree.hash) {
                let outcome = self.reading.settle(n, &copies, &copy.hashes);
                let _ = take(&mut self.report, &mut self.names, outcome);
                return;
            }
        }
        self.known.leaves.remove(&n);
        let outcome = self.reading.settle(n, &copies, &[]);
        let _ = take(&mut self.report, &mut self.names, outcome);
    }

    async fn duplicates(&mut self) -> io::Result<()> {
        for (first, second) in self.names.pairs()? {
            let name = self.name_of(second).await;
            let about = name.map_or_else(String::new, |name| format!(", {name}"));
            let what =
                format!("records {first} and {second} are about the same module version{about}");
            self.report.findings.add(Finding {
                record: Some(second),
                ..Finding::whole("duplicate", what)
            });
        }
        Ok(())
    }

    async fn name_of(&self, id: u64) -> Option<String> {
        let tile = Tile::in_tree(HEIGHT, Level::Data, id / WIDTH, self.reading.size)?;
        let form = *self.reading.forms.first()?;
        let bytes = self.reading.source.tile(form, tile).await.ok()?;
        let records = form.records(&bytes).ok()?;
        let text = std::str::from_utf8(records.get((id % WIDTH) as usize)?).ok()?;
        let record = GoRecord::parse(text).ok()?;
        Some(format!("{}@{}", record.module, record.version))
    }
}

/// Adds what came of some files to the report.
fn take(report: &mut Report, names: &mut Names, outcome: Outcome) -> io::Result<()> {
    report.findings.extend(outcome.findings);
    report.unknown.extend(outcome.unknown);
    report.records += outcome.records;
    report.files += outcome.files;
    report.bytes += outcome.bytes;
    report.odd += outcome.odd.len() as u64;
    let room = ODD_MAX.saturating_sub(report.odd_examples.len());
    report
        .odd_examples
        .extend(outcome.odd.into_iter().take(room));
    for (name, id) in outcome.names {
        names.add(name, id)?;
    }
    Ok(())
}
