//! What may be called a module, a package and a file.
//!
//! The three kinds of path share one grammar of slash-separated elements and differ in the
//! characters they admit. Names that Windows reserves are refused everywhere, on every system:
//! a module must unpack on all of them. Module paths are ASCII, so that escaping upper-case
//! letters (see [`crate::escape`]) is all that a case-insensitive file system needs.
//! The rules are those of the Go modules reference, "Module paths" and "Module zip files".

use std::fmt;
use std::sync::Arc;

use crate::quote::{quote, quote_char};
use crate::semver;
use crate::unicode::is_letter;
use crate::version::VersionError;

/// A module path that the go command accepts. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModulePath(Arc<str>);

/// Which of the three grammars a path was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A module path, such as `golang.org/x/text`.
    Module,
    /// A package's import path, such as `golang.org/x/text/language`.
    Import,
    /// A file inside a module zip, such as `language/tags.go`.
    File,
}

/// A path that breaks the rules, and the rule it breaks. Displayed in the go command's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {kind} path {}: {reason}", quote(path))]
pub struct PathError {
    kind: PathKind,
    path: Box<[u8]>,
    reason: String,
}

impl PathError {
    /// The grammar the path was held against.
    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// The rule the path breaks, without the path.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn new(kind: PathKind, path: impl AsRef<[u8]>, reason: String) -> Self {
        Self {
            kind,
            path: path.as_ref().into(),
            reason,
        }
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Module => "module",
            Self::Import => "import",
            Self::File => "file",
        })
    }
}

impl ModulePath {
    /// Accepts exactly the paths that the go command accepts.
    ///
    /// No upper bound on the length is part of that rule: the caller bounds what it reads.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        check_module(path).map_err(|reason| PathError::new(PathKind::Module, path, reason))?;
        Ok(Self(path.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The major-version suffix with its separator: `/v2`, `.v1` for gopkg.in, or empty.
    pub fn major(&self) -> &str {
        split_path_version(&self.0).map_or("", |(_, major)| major)
    }

    /// The path without its major-version suffix.
    pub fn prefix(&self) -> &str {
        split_path_version(&self.0).map_or(&self.0, |(prefix, _)| prefix)
    }
}

impl AsRef<str> for ModulePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ModulePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

/// Checks the import path of a package.
pub fn check_import_path(path: &str) -> Result<(), PathError> {
    check(path, PathKind::Import).map_err(|reason| PathError::new(PathKind::Import, path, reason))
}

/// Checks the name of a file inside a module zip.
pub fn check_file_path(path: &str) -> Result<(), PathError> {
    check(path, PathKind::File).map_err(|reason| PathError::new(PathKind::File, path, reason))
}

/// [`check_file_path`] for a name that may not even be text, as zip headers carry them.
pub fn check_file_path_bytes(path: &[u8]) -> Result<&str, PathError> {
    let Ok(text) = std::str::from_utf8(path) else {
        return Err(PathError::new(
            PathKind::File,
            path,
            "invalid UTF-8".to_owned(),
        ));
    };
    check_file_path(text)?;
    Ok(text)
}

/// Splits a path into prefix and major-version suffix, or answers `None` when its last element
/// looks like a major version but may not be one, as in `example.com/m/v1`.
///
/// The suffix is `/vN` with N of 2 or more, or empty. Paths under gopkg.in must have `.vN`
/// instead, for every N, and may add `-unstable`.
pub fn split_path_version(path: &str) -> Option<(&str, &str)> {
    if path.starts_with("gopkg.in/") {
        return split_gopkg_in(path);
    }
    let front = path.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let Some(prefix) = front.strip_suffix("/v").filter(|_| front != path) else {
        return Some((path, ""));
    };
    let major = &path[prefix.len()..];
    let number = &major[2..];
    let bad = number.contains('.') || number.starts_with('0') || number == "1";
    (!bad).then_some((prefix, major))
}

fn split_gopkg_in(path: &str) -> Option<(&str, &str)> {
    let stable = path.strip_suffix("-unstable").unwrap_or(path);
    let front = stable.trim_end_matches(|c: char| c.is_ascii_digit());
    let prefix = front.strip_suffix(".v")?;
    let major = &path[prefix.len()..];
    let number = &major[2..];
    let bad = number.is_empty() || (number.starts_with('0') && major != ".v0");
    (!bad).then_some((prefix, major))
}

/// Whether the version may belong to a module path with that suffix.
pub fn match_path_major(version: &str, path_major: &str) -> bool {
    check_path_major(version, path_major).is_ok()
}

/// Like [`match_path_major`], with the reason why not.
pub fn check_path_major(version: &str, path_major: &str) -> Result<(), VersionError> {
    let path_major = match path_major.strip_suffix("-unstable") {
        Some(stable) if path_major.starts_with(".v") => stable,
        _ => path_major,
    };
    // Early pseudo-versions of gopkg.in/....v1 said v0.0.0, and published go.mod files name them.
    if version.starts_with("v0.0.0-") && path_major == ".v1" {
        return Ok(());
    }
    let major = semver::major(version).unwrap_or_default();
    if path_major.is_empty() {
        let compatible = matches!(major, "v0" | "v1");
        if compatible || semver::build(version) == "+incompatible" {
            return Ok(());
        }
        return Err(VersionError::mismatch(version, "v0 or v1", major));
    }
    let separated = path_major.strip_prefix(['/', '.']);
    if separated == Some(major) {
        return Ok(());
    }
    let wanted = separated.unwrap_or(path_major);
    Err(VersionError::mismatch(version, wanted, major))
}

fn check_module(path: &str) -> Result<(), String> {
    check(path, PathKind::Module)?;
    let first = path.split('/').next().unwrap_or_default();
    if !first.contains('.') {
        return Err("missing dot in first path element".to_owned());
    }
    let legal = |c: char| matches!(c, '-' | '.' | '0'..='9' | 'a'..='z');
    if let Some(c) = first.chars().find(|&c| !legal(c)) {
        return Err(format!(
            "invalid char {} in first path element",
            quote_char(c)
        ));
    }
    if split_path_version(path).is_none() {
        return Err("invalid version".to_owned());
    }
    Ok(())
}

fn check(path: &str, kind: PathKind) -> Result<(), String> {
    if path.is_empty() {
        return Err("empty string".to_owned());
    }
    if path.starts_with('-') && kind != PathKind::File {
        return Err("leading dash".to_owned());
    }
    if path.contains("//") {
        return Err("double slash".to_owned());
    }
    if path.ends_with('/') {
        return Err("trailing slash".to_owned());
    }
    path.split('/')
        .try_for_each(|element| check_element(element, kind))
}

/// Checks one element. A version is held against the grammar of a file name by this too.
pub(crate) fn check_element(element: &str, kind: PathKind) -> Result<(), String> {
    if element.is_empty() {
        return Err("empty path element".to_owned());
    }
    if element.bytes().all(|b| b == b'.') {
        return Err(format!("invalid path element {}", quote(element)));
    }
    if element.starts_with('.') && kind == PathKind::Module {
        return Err("leading dot in path element".to_owned());
    }
    if element.ends_with('.') {
        return Err("trailing dot in path element".to_owned());
    }
    if let Some(c) = element.chars().find(|&c| !is_legal(c, kind)) {
        return Err(format!("invalid char {}", quote_char(c)));
    }
    let short = element.split('.').next().unwrap_or_default();
    if is_reserved_on_windows(short) {
        return Err(format!(
            "{} disallowed as path element component on Windows",
            quote(short)
        ));
    }
    if kind != PathKind::File && is_windows_short_name(short) {
        return Err("trailing tilde and digits in path element".to_owned());
    }
    Ok(())
}

fn is_legal(c: char, kind: PathKind) -> bool {
    let in_module = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    match kind {
        PathKind::Module => in_module(c),
        PathKind::Import => in_module(c) || c == '+',
        PathKind::File if c.is_ascii() => {
            c.is_ascii_alphanumeric() || "!#$%&()+,-.=@[]^_{}~ ".contains(c)
        }
        PathKind::File => is_letter(c),
    }
}

/// No letter of these names folds to anything outside ASCII, so ASCII case is enough.
fn is_reserved_on_windows(short: &str) -> bool {
    let lower = short.to_ascii_lowercase();
    let numbered = |name: &str| {
        lower
            .strip_prefix(name)
            .is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']))
    };
    matches!(lower.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// `NAME~1`: Windows may give such a name to another file.
fn is_windows_short_name(short: &str) -> bool {
    short
        .rsplit_once('~')
        .is_some_and(|(_, tail)| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()))
}
