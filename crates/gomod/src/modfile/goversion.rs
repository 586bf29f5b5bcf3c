//! The version in a `go` line.
//!
//! Two grammars meet here: what go.mod accepts as a `go` line, and what counts as a language
//! version when rules depend on it. A line can satisfy the first and not the second (`1.21.3rc1`).
//! Source: golang.org/x/mod/modfile and Go's go/version package.

use std::cmp::Ordering;

/// `1.23`, `1.23.4`, `1.23rc1`: what a `go` line may say.
pub(super) fn is_go_version(text: &str) -> bool {
    let Some((_, rest)) = major_minor(text) else {
        return false;
    };
    let rest = match rest.strip_prefix('.') {
        Some(patch) => match number(patch, true) {
            Some((_, rest)) => rest,
            None => return false,
        },
        None => rest,
    };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
    rest.is_empty()
        || (digits.len() < rest.len()
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Of a malformed version in a dependency, the part that is one: `1.23` of `v1.23.x`.
pub(super) fn lax_go_version(text: &str) -> Option<&str> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (head, rest) = major_minor(text)?;
    // A line break cannot be in a word, and the go command's pattern does not match one.
    let junk = !rest.is_empty() && !rest.contains('\n');
    junk.then_some(head)
}

/// The language version, `1.24`, of a release, `1.24.3` or `1.24rc1`; `None` for what the go command
/// does not understand as one.
pub(crate) fn language(version: &str) -> Option<&str> {
    let (major, rest) = number(version, true)?;
    let Some(rest) = rest.strip_prefix('.') else {
        return rest.is_empty().then_some(major);
    };
    let (minor, rest) = number(rest, true)?;
    let known = match rest.strip_prefix('.') {
        Some(patch) => number(patch, true).is_some_and(|(_, rest)| rest.is_empty()),
        None => rest.is_empty() || is_prerelease(rest),
    };
    let head = &version[..major.len() + 1 + minor.len()];
    known.then_some(match head {
        "1.0" => major,
        _ => head,
    })
}

/// Whether a version's language is at least `1.MINOR`. What is no version is older than all.
pub(crate) fn is_at_least(version: &str, minor: &str) -> bool {
    let Some(language) = language(version) else {
        return false;
    };
    let (major, own) = language.split_once('.').unwrap_or((language, "0"));
    match compare(major, "1") {
        Ordering::Equal => compare(own, minor).is_ge(),
        other => other.is_gt(),
    }
}

/// `rc1`: letters, then a number.
fn is_prerelease(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.len() < text.len() && number(digits, true).is_some_and(|(_, rest)| rest.is_empty())
}

/// Two numbers without leading zeros, of any length.
fn compare(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// `MAJOR.MINOR`, and what follows.
fn major_minor(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = number(text, false)?;
    let (_, rest) = number(rest.strip_prefix('.')?, true)?;
    Some(text.split_at(text.len() - rest.len()))
}

/// A decimal number without leading zero, and what follows.
fn number(text: &str, zero: bool) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let good = match digits {
        "" => false,
        "0" => zero,
        _ => !digits.starts_with('0'),
    };
    good.then_some((digits, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_line_admits_more_than_a_language_version() {
        for good in ["1.0", "1.23", "1.23.0", "1.23rc1", "1.23.4rc1", "9.99beta2"] {
            assert!(is_go_version(good), "{good}");
        }
        for bad in [
            "", "1", "01.2", "1.02", "1.2.", "1.2.03", "1.2rc", "1.2RC1", "v1.2", "0.1",
        ] {
            assert!(!is_go_version(bad), "{bad}");
        }
        assert_eq!(language("1.23.4"), Some("1.23"));
        assert_eq!(language("1.23rc1"), Some("1.23"));
        assert_eq!(language("1.23.4rc1"), None);
        assert_eq!(language("1.0"), Some("1"));
    }

    #[test]
    fn versions_are_compared_as_numbers_of_any_length() {
        assert!(is_at_least("1.24", "24") && is_at_least("2.0", "24"));
        assert!(is_at_least("1.99999999999999999999999", "24"));
        assert!(!is_at_least("1.9", "24") && !is_at_least("", "24") && !is_at_least("0.99", "24"));
        assert!(!is_at_least("1.24.1rc1", "24"));
    }

    #[test]
    fn a_dependency_may_have_junk_behind_its_version() {
        assert_eq!(lax_go_version("v1.23.x"), Some("1.23"));
        assert_eq!(lax_go_version("1.23-foo"), Some("1.23"));
        assert_eq!(lax_go_version("1.23"), None);
        assert_eq!(lax_go_version("x1.23.1"), None);
    }
}
