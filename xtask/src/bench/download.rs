//! The real go command downloads a project's modules: straight from the upstream, through a
//! modkeep that has nothing, through one that has all, and from nginx.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Behaviour, Source, Upstream, tree};

use super::nginx::Nginx;
use super::report::Target;
use super::{Bench, alternate};
use crate::server::Server;
use crate::{sh, tools};

/// Modules of the generated project.
const MODULES: usize = 36;

/// What is downloaded from where.
struct Work<'a> {
    dir: PathBuf,
    upstream: &'a Upstream,
}

/// The go command in `dir`, with `proxy` as its only source and nothing of the user's settings.
pub fn go(dir: &Path, proxy: &str) -> Result<Command> {
    let go = tools::go::install()?;
    let mut command = sh::command(&go);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GO") || text.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(dir)
        .env("HOME", dir)
        .env("GOENV", "off")
        .env("GOPROXY", proxy)
        .env("GOSUMDB", "off")
        .env("GOFLAGS", "-modcacherw")
        .env("GOMODCACHE", dir.join("modcache"))
        .env("GOCACHE", dir.join("gocache"))
        .env("GOPATH", dir.join("gopath"))
        .env("GOTELEMETRY", "off")
        .env("GOTOOLCHAIN", "local");
    Ok(command)
}

pub fn run(bench: &mut Bench, given: Option<(&Path, &Path)>) -> Result<()> {
    let dir = bench.work.join("project");
    std::fs::create_dir_all(&dir)?;
    let files = bench.work.join("project-tree");
    let (root, name) = match given {
        Some((corpus, project)) => {
            for file in ["go.mod", "go.sum"] {
                std::fs::copy(project.join(file), dir.join(file))?;
            }
            (corpus.to_owned(), "the given project".to_owned())
        }
        None => {
            let project = tree::project(MODULES)?;
            project.tree.write_to(&files)?;
            std::fs::write(dir.join("go.mod"), project.go_mod)?;
            (files, format!("{MODULES} modules"))
        }
    };
    let root = std::fs::canonicalize(root)?;
    let upstream = Upstream::start_blocking(Source::Dir(root.clone()))?;
    let work = Work {
        dir,
        upstream: &upstream,
    };
    cold(bench, &work, &name, Duration::ZERO, 1.1)?;
    cold(bench, &work, &name, Duration::from_millis(100), 0.9)?;
    upstream.heal();
    warm(bench, &work, &name, &root)
}

fn cold(bench: &mut Bench, work: &Work, name: &str, far: Duration, bound: f64) -> Result<()> {
    work.upstream.set(Behaviour::new().latency(far));
    let data = bench.work.join("download");
    let rounds = if bench.quick { 2 } else { 7 };
    let (a, b) = alternate(
        rounds,
        || {
            let server = fresh(&data, work.upstream)?;
            let took = work.download(&server.url)?;
            server.stop()?;
            Ok(took)
        },
        || work.download(&work.upstream.url()),
    )?;
    bench.report.row(
        &format!(
            "go mod download, {name}, cold, upstream {} ms away",
            far.as_millis()
        ),
        (format!("{a:.2} s"), format!("straight {b:.2} s")),
        (a / b, ""),
        Target::AtMost(bound),
    );
    Ok(())
}

fn warm(bench: &mut Bench, work: &Work, name: &str, root: &Path) -> Result<()> {
    let data = bench.work.join("download");
    let server = fresh(&data, work.upstream)?;
    let nginx = Nginx::start(&bench.work, root)?;
    work.download(&server.url)?;
    let (a, b) = alternate(
        bench.rounds(),
        || work.download(&server.url),
        || work.download(&nginx.url),
    )?;
    server.stop()?;
    nginx.stop()?;
    bench.report.row(
        &format!("go mod download, {name}, warm"),
        (format!("{a:.2} s"), format!("nginx {b:.2} s")),
        (a / b, ""),
        Target::AtMost(1.05),
    );
    Ok(())
}

/// A server that keeps nothing yet.
fn fresh(data: &Path, upstream: &Upstream) -> Result<Server> {
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    Server::start(data, &upstream.url())
}

impl Work<'_> {
    /// Seconds that the go command takes with an empty module cache.
    fn download(&self, proxy: &str) -> Result<f64> {
        let cache = self.dir.join("modcache");
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        let mut command = go(&self.dir, proxy)?;
        // What the run before left to be written must not be paid for by this one.
        rustix::fs::sync();
        let begun = Instant::now();
        sh::run(command.args(["mod", "download"]))?;
        Ok(begun.elapsed().as_secs_f64())
    }
}
