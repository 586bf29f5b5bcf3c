//! Makes a module zip: the same files give the same bytes on every machine.

use super::select::{FileKind, FileMeta, language, select};
use super::{MAX_GO_MOD, ZipError};
use crate::h1::{H1, Hasher};
use crate::version::ModuleVersion;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Writes the zip of a version from the files of its tree, in the order given, and hashes it in the
/// same pass. `open` gives the content of a file by its index; a file that turns out longer than
/// its size is an error.
pub fn create<W: Write + Seek, R: Read>(
    version: &ModuleVersion,
    files: &[FileMeta],
    mut open: impl FnMut(usize) -> io::Result<R>,
    out: W,
) -> Result<H1, ZipError> {
    let root = files
        .iter()
        .position(|f| f.name == "go.mod" && f.kind == FileKind::Regular);
    let regime = match root {
        Some(index) => {
            let mut go_mod = Vec::new();
            open(index)?.take(MAX_GO_MOD).read_to_end(&mut go_mod)?;
            language(&go_mod)
        }
        None => String::new(),
    };
    let selection = select(files, &regime);
    selection.result(files)?;
    let mut writer = ZipWriter::new(out);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    for index in selection.valid {
        let file = &files[index];
        let name = format!("{version}/{}", file.name);
        // No time, no mode: nothing that could differ between two machines.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .large_file(file.size >= u32::MAX.into());
        writer
            .start_file(name.as_str(), options)
            .map_err(io::Error::other)?;
        let mut content = open(index)?.take(file.size + 1);
        let (mut sum, mut size) = (Sha256::new(), 0u64);
        loop {
            let n = content.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            size += n as u64;
            sum.update(&buffer[..n]);
            writer.write_all(&buffer[..n])?;
        }
        if size > file.size {
            return Err(ZipError::Rule(format!(
                "file {:?} is larger than declared size",
                file.name
            )));
        }
        hasher
            .add(name, sum.finalize().into())
            .map_err(|e| ZipError::Rule(e.to_string()))?;
    }
    writer.finish().map_err(io::Error::other)?;
    Ok(hasher.finish())
}
