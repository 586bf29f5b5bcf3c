//! Why an answer is not believed, by blame.

use super::Evidence;
use crate::head::HeadError;
use crate::note::{KeyError, NoteError};
use crate::record::RecordError;
use crate::tile::Tile;
use crate::tree::TreeError;

/// Why a session failed. Nothing was proved, and nothing that came with it may be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Configuration: the key is none.
    #[error("verifier key: {0}")]
    Key(#[from] KeyError),
    /// Configuration: the key is not that of a checksum database.
    #[error(
        "{0:?} is no checksum database: its key must be of kind 1 (Ed25519) and its name host[/path]"
    )]
    DatabaseName(String),
    /// Caller: the database has no tiles of this height.
    #[error("the checksum database has no tiles of height {0}")]
    TileHeight(u8),
    /// Database: more bytes than anything honest has.
    #[error("the {what} is longer than {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Database: the head is not signed by the pinned key, or is no note.
    #[error("signed tree head: {0}")]
    Note(#[from] NoteError),
    /// Database: the note is signed, but is no tree head.
    #[error("signed tree head: {0}")]
    Head(#[from] HeadError),
    /// Database: a tree of no records whose root is not that of no records.
    #[error("signed tree head: the root of the empty tree is wrong")]
    EmptyRoot,
    /// Database: no record where one must be.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// Database: the record's number is not below the size of any signed tree known.
    #[error("record {id} cannot be validated in a tree of {size}")]
    BeyondHead {
        /// The record's number.
        id: u64,
        /// The newest tree's size.
        size: u64,
    },
    /// Database: the tree holds another record under this number.
    #[error("the tree holds another record {id} than the answer")]
    OtherRecord {
        /// The record's number.
        id: u64,
    },
    /// Database: the tree holds other records than the data tile.
    #[error("the tree holds other records than {tile}")]
    OtherRecords {
        /// The data tile.
        tile: Tile,
    },
    /// Database: the record has no line for what was asked (CVE-2026-42501).
    #[error("the record has no checksum of {0}")]
    NoLine(String),
    /// Database: the record gives two sums for one file.
    #[error("the record has two different checksums of {0}")]
    TwoSums(String),
    /// Caller: the held tree is too small for this tile; check a newer head first.
    #[error("{tile} is not in the tree of {size}")]
    TileBeyondHead {
        /// The tile.
        tile: Tile,
        /// The held tree's size.
        size: u64,
    },
    /// Database: it does not have a tile that its head implies.
    #[error("{0} is missing")]
    TileMissing(Tile),
    /// Database: the tile's length is not that of its width.
    #[error("{tile} has {found} bytes, not {}", .tile.byte_len())]
    TileLength {
        /// The tile.
        tile: Tile,
        /// The length found.
        found: usize,
    },
    /// Database: the tiles do not lead to the signed root. One of them is wrong.
    #[error("the tiles do not prove the signed tree of {size}")]
    Inconsistent {
        /// The tree's size.
        size: u64,
    },
    /// Database: it signed two trees of which neither continues the other. Raise an alarm and
    /// keep the evidence.
    #[error("the checksum database signed two contradicting trees, of {} and {}", .0.older().tree().size, .0.newer().tree().size)]
    Fork(Box<Evidence>),
}

impl Error {
    /// Whether other tiles could have led elsewhere.
    pub(super) fn depends_on_tiles(&self) -> bool {
        match self {
            Self::Record(_)
            | Self::OtherRecord { .. }
            | Self::OtherRecords { .. }
            | Self::TileLength { .. }
            | Self::Inconsistent { .. } => true,
            Self::Key(_)
            | Self::DatabaseName(_)
            | Self::TileHeight(_)
            | Self::TooLong { .. }
            | Self::Note(_)
            | Self::Head(_)
            | Self::EmptyRoot
            | Self::BeyondHead { .. }
            | Self::NoLine(_)
            | Self::TwoSums(_)
            | Self::TileBeyondHead { .. }
            | Self::TileMissing(_)
            | Self::Fork(_) => false,
        }
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        let size = match error {
            TreeError::OutOfRange { size, .. } => size,
            TreeError::Missing(node) => (node.n() + 1) << node.level(),
            TreeError::Invalid => 0,
        };
        Self::Inconsistent { size }
    }
}

impl From<Evidence> for Error {
    fn from(evidence: Evidence) -> Self {
        Self::Fork(Box::new(evidence))
    }
}
