//! Pseudo-versions: a commit without a tag, dressed as a version that sorts where it belongs.
//!
//! Three shapes exist. `vX.0.0-TIME-REV` has no tagged ancestor; `vX.Y.(Z+1)-0.TIME-REV` follows
//! the release `vX.Y.Z`; `vX.Y.Z-PRE.0.TIME-REV` follows the prerelease `vX.Y.Z-PRE`. TIME is the
//! commit's time in UTC as fourteen digits, REV a prefix of its hash. Build metadata of the tag
//! (`+incompatible`) moves to the end. The rules are those of the Go modules reference,
//! "Pseudo-versions".

use crate::quote::quote;
use crate::semver;

/// The digits of `YYYYMMDDhhmmss`.
pub const TIMESTAMP_LEN: usize = 14;

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

/// Seconds since 1970 as the fourteen digits of a pseudo-version, in UTC.
///
/// `None` outside the years 0 to 9999, which four digits cannot hold.
pub fn format_timestamp(unix_seconds: i64) -> Option<String> {
    let days = unix_seconds.div_euclid(86_400);
    let second = unix_seconds.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!(
        "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"
    ))
}

/// Fourteen digits as seconds since 1970, or `None` when they name no time.
pub fn parse_timestamp(timestamp: &str) -> Option<i64> {
    if timestamp.len() != TIMESTAMP_LEN || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| timestamp[from..to].parse::<i64>().ok();
    let date = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let clock = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    unix_seconds(date, clock)
}

/// Seconds since 1970 of a date `(year, month, day)` and a clock `(hour, minute, second)` in UTC,
/// or `None` when there is no such day or time of day.
pub(crate) fn unix_seconds(date: (i64, i64, i64), clock: (i64, i64, i64)) -> Option<i64> {
    let (year, month, day) = date;
    let (hour, minute, second) = clock;
    let real = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    let days = days_from_civil(year, month, day);
    real.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
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

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last one and 153 days make five months.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 146,097 days make 400 years; 719,468 days lie between 0000-03-01 and 1970-01-01.
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}
