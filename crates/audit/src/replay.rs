//! Replaying a log tile by tile.
//!
//! Every hash is there several times: in the records, in the tile over them, in the tile above that,
//! perhaps in both forms. Where they contradict each other the one that fits what is above it is
//! right, so a wrong byte is found in the file that holds it and not only somewhere.

use crate::finding::Finding;
use crate::grammar::{GoRecord, oddity};
use crate::names::name;
use crate::source::{Form, Lack, Source};
use bytes::Bytes;
use std::collections::HashMap;
use tlog::Hash;
use tlog::hash::HASH_BYTES;
use tlog::tile::{HEIGHT, Level, Tile};
use tlog::tree::{self, Node};

/// Hashes of a full tile.
pub const WIDTH: u64 = 1 << HEIGHT;

/// What a replay reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Where from.
    pub source: Source,
    /// In which forms.
    pub forms: Vec<Form>,
    /// How many records the log has.
    pub size: u64,
    /// Whether records must be those of a checksum database.
    pub go_records: bool,
    /// Whether the texts of the records are handed out.
    pub keep_records: bool,
}

/// What came of some files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be found out.
    pub unknown: Vec<String>,
    /// Names of the records, with their numbers.
    pub names: Vec<([u8; 16], u64)>,
    /// The records' texts, if they are wanted.
    pub texts: Vec<(u64, String)>,
    /// Records that the go command of today would not take.
    pub odd: Vec<String>,
    /// How many files were read.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many records were judged.
    pub records: u64,
}

/// The hashes of some leaves.
#[derive(Debug)]
pub enum Row {
    /// Nothing contradicts them.
    Agreed(Vec<Hash>),
    /// The last tile is not full, so nothing is above it but the root: that decides later.
    Disputed(Vec<Copy>),
    /// None is to be had; perhaps the tile above knows what they come to.
    Lost(Option<Hash>),
}

/// One file's word about the leaves of a tile.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The file.
    file: String,
    /// Its hashes, or those of its records.
    pub hashes: Vec<Hash>,
    /// The records, where it holds them.
    records: Option<(Form, Bytes)>,
}

impl Reading {
    /// How many level-0 tiles there are.
    pub fn tiles(&self) -> u64 {
        self.size.div_ceil(WIDTH)
    }

    /// Reads the records and hashes of tile `n`, and says which leaves they are.
    pub async fn leaves(self, n: u64) -> (u64, Row, Outcome) {
        let mut outcome = Outcome::default();
        let mut copies = Vec::new();
        for form in &self.forms {
            for level in [Level::Data, Level::Hashes(0)] {
                if let Some(tile) = Tile::in_tree(HEIGHT, level, n, self.size) {
                    copies.extend(self.copy(*form, tile, &mut outcome).await);
                }
            }
        }
        let agreed = copies
            .windows(2)
            .all(|pair| pair[0].hashes == pair[1].hashes);
        let full = (n + 1) * WIDTH <= self.size;
        let row = match (copies.first(), agreed) {
            (Some(first), true) => Row::Agreed(first.hashes.clone()),
            (None, _) => Row::Lost(self.above(n).await),
            (Some(_), false) if !full => Row::Disputed(copies.clone()),
            (Some(_), false) => self.decide(n, &copies, &mut outcome).await,
        };
        if let Row::Agreed(hashes) = &row {
            self.judge(n, &copies, hashes, &mut outcome);
        }
        (n, row, outcome)
    }

    /// Settles a dispute: `hashes` were found to be right.
    pub fn settle(&self, n: u64, copies: &[Copy], hashes: &[Hash]) -> Outcome {
        let mut outcome = Outcome::default();
        blame(copies, hashes, &mut outcome);
        self.judge(n, copies, hashes, &mut outcome);
        outcome
    }

    async fn copy(&self, form: Form, tile: Tile, outcome: &mut Outcome) -> Option<Copy> {
        let file = form.path(tile);
        let bytes = match self.source.tile(form, tile).await {
            Ok(bytes) => bytes,
            Err(Lack::Absent) => {
                outcome
                    .findings
                    .push(Finding::file("missing", &file, "it is missing"));
                return None;
            }
            Err(Lack::Failed(what)) => {
                outcome.unknown.push(format!("{file}: {what}"));
                return None;
            }
        };
        outcome.files += 1;
        outcome.bytes += bytes.len() as u64;
        let read = match tile.level() {
            Level::Data => leaf_hashes(form, tile, &bytes),
            Level::Hashes(_) => tile_hashes(tile, &bytes),
        };
        match read {
            Ok(hashes) => Some(Copy {
                file,
                hashes,
                records: (tile.level() == Level::Data).then_some((form, bytes)),
            }),
            Err(what) => {
                outcome.findings.push(Finding::file("tile", &file, what));
                None
            }
        }
    }

    /// What the tile above says that the full tile `n` comes to.
    async fn above(&self, n: u64) -> Option<Hash> {
        let tile = Tile::in_tree(HEIGHT, Level::Hashes(1), n / WIDTH, self.size)?;
        let place = (n % WIDTH) as usize;
        for form in &self.forms {
            if let Ok(bytes) = self.source.hashes(*form, tile).await
                && let Ok(hashes) = tile_hashes(tile, &bytes)
                && let Some(hash) = hashes.get(place)
            {
                return Some(*hash);
            }
        }
        None
    }

    async fn decide(&self, n: u64, copies: &[Copy], outcome: &mut Outcome) -> Row {
        let above = self.above(n).await;
        let right = copies.iter().find(|copy| subtree(&copy.hashes) == above);
        if let Some(right) = right {
            blame(copies, &right.hashes, outcome);
            return Row::Agreed(right.hashes.clone());
        }
        let files: Vec<&str> = copies.iter().map(|copy| copy.file.as_str()).collect();
        for copy in copies {
            let what = format!("{} contradict each other", files.join(" and "));
            outcome
                .findings
                .push(Finding::file("tile", &copy.file, what));
        }
        Row::Lost(above)
    }

    /// Judges the records of the right leaves.
    fn judge(&self, n: u64, copies: &[Copy], right: &[Hash], outcome: &mut Outcome) {
        let Some((copy, (form, bytes))) = copies
            .iter()
            .filter(|copy| copy.hashes == right)
            .find_map(|copy| Some((copy, copy.records.as_ref()?)))
        else {
            return;
        };
        let Ok(records) = form.records(bytes) else {
            return;
        };
        for (i, record) in records.iter().take(right.len()).enumerate() {
            outcome.records += 1;
            let id = n * WIDTH + i as u64;
            if self.keep_records {
                outcome
                    .texts
                    .push((id, String::from_utf8_lossy(record).into_owned()));
            }
            if !self.go_records {
                continue;
            }
            let parsed = std::str::from_utf8(record)
                .map_err(|_| "it is not UTF-8")
                .and_then(GoRecord::parse);
            match parsed {
                Ok(parsed) => {
                    outcome
                        .names
                        .push((name(parsed.module, parsed.version), id));
                    outcome
                        .odd
                        .extend(oddity(&parsed).map(|what| format!("record {id}: {what}")));
                }
                Err(what) => {
                    let finding = Finding::record("record", &copy.file, id, what);
                    outcome.findings.push(finding);
                }
            }
        }
    }

    /// Compares tile `n` of a higher level with what it must be.
    pub async fn upper(self, level: u8, n: u64, wanted: Vec<Option<Hash>>) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(tile) = Tile::in_tree(HEIGHT, Level::Hashes(level), n, self.size) else {
            return outcome;
        };
        for form in &self.forms {
            let Some(copy) = self.copy(*form, tile, &mut outcome).await else {
                continue;
            };
            let differs =
                |(found, wanted): (&Hash, &Option<Hash>)| wanted.is_some_and(|w| w != *found);
            let wrong: Vec<usize> = (0..wanted.len().min(copy.hashes.len()))
                .filter(|i| differs((&copy.hashes[*i], &wanted[*i])))
                .collect();
            if let Some(first) = wrong.first() {
                let below = n * WIDTH + *first as u64;
                let what = format!(
                    "hash {first} is not that of tile {below} below it ({} of {} hashes are wrong)",
                    wrong.len(),
                    wanted.len(),
                );
                outcome
                    .findings
                    .push(Finding::file("tile", &copy.file, what));
            }
        }
        outcome
    }
}

/// Names every file that says something else than the right hashes.
fn blame(copies: &[Copy], right: &[Hash], outcome: &mut Outcome) {
    for copy in copies.iter().filter(|copy| copy.hashes != right) {
        let at = copy.hashes.iter().zip(right).position(|(a, b)| a != b);
        let which = at.map_or_else(String::new, |i| format!("entry {i} "));
        let what = format!("{which}is not what the signed tree holds");
        outcome
            .findings
            .push(Finding::file("tile", &copy.file, what));
    }
}

fn leaf_hashes(form: Form, tile: Tile, bytes: &[u8]) -> Result<Vec<Hash>, String> {
    let records = form.records(bytes)?;
    let width = tile.width() as usize;
    if records.len() != width && records.len() != tile.full().width() as usize {
        return Err(format!("it has {} records, not {width}", records.len()));
    }
    Ok(records[..width]
        .iter()
        .map(|record| Hash::leaf(record))
        .collect())
}

fn tile_hashes(tile: Tile, bytes: &[u8]) -> Result<Vec<Hash>, String> {
    let (exact, full) = (tile.byte_len(), tile.full().byte_len());
    if bytes.len() != exact && bytes.len() != full {
        return Err(format!("it has {} bytes, not {exact}", bytes.len()));
    }
    let (hashes, _) = bytes[..exact].as_chunks::<HASH_BYTES>();
    Ok(hashes.iter().copied().map(Hash).collect())
}

/// The hash over a full tile's hashes, or over part of them; `None` unless they are a power of two.
pub fn subtree(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    if !row.len().is_power_of_two() {
        return None;
    }
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| Hash::node(&pair[0], &pair[1]))
            .collect();
    }
    row.first().copied()
}

/// What is known of a tree's hashes: the full tiles of every level, and the leaves of few.
#[derive(Debug, Default)]
pub struct Known {
    /// `rows[0]` are the hashes over full level-0 tiles, `rows[1]` over full level-1 tiles, and so on.
    pub rows: Vec<Vec<Option<Hash>>>,
    /// The leaves of the tiles in which heads end.
    pub leaves: HashMap<u64, Vec<Hash>>,
}

impl Known {
    /// The hashes over the full tiles of `row`, and those tiles with what must be in each: the
    /// level above.
    pub fn climb(row: &[Option<Hash>]) -> Vec<Option<Hash>> {
        let (full, _) = row.as_chunks::<{ WIDTH as usize }>();
        full.iter()
            .map(|tile| {
                let all: Option<Vec<Hash>> = tile.iter().copied().collect();
                subtree(&all?)
            })
            .collect()
    }

    /// The root of the tree of `size`, if enough is known.
    pub fn root(&self, size: u64) -> Option<Hash> {
        tree::root(size, |node| self.hash(node)).ok()
    }

    fn hash(&self, node: Node) -> Option<Hash> {
        let height = HEIGHT;
        if node.level() < height {
            let tile = node.n() >> (height - node.level());
            let start = (node.n() << node.level()) - (tile << height);
            let places = start as usize..(start + (1 << node.level())) as usize;
            return subtree(self.leaves.get(&tile)?.get(places)?);
        }
        let inside = node.level() % height;
        let row = self.rows.get(usize::from(node.level() / height) - 1)?;
        let start = usize::try_from(node.n() << inside).ok()?;
        let hashes: Option<Vec<Hash>> = row
            .get(start..start + (1 << inside))?
            .iter()
            .copied()
            .collect();
        subtree(&hashes?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn roots_of_any_size_come_from_full_tiles_and_the_leaves_of_the_last() {
        let leaves: Vec<Hash> = (0..70_000_u32)
            .map(|i| Hash::leaf(&i.to_be_bytes()))
            .collect();
        let row: Vec<Option<Hash>> = leaves.chunks_exact(256).map(subtree).collect();
        for size in [
            0_usize, 1, 255, 256, 257, 512, 1000, 65_535, 65_536, 65_537, 69_999,
        ] {
            let mut known = Known::default();
            known.rows.push(row[..size / 256].to_vec());
            known.rows.push(Known::climb(&known.rows[0]));
            let last = size / 256 * 256;
            known
                .leaves
                .insert(size as u64 / 256, leaves[last..size].to_vec());
            let whole = tlog::edge::plan(&tlog::edge::Edge::default(), &leaves[..size]).unwrap();
            assert_eq!(known.root(size as u64), Some(whole.head.hash), "{size}");
        }
    }
}
