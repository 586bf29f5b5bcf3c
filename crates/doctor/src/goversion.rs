//! Versions of Go itself: `1.21`, `1.21rc2`, `1.21.3`, and toolchain names such as `go1.21.3`.
//!
//! Source of the order: internal/gover: a language version (`1.21`) is older than its release
//! candidates, which are older than `1.21.0`; before 1.21 `1.20` and `1.20.0` are the same.

use std::cmp::Ordering;

/// A version of Go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoVersion {
    major: u32,
    minor: u32,
    patch: Option<u32>,
    /// Kind and number of a pre-release.
    pre: Option<(Pre, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    Beta,
    Rc,
}

impl GoVersion {
    /// Reads `1.21.3`, `go1.21.3`, `go1.21.3-suffix`, and the end of `v0.0.1-go1.21.3.linux-amd64`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("go").unwrap_or(text);
        let text = text.split(['-', '+', ' ']).next()?;
        let (major, rest) = number(text)?;
        let Some(rest) = rest.strip_prefix('.') else {
            return rest.is_empty().then_some(Self {
                major,
                minor: 0,
                patch: None,
                pre: None,
            });
        };
        let (minor, rest) = number(rest)?;
        let plain = Self {
            major,
            minor,
            patch: None,
            pre: None,
        };
        if rest.is_empty() {
            return Some(plain);
        }
        if let Some(patch) = rest.strip_prefix('.') {
            let (patch, rest) = number(patch)?;
            return rest.is_empty().then_some(Self {
                patch: Some(patch),
                ..plain
            });
        }
        let (kind, rest) = match (rest.strip_prefix("rc"), rest.strip_prefix("beta")) {
            (Some(rest), _) => (Pre::Rc, rest),
            (_, Some(rest)) => (Pre::Beta, rest),
            _ => return None,
        };
        let (n, rest) = number(rest)?;
        rest.is_empty().then_some(Self {
            pre: Some((kind, n)),
            ..plain
        })
    }

    /// Whether it names a language, not a release: `1.21`.
    pub fn is_language(&self) -> bool {
        self.patch.is_none() && self.pre.is_none()
    }

    /// Whether its language is at least 1.`minor`.
    pub fn at_least(&self, minor: u32) -> bool {
        (self.major, self.minor) >= (1, minor)
    }

    /// The 21 of 1.21.3.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    fn key(&self) -> (u32, u32, u8, u32, u32) {
        let early = (self.major, self.minor) < (1, 21);
        match (self.pre, self.patch) {
            (Some((kind, n)), _) => (self.major, self.minor, 1 + kind as u8, n, 0),
            (None, None) if !early => (self.major, self.minor, 0, 0, 0),
            (None, patch) => (self.major, self.minor, 9, patch.unwrap_or(0), 0),
        }
    }
}

impl PartialOrd for GoVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GoVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::fmt::Display for GoVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match (self.pre, self.patch) {
            (Some((Pre::Rc, n)), _) => write!(f, "rc{n}"),
            (Some((Pre::Beta, n)), _) => write!(f, "beta{n}"),
            (None, Some(patch)) => write!(f, ".{patch}"),
            (None, None) => Ok(()),
        }
    }
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let digits = &text[..end];
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical).then_some(())?;
    Some((digits.parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_order_is_go_s_own() {
        let rising = [
            "1.9",
            "1.20rc1",
            "1.20",
            "1.20.3",
            "1.21",
            "1.21beta1",
            "1.21rc1",
            "1.21rc2",
            "1.21.0",
            "1.21.10",
            "1.22",
            "2",
        ];
        let parsed: Vec<GoVersion> = rising
            .iter()
            .map(|v| GoVersion::parse(v).unwrap())
            .collect();
        assert!(parsed.is_sorted());
        assert!(parsed.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(
            GoVersion::parse("go1.27.3-custom").unwrap().to_string(),
            "1.27.3"
        );
        for wrong in [
            "",
            "go",
            "1.",
            "1.x",
            "1.21.",
            "1.021",
            "1.21.3.4",
            "v1.2",
            "99999999999.1",
        ] {
            assert!(GoVersion::parse(wrong).is_none(), "{wrong}");
        }
    }
}
