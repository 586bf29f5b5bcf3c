//! From a repository to a module: which tags are versions, where the module's directory is, what
//! version a revision has, and whether a pseudo-version tells the truth.
//!
//! The rules are those of the go command (`cmd/go/internal/modfetch/coderepo.go`, Go 1.27); the
//! texts too, because developers and search engines know them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::error::DirectError;
use super::json;
use super::law::{self, Retractions};
use super::repo::{Code, Origin, RevInfo};

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
    code_root: String,
    /// Directory expected to hold the module; `/vN` may add one more level.
    pub code_dir: String,
    path_prefix: String,
    /// `/v2`, `.v2`, `.v2-unstable` or empty.
    path_major: String,
    pseudo_major: String,
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
            return Err(DirectError::refused(format!("invalid module path {path:?}")));
        };
        let prefix = if code_root == path { path.to_owned() } else { prefix };
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

    fn tag_prefix(&self) -> String {
        if self.code_dir.is_empty() { String::new() } else { format!("{}/", self.code_dir) }
    }

    /// The revision that a version or query names in the repository.
    fn rev_of(&self, query: &str) -> String {
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
    fn tag_to_version(&self, tag: &str) -> Option<(String, bool)> {
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

    fn invalid(&self, version: &str, what: &str) -> String {
        format!("{}@{version}: invalid version: {what}", self.path)
    }

    fn join(&self, rest: &str) -> String {
        if self.code_dir.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.code_dir) }
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

/// The module's directory at a revision, and its go.mod if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub dir: String,
    pub go_mod: Option<Arc<Vec<u8>>>,
}

/// A module in a repository.
pub(crate) struct CodeRepo<'a> {
    pub place: &'a Place,
    pub code: &'a Code,
}

/// Whether versions that need `+incompatible` are allowed at a revision, asked once.
#[derive(Default)]
struct Incompatible {
    by_major: HashMap<String, bool>,
}

impl CodeRepo<'_> {
    /// The versions of the module, sorted.
    pub(crate) async fn versions(&self) -> Result<Vec<String>, DirectError> {
        let place = self.place;
        if place.path.starts_with("gopkg.in/") && place.path.ends_with("-unstable") {
            // The tags of .v2 are not those of .v2-unstable, which can have none.
            return Ok(Vec::new());
        }
        let prefix = place.tag_prefix();
        let tags = self.code.tags(&prefix).await.map_err(|e| self.of_module(e))?;
        let (mut list, mut incompatible) = (Vec::new(), Vec::new());
        for tag in &tags.names {
            let Some(version) = tag.strip_prefix(&prefix) else { continue };
            if version.is_empty()
                || version != law::canonical(version)
                || law::is_pseudo_version(version)
            {
                continue;
            }
            if law::match_path_major(version, &place.path_major) {
                list.push(version.to_owned());
            } else if place.code_dir.is_empty()
                && place.path_major.is_empty()
                && law::major(version).as_str() > "v1"
            {
                incompatible.push(version.to_owned());
            }
        }
        law::sort(&mut list);
        law::sort(&mut incompatible);
        self.with_incompatible(list, &incompatible).await
    }

    fn of_module(&self, error: DirectError) -> DirectError {
        error.under(&format!("module {}", self.place.path))
    }

    /// `+incompatible` versions are listed only while the project has shown no go.mod: neither in
    /// the newest compatible version nor in the newest of that major.
    async fn with_incompatible(
        &self,
        mut list: Vec<String>,
        incompatible: &[String],
    ) -> Result<Vec<String>, DirectError> {
        if incompatible.is_empty() || !self.place.path_major.is_empty() {
            return Ok(list);
        }
        if let Some(newest) = list.last()
            && self.has_go_mod(newest).await?
        {
            return Ok(list);
        }
        let mut allowed = Vec::new();
        for group in incompatible.chunk_by(|a, b| law::major(a) == law::major(b)) {
            if let Some(newest) = group.last()
                && !self.has_go_mod(newest).await?
            {
                allowed.extend(group.iter().map(|version| format!("{version}+incompatible")));
            }
        }
        list.extend(allowed);
        Ok(list)
    }

    async fn has_go_mod(&self, version: &str) -> Result<bool, DirectError> {
        let info = self.code.stat(version).await.map_err(|e| self.of_module(e))?;
        self.has_file(&info.name, "go.mod").await
    }

    async fn has_file(&self, name: &str, path: &str) -> Result<bool, DirectError> {
        let files = self.code.read_files(name, &[path.to_owned()]).await?;
        Ok(files.first().is_some_and(Option::is_some))
    }

    /// The newest commit of the default branch, as a version.
    pub(crate) async fn latest(&self) -> Result<DirectInfo, DirectError> {
        let info = self.code.latest().await.map_err(|e| self.of_module(e))?;
        Ok(self.convert(info, "").await?.0)
    }

    /// The version that a query names.
    pub(crate) async fn stat(&self, query: &str) -> Result<(DirectInfo, RevInfo), DirectError> {
        let rev = self.place.rev_of(query);
        let head = format!("{}@{query}: invalid version", self.place.path);
        let info = self.code.stat(&rev).await.map_err(|error| error.under(&head))?;
        self.convert(info, query).await
    }

    async fn convert(
        &self,
        info: RevInfo,
        asked: &str,
    ) -> Result<(DirectInfo, RevInfo), DirectError> {
        let version = self.decide(&info, asked).await?;
        let time = json::time(info.time, info.nanos).ok_or_else(|| {
            DirectError::refused(self.place.invalid(&version, "commit time out of range"))
        })?;
        let mut origin = Origin { subdir: self.place.code_dir.clone(), ..info.origin.clone() };
        // The answer depends on the tags too, unless a v0.0.0- pseudo-version was given.
        if law::is_pseudo_version(&version)
            && (version != asked || !version.starts_with("v0.0.0-"))
        {
            let mut prefix = self.place.tag_prefix();
            if let Some(major) = self.place.path_major.get(1..).filter(|major| !major.is_empty()) {
                prefix = format!("{prefix}{major}.");
            }
            let tags = self.code.tags(&prefix).await?;
            origin.tag_prefix = tags.tag_prefix;
            origin.tag_sum = tags.tag_sum;
            if !tags.repo_sum.is_empty() {
                origin.repo_sum = tags.repo_sum;
            }
        }
        Ok((DirectInfo { version, time, origin }, info))
    }

    /// The version of a revision.
    async fn decide(&self, info: &RevInfo, asked: &str) -> Result<String, DirectError> {
        let mut incompatible = Incompatible::default();
        if law::is_pseudo_version(asked) {
            let version = self.check(info, asked, asked, &mut incompatible).await?;
            self.validate_pseudo(info, asked).await?;
            return Ok(version);
        }
        if let Some((version, true)) = self.place.tag_to_version(&info.version) {
            match self.check(info, &version, asked, &mut incompatible).await {
                Err(DirectError::NotFound { .. } | DirectError::Refused { .. }) => {}
                result => return result,
            }
        }
        if let Some(version) = self.asked_tag(info, asked) {
            return self.check(info, &version, asked, &mut incompatible).await;
        }
        let retracted = self.retracted().await?;
        let mut base = String::new();
        let mut highest = String::new();
        for tag in &info.tags {
            let Some((version, canonical)) = self.place.tag_to_version(tag) else { continue };
            if !asked.is_empty() && law::compare(&version, asked) == Ordering::Equal {
                // Equal but not canonical (build metadata): a base, not a version.
                base.clone_from(&version);
            }
            if canonical
                && law::compare(&highest, &version) == Ordering::Less
                && !retracted.contain(&version)
                && self.fits(info, &version, asked, &mut incompatible).await?
            {
                highest = version;
            }
        }
        if !highest.is_empty() {
            return self.check(info, &highest, asked, &mut incompatible).await;
        }
        if base.is_empty() {
            base = self.recent_base(info, asked, &retracted, &mut incompatible).await?;
        }
        let version = law::pseudo_version(&self.place.pseudo_major, &base, info.time, &info.short)
            .ok_or_else(|| {
                DirectError::refused(format!("{}: commit time out of range", self.place.path))
            })?;
        self.check(info, &version, asked, &mut incompatible).await
    }

    /// The version asked for, when a tag on the revision is its canonical form.
    fn asked_tag(&self, info: &RevInfo, asked: &str) -> Option<String> {
        let versions = info.tags.iter().filter_map(|tag| self.place.tag_to_version(tag));
        let mut equal = versions.filter(|(version, _)| {
            !asked.is_empty() && law::compare(version, asked) == Ordering::Equal
        });
        equal.find(|(_, canonical)| *canonical).map(|(version, _)| version)
    }

    async fn fits(
        &self,
        info: &RevInfo,
        version: &str,
        asked: &str,
        incompatible: &mut Incompatible,
    ) -> Result<bool, DirectError> {
        if law::match_path_major(version, &self.place.path_major) {
            return Ok(true);
        }
        self.may_be_incompatible(info, version, asked, incompatible).await
    }

    /// The highest allowed tag in the history, as the base of a pseudo-version.
    async fn recent_base(
        &self,
        info: &RevInfo,
        asked: &str,
        retracted: &Retractions,
        incompatible: &mut Incompatible,
    ) -> Result<String, DirectError> {
        let prefix = self.place.tag_prefix();
        let Some(tags) = self.code.ancestor_tags(&info.name, &prefix).await? else {
            return Ok(String::new());
        };
        let mut highest = String::new();
        for tag in &tags {
            let Some((version, _)) = self.place.tag_to_version(tag) else { continue };
            let spelled = tag.strip_prefix(&prefix).unwrap_or(tag);
            if law::compare(spelled, &highest) != Ordering::Greater || retracted.contain(&version) {
                continue;
            }
            if self.fits(info, &version, asked, incompatible).await? {
                highest = spelled.to_owned();
            }
        }
        Ok(law::canonical(&highest))
    }

    /// A plain tag of an unversioned path may be used as `+incompatible` when the tree has no
    /// go.mod; nor a `vN/go.mod`, unless the suffix was asked for.
    async fn may_be_incompatible(
        &self,
        info: &RevInfo,
        version: &str,
        asked: &str,
        known: &mut Incompatible,
    ) -> Result<bool, DirectError> {
        if !self.place.code_dir.is_empty() || !self.place.path_major.is_empty() {
            return Ok(false);
        }
        if self.known_go_mod(info, "go.mod".into(), known).await? {
            return Ok(false);
        }
        if version.is_empty() || asked.ends_with("+incompatible") {
            return Ok(true);
        }
        let file = format!("{}/go.mod", law::major(version));
        Ok(!self.known_go_mod(info, file, known).await?)
    }

    async fn known_go_mod(
        &self,
        info: &RevInfo,
        file: String,
        known: &mut Incompatible,
    ) -> Result<bool, DirectError> {
        if let Some(has) = known.by_major.get(&file) {
            return Ok(*has);
        }
        let has = self.has_file(&info.name, &file).await?;
        known.by_major.insert(file, has);
        Ok(has)
    }

    /// Whether a canonical version suits the module's path and files; adds `+incompatible`.
    async fn check(
        &self,
        info: &RevInfo,
        version: &str,
        asked: &str,
        incompatible: &mut Incompatible,
    ) -> Result<String, DirectError> {
        let place = self.place;
        self.find_dir(&info.name, version).await.map_err(|error| match error {
            error @ (DirectError::NotFound { .. } | DirectError::Refused { .. }) => {
                error.under(&format!("{}@{version}: invalid version", place.path))
            }
            other => other,
        })?;
        let plain = asked.strip_suffix("+incompatible").unwrap_or(asked);
        let mut version = if version == plain { asked.to_owned() } else { version.to_owned() };
        let base = version.strip_suffix("+incompatible").unwrap_or(&version).to_owned();
        let mut wrong = None;
        if !law::match_path_major(&base, &place.path_major) {
            if self.may_be_incompatible(info, &base, asked, incompatible).await? {
                version = format!("{base}+incompatible");
            } else if !place.path_major.is_empty() {
                wrong = Some(
                    "module path includes a major version suffix, so major version must match"
                        .to_owned(),
                );
            } else {
                let path = format!("{}/{}", place.path_prefix, law::major(&version));
                wrong = Some(format!(
                    "module contains a go.mod file, so module path must match major version ({path:?})"
                ));
            }
        } else if version.ends_with("+incompatible") {
            let major = law::major(&version);
            wrong = Some(format!(
                "+incompatible suffix not allowed: major version {major} is compatible"
            ));
        }
        if !asked.is_empty() && asked == law::canonical_version(asked) && plain != base {
            let text = format!("resolves to version {version} ({plain} is not a tag)");
            return Err(DirectError::refused(place.invalid(asked, &text)));
        }
        match wrong {
            Some(text) => Err(DirectError::refused(place.invalid(&version, &text))),
            None => Ok(version),
        }
    }

    /// The versions that the newest release's go.mod retracts. When that cannot be found out,
    /// nothing is retracted, as in the go command; only a failing origin is an error.
    async fn retracted(&self) -> Result<Retractions, DirectError> {
        match self.read_retractions().await {
            Err(DirectError::NotFound { .. } | DirectError::Refused { .. }) => {
                Ok(Retractions::default())
            }
            result => result,
        }
    }

    async fn read_retractions(&self) -> Result<Retractions, DirectError> {
        let versions = self.versions().await?;
        let compatible: Vec<&String> =
            versions.iter().take_while(|v| !v.ends_with("+incompatible")).collect();
        let release = compatible.iter().rev().find(|v| law::prerelease(v).is_empty());
        let Some(highest) = release.or(compatible.last()) else {
            return Ok(Retractions::default());
        };
        let rev = self.place.rev_of(highest);
        let info = self.code.stat(&rev).await?;
        let found = self.find_dir(&info.name, highest).await?;
        Ok(found.go_mod.map(|data| law::retractions(&data)).unwrap_or_default())
    }

    /// The directory of the module at a revision: the expected one, or below it one named for
    /// the major version, whichever has a go.mod that claims this major version. Never both.
    pub(crate) async fn find_dir(&self, name: &str, version: &str) -> Result<Found, DirectError> {
        let place = self.place;
        let rev = place.rev_of(version);
        let (file1, major_dir) = (place.join("go.mod"), self.major_dir());
        let mut paths = vec![file1.clone()];
        paths.extend(major_dir.iter().map(|dir| format!("{dir}/go.mod")));
        let mut files = self.code.read_files(name, &paths).await?;
        let mod2 = if files.len() > 1 { files.pop().flatten() } else { None };
        let mod1 = files.pop().flatten();
        let path1 = mod1.as_ref().map(|data| law::module_path(data)).unwrap_or_default();
        let found1 = mod1.is_some()
            && (is_major(&path1, &place.path_major)
                || (place.path_major.is_empty() && path1.starts_with("gopkg.in/")));
        if let Some(dir2) = &major_dir
            && let Some(found) = self.in_major_dir(dir2, mod2, found1, &file1, &rev)?
        {
            return Ok(found);
        }
        if found1 {
            return Ok(Found { dir: place.code_dir.clone(), go_mod: mod1 });
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
            return Ok(Found { dir: String::new(), go_mod: None });
        }
        if major_dir.is_some() {
            return refuse(format!(
                "missing {}/go.mod and ...{}/go.mod at revision {rev}",
                place.path_prefix, place.path_major
            ));
        }
        refuse(format!("missing {}/go.mod at revision {rev}", place.path_prefix))
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
        go_mod: Option<Arc<Vec<u8>>>,
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
                return Ok(Some(Found { dir: dir.to_owned(), go_mod: Some(data) }));
            }
            format!(
                "{}/{file1} and ...{major}/go.mod both have ...{major} module paths at revision {rev}",
                place.path_prefix
            )
        } else if declared.is_empty() {
            format!("{}/{dir}/go.mod is missing module path at revision {rev}", place.code_root)
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
            return format!("{file} has malformed module path {declared:?}{suffix} at revision {rev}");
        }
        format!(
            "{file} has post-{} module path {declared:?}{suffix} at revision {rev}",
            law::major(version)
        )
    }

    /// A pseudo-version must have the hash, the time and a base that the repository confirms:
    /// else authors of a requirement could make a commit sort as high as they like.
    async fn validate_pseudo(&self, info: &RevInfo, version: &str) -> Result<(), DirectError> {
        let place = self.place;
        let refuse = |text: String| {
            let head = format!("{}@{version}: invalid pseudo-version", place.path);
            Err(DirectError::refused(format!("{head}: {text}")))
        };
        let rev = law::pseudo_rev(version).unwrap_or_default();
        if rev != info.short {
            let short = &info.short;
            let what = if rev.starts_with(short.as_str()) {
                "revision is longer than canonical"
            } else if short.starts_with(&rev) {
                "revision is shorter than canonical"
            } else {
                "does not match short name of revision"
            };
            return refuse(format!("{what} (expected {short})"));
        }
        let stamp = law::pseudo_stamp(info.time).unwrap_or_default();
        if law::pseudo_time(version) != Some(stamp.clone()) {
            return refuse(format!("does not match version-control timestamp (expected {stamp})"));
        }
        let plain = version.strip_suffix("+incompatible").unwrap_or(version);
        let base = match law::pseudo_base(plain) {
            Ok(base) => base,
            Err(text) => return refuse(text),
        };
        if base.is_empty() {
            if place.pseudo_major.is_empty() && law::major(version) == "v1" {
                return refuse("major version without preceding tag must be v0, not v1".into());
            }
            return Ok(());
        }
        let prefix = place.tag_prefix();
        let canonical = format!("{prefix}{base}");
        if info.tags.iter().any(|tag| tag.strip_prefix(&prefix).unwrap_or(tag) == base) {
            let tag = if info.tags.contains(&canonical) { &canonical } else { &base };
            return refuse(format!(
                "tag ({tag}) found on revision {rev} is already canonical, so should not be replaced with a pseudo-version derived from that tag"
            ));
        }
        let tags = self.code.tags(&canonical).await?;
        let mut last = None;
        for tag in &tags.names {
            let spelled = tag.strip_prefix(&prefix).unwrap_or(tag);
            if law::compare(spelled, &base) != Ordering::Equal {
                continue;
            }
            last = Some(tag);
            if self.code.descends_from(&info.name, tag).await? {
                return Ok(());
            }
        }
        match last {
            None => refuse(format!("preceding tag ({base}) not found")),
            Some(tag) => {
                refuse(format!("revision {rev} is not a descendent of preceding tag ({tag})"))
            }
        }
    }
}

/// Whether the versions allowed for a declared path fit the major version of the asked path.
fn is_major(declared: &str, path_major: &str) -> bool {
    if declared.is_empty() {
        return false;
    }
    let Some((_, major)) = law::split_path_version(declared) else { return false };
    if path_major.is_empty() {
        return matches!(law::path_major_prefix(&major).as_str(), "" | "v0" | "v1");
    }
    !major.is_empty() && path_major[1..] == major[1..]
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
        assert_eq!(place.rev_of("v0.0.0-20180219231006-80d85c5d4d17"), "80d85c5d4d17");
        assert_eq!(place.rev_of("main"), "main");
        assert_eq!(place.tag_to_version("a/v1.2.3+meta"), Some(("v1.2.3".into(), false)));
        assert_eq!(place.tag_to_version("v1.2.3"), None);
    }
}
