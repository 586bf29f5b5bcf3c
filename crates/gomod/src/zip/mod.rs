//! Module zips: what may be in one, what its hash is, and how one is made.
//!
//! Source of the rules: golang.org/ref/mod#zip-files and golang.org/x/mod/zip. Error texts use the
//! go command's own words, because people search for them.
//!
//! The container format is read by `directory`, not by a library: what counts here is exactly
//! what the go command's reader sees (repeated names, directory entries and all), and a reader that
//! smooths such things over would hide them from the checks. In two points it is stricter than the
//! go command, because no writer makes such zips: entries that share bytes let a small file cost
//! without bound, and an entry whose own header names it otherwise is another file to other tools.

mod check;
mod collisions;
mod contents;
mod create;
mod directory;
mod listing;
mod select;
mod source;
mod stream;
mod unpack;
mod verify;
mod write;

pub use check::{Report, check, report};
pub use contents::{FileSum, contents};
pub use create::create;
pub use listing::{Listing, list};
pub use select::{FileKind, FileMeta, Reason, Selection, is_vendored_package, language, select};
pub use stream::StreamHasher;
pub use verify::{Beside, Checked, hash_zip, verify, verify_beside, verify_parallel};
pub use write::Writer;

use std::io;

/// Bytes of a zip, and of all its files together: 500 MiB each. Set by the go command.
pub const MAX_ZIP_FILE: u64 = 500 << 20;

/// Bytes of a go.mod file: 16 MiB. Set by the go command.
pub const MAX_GO_MOD: u64 = 16 << 20;

/// Bytes of a LICENSE file: 16 MiB. Set by the go command.
pub const MAX_LICENSE: u64 = 16 << 20;

/// Why a zip is not a module's.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// A rule is broken; the text names the file.
    #[error("{0}")]
    Rule(String),
    /// It is not a zip, or a damaged one.
    #[error("zip: not a valid zip file: {0}")]
    Format(String),
    /// A file is not the one that its checksum was made of.
    #[error("zip: checksum error: {0}")]
    Checksum(String),
    /// A file is packed in a way that the go command does not know.
    #[error("zip: unsupported compression algorithm: {0}")]
    Algorithm(String),
    /// It cannot be read.
    #[error("reading the zip: {0}")]
    Io(#[from] io::Error),
}

pub(crate) fn format_error(what: &str) -> ZipError {
    ZipError::Format(what.into())
}
