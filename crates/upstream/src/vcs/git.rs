//! One bare git clone, driven as the go command drives git.
//!
//! Network steps run with the user's configuration and nothing that could prompt or run a hook;
//! local steps run with no configuration at all, because their output becomes module bytes.
//! Refs of the origin live under `refs/modkeep/`, where no short name or hash prefix resolves to
//! them. Only what heads, tags and `HEAD` reach is ever fetched: hosts also expose pull requests,
//! and a commit of those must not pass for one of the project's.

mod fetch;
mod objects;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Mutex, RwLock};

use super::Shared;
use super::error::DirectError;
use super::explain::{Failure, classify};
use super::refs::{Refs, all_hex, is_hash, is_safe_ref};
use super::remote::{Scope, Target};
use super::repo::{Origin, RevInfo};
use super::run::{Call, Environment};

use self::fetch::fetch_settings;
use self::objects::Memo;

/// Fewer digits than this are taken for a name, not a hash (as in the go command).
const HASH_DIGITS_MIN: usize = 7;

/// Objects of one hash prefix that are looked at; seven digits are shared by few.
const PREFIX_OBJECTS_MAX: usize = 64;

/// Tags of tags of tags: nobody needs more.
const TAG_DEPTH_MAX: usize = 8;

/// A clone and what is known of its origin.
pub(crate) struct GitRepo {
    shared: Arc<Shared>,
    /// As go records it: the repository URL, without a password.
    url: String,
    asked: String,
    scope: Scope,
    dir: PathBuf,
    /// Read by users of the clone, written by whoever deletes it.
    life: RwLock<()>,
    state: Mutex<State>,
    snapshot: Mutex<Option<Snapshot>>,
    memo: StdMutex<Memo>,
    ready: AtomicBool,
}

/// What has been fetched; guarded, so that one fetch runs per repository.
#[derive(Default)]
struct State {
    /// The refs whose whole history is here.
    complete_for: Option<[u8; 32]>,
}

#[derive(Clone)]
struct Snapshot {
    taken: Instant,
    refs: Arc<Refs>,
    target: Arc<Target>,
}

impl GitRepo {
    pub(crate) fn new(shared: Arc<Shared>, asked: &str, scope: Scope, dir: PathBuf) -> Self {
        let (bare, _) = super::remote::split_userinfo(asked);
        let url = if asked.starts_with("http") {
            bare
        } else {
            asked.to_owned()
        };
        Self {
            shared,
            url,
            asked: asked.to_owned(),
            scope,
            dir,
            life: RwLock::new(()),
            state: Mutex::default(),
            snapshot: Mutex::default(),
            memo: StdMutex::default(),
            ready: AtomicBool::new(false),
        }
    }

    /// Where the clone is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Held while the clone is used; deletion waits for it.
    pub(crate) fn life(&self) -> &RwLock<()> {
        &self.life
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the clone on disk; the next use makes it anew. The caller holds `life` for writing.
    pub(crate) async fn forget(&self) -> Result<(), DirectError> {
        self.ready.store(false, Ordering::SeqCst);
        *self.state.lock().await = State::default();
        *self.memo() = Memo::default();
        match tokio::fs::remove_dir_all(&self.dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    // ---- the origin's refs ----

    /// The refs of the origin, asked for at most every `refs_fresh`.
    pub(crate) async fn refs(&self) -> Result<Arc<Refs>, DirectError> {
        Ok(self
            .snapshot(self.shared.settings.limits.refs_fresh)
            .await?
            .refs)
    }

    async fn snapshot(&self, age: std::time::Duration) -> Result<Snapshot, DirectError> {
        let asked_at = Instant::now();
        let mut guard = self.snapshot.lock().await;
        if let Some(snapshot) = guard.as_ref() {
            // One that was taken while we waited is as good as one of our own.
            if snapshot.taken >= asked_at || snapshot.taken.elapsed() <= age {
                return Ok(snapshot.clone());
            }
        }
        let snapshot = self.ask_origin().await?;
        *guard = Some(snapshot.clone());
        Ok(snapshot)
    }

    async fn ask_origin(&self) -> Result<Snapshot, DirectError> {
        if self.shared.settings.offline {
            return Err(DirectError::unreachable(format!("{}: offline", self.url)));
        }
        let target = self.shared.git_target(&self.asked, &self.scope).await?;
        let taken = Instant::now();
        let (target, output) = match self.ls_remote(&target).await {
            Ok(output) => (target, output),
            Err(failure) => self.ls_remote_elsewhere(target, failure).await?,
        };
        let refs = Arc::new(Refs::parse(&String::from_utf8_lossy(&output)));
        Ok(Snapshot {
            taken,
            refs,
            target: Arc::new(target),
        })
    }

    async fn ls_remote(&self, target: &Target) -> Result<Vec<u8>, Failure> {
        let call = self
            .network_call(target)
            .args(["ls-remote", "-q", "--end-of-options", &target.url])
            .dir(&self.shared.root)
            .stdout_max(self.shared.settings.limits.output_bytes);
        self.network(call).await
    }

    /// git is not allowed to follow redirects, because it would follow them to any address and
    /// with any credentials: we look where they lead and hand git that place.
    async fn ls_remote_elsewhere(
        &self,
        target: Target,
        failure: Failure,
    ) -> Result<(Target, Vec<u8>), DirectError> {
        if !target.is_http() || target.rewritten || failure.code.is_none() {
            return Err(self.explain(failure));
        }
        if !failure.is_redirect() {
            return Err(self
                .shared
                .proven(self.explain(failure), &target.url, &self.scope)
                .await);
        }
        let Some(place) = self.shared.redirected(&target.url, &self.scope).await? else {
            return Err(self.explain(failure));
        };
        let target = self.shared.git_target(&place, &self.scope).await?;
        let output = self
            .ls_remote(&target)
            .await
            .map_err(|failure| self.explain(failure))?;
        Ok((target, output))
    }

    fn network_call(&self, target: &Target) -> Call {
        let env = target.environment(self.shared.network());
        fetch_settings(Call::new("git", env)).secrets(&target.secrets)
    }

    async fn network(&self, call: Call) -> Result<Vec<u8>, Failure> {
        let name = call.name();
        match self.shared.run(call).await {
            Ok(answer) if answer.code == Some(0) => Ok(answer.stdout),
            Ok(answer) => Err(Failure::exit(&name, answer.code, &answer.stderr)),
            Err(error) => Err(Failure::from(error)),
        }
    }

    fn explain(&self, failure: Failure) -> DirectError {
        classify(failure, &self.url, &self.scope)
    }

    // ---- revisions ----

    /// The commit at the origin's `HEAD`.
    pub(crate) async fn latest(&self) -> Result<RevInfo, DirectError> {
        let refs = self.refs().await?;
        let Some(hash) = refs.get("HEAD") else {
            return Err(DirectError::not_found("no commits"));
        };
        let mut info = self.stat(hash).await?;
        info.origin.reference = "HEAD".into();
        info.origin.hash = hash.to_owned();
        Ok(info)
    }

    /// What a tag, branch, hash or hash prefix names, in that order.
    pub(crate) async fn stat(&self, rev: &str) -> Result<RevInfo, DirectError> {
        let snapshot = self
            .snapshot(self.shared.settings.limits.refs_fresh)
            .await?;
        match self.stat_in(rev, &snapshot).await {
            Err(error) if error.is_not_found() && snapshot.taken.elapsed().as_millis() > 0 => {
                // It may have been pushed since the refs were read.
                let fresh = self.snapshot(std::time::Duration::from_millis(500)).await?;
                if fresh.refs.digest() == snapshot.refs.digest() {
                    return Err(error);
                }
                self.stat_in(rev, &fresh).await
            }
            result => result,
        }
    }

    async fn stat_in(&self, rev: &str, snapshot: &Snapshot) -> Result<RevInfo, DirectError> {
        let refs = &snapshot.refs;
        let unknown = || DirectError::not_found(format!("unknown revision {rev}"));
        let (reference, hash, version) = resolve(rev, refs)?.ok_or_else(unknown)?;
        let found = match hash {
            Some(hash) if self.have_ref(&reference, &hash, snapshot).await? => Some(hash),
            // A full hash that is no commit may be an annotated tag.
            Some(hash) if reference.is_empty() => self.commit_of(&hash).await?,
            Some(_) => None,
            None => self.find_prefix(rev, snapshot).await?,
        };
        let hash = found.ok_or_else(unknown)?;
        let Some(time) = self.commit_time(&hash).await? else {
            return Err(unknown());
        };
        Ok(self.rev_info(&hash, time, reference, version, refs))
    }

    fn rev_info(
        &self,
        hash: &str,
        time: i64,
        reference: String,
        version: Option<String>,
        refs: &Refs,
    ) -> RevInfo {
        let tags = refs.tags_on(hash).to_vec();
        let version = version
            .filter(|v| tags.contains(v))
            .unwrap_or_else(|| hash.to_owned());
        RevInfo {
            origin: Origin {
                vcs: "git".into(),
                url: self.url.clone(),
                hash: hash.to_owned(),
                reference,
                ..Origin::default()
            },
            name: hash.to_owned(),
            short: hash[..12].to_owned(),
            version,
            time,
            nanos: 0,
            tags,
        }
    }

    /// Makes sure that the commit of a ref is here, or tells that it cannot be had.
    async fn have_ref(
        &self,
        reference: &str,
        hash: &str,
        snapshot: &Snapshot,
    ) -> Result<bool, DirectError> {
        self.prepare(&snapshot.refs).await?;
        if self.has_commit(hash).await? {
            return Ok(true);
        }
        let mut state = self.state.lock().await;
        if self.has_commit(hash).await? {
            return Ok(true);
        }
        if !reference.is_empty()
            && is_safe_ref(reference)
            && self.fetch_one(reference, hash, snapshot, &state).await
            && self.has_commit(hash).await?
        {
            return Ok(true);
        }
        // Whatever went wrong: the whole history, as the go command does.
        self.fetch_all(&mut state, snapshot).await?;
        self.has_commit(hash).await
    }

    /// The one commit whose hash begins with `prefix`, from the whole history.
    async fn find_prefix(
        &self,
        prefix: &str,
        snapshot: &Snapshot,
    ) -> Result<Option<String>, DirectError> {
        self.prepare(&snapshot.refs).await?;
        let mut state = self.state.lock().await;
        self.fetch_all(&mut state, snapshot).await?;
        let call = self
            .local()
            .args(["rev-parse", &format!("--disambiguate={prefix}")]);
        let found = self.read_local(call).await?;
        let found = String::from_utf8_lossy(&found).into_owned();
        let mut commits = Vec::new();
        for name in found
            .lines()
            .filter(|line| is_hash(line))
            .take(PREFIX_OBJECTS_MAX)
        {
            commits.extend(self.commit_of(name).await?);
        }
        commits.sort();
        commits.dedup();
        Ok(if commits.len() == 1 {
            commits.pop()
        } else {
            None
        })
    }

    /// The commit that an object is or, as a tag, leads to.
    async fn commit_of(&self, hash: &str) -> Result<Option<String>, DirectError> {
        let mut hash = hash.to_owned();
        for _ in 0..TAG_DEPTH_MAX {
            let check = self
                .local()
                .args(["cat-file", "--batch-check=%(objecttype)"]);
            let kind = self
                .read_local(check.stdin(format!("{hash}\n").into_bytes()))
                .await?;
            match kind.trim_ascii() {
                b"commit" => return Ok(Some(hash)),
                b"tag" => {}
                _ => return Ok(None),
            }
            let Some(Some(tag)) = self.objects(&[hash]).await?.pop() else {
                return Ok(None);
            };
            let text = String::from_utf8_lossy(&tag.data).into_owned();
            let object = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("object "));
            let Some(object) = object.filter(|name| is_hash(name)) else {
                return Ok(None);
            };
            hash = object.to_owned();
        }
        Ok(None)
    }

    async fn has_commit(&self, hash: &str) -> Result<bool, DirectError> {
        if self.memo().times.contains_key(hash) {
            return Ok(true);
        }
        Ok(self.commit_time(hash).await?.is_some())
    }

    /// The committer's time, if the commit is here.
    async fn commit_time(&self, hash: &str) -> Result<Option<i64>, DirectError> {
        if let Some(time) = self.memo().times.get(hash) {
            return Ok(Some(*time));
        }
        let Some(Some(object)) = self.objects(&[hash.to_owned()]).await?.pop() else {
            return Ok(None);
        };
        if object.kind != "commit" {
            return Ok(None);
        }
        let time = committer_time(&object.data)
            .ok_or_else(|| DirectError::refused(format!("commit {hash} has no committer time")))?;
        self.memo().times.insert(hash.to_owned(), time);
        Ok(Some(time))
    }

    // ---- history ----

    /// Tags that are ancestors of `hash` or on it, from the whole history.
    pub(crate) async fn merged_tags(&self, hash: &str) -> Result<Vec<String>, DirectError> {
        let snapshot = self.whole_history().await?;
        let merged = format!("--merged={hash}");
        let namespace = "refs/modkeep/tags/";
        let call = self
            .local()
            .args(["for-each-ref", "--format=%(refname)", &merged, namespace]);
        let out = self.read_local(call).await?;
        let text = String::from_utf8_lossy(&out);
        let tags = text.lines().filter_map(|line| line.strip_prefix(namespace));
        // A tag that the origin no longer has is no tag.
        let current = |tag: &&str| snapshot.refs.get(&format!("refs/tags/{tag}")).is_some();
        Ok(tags.filter(current).map(str::to_owned).collect())
    }

    /// Whether the commit of `tag` is `hash` or an ancestor of it.
    pub(crate) async fn descends_from(&self, hash: &str, tag: &str) -> Result<bool, DirectError> {
        let snapshot = self.whole_history().await?;
        let Some(base) = snapshot.refs.get(&format!("refs/tags/{tag}")) else {
            return Ok(false);
        };
        let call = self
            .local()
            .args(["merge-base", "--is-ancestor", "--", base, hash]);
        let answer = self.shared.run(call).await?;
        match answer.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(DirectError::damaged(answer.stderr)),
        }
    }

    async fn whole_history(&self) -> Result<Snapshot, DirectError> {
        let snapshot = self
            .snapshot(self.shared.settings.limits.refs_fresh)
            .await?;
        self.prepare(&snapshot.refs).await?;
        let mut state = self.state.lock().await;
        self.fetch_all(&mut state, &snapshot).await?;
        Ok(snapshot)
    }

    // ---- local git ----

    fn local_env(&self) -> Environment {
        let mut env = Environment::local();
        env.put("GIT_DIR", &self.dir);
        env
    }

    fn local(&self) -> Call {
        Call::new("git", self.local_env())
    }

    /// Runs a step that cannot fail on a sound clone: failure means that the clone is damaged.
    async fn read_local(&self, call: Call) -> Result<Vec<u8>, DirectError> {
        let name = call.name();
        let answer = self.shared.run(call).await?;
        let complains = answer
            .stderr
            .lines()
            .any(|l| l.starts_with("error:") || l.starts_with("fatal:"));
        if answer.code == Some(0) && !complains {
            return Ok(answer.stdout);
        }
        Err(DirectError::damaged(format!(
            "{name} in the clone of {}: {}",
            self.url, answer.stderr
        )))
    }
}

/// The ref and hash that a revision names, and the tag name to keep as its version.
///
/// The hash is `None` for a hash prefix that no ref has: only the history can tell. The outer
/// `None` means that the revision can be nothing at all.
type Resolved = (String, Option<String>, Option<String>);

fn resolve(rev: &str, refs: &Refs) -> Result<Option<Resolved>, DirectError> {
    let tag = format!("refs/tags/{rev}");
    if let Some(hash) = refs.get(&tag) {
        let hash = hash.to_owned();
        return Ok(Some((tag, Some(hash), Some(rev.to_owned()))));
    }
    let head = format!("refs/heads/{rev}");
    if let Some(hash) = refs.get(&head) {
        let hash = hash.to_owned();
        return Ok(Some((head, Some(hash), None)));
    }
    if rev == "HEAD" {
        let head = refs
            .get("HEAD")
            .map(|hash| ("HEAD".into(), Some(hash.to_owned()), None));
        return Ok(head);
    }
    let digits = if refs.sha256() == Some(true) { 64 } else { 40 };
    if !(HASH_DIGITS_MIN..=digits).contains(&rev.len()) || !all_hex(rev) {
        return Ok(None);
    }
    let mut found: Option<(&str, &str)> = None;
    for (name, hash) in refs.iter().filter(|(_, hash)| hash.starts_with(rev)) {
        match found {
            Some((_, other)) if other != hash => {
                return Err(DirectError::refused(format!("ambiguous revision {rev}")));
            }
            Some(_) => {}
            // In name order, so the first of several refs is the smallest, as in go.
            None => found = Some((name, hash)),
        }
    }
    Ok(Some(match found {
        Some((name, hash)) => (name.to_owned(), Some(hash.to_owned()), None),
        None if rev.len() == digits => (String::new(), Some(rev.to_owned()), None),
        None => (String::new(), None, None),
    }))
}

/// Seconds of the `committer` line of a commit, as `%ct` gives them.
fn committer_time(commit: &[u8]) -> Option<i64> {
    let head_end = commit
        .windows(2)
        .position(|w| w == b"\n\n")
        .unwrap_or(commit.len());
    let line = commit[..head_end]
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"committer "))?;
    let after = line
        .iter()
        .rposition(|b| *b == b'>')
        .map_or(line, |i| &line[i + 1..]);
    let text = std::str::from_utf8(after).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "1111111aaaa11111111111111111111111111111";
    const B: &str = "1111111bbbb11111111111111111111111111111";

    fn refs() -> Refs {
        Refs::parse(&format!(
            "{A}\tHEAD\n{A}\trefs/heads/v1\n{B}\trefs/tags/v1\n{A}\trefs/tags/z\n"
        ))
    }

    #[test]
    fn a_tag_comes_before_a_branch_of_the_same_name() {
        let (name, hash, version) = resolve("v1", &refs()).unwrap().unwrap();
        assert_eq!((name.as_str(), hash.as_deref()), ("refs/tags/v1", Some(B)));
        assert_eq!(version.as_deref(), Some("v1"));
    }

    #[test]
    fn a_hash_prefix_takes_the_first_ref_and_refuses_two_commits() {
        let (name, hash, _) = resolve("1111111a", &refs()).unwrap().unwrap();
        assert_eq!((name.as_str(), hash.as_deref()), ("HEAD", Some(A)));
        assert!(resolve("1111111", &refs()).is_err());
        assert!(resolve("111111", &refs()).unwrap().is_none());
    }

    #[test]
    fn names_that_are_no_ref_and_no_hash_resolve_to_nothing() {
        for rev in [
            "--upload-pack=x",
            "nope",
            "HEAD~1",
            "v1^{tree}",
            ":/fix",
            "",
        ] {
            assert!(resolve(rev, &refs()).unwrap().is_none(), "{rev}");
        }
    }

    #[test]
    fn the_committer_time_survives_odd_names() {
        let commit = b"tree x\nauthor A <a> 1 +0000\ncommitter B > <b> 1531900000 +0200\n\ncommitter <c> 5 +0\n";
        assert_eq!(committer_time(commit), Some(1_531_900_000));
        assert_eq!(committer_time(b"tree x\n\ncommitter B <b> 7 +0000\n"), None);
    }
}
