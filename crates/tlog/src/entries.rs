//! Entry bundles (C2SP tlog-tiles): the entries of a tile, each behind its length.
//!
//! A checksum database publishes the same records twice: as text between blank lines for Go
//! ([`crate::record::parse_data_tile`]) and as a bundle for everybody else. Entries are any bytes, so
//! nothing but their length can be wrong with them here.

use crate::tile::HEIGHT;

/// The longest entry, in bytes: its length is written in sixteen bits.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// The most entries of a bundle: one for each hash of a full tile.
pub const ENTRIES_MAX: usize = 1 << HEIGHT;

/// The longest bundle, in bytes: 256 entries of 64 KiB and their lengths. Ordinary ones have 50 KiB.
pub const BUNDLE_BYTES_MAX: usize = ENTRIES_MAX * (LENGTH_BYTES + ENTRY_BYTES_MAX);

const LENGTH_BYTES: usize = 2;

/// Bytes are no bundle, or entries do not fit into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The bundle ends inside an entry, or inside its length.
    #[error("malformed entry bundle: it ends inside entry {0}")]
    Cut(usize),
    /// There are more entries than a tile has hashes.
    #[error("malformed entry bundle: more than {ENTRIES_MAX} entries")]
    TooMany,
    /// An entry is longer than its length can say.
    #[error("entry {0} is longer than {ENTRY_BYTES_MAX} bytes")]
    TooLong(usize),
}

/// Writes a bundle.
pub fn entry_bundle<'a>(
    entries: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    for (i, entry) in entries.into_iter().enumerate() {
        if i == ENTRIES_MAX {
            return Err(BundleError::TooMany);
        }
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong(i))?;
        bundle.extend(length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads a bundle: every byte belongs to an entry or to its length.
pub fn parse_entry_bundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let i = entries.len();
        if i == ENTRIES_MAX {
            return Err(BundleError::TooMany);
        }
        let (length, rest) = bytes.split_first_chunk().ok_or(BundleError::Cut(i))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(BundleError::Cut(i))?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
}
