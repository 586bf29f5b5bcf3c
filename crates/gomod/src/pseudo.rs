//! Pseudo-versions: a commit without a tag, dressed as a version that sorts where it belongs.
//!
//! Three shapes exist. `vX.0.0-TIME-REV` has no tagged ancestor; `vX.Y.(Z+1)-0.TIME-REV` follows
//! the release `vX.Y.Z`; `vX.Y.Z-PRE.0.TIME-REV` follows the prerelease `vX.Y.Z-PRE`. TIME is the
//! commit's time in UTC as fourteen digits, REV a prefix of its hash. Build metadata of the tag
//! (`+incompatible`) moves to the end. The rules are those of the Go modules reference,
//! "Pseudo-versions".

use crate::quote::quote;
use crate::semver;
pub use crate::time::{TIMESTAMP_LEN, format_timestamp, parse_timestamp};

/// Why a pseudo-version does not say what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pseudo-version {} invalid: {reason}", quote(version))]
pub struct PseudoError {
    version: String,
    reason: String,
}

impl PseudoError {
    fn new(version: &str, reason: impl Into<String>) -> Self {
        Self {
            version: version.to_owned(),
            reason: reason.into(),
        }
    }

    /// The reason without the version.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Builds the pseudo-version of a commit.
///
/// `major` is `v0`, `v1`, ... and only matters when there is no tagged ancestor `older`; empty
/// stands for `v0`. `timestamp` comes from [`format_timestamp`].
pub fn pseudo_version(major: &str, older: &str, timestamp: &str, rev: &str) -> String {
    let major = if major.is_empty() { "v0" } else { major };
    let build = semver::build(older);
    let Some(base) = semver::canonical(older) else {
        return format!("{major}.0.0-{timestamp}-{rev}");
    };
    if !semver::prerelease(&base).is_empty() {
        return format!("{base}.0.{timestamp}-{rev}{build}");
    }
    let patch_start = base.rfind('.').map_or(0, |dot| dot + 1);
    let (front, patch) = base.split_at(patch_start);
    format!("{front}{}-0.{timestamp}-{rev}{build}", increment(patch))
}

/// The pseudo-version before every other of that major version, used as a placeholder.
pub fn zero_pseudo_version(major: &str) -> String {
    pseudo_version(major, "", "00010101000000", "000000000000")
}

/// Whether the version has one of the three shapes. The time need not be a real one.
pub fn is_pseudo(version: &str) -> bool {
    Parsed::new(version).is_some()
}

/// Whether this is the placeholder of [`zero_pseudo_version`].
pub fn is_zero_pseudo(version: &str) -> bool {
    version == zero_pseudo_version(semver::major(version).unwrap_or_default())
}

/// The fourteen digits of the time, as written.
pub fn timestamp(version: &str) -> Result<&str, PseudoError> {
    Ok(Parsed::checked(version)?.timestamp)
}

/// The time in seconds since 1970-01-01T00:00:00Z.
pub fn time(version: &str) -> Result<i64, PseudoError> {
    let timestamp = timestamp(version)?;
    parse_timestamp(timestamp)
        .ok_or_else(|| PseudoError::new(version, format!("malformed time {}", quote(timestamp))))
}

/// The revision.
pub fn rev(version: &str) -> Result<&str, PseudoError> {
    Ok(Parsed::checked(version)?.rev)
}

/// The tagged version before the commit, with its build metadata; empty when there is none.
pub fn base(version: &str) -> Result<String, PseudoError> {
    let parsed = Parsed::checked(version)?;
    let build = parsed.build;
    match parsed.shape {
        Shape::NoBase if build.is_empty() => Ok(String::new()),
        Shape::NoBase => Err(PseudoError::new(
            version,
            format!(
                "lacks base version, but has build metadata {}",
                quote(build)
            ),
        )),
        Shape::AfterPrerelease(older) => Ok(format!("{older}{build}")),
        Shape::AfterRelease(next) => {
            let patch_start = next.rfind('.').map_or(0, |dot| dot + 1);
            let (front, patch) = next.split_at(patch_start);
            let Some(patch) = decrement(patch) else {
                return Err(PseudoError::new(
                    version,
                    format!("version before {next} would have negative patch number"),
                ));
            };
            Ok(format!("{front}{patch}{build}"))
        }
    }
}

enum Shape<'a> {
    NoBase,
    /// Holds `vX.Y.(Z+1)`.
    AfterRelease(&'a str),
    /// Holds `vX.Y.Z-PRE`.
    AfterPrerelease(&'a str),
}

struct Parsed<'a> {
    shape: Shape<'a>,
    timestamp: &'a str,
    rev: &'a str,
    build: &'a str,
}

impl<'a> Parsed<'a> {
    fn checked(version: &'a str) -> Result<Self, PseudoError> {
        Self::new(version).ok_or_else(|| PseudoError::new(version, "syntax error"))
    }

    fn new(version: &'a str) -> Option<Self> {
        let build = semver::parse(version)?.build;
        let plain = &version[..version.len() - build.len()];
        let (front, rev) = plain.rsplit_once('-')?;
        let (front, timestamp) = front.split_at_checked(front.len().checked_sub(TIMESTAMP_LEN)?)?;
        let digits = timestamp.bytes().all(|b| b.is_ascii_digit());
        let alphanumeric = rev.bytes().all(|b| b.is_ascii_alphanumeric());
        if !digits || !alphanumeric || rev.is_empty() {
            return None;
        }
        Some(Self {
            shape: shape(front)?,
            timestamp,
            rev,
            build,
        })
    }
}

/// The shape told by what stands before the time: `vX.0.0-`, `vX.Y.Z-0.` or `vX.Y.Z-PRE.0.`.
fn shape(front: &str) -> Option<Shape<'_>> {
    let (core, pre) = front.split_once('-')?;
    match pre {
        "" => core.ends_with(".0.0").then_some(Shape::NoBase),
        "0." => Some(Shape::AfterRelease(core)),
        _ => front.strip_suffix(".0.").map(Shape::AfterPrerelease),
    }
}

/// Adds one to decimal digits of any length.
fn increment(decimal: &str) -> String {
    let kept = decimal.trim_end_matches('9');
    let zeros = "0".repeat(decimal.len() - kept.len());
    match kept.as_bytes().split_last() {
        None => format!("1{zeros}"),
        Some((&last, front)) => {
            let front = &kept[..front.len()];
            format!("{front}{}{zeros}", char::from(last + 1))
        }
    }
}

/// Takes one from decimal digits of any length, or answers `None` for zero.
fn decrement(decimal: &str) -> Option<String> {
    let kept = decimal.trim_end_matches('0');
    let nines = "9".repeat(decimal.len() - kept.len());
    let (&last, front) = kept.as_bytes().split_last()?;
    if front.is_empty() && last == b'1' && !nines.is_empty() {
        return Some(nines);
    }
    let front = &kept[..front.len()];
    Some(format!("{front}{}{nines}", char::from(last - 1)))
}
