//! go.mod files, read but never written.
//!
//! A dependency's file is read leniently, so that directives of a later Go do not make a module
//! useless; a main module's strictly. Editing is the go command's work and has no place here.
//! Source of the rules: golang.org/ref/mod#go-mod-file and golang.org/x/mod/modfile, read without
//! a version fixer: versions must be semantic versions, and are completed to canonical ones.

mod directive;
pub(crate) mod goversion;
mod lexer;
mod strings;
mod syntax;

use std::fmt;

/// Bytes of a file that is parsed: the go command's own limit for a go.mod in a zip.
const BYTES_MAX: usize = crate::zip::MAX_GO_MOD as usize;

/// Mistakes that are told: a file that is no go.mod has one on each of its lines.
const MISTAKES_MAX: usize = 100;

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The module path.
    pub path: String,
    /// The version, canonical.
    pub version: String,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

/// A replacement. A version may be missing on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The module that is replaced.
    pub old: String,
    /// Which version of it; all, if none.
    pub old_version: Option<String>,
    /// The module or directory in its place.
    pub new: String,
    /// The version in its place; none for a directory.
    pub new_version: Option<String>,
}

/// A version that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclude {
    /// The module path.
    pub path: String,
    /// The version, canonical.
    pub version: String,
}

/// Versions taken back by their author, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retract {
    /// The lowest, as written: it may be no version at all, and then retracts nothing.
    pub low: String,
    /// The highest, as written.
    pub high: String,
    /// The author's reason; empty without one.
    pub rationale: String,
}

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModFile {
    /// The path it declares.
    pub module: Option<String>,
    /// The deprecation message, if its module is deprecated.
    pub deprecated: Option<String>,
    /// The go version.
    pub go: Option<String>,
    /// The toolchain it suggests.
    pub toolchain: Option<String>,
    /// Its debug settings: key and value.
    pub godebug: Vec<(String, String)>,
    /// Its requirements.
    pub require: Vec<Require>,
    /// Its replacements.
    pub replace: Vec<Replace>,
    /// Its exclusions.
    pub exclude: Vec<Exclude>,
    /// Its retractions.
    pub retract: Vec<Retract>,
    /// Tools it names.
    pub tool: Vec<String>,
    /// Directories it ignores.
    pub ignore: Vec<String>,
}

/// What is wrong in a file: one line for each mistake, as the go command writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModFileError {
    /// The first hundred mistakes, in order: `name:line[:column]: text`.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ModFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for ModFileError {}

impl ModFile {
    /// Reads a dependency's file: unknown directives, and mistakes in those that only count in a main
    /// module, are passed over. The go command does not look at `replace`, `exclude`, `toolchain`,
    /// `tool` and `godebug` of a dependency; what can be read of them is given all the same.
    pub fn parse_lax(name: &str, bytes: &[u8]) -> Result<Self, ModFileError> {
        Self::parse(name, bytes, false)
    }

    /// Reads a main module's file.
    pub fn parse_strict(name: &str, bytes: &[u8]) -> Result<Self, ModFileError> {
        Self::parse(name, bytes, true)
    }

    /// Whether its requirements are complete, so that its dependencies' own need not be followed:
    /// from go 1.17 on (golang.org/ref/mod#graph-pruning).
    pub fn is_pruned(&self) -> bool {
        let go = self.go.as_deref();
        go.is_some_and(|go| goversion::is_at_least(go, "17"))
    }

    fn parse(name: &str, bytes: &[u8], strict: bool) -> Result<Self, ModFileError> {
        let fail = |mistakes| Err(ModFileError { mistakes });
        if bytes.len() > BYTES_MAX {
            return fail(vec![format!(
                "{name}: go.mod file too large (max size is {BYTES_MAX} bytes)"
            )]);
        }
        let text = text(bytes);
        let mut reader = directive::Reader::new(name, strict);
        if let Err(e) = syntax::parse(name, &text, &mut reader) {
            return fail(vec![directive::located(name, e.at, &e.text)]);
        }
        match reader.finish() {
            (file, mistakes) if mistakes.is_empty() => Ok(file),
            (_, mistakes) => fail(mistakes),
        }
    }
}

/// The module path that a file declares, tolerating everything else; empty when there is none.
pub fn module_path(bytes: &[u8]) -> String {
    for line in bytes.split(|b| *b == b'\n') {
        let line = text(line);
        let line = line.split_once("//").map_or(&*line, |(code, _)| code);
        let Some(rest) = line.trim().strip_prefix("module") else {
            continue;
        };
        let path = rest.trim();
        if path.len() == rest.len() || path.is_empty() {
            continue;
        }
        if path.starts_with(['"', '`']) {
            return strings::unquote(path).unwrap_or_default();
        }
        return path.to_owned();
    }
    String::new()
}

/// The file as text. Each byte that is not UTF-8 becomes one U+FFFD, as Go counts characters.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out.into()
}
