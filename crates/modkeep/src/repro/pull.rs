//! The go command pulling the modules of a project's copy.

use super::skeleton::Skeleton;
use crate::exit::Failed;
use crate::goenv::{GoEnv, flags};
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// Modules of one build: the largest public ones have some thousand.
const MODULES_MAX: usize = 100_000;

/// What a failing go command said, as much as is shown.
const SAID_BYTES_MAX: usize = 4 << 10;

/// A module as `go mod download -json` tells of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pulled {
    /// The module.
    pub path: String,
    /// The version.
    pub version: String,
    /// Why it is not there.
    pub error: Option<String>,
    /// The zip's go.sum hash.
    pub sum: Option<String>,
    /// The go.mod's.
    pub go_mod_sum: Option<String>,
}

/// A place where the go command pulls.
pub struct Place<'a> {
    /// The copy of the project.
    pub root: &'a Path,
    /// What is in it.
    pub skeleton: &'a Skeleton,
    /// Variables besides this process's own.
    pub env: Vec<(&'static str, String)>,
    /// A program that runs the go command, with its arguments: the one that cuts the network off.
    pub through: &'a [&'a str],
}

impl Place<'_> {
    /// Downloads every module of the build and loads the whole graph.
    pub async fn pull(&self, env: &GoEnv) -> Result<Vec<Pulled>, Failed> {
        let downloaded = self.go(env, &["mod", "download", "-json"]).await?;
        let rows = serde_json::Deserializer::from_slice(&downloaded.stdout).into_iter::<Pulled>();
        let mut modules = Vec::new();
        for row in rows.take(MODULES_MAX) {
            let row = row.map_err(|e| Failed::unknown(format!("go mod download -json: {e}")))?;
            if let Some(error) = &row.error {
                return Err(Failed::unknown(format!(
                    "{}@{}: {error}",
                    row.path, row.version
                )));
            }
            modules.push(row);
        }
        if !downloaded.status.success() {
            return Err(failed("go mod download", &downloaded));
        }
        modules.sort_by(|a, b| (&a.path, &a.version).cmp(&(&b.path, &b.version)));
        modules.dedup_by(|a, b| (&a.path, &a.version) == (&b.path, &b.version));
        Ok(modules)
    }

    /// Loads the module graph; a go.sum that is not complete fails here.
    pub async fn graph(&self, env: &GoEnv) -> Result<usize, Failed> {
        let listed = self.go(env, &["list", "-m", "all"]).await?;
        match listed.status.success() {
            true => Ok(listed
                .stdout
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .count()),
            false => Err(failed("go list -m all", &listed)),
        }
    }

    /// Holds what was pulled against go.sum once more.
    pub async fn verify(&self, env: &GoEnv) -> Result<(), Failed> {
        let verified = self.go(env, &["mod", "verify"]).await?;
        match verified.status.success() {
            true => Ok(()),
            false => Err(failed("go mod verify", &verified)),
        }
    }

    async fn go(&self, env: &GoEnv, args: &[&str]) -> Result<std::process::Output, Failed> {
        let mut words = self
            .through
            .iter()
            .copied()
            .chain(["go"])
            .chain(args.iter().copied());
        let program = words.next().unwrap_or("go");
        let go_work = match &self.skeleton.go_work {
            Some(file) => self.root.join(file).display().to_string(),
            None => "off".into(),
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.root.join(&self.skeleton.work))
            .env("GOFLAGS", flags(env.get("GOFLAGS")))
            .env("GOWORK", go_work)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
            .output()
            .await
            .map_err(|e| Failed::unknown(format!("{program}: {e}")))
    }
}

fn failed(what: &str, output: &std::process::Output) -> Failed {
    let said = String::from_utf8_lossy(&output.stderr);
    let cut = said
        .char_indices()
        .map(|(i, _)| i)
        .find(|i| said.len() - i <= SAID_BYTES_MAX);
    Failed::unknown(format!("{what}: {}", said[cut.unwrap_or(0)..].trim()))
}
