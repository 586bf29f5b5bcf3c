//! Semantic versions as Go reads them: a leading `v`, and `v1` and `v1.2` as short forms.
//!
//! Numbers are compared as decimal text and never parsed into a machine word: the grammar sets no
//! upper bound, and a version that overflows must still have its place in the order.
//! Text that is not a version has no order of its own and sorts before every version.
//! The rules are those of semver.org 2.0.0 and of the Go modules reference.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A version taken apart. Every part borrows from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The whole text.
    text: &'a str,
    /// Decimal digits without a leading zero.
    pub major: &'a str,
    /// Decimal digits; `0` when the short form leaves it out.
    pub minor: &'a str,
    /// Decimal digits; `0` when the short form leaves it out.
    pub patch: &'a str,
    /// What a short form lacks to be complete: ``, `.0` or `.0.0`.
    missing: &'static str,
    /// With its leading `-`, or empty.
    pub prerelease: &'a str,
    /// With its leading `+`, or empty.
    pub build: &'a str,
}

/// Takes a version apart, or answers `None` when it is not one.
pub fn parse(text: &str) -> Option<Parts<'_>> {
    let (major, rest) = take_number(text.strip_prefix('v')?)?;
    let mut parts = Parts {
        text,
        major,
        minor: "0",
        patch: "0",
        missing: ".0.0",
        prerelease: "",
        build: "",
    };
    if rest.is_empty() {
        return Some(parts);
    }
    let (minor, rest) = take_number(rest.strip_prefix('.')?)?;
    parts.minor = minor;
    parts.missing = ".0";
    if rest.is_empty() {
        return Some(parts);
    }
    let (patch, rest) = take_number(rest.strip_prefix('.')?)?;
    parts.patch = patch;
    parts.missing = "";
    let (prerelease, build) = rest.split_at(rest.find('+').unwrap_or(rest.len()));
    if !prerelease.is_empty() {
        check_identifiers(prerelease.strip_prefix('-')?, true)?;
    }
    if !build.is_empty() {
        check_identifiers(build.strip_prefix('+')?, false)?;
    }
    parts.prerelease = prerelease;
    parts.build = build;
    Some(parts)
}

/// Whether the text is a version, short forms included.
pub fn is_valid(version: &str) -> bool {
    parse(version).is_some()
}

/// The complete form without build metadata, or `None` when the text is not a version.
pub fn canonical(version: &str) -> Option<Cow<'_, str>> {
    let parts = parse(version)?;
    let plain = &version[..version.len() - parts.build.len()];
    if parts.missing.is_empty() {
        return Some(Cow::Borrowed(plain));
    }
    Some(Cow::Owned(format!("{plain}{}", parts.missing)))
}

/// The major version with its `v`, such as `v2`.
pub fn major(version: &str) -> Option<&str> {
    let parts = parse(version)?;
    Some(&version[..1 + parts.major.len()])
}

/// The major and minor version, such as `v2.1`.
pub fn major_minor(version: &str) -> Option<Cow<'_, str>> {
    let parts = parse(version)?;
    if parts.missing == ".0.0" {
        return Some(Cow::Owned(format!("v{}.0", parts.major)));
    }
    let end = 1 + parts.major.len() + 1 + parts.minor.len();
    Some(Cow::Borrowed(&version[..end]))
}

/// The prerelease with its `-`; empty when there is none or the text is not a version.
pub fn prerelease(version: &str) -> &str {
    parse(version).map_or("", |parts| parts.prerelease)
}

/// The build metadata with its `+`; empty when there is none or the text is not a version.
pub fn build(version: &str) -> &str {
    parse(version).map_or("", |parts| parts.build)
}

/// Precedence. Build metadata does not count, and text that is not a version is least.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.precedence(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// [`compare`], with ties broken by the text: a total order that agrees with equality.
pub fn compare_total(a: &str, b: &str) -> Ordering {
    compare(a, b).then_with(|| a.cmp(b))
}

/// The canonical form of the greater of the two; empty when neither is a version.
pub fn max<'a>(a: &'a str, b: &'a str) -> Cow<'a, str> {
    let a = canonical(a).unwrap_or_default();
    let b = canonical(b).unwrap_or_default();
    if compare(&a, &b).is_gt() { a } else { b }
}

/// Sorts ascending by [`compare_total`].
pub fn sort<S: AsRef<str>>(versions: &mut [S]) {
    versions.sort_by(|a, b| compare_total(a.as_ref(), b.as_ref()));
}

impl<'a> Parts<'a> {
    /// The text that was taken apart.
    pub fn text(&self) -> &'a str {
        self.text
    }

    fn precedence(&self, other: &Self) -> Ordering {
        compare_number(self.major, other.major)
            .then_with(|| compare_number(self.minor, other.minor))
            .then_with(|| compare_number(self.patch, other.patch))
            .then_with(|| compare_prerelease(self.prerelease, other.prerelease))
    }
}

/// Decimal digits without a leading zero, and the text behind them.
fn take_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let padded = number.len() > 1 && number.starts_with('0');
    (!number.is_empty() && !padded).then_some((number, rest))
}

/// Dot-separated identifiers: none empty and, in a prerelease, no number with a leading zero.
fn check_identifiers(text: &str, prerelease: bool) -> Option<()> {
    text.split('.')
        .all(|identifier| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            let padded =
                is_number(identifier) && identifier.len() > 1 && identifier.starts_with('0');
            !identifier.is_empty() && identifier.bytes().all(legal) && !(prerelease && padded)
        })
        .then_some(())
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn compare_number(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A release follows its prereleases; a longer series follows the shorter one it begins with.
fn compare_prerelease(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.is_empty().cmp(&b.is_empty());
    }
    let mut left = a[1..].split('.');
    let mut right = b[1..].split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => compare_identifier(a, b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Numbers go before words.
fn compare_identifier(a: &str, b: &str) -> Ordering {
    match (is_number(a), is_number(b)) {
        (true, true) => compare_number(a, b),
        (false, false) => a.cmp(b),
        (a_is_number, b_is_number) => b_is_number.cmp(&a_is_number),
    }
}
