//! What to do when a revision is not there: the tag may be spelled without the module's
//! directory, without the `v`, or belong to another module of the repository.

use super::coderepo::CodeRepo;
use super::error::DirectError;
use super::law;

/// Tags looked at for a hint; a hint is not worth more.
const TAGS_MAX: usize = 20_000;

/// Adds advice to a "not found" about an unknown revision.
pub(crate) async fn advise(error: DirectError, repo: &CodeRepo<'_>, asked: &str) -> DirectError {
    let unknown =
        matches!(&error, DirectError::NotFound { text } if text.contains("unknown revision"));
    if !unknown {
        return error;
    }
    let Ok(tags) = repo.code.tag_names("").await else {
        return error;
    };
    let tags = &tags[..tags.len().min(TAGS_MAX)];
    error.advise(&hint(tags, &repo.place.code_dir, asked))
}

fn hint(tags: &[String], dir: &str, asked: &str) -> String {
    if !law::is_valid(asked) || law::is_pseudo_version(asked) {
        return "the origin has no such branch, tag or commit on a branch or tag".into();
    }
    let plain = asked.strip_suffix("+incompatible").unwrap_or(asked);
    let has = |tag: &str| tags.iter().any(|have| have == tag);
    if !dir.is_empty() && has(plain) {
        return format!(
            "tag {plain} is for the module at the root: the module in {dir} needs the tag {dir}/{plain}"
        );
    }
    let bare = plain.trim_start_matches('v');
    let prefix = if dir.is_empty() {
        String::new()
    } else {
        format!("{dir}/")
    };
    if has(&format!("{prefix}{bare}")) {
        return format!("the tag {prefix}{bare} lacks the v: a version needs {prefix}{plain}");
    }
    let nested = tags
        .iter()
        .find(|tag| tag.strip_suffix(plain).is_some_and(|d| d.ends_with('/')));
    if let Some(tag) = nested {
        return format!("the tag {tag} is for the module in that directory, not for this one");
    }
    let mut own: Vec<String> = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(&prefix))
        .filter(|tag| law::canonical(tag) == **tag)
        .map(str::to_owned)
        .collect();
    law::sort(&mut own);
    match own.last() {
        Some(newest) => {
            format!("no tag {prefix}{plain}; the newest is {prefix}{newest}: push the tag")
        }
        None => format!("the origin has no version tags {prefix}v*: push the tag {prefix}{plain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[&str]) -> Vec<String> {
        list.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn the_missing_directory_prefix_is_named() {
        let text = hint(&tags(&["v1.2.3"]), "sub", "v1.2.3");
        assert!(text.contains("needs the tag sub/v1.2.3"), "{text}");
        let text = hint(&tags(&["sub/v1.2.3"]), "", "v1.2.3");
        assert!(
            text.contains("sub/v1.2.3 is for the module in that directory"),
            "{text}"
        );
    }

    #[test]
    fn the_missing_v_and_the_missing_push_are_named() {
        assert!(hint(&tags(&["1.2.3"]), "", "v1.2.3").contains("lacks the v"));
        assert!(hint(&tags(&["v1.2.2", "v1.10.0"]), "", "v1.2.3").contains("newest is v1.10.0"));
        assert!(hint(&tags(&[]), "sub", "v1.2.3").contains("push the tag sub/v1.2.3"));
        assert!(hint(&tags(&[]), "", "main").contains("no such branch"));
    }
}
