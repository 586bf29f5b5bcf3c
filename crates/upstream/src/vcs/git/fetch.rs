//! Making a clone and filling it.

use std::sync::atomic::Ordering;

use super::super::error::DirectError;
use super::super::refs::Refs;
use super::super::remote::Target;
use super::super::run::{Call, Environment};
use super::{GitRepo, Snapshot, State};

impl GitRepo {
    pub(super) async fn prepare(&self, refs: &Refs) -> Result<(), DirectError> {
        if self.ready.load(Ordering::SeqCst) {
            return Ok(());
        }
        let _state = self.state.lock().await;
        let format = if refs.sha256() == Some(true) {
            "sha256"
        } else {
            "sha1"
        };
        let mark = format!("{}\n{format}\n", self.asked_key());
        let mark_file = self.dir.join("modkeep.clone");
        let whole = self.dir.join("objects").is_dir() && self.dir.join("HEAD").is_file();
        let kept = tokio::fs::read_to_string(&mark_file)
            .await
            .unwrap_or_default();
        if !whole || (kept != mark && refs.sha256().is_some()) {
            self.init(format).await?;
            tokio::fs::write(&mark_file, &mark).await?;
        }
        self.remove_stale_locks().await;
        self.ready.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// The clone's identity on disk: never the URL as asked, which may hold a password.
    fn asked_key(&self) -> String {
        format!("git {}", self.url)
    }

    async fn init(&self, format: &str) -> Result<(), DirectError> {
        tokio::fs::remove_dir_all(&self.dir).await.ok();
        tokio::fs::create_dir_all(&self.dir).await?;
        let call = Call::new("git", Environment::local())
            .args([
                "init",
                "--quiet",
                "--bare",
                "--template=",
                "--initial-branch=main",
            ])
            .arg(format!("--object-format={format}"))
            .arg(&self.dir)
            .dir(&self.shared.root);
        let answer = self.shared.run(call).await?;
        if answer.code != Some(0) {
            return Err(DirectError::Program {
                program: "git init".into(),
                said: answer.stderr,
                hint: "modkeep needs git 2.31 or newer and a cache directory it may write".into(),
            });
        }
        Ok(())
    }

    /// Locks left by a git that was killed; we hold the only right to write here.
    async fn remove_stale_locks(&self) {
        for name in [
            "shallow.lock",
            "packed-refs.lock",
            "config.lock",
            "HEAD.lock",
        ] {
            tokio::fs::remove_file(self.dir.join(name)).await.ok();
        }
    }

    /// Archives must hold what was committed, whatever its age and the git version: the two
    /// attributes that substitute and leave out are switched off, as the go command does.
    pub(super) async fn write_attributes(&self) -> Result<(), DirectError> {
        let info = self.dir.join("info");
        tokio::fs::create_dir_all(&info).await?;
        let file = info.join("attributes");
        let wanted = b"* -export-subst -export-ignore\n";
        if tokio::fs::read(&file)
            .await
            .is_ok_and(|have| have == wanted)
        {
            return Ok(());
        }
        let part = info.join(format!("attributes.{:?}", std::thread::current().id()));
        tokio::fs::write(&part, wanted).await?;
        Ok(tokio::fs::rename(&part, &file).await?)
    }

    /// Fetches one ref, without history unless the history is here. Reports whether git was
    /// content; why not does not matter, the whole fetch that follows will say.
    pub(super) async fn fetch_one(
        &self,
        reference: &str,
        hash: &str,
        snapshot: &Snapshot,
        state: &State,
    ) -> bool {
        // On a whole clone `--depth` would cut history off again.
        let depth = if state.complete_for.is_some() {
            None
        } else {
            Some("--depth=1")
        };
        let refspec = format!("+{reference}:refs/modkeep/kept/{hash}");
        self.fetch(depth, &[refspec], &snapshot.target)
            .await
            .is_ok()
    }

    pub(super) async fn fetch_all(
        &self,
        state: &mut State,
        snapshot: &Snapshot,
    ) -> Result<(), DirectError> {
        let digest = snapshot.refs.digest();
        if state.complete_for == Some(digest) {
            return Ok(());
        }
        let refspecs = [
            "+refs/heads/*:refs/modkeep/heads/*".to_owned(),
            "+refs/tags/*:refs/modkeep/tags/*".to_owned(),
        ];
        self.fetch(Some("--prune"), &refspecs, &snapshot.target)
            .await?;
        if self.dir.join("shallow").exists() {
            // Refs first, history second: git up to 2.23 confuses itself otherwise.
            self.fetch(Some("--unshallow"), &refspecs, &snapshot.target)
                .await?;
        }
        state.complete_for = Some(digest);
        if snapshot.refs.len() > 500 {
            let call = self.local().args(["pack-refs", "--all"]);
            self.shared.run(call).await?;
        }
        Ok(())
    }

    async fn fetch(
        &self,
        option: Option<&str>,
        refspecs: &[String],
        target: &Target,
    ) -> Result<(), DirectError> {
        let mut env = target.environment(self.shared.network());
        env.put("GIT_DIR", &self.dir);
        env.put("GIT_NO_LAZY_FETCH", "1");
        let call = fetch_settings(Call::new("git", env))
            .args([
                "fetch",
                "-q",
                "-f",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-gc",
            ])
            .args(["--no-recurse-submodules", "--no-show-forced-updates"])
            .args(option)
            .arg("--end-of-options")
            .arg(&target.url)
            .args(refspecs)
            .dir(&self.dir)
            .secrets(&target.secrets);
        self.network(call)
            .await
            .map_err(|failure| self.explain(failure))?;
        self.shared.grew(&self.dir).await
    }
}

/// Settings that outrank the user's: no hook, no prompt, no background work, no redirect, no
/// transport but the one allowed, and an end to servers that send nothing.
pub(super) fn fetch_settings(call: Call) -> Call {
    const SETTINGS: [&str; 14] = [
        "core.hooksPath=/dev/null",
        "core.askPass=",
        "core.fsmonitor=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "fetch.writeCommitGraph=false",
        "fetch.recurseSubmodules=false",
        "fetch.output=compact",
        "submodule.recurse=false",
        "protocol.version=2",
        "transfer.bundleURI=false",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
    ];
    SETTINGS
        .iter()
        .fold(call, |call, setting| call.args(["-c", setting]))
}
