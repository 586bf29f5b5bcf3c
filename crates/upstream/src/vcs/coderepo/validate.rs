//! Whether a pseudo-version tells the truth.

use std::cmp::Ordering;

use super::super::error::DirectError;
use super::super::law;
use super::super::repo::RevInfo;
use super::CodeRepo;

impl CodeRepo<'_> {
    /// A pseudo-version must have the hash, the time and a base that the repository confirms:
    /// else authors of a requirement could make a commit sort as high as they like.
    pub(super) async fn validate_pseudo(
        &self,
        info: &RevInfo,
        version: &str,
    ) -> Result<(), DirectError> {
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
            return refuse(format!(
                "does not match version-control timestamp (expected {stamp})"
            ));
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
        if info
            .tags
            .iter()
            .any(|tag| tag.strip_prefix(&prefix).unwrap_or(tag) == base)
        {
            let tag = if info.tags.contains(&canonical) {
                &canonical
            } else {
                &base
            };
            return refuse(format!(
                "tag ({tag}) found on revision {rev} is already canonical, so should not be replaced with a pseudo-version derived from that tag"
            ));
        }
        let tags = self.code.tag_names(&canonical).await?;
        let mut last = None;
        for tag in &tags {
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
            Some(tag) => refuse(format!(
                "revision {rev} is not a descendent of preceding tag ({tag})"
            )),
        }
    }
}
