//! Hashes of leaves and nodes, as RFC 6962 §2.1 defines them.
//!
//! A leaf is hashed behind a zero byte and a node behind a one, so that no record can pass for a
//! pair of hashes.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::b64;

/// The length of a hash, in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash of a leaf, a node or a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// A text is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed hash: expected the base64 of {HASH_BYTES} bytes")]
pub struct HashError;

impl Hash {
    /// The root of the tree without leaves: SHA-256 of nothing.
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The hash of a record.
    pub fn leaf(record: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([0x00]);
        hasher.update(record);
        Self(hasher.finalize().into())
    }

    /// The hash of the node over two subtrees.
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut input = [0x01; 1 + 2 * HASH_BYTES];
        input[1..=HASH_BYTES].copy_from_slice(&left.0);
        input[1 + HASH_BYTES..].copy_from_slice(&right.0);
        Self(Sha256::digest(input).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&b64::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let bytes = b64::decode(text.as_bytes()).ok_or(HashError)?;
        bytes.try_into().map(Self).map_err(|_| HashError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(Hash::EMPTY_ROOT.0, <[u8; 32]>::from(Sha256::digest([])));
    }

    #[test]
    fn a_hash_survives_being_written_and_read() {
        let hash = Hash::leaf(b"hello");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn other_lengths_are_no_hash() {
        for text in ["", "AAAA", &b64::encode(&[0; 31]), &b64::encode(&[0; 33])] {
            assert_eq!(text.parse::<Hash>(), Err(HashError), "{text}");
        }
    }
}
