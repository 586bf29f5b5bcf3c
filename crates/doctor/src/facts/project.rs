//! The files of a project.

use serde::{Deserialize, Serialize};

/// Something that may be there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen<T> {
    /// Not found out.
    #[default]
    Unknown,
    /// It is not there.
    Absent,
    /// It is there.
    Present(T),
}

impl<T> Seen<T> {
    /// What is there, if it is.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(thing) => Some(thing),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// A project's files and what was seen around them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectFacts {
    /// Where it was looked.
    pub dir: String,
    /// The nearest go.mod of this directory and those above; [`Seen::Absent`] means there is none.
    pub go_mod: Seen<FileText>,
    /// The go.sum beside it.
    pub go_sum: Seen<FileText>,
    /// The workspace in force.
    pub work: Seen<WorkFacts>,
    /// The vendor directory.
    pub vendor: Seen<Vendor>,
    /// Directories that replace lines lead to.
    pub replaced: Option<Vec<LocalModule>>,
    /// go.mod files below the module's root.
    pub nested: Option<Vec<LocalModule>>,
    /// go.mod files above the module's root.
    pub above: Option<Vec<LocalModule>>,
    /// What the module's own packages import.
    pub imports: Option<Vec<Import>>,
    /// Directories of the module that hold Go files, as paths below its root; `""` is the root.
    pub packages: Option<Vec<String>>,
    /// Whether the walk over the sources ended before the tree did.
    pub partial: bool,
    /// What the module cache knows of the required versions.
    pub required: Option<Vec<RequiredModule>>,
    /// Packages of the standard library; `None` without a Go tree.
    pub std: Option<Vec<String>>,
    /// Whether the repository's root (with `.git`) is the module's root.
    pub repository: Option<String>,
    /// Lines of a Dockerfile that copy and download: path, number, text.
    pub docker: Vec<(String, usize, String)>,
}

/// A text file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FileText {
    /// Where it is.
    pub path: String,
    /// Its text; bytes that are not UTF-8 become U+FFFD.
    pub text: String,
    /// Why it could not be read.
    pub error: Option<String>,
    /// Whether it was cut because it is larger than is read.
    pub cut: bool,
}

/// The go.work in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkFacts {
    /// The file.
    pub file: FileText,
    /// Whether GOWORK named it, rather than its place.
    pub named: bool,
    /// Whether it is there.
    pub exists: bool,
    /// Its `use` directories, as written, with what is there.
    pub uses: Vec<LocalModule>,
}

/// A directory that is or should be a module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalModule {
    /// As written in the file that names it, or below the root for one that was found.
    pub written: String,
    /// The directory.
    pub path: String,
    /// Whether it is there.
    pub exists: Option<bool>,
    /// Whether it has a go.mod.
    pub has_go_mod: Option<bool>,
    /// The module path that its go.mod declares.
    pub module: Option<String>,
    /// Its go line.
    pub go: Option<String>,
}

/// `vendor/modules.txt`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vendor {
    /// The file; `None` if the directory has none.
    pub modules: Option<FileText>,
    /// Packages that modules.txt lists and that have no directory.
    pub missing: Vec<String>,
}

/// A package that is imported.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Import {
    /// Its path.
    pub path: String,
    /// The first file that imports it, below the root.
    pub file: String,
    /// That line.
    pub line: usize,
    /// Whether only tests import it.
    pub test_only: bool,
    /// Whether every file that does has build constraints.
    pub constrained: bool,
    /// Required modules whose path is a prefix, with what the cache knows of the package.
    pub providers: Vec<Provider>,
}

/// A module that may hold a package.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// The module.
    pub module: String,
    /// Its version; empty for a directory.
    pub version: String,
    /// Whether it holds Go files of that package; `None` if it is not in the cache.
    pub holds: Option<bool>,
    /// Whether the package's directory has a go.mod of its own in the module.
    pub nested: Option<bool>,
}

/// What the module cache knows of a required version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequiredModule {
    /// The path that is required.
    pub module: String,
    /// Its version.
    pub version: String,
    /// The path that its go.mod declares; empty if it declares none.
    pub declares: Option<String>,
    /// Its go line.
    pub go: Option<String>,
    /// Whether the zip is in the cache.
    pub cached: Option<bool>,
    /// Commit time in its `.info`, in seconds since 1970.
    pub time: Option<i64>,
    /// Replace lines in its go.mod: the module that is replaced.
    pub replaces: Vec<String>,
    /// Versions it takes back, as written, with the reason: known only if this is the newest
    /// version in the cache.
    pub retracts: Vec<(String, String, String)>,
}
