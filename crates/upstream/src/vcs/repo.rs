//! What every version control system can tell of a repository.

use std::sync::Arc;

use tokio::sync::RwLock;

use super::error::DirectError;
use super::git::GitRepo;
use super::hg::HgRepo;
use super::json;
use super::svn::SvnRepo;

/// Where a version comes from, as the go command records it in `.info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `git`, `hg`, `svn` or `fossil`.
    pub vcs: String,
    /// The repository's URL, never with a password.
    pub url: String,
    /// Directory of the module in the repository, empty for the root.
    pub subdir: String,
    /// Name of the commit.
    pub hash: String,
    /// Prefix of the tags that the version depends on.
    pub tag_prefix: String,
    /// Hash over those tags.
    pub tag_sum: String,
    /// The ref that named the commit.
    pub reference: String,
    /// Hash over the state of the whole repository.
    pub repo_sum: String,
}

impl Origin {
    /// The JSON object of the go command: its field order, empty fields left out.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::object(&[
            ("VCS", &self.vcs),
            ("URL", &self.url),
            ("Subdir", &self.subdir),
            ("Hash", &self.hash),
            ("TagPrefix", &self.tag_prefix),
            ("TagSum", &self.tag_sum),
            ("Ref", &self.reference),
            ("RepoSum", &self.repo_sum),
        ])
    }
}

/// A revision as the version control system knows it.
#[derive(Clone, Debug)]
pub(crate) struct RevInfo {
    pub origin: Origin,
    /// Complete name of the commit.
    pub name: String,
    /// The name's form in pseudo-versions.
    pub short: String,
    /// The tag that was asked for, else the complete name.
    pub version: String,
    /// Commit time, seconds since 1970.
    pub time: i64,
    /// And nanoseconds (svn).
    pub nanos: u32,
    /// Tags on this very commit, sorted.
    pub tags: Vec<String>,
}

/// Tags with a prefix, and the sums that change when they do.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    pub names: Vec<String>,
    pub tag_prefix: String,
    pub tag_sum: String,
    pub repo_sum: String,
}

/// A file of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeFile {
    pub name: Vec<u8>,
    /// No symlink or submodule.
    pub regular: bool,
    /// As stored; what comes out may differ by line ends.
    pub size: u64,
}

/// A file's bytes, or none where there is no file.
pub(crate) type FileData = Option<Arc<Vec<u8>>>;

/// A repository of one of the systems.
#[derive(Clone)]
pub(crate) enum Code {
    Git(Arc<GitRepo>),
    Hg(Arc<HgRepo>),
    Svn(Arc<SvnRepo>),
}

impl Code {
    pub(crate) async fn tags(&self, prefix: &str) -> Result<Tags, DirectError> {
        match self {
            Self::Git(git) => {
                let refs = git.refs().await?;
                Ok(Tags {
                    names: refs.tags(prefix).map(|(tag, _)| tag.to_owned()).collect(),
                    tag_prefix: prefix.to_owned(),
                    tag_sum: refs.tag_sum(prefix),
                    repo_sum: String::new(),
                })
            }
            Self::Hg(hg) => hg.tags(prefix).await,
            Self::Svn(svn) => svn.tags(prefix).await,
        }
    }

    /// The names of tags with a prefix, sorted; without the sums, which take longer.
    pub(crate) async fn tag_names(&self, prefix: &str) -> Result<Vec<String>, DirectError> {
        match self {
            Self::Git(git) => {
                let refs = git.refs().await?;
                Ok(refs.tags(prefix).map(|(tag, _)| tag.to_owned()).collect())
            }
            Self::Hg(hg) => Ok(hg.tags(prefix).await?.names),
            Self::Svn(svn) => Ok(svn.tags(prefix).await?.names),
        }
    }

    pub(crate) async fn stat(&self, rev: &str) -> Result<RevInfo, DirectError> {
        match self {
            Self::Git(git) => git.stat(rev).await,
            Self::Hg(hg) => hg.stat(rev).await,
            Self::Svn(svn) => svn.stat(rev).await,
        }
    }

    pub(crate) async fn latest(&self) -> Result<RevInfo, DirectError> {
        match self {
            Self::Git(git) => git.latest().await,
            Self::Hg(hg) => hg.latest().await,
            Self::Svn(svn) => svn.latest().await,
        }
    }

    /// Files of a revision that [`Code::stat`] returned.
    pub(crate) async fn read_files(
        &self,
        name: &str,
        paths: &[String],
    ) -> Result<Vec<FileData>, DirectError> {
        match self {
            Self::Git(git) => git.read_files(name, paths).await,
            Self::Hg(hg) => hg.read_files(name, paths).await,
            Self::Svn(svn) => svn.read_files(name, paths).await,
        }
    }

    /// Tags with the prefix on the revision or its ancestors; `None` when the system cannot tell.
    pub(crate) async fn ancestor_tags(
        &self,
        name: &str,
        prefix: &str,
    ) -> Result<Option<Vec<String>>, DirectError> {
        match self {
            Self::Git(git) => {
                let plausible = format!("{prefix}v");
                if git.refs().await?.tags(&plausible).next().is_none() {
                    return Ok(Some(Vec::new()));
                }
                Ok(Some(git.merged_tags(name).await?))
            }
            Self::Hg(hg) => Ok(Some(hg.ancestor_tags(name).await?)),
            Self::Svn(_) => Ok(None),
        }
    }

    pub(crate) async fn descends_from(&self, name: &str, tag: &str) -> Result<bool, DirectError> {
        match self {
            Self::Git(git) => git.descends_from(name, tag).await,
            Self::Hg(hg) => hg.descends_from(name, tag).await,
            Self::Svn(_) => Err(DirectError::refused(
                "svn cannot tell which tags a revision follows",
            )),
        }
    }

    /// The clone's life lock; svn has no clone.
    pub(crate) fn life(&self) -> Option<&RwLock<()>> {
        match self {
            Self::Git(git) => Some(git.life()),
            Self::Hg(hg) => Some(hg.life()),
            Self::Svn(_) => None,
        }
    }

    /// Notes that the clone was used now.
    pub(crate) async fn touch(&self) {
        let dir = match self {
            Self::Git(git) => git.dir(),
            Self::Hg(hg) => hg.dir(),
            Self::Svn(_) => return,
        };
        tokio::fs::write(dir.join(super::clones::USED_FILE), b"")
            .await
            .ok();
    }

    /// Deletes the clone, which the next use makes anew; waits for those that use it.
    pub(crate) async fn rebuild(&self) -> Result<(), DirectError> {
        match self {
            Self::Git(git) => {
                let _alone = git.life().write().await;
                git.forget().await
            }
            Self::Hg(hg) => {
                let _alone = hg.life().write().await;
                hg.forget().await
            }
            Self::Svn(_) => Ok(()),
        }
    }

    /// Deletes the clone if nobody uses it now.
    pub(crate) async fn evict(&self) -> Result<bool, DirectError> {
        let Some(life) = self.life() else {
            return Ok(true);
        };
        let Ok(_alone) = life.try_write() else {
            return Ok(false);
        };
        match self {
            Self::Git(git) => git.forget().await?,
            Self::Hg(hg) => hg.forget().await?,
            Self::Svn(_) => {}
        }
        Ok(true)
    }
}
