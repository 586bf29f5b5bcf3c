//! Building the module graph from a bundle alone.

use super::pull::{Place, Pulled};
use super::skeleton::Skeleton;
use super::{LOCK, archive};
use crate::exit::Failed;
use crate::goenv::GoEnv;
use doctor::repro::{LOCK_BYTES_MAX, Lock};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The program that runs another without any network, as an ordinary user too.
const CUT: &[&str] = &["unshare", "--map-root-user", "--net", "--"];

/// How a replay went.
pub struct Replayed {
    /// The fingerprint in the bundle.
    pub lock: Lock,
    /// Whether the network was cut off.
    pub cut: bool,
    /// Modules of the graph.
    pub graph: usize,
    /// What is not as the bundle promised, each a sentence.
    pub bad: Vec<String>,
}

/// Replays a bundle: a directory or an archive.
pub async fn replay(env: &GoEnv, bundle: &Path) -> Result<Replayed, Failed> {
    if let Some(why) = &env.guessed {
        return Err(Failed::unknown(format!("no go command: {why}")));
    }
    let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
    let dir = opened(bundle, &scratch)?;
    let lock = read_lock(&dir.join(LOCK))?;
    let skeleton = project(&dir)?;
    let root = scratch.path().join("replay");
    skeleton.write(&root)?;
    let cut = can_cut();
    let home = |name: &str| scratch.path().join(name).display().to_string();
    let mut vars = vec![
        ("GOPROXY", format!("file://{}", dir.join("proxy").display())),
        ("GOFLAGS", "-mod=readonly -modcacherw".to_owned()),
        ("GOMODCACHE", home("modcache")),
        ("GOPATH", home("gopath")),
        ("GOENV", "off".to_owned()),
        ("GOTOOLCHAIN", "local".to_owned()),
        ("GOVCS", "*:off".to_owned()),
        ("GONOPROXY", "none".to_owned()),
        ("GOPRIVATE", String::new()),
    ];
    for name in ["GOSUMDB", "GONOSUMDB"] {
        let locked = lock.env.get(name).map(|s| s.value.clone());
        let private = || {
            lock.env
                .get("GOPRIVATE")
                .map(|s| s.value.clone())
                .filter(|_| name == "GONOSUMDB")
        };
        vars.push((name, locked.or_else(private).unwrap_or_default()));
    }
    let through = if cut { CUT } else { &[] };
    let place = Place {
        root: &root,
        skeleton: &skeleton,
        env: vars,
        through,
    };
    let mut replayed = Replayed {
        lock,
        cut,
        graph: 0,
        bad: Vec::new(),
    };
    match place.pull(env).await {
        Ok(pulled) => replayed.bad.extend(hashes(&replayed.lock, &pulled)),
        Err(why) => replayed.bad.push(why.to_string()),
    }
    if replayed.bad.is_empty() {
        match place.graph(env).await {
            Ok(modules) => replayed.graph = modules,
            Err(why) => replayed.bad.push(why.to_string()),
        }
        replayed
            .bad
            .extend(place.verify(env).await.err().map(|why| why.to_string()));
    }
    Ok(replayed)
}

fn opened(bundle: &Path, scratch: &TempDir) -> Result<PathBuf, Failed> {
    let found = std::fs::canonicalize(bundle)
        .map_err(|e| Failed::usage(format!("{}: {e}", bundle.display())))?;
    if found.is_dir() {
        return Ok(found);
    }
    let dir = scratch.path().join("bundle");
    archive::unpack(&found, &dir)?;
    Ok(dir)
}

/// Reads a lock file.
pub fn read_lock(file: &Path) -> Result<Lock, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::usage(format!("{}: {e}", file.display()));
    let size = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
    if size > LOCK_BYTES_MAX {
        return Err(wrong(&"too large for a lock file"));
    }
    let bytes = std::fs::read(file).map_err(|e| wrong(&e))?;
    Lock::parse(&bytes).map_err(|e| wrong(&e))
}

/// The project's files as the bundle has them.
fn project(dir: &Path) -> Result<Skeleton, Failed> {
    let mut skeleton = Skeleton::default();
    let text = std::fs::read_to_string(dir.join("work")).unwrap_or_default();
    let mut lines = text.lines().map(str::to_owned);
    skeleton.work = lines.next().unwrap_or_default();
    skeleton.go_work = lines.next().filter(|l| !l.is_empty());
    let climbs = |path: &str| path.starts_with('/') || path.split('/').any(|part| part == "..");
    if climbs(&skeleton.work) || skeleton.go_work.as_deref().is_some_and(climbs) {
        return Err(Failed::usage(format!(
            "{}: leads out of the bundle",
            dir.join("work").display()
        )));
    }
    let root = dir.join("project");
    let mut dirs = vec![root.clone()];
    while let Some(next) = dirs.pop() {
        let wrong = |e: std::io::Error| Failed::usage(format!("{}: {e}", next.display()));
        for entry in std::fs::read_dir(&next).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            // Not followed: a link would lead out of the bundle.
            let kind = std::fs::symlink_metadata(&path).map_err(wrong)?.file_type();
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file()
                && let Some(inside) = path.strip_prefix(&root).ok().and_then(Path::to_str)
            {
                skeleton
                    .files
                    .insert(inside.to_owned(), std::fs::read(&path).map_err(wrong)?);
            }
        }
    }
    Ok(skeleton)
}

/// Whether this system lets us cut the network off.
fn can_cut() -> bool {
    let (program, args) = (CUT[0], &CUT[1..]);
    let tried = Command::new(program)
        .args(args)
        .arg("true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Hashes that are not as locked.
fn hashes(lock: &Lock, pulled: &[Pulled]) -> Vec<String> {
    let locked: BTreeMap<(&str, &str), _> = lock
        .modules
        .iter()
        .map(|m| ((m.path.as_str(), m.version.as_str()), m))
        .collect();
    let mut bad = Vec::new();
    for here in pulled {
        match locked.get(&(here.path.as_str(), here.version.as_str())) {
            None => bad.push(format!("{}@{}: not in the lock", here.path, here.version)),
            Some(module) if module.h1 != here.sum => bad.push(format!(
                "{}@{}: {} in the lock, {} in the bundle",
                here.path,
                here.version,
                module.h1.as_deref().unwrap_or("nothing"),
                here.sum.as_deref().unwrap_or("nothing")
            )),
            Some(_) => {}
        }
    }
    if pulled.len() < lock.modules.len() {
        bad.push(format!(
            "{} modules came, {} are locked",
            pulled.len(),
            lock.modules.len()
        ));
    }
    bad
}
