//! From a repository to a module: which tags are versions, where the module's directory is, what
//! version a revision has, and whether a pseudo-version tells the truth.
//!
//! The rules are those of the go command (`cmd/go/internal/modfetch/coderepo.go`, Go 1.27); the
//! texts too, because developers and search engines know them.

mod directory;
mod place;
mod validate;

use std::cmp::Ordering;
use std::collections::HashMap;

use super::error::DirectError;
use super::json;
use super::law::{self, Retractions};
use super::repo::{Code, Origin, RevInfo};

pub use self::place::DirectInfo;
pub(crate) use self::place::{Place, has_path_prefix};

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
        let tags = self
            .code
            .tag_names(&prefix)
            .await
            .map_err(|e| self.of_module(e))?;
        let (mut list, mut incompatible) = (Vec::new(), Vec::new());
        for tag in &tags {
            let Some(version) = tag.strip_prefix(&prefix) else {
                continue;
            };
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
                allowed.extend(
                    group
                        .iter()
                        .map(|version| format!("{version}+incompatible")),
                );
            }
        }
        list.extend(allowed);
        Ok(list)
    }

    async fn has_go_mod(&self, version: &str) -> Result<bool, DirectError> {
        let info = self
            .code
            .stat(version)
            .await
            .map_err(|e| self.of_module(e))?;
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
        let info = self
            .code
            .stat(&rev)
            .await
            .map_err(|error| error.under(&head))?;
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
        let mut origin = Origin {
            subdir: self.place.code_dir.clone(),
            ..info.origin.clone()
        };
        // The answer depends on the tags too, unless a v0.0.0- pseudo-version was given.
        if law::is_pseudo_version(&version) && (version != asked || !version.starts_with("v0.0.0-"))
        {
            let mut prefix = self.place.tag_prefix();
            if let Some(major) = self
                .place
                .path_major
                .get(1..)
                .filter(|major| !major.is_empty())
            {
                prefix = format!("{prefix}{major}.");
            }
            let tags = self.code.tags(&prefix).await?;
            origin.tag_prefix = tags.tag_prefix;
            origin.tag_sum = tags.tag_sum;
            if !tags.repo_sum.is_empty() {
                origin.repo_sum = tags.repo_sum;
            }
        }
        Ok((
            DirectInfo {
                version,
                time,
                origin,
            },
            info,
        ))
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
            let Some((version, canonical)) = self.place.tag_to_version(tag) else {
                continue;
            };
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
            base = self
                .recent_base(info, asked, &retracted, &mut incompatible)
                .await?;
        }
        let version = law::pseudo_version(&self.place.pseudo_major, &base, info.time, &info.short)
            .ok_or_else(|| {
                DirectError::refused(format!("{}: commit time out of range", self.place.path))
            })?;
        self.check(info, &version, asked, &mut incompatible).await
    }

    /// The version asked for, when a tag on the revision is its canonical form.
    fn asked_tag(&self, info: &RevInfo, asked: &str) -> Option<String> {
        let versions = info
            .tags
            .iter()
            .filter_map(|tag| self.place.tag_to_version(tag));
        let mut equal = versions.filter(|(version, _)| {
            !asked.is_empty() && law::compare(version, asked) == Ordering::Equal
        });
        equal
            .find(|(_, canonical)| *canonical)
            .map(|(version, _)| version)
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
        self.may_be_incompatible(info, version, asked, incompatible)
            .await
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
            let Some((version, _)) = self.place.tag_to_version(tag) else {
                continue;
            };
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
        self.find_dir(&info.name, version)
            .await
            .map_err(|error| match error {
                error @ (DirectError::NotFound { .. } | DirectError::Refused { .. }) => {
                    error.under(&format!("{}@{version}: invalid version", place.path))
                }
                other => other,
            })?;
        let plain = asked.strip_suffix("+incompatible").unwrap_or(asked);
        let mut version = if version == plain {
            asked.to_owned()
        } else {
            version.to_owned()
        };
        let base = version
            .strip_suffix("+incompatible")
            .unwrap_or(&version)
            .to_owned();
        let mut wrong = None;
        if !law::match_path_major(&base, &place.path_major) {
            if self
                .may_be_incompatible(info, &base, asked, incompatible)
                .await?
            {
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
        let compatible: Vec<&String> = versions
            .iter()
            .take_while(|v| !v.ends_with("+incompatible"))
            .collect();
        let release = compatible
            .iter()
            .rev()
            .find(|v| law::prerelease(v).is_empty());
        let Some(highest) = release.or(compatible.last()) else {
            return Ok(Retractions::default());
        };
        let rev = self.place.rev_of(highest);
        let info = self.code.stat(&rev).await?;
        let found = self.find_dir(&info.name, highest).await?;
        Ok(found
            .go_mod
            .map(|data| law::retractions(&data))
            .unwrap_or_default())
    }
}
