//! Versions: the exact ones that files are kept under, and the questions one may ask for them.
//!
//! A [`Version`] is canonical: it names one release for ever. A [`Revision`] is anything `.info`
//! may be asked for (a branch, a hash, a short version, a query word) and means something else
//! tomorrow. Keeping the two apart by type keeps moving targets out of the store.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::path::{self, ModulePath, PathError, PathKind};
use crate::pseudo;
use crate::quote::quote;
use crate::semver;

/// The build metadata of a major version 2 or later of a module whose path does not say so.
pub const INCOMPATIBLE: &str = "+incompatible";

/// The longest revision accepted, in bytes. Git cannot keep a branch whose name exceeds a file
/// name (255 bytes on every usual file system); four times that leaves room for other systems.
pub const REVISION_BYTES_MAX: usize = 4 * 255;

/// A canonical version: complete, and without build metadata other than `+incompatible`.
///
/// Ordered as semantic versions are, ties broken by the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

/// A module at a version that fits its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleVersion {
    path: ModulePath,
    version: Version,
}

/// What `.info` may be asked for: a version, branch, tag, hash or query word.
///
/// It can stand in a file name and in a URL: one path element of ASCII, without `!`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(Arc<str>);

/// Why a text is not the version it was taken for. Displayed in the go command's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {} invalid: {kind}", quote(version))]
pub struct VersionError {
    version: String,
    kind: VersionFault,
}

/// The rule a version breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionFault {
    /// Not a semantic version.
    #[error("not a semantic version")]
    NotSemver,
    /// A semantic version in a short form or with build metadata.
    #[error("not canonical, should be {canonical}")]
    NotCanonical {
        /// What it abbreviates.
        canonical: String,
    },
    /// The major version belongs to another module path.
    #[error("should be {wanted}, not {got}")]
    Mismatch {
        /// The major version that the path asks for.
        wanted: String,
        /// The version's own.
        got: String,
    },
    /// Not fit for a file name or a URL.
    #[error("disallowed version string")]
    Disallowed,
    /// Longer than [`REVISION_BYTES_MAX`].
    #[error("longer than {REVISION_BYTES_MAX} bytes")]
    TooLong,
}

/// Why a module and a version do not make a [`ModuleVersion`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The text lacks the `@` between path and version.
    #[error("{} is not of the form PATH@VERSION", quote(.0))]
    NoVersion(String),
    /// The path breaks the rules.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The version breaks the rules, or does not fit the path.
    #[error("{path}@{}: invalid version: {}", error.version, error.kind)]
    Version {
        /// The module.
        path: ModulePath,
        /// What is wrong with the version.
        error: VersionError,
    },
}

impl Version {
    /// Accepts the versions that `.mod` and `.zip` may be asked for.
    pub fn parse(version: &str) -> Result<Self, VersionError> {
        let fault = match canonical_version(version) {
            Some(canonical) if canonical == version => return Ok(Self(version.into())),
            Some(canonical) => VersionFault::NotCanonical { canonical },
            None => VersionFault::NotSemver,
        };
        Err(VersionError::new(version, fault))
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The major version with its `v`.
    pub fn major(&self) -> &str {
        semver::major(&self.0).unwrap_or_default()
    }

    /// Whether it names a commit without a tag. See [`crate::pseudo`].
    pub fn is_pseudo(&self) -> bool {
        pseudo::is_pseudo(&self.0)
    }

    /// Whether it precedes a release. Every pseudo-version does.
    pub fn is_prerelease(&self) -> bool {
        !semver::prerelease(&self.0).is_empty()
    }

    /// Whether it ends in `+incompatible`.
    pub fn is_incompatible(&self) -> bool {
        self.0.ends_with(INCOMPATIBLE)
    }
}

/// Completes a short form and drops build metadata other than `+incompatible`; `None` when the
/// text is not a semantic version.
pub fn canonical_version(version: &str) -> Option<String> {
    let mut canonical = semver::canonical(version)?.into_owned();
    if semver::build(version) == INCOMPATIBLE {
        canonical.push_str(INCOMPATIBLE);
    }
    Some(canonical)
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        semver::compare_total(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ModuleVersion {
    /// Pairs the two when the major version fits the path.
    pub fn new(path: ModulePath, version: Version) -> Result<Self, CheckError> {
        match path::check_path_major(version.as_str(), path.major()) {
            Ok(()) => Ok(Self { path, version }),
            Err(error) => Err(CheckError::Version { path, error }),
        }
    }

    /// Reads `PATH@VERSION`.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let (path, version) = text
            .split_once('@')
            .ok_or_else(|| CheckError::NoVersion(text.to_owned()))?;
        let path = ModulePath::parse(path)?;
        match Version::parse(version) {
            Ok(version) => Self::new(path, version),
            Err(error) => Err(CheckError::Version { path, error }),
        }
    }

    /// The module.
    pub fn path(&self) -> &ModulePath {
        &self.path
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

impl Revision {
    /// Accepts what the go command could put into a request.
    pub fn parse(revision: &str) -> Result<Self, VersionError> {
        if revision.len() > REVISION_BYTES_MAX {
            return Err(VersionError::new(revision, VersionFault::TooLong));
        }
        let plain = revision.is_ascii() && !revision.contains('!');
        if !plain || path::check_element(revision, PathKind::File).is_err() {
            return Err(VersionError::new(revision, VersionFault::Disallowed));
        }
        Ok(Self(revision.into()))
    }

    /// The revision as it was asked for.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The revision as a canonical version, when it is one.
    pub fn as_version(&self) -> Option<Version> {
        Version::parse(&self.0).ok()
    }
}

impl From<&Version> for Revision {
    /// Every canonical version can be asked for: its grammar admits no character but letters,
    /// digits, `-`, `.` and `+`.
    fn from(version: &Version) -> Self {
        Self(Arc::clone(&version.0))
    }
}

impl VersionError {
    pub(crate) fn mismatch(version: &str, wanted: &str, got: &str) -> Self {
        let (wanted, got) = (wanted.to_owned(), got.to_owned());
        Self::new(version, VersionFault::Mismatch { wanted, got })
    }

    fn new(version: &str, kind: VersionFault) -> Self {
        Self {
            version: version.chars().take(REVISION_BYTES_MAX).collect(),
            kind,
        }
    }

    /// The text at fault, cut to [`REVISION_BYTES_MAX`] characters.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rule it breaks.
    pub fn fault(&self) -> &VersionFault {
        &self.kind
    }
}

macro_rules! text {
    ($type:ty, $error:ty) => {
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::parse(text)
            }
        }
    };
}

text!(Version, VersionError);
text!(Revision, VersionError);

impl fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.path, self.version)
    }
}

impl FromStr for ModuleVersion {
    type Err = CheckError;

    fn from_str(text: &str) -> Result<Self, CheckError> {
        Self::parse(text)
    }
}
