//! Checks a zip by the module rules and hashes it.

use super::directory::{self, Entry, Fields, HAS_DESCRIPTOR};
use super::{MAX_GO_MOD, MAX_LICENSE, MAX_ZIP_FILE, ZipError, format_error};
use crate::h1::{H1, Hasher};
use crate::path::check_file_path_bytes;
use crate::unicode::to_fold;
use crate::version::ModuleVersion;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

/// What a good zip holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its go.sum hash.
    pub h1: H1,
    /// Files in it.
    pub files: usize,
    /// Bytes of all of them.
    pub unpacked_bytes: u64,
    /// Its go.mod, if it has one.
    pub go_mod: Option<Vec<u8>>,
}

/// Checks names and sizes only: no file is read. `size` is the zip's own.
pub fn check<R: Read + Seek>(
    mut reader: R,
    size: u64,
    version: &ModuleVersion,
) -> Result<(), ZipError> {
    check_directory(&mut reader, size, version).map(drop)
}

/// Checks everything: names, sizes, and the content of each file against its CRC and size.
pub fn verify<R: Read + Seek>(
    mut reader: R,
    size: u64,
    version: &ModuleVersion,
) -> Result<Checked, ZipError> {
    let entries = check_directory(&mut reader, size, version)?;
    let mut unpacker = Unpacker::default();
    let mut hashes = Vec::with_capacity(entries.len());
    for entry in &entries {
        let mut sum = Sha256::new();
        unpacker.unpack(&mut reader, entry, |bytes| sum.update(bytes))?;
        hashes.push(sum.finalize().into());
    }
    summarize(&mut reader, version, &entries, hashes)
}

/// The hash of any zip, directory entries and repeated names included, as dirhash.HashZip gives it.
pub fn hash_zip<R: Read + Seek>(mut reader: R) -> Result<H1, ZipError> {
    let size = reader.seek(SeekFrom::End(0))?;
    let entries = directory::read(&mut reader, size)?;
    let mut unpacker = Unpacker::default();
    let mut hasher = Hasher::default();
    for entry in &entries {
        let mut sum = Sha256::new();
        unpacker.unpack(&mut reader, entry, |bytes| sum.update(bytes))?;
        hasher
            .add(entry.name.clone(), sum.finalize().into())
            .map_err(|e| ZipError::Rule(e.to_string()))?;
    }
    Ok(hasher.finish())
}

/// Puts hashes of all entries, in their order, together with the go.mod.
pub(super) fn summarize<R: Read + Seek>(
    reader: &mut R,
    version: &ModuleVersion,
    entries: &[Entry],
    hashes: Vec<[u8; 32]>,
) -> Result<Checked, ZipError> {
    let mut hasher = Hasher::default();
    for (entry, hash) in entries.iter().zip(hashes) {
        hasher
            .add(entry.name.clone(), hash)
            .map_err(|e| ZipError::Rule(e.to_string()))?;
    }
    let files = entries.iter().filter(|e| !e.is_dir());
    let go_mod_name = format!("{version}/go.mod");
    let go_mod = match entries.iter().find(|e| e.name == go_mod_name.as_bytes()) {
        Some(entry) => {
            let mut bytes = Vec::new();
            Unpacker::default().unpack(reader, entry, |part| bytes.extend_from_slice(part))?;
            Some(bytes)
        }
        None => None,
    };
    Ok(Checked {
        h1: hasher.finish(),
        files: files.clone().count(),
        unpacked_bytes: files.map(|e| e.size).sum(),
        go_mod,
    })
}

/// Reads the directory and holds every entry against the rules.
pub(super) fn check_directory<R: Read + Seek>(
    reader: &mut R,
    size: u64,
    version: &ModuleVersion,
) -> Result<Vec<Entry>, ZipError> {
    if size > MAX_ZIP_FILE {
        let text =
            format!("module zip file is too large ({size} bytes; limit is {MAX_ZIP_FILE} bytes)");
        return Err(ZipError::Rule(text));
    }
    let entries = directory::read(reader, size)?;
    let prefix = format!("{version}/");
    let mut collisions = Collisions::default();
    let mut total = 0u64;
    for entry in &entries {
        let Some(name) = entry.name.strip_prefix(prefix.as_bytes()) else {
            let name = String::from_utf8_lossy(&entry.name);
            return Err(ZipError::Rule(format!(
                "zip for {version} has unexpected file {name}"
            )));
        };
        check_entry(entry, name, &mut collisions, &mut total).map_err(|why| {
            ZipError::Rule(format!(
                "unzip {}/@v/{}.zip: {}: {why}",
                version.path(),
                version.version(),
                String::from_utf8_lossy(&entry.name)
            ))
        })?;
    }
    Ok(entries)
}

fn check_entry(
    entry: &Entry,
    name: &[u8],
    collisions: &mut Collisions,
    total: &mut u64,
) -> Result<(), String> {
    if name.is_empty() {
        return Ok(());
    }
    let (name, is_dir) = name.strip_suffix(b"/").map_or((name, false), |n| (n, true));
    if !is_clean(name) {
        return Err("file path is not clean".into());
    }
    let name = check_file_path_bytes(name).map_err(|e| e.to_string())?;
    collisions.check(name, is_dir)?;
    if is_dir {
        return Ok(());
    }
    let base = name.rsplit('/').next().unwrap_or(name);
    // EqualFold for an ASCII word without K and S is plain ASCII folding.
    if base.eq_ignore_ascii_case("go.mod") {
        if base != name {
            return Err("go.mod file not in module root directory".into());
        }
        if name != "go.mod" {
            return Err("go.mod files must have lowercase names".into());
        }
    }
    *total = total.checked_add(entry.size).filter(|t| *t <= MAX_ZIP_FILE).ok_or_else(|| {
        format!("total uncompressed size of module contents too large (max size is {MAX_ZIP_FILE} bytes)")
    })?;
    check_size(name, entry.size)
}

/// go.mod and LICENSE have limits of their own.
pub(super) fn check_size(name: &str, size: u64) -> Result<(), String> {
    match name {
        "go.mod" if size > MAX_GO_MOD => Err(format!(
            "go.mod file too large (max size is {MAX_GO_MOD} bytes)"
        )),
        "LICENSE" if size > MAX_LICENSE => Err(format!(
            "LICENSE file too large (max size is {MAX_LICENSE} bytes)"
        )),
        _ => Ok(()),
    }
}

/// Whether Go's path.Clean would leave the name as it is.
pub(super) fn is_clean(name: &[u8]) -> bool {
    let parts = || name.split(|b| *b == b'/');
    match name {
        b"" => false,
        b"." | b"/" => true,
        _ => {
            let absolute = name.starts_with(b"/");
            let mut climbing = !absolute;
            parts().skip(usize::from(absolute)).all(|part| {
                climbing &= part == b"..";
                !(part.is_empty() || part == b".") && (part != b".." || climbing)
            })
        }
    }
}

/// Finds names that differ only by case, and names that are file and directory at once.
#[derive(Default)]
pub(super) struct Collisions {
    /// Folded name to the name and whether it is a directory.
    seen: HashMap<String, (String, bool)>,
}

impl Collisions {
    pub fn check(&mut self, name: &str, is_dir: bool) -> Result<(), String> {
        let (mut name, mut is_dir) = (name, is_dir);
        loop {
            let fold = to_fold(name);
            match self.seen.get(fold.as_ref()) {
                Some((other, _)) if other != name => {
                    return Err(format!(
                        "case-insensitive file name collision: {} and {}",
                        crate::quote::quote(other),
                        crate::quote::quote(name)
                    ));
                }
                Some((_, other_dir)) if *other_dir != is_dir => {
                    return Err(format!(
                        "entry {} is both a file and a directory",
                        crate::quote::quote(name)
                    ));
                }
                Some(_) if !is_dir => {
                    return Err(format!(
                        "multiple entries for file {}",
                        crate::quote::quote(name)
                    ));
                }
                // A directory seen before has had its parents checked.
                Some(_) => return Ok(()),
                None => {
                    self.seen
                        .insert(fold.into_owned(), (name.to_owned(), is_dir));
                }
            }
            match name.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => (name, is_dir) = (parent, true),
                _ => return Ok(()),
            }
        }
    }
}

/// Bytes moved at once.
const BUFFER: usize = 64 << 10;

/// Reads entries one after the other with the same buffers.
pub(super) struct Unpacker {
    packed: Vec<u8>,
    plain: Vec<u8>,
    inflater: Decompress,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self {
            packed: vec![0; BUFFER],
            plain: vec![0; BUFFER],
            inflater: Decompress::new(false),
        }
    }
}

impl Unpacker {
    /// Gives the content of an entry to `take`, and holds it against the entry's size and CRC.
    pub fn unpack<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        entry: &Entry,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ZipError> {
        if entry.is_dir() {
            return if entry.size == 0 {
                Ok(())
            } else {
                Err(broken(entry, "a directory has content"))
            };
        }
        seek_to_data(reader, entry)?;
        let mut crc = Crc::new();
        let mut size = 0u64;
        let mut give = |bytes: &[u8]| {
            size += bytes.len() as u64;
            // The limit keeps a bomb from costing more than its declared size.
            if size > entry.size {
                return Err(broken(entry, "it is larger than declared"));
            }
            crc.update(bytes);
            take(bytes);
            Ok(())
        };
        let mut packed = reader.take(entry.packed);
        match entry.method {
            0 => loop {
                match packed.read(&mut self.packed)? {
                    0 => break,
                    n => give(&self.packed[..n])?,
                }
            },
            8 => self.inflate(&mut packed, entry, give)?,
            _ => return Err(broken(entry, "unsupported compression algorithm")),
        }
        if size != entry.size {
            return Err(broken(entry, "it is smaller than declared"));
        }
        // A CRC of zero without descriptor means "not given" to the go command.
        let given = entry.crc != 0 || entry.flags & HAS_DESCRIPTOR != 0;
        match given && crc.sum() != entry.crc {
            true => Err(broken(entry, "checksum error")),
            false => Ok(()),
        }
    }

    fn inflate<R: Read>(
        &mut self,
        packed: &mut R,
        entry: &Entry,
        mut give: impl FnMut(&[u8]) -> Result<(), ZipError>,
    ) -> Result<(), ZipError> {
        self.inflater.reset(false);
        let (mut start, mut end) = (0, 0);
        loop {
            if start == end {
                (start, end) = (0, packed.read(&mut self.packed)?);
            }
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(
                    &self.packed[start..end],
                    &mut self.plain,
                    FlushDecompress::None,
                )
                .map_err(|_| broken(entry, "its compressed data is damaged"))?;
            let (read, made) = (
                (self.inflater.total_in() - before_in) as usize,
                (self.inflater.total_out() - before_out) as usize,
            );
            start += read;
            give(&self.plain[..made])?;
            match status {
                Status::StreamEnd => return Ok(()),
                _ if end == 0 || (read == 0 && made == 0) => {
                    return Err(broken(entry, "its compressed data is cut short"));
                }
                _ => {}
            }
        }
    }
}

fn seek_to_data<R: Read + Seek>(reader: &mut R, entry: &Entry) -> Result<(), ZipError> {
    let mut header = [0; 30];
    reader.seek(SeekFrom::Start(entry.offset))?;
    reader
        .read_exact(&mut header)
        .map_err(|_| broken(entry, "it is not where the directory says"))?;
    if header[..4] != super::stream::LOCAL_SIGNATURE.to_le_bytes() {
        return Err(broken(entry, "it is not where the directory says"));
    }
    let mut lengths = Fields(&header[26..]);
    let skip = u64::from(lengths.u16().unwrap_or(0)) + u64::from(lengths.u16().unwrap_or(0));
    reader.seek(SeekFrom::Start(entry.offset + 30 + skip))?;
    Ok(())
}

fn broken(entry: &Entry, why: &str) -> ZipError {
    format_error(&format!("{}: {why}", String::from_utf8_lossy(&entry.name)))
}
