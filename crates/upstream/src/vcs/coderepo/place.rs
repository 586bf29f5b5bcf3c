//! Where a module is in its repository, and how versions and tags name each other there.

use super::super::error::DirectError;
use super::super::json;
use super::super::law;
use super::super::repo::Origin;

/// A version and where it comes from: the content of `.info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectInfo {
    /// The canonical version.
    pub version: String,
    /// Commit time in RFC 3339, UTC.
    pub time: String,
    /// Provenance.
    pub origin: Origin,
}

impl DirectInfo {
    /// The `.info` file as the go command writes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!(
            "{{\"Version\":{},\"Time\":{},\"Origin\":{}}}",
            json::string(&self.version),
            json::string(&self.time),
            self.origin.to_json()
        )
    }
}

/// A module path against the root of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub path: String,
    pub(super) code_root: String,
    /// Directory expected to hold the module; `/vN` may add one more level.
    pub code_dir: String,
    pub(super) path_prefix: String,
    /// `/v2`, `.v2`, `.v2-unstable` or empty.
    pub(super) path_major: String,
    pub(super) pseudo_major: String,
}

impl Place {
    /// Where the module `path` is in the repository whose root has the import path `code_root`,
    /// moved down by the `subdir` of a go-import tag.
    pub(crate) fn new(code_root: &str, subdir: &str, path: &str) -> Result<Self, DirectError> {
        if !has_path_prefix(path, code_root) {
            return Err(DirectError::not_found(format!(
                "mismatched repo: found {code_root} for {path}"
            )));
        }
        let Some((prefix, major)) = law::split_path_version(path) else {
            return Err(DirectError::refused(format!(
                "invalid module path {path:?}"
            )));
        };
        let prefix = if code_root == path {
            path.to_owned()
        } else {
            prefix
        };
        let mut code_dir = String::new();
        if code_root != path {
            if !has_path_prefix(&prefix, code_root) {
                return Err(DirectError::not_found(format!(
                    "repository rooted at {code_root} cannot contain module {path}"
                )));
            }
            code_dir = prefix[code_root.len()..].trim_matches('/').to_owned();
        }
        if !subdir.is_empty() {
            code_dir = join_clean(&code_dir, subdir).ok_or_else(|| {
                DirectError::refused(format!("invalid subdirectory {subdir:?} for {path}"))
            })?;
        }
        Ok(Self {
            path: path.to_owned(),
            code_root: code_root.to_owned(),
            code_dir,
            path_prefix: prefix,
            pseudo_major: law::path_major_prefix(&major),
            path_major: major,
        })
    }

    pub(super) fn tag_prefix(&self) -> String {
        if self.code_dir.is_empty() {
            String::new()
        } else {
            format!("{}/", self.code_dir)
        }
    }

    /// The revision that a version or query names in the repository.
    pub(super) fn rev_of(&self, query: &str) -> String {
        if !law::is_valid(query) {
            return query.to_owned();
        }
        if let Some(rev) = law::pseudo_rev(query) {
            return rev;
        }
        let plain = match law::build(query).as_str() {
            "+incompatible" => query.strip_suffix("+incompatible").unwrap_or(query),
            _ => query,
        };
        format!("{}{plain}", self.tag_prefix())
    }

    /// The version of a tag, and whether the tag spells it canonically.
    pub(super) fn tag_to_version(&self, tag: &str) -> Option<(String, bool)> {
        let trimmed = tag.strip_prefix(&self.tag_prefix())?;
        if law::is_pseudo_version(tag) {
            return None;
        }
        let version = law::canonical(trimmed);
        if version.is_empty() || !trimmed.starts_with(&version) {
            return None;
        }
        let canonical = version == trimmed;
        Some((version, canonical))
    }

    pub(super) fn invalid(&self, version: &str, what: &str) -> String {
        format!("{}@{version}: invalid version: {what}", self.path)
    }

    pub(super) fn join(&self, rest: &str) -> String {
        if self.code_dir.is_empty() {
            rest.to_owned()
        } else {
            format!("{}/{rest}", self.code_dir)
        }
    }
}

/// Whether `prefix` is `path` or a leading part of it up to a `/`.
pub(crate) fn has_path_prefix(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// Joins and cleans two slash paths; `None` when the result leaves the root or could be read as
/// something else than a directory by git.
fn join_clean(base: &str, rest: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(rest.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    let bad = joined.starts_with('-') || joined.chars().any(char::is_control);
    (!bad).then_some(joined)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_module_directory_is_what_the_path_adds_to_the_repository() {
        let dir = |root: &str, subdir: &str, path: &str| {
            Place::new(root, subdir, path).map(|place| place.code_dir)
        };
        assert_eq!(dir("h.x/r", "", "h.x/r/a/b/v2").unwrap(), "a/b");
        assert_eq!(dir("h.x/r", "s/t", "h.x/r/v2").unwrap(), "s/t");
        assert_eq!(dir("h.x/r/v2", "", "h.x/r/v2").unwrap(), "");
        assert_eq!(dir("gopkg.in/yaml.v2", "", "gopkg.in/yaml.v2").unwrap(), "");
        assert!(dir("h.x/r", "../..", "h.x/r").is_err());
        assert!(dir("h.x/r", "-x", "h.x/r").is_err());
        assert!(dir("h.x/other", "", "h.x/r").is_err());
    }

    #[test]
    fn versions_become_tags_with_the_directory_as_prefix() {
        let place = Place::new("h.x/r", "", "h.x/r/a").unwrap();
        assert_eq!(place.rev_of("v1.2.3"), "a/v1.2.3");
        assert_eq!(
            place.rev_of("v0.0.0-20180219231006-80d85c5d4d17"),
            "80d85c5d4d17"
        );
        assert_eq!(place.rev_of("main"), "main");
        assert_eq!(
            place.tag_to_version("a/v1.2.3+meta"),
            Some(("v1.2.3".into(), false))
        );
        assert_eq!(place.tag_to_version("v1.2.3"), None);
    }
}
