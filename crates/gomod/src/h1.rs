//! The `h1:` hash of go.sum: SHA-256 over a sorted list of file hashes.
//!
//! Each file is a line of its SHA-256 in hexadecimal, two spaces, its name. The lines are sorted by
//! the bytes of the names and hashed again, so order, compression, times and modes of a zip do not
//! matter, while an empty directory entry or a repeated file does. Source of the rule:
//! golang.org/x/mod/sumdb/dirhash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// A hash as go.sum writes it: `h1:` and 32 bytes in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct H1(pub [u8; 32]);

/// Why a text is no hash of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an h1: hash")]
pub struct H1Error;

impl fmt::Display for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for H1 {
    type Err = H1Error;

    /// Accepts the canonical text only: what is parsed renders to the same text.
    fn from_str(text: &str) -> Result<Self, H1Error> {
        let bytes = STANDARD
            .decode(text.strip_prefix("h1:").ok_or(H1Error)?)
            .map_err(|_| H1Error)?;
        Ok(Self(bytes.try_into().map_err(|_| H1Error)?))
    }
}

/// A file name with a line break, which the hash cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dirhash: filenames with newlines are not supported")]
pub struct NameError;

/// Collects the files of a module and hashes them.
#[derive(Debug, Default, Clone)]
pub struct Hasher {
    files: Vec<(Vec<u8>, [u8; 32])>,
}

impl Hasher {
    /// Adds a file by its name and the SHA-256 of its content.
    pub fn add(&mut self, name: impl Into<Vec<u8>>, sha256: [u8; 32]) -> Result<(), NameError> {
        let name = name.into();
        if name.contains(&b'\n') {
            return Err(NameError);
        }
        self.files.push((name, sha256));
        Ok(())
    }

    /// The hash of all files added.
    pub fn finish(mut self) -> H1 {
        // Of files with the same name the first added comes first, as a stable sort leaves them.
        self.files.sort_by(|a, b| a.0.cmp(&b.0));
        let mut sum = Sha256::new();
        for (name, sha256) in &self.files {
            sum.update(hex(sha256));
            sum.update(b"  ");
            sum.update(name);
            sum.update(b"\n");
        }
        H1(sum.finalize().into())
    }
}

/// The hash of a `.mod` file: of a list with the one name `go.mod`.
pub fn hash_mod(bytes: &[u8]) -> H1 {
    let mut sum = Sha256::new();
    sum.update(hex(&Sha256::digest(bytes).into()));
    sum.update(b"  go.mod\n");
    H1(sum.finalize().into())
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_go_mod_hash_is_the_one_of_go_sum() {
        // golang.org/x/text v0.3.0/go.mod as sum.golang.org records it.
        let sum = hash_mod(b"module golang.org/x/text\n");
        assert_eq!(
            sum.to_string(),
            "h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ="
        );
        assert_eq!(sum.to_string().parse(), Ok(sum));
    }

    #[test]
    fn order_of_adding_does_not_matter() {
        let mut one = Hasher::default();
        one.add("b", [1; 32]).unwrap();
        one.add("a", [2; 32]).unwrap();
        let mut other = Hasher::default();
        other.add("a", [2; 32]).unwrap();
        other.add("b", [1; 32]).unwrap();
        assert_eq!(one.finish(), other.finish());
        assert_eq!(Hasher::default().add("a\nb", [0; 32]), Err(NameError));
    }

    #[test]
    fn only_canonical_text_is_a_hash() {
        for bad in [
            "",
            "h1:",
            "h2:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=",
            "h1:NqM8",
            "h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ",
        ] {
            assert_eq!(bad.parse::<H1>(), Err(H1Error), "{bad}");
        }
    }
}
