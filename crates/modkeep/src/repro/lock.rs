//! The fingerprint of this machine's pull.

use super::pull::{Place, Pulled};
use super::skeleton::Skeleton;
use crate::exit::Failed;
use crate::goenv::{GoEnv, flags};
use crate::run::Front;
use doctor::mask;
use doctor::repro::{FROM_CACHE, Go, Lock, Module, SCHEMA, Setting, tags_of};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A fingerprint, and what was pulled for it.
pub struct Taken {
    /// The fingerprint.
    pub lock: Lock,
    /// The project's files.
    pub skeleton: Skeleton,
    /// The directory of everything below.
    pub scratch: TempDir,
    /// The front, still running, for more questions.
    pub front: Option<Front>,
}

/// The module cache of a cold pull, below the scratch directory.
pub const CACHE: &str = "modcache";

/// Pulls the modules of the current directory's project and takes their fingerprint. `cold`: into an
/// empty module cache, so that every byte is fetched now and every route is known.
pub async fn take(env: &GoEnv, cold: bool) -> Result<Taken, Failed> {
    if let Some(why) = &env.guessed {
        return Err(Failed::unknown(format!("no go command: {why}")));
    }
    let skeleton = Skeleton::read(env)?;
    let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
    let root = scratch.path().join("project");
    skeleton.write(&root)?;
    // A GOPROXY without proxies (off, direct) needs no front.
    let front = Front::start(env, &scratch.path().join("front")).await?;
    let mut vars = Vec::new();
    if let Some(front) = &front {
        vars.push(("GOPROXY", front.goproxy()));
    }
    if cold {
        vars.push((
            "GOMODCACHE",
            scratch.path().join(CACHE).display().to_string(),
        ));
        vars.push((
            "GOFLAGS",
            format!("{} -modcacherw", flags(env.get("GOFLAGS"))),
        ));
        // The database is asked as by a machine that has never seen it.
        vars.push((
            "GOPATH",
            scratch.path().join("gopath").display().to_string(),
        ));
    }
    let place = Place {
        root: &root,
        skeleton: &skeleton,
        env: vars,
        through: &[],
    };
    let pulled = place.pull(env).await?;
    if cold {
        place.graph(env).await.or_else(|why| incomplete(&why))?;
    }
    let routes = Routes {
        env,
        front: front.as_ref(),
        cold,
    };
    let modules = pulled.iter().map(|p| routes.module(p)).collect();
    let lock = lock(env, &skeleton, modules);
    Ok(Taken {
        lock,
        skeleton,
        scratch,
        front,
    })
}

/// The fingerprint without the modules: what can be told where they cannot be pulled.
pub fn unpulled(env: &GoEnv) -> Result<Lock, Failed> {
    Ok(lock(env, &Skeleton::read(env)?, Vec::new()))
}

fn lock(env: &GoEnv, skeleton: &Skeleton, modules: Vec<Module>) -> Lock {
    Lock {
        schema: SCHEMA.into(),
        go: go(env),
        files: skeleton.sums(),
        env: changed(env),
        modules,
        warnings: skeleton.warnings.clone(),
    }
}

/// A go.sum that is not complete is the replay's finding; the lock is taken all the same.
fn incomplete(why: &Failed) -> Result<usize, Failed> {
    tracing::debug!(%why, "the graph could not be loaded");
    Ok(0)
}

struct Routes<'a> {
    env: &'a GoEnv,
    front: Option<&'a Front>,
    cold: bool,
}

impl Routes<'_> {
    fn module(&self, pulled: &Pulled) -> Module {
        let name = format!("{}@{}", pulled.path, pulled.version);
        let through = ModuleVersion::parse(&name)
            .ok()
            .and_then(|v| self.front?.source_of(&v));
        let private = Patterns::parse(&self.env.private()).is_ok_and(|p| p.matches(&pulled.path));
        let otherwise = match (private, self.front) {
            _ if !self.cold => FROM_CACHE,
            (true, _) => "direct (private)",
            (false, None) => self.env.get("GOPROXY"),
            (false, Some(_)) => "direct",
        };
        Module {
            path: pulled.path.clone(),
            version: pulled.version.clone(),
            h1: pulled.sum.clone(),
            gomod: pulled.go_mod_sum.clone(),
            route: through.unwrap_or_else(|| mask::logins(otherwise)),
        }
    }
}

fn go(env: &GoEnv) -> Go {
    let get = |name: &str| env.get(name).to_owned();
    Go {
        version: get("GOVERSION"),
        os: get("GOOS"),
        arch: get("GOARCH"),
        cgo: get("CGO_ENABLED"),
        tags: tags_of(env.get("GOFLAGS")),
    }
}

/// Settings that differ from Go's defaults, and where each is set.
fn changed(env: &GoEnv) -> BTreeMap<String, Setting> {
    let output = Command::new("go")
        .args(["env", "-changed", "-json"])
        .env("GOTOOLCHAIN", env.get("GOTOOLCHAIN"))
        .stdin(Stdio::null())
        .output();
    let values: BTreeMap<String, String> = output
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| serde_json::from_slice(&o.stdout).ok())
        .unwrap_or_default();
    let file = std::fs::read_to_string(env.get("GOENV")).unwrap_or_default();
    let in_file = |name: &str| {
        file.lines()
            .any(|l| l.strip_prefix(name).is_some_and(|r| r.starts_with('=')))
    };
    let setting = |(name, value): (String, String)| {
        let set = std::env::var_os(&name).is_some_and(|v| !v.is_empty());
        let origin = match () {
            () if set => "environment".to_owned(),
            () if in_file(&name) => format!("go env -w ({})", env.get("GOENV")),
            () => "derived, or GOROOT/go.env".to_owned(),
        };
        let value = mask::logins(&mask::flags(&value));
        (name, Setting { value, origin })
    };
    values.into_iter().map(setting).collect()
}
