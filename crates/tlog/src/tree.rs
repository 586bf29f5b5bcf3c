//! Trees and proofs over them, as RFC 6962 §2.1 defines them.
//!
//! A tree of `n` leaves splits at the largest power of two below `n`, so all but its right edge is
//! made of complete subtrees whose hashes never change. A [`Node`] names such a subtree; a proof is
//! a list of hashes of ranges, each made of few nodes. Nothing here stores anything: hashes are
//! read through a closure.
//!
//! The order of hashes in a proof is that of RFC 6962 and of `golang.org/x/mod/sumdb/tlog`: from
//! the leaf towards the root.

use crate::hash::Hash;

/// The largest tree: Go counts leaves in an `int64`.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// A complete subtree: the `n`-th of those with `2^level` leaves.
///
/// Holding one is the proof that its leaves fit into a tree of [`SIZE_MAX`], so no arithmetic on
/// it overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    level: u8,
    n: u64,
}

/// Why a root or a proof cannot be computed, or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The record or the smaller tree is not inside the tree.
    #[error("{index} is not inside a tree of {size}")]
    OutOfRange {
        /// The record's number, or the smaller tree's size.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The caller has no hash for this node.
    #[error("the hash of node {} at level {} is not known", .0.n, .0.level)]
    Missing(Node),
    /// The proof does not lead to the root it was made for.
    #[error("invalid transparency proof")]
    Invalid,
}

/// Leaves `lo..hi` whose hash is one element of a proof.
type Range = (u64, u64);

impl Node {
    /// The `n`-th subtree of `2^level` leaves, if any tree can hold it.
    pub fn new(level: u8, n: u64) -> Option<Self> {
        let fits = level < 64 && (u128::from(n) + 1) << level <= u128::from(SIZE_MAX);
        fits.then_some(Self { level, n })
    }

    /// The level: the subtree has two to its power leaves.
    pub fn level(self) -> u8 {
        self.level
    }

    /// The place among the subtrees of its level.
    pub fn n(self) -> u64 {
        self.n
    }

    /// Whether a tree of `size` leaves holds the whole subtree.
    pub fn is_in(self, size: u64) -> bool {
        (self.n + 1) << self.level <= size
    }

    /// The place of the hash in Go's dense order (Crosby and Wallach, §3.3): a leaf, then the
    /// subtrees it completed.
    pub fn stored_index(self) -> u64 {
        let last_leaf = ((self.n + 1) << self.level) - 1;
        stored_count(last_leaf) + u64::from(self.level)
    }

    /// The node stored at `index`.
    pub fn from_stored_index(index: u64) -> Option<Self> {
        // The leaf written at or before `index` is at least half of it and at most 64 later.
        let mut leaf = (index / 2).min(SIZE_MAX - 1);
        while leaf + 1 < SIZE_MAX && stored_count(leaf + 1) <= index {
            leaf += 1;
        }
        let level = u8::try_from(index - stored_count(leaf)).ok()?;
        if u32::from(level) > (leaf + 1).trailing_zeros() {
            return None;
        }
        Self::new(level, leaf >> level)
    }
}

/// How many hashes a tree of `size` stores; a size beyond [`SIZE_MAX`] counts as that.
pub fn stored_count(size: u64) -> u64 {
    let size = size.min(SIZE_MAX);
    // The sum of size >> i over all i.
    2 * size - u64::from(size.count_ones())
}

/// The nodes that make up a tree, from left to right: one for every bit of `size`, which beyond
/// [`SIZE_MAX`] counts as that.
pub fn root_nodes(size: u64) -> Vec<Node> {
    range_nodes((0, size.min(SIZE_MAX)))
}

/// The root of the tree of `size` leaves.
pub fn root(size: u64, read: impl FnMut(Node) -> Option<Hash>) -> Result<Hash, TreeError> {
    if size == 0 {
        return Ok(Hash::EMPTY_ROOT);
    }
    check_size(size)?;
    range_hash((0, size), read)
}

/// The nodes whose hashes make the proof that record `index` is in a tree of `size`.
pub fn inclusion_nodes(size: u64, index: u64) -> Result<Vec<Node>, TreeError> {
    Ok(flatten(inclusion_ranges(size, index)?))
}

/// The proof that a tree of `size` leaves holds record `index`.
pub fn prove_inclusion(
    size: u64,
    index: u64,
    mut read: impl FnMut(Node) -> Option<Hash>,
) -> Result<Vec<Hash>, TreeError> {
    inclusion_ranges(size, index)?
        .into_iter()
        .map(|range| range_hash(range, &mut read))
        .collect()
}

/// Checks that the tree of `size` leaves under `root` holds `leaf` as record `index`.
pub fn check_inclusion(
    proof: &[Hash],
    size: u64,
    root: &Hash,
    index: u64,
    leaf: &Hash,
) -> Result<(), TreeError> {
    let siblings = inclusion_ranges(size, index)?;
    if siblings.len() != proof.len() {
        return Err(TreeError::Invalid);
    }
    let mut hash = *leaf;
    for (sibling, proved) in siblings.into_iter().zip(proof) {
        hash = if sibling.0 > index {
            Hash::node(&hash, proved)
        } else {
            Hash::node(proved, &hash)
        };
    }
    ensure(hash == *root)
}

/// The nodes whose hashes make the proof that a tree of `size` begins with the tree of `old`.
pub fn consistency_nodes(size: u64, old: u64) -> Result<Vec<Node>, TreeError> {
    Ok(flatten(consistency_ranges(size, old)?))
}

/// The proof that the tree of `size` leaves begins with the tree of `old` leaves.
pub fn prove_consistency(
    size: u64,
    old: u64,
    mut read: impl FnMut(Node) -> Option<Hash>,
) -> Result<Vec<Hash>, TreeError> {
    consistency_ranges(size, old)?
        .into_iter()
        .map(|range| range_hash(range, &mut read))
        .collect()
}

/// Checks that the tree of `size` leaves under `root` begins with the tree of `old` leaves under
/// `old_root`. Both trees have leaves: the empty tree begins every tree and proves nothing.
pub fn check_consistency(
    proof: &[Hash],
    size: u64,
    root: &Hash,
    old: u64,
    old_root: &Hash,
) -> Result<(), TreeError> {
    let ranges = consistency_ranges(size, old)?;
    if ranges.len() != proof.len() {
        return Err(TreeError::Invalid);
    }
    let mut steps = ranges.into_iter().zip(proof).peekable();
    // Where the old tree is one complete subtree its own root is the start, and nobody sends it.
    let mut start = *old_root;
    if let Some(&((lo, hi), proved)) = steps.peek()
        && lo != 0
        && hi == old
    {
        start = *proved;
        steps.next();
    }
    let (mut in_old, mut in_new) = (start, start);
    for ((lo, _), proved) in steps {
        if lo >= old {
            in_new = Hash::node(&in_new, proved);
        } else {
            in_old = Hash::node(proved, &in_old);
            in_new = Hash::node(proved, &in_new);
        }
    }
    ensure(in_old == *old_root && in_new == *root)
}

fn ensure(holds: bool) -> Result<(), TreeError> {
    if holds {
        Ok(())
    } else {
        Err(TreeError::Invalid)
    }
}

fn check_size(size: u64) -> Result<(), TreeError> {
    if size > SIZE_MAX {
        return Err(TreeError::OutOfRange {
            index: size,
            size: SIZE_MAX,
        });
    }
    Ok(())
}

/// Where a range of two or more leaves splits: the largest power of two below its length.
fn split((lo, hi): Range) -> u64 {
    let below = hi - lo - 1;
    lo + (1 << (63 - below.leading_zeros()))
}

/// The siblings on the way from leaf `index` up to the root.
fn inclusion_ranges(size: u64, index: u64) -> Result<Vec<Range>, TreeError> {
    check_size(size)?;
    if index >= size {
        return Err(TreeError::OutOfRange { index, size });
    }
    let (mut lo, mut hi) = (0, size);
    let mut siblings = Vec::new();
    while hi - lo > 1 {
        let middle = split((lo, hi));
        if index < middle {
            siblings.push((middle, hi));
            hi = middle;
        } else {
            siblings.push((lo, middle));
            lo = middle;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// The ranges of a consistency proof: first the subtree in which the old tree ends, unless that
/// is the old tree itself, then its siblings up to the root.
fn consistency_ranges(size: u64, old: u64) -> Result<Vec<Range>, TreeError> {
    check_size(size)?;
    if old == 0 || old > size {
        return Err(TreeError::OutOfRange { index: old, size });
    }
    let (mut lo, mut hi) = (0, size);
    let mut ranges = Vec::new();
    while hi != old {
        let middle = split((lo, hi));
        if old <= middle {
            ranges.push((middle, hi));
            hi = middle;
        } else {
            ranges.push((lo, middle));
            lo = middle;
        }
    }
    if lo != 0 {
        ranges.push((lo, hi));
    }
    ranges.reverse();
    Ok(ranges)
}

/// The complete subtrees of a range that splitting a tree produced, from left to right.
fn range_nodes((mut lo, hi): Range) -> Vec<Node> {
    let mut nodes = Vec::new();
    while lo < hi {
        let level = 63 - (hi - lo).leading_zeros();
        nodes.push(Node {
            level: level as u8,
            n: lo >> level,
        });
        lo += 1 << level;
    }
    nodes
}

fn flatten(ranges: Vec<Range>) -> Vec<Node> {
    ranges.into_iter().flat_map(range_nodes).collect()
}

fn range_hash(range: Range, mut read: impl FnMut(Node) -> Option<Hash>) -> Result<Hash, TreeError> {
    let mut hash: Option<Hash> = None;
    for node in range_nodes(range).into_iter().rev() {
        let left = read(node).ok_or(TreeError::Missing(node))?;
        hash = Some(match hash {
            None => left,
            Some(right) => Hash::node(&left, &right),
        });
    }
    hash.ok_or(TreeError::Invalid)
}
