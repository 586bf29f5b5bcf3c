//! Where two zips of one version differ, file by file.

use serde::Serialize;
use std::collections::BTreeMap;

/// One file of a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSum {
    /// Its name inside the module.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// The same with every CR LF read as LF.
    pub sha256_lf: String,
    /// Whether it is the placeholder of a file in Git's large file storage.
    pub lfs: bool,
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only in the first.
    OnlyLeft,
    /// Only in the second.
    OnlyRight,
    /// The same but for line ends.
    LineEnds,
    /// The content on one side, a large-file placeholder on the other.
    Lfs,
    /// Other content.
    Content,
}

/// One file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its name inside the module.
    pub name: String,
    /// How.
    pub change: Change,
    /// Size and SHA-256 on the first side.
    pub left: Option<(u64, String)>,
    /// On the second.
    pub right: Option<(u64, String)>,
}

/// What the differences look like as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing to say.
    None,
    /// All of them are line ends: a checkout converted them.
    LineEnds,
    /// All of them are placeholders: one side was packed without large file storage.
    Lfs,
    /// Only whole files come and go: `export-ignore`, symbolic links, vendored or nested modules.
    FileSet,
    /// Some content differs, and attributes of Git are at work: `export-subst` writes the commit in.
    Attributes,
    /// Content differs.
    Content,
}

impl Shape {
    /// What a person should know of it.
    pub fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::LineEnds => {
                "only line ends differ (CRLF): one side was packed from a checkout that converts them"
            }
            Self::Lfs => {
                "only large files differ: one side has Git LFS placeholders in their place"
            }
            Self::FileSet => {
                "no file has other content, the lists differ: export-ignore, symbolic links, vendored or nested modules"
            }
            Self::Attributes => {
                "the module has a .gitattributes: export-subst writes commit data into files, which differs by how they were packed"
            }
            Self::Content => {
                "files have other content: this is another version under the same name"
            }
        })
    }
}

/// The differences of two zips, in the order of names.
pub fn changes(left: &[FileSum], right: &[FileSum]) -> Vec<FileChange> {
    let by_name = |files: &'_ [FileSum]| -> BTreeMap<String, FileSum> {
        files.iter().map(|f| (f.name.clone(), f.clone())).collect()
    };
    let (left, right) = (by_name(left), by_name(right));
    let mut changes = Vec::new();
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (a, b) = (left.get(name), right.get(name));
        let Some(change) = change(a, b) else { continue };
        let side = |f: Option<&FileSum>| f.map(|f| (f.size, f.sha256.clone()));
        changes.push(FileChange {
            name: name.clone(),
            change,
            left: side(a),
            right: side(b),
        });
    }
    changes
}

fn change(left: Option<&FileSum>, right: Option<&FileSum>) -> Option<Change> {
    match (left, right) {
        (Some(_), None) => Some(Change::OnlyLeft),
        (None, Some(_)) => Some(Change::OnlyRight),
        (Some(a), Some(b)) if a.sha256 != b.sha256 => Some(match () {
            () if a.sha256_lf == b.sha256_lf => Change::LineEnds,
            () if a.lfs != b.lfs => Change::Lfs,
            () => Change::Content,
        }),
        _ => None,
    }
}

/// What the differences look like; `attributes`: whether the module has a `.gitattributes`.
pub fn shape(changes: &[FileChange], attributes: bool) -> Shape {
    let all = |wanted: fn(Change) -> bool| changes.iter().all(|c| wanted(c.change));
    match () {
        () if changes.is_empty() => Shape::None,
        () if all(|c| c == Change::LineEnds) => Shape::LineEnds,
        () if all(|c| c == Change::Lfs) => Shape::Lfs,
        () if all(|c| matches!(c, Change::OnlyLeft | Change::OnlyRight)) => Shape::FileSet,
        () if attributes => Shape::Attributes,
        () => Shape::Content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> FileSum {
        FileSum {
            name: name.into(),
            size: content.len() as u64,
            sha256: content.into(),
            sha256_lf: content.replace("\r\n", "\n"),
            lfs: content.starts_with("version https://git-lfs"),
        }
    }

    fn shape_of(left: &[&FileSum], right: &[&FileSum]) -> Shape {
        let own = |files: &[&FileSum]| Vec::from_iter(files.iter().map(|f| (*f).clone()));
        let attributes = left.iter().any(|f| f.name == ".gitattributes");
        shape(&changes(&own(left), &own(right)), attributes)
    }

    #[test]
    fn each_way_to_pack_otherwise_is_recognised() {
        let (a, other) = (file("a", "x\ny\n"), file("a", "z"));
        let attributes = file(".gitattributes", "* export-subst");
        let placeholder = file("a", "version https://git-lfs.github.com/spec/v1");
        let (crlf, link) = (file("a", "x\r\ny\r\n"), file("link", ""));
        assert_eq!(shape_of(&[&a], &[&a]), Shape::None);
        assert_eq!(shape_of(&[&a], &[&crlf]), Shape::LineEnds);
        assert_eq!(shape_of(&[&a], &[&placeholder]), Shape::Lfs);
        assert_eq!(shape_of(&[&a], &[&a, &link]), Shape::FileSet);
        assert_eq!(
            shape_of(&[&a, &attributes], &[&other, &attributes]),
            Shape::Attributes
        );
        assert_eq!(shape_of(&[&a], &[&other, &link]), Shape::Content);
    }

    #[test]
    fn changes_name_both_sides_in_order() {
        let found = changes(
            &[file("b", "1"), file("a", "1")],
            &[file("b", "22"), file("c", "1")],
        );
        let seen: Vec<_> = found.iter().map(|c| (&*c.name, c.change)).collect();
        assert_eq!(
            seen,
            [
                ("a", Change::OnlyLeft),
                ("b", Change::Content),
                ("c", Change::OnlyRight)
            ]
        );
        assert_eq!(found[1].right, Some((2, "22".into())));
    }
}
