//! Which files of a directory on disk are looked at for a zip.
//!
//! A directory is not a version control tree: it holds the repositories of the version control
//! itself, and nested modules are left out as a whole. Source: golang.org/x/mod/zip, CheckDir.

use super::select::{FileKind, FileMeta, Reason, is_vendored_package};
use std::collections::BTreeSet;

/// What is to be looked at further, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Indices of the files that [`super::select`] is to judge, in the order of their names.
    pub files: Vec<usize>,
    /// Files and directories left out, and why.
    pub omitted: Vec<(String, Reason)>,
}

/// Goes through the files below a directory as the go command walks it. `language` is that of the
/// go.mod in it, see [`super::language`].
pub fn list(files: &[FileMeta], language: &str) -> Listing {
    let modules: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.name.strip_suffix("/go.mod"))
        .collect();
    let mut order: Vec<usize> = (0..files.len()).collect();
    // Element by element: a directory comes where its name does.
    order.sort_by(|a, b| files[*a].name.split('/').cmp(files[*b].name.split('/')));
    let mut listing = Listing::default();
    let mut closed = BTreeSet::new();
    let mut entered = BTreeSet::new();
    for index in order {
        let file = &files[index];
        let parents = || file.name.match_indices('/').map(|(at, _)| &file.name[..at]);
        if parents().any(|dir| closed.contains(dir)) {
            continue;
        }
        let new: Vec<&str> = parents().filter(|dir| entered.insert(*dir)).collect();
        let stop = new.into_iter().find(|dir| {
            let (reason, closes) = match () {
                () if is_vendored_package(dir, language) => (Reason::Vendored, false),
                () if is_repository(dir) => (Reason::VersionControl, true),
                () if modules.contains(dir) => (Reason::SubmoduleDir, true),
                () => return false,
            };
            listing.omitted.push(((*dir).to_owned(), reason));
            closes
        });
        if let Some(dir) = stop {
            closed.insert(dir);
        } else if is_vendored_package(&file.name, language) {
            let name = file.name.clone();
            listing.omitted.push((name, Reason::Vendored));
        } else if file.kind != FileKind::Regular {
            let name = file.name.clone();
            listing.omitted.push((name, Reason::NotRegular));
        } else {
            listing.files.push(index);
        }
    }
    listing
}

fn is_repository(dir: &str) -> bool {
    let base = dir.rsplit('/').next().unwrap_or(dir);
    matches!(base, ".bzr" | ".git" | ".hg" | ".svn")
}
