//! The rules of `gomod` in the form that revisions and tags need: texts from a repository, where
//! an invalid version is not an error but one more tag to skip.

use std::cmp::Ordering;

use gomod::modfile::{ModFile, Retract};
use gomod::zip::{FileKind, FileMeta};
use gomod::{modfile, path, pseudo, semver, version, zip};

use super::error::DirectError;
use super::repo::TreeFile;

pub(crate) fn is_valid(version: &str) -> bool {
    semver::is_valid(version)
}

/// `vX.Y.Z[-PRE]`, or empty for what is no version.
pub(crate) fn canonical(version: &str) -> String {
    semver::canonical(version)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

/// Canonical with `+incompatible` kept, or empty.
pub(crate) fn canonical_version(version: &str) -> String {
    version::canonical_version(version).unwrap_or_default()
}

/// Semver order; whatever is no version comes before all versions.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    semver::compare(a, b)
}

pub(crate) fn sort(versions: &mut [String]) {
    semver::sort(versions);
}

pub(crate) fn major(version: &str) -> String {
    semver::major(version).unwrap_or_default().to_owned()
}

pub(crate) fn prerelease(version: &str) -> &str {
    semver::prerelease(version)
}

pub(crate) fn build(version: &str) -> String {
    semver::build(version).to_owned()
}

pub(crate) fn is_pseudo_version(version: &str) -> bool {
    pseudo::is_pseudo(version)
}

/// The revision of a pseudo-version; `None` for other versions.
pub(crate) fn pseudo_rev(version: &str) -> Option<String> {
    pseudo::rev(version).ok().map(str::to_owned)
}

/// The fourteen digits of a pseudo-version, if they are a time.
pub(crate) fn pseudo_time(version: &str) -> Option<String> {
    pseudo::time(version).ok()?;
    pseudo::timestamp(version).ok().map(str::to_owned)
}

/// The version that a pseudo-version follows, or empty.
pub(crate) fn pseudo_base(version: &str) -> Result<String, String> {
    pseudo::base(version).map_err(|error| error.to_string())
}

pub(crate) fn pseudo_stamp(seconds: i64) -> Option<String> {
    pseudo::format_timestamp(seconds)
}

/// A new pseudo-version; `None` when the time has no four-digit year.
pub(crate) fn pseudo_version(major: &str, base: &str, seconds: i64, rev: &str) -> Option<String> {
    Some(pseudo::pseudo_version(
        major,
        base,
        &pseudo_stamp(seconds)?,
        rev,
    ))
}

/// A path without and its major version suffix: `/v2`, `.v2`, `.v2-unstable` or empty.
pub(crate) fn split_path_version(text: &str) -> Option<(String, String)> {
    path::split_path_version(text).map(|(a, b)| (a.to_owned(), b.to_owned()))
}

/// The major version that a path suffix stands for, or empty.
pub(crate) fn path_major_prefix(path_major: &str) -> String {
    let major = path_major.get(1..).unwrap_or_default();
    major.strip_suffix("-unstable").unwrap_or(major).to_owned()
}

pub(crate) fn match_path_major(version: &str, path_major: &str) -> bool {
    path::match_path_major(version, path_major)
}

/// The module line of a go.mod, found without understanding the rest; empty when there is none.
pub(crate) fn module_path(go_mod: &[u8]) -> String {
    modfile::module_path(go_mod)
}

/// Intervals of retracted versions.
#[derive(Debug, Default)]
pub(crate) struct Retractions(Vec<Retract>);

impl Retractions {
    pub(crate) fn contain(&self, version: &str) -> bool {
        let inside = |retract: &Retract| {
            compare(&retract.low, version) != Ordering::Greater
                && compare(version, &retract.high) != Ordering::Greater
        };
        self.0.iter().any(inside)
    }
}

/// What a go.mod retracts; nothing when it cannot be read, as in the go command.
pub(crate) fn retractions(go_mod: &[u8]) -> Retractions {
    Retractions(
        ModFile::parse_lax("go.mod", go_mod)
            .map(|file| file.retract)
            .unwrap_or_default(),
    )
}

/// The go.mod served for a repository that has none.
pub(crate) fn legacy_go_mod(path: &str) -> Vec<u8> {
    // No character of a valid path needs quotes in a go.mod.
    format!("module {path}\n").into_bytes()
}

/// The names that go into the zip of a module whose own go.mod asks for a language version.
pub(crate) fn select(files: &[TreeFile], language: &str) -> Result<Vec<Vec<u8>>, DirectError> {
    let mut metas = Vec::with_capacity(files.len());
    for file in files {
        let Ok(name) = String::from_utf8(file.name.clone()) else {
            let shown = String::from_utf8_lossy(&file.name);
            return Err(DirectError::refused(format!(
                "malformed file path {shown:?}: invalid UTF-8"
            )));
        };
        let kind = if file.regular {
            FileKind::Regular
        } else {
            FileKind::Symlink
        };
        metas.push(FileMeta {
            name,
            size: file.size,
            kind,
        });
    }
    let selection = zip::select(&metas, language);
    match selection.result(&metas) {
        Err(error) if selection.too_large => Err(DirectError::limits(error.to_string())),
        Err(error) => Err(DirectError::refused(error.to_string())),
        Ok(()) => Ok(selection
            .valid
            .iter()
            .map(|i| metas[*i].name.clone().into_bytes())
            .collect()),
    }
}
