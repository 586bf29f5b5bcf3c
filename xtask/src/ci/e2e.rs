//! The real go command through a release build of modkeep: a project's modules are downloaded
//! from an upstream, then again by a client with an empty cache while the upstream is gone. Both
//! must end with the same `go.sum`.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use testkit::{Upstream, tree};

use super::Notes;
use crate::server::{self, Server};
use crate::tools::go;
use crate::{bench, sh};

/// Enough for several layers of requirements, little enough for seconds.
const MODULES: usize = 24;

pub fn run() -> Result<Notes> {
    server::build()?;
    let work = sh::target().join("end-to-end");
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    let project = tree::project(MODULES)?;
    let upstream = Upstream::start_blocking(project.tree.clone())?;
    let server = Server::start(&work.join("data"), &upstream.url())?;
    let cold = sums(&work.join("cold"), &project.go_mod, &server.url)?;
    upstream.stop();
    let alone = sums(&work.join("alone"), &project.go_mod, &server.url)?;
    server.stop()?;
    ensure!(
        cold == alone,
        "go.sum differs between the first download and the one without upstream"
    );
    let zips = cold
        .lines()
        .filter(|line| !line.contains("/go.mod "))
        .count();
    if zips != MODULES {
        bail!("go.sum names {zips} zips, wanted {MODULES}");
    }
    Ok(vec![format!(
        "Go {}: {MODULES} modules, cold and with the upstream gone",
        go::VERSION
    )])
}

fn sums(dir: &Path, go_mod: &str, proxy: &str) -> Result<String> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("go.mod"), go_mod)?;
    let mut command = bench::download::go(dir, proxy)?;
    sh::run(command.args(["mod", "download", "all"]))?;
    Ok(std::fs::read_to_string(dir.join("go.sum"))?)
}
