//! The right edge of a growing log: all that appending needs to know of what is there.
//!
//! [`plan`] is pure: it says what a batch would publish and what the edge would be, and the caller
//! decides, once the batch is durable, to go on from there. Planning the same leaves on the same
//! edge again gives the same bytes, so recovery may run the code of the normal path.

use bytes::Bytes;

use crate::hash::{HASH_BYTES, Hash};
use crate::head::TreeHead;
use crate::tile::{HEIGHT, Level, Tile, edge_tiles};
use crate::tree::{SIZE_MAX, root_nodes};

/// The partial tiles on the right of a tree and the roots of its complete subtrees.
///
/// At most 8 tile levels of 255 hashes and 63 roots: 67 kB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Per tile level, the hashes of the tile being filled, fewer than 256.
    partials: Vec<Vec<Hash>>,
    /// The hashes of [`root_nodes`], the largest subtree first.
    peaks: Vec<Hash>,
}

/// What appending leaves would publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The edge after it.
    pub edge: Edge,
    /// The tree after it.
    pub head: TreeHead,
    /// The tiles that are new, by level and number, as [`crate::tile::new_tiles`] lists them.
    pub tiles: Vec<(Tile, Bytes)>,
}

/// Why an edge cannot be restored or a batch planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// The tile's length is not that of its width.
    #[error("{tile} has {found} bytes, not {}", .tile.byte_len())]
    TileLength {
        /// The tile.
        tile: Tile,
        /// The length found.
        found: usize,
    },
    /// The tiles lead to another root.
    #[error("the tiles on the edge do not prove the tree of {size}")]
    OtherRoot {
        /// The tree's size.
        size: u64,
    },
    /// The log is full.
    #[error("a log holds at most {SIZE_MAX} records")]
    Full,
}

impl Edge {
    /// The tiles that [`Edge::restore`] wants for a tree of `size`, in order.
    pub fn tiles(size: u64) -> Vec<Tile> {
        edge_tiles(HEIGHT, size)
    }

    /// Rebuilds the edge of the tree `head` from the contents of [`Edge::tiles`], checking them
    /// against the root.
    pub fn restore(head: &TreeHead, contents: &[Bytes]) -> Result<Self, EdgeError> {
        let size = head.size;
        let tiles = Self::tiles(size);
        let wrong = EdgeError::OtherRoot { size };
        if size > SIZE_MAX || tiles.len() != contents.len() {
            return Err(wrong);
        }
        let mut edge = Self {
            size,
            ..Self::default()
        };
        for (tile, content) in tiles.iter().zip(contents) {
            if content.len() != tile.byte_len() {
                return Err(EdgeError::TileLength {
                    tile: *tile,
                    found: content.len(),
                });
            }
            let (hashes, _) = content.as_chunks::<HASH_BYTES>();
            if let Level::Hashes(level) = tile.level() {
                *edge.partial(level) = hashes.iter().copied().map(Hash).collect();
            }
        }
        for node in root_nodes(size) {
            let peak = tiles
                .iter()
                .zip(contents)
                .find_map(|(tile, content)| tile.node_hash(content, node));
            edge.peaks.push(peak.ok_or(wrong.clone())?);
        }
        if edge.root() != head.hash {
            return Err(wrong);
        }
        Ok(edge)
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            None => Hash::EMPTY_ROOT,
            Some(last) => peaks.fold(last, |right, left| Hash::node(&left, &right)),
        }
    }

    /// The size and the root.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            hash: self.root(),
        }
    }

    /// The hashes of the tile being filled at a tile level, fewer than 256.
    pub fn partial_tile(&self, level: u8) -> &[Hash] {
        self.partials
            .get(usize::from(level))
            .map_or(&[], Vec::as_slice)
    }

    fn partial(&mut self, level: u8) -> &mut Vec<Hash> {
        let level = usize::from(level);
        if self.partials.len() <= level {
            self.partials.resize_with(level + 1, Vec::new);
        }
        &mut self.partials[level]
    }

    /// Appends one leaf; full tiles go to `full`.
    fn append(&mut self, leaf: Hash, full: &mut Vec<(Tile, Bytes)>) {
        let mut hash = leaf;
        let mut level: u8 = 0;
        let mut ones = self.size;
        loop {
            if level.is_multiple_of(HEIGHT) {
                self.push(level / HEIGHT, hash, full);
            }
            // A trailing one bit is a subtree of this level that waits for its right half.
            if ones & 1 == 0 {
                break;
            }
            let Some(left) = self.peaks.pop() else { break };
            hash = Hash::node(&left, &hash);
            level += 1;
            ones >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    fn push(&mut self, level: u8, hash: Hash, full: &mut Vec<(Tile, Bytes)>) {
        let n = self.size >> HEIGHT >> (u32::from(level) * u32::from(HEIGHT));
        let partial = self.partial(level);
        partial.push(hash);
        let width = partial.len() as u32;
        if let Some(tile) = Tile::new(HEIGHT, Level::Hashes(level), n, width)
            && tile.is_full()
        {
            full.push((tile, content(partial)));
            partial.clear();
        }
    }
}

/// What appending `leaves` to `edge` publishes.
pub fn plan(edge: &Edge, leaves: &[Hash]) -> Result<Batch, EdgeError> {
    let room = SIZE_MAX - edge.size;
    if leaves.len() as u64 > room {
        return Err(EdgeError::Full);
    }
    let mut after = edge.clone();
    let mut tiles = Vec::new();
    for leaf in leaves {
        after.append(*leaf, &mut tiles);
    }
    for tile in Edge::tiles(after.size) {
        let Level::Hashes(level) = tile.level() else {
            continue;
        };
        let before = Tile::in_tree(HEIGHT, tile.level(), tile.n(), edge.size);
        if before != Some(tile) {
            tiles.push((tile, content(after.partial(level))));
        }
    }
    tiles.sort_by_key(|(tile, _)| *tile);
    Ok(Batch {
        head: after.head(),
        edge: after,
        tiles,
    })
}

fn content(hashes: &[Hash]) -> Bytes {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
