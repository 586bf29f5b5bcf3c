//! A client that believes nothing it cannot prove, and does no I/O.
//!
//! A [`Verifier`] holds one pinned key. Each question is a [`Session`]: ask it for a [`Step`],
//! fetch the tiles it needs, hand over whatever came back, ask again, until it is done or fails.
//!
//! ```text
//! let mut session = verifier.lookup(held.as_ref(), module, version, &answer)?;
//! let verified = loop {
//!     match session.step()? {
//!         Step::Done(verified) => break verified,
//!         Step::Need(requests) => for request in requests {
//!             session.supply(request.tile, /* Kept, Fetched or NotFound */);
//!         },
//!     }
//! };
//! ```
//!
//! **Bytes handed over are never trusted**, kept ones no more than fetched ones: every tile is
//! proved against a signed head before a hash in it is used or the tile is given back for keeping.
//! A kept tile that does not fit is asked for anew ([`TileRequest::fresh`]), so a spoilt cache
//! heals, and a database that changed its past is judged by what it says now.
//!
//! **The held head** is a snapshot, the newest one proved so far. Sessions do not change it: they
//! return a newer head where they proved one, and the caller installs it by comparing and swapping.
//! If the held head has changed meanwhile, run the session again with the new one: two sessions
//! could each prove a different continuation of the same old head. Any number may run at once.
//!
//! Three flaws of older Go clients cannot be built into this shape unnoticed; `tests/flaws.rs`
//! holds an attack for each.

mod error;
mod evidence;
mod reading;
mod session;
mod verdict;

use bytes::Bytes;

pub use error::Error;
pub use evidence::Evidence;
pub use session::{Session, Step, Supply, TileRequest};
pub use verdict::{HeadVerdict, SumError, Sums, TileVerdict, Verified};

use crate::head::TreeHead;
use crate::note::{Algorithm, Note, VerifierKey};
use crate::record::{Record, SumOf, go_sum_lines, parse_data_tile};
use crate::tile::{HEIGHT, Level, Tile};
use crate::tree::{Node, root_nodes};
use crate::{Hash, hash::HASH_BYTES};
use reading::Reading;

/// The longest answer or note that is read, in bytes. Ordinary ones have 400; this leaves room for
/// thirty post-quantum cosignatures of 3.3 kB and for long paths.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// The longest data tile that is read, in bytes: 256 records of 8 KiB, forty times the usual.
pub const DATA_TILE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Reads one checksum database, by its key.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: VerifierKey,
    height: u8,
}

/// A tree head that the database's key signed, with the note that says so.
///
/// Cheap to clone. Only [`Verifier::open_head`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    tree: TreeHead,
    note: Bytes,
}

impl SignedHead {
    /// The size and the root.
    pub fn tree(&self) -> &TreeHead {
        &self.tree
    }

    /// The note, byte for byte as it came: what to store and to serve.
    pub fn note(&self) -> &Bytes {
        &self.note
    }
}

impl Verifier {
    /// A verifier for the database with this verifier key, `name+hash+base64`.
    pub fn new(vkey: &str) -> Result<Self, Error> {
        Self::with_height(vkey, HEIGHT)
    }

    /// As [`Verifier::new`], for a database with tiles of another height than eight.
    pub fn with_height(vkey: &str, height: u8) -> Result<Self, Error> {
        let key: VerifierKey = vkey.trim().parse()?;
        let name = key.name();
        if key.algorithm() != Algorithm::Ed25519 || !is_database_name(name) {
            return Err(Error::DatabaseName(name.to_owned()));
        }
        if Tile::new(height, Level::Data, 0, 1).is_none() {
            return Err(Error::TileHeight(height));
        }
        Ok(Self { key, height })
    }

    /// The database's name, `host[/path]`.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// The pinned key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Opens a signed head: one that was stored, or one that is to be checked.
    pub fn open_head(&self, note: &[u8]) -> Result<SignedHead, Error> {
        bounded("signed tree head", note.len(), ANSWER_BYTES_MAX)?;
        let opened = Note::open(note, std::slice::from_ref(&self.key))?;
        let tree = TreeHead::parse(opened.text.as_bytes())?;
        if tree.size == 0 && tree != TreeHead::EMPTY {
            return Err(Error::EmptyRoot);
        }
        Ok(SignedHead {
            tree,
            note: Bytes::copy_from_slice(note),
        })
    }

    /// Checks the answer to a lookup of `version` of `module` (as in go.mod: not escaped, without
    /// `/go.mod`).
    ///
    /// Done when the answer's head continues the held one, or is continued by it, the record is
    /// in the newer of the two, and the record is about that version.
    pub fn lookup(
        &self,
        held: Option<&SignedHead>,
        module: &str,
        version: &str,
        answer: &[u8],
    ) -> Result<Session<Verified>, Error> {
        bounded("answer", answer.len(), ANSWER_BYTES_MAX)?;
        let (record, note) = Record::parse(answer)?;
        let heads = Heads::order(held, self.open_head(note)?)?;
        let tree = heads.newer.tree;
        let leaf = Node::new(0, record.id)
            .filter(|leaf| leaf.is_in(tree.size))
            .ok_or(Error::BeyondHead {
                id: record.id,
                size: tree.size,
            })?;
        // Only the text that is hashed is searched (CVE-2026-56864), and finding nothing in it is
        // an error (CVE-2026-42501).
        let sums = verdict::Sums::find(record.text, module, version)?;
        let mut wanted = heads.nodes();
        wanted.push(leaf);
        let reading = Reading::new(self.height, tree, &wanted, None)?;
        let (id, text) = (record.id, record.text.to_owned());
        let leaf_hash = Hash::leaf(text.as_bytes());
        Ok(Session::new(reading, move |reading| {
            heads.check(reading)?;
            if reading.hash(leaf) != Some(leaf_hash) {
                return Err(Error::OtherRecord { id });
            }
            Ok(Verified {
                id,
                record: text.clone(),
                sums: sums.clone(),
                head: heads.newer.clone(),
                newer: heads.advance(),
                tiles: reading.fetched(),
            })
        }))
    }

    /// Checks a signed head against the held one.
    ///
    /// Without a held head the first one is believed: nothing is known that it could contradict.
    pub fn head(
        &self,
        held: Option<&SignedHead>,
        note: &[u8],
    ) -> Result<Session<HeadVerdict>, Error> {
        let heads = Heads::order(held, self.open_head(note)?)?;
        // A head that has nothing to be compared with needs no tiles.
        let wanted = heads.nodes();
        let reading = if wanted.is_empty() {
            Reading::empty()
        } else {
            Reading::new(self.height, heads.newer.tree, &wanted, None)?
        };
        Ok(Session::new(reading, move |reading| {
            heads.check(reading)?;
            Ok(HeadVerdict {
                head: heads.newer.clone(),
                newer: heads.advance(),
                tiles: reading.fetched(),
            })
        }))
    }

    /// Checks a tile that somebody asked for, of hashes or of records, against the held head.
    ///
    /// The session asks for the tile as wide as the held tree has it, whatever width was asked
    /// for: a prefix can only be proved with the rest.
    pub fn tile(&self, held: &SignedHead, tile: Tile) -> Result<Session<TileVerdict>, Error> {
        let tree = held.tree;
        let beyond = Error::TileBeyondHead {
            tile,
            size: tree.size,
        };
        if tile.height() != self.height {
            return Err(Error::TileHeight(tile.height()));
        }
        let hashes = tile.hashes();
        let whole = Tile::in_tree(self.height, hashes.level(), tile.n(), tree.size)
            .filter(|whole| whole.width() >= tile.width())
            .ok_or(beyond.clone())?;
        let first = first_node(whole).ok_or(beyond)?;
        let data = (tile.level() == Level::Data).then_some(tile);
        let reading = Reading::new(self.height, tree, &[first], data)?;
        Ok(Session::new(reading, move |reading| {
            let Some(proved) = reading.content(whole) else {
                return Err(Error::Inconsistent { size: tree.size });
            };
            let proved = proved.slice(..hashes.byte_len());
            let bytes = match data {
                None => proved,
                Some(tile) => check_data(reading, tile, &proved)?,
            };
            let mut tiles = reading.fetched();
            tiles.extend(
                data.filter(|_| reading.data_fetched())
                    .map(|tile| (tile, bytes.clone())),
            );
            Ok(TileVerdict { bytes, tiles })
        }))
    }
}

/// The records of a data tile, if they are those that the hashes are of.
fn check_data(reading: &Reading, tile: Tile, hashes: &[u8]) -> Result<Bytes, Error> {
    let wrong = Error::OtherRecords { tile };
    let content = reading.data().ok_or(wrong.clone())?;
    let records = parse_data_tile(&content)?;
    let width = tile.width() as usize;
    // A wider tile than was asked for is the full one.
    if records.len() != width && records.len() != tile.full().width() as usize {
        return Err(wrong);
    }
    let (proved, _) = hashes.as_chunks::<HASH_BYTES>();
    let asked = &records[..width];
    let same = |(text, hash): (&&str, &[u8; HASH_BYTES])| Hash::leaf(text.as_bytes()).0 == *hash;
    if proved.len() != width || !asked.iter().zip(proved).all(same) {
        return Err(wrong);
    }
    if records.len() == width {
        return Ok(content);
    }
    Ok(Bytes::from(crate::record::data_tile(asked.iter().copied())))
}

/// The first hash of a tile, as a node.
fn first_node(tile: Tile) -> Option<Node> {
    let Level::Hashes(level) = tile.level() else {
        return None;
    };
    let level = u16::from(level) * u16::from(tile.height());
    Node::new(u8::try_from(level).ok()?, tile.n() << tile.height())
}

/// The head that was held and the one that was offered, by size.
#[derive(Debug)]
struct Heads {
    older: Option<SignedHead>,
    newer: SignedHead,
    /// Whether `newer` is the one offered, and larger than the one held.
    advances: bool,
}

impl Heads {
    fn order(held: Option<&SignedHead>, offered: SignedHead) -> Result<Self, Error> {
        let Some(held) = held.cloned() else {
            return Ok(Self {
                older: None,
                newer: offered,
                advances: true,
            });
        };
        let (size, held_size) = (offered.tree.size, held.tree.size);
        if size == held_size && offered.tree != held.tree {
            return Err(Evidence::same_size(held, offered).into());
        }
        let advances = size > held_size;
        let (older, newer) = if advances {
            (held, offered)
        } else {
            (offered, held)
        };
        Ok(Self {
            older: Some(older),
            newer,
            advances,
        })
    }

    /// The older of two different heads.
    fn compared(&self) -> Option<&SignedHead> {
        self.older
            .as_ref()
            .filter(|older| older.tree != self.newer.tree)
    }

    /// The nodes of the newer tree from which the older one's root is computed.
    fn nodes(&self) -> Vec<Node> {
        self.compared()
            .map(|older| root_nodes(older.tree.size))
            .unwrap_or_default()
    }

    fn check(&self, reading: &Reading) -> Result<(), Error> {
        let Some(older) = self.compared() else {
            return Ok(());
        };
        let root = crate::tree::root(older.tree.size, |node| reading.hash(node))?;
        if root == older.tree.hash {
            return Ok(());
        }
        let (older, newer) = (older.clone(), self.newer.clone());
        Err(Evidence::proved(older, newer, root, |node| reading.hash(node)).into())
    }

    fn advance(&self) -> Option<SignedHead> {
        self.advances.then(|| self.newer.clone())
    }
}

/// `host[/path]` as it can stand in a URL: what the go command asks of a database's name.
fn is_database_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte);
    let segments = |name: &str| {
        name.split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
    };
    name.bytes().all(plain) && segments(name)
}

fn bounded(what: &'static str, len: usize, limit: usize) -> Result<(), Error> {
    if len > limit {
        return Err(Error::TooLong { what, limit });
    }
    Ok(())
}

/// Which lines of a record are searched.
const SUMS: [SumOf; 2] = [SumOf::Zip, SumOf::GoMod];

impl verdict::Sums {
    fn find(text: &str, module: &str, version: &str) -> Result<Self, Error> {
        let name = || format!("{module}@{version}");
        let breaks_line = |text: &str| text.contains(|c: char| c.is_whitespace() || c.is_control());
        if module.is_empty() || breaks_line(module) || breaks_line(version) {
            return Err(Error::NoLine(name()));
        }
        let mut sums = Self::new(module, version);
        for of in SUMS {
            for line in go_sum_lines(text, module, version, of) {
                sums.add(of, line).map_err(|()| Error::TwoSums(name()))?;
            }
        }
        if sums.lines().is_empty() {
            return Err(Error::NoLine(name()));
        }
        Ok(sums)
    }
}
