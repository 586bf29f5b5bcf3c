//! Which files of a tree go into a module's zip.
//!
//! Source of the rules: golang.org/x/mod/zip. Vendored packages are left out by two regimes, by the
//! go version in the module's own go.mod, so that sums of old modules stay what they were.

use super::check::{check_size, is_clean};
use super::collisions::Collisions;
use super::{MAX_ZIP_FILE, ZipError};
use crate::modfile::{ModFile, goversion};
use crate::path::check_file_path;
use std::collections::HashSet;
use std::fmt;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    Regular,
    /// A symbolic link: never in a zip.
    Symlink,
    /// Anything else: never in a zip.
    Other,
}

/// A file of a tree.
#[derive(Debug, Clone)]
pub struct FileMeta {
    /// Its path from the module's root, with slashes.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub kind: FileKind,
}

/// Why a file is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A package in a vendor directory.
    Vendored,
    /// A file of a nested module.
    Submodule,
    /// What `hg archive` adds.
    HgArchival,
    /// A symbolic link.
    Symlink,
    /// No plain file.
    NotRegular,
    /// A version control system's own directory. Only in a [`super::Listing`].
    VersionControl,
    /// The directory of a nested module. Only in a [`super::Listing`].
    SubmoduleDir,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Vendored => "file is in vendor directory",
            Reason::Submodule => "file is in another module",
            Reason::HgArchival => "file is inserted by 'hg archive' and is always omitted",
            Reason::Symlink => "file is a symbolic link",
            Reason::NotRegular => "not a regular file",
            Reason::VersionControl => "directory is a version control repository",
            Reason::SubmoduleDir => "directory is in another module",
        })
    }
}

/// The outcome for all files of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Indices of the files that go in, in order.
    pub valid: Vec<usize>,
    /// Files left out, and why.
    pub omitted: Vec<(usize, Reason)>,
    /// Files that make the whole zip impossible, and why.
    pub invalid: Vec<(usize, String)>,
    /// Whether the valid files are too large together.
    pub too_large: bool,
}

impl Selection {
    /// An error unless a zip can be made.
    pub fn result(&self, files: &[FileMeta]) -> Result<(), ZipError> {
        if self.too_large {
            return Err(ZipError::Rule(format!(
                "module source tree too large (max size is {MAX_ZIP_FILE} bytes)"
            )));
        }
        if self.invalid.is_empty() {
            return Ok(());
        }
        let lines = self
            .invalid
            .iter()
            .map(|(i, why)| format!("{}: {why}", files[*i].name));
        Err(ZipError::Rule(lines.collect::<Vec<_>>().join("\n")))
    }
}

/// The `go` line of a go.mod as a language version, `go1.24` for `go 1.24.3`; empty without one.
pub fn language(go_mod: &[u8]) -> String {
    let go = ModFile::parse_lax("go.mod", go_mod)
        .ok()
        .and_then(|file| file.go);
    go.as_deref()
        .and_then(goversion::language)
        .map_or_else(String::new, |language| format!("go{language}"))
}

/// Whether a language version (`go1.24`) is at least 1.24. What is no version is older than all.
fn is_1_24(language: &str) -> bool {
    language
        .strip_prefix("go")
        .is_some_and(|version| goversion::is_at_least(version, "24"))
}

/// Whether a name is a package in a vendor directory, for a module of this language version.
pub fn is_vendored_package(name: &str, language: &str) -> bool {
    let new = is_1_24(language);
    if new && name == "vendor/modules.txt" {
        return true;
    }
    let prefix = "/vendor/".len();
    let start = if name.starts_with("vendor/") {
        prefix - 1
    } else if let Some(at) = name.find("/vendor/") {
        // The old regime counts from the start of the name: a mistake that sums depend on
        // (golang.org/issue/37397).
        if new { at + prefix } else { prefix }
    } else {
        return false;
    };
    name.as_bytes()
        .get(start..)
        .is_some_and(|rest| rest.contains(&b'/'))
}

/// Sorts the files of a tree into those that go in, those left out, and those that forbid a zip.
/// `language` is that of the root go.mod, see [`language`].
pub fn select(files: &[FileMeta], language: &str) -> Selection {
    let nested: HashSet<&str> = files
        .iter()
        .filter(|f| f.kind == FileKind::Regular)
        .map(|f| split(&f.name))
        .filter(|(_, base)| base.eq_ignore_ascii_case("go.mod"))
        .map(|(dir, _)| dir)
        .collect();
    let mut selection = Selection::default();
    let mut named = HashSet::new();
    let mut collisions = Collisions::default();
    let mut room = MAX_ZIP_FILE;
    for (index, file) in files.iter().enumerate() {
        let mut verdict = judge(file, language, &nested, &mut collisions);
        if let Verdict::Valid = verdict {
            match room.checked_sub(file.size) {
                Some(left) => room = left,
                None => selection.too_large = true,
            }
            if let Err(why) = check_size(&file.name, file.size) {
                verdict = Verdict::Invalid(why);
            }
        }
        match verdict {
            Verdict::Valid => selection.valid.push(index),
            // A name is complained of once.
            _ if !named.insert(&file.name) => {}
            Verdict::Omit(reason) => selection.omitted.push((index, reason)),
            Verdict::Invalid(why) => selection.invalid.push((index, why)),
        }
    }
    selection
}

enum Verdict {
    Valid,
    Omit(Reason),
    Invalid(String),
}

fn judge(
    file: &FileMeta,
    language: &str,
    nested: &HashSet<&str>,
    collisions: &mut Collisions,
) -> Verdict {
    let name = file.name.as_str();
    if !is_clean(name.as_bytes()) {
        return Verdict::Invalid("file path is not clean".into());
    }
    if name.starts_with('/') {
        return Verdict::Invalid("file path is not relative".into());
    }
    if is_vendored_package(name, language) {
        return Verdict::Omit(Reason::Vendored);
    }
    if in_nested(name, nested) {
        return Verdict::Omit(Reason::Submodule);
    }
    if name == ".hg_archival.txt" {
        return Verdict::Omit(Reason::HgArchival);
    }
    if let Err(e) = check_file_path(name) {
        return Verdict::Invalid(e.to_string());
    }
    if name.eq_ignore_ascii_case("go.mod") && name != "go.mod" {
        return Verdict::Invalid("go.mod files must have lowercase names".into());
    }
    if let Err(why) = collisions.check(name, false) {
        return Verdict::Invalid(why);
    }
    match file.kind {
        FileKind::Regular => Verdict::Valid,
        FileKind::Symlink => Verdict::Omit(Reason::Symlink),
        FileKind::Other => Verdict::Omit(Reason::NotRegular),
    }
}

/// Directory, with its slash, and base name.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.rfind('/').map_or(0, |i| i + 1))
}

/// Whether some directory above, other than the root, holds a go.mod.
fn in_nested(name: &str, nested: &HashSet<&str>) -> bool {
    let mut name = name;
    loop {
        let (dir, _) = split(name);
        if dir.is_empty() {
            return false;
        }
        if nested.contains(dir) {
            return true;
        }
        name = &dir[..dir.len() - 1];
    }
}
