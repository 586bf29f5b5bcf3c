//! A go command for tests that need one, and checksum databases that serve a test's modules.
//!
//! The binary is `$MODKEEP_TEST_GO`, else the one that `cargo xtask` put below `target/tools`.

#![allow(dead_code, reason = "each subject uses its own part")]

use std::path::{Path, PathBuf};

use gomod::h1::hash_mod;
use testkit::{MemLog, Module, Tree};

use crate::common::Ran;

/// The name of the checksum database of tests.
pub const SUMDB: &str = "sum.test.example";

pub fn go_binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MODKEEP_TEST_GO").filter(|v| !v.is_empty()) {
        return Some(named.into());
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let mut found: Vec<_> = std::fs::read_dir(tools)
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("go/bin/go"))
        .filter(|go| go.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A home with a project in it, and the go command without the machine's own settings.
pub struct Project {
    pub go: PathBuf,
    pub home: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Project {
    /// `None`, said aloud, when there is no go command.
    pub fn new(proxy: &str) -> Option<Self> {
        let Some(go) = go_binary() else {
            eprintln!("SKIPPED: no go command; set MODKEEP_TEST_GO or run cargo xtask ci");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let env = vec![
            set("GOTOOLCHAIN", "local"),
            set("GOFLAGS", "-modcacherw -mod=mod"),
            set("GOSUMDB", "off"),
            set("GOENV", "off"),
            set("GOPROXY", proxy),
            set(
                "GOMODCACHE",
                &home.path().join("cache").display().to_string(),
            ),
            set("GOPATH", &home.path().join("gopath").display().to_string()),
            set(
                "XDG_DATA_HOME",
                &home.path().join("data").display().to_string(),
            ),
            set("LANG", "C"),
        ];
        std::fs::write(
            home.path().join("go.mod"),
            "module test.example/project\n\ngo 1.21\n",
        )
        .unwrap();
        Some(Self { go, home, env })
    }

    /// With another value of a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file of the project.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A modkeep command in the project, not started.
    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = crate::common::command(self.home.path());
        // The go command is found as a user's is.
        let mut path = self.go.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .env("PATH", path)
            .args(args)
            .envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs a modkeep command in the project.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the go command alone.
    pub fn go(&self, args: &[&str]) -> Ran {
        let mut command = self.command(&[]);
        let mut go = std::process::Command::new(&self.go);
        go.args(args).env_clear().current_dir(self.home.path());
        for (name, value) in command.get_envs() {
            go.env(name, value.unwrap_or_default());
        }
        command.stdin(std::process::Stdio::null());
        let output = go.output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The go.sum hashes of a module: of its zip and of its go.mod.
pub fn sums(module: &Module) -> (String, String) {
    let zip = std::io::Cursor::new(module.zip().unwrap());
    (
        gomod::zip::hash_zip(zip).unwrap().to_string(),
        hash_mod(&module.go_mod_bytes()).to_string(),
    )
}

/// A checksum database with the records of these modules.
pub fn log_of(modules: &[&Module]) -> MemLog {
    let mut log = MemLog::new(SUMDB, [7; 32]).unwrap();
    for module in modules {
        let (zip, go_mod) = sums(module);
        log.add(module.path(), module.version(), &zip, &go_mod);
    }
    log
}

/// Puts what a client may ask of a small log below `prefix` of a tree, as a proxy relays it.
pub fn relay(tree: &mut Tree, prefix: &str, log: &MemLog, modules: &[&Module]) {
    let mut put = |path: String| {
        if let Some(bytes) = log.answer(&path, false) {
            tree.put(&format!("{prefix}{path}"), bytes);
        }
    };
    put("supported".into());
    put("latest".into());
    for module in modules {
        let (path, version) = (
            testkit::tree::escape(module.path()),
            testkit::tree::escape(module.version()),
        );
        put(format!("lookup/{path}@{version}"));
    }
    for width in 1..=log.size() {
        put(format!("tile/8/0/000.p/{width}"));
    }
}
