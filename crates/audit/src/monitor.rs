//! Following a log for ever.
//!
//! A round asks for the newest head, proves that it continues the one that was seen last, reads every
//! record in between and checks that they have the signed root. Only then is the head remembered,
//! so that a log that contradicts itself is caught whenever it does, and nothing is reported that
//! was not signed. What is remembered between rounds is one small file ([`State`]).

use crate::GoRecord;
use crate::finding::{Finding, Findings};
use crate::heads::{Asked, Head, Keys, ask};
use crate::nodes::{Relation, compare};
use crate::replay::{Reading, Row, WIDTH};
use crate::source::{Form, Lack, Source};
use futures_util::stream::{self, StreamExt};
use gomod::pattern::Patterns;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::Path;
use tlog::edge::{Edge, plan};
use tlog::tile::{HEIGHT, Tile};
use tlog::{Hash, TreeHead};

const SCHEMA: &str = "modkeep.log-monitor-state/1";

/// A state file is at most this long, in bytes.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// New versions that one round reports; a round over more tells how many it left out.
const NEW_MAX: usize = 100_000;

/// What is remembered of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    schema: String,
    /// The log's key: another key is another log.
    key: String,
    /// The form of the head.
    go: bool,
    /// The newest head that was proved, as it was signed.
    note: String,
    /// When the log was last seen to grow, in seconds since 1970.
    grown: u64,
}

/// How to follow.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom to believe.
    pub keys: Keys,
    /// New versions of these modules are reported (GOPRIVATE grammar); of all if there are no
    /// patterns and `watch_all`.
    pub watch: Patterns,
    /// Whether all new versions are reported.
    pub watch_all: bool,
    /// Tiles under way at once, at least 1.
    pub jobs: usize,
    /// Without a state: begin with the first record, not with the newest head.
    pub from_start: bool,
}

/// A new record.
#[derive(Clone, Debug, Serialize)]
pub struct New {
    /// Its number.
    pub id: u64,
    /// The module.
    pub module: String,
    /// The version.
    pub version: String,
    /// The zip's sum.
    pub h1: String,
    /// go.mod's sum.
    pub gomod: String,
}

/// What a round has found.
#[derive(Debug, Default)]
pub struct Round {
    /// The head that was remembered before.
    pub before: Option<TreeHead>,
    /// The head that the log shows now, if its signature is good.
    pub now: Option<Head>,
    /// New versions that are watched.
    pub new: Vec<New>,
    /// How many more there are.
    pub left_out: u64,
    /// What is wrong.
    pub findings: Findings,
    /// What could not be found out.
    pub unknown: Vec<String>,
    /// Two signed heads that contradict each other, with the proof, as text for a file.
    pub evidence: Option<String>,
    /// What to remember.
    pub state: Option<State>,
}

impl State {
    /// Reads a state file; `None` if there is none yet.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let length = match std::fs::metadata(path) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let other = |what: &str| io::Error::other(format!("{}: {what}", path.display()));
        if length > STATE_BYTES_MAX {
            return Err(other("this is no state of a log monitor"));
        }
        let state: Self = serde_json::from_str(&std::fs::read_to_string(path)?)
            .map_err(|_| other("this is no state of a log monitor"))?;
        match state.schema == SCHEMA {
            true => Ok(Some(state)),
            false => Err(other(
                "this state was written by another release of modkeep",
            )),
        }
    }

    /// Replaces a state file in one step.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut new = tempfile::NamedTempFile::new_in(dir)?;
        new.write_all(
            serde_json::to_string_pretty(self)
                .map_err(io::Error::other)?
                .as_bytes(),
        )?;
        new.as_file().sync_all()?;
        new.persist(path).map_err(|e| e.error)?;
        std::fs::File::open(dir)?.sync_all()
    }

    /// When the log was last seen to grow, in seconds since 1970.
    pub fn grown(&self) -> u64 {
        self.grown
    }

    fn form(&self) -> Form {
        if self.go { Form::Go } else { Form::C2sp }
    }

    /// The remembered head; an error if it is not by this key.
    fn head(&self, keys: &Keys) -> Result<Head, String> {
        let known = keys.log.iter().any(|key| key.to_string() == self.key);
        let head = keys.open(self.form(), self.note.as_bytes());
        match head {
            Ok(head) if known => Ok(head),
            _ => Err("the state file is about another log: give another --state".into()),
        }
    }
}

/// One round, at `time` (seconds since 1970). An error is a state that does not fit.
pub async fn round(
    source: &Source,
    options: &Options,
    state: Option<&State>,
    time: u64,
) -> Result<Round, String> {
    let before = state.map(|state| state.head(&options.keys)).transpose()?;
    let mut round = Round {
        before: before.as_ref().map(|head| head.tree),
        ..Round::default()
    };
    let Some(now) = newest(source, options, before.as_ref(), &mut round).await else {
        return Ok(round);
    };
    round.now = Some(now.clone());
    let grown = match (&before, state) {
        (Some(before), Some(state)) if before.tree == now.tree => {
            round.state = Some(state.clone());
            return Ok(round);
        }
        (Some(before), Some(state)) => {
            if !continues(source, before, &now, &mut round).await {
                return Ok(round);
            }
            if now.tree.size > before.tree.size {
                time
            } else {
                state.grown
            }
        }
        _ => time,
    };
    let from = match &before {
        Some(before) => before.tree,
        None if options.from_start => TreeHead::EMPTY,
        // The first head is believed: nothing is known that it could contradict.
        None => now.tree,
    };
    if replay(source, options, from, &now, &mut round).await {
        round.state = Some(State {
            schema: SCHEMA.into(),
            key: options
                .keys
                .log
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            go: now.form == Form::Go,
            note: String::from_utf8_lossy(&now.note).into_owned(),
            grown,
        });
    }
    Ok(round)
}

/// The newest head, in the form that was followed so far.
async fn newest(
    source: &Source,
    options: &Options,
    before: Option<&Head>,
    round: &mut Round,
) -> Option<Head> {
    let forms = match before {
        Some(before) => vec![before.form],
        None => Form::ALL.to_vec(),
    };
    for form in forms {
        match ask(source, &options.keys, form).await {
            Asked::Head(head) => return Some(head),
            Asked::Absent => {}
            Asked::Bad(finding) => {
                round.findings.add(finding);
                return None;
            }
            Asked::Unknown(what) => {
                round.unknown.push(what);
                return None;
            }
        }
    }
    round
        .findings
        .add(Finding::whole("missing", "the log shows no signed head"));
    None
}

/// Whether the new head continues the remembered one; otherwise the round says what it does instead.
async fn continues(source: &Source, before: &Head, now: &Head, round: &mut Round) -> bool {
    let back = now.tree.size < before.tree.size;
    let (older, newer) = if back { (now, before) } else { (before, now) };
    let relation = compare(source, now.form, older.tree, newer.tree).await;
    match relation {
        Ok(Relation::Consistent) if !back => return true,
        Ok(Relation::Fork { root, proof }) => {
            let what = format!(
                "FORK: the log signed two trees that contradict each other, of {} and of {} records",
                older.tree.size, newer.tree.size
            );
            round
                .findings
                .add(Finding::file("fork", now.form.head(), what));
            round.evidence = Some(evidence(older, newer, root, &proof));
            return false;
        }
        Ok(Relation::Unproved) if !back => {
            let what = "the log's tiles do not prove that the new head continues the last one";
            round
                .findings
                .add(Finding::file("tile", now.form.head(), what));
            return false;
        }
        Err((file, Lack::Absent)) if !back => {
            round
                .findings
                .add(Finding::file("missing", &file, "it is missing"));
            return false;
        }
        Err((file, Lack::Failed(what))) if !back => {
            round.unknown.push(format!("{file}: {what}"));
            return false;
        }
        _ => {}
    }
    let what = format!(
        "ROLLBACK: the log shows a head of {} records after one of {} was seen \
         (an old cache, or a log that was restored from a backup)",
        now.tree.size, before.tree.size
    );
    round
        .findings
        .add(Finding::file("rollback", now.form.head(), what));
    round.evidence = Some(evidence(older, newer, older.tree.hash, &[]));
    false
}

/// Both heads as they were signed, and what was computed from the tiles.
fn evidence(older: &Head, newer: &Head, root: Hash, proof: &[Hash]) -> String {
    let mut text = String::from("Two heads of one log, as it signed them.\n");
    for head in [older, newer] {
        text += &format!("\n--- {} records\n", head.tree.size);
        text += &String::from_utf8_lossy(&head.note);
    }
    text += &format!(
        "\n--- root at {} records in the larger tree\n{root}\n",
        older.tree.size
    );
    text += "\n--- consistency proof from there to the larger tree's root (RFC 6962, 2.1.2)\n";
    for hash in proof {
        text += &format!("{hash}\n");
    }
    text
}

/// Reads the records behind `from` and checks that they have the root of `now`.
async fn replay(
    source: &Source,
    options: &Options,
    from: TreeHead,
    now: &Head,
    round: &mut Round,
) -> bool {
    let mut edge = match edge(source, now, from).await {
        Ok(edge) => edge,
        Err(Ok(finding)) => {
            round.findings.add(finding);
            return false;
        }
        Err(Err(what)) => {
            round.unknown.push(what);
            return false;
        }
    };
    let reading = Reading {
        source: source.clone(),
        forms: vec![now.form],
        size: now.tree.size,
        go_records: true,
        keep_records: true,
    };
    let last = if from.size == now.tree.size {
        from.size / WIDTH
    } else {
        reading.tiles()
    };
    let each = |n| tokio::spawn(reading.clone().leaves(n));
    let mut tiles = stream::iter(from.size / WIDTH..last)
        .map(each)
        .buffered(options.jobs.max(1));
    while let Some(tile) = tiles.next().await {
        let Ok((n, row, outcome)) = tile else {
            round.unknown.push("a task failed".into());
            return false;
        };
        round.unknown.extend(outcome.unknown);
        round.findings.extend(outcome.findings);
        let skip = usize::try_from(from.size.saturating_sub(n * WIDTH)).unwrap_or(usize::MAX);
        // Where the files contradict each other the first is as good as any: the root will tell.
        let leaves = match row {
            Row::Agreed(leaves) => leaves,
            Row::Disputed(copies) => copies
                .into_iter()
                .next()
                .map(|c| c.hashes)
                .unwrap_or_default(),
            Row::Lost(_) => return false,
        };
        let added = leaves.get(skip..).unwrap_or_default();
        match plan(&edge, added) {
            Ok(batch) => edge = batch.edge,
            Err(_) => return false,
        }
        for (id, text) in outcome.texts {
            if id >= from.size {
                watch(options, id, &text, round);
            }
        }
    }
    let proved = edge.head() == now.tree;
    if !proved && round.findings.is_empty() {
        let what = "the records that were added do not have the root that was signed";
        round
            .findings
            .add(Finding::file("root", now.form.head(), what));
    }
    if !proved {
        round.new.clear();
    }
    proved && round.unknown.is_empty() && round.findings.is_empty()
}

/// The right edge of the older tree, out of the tiles of the newer one.
async fn edge(
    source: &Source,
    now: &Head,
    from: TreeHead,
) -> Result<Edge, Result<Finding, String>> {
    let mut contents = Vec::new();
    for tile in Edge::tiles(from.size) {
        let wide = Tile::in_tree(HEIGHT, tile.level(), tile.n(), now.tree.size).unwrap_or(tile);
        let file = now.form.path(wide);
        match source.hashes(now.form, wide).await {
            Ok(bytes) if bytes.len() >= tile.byte_len() => {
                contents.push(bytes.slice(..tile.byte_len()));
            }
            Ok(_) => return Err(Ok(Finding::file("tile", &file, "it is too short"))),
            Err(Lack::Absent) => return Err(Ok(Finding::file("missing", &file, "it is missing"))),
            Err(Lack::Failed(what)) => return Err(Err(format!("{file}: {what}"))),
        }
    }
    Edge::restore(&from, &contents).map_err(|error| {
        let what = format!("the tiles on the log's right edge are wrong: {error}");
        Ok(Finding::file("tile", now.form.head(), what))
    })
}

fn watch(options: &Options, id: u64, text: &str, round: &mut Round) {
    let Ok(record) = GoRecord::parse(text) else {
        return;
    };
    if !options.watch_all && !options.watch.matches(record.module) {
        return;
    }
    if round.new.len() == NEW_MAX {
        round.left_out += 1;
        return;
    }
    round.new.push(New {
        id,
        module: record.module.into(),
        version: record.version.into(),
        h1: record.zip.into(),
        gomod: record.go_mod.into(),
    });
}
