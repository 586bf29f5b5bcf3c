//! A whole module cache is verified: by the real go command and by modkeep, by turns. The modules are
//! directories of Go's own source, so sizes and contents are those of real code.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use testkit::{Module, Tree};

use super::download::go;
use super::report::Target;
use super::{Bench, alternate};
use crate::{server, sh, tools};

/// Files that make a directory worth being a module.
const FILES_MIN: usize = 10;

pub fn run(bench: &mut Bench, given: Option<(&Path, &Path)>) -> Result<()> {
    let dir = bench.work.join("verify");
    std::fs::create_dir_all(&dir)?;
    let root = match given {
        Some((corpus, project)) => {
            for file in ["go.mod", "go.sum"] {
                std::fs::copy(project.join(file), dir.join(file))?;
            }
            std::fs::canonicalize(corpus)?
        }
        None => generate(&dir, &bench.work.join("verify-tree"))?,
    };
    let proxy = format!("file://{}", root.display());
    sh::run(go(&dir, &proxy)?.args(["mod", "download"]))?;
    let timed = |command: &mut std::process::Command| {
        let begun = Instant::now();
        sh::run(command)?;
        Ok(begun.elapsed().as_secs_f64())
    };
    // The go command asks no checksum database here; neither does modkeep.
    let ours = || {
        let settings = go(&dir, &proxy)?;
        let mut command = sh::command(server::binary());
        command.current_dir(&dir).env("HOME", &dir);
        for (name, value) in settings.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let bin = Path::new(settings.get_program())
            .parent()
            .map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = bin.into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs)?);
        timed(command.args(["verify", "--modcache", "--private", "*", "--quiet"]))
    };
    let theirs = || timed(go(&dir, &proxy)?.args(["mod", "verify"]));
    let (a, b) = alternate(bench.rounds(), ours, theirs)?;
    let size = bytes(&dir.join("modcache"))? >> 20;
    bench.report.row(
        &format!("verify of a module cache of {size} MiB"),
        (format!("{a:.2} s"), format!("go mod verify {b:.2} s")),
        (b / a, " times as fast"),
        Target::AtLeast(3.0),
    );
    Ok(())
}

/// A proxy's tree of modules, and a project that requires them all.
fn generate(dir: &Path, files: &Path) -> Result<PathBuf> {
    let go = tools::go::install()?;
    let root = go.parent().and_then(Path::parent).context("GOROOT")?;
    let (mut tree, mut require) = (Tree::new(), String::new());
    for top in [
        "src",
        "src/cmd",
        "src/internal",
        "src/cmd/vendor/golang.org/x",
    ] {
        let mut found: Vec<_> =
            std::fs::read_dir(root.join(top))?.collect::<std::io::Result<Vec<_>>>()?;
        found.sort_by_key(std::fs::DirEntry::file_name);
        for entry in found.iter().filter(|e| e.path().is_dir()) {
            let name = format!(
                "bench.example/{top}/{}",
                entry.file_name().to_string_lossy()
            );
            let mut module = Module::new(&name, "v1.0.0");
            let nested = ["cmd", "internal", "vendor", "testdata"];
            let sources = sources(&entry.path())?;
            if sources.len() < FILES_MIN || nested.iter().any(|n| entry.file_name() == *n) {
                continue;
            }
            for (inside, bytes) in sources {
                module = module.file(&inside, bytes);
            }
            tree.add(&module)?;
            require.push_str(&format!("\t{name} v1.0.0\n"));
        }
    }
    tree.write_to(files)?;
    let go_mod = format!("module bench.example/project\n\ngo 1.21\n\nrequire (\n{require})\n");
    std::fs::write(dir.join("go.mod"), go_mod)?;
    Ok(std::fs::canonicalize(files)?)
}

/// The Go files below a directory, without those that only tests of the go command want.
fn sources(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut dirs, mut found) = (vec![dir.to_owned()], Vec::new());
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(&at)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "testdata" && name != "vendor" {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "go") {
                let inside = path.strip_prefix(dir)?.display().to_string();
                found.push((inside, std::fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

fn bytes(dir: &Path) -> Result<u64> {
    let (mut dirs, mut sum) = (vec![dir.to_owned()], 0);
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(at)? {
            let entry = entry?;
            let kind = entry.metadata()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            }
            sum += kind.len();
        }
    }
    Ok(sum)
}
