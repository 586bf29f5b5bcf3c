//! `@v/list`: one version per line, sometimes with a time behind it.
//!
//! The go command is lenient here (it takes the first word of a line and skips what is not a
//! version), so upstreams are, and so is this parser. What it skips is counted: a page of HTML
//! must not pass for a module without tags.

use std::cmp::Ordering;

use crate::pseudo;
use crate::semver;
use crate::time::{self, Instant};
use crate::version::{INCOMPATIBLE, Version};

/// The longest list read, in bytes. A hundred thousand versions of eighty bytes fit, ten times
/// what the largest known module has.
pub const LIST_BYTES_MAX: usize = 8_000_000;

/// The versions of a module, in the order they were listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionList {
    entries: Vec<ListEntry>,
    skipped: usize,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    version: Box<str>,
    time: Option<Box<str>>,
}

/// Why a body is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The body exceeds [`LIST_BYTES_MAX`].
    #[error("the version list is longer than {LIST_BYTES_MAX} bytes")]
    TooLong,
}

impl VersionList {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, ListError> {
        if body.len() > LIST_BYTES_MAX {
            return Err(ListError::TooLong);
        }
        let mut list = Self::default();
        for line in String::from_utf8_lossy(body).split('\n') {
            let mut words = line.split_whitespace();
            match words.next() {
                None => {}
                Some(version) if semver::is_valid(version) => list.entries.push(ListEntry {
                    version: version.into(),
                    time: words.next().map(Into::into),
                }),
                Some(_) => list.skipped += 1,
            }
        }
        Ok(list)
    }

    /// A list of our own: ascending, without repetitions.
    pub fn from_versions(versions: impl IntoIterator<Item = Version>) -> Self {
        let mut versions: Vec<Version> = versions.into_iter().collect();
        versions.sort();
        versions.dedup();
        let entry = |version: Version| ListEntry {
            version: version.as_str().into(),
            time: None,
        };
        Self {
            entries: versions.into_iter().map(entry).collect(),
            skipped: 0,
        }
    }

    /// The body, one line for each entry.
    pub fn render(&self) -> String {
        let mut body = String::new();
        for entry in &self.entries {
            body.push_str(&entry.version);
            if let Some(time) = &entry.time {
                body.push(' ');
                body.push_str(time);
            }
            body.push('\n');
        }
        body
    }

    /// Every entry, pseudo-versions included.
    pub fn entries(&self) -> &[ListEntry] {
        &self.entries
    }

    /// How many lines held something that is not a version.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether no version is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The versions that the go command chooses from: without pseudo-versions, ascending.
    pub fn tagged(&self) -> Vec<&ListEntry> {
        let mut tagged: Vec<_> = self.entries.iter().filter(|e| !e.is_pseudo()).collect();
        tagged.sort_by(|a, b| a.order(b));
        tagged
    }

    /// What the go command takes for `latest` when nothing is retracted or excluded.
    pub fn latest(&self) -> Option<&ListEntry> {
        self.latest_among(|_| true)
    }

    /// The newest release that is admitted, else the newest prerelease, else, where nothing is
    /// tagged at all, the pseudo-version with the latest time.
    ///
    /// The go command leaves out `+incompatible` versions when the module's go.mod file is
    /// present at [`Self::last_compatible`]; only the caller can know that.
    pub fn latest_among(&self, admit: impl Fn(&ListEntry) -> bool) -> Option<&ListEntry> {
        let tagged = || self.entries.iter().filter(|e| !e.is_pseudo());
        if tagged().next().is_none() {
            return self.latest_by_time(admit);
        }
        let admitted = || tagged().filter(|e| admit(e));
        admitted()
            .filter(|e| !e.is_prerelease())
            .max_by(|a, b| a.order(b))
            .or_else(|| admitted().max_by(|a, b| a.order(b)))
    }

    /// The newest tagged version, releases and prereleases alike, without `+incompatible`.
    pub fn last_compatible(&self) -> Option<&ListEntry> {
        self.entries
            .iter()
            .filter(|e| !e.is_pseudo() && semver::build(&e.version) != INCOMPATIBLE)
            .max_by(|a, b| a.order(b))
    }

    /// Of equal times the first counts.
    fn latest_by_time(&self, admit: impl Fn(&ListEntry) -> bool) -> Option<&ListEntry> {
        let mut best: Option<(Instant, &ListEntry)> = None;
        for entry in self.entries.iter().filter(|e| admit(e)) {
            let Some(time) = entry.instant() else {
                continue;
            };
            if best.is_none_or(|(latest, _)| latest < time) {
                best = Some((time, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }
}

impl ListEntry {
    /// The version as listed. It need not be canonical.
    pub fn as_str(&self) -> &str {
        &self.version
    }

    /// The version, when it is canonical.
    pub fn as_version(&self) -> Option<Version> {
        Version::parse(&self.version).ok()
    }

    /// The second word of the line, meant as RFC 3339.
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// Whether it names a commit without a tag.
    pub fn is_pseudo(&self) -> bool {
        pseudo::is_pseudo(&self.version)
    }

    /// Whether it precedes a release.
    pub fn is_prerelease(&self) -> bool {
        !semver::prerelease(&self.version).is_empty()
    }

    /// When it was committed: as listed, else as the pseudo-version says.
    fn instant(&self) -> Option<Instant> {
        match &self.time {
            Some(text) => time::parse_rfc3339(text),
            None => Some(Instant {
                unix_seconds: pseudo::time(&self.version).ok()?,
                nanoseconds: 0,
            }),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        semver::compare_total(&self.version, &other.version)
    }
}
