//! The directory of a module at a revision.

use super::super::error::DirectError;
use super::super::law;
use super::super::repo::FileData;
use super::CodeRepo;

/// The module's directory at a revision, and its go.mod if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub dir: String,
    pub go_mod: FileData,
}

impl CodeRepo<'_> {
    /// The directory of the module at a revision: the expected one, or below it one named for
    /// the major version, whichever has a go.mod that claims this major version. Never both.
    pub(crate) async fn find_dir(&self, name: &str, version: &str) -> Result<Found, DirectError> {
        let place = self.place;
        let rev = place.rev_of(version);
        let (file1, major_dir) = (place.join("go.mod"), self.major_dir());
        let mut paths = vec![file1.clone()];
        paths.extend(major_dir.iter().map(|dir| format!("{dir}/go.mod")));
        let mut files = self.code.read_files(name, &paths).await?;
        let mod2 = if files.len() > 1 {
            files.pop().flatten()
        } else {
            None
        };
        let mod1 = files.pop().flatten();
        let path1 = mod1
            .as_ref()
            .map(|data| law::module_path(data))
            .unwrap_or_default();
        let found1 = mod1.is_some()
            && (is_major(&path1, &place.path_major)
                || (place.path_major.is_empty() && path1.starts_with("gopkg.in/")));
        if let Some(dir2) = &major_dir
            && let Some(found) = self.in_major_dir(dir2, mod2, found1, &file1, &rev)?
        {
            return Ok(found);
        }
        if found1 {
            return Ok(Found {
                dir: place.code_dir.clone(),
                go_mod: mod1,
            });
        }
        let refuse = |text: String| Err(DirectError::not_found(text));
        let suffix = match &major_dir {
            Some(_) => format!(" (and ...{}/go.mod does not exist)", place.path_major),
            None => String::new(),
        };
        if mod1.is_some() {
            return refuse(self.wrong_root(&file1, &path1, &suffix, &rev, version));
        }
        if place.code_dir.is_empty()
            && (place.path_major.is_empty() || place.path_major.starts_with('.'))
        {
            return Ok(Found {
                dir: String::new(),
                go_mod: None,
            });
        }
        if major_dir.is_some() {
            return refuse(format!(
                "missing {}/go.mod and ...{}/go.mod at revision {rev}",
                place.path_prefix, place.path_major
            ));
        }
        refuse(format!(
            "missing {}/go.mod at revision {rev}",
            place.path_prefix
        ))
    }

    /// `codeDir/vN`, for paths that end in `/vN` and are not the repository's own root.
    fn major_dir(&self) -> Option<String> {
        let place = self.place;
        let major = place.path_major.strip_prefix('/')?;
        (place.code_root != place.path).then(|| place.join(major))
    }

    fn in_major_dir(
        &self,
        dir: &str,
        go_mod: FileData,
        found1: bool,
        file1: &str,
        rev: &str,
    ) -> Result<Option<Found>, DirectError> {
        let place = self.place;
        let Some(data) = go_mod else { return Ok(None) };
        let declared = law::module_path(&data);
        let major = &place.path_major;
        let text = if is_major(&declared, major) {
            if !found1 {
                return Ok(Some(Found {
                    dir: dir.to_owned(),
                    go_mod: Some(data),
                }));
            }
            format!(
                "{}/{file1} and ...{major}/go.mod both have ...{major} module paths at revision {rev}",
                place.path_prefix
            )
        } else if declared.is_empty() {
            format!(
                "{}/{dir}/go.mod is missing module path at revision {rev}",
                place.code_root
            )
        } else {
            format!(
                "{}/{dir}/go.mod has non-...{major} module path {declared:?} at revision {rev}",
                place.code_root
            )
        };
        Err(DirectError::not_found(text))
    }

    fn wrong_root(
        &self,
        file: &str,
        declared: &str,
        suffix: &str,
        rev: &str,
        version: &str,
    ) -> String {
        if declared.is_empty() {
            return format!("{file} is missing module path{suffix} at revision {rev}");
        }
        if !self.place.path_major.is_empty() {
            return format!(
                "{file} has non-...{} module path {declared:?}{suffix} at revision {rev}",
                self.place.path_major
            );
        }
        if law::split_path_version(declared).is_none() {
            return format!(
                "{file} has malformed module path {declared:?}{suffix} at revision {rev}"
            );
        }
        format!(
            "{file} has post-{} module path {declared:?}{suffix} at revision {rev}",
            law::major(version)
        )
    }
}

/// Whether the versions allowed for a declared path fit the major version of the asked path.
fn is_major(declared: &str, path_major: &str) -> bool {
    if declared.is_empty() {
        return false;
    }
    let Some((_, major)) = law::split_path_version(declared) else {
        return false;
    };
    if path_major.is_empty() {
        return matches!(law::path_major_prefix(&major).as_str(), "" | "v0" | "v1");
    }
    !major.is_empty() && path_major[1..] == major[1..]
}
