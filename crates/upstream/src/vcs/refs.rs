//! What `git ls-remote` says: the named state of a repository at one moment.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use gomod::quote::quote;
use sha2::{Digest as _, Sha256};

use super::law;

/// Heads, tags and `HEAD` of a repository, tags already peeled to what they tag.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    by_name: BTreeMap<String, String>,
    tags_by_hash: HashMap<String, Vec<String>>,
}

impl Refs {
    /// Reads the lines `HASH\tNAME` of `git ls-remote`; anything else is skipped, as go does.
    pub(crate) fn parse(output: &str) -> Self {
        let mut by_name = BTreeMap::new();
        let mut peeled = Vec::new();
        for line in output.split('\n') {
            let mut fields = line.split_whitespace();
            let (Some(hash), Some(name), None) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if !is_hash(hash) || !is_wanted(name) {
                continue;
            }
            match name.strip_suffix("^{}") {
                Some(tag) => peeled.push((tag.to_owned(), hash.to_owned())),
                None => {
                    by_name.insert(name.to_owned(), hash.to_owned());
                }
            }
        }
        by_name.extend(peeled);
        let mut tags_by_hash: HashMap<String, Vec<String>> = HashMap::new();
        for (name, hash) in &by_name {
            if let Some(tag) = name.strip_prefix("refs/tags/") {
                tags_by_hash
                    .entry(hash.clone())
                    .or_default()
                    .push(tag.to_owned());
            }
        }
        Self {
            by_name,
            tags_by_hash,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_name
            .iter()
            .map(|(name, hash)| (name.as_str(), hash.as_str()))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The tags on one commit, sorted.
    pub(crate) fn tags_on(&self, hash: &str) -> &[String] {
        self.tags_by_hash.get(hash).map_or(&[], Vec::as_slice)
    }

    /// Tags that begin with `prefix`, sorted by name, with their commits.
    pub(crate) fn tags<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let start = format!("refs/tags/{prefix}");
        let range = self.by_name.range(start.clone()..);
        range
            .take_while(move |(name, _)| name.starts_with(&start))
            .filter_map(|(name, hash)| Some((name.strip_prefix("refs/tags/")?, hash.as_str())))
    }

    /// The hash that changes when a tag changes that a version could depend on (`Origin.TagSum`).
    pub(crate) fn tag_sum(&self, prefix: &str) -> String {
        let dir = &prefix[..prefix.rfind('/').map_or(0, |i| i + 1)];
        let mut hasher = Sha256::new();
        for (tag, hash) in self.tags(prefix) {
            if is_origin_tag(tag.strip_prefix(dir).unwrap_or(tag)) {
                hasher.update(format!("{} {hash}\n", quote(tag)));
            }
        }
        format!(
            "t1:{}",
            base64::engine::general_purpose::STANDARD.encode(hasher.finalize())
        )
    }

    /// Whether the repository names its objects with SHA-256; `None` when it has no refs.
    pub(crate) fn sha256(&self) -> Option<bool> {
        self.by_name.values().next().map(|hash| hash.len() == 64)
    }

    /// A value equal for equal states, to know whether a clone has seen this one.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (name, hash) in self.iter() {
            hasher.update(name);
            hasher.update([0]);
            hasher.update(hash);
            hasher.update([0]);
        }
        hasher.finalize().into()
    }
}

fn is_wanted(name: &str) -> bool {
    name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}

/// A full object name: 40 or 64 lower-case hex digits. Others never reach a command line.
pub(crate) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && all_hex(text)
}

/// Lower-case hexadecimal digits only.
pub(crate) fn all_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a name may stand in a refspec: the rules of `git check-ref-format`, so that a server
/// cannot smuggle a `:` or `*` into what we ask for next.
pub(crate) fn is_safe_ref(name: &str) -> bool {
    let bad_char = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    !name.contains(bad_char)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.split('/').any(bad_part)
}

/// Whether a tag counts for `TagSum`: a semantic version, perhaps with build metadata, that is
/// no pseudo-version.
fn is_origin_tag(tag: &str) -> bool {
    let canonical = law::canonical(tag);
    !canonical.is_empty() && tag.starts_with(&canonical) && !law::is_pseudo_version(tag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn annotated_tags_are_peeled_and_other_refs_dropped() {
        let text = format!(
            "{A}\tHEAD\n{A}\trefs/heads/main\n{A}\trefs/pull/1/head\n{A}\trefs/tags/v1.0.0\n{B}\trefs/tags/v1.0.0^{{}}\nbad line\n"
        );
        let refs = Refs::parse(&text);
        assert_eq!(refs.get("refs/tags/v1.0.0"), Some(B));
        assert_eq!(refs.get("refs/pull/1/head"), None);
        assert_eq!(refs.tags_on(B), ["v1.0.0"]);
    }

    #[test]
    fn tags_are_found_by_prefix() {
        let text = format!("{A}\trefs/tags/v1\n{A}\trefs/tags/sub/v1\n{A}\trefs/tags/sub/v2\n");
        let refs = Refs::parse(&text);
        let tags: Vec<_> = refs.tags("sub/").map(|(tag, _)| tag).collect();
        assert_eq!(tags, ["sub/v1", "sub/v2"]);
    }

    #[test]
    fn names_that_would_alter_a_refspec_are_unsafe() {
        for name in [
            "refs/tags/a:refs/heads/b",
            "refs/tags/*",
            "-x",
            "refs/tags/..",
            "a b",
            "a//b",
        ] {
            assert!(!is_safe_ref(name), "{name}");
        }
        assert!(is_safe_ref("refs/tags/sub/v1.2.3"));
    }
}
