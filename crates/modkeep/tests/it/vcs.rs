//! Straight from version control, through the real binary: every answer that the real go command gave
//! for eighteen repositories, tags that move, and what may not be run or named.
//!
//! The repositories and answers are those of the crate `upstream`'s tests; its README names their source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::{Tree, Upstream};

use crate::common::{Launch, Server, eventually};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../upstream/tests/vcs")
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(["-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{args:?}: {said}");
}

/// A user whose git finds `https://github.com/` below `repos`.
fn own_github(home: &Path) -> PathBuf {
    let repositories = home.join("repos");
    std::fs::create_dir_all(&repositories).unwrap();
    let config = format!(
        "[url \"file://{}/\"]\n\tinsteadOf = https://github.com/\n",
        repositories.display()
    );
    std::fs::write(home.join(".gitconfig"), config).unwrap();
    repositories
}

/// A repository with one module, one commit, one tag.
fn repository(repositories: &Path, name: &str) -> PathBuf {
    let dir = repositories.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("go.mod"), format!("module github.com/{name}\n")).unwrap();
    std::fs::write(dir.join("a.go"), "package a\n").unwrap();
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "-qm", "one"]);
    git(&dir, &["tag", "v1.0.0"]);
    dir
}

fn h1_of(zip: &[u8]) -> String {
    gomod::zip::hash_zip(std::io::Cursor::new(zip))
        .unwrap()
        .to_string()
}

fn escaped(text: &str) -> String {
    testkit::tree::escape(text)
}

/// A proxy is never asked these: the go command resolves them with the list.
fn is_for_the_go_command(query: &str) -> bool {
    let parts = query.strip_prefix('v').unwrap_or("x").split('.');
    query == "latest"
        || (parts.clone().count() < 3 && parts.clone().all(|p| p.parse::<u32>().is_ok()))
}

/// Holds one case against the server; the text says what differs.
fn differs(server: &Server, case: &Value) -> Option<String> {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let base = format!("/{}/@v", escaped(text("Path")));
    let info = server.get(&format!(
        "{base}/{}.info",
        escaped(text("Query")).replace('/', "%2F")
    ));
    if case["Error"].is_string() {
        let refused = matches!(info.status, 403 | 404) && info.text().len() > 20;
        // What resolves may be refused by its .mod or its zip.
        let later = || {
            let version = info.json()["Version"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            [".mod", ".zip"].iter().any(|suffix| {
                server
                    .get(&format!("{base}/{}{suffix}", escaped(&version)))
                    .status
                    != 200
            })
        };
        let as_wanted = refused || (info.status == 200 && later());
        return (!as_wanted).then(|| format!("{} {}", info.status, info.text()));
    }
    if info.status != 200 {
        return Some(format!("{} {}", info.status, info.text()));
    }
    let found = info.json();
    if found["Version"] != case["Version"] {
        return Some(found.to_string());
    }
    let version = escaped(text("Version"));
    let zip = server.get(&format!("{base}/{version}.zip"));
    let go_mod = server.get(&format!("{base}/{version}.mod"));
    let same = zip.status == 200
        && h1_of(&zip.body) == text("Sum")
        && gomod::h1::hash_mod(&go_mod.body).to_string() == text("GoModSum");
    (!same).then(|| format!("other bytes: {} {}", zip.status, go_mod.status))
}

#[test]
fn the_real_go_commands_answers_are_given_for_every_reference_of_every_repository() {
    let launch = Launch::new().upstream("direct");
    let repositories = own_github(launch.home()).join("modkeep-test");
    std::fs::create_dir_all(&repositories).unwrap();
    for bundle in std::fs::read_dir(fixtures()).unwrap().flatten() {
        let path = bundle.path();
        if path.extension().is_some_and(|e| e == "bundle") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            git(
                &repositories,
                &["clone", "-q", "--mirror", path.to_str().unwrap(), &name],
            );
        }
    }
    let server = launch.start();
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(fixtures().join("expected.json")).unwrap()).unwrap();
    let asked: Vec<&Value> = cases
        .iter()
        .filter(|case| !is_for_the_go_command(case["Query"].as_str().unwrap()))
        .collect();
    assert!(asked.len() > 300, "{}", asked.len());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(what) = differs(&server, case) {
                        let mut wrong = wrong.lock().unwrap();
                        wrong.push(format!("{} {}: {what}", case["Path"], case["Query"]));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
}

#[test]
fn a_tag_that_moved_keeps_the_kept_bytes_and_raises_the_alarm() {
    let launch = Launch::new().upstream("direct").args(["--fresh", "0s"]);
    let repository = repository(&own_github(launch.home()), "team/lib");
    let server = launch.start();
    let zip = server.get("/github.com/team/lib/@v/v1.0.0.zip");
    assert_eq!(zip.status, 200, "{}", zip.text());
    let info = server.get("/github.com/team/lib/@v/v1.0.0.info");
    assert_eq!(info.status, 200);
    std::fs::write(repository.join("b.go"), "package a\n").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-qm", "two"]);
    git(&repository, &["tag", "-f", "v1.0.0"]);
    eventually("the alarm is raised", || {
        server.get("/github.com/team/lib/@v/list");
        server.get("/-/readyz").text().contains("its tag moved")
    });
    assert!(server.metric("modkeep_alarms_total") >= 1);
    server
        .get("/github.com/team/lib/@v/v1.0.0.zip")
        .is(&zip.body);
    server
        .get("/github.com/team/lib/@v/v1.0.0.info")
        .is(&info.body);
    eventually("the log says both commits", || {
        let log = server.stderr();
        log.contains("github.com/team/lib@v1.0.0") && log.contains("its tag moved, from commit")
    });
}

#[test]
fn a_private_module_is_asked_of_its_origin_and_named_to_nobody_else() {
    let upstream = Upstream::start_blocking(Tree::new()).unwrap();
    let launch = Launch::new()
        .upstream(&upstream.url())
        .args(["--private", "github.com/team/*"])
        .look_ahead();
    repository(&own_github(launch.home()), "team/lib");
    let server = launch.start();
    for path in [
        "@v/list",
        "@latest",
        "@v/v1.0.0.info",
        "@v/v1.0.0.mod",
        "@v/v1.0.0.zip",
        "@v/main.info",
    ] {
        let answer = server.get(&format!("/github.com/team/lib/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    server
        .get("/github.com/team/lib/@v/v9.9.9.info")
        .refuses(404, "v9.9.9");
    assert_eq!(upstream.hits_of("team"), 0, "{:?}", upstream.seen());
}

#[test]
fn what_the_rules_forbid_is_403_and_says_which_rule() {
    let launch = Launch::new()
        .upstream("direct")
        .args(["--vcs", "github.com:off,*:all"]);
    repository(&own_github(launch.home()), "team/lib");
    let server = launch.start();
    let answer = server.get("/github.com/team/lib/@v/list");
    answer.refuses(403, "GOVCS");
    assert!(
        answer.text().contains("modkeep explain govcs_disallowed"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_tag_made_after_the_clone_is_found_without_cloning_again() {
    let launch = Launch::new().upstream("direct");
    let repository = repository(&own_github(launch.home()), "team/lib");
    let server = launch.start();
    assert_eq!(server.get("/github.com/team/lib/@v/v1.0.0.zip").status, 200);
    let clones = || {
        let all = std::fs::read_dir(server.data().join("vcs"))
            .unwrap()
            .flatten();
        all.map(|e| e.file_name()).collect::<Vec<_>>()
    };
    let before = clones();
    std::fs::write(repository.join("b.go"), "package a\n").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-qm", "two"]);
    git(&repository, &["tag", "v1.1.0"]);
    // Tags that were just listed are believed for half a second, also when one is missing.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(server.get("/github.com/team/lib/@v/v1.1.0.zip").status, 200);
    assert_eq!(clones(), before);
}
