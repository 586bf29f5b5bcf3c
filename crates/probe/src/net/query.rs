//! Which version of a list a query means.
//!
//! Source of the rules: cmd/go/internal/modload/query.go. Releases come before pre-releases; ranges that
//! begin with `>` mean the lowest that fits, all others the highest; versions without semantic import
//! (`+incompatible`) count only where no earlier version has a go.mod of its own.

use std::cmp::Ordering;

use gomod::semver;
use gomod::version::Version;

/// Versions of a list that are looked at.
const VERSIONS_MAX: usize = 100_000;

/// What stands behind `@`, where a list is needed to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// `latest`, `upgrade`, or nothing.
    Latest,
    /// `v1`, `v1.2`.
    Prefix(&'a str),
    /// `<v1.2.0`, `>=v1.2.0` and their like.
    Range(&'a str, &'a str),
}

impl<'a> Query<'a> {
    /// `None` for what is a version, a branch or a hash.
    pub fn parse(text: &'a str) -> Option<Self> {
        if matches!(text, "" | "latest" | "upgrade") {
            return Some(Self::Latest);
        }
        for sign in ["<=", "<", ">=", ">"] {
            if let Some(version) = text.strip_prefix(sign) {
                return Some(Self::Range(sign, version));
            }
        }
        let mut parts = text.strip_prefix('v')?.split('.');
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let short = text.matches('.').count() < 2 && parts.all(number);
        short.then_some(Self::Prefix(text))
    }

    /// A range that could mean two things: whether `<=v1.2` takes `v1.2.3`.
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::Range("<=" | ">", version) => {
                matches!(Self::parse(version), Some(Self::Prefix(_)))
            }
            _ => false,
        }
    }

    fn takes(self, version: &str) -> bool {
        match self {
            Self::Latest => true,
            Self::Prefix(prefix) => {
                let below = version
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('.'));
                below && semver::compare(version, prefix) != Ordering::Less
            }
            Self::Range(sign, than) => match (sign, semver::compare(version, than)) {
                ("<=", order) => order != Ordering::Greater,
                ("<", order) => order == Ordering::Less,
                (">=", order) => order != Ordering::Less,
                (_, order) => order == Ordering::Greater,
            },
        }
    }
}

/// The versions of a list that a query takes, in order.
pub fn candidates(query: Query<'_>, list: &str) -> Vec<Version> {
    let words = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let versions = words
        .take(VERSIONS_MAX)
        .filter_map(|word| Version::parse(word).ok());
    let mut versions: Vec<Version> = versions
        .filter(|v| !v.is_pseudo() && query.takes(v.as_str()))
        .collect();
    versions.sort_by(|a, b| semver::compare(a.as_str(), b.as_str()));
    versions.dedup();
    versions
}

/// The version whose go.mod decides whether incompatible ones count, if any is in question.
pub fn decisive(candidates: &[Version]) -> Option<&Version> {
    let first = candidates.iter().position(Version::is_incompatible)?;
    candidates[..first].last()
}

/// The version that is meant.
pub fn choose<'a>(query: Query<'_>, candidates: &'a [Version]) -> Option<&'a Version> {
    let lowest = matches!(query, Query::Range(">" | ">=", _));
    let (early, releases): (Vec<&Version>, Vec<&Version>) = candidates
        .iter()
        .partition(|version| version.is_prerelease());
    let from = if releases.is_empty() { early } else { releases };
    let mut from = from.into_iter();
    if lowest {
        from.next()
    } else {
        from.next_back()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIST: &str =
        "v1.0.0\nv1.2.0 2020-01-01T00:00:00Z\nv1.10.0\nv1.11.0-rc.1\nv0.9.0\nnonsense\n";

    fn pick(query: &str, list: &str) -> Option<String> {
        let query = Query::parse(query).unwrap();
        let candidates = candidates(query, list);
        choose(query, &candidates).map(ToString::to_string)
    }

    #[test]
    fn a_query_means_what_the_go_command_takes_it_for() {
        for (query, wanted) in [
            ("latest", "v1.10.0"),
            ("upgrade", "v1.10.0"),
            ("v1", "v1.10.0"),
            ("v1.2", "v1.2.0"),
            ("<v1.10.0", "v1.2.0"),
            ("<=v1.10.0", "v1.10.0"),
            (">v1.0.0", "v1.2.0"),
            (">=v1.0.0", "v1.0.0"),
            (">v1.10.0", "v1.11.0-rc.1"),
        ] {
            assert_eq!(pick(query, LIST).as_deref(), Some(wanted), "{query}");
        }
        assert!(Query::parse("<=v1.2").unwrap().is_ambiguous());
        assert!(!Query::parse("<v1.2").unwrap().is_ambiguous());
        // A pre-release comes before the version that the prefix means.
        assert_eq!(pick("v1.11", LIST), None);
        assert_eq!(pick("v2", LIST), None);
        assert_eq!(pick("latest", "\nnonsense\n"), None);
        assert_eq!(pick("latest", "v0.1.0-a\n").as_deref(), Some("v0.1.0-a"));
    }

    #[test]
    fn versions_branches_and_hashes_need_no_list() {
        for text in [
            "v1.2.3",
            "main",
            "v1.x",
            "abcdef012345",
            "v",
            "v1.2.3-pre",
            "v1.2.",
        ] {
            assert_eq!(Query::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_compatible_version_decides_about_incompatible_ones() {
        let list = candidates(
            Query::Latest,
            "v1.0.0\nv2.0.0+incompatible\nv3.0.0+incompatible\n",
        );
        assert_eq!(decisive(&list).unwrap().as_str(), "v1.0.0");
        assert_eq!(
            decisive(&candidates(Query::Latest, "v2.0.0+incompatible\n")),
            None
        );
        assert_eq!(decisive(&candidates(Query::Latest, LIST)), None);
    }
}
