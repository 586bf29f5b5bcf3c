//! What sessions prove.

use bytes::Bytes;

use super::SignedHead;
use crate::record::SumOf;
use crate::tile::Tile;

/// A proved record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The record's number.
    pub id: u64,
    /// The text that was proved, and nothing else that came with it.
    pub record: String,
    /// The record's sums of the version that was asked for.
    pub sums: Sums,
    /// The newest head known, in whose tree the record is: the held one or the answer's.
    pub head: SignedHead,
    /// The head to hold from now on, if that is another.
    pub newer: Option<SignedHead>,
    /// The tiles that came from the database, proved, to be kept.
    pub tiles: Vec<(Tile, Bytes)>,
}

/// A proved head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadVerdict {
    /// The newest head known: the held one or the one checked.
    pub head: SignedHead,
    /// The head to hold from now on, if that is another.
    pub newer: Option<SignedHead>,
    /// The tiles that came from the database, proved, to be kept.
    pub tiles: Vec<(Tile, Bytes)>,
}

/// A proved tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileVerdict {
    /// The content of the tile that was asked for, as wide as it was asked for.
    pub bytes: Bytes,
    /// The tiles that came from the database, proved, to be kept.
    pub tiles: Vec<(Tile, Bytes)>,
}

/// The lines of a record about one module version, and its sums. There is at least one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    module: String,
    version: String,
    lines: Vec<String>,
    zip: Option<String>,
    go_mod: Option<String>,
}

/// A file is not the one that the database recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// The record has no `h1:` sum of the file.
    #[error("{module}@{version}: the checksum database recorded no h1: sum of this file")]
    Missing {
        /// The module.
        module: String,
        /// The version.
        version: String,
    },
    /// The record has another sum.
    #[error("{module}@{version}: checksum mismatch: found {found}, recorded {recorded}")]
    Differs {
        /// The module.
        module: String,
        /// The version.
        version: String,
        /// The sum of the file.
        found: String,
        /// The sum in the record.
        recorded: String,
    },
}

impl Verified {
    /// The answer to relay: the record, and the newest head in whose tree it was proved.
    ///
    /// Not the bytes that came. Their head may be too old to hold the record, and a record in
    /// another spelling would be relayed unread.
    pub fn answer(&self) -> Vec<u8> {
        let mut answer = format!("{}\n{}\n", self.id, self.record).into_bytes();
        answer.extend_from_slice(self.head.note());
        answer
    }
}

impl Sums {
    pub(super) fn new(module: &str, version: &str) -> Self {
        Self {
            module: module.to_owned(),
            version: version.to_owned(),
            lines: Vec::new(),
            zip: None,
            go_mod: None,
        }
    }

    /// Adds a line of the record about this sum; an error if it contradicts an earlier one.
    pub(super) fn add(&mut self, of: SumOf, line: &str) -> Result<(), ()> {
        self.lines.push(line.to_owned());
        // All that follows the version: a line with more words has a sum that no file has.
        let sum = line
            .splitn(3, ' ')
            .nth(2)
            .filter(|sum| sum.starts_with("h1:"));
        let slot = match of {
            SumOf::Zip => &mut self.zip,
            SumOf::GoMod => &mut self.go_mod,
        };
        match (&slot, sum) {
            (_, None) => Ok(()),
            (None, Some(sum)) => {
                *slot = Some(sum.to_owned());
                Ok(())
            }
            (Some(earlier), Some(sum)) if earlier == sum => Ok(()),
            (Some(_), Some(_)) => Err(()),
        }
    }

    /// The lines, as in go.sum: of the zip first.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The recorded sum, `h1:` included.
    pub fn h1(&self, of: SumOf) -> Option<&str> {
        match of {
            SumOf::Zip => self.zip.as_deref(),
            SumOf::GoMod => self.go_mod.as_deref(),
        }
    }

    /// Checks the sum of a file, `h1:` included. No recorded sum is no consent.
    pub fn check(&self, of: SumOf, found: &str) -> Result<(), SumError> {
        let (module, version) = (self.module.clone(), self.version.clone());
        match self.h1(of) {
            None => Err(SumError::Missing { module, version }),
            Some(recorded) if recorded == found => Ok(()),
            Some(recorded) => Err(SumError::Differs {
                module,
                version,
                found: found.to_owned(),
                recorded: recorded.to_owned(),
            }),
        }
    }
}
