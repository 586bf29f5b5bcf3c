//! The fingerprint of how a project's modules were pulled, and the first difference of two.
//!
//! Two machines that pull the same modules must agree on the files that say which, on the go
//! command that reads them, on the target they are chosen for, and on every hash. Settings and
//! routes may differ without another result; they are named after what decides. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema of a lock file.
pub const SCHEMA: &str = "modkeep.repro/1";

/// The longest lock file that is read, in bytes: some hundred bytes for each of the most modules.
pub const LOCK_BYTES_MAX: u64 = 64 << 20;

/// The route of what was there already: nobody knows any more who delivered it.
pub const FROM_CACHE: &str = "module cache";

/// Settings that belong to one machine: where things lie, not what is pulled.
const OF_THE_MACHINE: &[&str] = &[
    "GOPATH",
    "GOMODCACHE",
    "GOCACHE",
    "GOCACHEPROG",
    "GOENV",
    "GOBIN",
    "GOTMPDIR",
    "GOROOT",
    "GOMOD",
    "GOWORK",
    "GOTELEMETRY",
    "GOTELEMETRYDIR",
    "GOTOOLDIR",
    "GOGCCFLAGS",
    "GOHOSTARCH",
    "GOHOSTOS",
    "AR",
    "CC",
    "CXX",
    "FC",
    "PKG_CONFIG",
];

/// How a project's modules were pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The go command and what it builds for.
    pub go: Go,
    /// SHA-256 of the files that say what is pulled, by their path in the project.
    pub files: BTreeMap<String, String>,
    /// Settings that differ from Go's defaults, secrets masked.
    pub env: BTreeMap<String, Setting>,
    /// Every module of the build, in the order of path and version.
    pub modules: Vec<Module>,
    /// What makes a pull depend on this machine, each a sentence.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The go command and its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Go {
    /// Such as `go1.27.3`.
    pub version: String,
    /// GOOS.
    pub os: String,
    /// GOARCH.
    pub arch: String,
    /// CGO_ENABLED.
    pub cgo: String,
    /// Build tags, from GOFLAGS.
    #[serde(default)]
    pub tags: String,
}

/// A setting and where it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its value.
    pub value: String,
    /// Who set it.
    pub origin: String,
}

/// A module that was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// The module.
    pub path: String,
    /// The version.
    pub version: String,
    /// The zip's go.sum hash.
    pub h1: Option<String>,
    /// The go.mod's.
    pub gomod: Option<String>,
    /// Who delivered it: a proxy, `direct`, or the module cache.
    pub route: String,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs: `file`, `go`, `module`, `env` or `route`.
    pub kind: &'static str,
    /// Which one.
    pub name: String,
    /// In the lock file.
    pub locked: Option<String>,
    /// Here.
    pub here: Option<String>,
    /// Whether it decides what is built; settings and routes need not.
    pub decides: bool,
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not JSON of this shape.
    #[error("not a lock file of modkeep repro: {0}")]
    Shape(#[from] serde_json::Error),
    /// Of another kind or time.
    #[error("its schema is {0:?}; this modkeep reads {SCHEMA:?}")]
    Schema(String),
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        let lock: Self = serde_json::from_slice(bytes)?;
        match lock.schema == SCHEMA {
            true => Ok(lock),
            false => Err(LockError::Schema(lock.schema)),
        }
    }

    /// All differences of what is here from what was locked, the most telling first.
    pub fn differences(&self, here: &Self) -> Vec<Difference> {
        let mut found = files(self, here);
        found.extend(go(self, here));
        found.extend(modules(self, here));
        found.extend(env(self, here));
        found
    }
}

fn difference(
    kind: &'static str,
    name: &str,
    locked: Option<&str>,
    here: Option<&str>,
    decides: bool,
) -> Option<Difference> {
    (locked != here).then(|| Difference {
        kind,
        name: name.to_owned(),
        locked: locked.map(str::to_owned),
        here: here.map(str::to_owned),
        decides,
    })
}

fn keys<'a, V>(a: &'a BTreeMap<String, V>, b: &'a BTreeMap<String, V>) -> Vec<&'a String> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn files(locked: &Lock, here: &Lock) -> Vec<Difference> {
    let of = |lock: &'_ Lock, name: &String| lock.files.get(name).cloned();
    let names = keys(&locked.files, &here.files).into_iter();
    names
        .filter_map(|n| {
            difference(
                "file",
                n,
                of(locked, n).as_deref(),
                of(here, n).as_deref(),
                true,
            )
        })
        .collect()
}

fn go(locked: &Lock, here: &Lock) -> Vec<Difference> {
    let (a, b) = (&locked.go, &here.go);
    let pairs = [
        ("version", &a.version, &b.version),
        ("GOOS", &a.os, &b.os),
        ("GOARCH", &a.arch, &b.arch),
        ("CGO_ENABLED", &a.cgo, &b.cgo),
        ("tags", &a.tags, &b.tags),
    ];
    pairs
        .into_iter()
        .filter_map(|(name, a, b)| difference("go", name, Some(a), Some(b), true))
        .collect()
}

/// Hashes first, then what is only on one side, then routes.
fn modules(locked: &Lock, here: &Lock) -> Vec<Difference> {
    let index = |lock: &'_ Lock| -> BTreeMap<String, Module> {
        let named = |m: &Module| (format!("{}@{}", m.path, m.version), m.clone());
        lock.modules.iter().map(named).collect()
    };
    let (a, b) = (index(locked), index(here));
    let (mut bytes, mut missing, mut routes) = (Vec::new(), Vec::new(), Vec::new());
    for name in keys(&a, &b) {
        let (Some(a), Some(b)) = (a.get(name), b.get(name)) else {
            let version = |m: Option<&Module>| m.map(|m| m.version.clone());
            missing.extend(difference(
                "module",
                name,
                version(a.get(name)).as_deref(),
                version(b.get(name)).as_deref(),
                true,
            ));
            continue;
        };
        bytes.extend(difference(
            "module",
            name,
            a.h1.as_deref(),
            b.h1.as_deref(),
            true,
        ));
        let go_mod = format!("{name}/go.mod");
        bytes.extend(difference(
            "module",
            &go_mod,
            a.gomod.as_deref(),
            b.gomod.as_deref(),
            true,
        ));
        if [&a.route, &b.route].contains(&&FROM_CACHE.to_owned()) {
            continue;
        }
        routes.extend(difference(
            "route",
            name,
            Some(&a.route),
            Some(&b.route),
            false,
        ));
    }
    bytes.append(&mut missing);
    bytes.append(&mut routes);
    bytes
}

fn env(locked: &Lock, here: &Lock) -> Vec<Difference> {
    let value = |lock: &'_ Lock, name: &String| lock.env.get(name).map(|s| s.value.clone());
    let names = keys(&locked.env, &here.env).into_iter();
    let shared = names.filter(|name| !OF_THE_MACHINE.contains(&name.as_str()));
    shared
        .filter_map(|n| {
            difference(
                "env",
                n,
                value(locked, n).as_deref(),
                value(here, n).as_deref(),
                false,
            )
        })
        .collect()
}

/// The tags of a GOFLAGS value.
pub fn tags_of(goflags: &str) -> String {
    let mut tags = goflags.split_whitespace().filter_map(|flag| {
        let flag = flag.trim_start_matches('-');
        flag.strip_prefix("tags=")
    });
    tags.next_back().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lock() -> Lock {
        let module = |path: &str| Module {
            path: path.into(),
            version: "v1.0.0".into(),
            h1: Some(format!("h1:{path}")),
            gomod: Some(format!("h1:{path}.mod")),
            route: "https://proxy.example".into(),
        };
        Lock {
            schema: SCHEMA.into(),
            go: Go {
                version: "go1.27.3".into(),
                os: "linux".into(),
                arch: "amd64".into(),
                ..Go::default()
            },
            files: BTreeMap::from([
                ("go.mod".into(), "aa".into()),
                ("go.sum".into(), "bb".into()),
            ]),
            env: BTreeMap::from([(
                "GOPROXY".into(),
                Setting {
                    value: "https://a".into(),
                    origin: "environment".into(),
                },
            )]),
            modules: vec![module("a.example/a"), module("b.example/b")],
            warnings: Vec::new(),
        }
    }

    fn first(change: impl FnOnce(&mut Lock)) -> (&'static str, String, bool) {
        let mut here = lock();
        change(&mut here);
        let found = lock().differences(&here);
        (found[0].kind, found[0].name.clone(), found[0].decides)
    }

    #[test]
    fn the_same_fingerprint_has_no_difference_and_reads_back() {
        assert!(lock().differences(&lock()).is_empty());
        let text = serde_json::to_vec(&lock()).unwrap();
        assert!(text.starts_with(b"{\"schema\":\"modkeep.repro/1\""));
        assert_eq!(Lock::parse(&text).unwrap(), lock());
        assert!(Lock::parse(b"{}").is_err());
        assert!(matches!(
            Lock::parse(
                &serde_json::to_vec(&Lock {
                    schema: "x".into(),
                    ..lock()
                })
                .unwrap()
            ),
            Err(LockError::Schema(_))
        ));
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        assert_eq!(
            first(|l| drop(l.files.insert("go.sum".into(), "x".into()))),
            ("file", "go.sum".into(), true)
        );
        assert_eq!(
            first(|l| l.go.version = "go1.26.0".into()),
            ("go", "version".into(), true)
        );
        assert_eq!(
            first(|l| l.modules[1].h1 = None),
            ("module", "b.example/b@v1.0.0".into(), true)
        );
        assert_eq!(
            first(|l| l.modules[1].gomod = Some("x".into())),
            ("module", "b.example/b@v1.0.0/go.mod".into(), true)
        );
        assert_eq!(
            first(|l| drop(l.modules.pop())),
            ("module", "b.example/b@v1.0.0".into(), true)
        );
        assert_eq!(
            first(|l| l.modules[0].route = "direct".into()),
            ("route", "a.example/a@v1.0.0".into(), false)
        );
        assert_eq!(first(|l| l.env.clear()), ("env", "GOPROXY".into(), false));
    }

    #[test]
    fn what_decides_comes_before_what_does_not() {
        let mut here = lock();
        here.env.clear();
        here.modules[0].route = "direct".into();
        here.modules[1].h1 = Some("h1:other".into());
        here.modules[0].version = "v1.0.1".into();
        here.files.insert("go.work".into(), "x".into());
        let kinds: Vec<_> = lock()
            .differences(&here)
            .iter()
            .map(|d| (d.kind, d.decides))
            .collect();
        assert_eq!(kinds[0], ("file", true));
        assert_eq!(kinds[1], ("module", true));
        assert!(kinds.is_sorted_by_key(|(_, decides)| !decides), "{kinds:?}");
    }

    #[test]
    fn a_route_that_is_not_known_is_no_difference() {
        let mut here = lock();
        here.modules[0].route = FROM_CACHE.into();
        assert!(lock().differences(&here).is_empty());
        assert!(here.differences(&lock()).is_empty());
    }

    #[test]
    fn settings_of_the_machine_alone_are_no_difference() {
        let mut here = lock();
        here.env.insert(
            "GOMODCACHE".into(),
            Setting {
                value: "/x".into(),
                origin: "environment".into(),
            },
        );
        assert!(lock().differences(&here).is_empty());
    }

    #[test]
    fn tags_are_read_from_goflags() {
        assert_eq!(tags_of("-mod=mod -tags=a,b"), "a,b");
        assert_eq!(tags_of("--tags=x -tags=y"), "y");
        assert_eq!(tags_of(""), "");
    }
}
