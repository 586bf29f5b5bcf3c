//! Makes a module zip out of a tree.

use super::select::{FileKind, FileMeta, language, select};
use super::write::Writer;
use super::{MAX_GO_MOD, ZipError};
use crate::h1::H1;
use crate::version::ModuleVersion;
use std::io::{self, Read, Write};

/// Writes the zip of a version from the files of its tree, in the order given, and hashes it in the
/// same pass. The go.mod of the tree decides what counts as vendored. `open` gives the content of a
/// file by its index; a file that turns out longer than its size is an error.
pub fn create<W: Write, R: Read>(
    version: &ModuleVersion,
    files: &[FileMeta],
    mut open: impl FnMut(usize) -> io::Result<R>,
    out: W,
) -> Result<H1, ZipError> {
    let named = |error: ZipError| match error {
        ZipError::Rule(text) => ZipError::Rule(format!("create zip: {text}")),
        other => other,
    };
    let is_root = |f: &FileMeta| f.name == "go.mod" && f.kind == FileKind::Regular;
    let language = match files.iter().position(is_root) {
        Some(index) => {
            let mut go_mod = Vec::new();
            open(index)?.take(MAX_GO_MOD).read_to_end(&mut go_mod)?;
            language(&go_mod)
        }
        None => String::new(),
    };
    let selection = select(files, &language);
    selection.result(files).map_err(named)?;
    let mut writer = Writer::new(out, version);
    for index in selection.valid {
        let file = &files[index];
        writer
            .add(&file.name, file.size, open(index)?)
            .map_err(named)?;
    }
    let (h1, _) = writer.finish().map_err(named)?;
    Ok(h1)
}
