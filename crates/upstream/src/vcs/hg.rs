//! Mercurial, driven as the go command drives it.
//!
//! Pulls run with the user's configuration (ssh, `[auth]`, proxies); everything else runs with
//! none (`HGRCPATH` empty), so that no extension or filter of anybody changes bytes. Revisions
//! are quoted: `--rev` takes an expression language, and a module query is only ever a name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex, RwLock};

use super::Shared;
use super::egress::Egress;
use super::error::DirectError;
use super::explain::{Failure, classify};
use super::refs::all_hex;
use super::remote::{Scope, split_userinfo};
use super::repo::{FileData, Origin, RevInfo, Tags, TreeFile};
use super::run::{Call, Environment, Running};

/// Settings for every step that reaches a server: no prompt, no hook of the clone, no subrepo.
pub(crate) const SETTINGS: [&str; 8] = [
    "--config",
    "ui.interactive=false",
    "--config",
    "subrepos.allowed=false",
    "--config",
    "phases.publish=true",
    "--config",
    "ui.timeout=30",
];

/// Prints the branches with their heads and the bookmarks of a repository: what the sum over a
/// repository's state is made of. hg has no command that tells it.
const STATE_EXTENSION: &str = r"
from mercurial import hg, node, registrar
cmdtable = {}
command = registrar.command(cmdtable)
@command(b'modkeepstate', [], b'REPO', norepo=True)
def modkeepstate(ui, place):
    peer = hg.peer(ui, {}, place)
    for branch, heads in peer.branchmap().items():
        ui.write(b'branch\0%s\0%s\n' % (branch, b' '.join(node.hex(h) for h in heads)))
    if b'bookmarks' in peer.listkeys(b'namespaces'):
        for name, rev in peer.listkeys(b'bookmarks').items():
            ui.write(b'bookmark\0%s\0%s\n' % (name, rev))
";

/// A Mercurial clone.
pub(crate) struct HgRepo {
    shared: Arc<Shared>,
    url: String,
    /// User and password of the URL as it was named.
    own: Option<(String, String)>,
    scope: Scope,
    dir: PathBuf,
    life: RwLock<()>,
    pulled: Mutex<Option<Pulled>>,
    /// Files by commit and path: hg takes a quarter of a second to start.
    files: StdMutex<Memo>,
}

/// Files by commit and path.
type Memo = HashMap<(String, String), FileData>;

/// Files remembered per clone.
const FILES_MAX: usize = 256;

#[derive(Clone)]
struct Pulled {
    at: Instant,
    tags: Arc<Vec<String>>,
    branches: Arc<Vec<String>>,
    repo_sum: String,
    /// What revisions named, as long as this state counts.
    known: Arc<StdMutex<HashMap<String, RevInfo>>>,
}

impl HgRepo {
    pub(crate) fn new(shared: Arc<Shared>, url: &str, scope: Scope, dir: PathBuf) -> Self {
        let ((url, own), life) = (split_userinfo(url), RwLock::default());
        Self {
            shared,
            url,
            own,
            scope,
            dir,
            life,
            pulled: Mutex::default(),
            files: StdMutex::default(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn life(&self) -> &RwLock<()> {
        &self.life
    }

    pub(crate) async fn forget(&self) -> Result<(), DirectError> {
        *self.pulled.lock().await = None;
        self.files().clear();
        match tokio::fs::remove_dir_all(&self.dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn files(&self) -> MutexGuard<'_, Memo> {
        locked(&self.files)
    }

    fn local(&self) -> Call {
        Call::new("hg", local_env()).dir(&self.dir)
    }

    async fn read_local(&self, call: Call) -> Result<Vec<u8>, DirectError> {
        let name = call.name();
        let answer = self.shared.run(call).await?;
        if answer.code == Some(0) {
            return Ok(answer.stdout);
        }
        Err(DirectError::damaged(format!(
            "{name} in the clone of {}: {}",
            self.url, answer.stderr
        )))
    }

    /// The state of the clone after a pull, at most `refs_fresh` old.
    async fn pulled(&self) -> Result<Pulled, DirectError> {
        let mut guard = self.pulled.lock().await;
        let fresh = self.shared.settings.limits.refs_fresh;
        if let Some(pulled) = guard.as_ref().filter(|p| p.at.elapsed() <= fresh) {
            return Ok(pulled.clone());
        }
        self.pull().await?;
        let pulled = Pulled {
            at: Instant::now(),
            tags: Arc::new(self.names("tags", &["-q"]).await?),
            branches: Arc::new(self.names("branches", &["-c", "-q"]).await?),
            repo_sum: self.repo_sum().await?,
            known: Arc::default(),
        };
        *guard = Some(pulled.clone());
        Ok(pulled)
    }

    async fn pull(&self) -> Result<(), DirectError> {
        if self.shared.settings.offline {
            return Err(DirectError::unreachable(format!("{}: offline", self.url)));
        }
        let egress = self.shared.guarded(&self.url, &self.scope).await?;
        if !self.dir.join(".hg").is_dir() {
            tokio::fs::remove_dir_all(&self.dir).await.ok();
            tokio::fs::create_dir_all(&self.dir).await?;
            self.read_local(self.local().args(["init", "."])).await?;
        }
        let own = self.own.clone();
        let pair = own.or_else(|| self.shared.filed_credentials(&self.url, &self.scope));
        self.write_auth(pair.as_ref()).await?;
        let secrets: Vec<String> = pair.iter().map(|(_, secret)| secret.clone()).collect();
        let call = Call::new("hg", self.shared.network())
            .args(SETTINGS)
            .args(proxy_settings(egress.as_ref()))
            .args(self.shared.hg_ssh(&self.url).await?)
            .args(["pull", "-f", "-q", "--noninteractive", "--", &self.url])
            .secrets(&secrets)
            .dir(&self.dir);
        let name = call.name();
        let answer = self.shared.run(call).await;
        self.write_auth(None).await?;
        let answer = answer?;
        if answer.code != Some(0) {
            let failure = Failure::exit(&name, answer.code, &answer.stderr);
            return Err(self.explain(failure));
        }
        self.shared.grew(&self.dir).await
    }

    /// Credentials for the time of a pull, in the clone's own settings, which only we can read:
    /// hg takes them from files or arguments, and arguments are seen by everybody.
    async fn write_auth(&self, pair: Option<&(String, String)>) -> Result<(), DirectError> {
        let file = self.dir.join(".hg/hgrc");
        tokio::fs::remove_file(&file).await.ok();
        let Some((user, secret)) = pair else {
            return Ok(());
        };
        let place = self.url.split_once("://").map_or("", |(_, place)| place);
        let clean = |text: &str| !text.contains(['\n', '\r']) && text.trim() == text;
        if ![place, user, secret].into_iter().all(clean) {
            return Err(DirectError::refused(
                "credentials that no hg setting can hold",
            ));
        }
        let text = format!(
            "[auth]\nm.prefix = {place}\nm.username = {user}\nm.password = {secret}\nm.schemes = https http\n"
        );
        let mut options = tokio::fs::OpenOptions::new();
        let mut opened = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&file)
            .await?;
        opened.write_all(text.as_bytes()).await?;
        Ok(opened.flush().await?)
    }

    fn explain(&self, failure: Failure) -> DirectError {
        let said = failure.said.to_ascii_lowercase();
        let broken = [
            "integrity check failed",
            "abandoned transaction",
            "unknown revision",
            "corrupt",
        ];
        if broken.iter().any(|word| said.contains(word)) {
            return DirectError::damaged(format!("hg pull {}: {}", self.url, failure.said));
        }
        if said.contains("abort: repository") && said.contains("not found") {
            return DirectError::not_found(format!("hg pull {}: {}", self.url, failure.said));
        }
        classify(failure, &self.url, &self.scope)
    }

    async fn names(&self, verb: &str, options: &[&str]) -> Result<Vec<String>, DirectError> {
        let out = self
            .read_local(self.local().arg(verb).args(options))
            .await?;
        let text = String::from_utf8_lossy(&out);
        let names = text
            .lines()
            .filter(|name| !name.is_empty() && *name != "tip");
        Ok(names.map(str::to_owned).collect())
    }

    async fn repo_sum(&self) -> Result<String, DirectError> {
        let script = self.shared.root.join("modkeepstate.py");
        if tokio::fs::read_to_string(&script).await.ok().as_deref() != Some(STATE_EXTENSION) {
            tokio::fs::write(&script, STATE_EXTENSION).await?;
        }
        let extension = format!("extensions.modkeepstate={}", script.display());
        let call = self
            .local()
            .args(["--config", &extension, "modkeepstate", "--", "."]);
        let answer = self.shared.run(call).await?;
        // A hg without Python extensions still serves; only the sum is missing then.
        Ok(if answer.code == Some(0) {
            state_sum(&answer.stdout)
        } else {
            String::new()
        })
    }

    pub(crate) async fn tags(&self, prefix: &str) -> Result<Tags, DirectError> {
        let pulled = self.pulled().await?;
        let mut names: Vec<String> = pulled
            .tags
            .iter()
            .filter(|tag| tag.starts_with(prefix))
            .cloned()
            .collect();
        names.sort();
        Ok(Tags {
            names,
            repo_sum: pulled.repo_sum,
            ..Tags::default()
        })
    }

    pub(crate) async fn latest(&self) -> Result<RevInfo, DirectError> {
        self.stat("tip").await
    }

    /// What a tag, branch, bookmark or hash names.
    pub(crate) async fn stat(&self, rev: &str) -> Result<RevInfo, DirectError> {
        let pulled = self.pulled().await?;
        if let Some(info) = locked(&pulled.known).get(rev) {
            return Ok(info.clone());
        }
        let info = self.look_up(rev, &pulled).await?;
        locked(&pulled.known).insert(rev.to_owned(), info.clone());
        Ok(info)
    }

    async fn look_up(&self, rev: &str, pulled: &Pulled) -> Result<RevInfo, DirectError> {
        let unknown = || DirectError::not_found(format!("unknown revision {rev}"));
        let literal = quoted(rev).ok_or_else(unknown)?;
        let call = self
            .local()
            .args(["log", "-l1", &format!("--rev={literal}")]);
        let call = call.args(["--template", "{node} {date|hgdate} {tags}"]);
        let answer = self.shared.run(call).await?;
        if answer.code != Some(0) {
            let said = &answer.stderr;
            if !said.contains("unknown revision") && !said.contains("ambiguous") {
                return Err(DirectError::damaged(format!("hg log: {said}")));
            }
            return Err(unknown());
        }
        let out = String::from_utf8_lossy(&answer.stdout);
        let fields: Vec<&str> = out.split_whitespace().collect();
        let (Some(hash), Some(time)) = (fields.first(), fields.get(1)) else {
            return Err(unknown());
        };
        if hash.bytes().all(|b| b == b'0') {
            // The null revision: an empty repository.
            return Err(DirectError::not_found("no commits"));
        }
        let time = time
            .parse()
            .map_err(|_| DirectError::refused(format!("hg log: {out}")))?;
        let mut tags: Vec<String> = fields
            .iter()
            .skip(3)
            .filter(|t| **t != "tip")
            .map(|t| (*t).to_owned())
            .collect();
        tags.sort();
        let moving = rev == "tip" || pulled.branches.iter().any(|branch| branch == rev);
        let version = if moving || hash.starts_with(rev) {
            *hash
        } else {
            rev
        };
        let reference = if hash.starts_with(rev) && rev.len() >= 12 {
            ""
        } else {
            rev
        };
        Ok(RevInfo {
            origin: Origin {
                vcs: "hg".into(),
                url: self.url.clone(),
                hash: (*hash).to_owned(),
                reference: reference.to_owned(),
                ..Origin::default()
            },
            name: (*hash).to_owned(),
            short: hash.get(..12).unwrap_or(hash).to_owned(),
            version: version.to_owned(),
            time,
            nanos: 0,
            tags,
        })
    }

    pub(crate) async fn ancestor_tags(&self, name: &str) -> Result<Vec<String>, DirectError> {
        self.pulled().await?;
        let rev = format!("--rev=ancestors({name}) and tag()");
        let call = self.local().args(["log", &rev, "--template", "{tags}\n"]);
        let out = self.read_local(call).await?;
        let text = String::from_utf8_lossy(&out);
        Ok(text
            .split_whitespace()
            .filter(|tag| *tag != "tip")
            .map(str::to_owned)
            .collect())
    }

    pub(crate) async fn descends_from(&self, name: &str, tag: &str) -> Result<bool, DirectError> {
        let Some(tag) = quoted(tag) else {
            return Ok(false);
        };
        let rev = format!("--rev=ancestors({name}) and {tag}");
        let call = self.local().args(["log", &rev, "--template", "{node}"]);
        Ok(!self.read_local(call).await?.is_empty())
    }

    pub(crate) async fn read_files(
        &self,
        name: &str,
        paths: &[String],
    ) -> Result<Vec<FileData>, DirectError> {
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let key = (name.to_owned(), path.clone());
            if let Some(known) = self.files().get(&key).cloned() {
                files.push(known);
                continue;
            }
            let call = self
                .local()
                .args([
                    "cat",
                    &format!("--rev={name}"),
                    "--",
                    &format!("path:{path}"),
                ])
                .stdout_max(16 << 20);
            let answer = self.shared.run(call).await?;
            let absent = answer.code == Some(1) || answer.stderr.contains("no such file");
            let file = match answer.code {
                Some(0) => Some(Arc::new(answer.stdout)),
                _ if absent => None,
                _ => return Err(DirectError::damaged(format!("hg cat: {}", answer.stderr))),
            };
            let mut memo = self.files();
            if memo.len() >= FILES_MAX {
                memo.clear();
            }
            memo.insert(key, file.clone());
            files.push(file);
        }
        Ok(files)
    }

    pub(crate) async fn list_tree(
        &self,
        name: &str,
        subdir: &str,
    ) -> Result<Vec<TreeFile>, DirectError> {
        let mut call = self.local().args(["files", &format!("--rev={name}")]);
        call = call.args(["--template", "{flags}\\0{path}\\0{size}\\n"]);
        if !subdir.is_empty() {
            call = call.args(["--", &format!("path:{subdir}")]);
        }
        let answer = self.shared.run(call).await?;
        if answer.code == Some(1) {
            return Ok(Vec::new());
        }
        if answer.code != Some(0) {
            return Err(DirectError::damaged(format!("hg files: {}", answer.stderr)));
        }
        let lines = answer
            .stdout
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty());
        lines.map(parse_file).collect()
    }

    /// Starts `hg archive` as a tar stream; names begin with [`ARCHIVE_PREFIX`].
    pub(crate) fn archive(&self, name: &str, subdir: &str) -> Result<Running<'_>, DirectError> {
        let mut call = self.local().args(["archive", "-t", "tar", "--no-decode"]);
        call = call.args([
            &format!("--rev={name}"),
            &format!("--prefix={ARCHIVE_PREFIX}"),
        ]);
        if !subdir.is_empty() {
            call = call.arg(format!("--include=path:{subdir}"));
        }
        self.shared.runner.start(call.args(["--", "-"]))
    }
}

fn locked<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// hg archives need a top directory.
pub(crate) const ARCHIVE_PREFIX: &str = "m/";

fn local_env() -> Environment {
    let mut env = Environment::local();
    env.put("HGENCODING", "utf-8");
    env
}

impl Shared {
    /// An ssh that never asks, unless the user configured another.
    async fn hg_ssh(&self, url: &str) -> Result<Vec<&'static str>, DirectError> {
        if !url.starts_with("ssh://") {
            return Ok(Vec::new());
        }
        let call = Call::new("hg", self.network()).args(["config", "ui.ssh"]);
        let own = self.run(call.dir(&self.root)).await?;
        let set = own.code == Some(0) && !own.stdout.is_empty();
        Ok(if set {
            Vec::new()
        } else {
            vec!["--config", "ui.ssh=ssh -o BatchMode=yes"]
        })
    }
}

/// Sends hg through our own way out.
pub(crate) fn proxy_settings(egress: Option<&Egress>) -> Vec<String> {
    let Some(egress) = egress else {
        return Vec::new();
    };
    let settings = [
        format!("host={}", egress.address),
        "always=true".into(),
        "no=".into(),
    ];
    let options = settings.iter().map(|s| format!("--config=http_proxy.{s}"));
    options.collect()
}

/// A name as a string of the revision language; `None` for what is no name.
fn quoted(rev: &str) -> Option<String> {
    let plain = !rev.is_empty() && !rev.chars().any(|c| c.is_control() || "'\"\\".contains(c));
    plain.then(|| format!("'{rev}'"))
}

/// `FLAGS NUL PATH NUL SIZE` of the template above; `l` is a symlink.
fn parse_file(line: &[u8]) -> Result<TreeFile, DirectError> {
    let mut parts = line.split(|b| *b == 0);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(flags), Some(name), Some(size)) => Ok(TreeFile {
            name: name.to_vec(),
            regular: !flags.contains(&b'l'),
            size: std::str::from_utf8(size)
                .ok()
                .and_then(|s| s.parse().ok())
                .unwrap_or(0),
        }),
        _ => Err(DirectError::damaged("hg files: unreadable answer")),
    }
}

/// The sum over branches, heads and bookmarks, as the go command's extension computes it.
fn state_sum(state: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for line in state.split(|b| *b == b'\n') {
        let mut parts = line.splitn(3, |b| *b == 0);
        let (Some(kind), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        hasher.update(name);
        if kind == b"branch" {
            let heads = String::from_utf8_lossy(value);
            for head in heads.split(' ').filter(|head| all_hex(head)) {
                hasher.update(b" ");
                hasher.update(hex_bytes(head));
            }
        } else {
            hasher.update(b"=");
            hasher.update(value);
        }
        hasher.update(b"\n");
    }
    format!(
        "r1:{}",
        base64::engine::general_purpose::STANDARD.encode(hasher.finalize())
    )
}

fn hex_bytes(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_name_and_no_revision_expression() {
        assert_eq!(quoted("v1.2.3").as_deref(), Some("'v1.2.3'"));
        for rev in ["x' or all() or 'y", "", "a\\b", "a\nb"] {
            assert_eq!(quoted(rev), None, "{rev}");
        }
    }
}
