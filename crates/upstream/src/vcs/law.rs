//! The rules of `gomod` in the form that revisions and tags need: texts from a repository, where
//! an invalid version is not an error but one more tag to skip.

use std::cmp::Ordering;

use gomod::{modfile, path, pseudo, semver, version};

pub(crate) fn is_valid(version: &str) -> bool {
    semver::is_valid(version)
}

/// `vX.Y.Z[-PRE]`, or empty for what is no version.
pub(crate) fn canonical(version: &str) -> String {
    semver::canonical(version).map(std::borrow::Cow::into_owned).unwrap_or_default()
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
    Some(pseudo::pseudo_version(major, base, &pseudo_stamp(seconds)?, rev))
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
pub(crate) struct Retractions(Vec<(String, String)>);

impl Retractions {
    pub(crate) fn contain(&self, version: &str) -> bool {
        let inside = |(low, high): &(String, String)| {
            compare(low, version) != Ordering::Greater && compare(version, high) != Ordering::Greater
        };
        self.0.iter().any(inside)
    }
}

/// What a go.mod retracts; nothing when it cannot be read, as in the go command.
pub(crate) fn retractions(go_mod: &[u8]) -> Retractions {
    Retractions(modfile::retractions(go_mod))
}

/// The go.mod served for a repository that has none.
pub(crate) fn legacy_go_mod(path: &str) -> Vec<u8> {
    format!("module {}\n", modfile::auto_quote(path)).into_bytes()
}

/// The names that go into the zip of a module.
pub(crate) fn select(
    _mv: &gomod::version::ModuleVersion,
    files: &[super::repo::TreeFile],
    _go_mod: Option<&[u8]>,
) -> Result<Vec<Vec<u8>>, super::error::DirectError> {
    let mods: Vec<Vec<u8>> = files.iter().filter(|f| f.name.to_ascii_lowercase().ends_with(b"/go.mod")).map(|f| f.name[..f.name.len()-6].to_vec()).collect();
    Ok(files.iter().filter(|f| f.regular && !mods.iter().any(|m| f.name.starts_with(m))).map(|f| f.name.clone()).collect())
}
