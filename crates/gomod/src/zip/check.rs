//! The rules for names and sizes in a module zip. No file is unpacked for them.

use super::collisions::Collisions;
use super::directory::{self, Entry};
use super::source::Source;
use super::{MAX_GO_MOD, MAX_LICENSE, MAX_ZIP_FILE, ZipError};
use crate::path::check_file_path_bytes;
use crate::quote::quote;
use crate::version::ModuleVersion;
use std::io::{Read, Seek};

/// Wrong files that an error names: the go command shows 8 lines of what a proxy says.
const NAMED_MAX: usize = 5;

/// What is wrong with a zip, file by file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Names of the files that may be in it.
    pub valid: Vec<String>,
    /// Names of the entries that may not, and why. What is not UTF-8 is replaced.
    pub invalid: Vec<(String, String)>,
    /// Why it is too large, if it is.
    pub too_large: Option<String>,
}

/// Checks names and sizes only: no file is read. `size` is the zip's own.
pub fn check<R: Read + Seek>(
    reader: R,
    size: u64,
    version: &ModuleVersion,
) -> Result<(), ZipError> {
    read_directory(&mut Source::new(reader), size, version).map(drop)
}

/// Like [`check`], but tells about every file.
pub fn report<R: Read + Seek>(
    reader: R,
    size: u64,
    version: &ModuleVersion,
) -> Result<Report, ZipError> {
    if let Some(text) = zip_too_large(size) {
        return Ok(Report {
            too_large: Some(text),
            ..Report::default()
        });
    }
    let entries = directory::read(&mut Source::new(reader), size)?;
    let faults = judge(&entries, version);
    let mut wrong = faults.invalid.iter().map(|(index, _)| *index).peekable();
    let mut valid = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let is_wrong = wrong.next_if_eq(&index).is_some();
        if !is_wrong && !entry.is_dir() {
            valid.push(entry.shown_name());
        }
    }
    let named = |(index, why): (usize, String)| (entries[index].shown_name(), why);
    Ok(Report {
        valid,
        invalid: faults.invalid.into_iter().map(named).collect(),
        too_large: faults.too_large.then(tree_too_large),
    })
}

/// Reads the directory and holds every entry against the rules.
pub(super) fn read_directory<R: Read + Seek>(
    source: &mut Source<R>,
    size: u64,
    version: &ModuleVersion,
) -> Result<Vec<Entry>, ZipError> {
    let unzip = |text: String| {
        let (path, number) = (version.path().escaped(), version.version().escaped());
        ZipError::Rule(format!("unzip {path}/@v/{number}.zip: {text}"))
    };
    if let Some(text) = zip_too_large(size) {
        return Err(unzip(text));
    }
    let entries = directory::read(source, size)?;
    let faults = judge(&entries, version);
    // The go command looks at the prefix before it hashes, at everything else when it unpacks.
    if let Some(index) = faults.foreign {
        let name = entries[index].shown_name();
        return Err(ZipError::Rule(format!(
            "zip for {version} has unexpected file {name}"
        )));
    }
    if faults.too_large {
        return Err(unzip(tree_too_large()));
    }
    if faults.invalid.is_empty() {
        return Ok(entries);
    }
    let named = faults.invalid.iter().take(NAMED_MAX);
    let mut lines: Vec<String> = named
        .map(|(index, why)| format!("{}: {why}", entries[*index].shown_name()))
        .collect();
    let more = faults.invalid.len() - lines.len();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    Err(unzip(lines.join("\n")))
}

fn zip_too_large(size: u64) -> Option<String> {
    (size > MAX_ZIP_FILE).then(|| {
        format!("module zip file is too large ({size} bytes; limit is {MAX_ZIP_FILE} bytes)")
    })
}

pub(super) fn tree_too_large() -> String {
    format!(
        "total uncompressed size of module contents too large (max size is {MAX_ZIP_FILE} bytes)"
    )
}

#[derive(Default)]
struct Faults {
    /// Indices of entries in order, and why they may not be there.
    invalid: Vec<(usize, String)>,
    /// The first entry outside the module's directory.
    foreign: Option<usize>,
    too_large: bool,
}

fn judge(entries: &[Entry], version: &ModuleVersion) -> Faults {
    let prefix = format!("{version}/");
    let mut faults = Faults::default();
    let mut collisions = Collisions::default();
    let mut room = MAX_ZIP_FILE;
    for (index, entry) in entries.iter().enumerate() {
        let Some(name) = entry.name.strip_prefix(prefix.as_bytes()) else {
            faults.foreign.get_or_insert(index);
            let why = format!("path does not have prefix {}", quote(&prefix));
            faults.invalid.push((index, why));
            continue;
        };
        let judged = judge_name(name, &mut collisions).and_then(|file| match file {
            None => Ok(()),
            Some(name) => {
                match room.checked_sub(entry.size) {
                    Some(left) => room = left,
                    None => faults.too_large = true,
                }
                check_size(name, entry.size)
            }
        });
        if let Err(why) = judged {
            faults.invalid.push((index, why));
        }
    }
    faults
}

/// The name of a file that may be in a zip; nothing for a directory.
fn judge_name<'a>(name: &'a [u8], collisions: &mut Collisions) -> Result<Option<&'a str>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let (name, is_dir) = name.strip_suffix(b"/").map_or((name, false), |n| (n, true));
    if !is_clean(name) {
        return Err("file path is not clean".into());
    }
    let name = check_file_path_bytes(name).map_err(|e| e.to_string())?;
    collisions.check(name, is_dir)?;
    if is_dir {
        return Ok(None);
    }
    let base = name.rsplit('/').next().unwrap_or(name);
    // No letter outside ASCII folds to one of these.
    if base.eq_ignore_ascii_case("go.mod") {
        if base != name {
            return Err("go.mod file not in module root directory".into());
        }
        if name != "go.mod" {
            return Err("go.mod files must have lowercase names".into());
        }
    }
    Ok(Some(name))
}

/// go.mod and LICENSE have limits of their own.
pub(super) fn check_size(name: &str, size: u64) -> Result<(), String> {
    let limit = match name {
        "go.mod" => MAX_GO_MOD,
        "LICENSE" => MAX_LICENSE,
        _ => return Ok(()),
    };
    match size > limit {
        true => Err(format!("{name} file too large (max size is {limit} bytes)")),
        false => Ok(()),
    }
}

/// Whether Go's path.Clean would leave the name as it is.
pub(super) fn is_clean(name: &[u8]) -> bool {
    match name {
        b"" => false,
        b"." | b"/" => true,
        _ => {
            let absolute = name.starts_with(b"/");
            let mut climbing = !absolute;
            let mut parts = name.split(|b| *b == b'/').skip(usize::from(absolute));
            parts.all(|part| {
                climbing &= part == b"..";
                !(part.is_empty() || part == b".") && (part != b".." || climbing)
            })
        }
    }
}
