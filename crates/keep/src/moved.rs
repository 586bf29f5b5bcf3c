//! Tags that moved: a version that is kept stays as it is, but whoever depends on it should know that its
//! origin now says something else.
//!
//! Looked at when a module's list comes fresh from version control, at most once in a while: the
//! repository has just been asked for its tags, so the answers cost no further round trip.

use crate::alarm::AlarmKind;
use crate::reply::Content;
use crate::serve::Keep;
use gomod::info::Info;
use gomod::path::ModulePath;
use gomod::request::Request;
use gomod::version::{Revision, Version};
use serde::Deserialize;
use store::Kind;

/// Kept versions of one module that are looked at.
const VERSIONS_MAX: usize = 500;

/// The part of an `.info`'s Origin that names the commit.
#[derive(Deserialize)]
struct Commit {
    #[serde(rename = "Hash")]
    hash: Option<String>,
}

impl Keep {
    /// Compares the kept versions of a module with what its origin says now, in the background.
    pub(crate) fn look_for_moved_tags(&self, module: &ModulePath, source: &str) {
        let fresh = self.inner.origins_seen.contains_key(module);
        if source != upstream::DIRECT || fresh {
            return;
        }
        self.inner.origins_seen.insert(module.clone(), ());
        let (keep, module) = (self.clone(), module.clone());
        tokio::spawn(async move { keep.compare_tags(&module).await });
    }

    async fn compare_tags(&self, module: &ModulePath) {
        let (keep, wanted) = (self.clone(), module.clone());
        let read = tokio::task::spawn_blocking(move || {
            keep.inner.store.versions(&wanted, Kind::Info, VERSIONS_MAX)
        });
        let Ok(Ok(versions)) = read.await else { return };
        for version in versions.iter().filter_map(|v| Version::parse(v).ok()) {
            // A pseudo-version names its commit.
            if version.is_pseudo() {
                continue;
            }
            let request = Request::Info(module.clone(), Revision::from(&version));
            let (Some(kept), Some(now)) = (
                self.kept_commit(&request).await,
                self.commit_now(&request).await,
            ) else {
                continue;
            };
            if kept != now {
                let subject = format!("{module}@{version}");
                let text = format!(
                    "{subject}: its tag moved, from commit {kept} to {now}; the kept bytes stay"
                );
                self.alarm(AlarmKind::Changed, &subject, &text, None);
            }
        }
    }

    async fn kept_commit(&self, request: &Request) -> Option<String> {
        let Content::Small(small) = self.serve(request, true).await.ok()?.content else {
            return None;
        };
        commit(&small.body)
    }

    async fn commit_now(&self, request: &Request) -> Option<String> {
        let module = request.module()?;
        let (body, source) = self.chain_for(module).small(request, 1 << 20).await.ok()?;
        if source == upstream::DIRECT {
            commit(&body)
        } else {
            None
        }
    }
}

fn commit(info: &[u8]) -> Option<String> {
    let info = Info::parse(info).ok()?;
    serde_json::from_str::<Commit>(info.origin()?).ok()?.hash
}
