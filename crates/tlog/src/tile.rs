//! Tiles: the pieces a tree is published in.
//!
//! A tile of height `h` at level `l` lists up to `2^h` consecutive hashes of tree level `h·l`; the
//! hashes between are computed. A full tile never changes, and a partial one (`.p/W`) is a prefix
//! of it, so every tile is immutable under its name. Data tiles hold the records themselves.
//!
//! Two spellings exist: `tile/H/L/N` of Go's checksum database and `tile/L/N` of C2SP tlog-tiles,
//! whose height is always eight. Both number tiles in groups of three digits. A path is parsed,
//! rendered again and compared, so each tile has one name in each spelling.

use std::fmt;

use crate::hash::{HASH_BYTES, Hash};
use crate::tree::Node;

/// The height of the tiles of every checksum database and of C2SP: 256 hashes, 8 KiB.
pub const HEIGHT: u8 = 8;

/// The greatest height that has a path (Go's limit).
pub const HEIGHT_MAX: u8 = 30;

/// The greatest level that has a path: a tree has at most 64 levels, at one per tile level.
pub const LEVEL_MAX: u8 = 63;

/// The greatest tile number: Go counts in an `int64`.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// The longest path worth parsing, in bytes. `tile/30/data/`, seven groups of five and
/// `.p/1073741823` are fewer.
const PATH_BYTES_MAX: usize = 80;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Records.
    Data,
    /// Hashes of this tile level.
    Hashes(u8),
}

/// The coordinate of a tile, always within the limits of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    height: u8,
    level: Level,
    n: u64,
    width: u32,
}

/// A path names no tile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed tile path")]
pub struct TilePathError;

impl Tile {
    /// The tile with these coordinates; `None` outside the limits.
    pub fn new(height: u8, level: Level, n: u64, width: u32) -> Option<Self> {
        let level_fits = match level {
            Level::Data => true,
            Level::Hashes(level) => level <= LEVEL_MAX,
        };
        let fits =
            has_path(height) && level_fits && n <= NUMBER_MAX && (1..=1 << height).contains(&width);
        fits.then_some(Self {
            height,
            level,
            n,
            width,
        })
    }

    /// The tile as wide as a tree of `size` makes it; `None` if it has nothing in that tree.
    pub fn in_tree(height: u8, level: Level, n: u64, size: u64) -> Option<Self> {
        if !has_path(height) {
            return None;
        }
        let depth = match level {
            Level::Data => 0,
            Level::Hashes(level) => u32::from(level) * u32::from(height),
        };
        let hashes = size.checked_shr(depth).unwrap_or(0);
        let start = u128::from(n) << height;
        let left = u128::from(hashes).checked_sub(start)?;
        let width = left.min(1 << height) as u32;
        Self::new(height, level, n, width)
    }

    /// The narrowest tile of `height` from which the hash of `node` can be computed.
    pub fn for_node(height: u8, node: Node) -> Option<Self> {
        let place = Place::of(height, node)?;
        Self::new(height, Level::Hashes(place.level), place.n, place.end)
    }

    /// The height: the tile has two to its power hashes.
    pub fn height(self) -> u8 {
        self.height
    }

    /// What it holds.
    pub fn level(self) -> Level {
        self.level
    }

    /// The place among the tiles of its level.
    pub fn n(self) -> u64 {
        self.n
    }

    /// How many hashes or records it holds.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Whether it holds all it can.
    pub fn is_full(self) -> bool {
        self.width == 1 << self.height
    }

    /// The same tile when it has become full.
    pub fn full(self) -> Self {
        Self {
            width: 1 << self.height,
            ..self
        }
    }

    /// The same tile with another width.
    pub fn with_width(self, width: u32) -> Option<Self> {
        Self::new(self.height, self.level, self.n, width)
    }

    /// The tile of hashes over the records of a data tile; a tile of hashes itself.
    pub fn hashes(self) -> Self {
        match self.level {
            Level::Data => Self {
                level: Level::Hashes(0),
                ..self
            },
            Level::Hashes(_) => self,
        }
    }

    /// The length of a tile of hashes, in bytes.
    pub fn byte_len(self) -> usize {
        self.width as usize * HASH_BYTES
    }

    /// The tile above, as wide as a tree of `size` makes it.
    pub fn parent(self, size: u64) -> Option<Self> {
        let Level::Hashes(level) = self.level else {
            return None;
        };
        let above = Level::Hashes(level.checked_add(1)?);
        Self::in_tree(self.height, above, self.n >> self.height, size)
    }

    /// The node that a full tile of hashes is the content of.
    pub fn root_node(self) -> Option<Node> {
        let Level::Hashes(level) = self.level else {
            return None;
        };
        let level = (u16::from(level) + 1) * u16::from(self.height);
        Node::new(u8::try_from(level).ok()?, self.n)
    }

    /// The hash of [`Tile::root_node`], of which `data` is the full tile; `None` for another length.
    pub fn root_hash(self, data: &[u8]) -> Option<Hash> {
        let whole = self.is_full() && data.len() == self.byte_len();
        self.root_node().filter(|_| whole)?;
        subtree_hash(data)
    }

    /// The hash of `node` out of this tile's `data`; `None` if it is not in there.
    pub fn node_hash(self, data: &[u8], node: Node) -> Option<Hash> {
        let place = Place::of(self.height, node)?;
        let here = self.level == Level::Hashes(place.level) && self.n == place.n;
        if !here || place.end > self.width {
            return None;
        }
        let bytes = place.start as usize * HASH_BYTES..place.end as usize * HASH_BYTES;
        subtree_hash(data.get(bytes)?)
    }

    /// The path in a checksum database: `tile/H/L/NNN[.p/W]`, without a leading slash.
    pub fn path(self) -> String {
        match self.level {
            Level::Data => format!("tile/{}/data/{}", self.height, Number(self)),
            Level::Hashes(level) => format!("tile/{}/{level}/{}", self.height, Number(self)),
        }
    }

    /// Reads a path of a checksum database, without a leading slash.
    pub fn parse(path: &str) -> Result<Self, TilePathError> {
        let (height, level, rest) = split_path(path).ok_or(TilePathError)?;
        let height = height.parse().map_err(|_| TilePathError)?;
        let tile = read_tile(height, level, "data", rest).ok_or(TilePathError)?;
        same(tile, path, &tile.path())
    }

    /// The path in a C2SP log: `tile/L/NNN[.p/W]` or `tile/entries/NNN[.p/W]`; `None` for another
    /// height than eight.
    pub fn c2sp_path(self) -> Option<String> {
        (self.height == HEIGHT).then(|| match self.level {
            Level::Data => format!("tile/entries/{}", Number(self)),
            Level::Hashes(level) => format!("tile/{level}/{}", Number(self)),
        })
    }

    /// Reads a path of a C2SP log, without a leading slash.
    pub fn parse_c2sp(path: &str) -> Result<Self, TilePathError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(TilePathError);
        }
        let rest = path.strip_prefix("tile/").ok_or(TilePathError)?;
        let (level, number) = rest.split_once('/').ok_or(TilePathError)?;
        let tile = read_tile(HEIGHT, level, "entries", number).ok_or(TilePathError)?;
        same(tile, path, &tile.c2sp_path().ok_or(TilePathError)?)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// The tiles that a tree growing from `old` to `new` leaves publishes, by level and number.
///
/// A partial tile is listed once more, wider, whenever it grew. There are about
/// `(new - old) / 2^height` of them; a height without paths has none.
pub fn new_tiles(height: u8, old: u64, new: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if !has_path(height) {
        return tiles;
    }
    for level in 0..=LEVEL_MAX {
        let depth = u32::from(level) * u32::from(height);
        let before = old.checked_shr(depth).unwrap_or(0);
        let after = new.checked_shr(depth).unwrap_or(0);
        if after == 0 {
            break;
        }
        if before >= after {
            continue;
        }
        let numbers = (before >> height)..=((after - 1) >> height);
        tiles.extend(numbers.filter_map(|n| Tile::in_tree(height, Level::Hashes(level), n, new)));
    }
    tiles
}

/// The tiles that hold the nodes of [`crate::tree::root_nodes`], lowest level first: together
/// they prove the root, and every hash in them is proved by it.
pub fn edge_tiles(height: u8, size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if !has_path(height) {
        return tiles;
    }
    for level in 0..=LEVEL_MAX {
        let depth = u32::from(level) * u32::from(height);
        let hashes = size.checked_shr(depth).unwrap_or(0);
        if hashes == 0 {
            break;
        }
        if hashes % (1 << height) == 0 {
            continue;
        }
        tiles.extend(Tile::in_tree(
            height,
            Level::Hashes(level),
            hashes >> height,
            size,
        ));
    }
    tiles
}

/// The hash of the complete subtree over `data`; `None` unless that is a power of two of hashes.
pub(crate) fn subtree_hash(data: &[u8]) -> Option<Hash> {
    let (hashes, rest) = data.as_chunks::<HASH_BYTES>();
    if !rest.is_empty() || !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row: Vec<Hash> = hashes.iter().copied().map(Hash).collect();
    while row.len() > 1 {
        for i in 0..row.len() / 2 {
            row[i] = Hash::node(&row[2 * i], &row[2 * i + 1]);
        }
        row.truncate(row.len() / 2);
    }
    row.first().copied()
}

fn has_path(height: u8) -> bool {
    (1..=HEIGHT_MAX).contains(&height)
}

/// Where a node lies among the tiles: hashes `start..end` of a tile.
struct Place {
    level: u8,
    n: u64,
    start: u32,
    end: u32,
}

impl Place {
    fn of(height: u8, node: Node) -> Option<Self> {
        if !has_path(height) {
            return None;
        }
        let inside = node.level() % height;
        // No overflow: a node's leaves fit into a tree.
        let first = node.n() << inside;
        let n = first >> height;
        let start = (first - (n << height)) as u32;
        Some(Self {
            level: node.level() / height,
            n,
            start,
            end: start + (1 << inside),
        })
    }
}

/// The `NNN[.p/W]` of a path.
struct Number(Tile);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tile { n, width, .. } = self.0;
        let mut scale = 1;
        while n / scale >= 1000 {
            scale *= 1000;
        }
        while scale > 1 {
            write!(f, "x{:03}/", n / scale % 1000)?;
            scale /= 1000;
        }
        write!(f, "{:03}", n % 1000)?;
        if !self.0.is_full() {
            write!(f, ".p/{width}")?;
        }
        Ok(())
    }
}

fn same(tile: Tile, path: &str, rendered: &str) -> Result<Tile, TilePathError> {
    if path == rendered {
        Ok(tile)
    } else {
        Err(TilePathError)
    }
}

fn split_path(path: &str) -> Option<(&str, &str, &str)> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let (height, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (level, number) = rest.split_once('/')?;
    Some((height, level, number))
}

/// Reads leniently what rendering again will judge.
fn read_tile(height: u8, level: &str, data: &str, number: &str) -> Option<Tile> {
    let level = if level == data {
        Level::Data
    } else {
        Level::Hashes(level.parse().ok()?)
    };
    let (number, width) = match number.split_once(".p/") {
        Some((number, width)) => (number, Some(width.parse().ok()?)),
        None => (number, None),
    };
    let mut n: u64 = 0;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let group: u64 = digits.parse().ok()?;
        n = n.checked_mul(1000)?.checked_add(group)?;
    }
    let width = match width {
        Some(width) => width,
        None => 1_u32.checked_shl(height.into())?,
    };
    Tile::new(height, level, n, width)
}
