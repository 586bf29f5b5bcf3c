//! The mathematics of a transparency log, and a verifying client that does no I/O.
//!
//! A checksum database is an append-only list of records under a Merkle tree (RFC 6962), published
//! as tiles of hashes and a signed head. Everything needed to read one without trusting it, and to
//! write one, is here as pure functions over checked types:
//!
//! - [`hash`], [`tree`]: leaf and node hashes, roots, inclusion and consistency proofs;
//! - [`tile`], [`edge`]: the pieces a tree is published in, and how appending changes them;
//! - [`note`], [`head`], [`record`]: the three texts on the wire;
//! - [`entries`], [`proof`], [`export`]: C2SP entry bundles, proofs to carry away, whole logs in a file;
//! - [`witness`]: how witnesses decide what they cosign, and logs what they make of it;
//! - [`client`]: sessions that ask for tiles, are given bytes nobody vouches for, and end in an
//!   answer that is proved or in an error.
//!
//! The crate has no clock, file system, network or randomness: bytes, times and seeds are
//! arguments. The formats are those of Go's checksum database (`golang.org/x/mod/sumdb`) and of
//! the C2SP specifications signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles, tlog-witness
//! and tlog-proof.
#![warn(clippy::disallowed_methods)]

mod b64;
pub mod client;
pub mod edge;
pub mod entries;
pub mod export;
pub mod hash;
pub mod head;
pub mod note;
pub mod proof;
pub mod record;
pub mod tile;
pub mod tree;
pub mod witness;

pub use hash::Hash;
pub use head::TreeHead;
pub use tile::Tile;
