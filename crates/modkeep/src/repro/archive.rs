//! A bundle as one file: `.tar.gz`.

use crate::exit::Failed;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::Write;
use std::path::{Component, Path};
use tar::{Archive, Builder, EntryType, Header};

/// Bytes that a bundle may unpack to, and its files: a thousand modules of 30 MiB each.
const BYTES_MAX: u64 = 30 << 30;
const FILES_MAX: usize = 2_000_000;

/// Whether a name is that of an archive.
pub fn is_archive(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    name.ends_with(".tar.gz") || name.ends_with(".tgz")
}

/// Packs a directory; the same files give the same bytes.
pub fn pack(dir: &Path, to: &Path) -> Result<(), Failed> {
    let wrong = |e: std::io::Error| Failed::unknown(format!("{}: {e}", to.display()));
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            match entry.file_type().map_err(wrong)? {
                kind if kind.is_dir() => dirs.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    files.sort();
    let out = GzEncoder::new(File::create_new(to).map_err(wrong)?, Compression::fast());
    let mut tar = Builder::new(out);
    for file in files {
        let inside = file.strip_prefix(dir).unwrap_or(&file);
        let content = File::open(&file).map_err(wrong)?;
        let mut header = Header::new_gnu();
        header.set_size(content.metadata().map_err(wrong)?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(EntryType::Regular);
        tar.append_data(&mut header, inside, content)
            .map_err(wrong)?;
    }
    let out = tar.into_inner().map_err(wrong)?;
    out.finish().and_then(|mut f| f.flush()).map_err(wrong)
}

/// Unpacks an archive into an empty directory. It may come from anybody: only regular files with
/// plain relative names, within bounds.
pub fn unpack(from: &Path, to: &Path) -> Result<(), Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::usage(format!("{}: {e}", from.display()));
    let file = File::open(from).map_err(|e| wrong(&e))?;
    let mut archive = Archive::new(GzDecoder::new(file));
    let (mut files, mut bytes) = (0, 0);
    for entry in archive.entries().map_err(|e| wrong(&e))? {
        let mut entry = entry.map_err(|e| wrong(&e))?;
        let name = entry.path().map_err(|e| wrong(&e))?.into_owned();
        let plain = name.components().all(|c| matches!(c, Component::Normal(_)));
        if entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        if !plain || entry.header().entry_type() != EntryType::Regular {
            return Err(wrong(&format!(
                "{}: a bundle has only plain files",
                name.display()
            )));
        }
        files += 1;
        bytes += entry.size();
        if files > FILES_MAX || bytes > BYTES_MAX {
            return Err(wrong(&format!(
                "larger than {FILES_MAX} files or {BYTES_MAX} bytes"
            )));
        }
        let target = to.join(&name);
        if let Some(dir) = target.parent() {
            std::fs::create_dir_all(dir).map_err(|e| wrong(&e))?;
        }
        let mut out = File::create_new(&target).map_err(|e| wrong(&e))?;
        std::io::copy(&mut entry, &mut out).map_err(|e| wrong(&e))?;
    }
    Ok(())
}
