//! Module zips: what may be in one, what its hash is, and how one is made.
//!
//! Source of the rules: golang.org/ref/mod#zip-files and golang.org/x/mod/zip. Error texts use the
//! go command's own words, because people search for them.
//!
//! The container format is read by [`directory`], not by a library: what counts here is exactly
//! what the go command's reader sees (repeated names, directory entries and all), and a reader that
//! smooths such things over would hide them from the checks.

mod check;
mod create;
mod directory;
mod select;
mod stream;

pub use check::{Checked, check, hash_zip, verify};
pub use create::create;
pub use select::{FileKind, FileMeta, Reason, Selection, is_vendored_package, language, select};
pub use stream::StreamHasher;

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
    /// It cannot be read.
    #[error("reading the zip: {0}")]
    Io(#[from] io::Error),
}

pub(crate) fn format_error(what: &str) -> ZipError {
    ZipError::Format(what.into())
}
