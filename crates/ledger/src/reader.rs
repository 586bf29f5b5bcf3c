//! Reading the published log. Everything that leaves is compared with a hash first, and the proofs
//! are checked before they are given: damage on the disk becomes an error here and never a
//! `SECURITY ERROR` on every client.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tlog::edge::Edge;
use tlog::note::VerifierKey;
use tlog::record::data_tile;
use tlog::tile::{HEIGHT, Level};
use tlog::tree::{self, Node, TreeError};
use tlog::{Hash, Tile};
use tokio::sync::watch;

use crate::commit::leaves;
use crate::error::LedgerError;
use crate::flat::Flats;
use crate::frame::{entry, push_entry};
use crate::index::Index;
use crate::record::{Key, RECORD_BYTES_MAX};
use crate::segments::{Position, Segments};

/// Most records of one [`Reader::records`].
pub const RECORDS_MAX: u64 = 4096;

/// Records read at once: a tile.
const TILE: u64 = 1 << HEIGHT;

/// First read of a record; nearly all are shorter.
const RECORD_GUESS: usize = 512;

/// A tile's records lie in at most 256 frames, each with notes and a header of some hundred bytes
/// and with records of at most 16 KiB: far below this. Beyond it an offset is wrong.
const SPAN_BYTES_MAX: u64 = 16 << 20;

/// A published head: what everybody may see.
#[derive(Clone, Debug)]
pub struct Head {
    /// The number of records.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The note for `/latest`: Go's `go.sum database tree`.
    pub latest: Bytes,
    /// The note for `/checkpoint`: C2SP, with the key's name as origin, and with the cosignatures
    /// that were set for this size.
    pub checkpoint: Bytes,
    pub(crate) edge: Arc<Edge>,
}

/// The newest checkpoint that witnesses have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The number of records.
    pub size: u64,
    /// The root.
    pub root: Hash,
    /// The note for `/latest` of the same head.
    pub latest: Bytes,
    /// The note with our signature and theirs.
    pub checkpoint: Bytes,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub id: u64,
    /// Its text.
    pub text: String,
}

/// The published log, to read. Cheap to clone; all methods may be called from any thread and block
/// on the disk for some microseconds.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// What the reader, the writer and the applier share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub dir: PathBuf,
    pub key: VerifierKey,
    pub segments: Segments,
    pub flats: Flats,
    pub index: Index,
    /// Rows that are published and not in the index yet.
    pub recent: RwLock<HashMap<Key, u64>>,
    pub head: watch::Sender<Arc<Head>>,
    pub cosigned: RwLock<Option<Arc<Cosigned>>>,
    /// Held while a cosigned checkpoint is written.
    pub cosigning: Mutex<()>,
}

impl Reader {
    /// The newest published head.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.shared.head.borrow())
    }

    /// Tells of each new head, for those who push it to witnesses.
    pub fn heads(&self) -> watch::Receiver<Arc<Head>> {
        self.shared.head.subscribe()
    }

    /// The key's public part.
    pub fn key(&self) -> &VerifierKey {
        &self.shared.key
    }

    /// The record of a module version, if it has one.
    pub fn lookup(&self, module: &str, version: &str) -> Result<Option<Found>, LedgerError> {
        let size = self.head().size;
        let key = Key::of(module, version);
        let Some(id) = self.shared.find(&key)?.filter(|id| *id < size) else {
            return Ok(None);
        };
        let text = self.shared.text(id)?;
        if Key::of_text(&text)? != key {
            let path = self.shared.dir.join("index");
            return Err(LedgerError::derived(
                &path,
                format!("record {id} is another"),
            ));
        }
        Ok(Some(Found { id, text }))
    }

    /// The first `width` hashes of a tile (height 8); `None` unless the published log has them.
    pub fn tile(&self, level: u8, n: u64, width: u32) -> Result<Option<Bytes>, LedgerError> {
        let head = self.head();
        let Some(whole) = within(&head, Level::Hashes(level), n, width) else {
            return Ok(None);
        };
        let mut bytes = if whole.is_full() {
            self.shared.full_tile(whole, level)?
        } else {
            let hashes = head.edge.partial_tile(level);
            hashes.iter().flat_map(|hash| hash.0).collect()
        };
        let len = width as usize * tlog::hash::HASH_BYTES;
        if bytes.len() < len {
            let path = self.shared.dir.join("hashes");
            return Err(LedgerError::derived(&path, format!("{whole} is short")));
        }
        bytes.truncate(len);
        Ok(Some(bytes.into()))
    }

    /// The first `width` records of a data tile as Go's checksum database serves them: texts
    /// separated by blank lines, none at the end.
    pub fn data_tile(&self, n: u64, width: u32) -> Result<Option<Bytes>, LedgerError> {
        let texts = self.tile_texts(n, width)?;
        Ok(texts.map(|texts| Bytes::from(data_tile(texts.iter().map(String::as_str)))))
    }

    /// The first `width` records of a tile as C2SP logs serve them: each behind its length.
    pub fn entries(&self, n: u64, width: u32) -> Result<Option<Bytes>, LedgerError> {
        let texts = self.tile_texts(n, width)?;
        Ok(texts.map(|texts| {
            let mut entries = Vec::new();
            for text in &texts {
                push_entry(&mut entries, text);
            }
            entries.into()
        }))
    }

    /// The texts of records, at most [`RECORDS_MAX`] of them: ask again for the rest.
    pub fn records(&self, range: Range<u64>) -> Result<Vec<String>, LedgerError> {
        let size = self.head().size;
        if range.start > range.end || range.end > size {
            let asked = range.end.max(range.start);
            return Err(LedgerError::OutOfRange { asked, size });
        }
        let end = range.end.min(range.start.saturating_add(RECORDS_MAX));
        let mut texts = Vec::new();
        let mut from = range.start;
        while from < end {
            let count = (end - from).min(TILE);
            texts.append(&mut self.shared.texts(from, count)?);
            from += count;
        }
        Ok(texts)
    }

    /// The proof that the tree of `size` records holds record `id`.
    pub fn prove_inclusion(&self, id: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.within(size)?;
        let read = |node| self.shared.node(node);
        let proof = prove(|read| tree::prove_inclusion(size, id, read), read)?;
        let leaf = read(Node::new(0, id).ok_or(LedgerError::OutOfRange { asked: id, size })?)?;
        let root = self.root(size)?;
        self.check(tree::check_inclusion(&proof, size, &root, id, &leaf))?;
        Ok(proof)
    }

    /// The proof that the tree of `new` records begins with that of `old`, both at least one.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.within(new)?;
        let read = |node| self.shared.node(node);
        let proof = prove(|read| tree::prove_consistency(new, old, read), read)?;
        let (old_root, root) = (self.root(old)?, self.root(new)?);
        self.check(tree::check_consistency(&proof, new, &root, old, &old_root))?;
        Ok(proof)
    }

    /// The root of the tree of the first `size` records.
    pub fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        let head = self.within(size)?;
        if size == head.size {
            return Ok(head.root);
        }
        self.shared.root(size)
    }

    /// The newest checkpoint with cosignatures, if there ever was one; it survives restarts.
    pub fn cosigned(&self) -> Option<Arc<Cosigned>> {
        let cosigned = self.shared.cosigned.read();
        cosigned.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn within(&self, size: u64) -> Result<Arc<Head>, LedgerError> {
        let head = self.head();
        if size > head.size {
            return Err(LedgerError::OutOfRange {
                asked: size,
                size: head.size,
            });
        }
        Ok(head)
    }

    fn check(&self, proof: Result<(), TreeError>) -> Result<(), LedgerError> {
        let path = self.shared.dir.join("hashes");
        proof.map_err(|_| LedgerError::derived(&path, "a proof made of them does not hold"))
    }

    fn tile_texts(&self, n: u64, width: u32) -> Result<Option<Vec<String>>, LedgerError> {
        let head = self.head();
        match within(&head, Level::Data, n, width) {
            Some(_) => self.shared.texts(n << HEIGHT, u64::from(width)).map(Some),
            None => Ok(None),
        }
    }
}

/// The tile as wide as the published tree makes it, if that is wide enough.
fn within(head: &Head, level: Level, n: u64, width: u32) -> Option<Tile> {
    let whole = Tile::in_tree(HEIGHT, level, n, head.size)?;
    (width >= 1 && width <= whole.width()).then_some(whole)
}

/// Makes a proof with hashes whose reading may fail.
fn prove(
    make: impl FnOnce(&mut dyn FnMut(Node) -> Option<Hash>) -> Result<Vec<Hash>, TreeError>,
    read: impl Fn(Node) -> Result<Hash, LedgerError>,
) -> Result<Vec<Hash>, LedgerError> {
    let mut failed = None;
    let mut hash = |node| match read(node) {
        Ok(hash) => Some(hash),
        Err(error) => {
            failed.get_or_insert(error);
            None
        }
    };
    match (make(&mut hash), failed) {
        (Ok(proof), _) => Ok(proof),
        (Err(_), Some(error)) => Err(error),
        (Err(TreeError::OutOfRange { index, size }), None) => {
            Err(LedgerError::OutOfRange { asked: index, size })
        }
        (Err(_), None) => Err(LedgerError::Invalid("no such proof")),
    }
}

impl Shared {
    /// The record of a key, published or about to be.
    pub fn find(&self, key: &Key) -> Result<Option<u64>, LedgerError> {
        // In this order: a row leaves the map only after it is in the index.
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let id = recent.get(key).copied();
        drop(recent);
        match id {
            Some(id) => Ok(Some(id)),
            None => self.index.get(key),
        }
    }

    /// The records of many keys.
    pub fn find_all(&self, keys: &[Key]) -> Result<Vec<Option<u64>>, LedgerError> {
        // In the order of `find`.
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<_> = keys.iter().map(|key| recent.get(key).copied()).collect();
        drop(recent);
        let missing = |id: &Option<u64>| id.is_none();
        let unknown = keys.iter().zip(&ids).filter(|(_, id)| missing(id));
        let unknown: Vec<Key> = unknown.map(|(key, _)| *key).collect();
        let found = self.index.get_all(&unknown)?;
        let gaps = ids.iter_mut().filter(|id| missing(id));
        gaps.zip(found).for_each(|(gap, id)| *gap = id);
        Ok(ids)
    }

    /// The text of one record, compared with its leaf.
    pub fn text(&self, id: u64) -> Result<String, LedgerError> {
        let places = self.flats.places(id, 1)?;
        let place = places.first().copied().unwrap_or_default();
        let mut bytes = self.segments.read(place, RECORD_GUESS)?;
        if let Some(len) = bytes.first_chunk::<2>().copied().map(u16::from_be_bytes) {
            let len = 2 + usize::from(len);
            if len > bytes.len() {
                bytes = self.segments.read(place, len)?;
            }
        }
        let text = entry(&bytes, 0).ok_or_else(|| self.not_a_record(id))?;
        self.check_leaves(id, &[text])?;
        Ok(text.to_owned())
    }

    /// The texts of up to a tile of records, compared with their leaves.
    pub fn texts(&self, from: u64, count: u64) -> Result<Vec<String>, LedgerError> {
        let places = self.flats.places(from, count as usize)?;
        let mut texts = Vec::with_capacity(places.len());
        for run in places.chunk_by(|one, next| one.segment == next.segment) {
            self.run_texts(from + texts.len() as u64, run, &mut texts)?;
        }
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.check_leaves(from, &borrowed)?;
        Ok(texts)
    }

    /// The texts of records that follow each other in one file: one read.
    fn run_texts(
        &self,
        from: u64,
        run: &[Position],
        texts: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let span = last.offset.checked_sub(first.offset);
        let span = span.filter(|span| *span <= SPAN_BYTES_MAX);
        let span = span.ok_or_else(|| self.not_a_record(from))?;
        let bytes = self
            .segments
            .read(*first, span as usize + 2 + RECORD_BYTES_MAX)?;
        for (id, place) in (from..).zip(run) {
            let at = place.offset.checked_sub(first.offset);
            let text = at.and_then(|at| entry(&bytes, at as usize));
            texts.push(text.ok_or_else(|| self.not_a_record(id))?.to_owned());
        }
        Ok(())
    }

    fn not_a_record(&self, id: u64) -> LedgerError {
        let path = self.dir.join("offsets");
        LedgerError::derived(&path, format!("record {id} is not where it says"))
    }

    fn check_leaves(&self, from: u64, texts: &[&str]) -> Result<(), LedgerError> {
        let stored = self.flats.hashes(0, from, texts.len())?;
        let (stored, _) = stored.as_chunks::<{ tlog::hash::HASH_BYTES }>();
        let differs = leaves(texts)
            .iter()
            .zip(stored)
            .position(|(leaf, stored)| leaf.0 != *stored);
        match differs {
            None => Ok(()),
            Some(at) => {
                let path = self.dir.join("hashes").join("0");
                let what = format!("record {} and its hash differ", from + at as u64);
                Err(LedgerError::derived(&path, what))
            }
        }
    }

    /// A full tile, compared with the hash above it.
    fn full_tile(&self, tile: Tile, level: u8) -> Result<Vec<u8>, LedgerError> {
        let bytes = self
            .flats
            .hashes(level, tile.n() << HEIGHT, TILE as usize)?;
        let above = self.flats.hashes(level + 1, tile.n(), 1)?;
        let root = tile.root_hash(&bytes);
        if root.is_none_or(|root| root.0[..] != above[..]) {
            let path = self.dir.join("hashes").join(level.to_string());
            let what = format!("{tile} is not what the hash above it says");
            return Err(LedgerError::derived(&path, what));
        }
        Ok(bytes)
    }

    pub fn node(&self, node: Node) -> Result<Hash, LedgerError> {
        let path = self.dir.join("hashes");
        let none = || LedgerError::derived(&path, "there is no such hash");
        let tile = Tile::for_node(HEIGHT, node).ok_or_else(none)?;
        let Level::Hashes(level) = tile.level() else {
            return Err(none());
        };
        let bytes = self
            .flats
            .hashes(level, tile.n() << HEIGHT, tile.width() as usize)?;
        tile.node_hash(&bytes, node).ok_or_else(none)
    }

    pub fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        let hash = prove(
            |read| tree::root(size, read).map(|root| vec![root]),
            |node| self.node(node),
        )?;
        hash.first()
            .copied()
            .ok_or(LedgerError::Invalid("no such tree"))
    }
}
