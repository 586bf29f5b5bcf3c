//! A checksum database in memory, honest by itself.
//!
//! It keeps every hash it ever computed, so it can answer as of any earlier size. To make it lie,
//! clone it and let the copies go different ways (a fork under one key), ask for an earlier head
//! (a rewind), sign a text of your own, or change the bytes of an answer.

use std::collections::HashMap;

use tlog::Hash;
use tlog::edge::{Edge, EdgeError, plan};
use tlog::head::{Checkpoint, TreeHead};
use tlog::note::{self, KeyError, Signer};
use tlog::record::{Record, data_tile, go_sum_text};
use tlog::tile::{HEIGHT, Level, Tile};
use tlog::tree::{self, Node};

/// The log.
#[derive(Clone, Debug)]
pub struct MemLog {
    signer: Signer,
    height: u8,
    records: Vec<String>,
    /// Per tree level, the hashes of its complete subtrees.
    levels: Vec<Vec<Hash>>,
    numbers: HashMap<(String, String), u64>,
}

impl MemLog {
    /// An empty log of this name, whose key is made from `seed`, with tiles of height eight.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        Ok(Self {
            signer: Signer::from_seed(name, &seed)?,
            height: HEIGHT,
            records: Vec::new(),
            levels: Vec::new(),
            numbers: HashMap::new(),
        })
    }

    /// The same log with tiles of another height: deep trees with few records.
    #[must_use]
    pub fn with_height(mut self, height: u8) -> Self {
        self.height = height;
        self
    }

    /// The verifier key, as in `GOSUMDB`.
    pub fn vkey(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// Appends the record of a module version and returns its number. The sums begin with `h1:`.
    pub fn add(&mut self, module: &str, version: &str, zip: &str, go_mod: &str) -> u64 {
        let id = self.append(&go_sum_text(module, version, zip, go_mod));
        self.assign(module, version, id);
        id
    }

    /// Appends any text and returns its number; no lookup leads there.
    pub fn append(&mut self, record: &str) -> u64 {
        let id = self.size();
        self.records.push(record.to_owned());
        let mut hash = Hash::leaf(record.as_bytes());
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => {
                    hash = Hash::node(left, right);
                }
                _ => break,
            }
        }
        id
    }

    /// Lets lookups of a module version lead to record `id`, whatever that is.
    pub fn assign(&mut self, module: &str, version: &str, id: u64) {
        let key = (module.to_owned(), version.to_owned());
        self.numbers.insert(key, id);
    }

    /// How many records there are.
    pub fn size(&self) -> u64 {
        self.records.len() as u64
    }

    /// The hash of a complete subtree.
    pub fn node(&self, node: Node) -> Option<Hash> {
        let row = self.levels.get(usize::from(node.level()))?;
        row.get(usize::try_from(node.n()).ok()?).copied()
    }

    /// The tree as it was with `size` records.
    pub fn head(&self, size: u64) -> Option<TreeHead> {
        let hash = tree::root(size, |node| self.node(node)).ok()?;
        Some(TreeHead { size, hash })
    }

    /// The signed head of that tree.
    pub fn signed(&self, size: u64) -> Option<Vec<u8>> {
        self.sign(&self.head(size)?.to_text())
    }

    /// The C2SP checkpoint of that tree, with the log's name as origin.
    pub fn checkpoint(&self, size: u64) -> Option<Vec<u8>> {
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            head: self.head(size)?,
            extensions: Vec::new(),
        };
        self.sign(&checkpoint.to_text())
    }

    /// Any text under the log's key.
    pub fn sign(&self, text: &str) -> Option<Vec<u8>> {
        note::sign(text, &[&self.signer]).ok()
    }

    /// A tile of hashes or of records, if the log has grown that far.
    pub fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        let width = usize::try_from(tile.width()).ok()?;
        let start = usize::try_from(tile.n().checked_shl(tile.height().into())?).ok()?;
        let places = start..start.checked_add(width)?;
        match tile.level() {
            Level::Data => {
                let records = self.records.get(places)?.iter().map(String::as_str);
                Some(data_tile(records).into_bytes())
            }
            Level::Hashes(level) => {
                let row = usize::from(level) * usize::from(tile.height());
                let hashes = self.levels.get(row)?.get(places)?;
                Some(hashes.iter().flat_map(|hash| hash.0).collect())
            }
        }
    }

    /// The answer to a lookup, with the head of the whole log.
    pub fn lookup(&self, module: &str, version: &str) -> Option<Vec<u8>> {
        self.lookup_at(module, version, self.size())
    }

    /// The answer to a lookup, with the head of the log as it was with `size` records.
    pub fn lookup_at(&self, module: &str, version: &str, size: u64) -> Option<Vec<u8>> {
        let key = (module.to_owned(), version.to_owned());
        self.record_at(*self.numbers.get(&key)?, size)
    }

    /// The answer with record `id` and the head of the log as it was with `size` records.
    pub fn record_at(&self, id: u64, size: u64) -> Option<Vec<u8>> {
        let text = self.records.get(usize::try_from(id).ok()?)?;
        let mut answer = Record::new(id, text).ok()?.to_answer().into_bytes();
        answer.extend(self.signed(size)?);
        Some(answer)
    }

    /// The answer to a request of the go command or of a C2SP client, such as `/latest`,
    /// `/lookup/M@V`, `/tile/8/0/000.p/3` or `/checkpoint`; `None` is a 404.
    ///
    /// If `tidy`, a partial tile is gone once the full one is there.
    pub fn answer(&self, path: &str, tidy: bool) -> Option<Vec<u8>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        match path {
            "supported" => return Some(Vec::new()),
            "latest" => return self.signed(self.size()),
            "checkpoint" => return self.checkpoint(self.size()),
            _ => {}
        }
        if let Some(coordinate) = path.strip_prefix("lookup/") {
            let (module, version) = coordinate.split_once('@')?;
            return self.lookup(&unescape(module), &unescape(version));
        }
        let tile = Tile::parse(path)
            .ok()
            .filter(|tile| tile.height() == self.height)
            .or_else(|| Tile::parse_c2sp(path).ok().filter(is_hashes))?;
        if tidy && !tile.is_full() && self.tile(tile.full()).is_some() {
            return None;
        }
        self.tile(tile)
    }

    /// The right edge, as a log that appends would hold it.
    pub fn edge(&self) -> Result<Edge, EdgeError> {
        let leaves = self.levels.first().map(Vec::as_slice).unwrap_or_default();
        plan(&Edge::default(), leaves).map(|batch| batch.edge)
    }
}

/// Entry bundles of C2SP are written otherwise than data tiles, and not served here.
fn is_hashes(tile: &Tile) -> bool {
    tile.level() != Level::Data
}

/// `!a` is `A`, and on the wire `!` may be `%21`.
fn unescape(text: &str) -> String {
    let text = text.replace("%21", "!");
    let mut upper = false;
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '!' => upper = true,
            c if upper => {
                plain.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => plain.push(c),
        }
    }
    plain
}
