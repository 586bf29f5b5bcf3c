//! What a log of module versions holds: one record for each, whose text names the version.
//!
//! The coordinate is read from the text and stored nowhere else, so a record cannot be filed under
//! a version that it does not speak of.

use sha2::{Digest, Sha256};
use tlog::record::{Record, go_sum_text};

use crate::error::LedgerError;

/// The longest record, in bytes. Two go.sum lines with the longest module path and version that
/// fit into an address are below 5 kB; the wire format would allow 65,535.
pub const RECORD_BYTES_MAX: usize = 16 << 10;

/// A record to append: go.sum lines of one module version, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    text: String,
    key: Key,
}

/// What the index knows a module version by: the first half of the SHA-256 of `module@version`.
/// Whoever finds two versions with one key has half broken SHA-256; the text is compared anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub [u8; 16]);

impl NewRecord {
    /// Checks a record's text: lines `module version h1:...` and `module version/go.mod h1:...`,
    /// all of one version, at most [`RECORD_BYTES_MAX`].
    pub fn new(text: impl Into<String>) -> Result<Self, LedgerError> {
        let text = text.into();
        let (module, version) = coordinate(&text)?;
        let key = Key::of(module, version);
        Ok(Self { text, key })
    }

    /// The record of a version with both its sums, as in go.sum (`h1:` included).
    pub fn go_sum(
        module: &str,
        version: &str,
        zip: &str,
        go_mod: &str,
    ) -> Result<Self, LedgerError> {
        let record = Self::new(go_sum_text(module, version, zip, go_mod))?;
        if coordinate(&record.text)? != (module, version) {
            return Err(LedgerError::Invalid("the module or version holds a space"));
        }
        Ok(record)
    }

    /// The text that is hashed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The module, which the text names.
    pub fn module(&self) -> &str {
        coordinate(&self.text).map_or("", |(module, _)| module)
    }

    /// The version, which the text names.
    pub fn version(&self) -> &str {
        coordinate(&self.text).map_or("", |(_, version)| version)
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }
}

impl Key {
    pub fn of(module: &str, version: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(module);
        hasher.update("@");
        hasher.update(version);
        let [key, _]: [[u8; 16]; 2] = split(hasher.finalize().into());
        Self(key)
    }

    /// The key of the version that a record's text names.
    pub fn of_text(text: &str) -> Result<Self, LedgerError> {
        coordinate(text).map(|(module, version)| Self::of(module, version))
    }
}

fn split(hash: [u8; 32]) -> [[u8; 16]; 2] {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    left.copy_from_slice(&hash[..16]);
    right.copy_from_slice(&hash[16..]);
    [left, right]
}

/// The module and the version that every line of a record's text is about.
pub(crate) fn coordinate(text: &str) -> Result<(&str, &str), LedgerError> {
    let invalid = LedgerError::Invalid;
    if text.len() > RECORD_BYTES_MAX {
        return Err(invalid("it is longer than 16 KiB"));
    }
    Record::new(0, text).map_err(|_| invalid("it is not lines of text, each ended"))?;
    let mut found = None;
    for line in text.split_terminator('\n') {
        let here = line_coordinate(line)
            .ok_or(invalid("a line is not `module version h1:...` of go.sum"))?;
        if *found.get_or_insert(here) != here {
            return Err(invalid("its lines are about several versions"));
        }
    }
    found.ok_or(invalid("it is empty"))
}

fn line_coordinate(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ');
    let (module, version, sum) = (fields.next()?, fields.next()?, fields.next()?);
    let version = version.strip_suffix("/go.mod").unwrap_or(version);
    let named = !module.is_empty() && !module.contains('@');
    let versioned = !version.is_empty() && !version.contains('/');
    (named && versioned && !sum.is_empty() && fields.next().is_none()).then_some((module, version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_record_names_its_version_in_every_line() {
        let record = NewRecord::go_sum("example.com/m", "v1.0.0", "h1:a=", "h1:b=").unwrap();
        assert_eq!(record.module(), "example.com/m");
        assert_eq!(record.version(), "v1.0.0");
        assert_eq!(record.key(), Key::of("example.com/m", "v1.0.0"));
        let only_mod = NewRecord::new("m v1/go.mod h1:b=\n").unwrap();
        assert_eq!((only_mod.module(), only_mod.version()), ("m", "v1"));
    }

    #[test]
    fn texts_that_name_no_version_or_several_are_refused() {
        for text in [
            "",
            "\n",
            "m v1 h1:a=",
            "m v1\n",
            "m  h1:a=\n",
            "m v1 h1:a= more\n",
            "m v1 h1:a=\n\nm v1/go.mod h1:b=\n",
            "m v1 h1:a=\nm v2/go.mod h1:b=\n",
            "m@v v1 h1:a=\n",
            "m v1/x h1:a=\n",
            "m v1 h1:a=\x01\n",
        ] {
            assert!(NewRecord::new(text).is_err(), "{text:?}");
        }
        let long = format!("{} v1 h1:a=\n", "m".repeat(RECORD_BYTES_MAX));
        assert!(NewRecord::new(long).is_err());
        assert!(NewRecord::go_sum("m v", "v1", "h1:a=", "h1:b=").is_err());
    }
}
