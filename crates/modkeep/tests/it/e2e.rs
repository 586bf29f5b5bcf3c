//! The real go command downloads through modkeep, in any order, then again with the upstream gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Upstream, tree};

use crate::common::{Launch, Server};
use crate::golang::go_binary;

/// The go command without the machine's own settings; `None`, said aloud, when there is none.
struct Go {
    binary: PathBuf,
    home: tempfile::TempDir,
}

impl Go {
    fn find() -> Option<Self> {
        let Some(binary) = go_binary() else {
            eprintln!("SKIPPED: no go command; set MODKEEP_TEST_GO or run cargo xtask ci");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        Some(Self { binary, home })
    }

    fn command(&self, proxy: &str, cache: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-modcacherw -mod=mod")
            .env("GOSUMDB", "off")
            .env("GOENV", "off")
            .env("GOPROXY", proxy)
            .env("GOMODCACHE", cache)
            .current_dir(self.home.path());
        command
    }

    /// Downloads each on its own into a fresh cache; their sums by name.
    fn download(&self, proxy: &str, modules: &[(String, String)]) -> BTreeMap<String, String> {
        let cache = tempfile::tempdir().unwrap();
        let mut sums = BTreeMap::new();
        for (path, version) in modules {
            let output = self
                .command(proxy, cache.path())
                .args(["mod", "download", "-json"])
                .arg(format!("{path}@{version}"))
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{path}@{version}: {text}{output:?}"
            );
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let sum = |name: &str| json[name].as_str().unwrap().to_owned();
            sums.insert(
                format!("{path}@{version}"),
                format!("{} {}", sum("Sum"), sum("GoModSum")),
            );
        }
        sums
    }
}

/// The same every time, and in no order that means anything.
fn shuffled(modules: &[(String, String)], seed: usize) -> Vec<(String, String)> {
    let mut modules = modules.to_vec();
    let noise = tree::noise(seed as u64, modules.len() * 8);
    for at in (1..modules.len()).rev() {
        modules.swap(at, usize::from(noise[at * 8 + 3]) % (at + 1));
    }
    modules
}

#[test]
fn the_go_command_downloads_in_any_order_and_again_without_the_upstream() {
    let Some(go) = Go::find() else { return };
    let project = tree::project(8).unwrap();
    let upstream = Upstream::start_blocking(project.tree.clone()).unwrap();
    let url = upstream.url();
    let straight = go.download(&url, &project.modules);
    upstream.forget();
    let server = Launch::new().upstream(&url).look_ahead().start();
    assert_eq!(
        go.download(&server.url, &shuffled(&project.modules, 7)),
        straight
    );
    for (path, version) in &project.modules {
        for end in ["info", "mod", "zip"] {
            let file = format!("{}/@v/{}.{end}", tree::escape(path), tree::escape(version));
            assert_eq!(upstream.hits(&file), 1, "{file}");
        }
    }
    upstream.stop();
    assert_eq!(
        go.download(&server.url, &shuffled(&project.modules, 8)),
        straight
    );
    let ended = server.kill();
    let server = Launch::again(&ended).upstream(&url).start();
    assert_eq!(
        go.download(&server.url, &shuffled(&project.modules, 9)),
        straight
    );
    // What modkeep itself says of the sums is what the go command has found.
    for (name, sums) in &straight {
        let report = server.get(&format!("/-/api/v1/versions/{name}")).text();
        assert!(
            sums.split(' ').all(|sum| report.contains(sum)),
            "{sums} in {report}"
        );
    }
}

#[test]
fn the_go_command_resolves_queries_and_builds_a_whole_graph() {
    let Some(go) = Go::find() else { return };
    let project = tree::project(14).unwrap();
    let upstream = Upstream::start_blocking(project.tree.clone()).unwrap();
    let server = Launch::new().upstream(&upstream.url()).look_ahead().start();
    let (work, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(work.path().join("go.mod"), &project.go_mod).unwrap();
    let run = |args: &[&str]| {
        let mut command = go.command(&server.url, cache.path());
        let output = command
            .args(args)
            .current_dir(work.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (path, version) = &project.modules[0];
    let listed = run(&["list", "-m", "-versions", path]);
    assert_eq!(listed.trim(), format!("{path} {version}"));
    let latest = run(&["list", "-m", &format!("{path}@latest")]);
    assert_eq!(latest.trim(), format!("{path} {version}"));
    assert_eq!(run(&["list", "-m", "all"]).lines().count(), 15);
    run(&["mod", "download", "all"]);
    assert!(upstream.hits_of(".zip") <= 14);
    for seen in upstream.seen() {
        assert_eq!(upstream.hits(&seen.path), 1, "{}", seen.path);
    }
}

#[test]
fn the_go_command_shows_why_something_is_not_served() {
    let Some(go) = Go::find() else { return };
    let module = testkit::Module::new("example.com/m", "v1.0.0").file("a:b", "x");
    let mut tree = testkit::Tree::new();
    tree.add(&module).unwrap();
    let upstream = Upstream::start_blocking(tree).unwrap();
    upstream.on(
        "/broken/",
        testkit::Behaviour::status(500, "the disk is on fire"),
    );
    let server = Server::over(&upstream.url());
    let cache = tempfile::tempdir().unwrap();
    let fails = |what: &str| {
        let mut command = go.command(&server.url, cache.path());
        let output = command.args(["mod", "download", what]).output().unwrap();
        assert!(!output.status.success(), "{what}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = fails("example.com/m@v1.0.0");
    assert!(
        said.contains("malformed file path \"a:b\": invalid char ':'"),
        "{said}"
    );
    let said = fails("example.com/broken@v1.0.0");
    assert!(
        said.contains("502") && said.contains("the disk is on fire"),
        "{said}"
    );
    let said = fails("example.com/none@v1.0.0");
    assert!(
        said.contains("404") && said.contains("no such file here"),
        "{said}"
    );
}
